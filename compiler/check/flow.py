"""Checking a program with loops and branches.

Its sections are compiled as ever. The *watched* program stores, beside that, each tensor that a
kernel makes in a place of its own, so that after a call it holds what the kernel made when it ran
last. The reference walks the same tree over the same optimised graphs of the sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ...ir.target import HOST, Target
from ..driver import resolved
from ..graph.cut import cut
from ..graph.evaluate import evaluate_graph, evaluate_skeleton
from ..graph.graph import Graph
from ..graph.skeleton import Section
from ..kernels.flow import FlowBuild
from ..options import CompileOptions
from .report import TensorRow, distance
from .tolerances import Tolerance


class Key(NamedTuple):
    """A tensor of a section's optimised graph."""

    section: Section
    name: str


class FlowCheck:
    """The program of a graph with control flow, and the watched one, for a resolved target."""

    def __init__(self, graph: Graph, target: Target, options: CompileOptions):
        self._graph, self._options = graph, options
        self._skeleton = cut(graph)
        build = FlowBuild(self._skeleton, target, options, watch=True)
        self.watched = build.executable
        self._public = {Key(s, name): public for (s, name), public in build.seen.items()}
        self._groups = build.groups
        # After the other: what WEFT_DUMP is left with is about the real program.
        self.program = FlowBuild(self._skeleton, target, options).executable
        self._optimised = build.graphs
        top = {i for i in self._skeleton.items if isinstance(i, Section)}
        self.at_top = {key.name: key for key in self._public if key.section in top}

    def by_reference(
        self, feeds: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[Key, np.ndarray]]:
        """The outputs of the graph as it was read, and what each section made last, by the numpy
        references of the operators."""
        made = evaluate_graph(self._graph, feeds)
        known = {**self._graph.constants, **feeds, **made}
        last = evaluate_skeleton(self._skeleton, self._optimised, feeds)
        values = {Key(s, name): a for s, table in last.items() for name, a in table.items()}
        return {o: known[o] for o in self._graph.outputs}, values

    def by_llvm(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by one kernel for each operator on this processor."""
        plain = CompileOptions(cache=self._options.cache)
        host = resolved(Target.parse(f"{HOST} -opt_level=0"))
        return FlowBuild(self._skeleton, host, plain).executable.run(feeds)

    def rows(
        self, seen: Mapping[str, np.ndarray], values: Mapping[Key, np.ndarray], limit: Tolerance
    ) -> list[TensorRow]:
        """A row for each tensor whose value is known, in the order of the sections."""
        rows = []
        for key, ops, label in self._tensors():
            if key in values:
                d = distance(seen[self._public[key]], values[key], limit)
                rows.append(TensorRow(key.name, ops, label, d))
        return rows

    def missing(self, values: Mapping[Key, np.ndarray]) -> tuple[str, ...]:
        """The tensors without a value."""
        return tuple(key.name for key, *_ in self._tensors() if key not in values)

    def _tensors(self) -> Iterator[tuple[Key, str, str]]:
        for section, groups in self._groups.items():
            for group in groups:
                for o in group.outputs:
                    if (key := Key(section, o)) in self._public:
                        yield key, " + ".join(n.op for n in group.nodes), group.label


__all__ = ["FlowCheck", "Key"]
