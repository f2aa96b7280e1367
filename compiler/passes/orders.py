"""Which order the axes of each tensor are best in: the choice behind ``move_transposes``.

Each node has a few *ways*: it as it is, and it with its axes in other orders, as its operator
carries them (``Facts.carries``). The orders that come into question spread from the transposes of
the graph along its operators.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph.graph import Graph, Node
from ..ops import Kind, get
from ..ops.axes import Attrs, Carried, Order, axes_in, order_of
from ..types import TensorType
from .assign import Table, minimise

ORDERS = 6  # of a node or a tensor that are compared
RESHAPED = 1 / 1024  # the cost, in bytes, where only axes of one element change places
LATE = 1 / 2048  # in front of what could be computed with the convolution before it: better behind
_NEVER = 1e18  # more than all tensors have bytes


class Reading(NamedTuple):
    """A tensor as its root, whose axis ``order[k]`` is its axis k."""

    root: str
    order: Order


class Way(NamedTuple):
    """One way of computing a node."""

    slots: Order | None  # None: as it is
    attrs: Attrs
    reads: tuple[Order | None, ...]  # the order of the root of each input
    makes: tuple[Order, ...]  # of the axes of each result
    rows: Order | None = None  # of a flattened axis: the order of the axes that it is made of

    def like(self, other: Way) -> bool:
        """Whether operands and results lie in the same order."""
        return self[2:] == other[2:]


class Plan:
    """What may be chosen: the ways of each node, by its position in the graph."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.origin: dict[str, Reading] = {}
        self.nodes = [n for n in graph.nodes if not self._is_transpose(n)]
        self.outputs = [self.reading(o) for o in graph.outputs]
        self.carried = [_carried(graph, n) for n in self.nodes]
        self.free = [_rows_of(graph, n) for n in self.nodes]
        self.maker = {o: k for k, n in enumerate(self.nodes) for o in n.outputs if o}
        self.readers: dict[str, list[tuple[int, int]]] = {r.root: [] for r in self.outputs}
        for k, n in enumerate(self.nodes):
            for at, i in enumerate(n.inputs):
                if i:
                    self.readers.setdefault(self.reading(i).root, []).append((k, at))
        self.images: set[str] = set()  # what convolutions make, and what becomes of it in place
        for n in self.nodes:
            roots = [self.reading(i).root for i in n.inputs if i]
            if _makes_images(n) or (self._in_place(n) and not self.images.isdisjoint(roots)):
                self.images.update(filter(None, n.outputs))
        self.ways = [[self._as_it_is(n)] for n in self.nodes]
        self._spread()

    def reading(self, name: str) -> Reading:
        """``name`` as its root."""
        known = self.origin.get(name)
        return known or Reading(name, tuple(range(len(self.graph.types[name].shape))))

    @staticmethod
    def _in_place(n: Node) -> bool:
        """Whether ``n`` might be computed with what makes its operand."""
        return get(n.op).kind <= Kind.BROADCAST

    def _is_transpose(self, n: Node) -> bool:
        if n.op != "transpose":
            return False
        root, order = self.reading(n.inputs[0])
        self.origin[n.outputs[0]] = Reading(root, tuple(order[p] for p in n.attrs["perm"]))
        return True

    # -- the ways of a node

    def _as_it_is(self, n: Node) -> Way:
        reads = tuple(self.reading(i).order if i else None for i in n.inputs)
        return Way(None, n.attrs, reads, tuple(self.plain(o) for o in n.outputs))

    def plain(self, name: str) -> Order:
        """The axes of a tensor as they come."""
        return tuple(range(len(self.graph.types[name].shape))) if name else ()

    def _in_order(self, k: int, slots: Order) -> Way | None:
        """The way of node ``k`` with its slots in an order, if it has one."""
        n, c = self.nodes[k], self.carried[k]
        attrs = None if c is None else c.attrs(slots)
        if c is None or attrs is None:
            return None
        reads: list[Order | None] = []
        for i, axes in zip(n.inputs, c.inputs, strict=True):
            order = self.reading(i).order if i else None
            if order is not None and axes is not None:
                order = tuple(order[a] for a in axes_in(axes, slots))
            reads.append(order)
        makes = tuple(axes_in(axes, slots) for axes in c.results)
        return Way(slots, attrs, tuple(reads), makes)

    def _spread(self) -> None:
        """Find the ways of all nodes: each order of a root is one that its maker and its readers
        may want to have."""
        orders: dict[str, dict[Order, None]] = {}
        todo: deque[tuple[str, Order]] = deque()

        def note(root: str, order: Order) -> None:
            known = orders.setdefault(root, {self.plain(root): None})
            if order not in known and len(known) < ORDERS:
                known[order] = None
                todo.append((root, order))

        for name in self.readers:
            orders.setdefault(name, {self.plain(name): None})
        for k, n in enumerate(self.nodes):
            for i, order in zip(n.inputs, self.ways[k][0].reads):
                if order is not None:
                    note(self.reading(i).root, order)
        for root, order in self.outputs:
            note(root, order)
        todo.extend((root, self.plain(root)) for root, known in orders.items() if len(known) > 1)
        while todo:
            root, order = todo.popleft()
            for k, way in self._ways_for(root, order):
                if len(self.ways[k]) >= ORDERS or any(way.like(w) for w in self.ways[k]):
                    continue
                self.ways[k].append(way)
                n = self.nodes[k]
                for o, made in zip(n.outputs, way.makes):
                    if o:
                        note(o, made)
                for i, read in zip(n.inputs, way.reads):
                    if read is not None:
                        note(self.reading(i).root, read)

    def _ways_for(self, root: str, order: Order) -> list[tuple[int, Way]]:
        """Ways of the maker and the readers of ``root`` that have it in ``order``."""
        found: list[tuple[int, Way | None]] = []
        if root in self.maker:
            k = self.maker[root]
            at = self.nodes[k].outputs.index(root)
            c = self.carried[k]
            slots = None if c is None else order_of(c.results[at], order, c.count)
            if slots is not None:
                found.append((k, self._in_order(k, slots)))
        for k, at in self.readers.get(root, ()):
            c = self.carried[k]
            axes = None if c is None else c.inputs[at]
            own = self.reading(self.nodes[k].inputs[at]).order
            wanted = tuple(own.index(a) for a in order)
            if c is not None and axes is not None:
                slots = order_of(axes, wanted, c.count)
                if slots is not None:
                    found.append((k, self._in_order(k, slots)))
            if self.free[k] is not None:
                found.append((k, self._flattened(k, order, wanted)))
        return [(k, w) for k, w in found if w is not None]

    def _flattened(self, k: int, order: Order, wanted: Order) -> Way | None:
        """Node ``k``, which flattens axes for a product, with these in the order ``wanted``."""
        lead, n = self.free[k] or 0, self.nodes[k]
        if wanted[:lead] != tuple(range(lead)):
            return None
        rows = tuple(a - lead for a in wanted[lead:])
        return Way(None, n.attrs, (order,), (self.plain(n.outputs[0]),), rows)

    # -- the choice

    def choose(self) -> dict[int, int]:
        """The number of the way of each node that has several."""
        sizes: dict[Any, int] = {k: len(w) for k, w in enumerate(self.ways) if len(w) > 1}
        tables: list[Table[Any]] = []
        for root in self.readers:
            if root not in self.graph.constants:
                self._tables_of(root, sizes, tables)
        return minimise(sizes, tables)

    def _tables_of(self, root: str, sizes: dict[Any, int], tables: list[Table[Any]]) -> None:
        """Add what reading ``root`` costs. It is transposed once however many readers want that: a
        variable of its own says whether it is."""
        t = self.graph.types[root]
        maker = self.maker.get(root)
        made = [self.plain(root)]
        if maker is not None:
            at = self.nodes[maker].outputs.index(root)
            made = [w.makes[at] for w in self.ways[maker]]
        wanted = [(None, [order]) for r, order in self.outputs if r == root]
        wanted += [(k, [w.reads[at] or () for w in self.ways[k]]) for k, at in self.readers[root]]
        for k, orders in wanted:
            late = LATE * (k is not None and self._is_early(root, self.nodes[k]))
            cost = np.array([[(RESHAPED + late) * (m != o) for o in orders] for m in made])
            tables.append(_table((maker, k), cost, sizes))
        for long in dict.fromkeys(long_axes(t, o) for _, orders in wanted for o in orders):
            cost = np.array([float(t.nbytes) * (long_axes(t, m) != long) for m in made])
            asks = [
                (k, np.array([long_axes(t, o) == long for o in orders])) for k, orders in wanted
            ]
            asks = [(k, a) for k, a in asks if a.any()]
            if not cost.any():
                continue
            if any(len(a) == 1 for _, a in asks):
                tables.append(_table((maker,), cost, sizes))
            elif len(asks) == 1:
                ((k, a),) = asks
                tables.append(_table((maker, k), np.outer(cost, a), sizes))
            else:
                paid = (root, long)
                sizes[paid] = 2
                tables.append(_table((maker, paid), np.outer(cost, [0, 1]), sizes))
                tables += [_table((k, paid), np.outer(a, [_NEVER, 0]), sizes) for k, a in asks]

    def _is_early(self, root: str, n: Node) -> bool:
        """Whether a transpose of ``root`` in front of ``n`` keeps it from the convolution."""
        return root in self.images and self._in_place(n)

    def cost(self, chosen: dict[int, int]) -> float:
        """What a choice costs in all, in bytes; nodes that it lacks are as they were."""
        made: dict[str, Order] = {}
        total = 0.0
        wanted = dict.fromkeys(self.outputs)
        for k, n in enumerate(self.nodes):
            way = self.ways[k][chosen.get(k, 0)]
            made.update(zip(n.outputs, way.makes))
            for i, order in zip(n.inputs, way.reads):
                if order is not None:
                    root = self.reading(i).root
                    wanted[Reading(root, order)] = None
                    late = order != made.get(root, self.plain(root)) and self._is_early(root, n)
                    total += LATE * late
        known = set[Any]()
        for root, order in wanted:
            own = made.get(root, self.plain(root))
            if root in self.graph.constants or own == order:
                continue
            t, key = self.graph.types[root], (root, long_axes(self.graph.types[root], order))
            moved = key[1] != long_axes(t, own) and key not in known
            known.add(key)
            total += RESHAPED + moved * t.nbytes
        return total


def _table(
    scope: Sequence[Any], cost: np.ndarray, sizes: dict[Any, int]
) -> tuple[tuple[Any, ...], np.ndarray]:
    """``cost`` over ``scope``, without the axes (of one element) of what is no variable."""
    keep = tuple(v for v in scope if v in sizes)
    return keep, cost.reshape([sizes[v] for v in keep])


def _makes_images(n: Node) -> bool:
    c = get(n.op).facts.contraction
    return c is not None and c.has_images


def _carried(graph: Graph, n: Node) -> Carried | None:
    """The axes of a node as its operator states them (``Facts.carries``)."""
    rule = get(n.op).facts.carries
    if rule is None or not all(n.outputs):
        return None
    shapes = [graph.types[i].shape if i else None for i in n.inputs]
    return rule(shapes, [graph.types[o].shape for o in n.outputs], n.attrs)


def long_axes(t: TensorType, order: Order) -> Order:
    """The axes of more than one element, as they follow one another in ``order``."""
    return tuple(a for a in order if t.shape[a] != 1)


def _rows_of(graph: Graph, n: Node) -> int | None:
    """Where ``n`` flattens the last axes of its input, for a product with constant weights and
    nobody else: how many axes come before those."""
    if n.op != "reshape":
        return None
    before, after = graph.types[n.inputs[0]].shape, graph.types[n.outputs[0]].shape
    lead = len(after) - 1
    if lead < 0 or len(before) <= lead + 1 or before[:lead] != after[:lead] or 0 in before:
        return None
    return lead if product_of(graph, n.outputs[0]) is not None else None


def product_of(graph: Graph, name: str) -> Node | None:
    """The only reader of ``name``, or of what is made of it element by element, if it multiplies
    its last axis with constant weights."""
    while name not in graph.results:
        readers = graph.consumers.get(name, ())
        if len(readers) != 1:
            return None
        (n,) = readers
        if n.inputs.count(name) != 1 or n.inputs[0] != name:
            return None
        c = get(n.op).facts.contraction
        if c is not None:
            if c.has_images or n.inputs[1] not in graph.constants:
                return None
            return n if c.depth(graph.types[n.inputs[1]].shape, n.attrs) is not None else None
        op = get(n.op)
        if op.kind is not Kind.ELEMENTWISE or op.facts.carries is None or len(n.inputs) > 1:
            return None
        name = n.outputs[0]
    return None
