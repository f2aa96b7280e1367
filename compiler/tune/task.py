"""Tasks: the distinct kernels of a model whose schedule is an open question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ...ir.layout import Layout
from ...ir.schedule.schedule import Schedule
from ...ir.target import Target
from ...ir.tensor import Tensor
from ...runtime.errors import CodegenError, LoweringError
from ...runtime.executor import Executable
from ..frontends import read_graph
from ..graph.cut import straight_parts
from ..graph.graph import Graph
from ..graph.group import Group, GroupExpr, is_literal, kernel_name, structural_key
from ..kernels.facts import count_flops
from ..kernels.kernel import Nest, compile_kernel, nests_of, schedule_group
from ..kernels.single import single
from ..options import DEFAULTS, CompileOptions
from ..passes.pipeline import GraphPipeline
from ..schedules.choices import Choices, Config
from ..types import TensorType
from .built import build_all

Job = tuple[Callable[..., Any], tuple[Any, ...]]
"""What another process is asked for: a function that it can import, and its arguments."""


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

    def nests(self, choices: Choices) -> tuple[Nest, ...]:
        """All schedules that carry the computation out as ``choices`` answers."""
        expr, s, layouts = self.schedule(choices)
        return nests_of(expr, s, layouts, self.target, choices)

    @property
    def parameters(self) -> tuple[TensorType, ...]:
        """The types of the kernel's parameters: of the arrays that it reads, then of those that it
        writes."""
        names = [n for n in self.group.inputs if not is_literal(n, self.constants)]
        return tuple(self.types[n] for n in (*names, *self.group.outputs))

    def build(self, config: Config) -> Executable:
        """The program of the kernel alone, scheduled as ``config`` answers; its arrays are in
        physical shape. Raises what compiling the kernel raises."""
        made = compile_kernel(
            self.group, self.types, self.constants, self.target, self.name, config
        )
        if made.device:  # of the fallback is nothing to learn about this target
            raise CodegenError(f"it runs on {made.device}: {made.reason}", where=self.name)
        layers = [t.layout.layers if t.layout is not None else 1 for t in self.parameters]
        return single(made, layers, self.target, self.group.label)

    def measuring(self, do: Callable[..., Any], configs: Sequence[Config], threads: int) -> Job:
        """What a worker does to measure candidates, with the function ``do``."""
        return do, (self, configs, threads)

    def building(self, configs: Sequence[Config]) -> Job:
        """What a worker does to build candidates."""
        return build_all, (self, configs)


class AnyTask(Protocol):
    """What a search wants of a task: of a model's or, in ``template.py``, of a user's template."""

    @property
    def key(self) -> str:
        """What is computed, whatever the schedule; of records."""
        ...

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def target(self) -> Target:
        """Resolved."""
        ...

    @property
    def calls(self) -> int:
        """How often it is called."""
        ...

    @property
    def flops(self) -> int:
        """What one call computes."""
        ...

    def nests(self, choices: Choices) -> tuple[Nest, ...]:
        """As :meth:`Task.nests`."""
        ...

    @property
    def parameters(self) -> tuple[TensorType, ...]:
        """As :attr:`Task.parameters`."""
        ...

    def build(self, config: Config) -> Executable:
        """As :meth:`Task.build`."""
        ...

    def measuring(self, do: Callable[..., Any], configs: Sequence[Config], threads: int) -> Job:
        """As :meth:`Task.measuring`."""
        ...

    def building(self, configs: Sequence[Config]) -> Job:
        """As :meth:`Task.building`."""
        ...


def tasks_of(model: Any, target: Target, options: CompileOptions = DEFAULTS) -> list[Task]:
    """The tasks of a model for a resolved target, those with most work first.

    ``model`` as for ``weft.compile``; raises the same errors. Kernels whose rules ask nothing are
    no tasks.
    """
    found: dict[str, Task] = {}
    for graph, group in _groups(read_graph(model, options), target, options):
        key = structural_key(group, graph.types, graph.constants)
        if key in found:
            found[key] = replace(found[key], calls=found[key].calls + 1)
            continue
        task = plain_task(group, graph, target, key)
        choices = Choices()
        try:
            expr, s, layouts = task.schedule(choices)
            nests_of(expr, s, layouts, target, choices)
        except (CodegenError, LoweringError):
            continue  # it runs on the fallback of this target, or the compilation says why not
        if any(len(c.options) > 1 for c in choices.asked.values()):
            found[key] = replace(task, flops=count_flops(expr.outputs))
    return sorted(found.values(), key=lambda t: -t.calls * t.flops)


def _groups(graph: Graph, target: Target, options: CompileOptions) -> Iterator[tuple[Graph, Group]]:
    """The groups that need a kernel, each with the graph that it is of."""
    for part in straight_parts(graph):
        made, groups = GraphPipeline(part, options).cut(target)
        for group in groups:
            if any(made.types[o].size for o in group.outputs):
                yield made, group


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
