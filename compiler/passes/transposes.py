"""``move_transposes``: transposes go where they cost least, which mostly is nowhere.

    transpose -> conv -> transpose -> add -> transpose -> conv -> transpose -> …     as exporters do

A transpose is a way of reading: each tensor is known as another one, its *root*, whose axes are
read in some order. Between the operators that have one order only (convolutions, pools, those
that say nothing) are those that can have their axes in any (``Facts.carries``): for each of them an
order is chosen, so that the fewest bytes are transposed in all of the graph. A root is transposed
once for each order that its readers want beside the one that it is made in. The choice with the
least sum is found by dynamic programming (``assign.py``); the orders that come into question
spread from the transposes along the operators.

Constants are laid anew at compile time, the rows of a weight matrix too where what is flattened in
front of it had its axes in another order:

    transpose(x) -> reshape [N, H*W*C] -> matmul(w)     =     x -> reshape [N, C*H*W] -> matmul(w')
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph.builder import GraphBuilder
from ..graph.graph import Graph, Node
from ..ops import get
from ..ops.axes import Order
from .orders import Plan, Reading, Way, long_axes, product_of


def move_transposes(graph: Graph) -> Graph:
    """``graph`` with the fewest bytes transposed: the same object where it has the fewest."""
    if not any(n.op == "transpose" for n in graph.nodes):
        return graph
    plan = Plan(graph)
    chosen = plan.choose()
    if plan.cost(chosen) >= plan.cost({}):
        return graph
    return _Remake(plan, chosen).run()


class _Remake:
    """The graph by a choice of ways."""

    def __init__(self, plan: Plan, chosen: dict[int, int]):
        self.plan, self.chosen = plan, chosen
        self.graph = plan.graph
        self.builder = GraphBuilder.like(self.graph)
        self.made: dict[str, tuple[str, Order]] = {}  # root -> what stands for it, in which order
        self.known: dict[tuple[Any, ...], str] = {}
        self.moved: dict[tuple[Any, ...], tuple[str, Order]] = {}  # by root and long axes
        self.rows: dict[int, np.ndarray] = {}  # of the weights of a product, by its id
        self.named: dict[Reading, str] = {}  # outputs that others than their makers write
        for o, reading in zip(self.graph.outputs, plan.outputs):
            self.named.setdefault(reading, o)

    def run(self) -> Graph:
        for k, n in enumerate(self.plan.nodes):
            way = self.plan.ways[k][self.chosen.get(k, 0)]
            if way.rows is not None:
                product = product_of(self.graph, n.outputs[0])
                shape = self.graph.types[n.inputs[0]].shape[-len(way.rows) :]
                numbers = np.arange(math.prod(shape)).reshape(shape)
                self.rows[id(product)] = numbers.transpose(way.rows).reshape(-1)
            self._add(k, n, way)
        for o, (root, order) in zip(self.graph.outputs, self.plan.outputs):
            self._output(o, root, order)
        return self.builder.finish()

    def _add(self, k: int, n: Node, way: Way) -> None:
        b, c = self.builder, self.plan.carried[k]
        inputs = []
        for at, (i, order) in enumerate(zip(n.inputs, way.reads)):
            shape = None
            if c is not None and c.stretches and way.slots is not None and order is not None:
                shape = self._stretched(n.inputs[at], c.inputs[at] or (), way.slots)
            inputs.append(self._read(i, order, shape, n) if order is not None else "")
        if id(n) in self.rows:
            inputs[1] = self._weights(n, inputs[1])
        plain = [self.plan.plain(o) for o in n.outputs]
        names = [
            o if made == order else self._name(o, made)
            for o, made, order in zip(n.outputs, way.makes, plain)
        ]
        b.add(n.op, inputs, way.attrs, outputs=names, source=n.source)
        for o, name, made in zip(n.outputs, names, way.makes):
            self.made[o] = name, made

    def _name(self, root: str, order: Order) -> str:
        """A name for ``root`` with its axes in another order: that of the output which it is."""
        return self.named.pop(Reading(root, order), "") or self.builder.fresh(f"{root}.moved")

    def _stretched(self, name: str, axes: Sequence[int | None], slots: Order) -> tuple[int, ...]:
        """The shape of an input with axes of one element for the slots that it lacks, but for the
        first ones."""
        extents = dict(zip(axes, self.graph.types[name].shape))
        shape = [extents.get(s, 1) for s in slots]
        while len(shape) > len(extents) and slots[len(slots) - len(shape)] not in extents:
            shape.pop(0)
        return tuple(shape)

    def _weights(self, n: Node, name: str) -> str:
        value = self.builder.constants[name]
        c = get(n.op).facts.contraction
        assert c is not None
        axis = c.depth(value.shape, n.attrs)
        assert axis is not None
        rows = np.ascontiguousarray(np.take(value, self.rows[id(n)], axis))
        return self.builder.constant(rows, f"{name}.rows")

    def _read(self, name: str, order: Order, shape: tuple[int, ...] | None, n: Node) -> str:
        """The tensor that ``name`` is in the new graph, with the axes of its root in ``order``, as
        ``shape`` where that is not the one which it has then."""
        root = self.plan.reading(name).root
        own = self.graph.types[root].shape
        full = tuple(own[a] for a in order)
        shape = full if shape is None else shape
        key = (root, order, shape)
        if key in self.known:
            return self.known[key]
        b = self.builder
        made, at = self.made.get(root, (root, self.plan.plain(root)))
        if root in self.graph.constants:
            value = self.graph.constants[root]
            found = root
            if at != order or shape != full:
                value = np.ascontiguousarray(value.transpose(order)).reshape(shape)
                found = b.constant(value, f"{root}.transposed")
        elif shape != full:
            found = self._read(name, order, None, n)
            (found,) = b.add("reshape", [found], {"shape": shape}, source=n.source)
        elif at == order:
            found = made
        else:
            long = (root, long_axes(self.graph.types[root], order))
            made, at = self.moved.setdefault(long, (made, at))
            perm = tuple(at.index(a) for a in order)
            outputs = [self._name(root, order)]
            (found,) = b.add("transpose", [made], {"perm": perm}, outputs=outputs, source=n.source)
            if long[1] != long_axes(self.graph.types[root], at):
                self.moved[long] = found, order
        self.known[key] = found
        return found

    def _output(self, name: str, root: str, order: Order) -> None:
        """See that ``name`` is what it was."""
        if name in self.made and self.made[name][0] == name:
            return
        if name not in self.graph.producer:
            return  # an input or a constant
        b, node = self.builder, self.graph.producer[name]
        found = self._read(root, order, None, node)
        if found != name:
            b.add("identity", [found], outputs=[name], source=node.source)
