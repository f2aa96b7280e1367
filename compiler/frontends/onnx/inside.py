"""Graphs in attributes of ONNX nodes: bodies of loops, and branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onnx import GraphProto

from ....runtime.errors import ModelError
from ...types import TensorType
from .. import inner
from ..emit import Emitter
from .scope import UNKNOWN, Scope, free_names, is_tensor
from .site import NodeSite

if TYPE_CHECKING:
    from .walk import Walk


class Inside(inner.Inner):
    """A graph of an ONNX node in the making; see :class:`~weft.compiler.frontends.inner.Inner`."""

    def __init__(self, walk: Walk, site: NodeSite):
        super().__init__(walk.emitter, site.source)
        self.walk, self.site = walk, site

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


def add_node(
    emitter: Emitter,
    site: NodeSite,
    op: str,
    inputs: Sequence[str],
    types: Sequence[TensorType],
    **attrs: Any,
) -> list[str]:
    """As the function of that name in ``inner.py``, for the node at a site."""
    return inner.add_node(emitter, site.source, site.node.output, op, inputs, types, **attrs)


__all__ = ["Inside", "add_node"]
