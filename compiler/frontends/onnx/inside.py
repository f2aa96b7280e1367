"""Graphs inside of nodes in the making: bodies of loops, and branches."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import GraphProto

from ....runtime.errors import ModelError, WeftError
from ...graph.graph import Graph, Node
from ...graph.skeleton import FAIL, always_goes_on
from ...types import TensorType
from ..emit import Emitter
from ..sized import Sizing
from .scope import UNKNOWN, Scope, free_names, is_tensor
from .site import NodeSite

if TYPE_CHECKING:
    from .walk import Walk


class Inside:
    """A graph of a node in the making, as a graph of its own: ``captures`` are the tensors around
    it that it reads, in the order of its inputs behind those that it was given."""

    def __init__(self, walk: Walk, site: NodeSite):
        self.walk, self.site = walk, site
        self.outer = walk.emitter
        self.emitter = Emitter(site.source.node or site.node.op_type, self.outer.reserved)
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

    def run(self, graph: GraphProto, formals: Sequence[str]) -> list[str] | None:
        """The outputs of ``graph`` for tensors inside; None where something could not be
        converted."""
        scope, site = Scope(), self.site
        narrow = [self.outer.narrow[i] for i in site.inputs if i in self.outer.narrow]
        inputs = {i.name for i in graph.input}
        for name in sorted(free_names(graph) - inputs):
            tensor = site.around.scope.get(name)
            if tensor is None:
                raise ModelError(f"its input {name!r} is not defined.", where=site.where)
            if not is_tensor(tensor):
                if tensor != UNKNOWN:
                    what = "whose body reads a sequence or an optional"
                    self.walk.miss(f"{site.node.op_type} {site.operator} {what}", site)
                return None
            scope.define(name, self.capture(tensor), site.where)
        for formal, tensor in zip(graph.input, formals):
            scope.define(formal.name, tensor, site.where)
        with self.walk.inside(self.emitter):
            found = self.walk.bodies.run_in(site, graph, scope)
        if found is None or not all(map(is_tensor, found)):
            return None
        narrow += [self.emitter.narrow[i] for i in found if i in self.emitter.narrow]
        if narrow:
            self.walk.miss(f"{site.node.op_type} {site.operator} of {narrow[0]} elements", site)
            return None
        return found

    def fail(self, types: Sequence[TensorType], error: WeftError) -> list[str]:
        """Outputs of these types, for which a call fails as ``error`` says."""
        b = self.emitter.builder
        names = [self.tensor("failed", t) for t in types]
        why = f"these inputs need a branch that the model's shapes do not fit: {error.message}"
        attrs = MappingProxyType({"why": why, "where": error.where or self.site.where})
        b.nodes.append(Node(FAIL, (), tuple(names), attrs, self.site.source))
        return names

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """An operator inside; the name of its output."""
        hint = self.site.source.node or op
        (name,) = self.emitter.add(op, inputs, attrs, hint, self.site.source)
        return name

    def constant(self, array: np.ndarray) -> str:
        """A constant inside."""
        return self.emitter.constant(array, self.site.source.node or "constant")

    @property
    def sizing(self) -> Sizing:
        """What adds operators with sizes that only data knows, inside."""
        return Sizing(self.emitter, self.site.source.node or "size", self.site.source)

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
    site: NodeSite,
    op: str,
    inputs: Sequence[str],
    types: Sequence[TensorType],
    **attrs: Any,
) -> list[str]:
    """Add a node whose attributes are graphs; the names of its outputs."""
    b = emitter.builder
    outputs = []
    for o, t in zip([*site.node.output, *[""] * len(types)], types):
        name = emitter.fresh(f"{o or site.source.node}/{op}")
        b.types[name] = t
        outputs.append(name)
    emitter.made.update(outputs)
    b.nodes.append(Node(op, tuple(inputs), tuple(outputs), MappingProxyType(attrs), site.source))
    return outputs


__all__ = ["Inside", "add_node"]
