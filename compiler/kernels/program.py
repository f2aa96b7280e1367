"""From groups to a program: each distinct one is compiled, all are linked, and the calls, the
memory plan and the signature become a :class:`Program`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...codegen import identity, resolve
from ...ir import own_intrinsics
from ...ir.target import HOST, Target
from ...runtime import knobs
from ...runtime.artifact import Program, Slot
from ...runtime.errors import GraphError
from ...runtime.executor import Executable
from ..graph.graph import Graph
from ..graph.group import Group, is_literal, kernel_name, structural_key
from ..options import DEFAULTS, CompileOptions
from ..passes.memory import MemoryPlan, plan_memory
from ..passes.pipeline import GROUPS, MEMORY, dump_stage
from ..schedules.choices import Config, config_text
from ..types import TensorType
from .cache import kernel_key
from .calls import Calls
from .compiled import CompiledGroup
from .kernel import compile_kernel, fallback, physical_shape
from .link import link


def assemble(
    graph: Graph,
    groups: Sequence[Group],
    target: Target,
    options: CompileOptions = DEFAULTS,
) -> Executable:
    """The executable of a graph that is cut into ``groups``, for a resolved target."""
    if len(set(graph.outputs)) != len(graph.outputs):
        raise GraphError("two outputs have the same name.", where=graph.name)
    groups = not_empty(graph, groups)
    plan = plan_memory(graph, groups, in_place=not target.distinct_buffers)
    compiled, symbols = compile_groups(graph, plan.steps, target, options)
    codes, holders = link_all(compiled, target, options)
    program = make_program(graph, plan, [compiled[s] for s in symbols], target, holders)
    if knobs.dump_dir() is not None:
        text = "\n\n".join(f"{s}\n{g}" for s, g in zip(symbols, plan.steps))
        dump_stage(GROUPS, text, target)
        dump_stage(MEMORY, _plan_text(plan), target)
    used = {s.source for s in program.slots if s.kind == "constant"}
    params = {k: v for k, v in graph.constants.items() if k in used}
    exe = Executable(program, codes, params)
    # Code for another processor can be saved here, but not loaded.
    host = resolve(HOST)
    return exe.prepare() if (target.kind, target.mtriple) == (HOST, host.mtriple) else exe


def not_empty(graph: Graph, groups: Sequence[Group]) -> list[Group]:
    """The groups that make any element."""
    return [g for g in groups if any(graph.types[o].size for o in g.outputs)]


def link_all(
    compiled: Mapping[str, CompiledGroup], target: Target, options: CompileOptions
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The code objects of kernels, those for the fallback of the target among them, and the one
    that holds each."""
    codes, holders = link([k for k in compiled.values() if not k.device], target, options.cache)
    elsewhere = [k for k in compiled.values() if k.device]
    if elsewhere:
        other = fallback(target)
        assert other is not None
        more, where = link(elsewhere, other, options.cache)
        codes, holders = {**codes, **more}, {**holders, **where}
    return codes, holders


def _plan_text(plan: MemoryPlan) -> str:
    lines = [f"arena {plan.arena} bytes, {plan.without_reuse} without reuse"]
    lines += [f"{at:12d}  {name}" for name, at in sorted(plan.offsets.items(), key=lambda x: x[1])]
    lines += [f"{'in':>12}  {name} = {root}" for name, root in plan.roots.items()]
    return "\n".join(lines)


def compile_groups(
    graph: Graph,
    groups: Sequence[Group],
    target: Target,
    options: CompileOptions = DEFAULTS,
) -> tuple[dict[str, CompiledGroup], list[str]]:
    """Each distinct kernel by its symbol, and the symbol of each group.

    The records of ``options`` say how a kernel is best scheduled, where it was tuned.
    """
    cache, records, tell = options.cache, options.records, options.progress
    threads = target.num_threads or knobs.num_threads()
    target = replace(target, num_threads=0)  # kernels are the same for any number
    work, symbols = _distinct(graph, groups)
    machine = f"{target} {identity(target)} {own_intrinsics.identity()}".rstrip()

    def kernel(key: str, symbol: str, group: Group, config: Config) -> CompiledGroup:
        place = kernel_key(f"{key} {symbol}", machine, config_text(config))
        found = cache.get(place) if cache else None
        if found is None:
            found = compile_kernel(group, graph.types, graph.constants, target, symbol, config)
            if cache:
                cache.put(place, found)
        return found

    compiled: dict[str, CompiledGroup] = {}
    for k, (symbol, (key, group)) in enumerate(work.items()):
        tell("compile", k, len(work))
        best = None
        if records is not None:
            best = records.best(key, str(target), threads, options.renderer)
        found = kernel(key, symbol, group, best.config if best is not None else {})
        # Rules that have changed since make another schedule of the same answers: it is unmeasured.
        if best is not None and best.trace not in ("", found.facts.get("trace")):
            found = kernel(key, symbol, group, {})
        compiled[symbol] = found
    tell("compile", len(work), len(work))
    return compiled, symbols


def _distinct(
    graph: Graph, groups: Sequence[Group]
) -> tuple[dict[str, tuple[str, Group]], list[str]]:
    """By symbol, the structural key of each distinct group and the first one that has it; and the
    symbol of each group."""
    names: dict[str, str] = {}  # structural key -> symbol
    work: dict[str, tuple[str, Group]] = {}
    symbols: list[str] = []
    for group in groups:
        key = structural_key(group, graph.types, graph.constants)
        if key not in names:
            symbol = kernel_name(group, key)
            names[key] = symbol if symbol not in work else kernel_name(group, key, 64)
            work[names[key]] = (key, group)
        symbols.append(names[key])
    return work, symbols


def make_program(
    graph: Graph,
    plan: MemoryPlan,
    kernels: Sequence[CompiledGroup],
    target: Target,
    holders: Mapping[str, str],
) -> Program:
    """The program whose step k calls ``kernels[k]`` for ``plan.steps[k]``; ``holders`` names the
    code object that has a kernel."""
    calls = Calls(holders, plan.arena)
    slots = _Slots(graph, plan, calls)
    inputs = {i: slots.number(i) for i in graph.inputs}
    for group, kernel in zip(plan.steps, kernels):
        names = [*literal_free(group, graph.constants), *group.outputs]
        assert len(names) == len(kernel.params), (group, kernel.params)
        calls.call(kernel, [slots.number(n) for n in names], group.label)
    outputs = {o: slots.number(o) for o in graph.outputs}
    meta = {"model": dict(graph.meta)}
    return calls.program(graph.name, target, inputs, outputs, meta, cropped=graph.cropped)


class _Slots:
    """The tensors of a graph as slots, numbered when they are first asked for."""

    def __init__(self, graph: Graph, plan: MemoryPlan, calls: Calls):
        self._graph, self._plan, self._calls = graph, plan, calls
        self._public = {plan.root(o) for o in graph.outputs}
        self._inputs = frozenset(graph.inputs)
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The slot of a tensor; the one that it lies in comes first."""
        if name not in self._numbers:
            root = self._plan.root(name)
            if root != name:
                self.number(root)
            self._numbers[name] = self._calls.slot(self._made(name, root))
        return self._numbers[name]

    def _made(self, name: str, root: str) -> Slot:
        t = self._graph.types[name]
        kind, source = "arena", ""
        if root != name:
            kind, source = "alias", root
        elif name in self._graph.constants:
            kind, source = "constant", name
        elif name in self._inputs:
            kind = "input"
        elif name in self._public:
            kind = "output"
        return slot_of(name, kind, t, self._plan.offsets.get(name, 0), source)


def slot_of(name: str, kind: str, t: TensorType, offset: int = 0, source: str = "") -> Slot:
    """The slot of a tensor."""
    layout, layers = (str(t.layout), t.layout.layers) if t.layout else ("", 1)
    return Slot(
        name, kind, str(t.dtype), t.shape, physical_shape(t), t.nbytes, offset, source, layout,
        layers,
    )  # fmt: skip


def literal_free(group: Group, constants: Mapping[str, np.ndarray]) -> list[str]:
    """The inputs of a group that its kernel takes: all but the literals."""
    return [i for i in group.inputs if not is_literal(i, constants)]
