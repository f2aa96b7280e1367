"""Graphs inside of nodes in the making: bodies of loops, and branches."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ...runtime.errors import WeftError
from ..graph.graph import Graph, Node, Source
from ..graph.skeleton import FAIL, always_goes_on
from ..types import TensorType
from .emit import Emitter
from .sized import Sizing


class Inner:
    """A graph of a node in the making, as a graph of its own: ``captures`` are the tensors around
    it that it reads, in the order of its inputs behind those that it was given."""

    def __init__(self, outer: Emitter, source: Source):
        self.outer, self.source = outer, source
        self.emitter = Emitter(source.node or source.op, outer.reserved)
        self.captures: list[str] = []
        self._captured: dict[str, str] = {}

    def capture(self, tensor: str) -> str:
        """The tensor inside that is a tensor around."""
        if tensor not in self._captured:
            outer, inner = self.outer.builder, self.emitter
            if tensor in outer.constants:
                made = inner.constant(outer.constants[tensor], tensor)
            else:
                t = outer.types[tensor]
                made = inner.builder.input(inner.fresh(tensor), t.dtype, t.shape)
                self.captures.append(tensor)
            if tensor in self.outer.narrow:
                inner.narrow[made] = self.outer.narrow[tensor]
            self._captured[tensor] = made
            stated = self.outer.values.stated.get(tensor)
            if stated is not None:
                inner.values.stated[made] = stated
            sizes = self.outer.sizes.get(tensor, {})
            if sizes:
                inner.sizes[made] = {axis: self.capture(size) for axis, size in sizes.items()}
        return self._captured[tensor]

    def input(self, hint: str, t: TensorType) -> str:
        """An input that the node gives; all of them come before what is captured."""
        assert not self.captures
        return self.emitter.builder.input(self.emitter.fresh(hint), t.dtype, t.shape)

    def fail(self, types: Sequence[TensorType], error: WeftError) -> list[str]:
        """Outputs of these types, for which a call fails as ``error`` says."""
        b = self.emitter.builder
        names = [self.tensor("failed", t) for t in types]
        why = f"these inputs need a branch that the model's shapes do not fit: {error.message}"
        attrs = MappingProxyType({"why": why, "where": error.where or str(self.source)})
        b.nodes.append(Node(FAIL, (), tuple(names), attrs, self.source))
        return names

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """An operator inside; the name of its output."""
        (name,) = self.emitter.add(op, inputs, attrs, self.source.node or op, self.source)
        return name

    def constant(self, array: np.ndarray) -> str:
        """A constant inside."""
        return self.emitter.constant(array, self.source.node or "constant")

    @property
    def sizing(self) -> Sizing:
        """What adds operators with sizes that only data knows, inside."""
        return Sizing(self.emitter, self.source.node or "size", self.source)

    def type(self, name: str) -> TensorType:
        """The type of a tensor inside."""
        return self.emitter.builder.types[name]

    def always_goes_on(self, name: str, going: str) -> bool:
        """As the function of that name, inside."""
        b = self.emitter.builder
        makers = {o: n for n in b.nodes for o in n.outputs}
        return always_goes_on(name, going, b.constants, makers)

    def tensor(self, hint: str, t: TensorType) -> str:
        """A tensor of this type, for the caller to define: an input, or what a node makes."""
        name = self.emitter.fresh(hint)
        self.emitter.builder.types[name] = t
        return name

    def finish(self, outputs: Sequence[str], inputs: Sequence[str]) -> Graph:
        """The graph; its inputs are these, and what was captured."""
        b = self.emitter.builder
        b.inputs = [*inputs, *(self._captured[c] for c in self.captures)]
        return b.finish(outputs)


def add_node(
    emitter: Emitter,
    source: Source,
    outputs: Sequence[str],
    op: str,
    inputs: Sequence[str],
    types: Sequence[TensorType],
    **attrs: Any,
) -> list[str]:
    """Add a node whose attributes are graphs; the names of its outputs, after those of the model's
    node, ``outputs``, where it has as many."""
    b = emitter.builder
    made = []
    for o, t in zip([*outputs, *[""] * len(types)], types):
        name = emitter.fresh(f"{o or source.node}/{op}")
        b.types[name] = t
        made.append(name)
    emitter.made.update(made)
    b.nodes.append(Node(op, tuple(inputs), tuple(made), MappingProxyType(attrs), source))
    return made


__all__ = ["Inner", "add_node"]
