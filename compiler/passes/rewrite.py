"""The frame of a pass that goes through a graph once, in order, and replaces nodes.

The new graph has the same inputs and outputs, under the same names. A pass that changes nothing
returns the same graph object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph.builder import GraphBuilder
from ..graph.graph import Graph, Node
from ..types import TensorType


class Rewrite:
    """A new graph in the making. ``old`` is the graph that is gone through."""

    def __init__(self, graph: Graph):
        self.old = graph
        self.builder = GraphBuilder.like(graph)
        self.changed = False
        self._new: dict[str, str] = {}  # old tensor -> the tensor that stands for it
        self._producer: dict[str, Node] = {}
        self._reads: dict[str, int] = {}
        for n in graph.nodes:
            for i in n.inputs:
                self._reads[i] = self._reads.get(i, 0) + 1
        for o in graph.outputs:
            self._reads[o] = self._reads.get(o, 0) + 1

    def run(self, visit: Callable[[Rewrite, Node], str | None]) -> Graph:
        """``visit(self, node)`` for each node, whose inputs are names in the new graph; it returns
        the tensor to use for the node's (only) output, or None to keep the node."""
        for n in self.old.nodes:
            mapped = tuple(self._new.get(i, i) for i in n.inputs)
            node = n if mapped == n.inputs else replace(n, inputs=mapped)
            made = visit(self, node)
            if made is None:
                self._append(node)
            elif made != n.outputs[0]:
                self.changed = True
                self._new[n.outputs[0]] = made
                reads = self._reads.get(n.outputs[0], 0) - 1
                self._reads[made] = self._reads.get(made, 1) + reads
            else:
                self.changed = True
        return self._finish()

    def type(self, name: str) -> TensorType:
        """The type of a tensor of the new graph."""
        return self.builder.types[name]

    def const(self, name: str) -> np.ndarray | None:
        """The value of a constant, None for any other tensor."""
        return self.builder.constants.get(name)

    def producer(self, name: str, op: str = "") -> Node | None:
        """The new graph's node that makes ``name``, if its operator is ``op`` (where given)."""
        node = self._producer.get(name)
        return node if node is None or not op or node.op == op else None

    def sole(self, name: str) -> bool:
        """Whether only one place of the old graph reads ``name``, which is true of tensors added
        by the pass too: nothing but their replacement knows them."""
        return self._reads.get(name, 1) == 1

    def constant(self, array: np.ndarray, hint: str) -> str:
        """Add a constant; returns its name."""
        return self.builder.constant(array, hint)

    def add(
        self,
        node: Node,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
    ) -> str:
        """Add an operator in the place of ``node``; returns its output, which has the old name if
        its type is the old one's and the name is free."""
        name = node.outputs[0] if node.outputs[0] not in self._producer else ""
        kept = self.builder.types.get(name)
        outputs = [name] if name else None
        (made,) = self.builder.add(op, inputs, attrs, outputs=outputs, source=node.source)
        assert not name or self.builder.types[made] == kept, f"{node} became {op}"
        self._producer[made] = self.builder.nodes[-1]
        return made

    def extra(
        self, node: Node, op: str, inputs: Sequence[str], attrs: Mapping[str, Any] | None = None
    ) -> str:
        """Add an operator that is only a step on the way; its output has a name of its own."""
        (made,) = self.builder.add(op, inputs, attrs, source=node.source)
        self._producer[made] = self.builder.nodes[-1]
        return made

    def _append(self, node: Node) -> None:
        self.builder.nodes.append(node)
        for o in node.outputs:
            if o:
                self._producer[o] = node

    def _finish(self) -> Graph:
        if not self.changed:
            return self.old
        b = self.builder
        rename: dict[str, str] = {}
        final = {self._new.get(o, o) for o in b.outputs if o not in self._new}
        for o in b.outputs:
            made = self._new.get(o, o)
            if made == o:
                continue
            if made in b.constants:
                b.constants[o] = b.constants[made]
            elif made in self._producer and made not in rename and made not in final:
                rename[made] = o
            else:  # an input, or twice the same: the output is a tensor of its own
                b.nodes.append(Node("identity", (made,), (o,)))
        if rename:
            b.nodes = [
                replace(
                    n,
                    inputs=tuple(rename.get(i, i) for i in n.inputs),
                    outputs=tuple(rename.get(o, o) for o in n.outputs),
                )
                if any(t in rename for t in (*n.inputs, *n.outputs))
                else n
                for n in b.nodes
            ]
        return b.finish()
