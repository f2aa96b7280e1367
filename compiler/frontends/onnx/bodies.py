"""Walking the graphs that are attributes of nodes: branches, and bodies of loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onnx import GraphProto

from ....runtime.errors import ModelError
from .scope import UNKNOWN, Scope
from .site import NodeSite, Surroundings

if TYPE_CHECKING:
    from .walk import Walk

MAX_UNROLLED = 50_000  # nodes that the bodies of all loops of a model may become


class Bodies:
    """Walks the graphs inside of nodes, as often as it takes, within a limit."""

    def __init__(self, walk: Walk, unrolled: int = 0):
        self.walk, self.unrolled = walk, unrolled
        # By identity of the graph: its constants are made once, however often it is walked.
        self._constants: dict[int, Mapping[str, str]] = {}

    def run(self, site: NodeSite, graph: GraphProto, inputs: Sequence[str]) -> list[str] | None:
        """The outputs of ``graph``, an attribute of the node, for ``inputs``; None where something
        in it, or before it, could not be converted."""
        if UNKNOWN in inputs:
            return None
        inner = Scope(site.around.scope)
        for formal, tensor in zip(graph.input, inputs):
            inner.define(formal.name, tensor, site.where)
        return self.run_in(site, graph, inner)

    def run_in(self, site: NodeSite, graph: GraphProto, inner: Scope) -> list[str] | None:
        """As :meth:`run`, where ``inner`` has the inputs."""
        names = [o.name for o in graph.output]
        if "" in names:
            where = _name_of(site, graph)
            raise ModelError(
                f"the output {names.index('')} of its {where} is unnamed.", where=site.where
            )
        known = self._constants.get(id(graph))
        if known is None:
            before = set(inner.values)
            self.walk.initializers(graph, inner)
            known = {k: v for k, v in inner.values.items() if k not in before}
            self._constants[id(graph)] = known
        else:
            for name, tensor in known.items():
                inner.values.setdefault(name, tensor)
        around = Surroundings(inner, site.around.opsets, site.around.depth + 1)
        self.walk.body(graph.node, names, around)
        results = self.walk.results(names, inner, site.where)
        return None if UNKNOWN in results else results

    def step(self, site: NodeSite, graph: GraphProto, inputs: Sequence[str]) -> list[str] | None:
        """As :meth:`run`, for one step of a loop that is unrolled; None, and noted, past the
        limit."""
        self.unrolled += len(graph.node)
        if self.unrolled > MAX_UNROLLED:
            self.walk.miss(
                f"{site.node.op_type} {site.operator}: unrolled, it has more than {MAX_UNROLLED} "
                "nodes",
                site,
            )
            return None
        return self.run(site, graph, inputs)

    def body(self, site: NodeSite, inputs: int) -> GraphProto:
        """The attribute ``body``, which must take ``inputs``."""
        graph = next(a.g for a in site.node.attribute if a.name == "body")
        if len(graph.input) != inputs:
            raise ModelError(
                f"the body has {len(graph.input)} inputs; the node gives {inputs}.",
                where=site.where,
            )
        return graph


def _name_of(site: NodeSite, graph: GraphProto) -> str:
    return next((a.name for a in site.node.attribute if a.g is graph or a.g == graph), "body")
