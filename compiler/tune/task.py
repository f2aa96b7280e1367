"""Tasks: the distinct kernels of a model whose schedule is an open question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...ir.layout import Layout
from ...ir.schedule.schedule import Schedule
from ...ir.target import Target
from ...ir.tensor import Tensor
from ..frontends import read_graph
from ..graph.graph import Graph
from ..graph.group import Group, GroupExpr, is_literal, kernel_name, structural_key
from ..kernels.facts import count_flops
from ..kernels.kernel import schedule_group
from ..options import DEFAULTS, CompileOptions
from ..passes.pipeline import GraphPipeline
from ..schedules.choices import Choices
from ..types import TensorType


@dataclass(frozen=True)
class Task:
    """One kernel to tune: plain data that travels to a worker process.

    ``calls`` is how often the model calls it, ``flops`` what one call computes.
    """

    key: str
    name: str
    group: Group
    types: Mapping[str, TensorType]
    constants: Mapping[str, np.ndarray]
    target: Target
    calls: int = 1
    flops: int = 0

    def schedule(self, choices: Choices) -> tuple[GroupExpr, Schedule, dict[Tensor, Layout]]:
        """The computation, scheduled as ``choices`` answers, and the layouts."""
        return schedule_group(self.group, self.types, self.constants, self.target, choices)


def tasks_of(model: Any, target: Target, options: CompileOptions = DEFAULTS) -> list[Task]:
    """The tasks of a model for a resolved target, those with most work first.

    ``model`` as for ``weft.compile``; raises the same errors. Kernels whose rules ask nothing are
    no tasks.
    """
    graph, groups = GraphPipeline(read_graph(model, options), options).cut(target)
    found: dict[str, Task] = {}
    for group in groups:
        if not any(graph.types[o].size for o in group.outputs):
            continue
        key = structural_key(group, graph.types, graph.constants)
        if key in found:
            found[key] = replace(found[key], calls=found[key].calls + 1)
            continue
        task = plain_task(group, graph, target, key)
        choices = Choices()
        expr, _, _ = task.schedule(choices)
        if any(len(c.options) > 1 for c in choices.asked.values()):
            found[key] = replace(task, flops=count_flops(expr.outputs))
    return sorted(found.values(), key=lambda t: -t.calls * t.flops)


def plain_task(group: Group, graph: Graph, target: Target, key: str) -> Task:
    """The task of one group, without anything of the graph that it does not need."""
    nodes = tuple(replace(n, attrs=_plain(n.attrs)) for n in group.nodes)
    names = {*group.inputs, *(o for n in nodes for o in n.outputs if o)}
    return Task(
        key,
        kernel_name(group, key),
        Group(nodes, group.inputs, group.outputs),
        {n: graph.types[n] for n in names},
        {n: graph.constants[n] for n in group.inputs if is_literal(n, graph.constants)},
        target,
    )


def _plain(value: Any) -> Any:
    """Mappings as dictionaries: read-only views do not travel between processes."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value
