"""The way of a model through the compiler, from a file to an executable.

front-end -> graph -> GRAPH_PASSES -> groups -> memory plan
                                  |  each distinct group, unless it is in the cache
                                  v
              te graph -> schedule -> loop nest -> object code -> Program -> Executable
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import __version__
from ..codegen import for_target, identity
from ..ir.target import Target
from ..runtime import knobs
from ..runtime.artifact import Kernel, Program, Slot, Step
from ..runtime.dtype import dtype_of
from ..runtime.errors import GraphError, TargetError
from ..runtime.executor import Executable
from .cache import CachedKernel, KernelCache, kernel_cache, kernel_key
from .frontends import load
from .frontends.signature import bind
from .graph import Graph
from .group import Group, is_literal, kernel_name, structural_key
from .half import report_half_losses
from .kernel import compile_kernel, fallback, physical_shape
from .link import link
from .optimize import Progress, adapted, dump_text, simplified
from .passes import GRAPH_PASSES
from .passes.fuse import fuse
from .passes.memory import MemoryPlan, plan_memory
from .schedules.choices import Config, config_text
from .tune.known import KnownRecords, default_records
from .tune.records import Records

ACCURACIES = ("fast", "strict")


def compile(
    model: Any,
    target: str | Target = "llvm",
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    opt_level: int | None = None,
    progress: Progress | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    accuracy: str = "fast",
) -> Executable:
    """Compile a model for a target.

    Parameters
    ----------
    model : a Graph, or what :func:`weft.load` takes: a path, bytes, an ``onnx.ModelProto``.
    target : such as ``"llvm"`` (this machine) or ``"llvm -mtriple=aarch64-linux-gnu"``.
    shapes : an input's name to its shape, or a symbolic dimension's name to its size.
    constants : an input's name to its value; it is then no input of the executable.
    opt_level : 0 keeps the graph as it is and makes one kernel of each node; above it, the graph is
        optimised and fused, and the level is handed to the code generator (up to 3). The
        target's own ``-opt_level``, by default 3, where it is None.
    progress : called with a stage's name, how much of it is done, and how much there is.
    cache : whether to look kernels up in the cache of the environment, or a cache to use. With
        ``WEFT_DUMP`` or ``WEFT_DEBUG`` from 2 on, kernels are compiled anew to be looked at.
    records : whether to schedule kernels as ``weft tune`` found best, here or, for common kernels,
        on a machine of the same kind of ours; or the records to look that up in.
    accuracy : ``"fast"`` allows convolutions by minimal filtering (Winograd), whose results differ
        from exact ones by up to 1e-4 of the largest one in a layer; ``"strict"`` does not.

    Raises
    ------
    WeftError : a subclass that says where in the model, what, and what to do.
    """
    goal = resolved(target, opt_level)
    each = compile_each(
        model, [goal], shapes, constants=constants, progress=progress, cache=cache,
        records=records, accuracy=accuracy,
    )  # fmt: skip
    return next(each)


def compile_many(
    model: Any,
    targets: Sequence[str | Target],
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    *,
    opt_level: int | None = None,
    **options: Any,
) -> tuple[Executable, ...]:
    """Compile a model for several targets; one executable for each, in order.

    The model is read, and all that no target decides (constants, batch normalisation, common and
    dead nodes, algebra) is done, once for all of them. Parameters and errors are those of
    :func:`compile`; what a target lacks is told before any work.

    >>> cpu, gpu = weft.compile_many("model.onnx", ["llvm", "opencl"])    # doctest: +SKIP
    """
    goals = [resolved(t, opt_level) for t in targets]
    return tuple(compile_each(model, goals, shapes, **options))


def compile_each(
    model: Any,
    targets: Sequence[str | Target],
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    opt_level: int | None = None,
    progress: Progress | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    accuracy: str = "fast",
    simple: Graph | None = None,
) -> Iterator[Executable]:
    """As :func:`compile_many`, one executable at a time: a target is looked at when it is its turn,
    so that an error is that target's. ``simple`` is the model simplified, where that is at hand."""
    tell = progress or (lambda stage, done, total: None)
    if accuracy not in ACCURACIES:
        raise GraphError(f"the accuracy {accuracy!r} is not one of {', '.join(ACCURACIES)}.")
    if cache is True and knobs.kernels_are_watched():
        cache = False
    store = cache if isinstance(cache, KernelCache) else kernel_cache() if cache else None
    tuned = records if isinstance(records, Records) else default_records() if records else None
    plain: Graph | None = None
    for target in targets:
        goal = resolved(target, opt_level)
        if plain is None:
            plain = read_graph(model, shapes, constants, tell)
        if goal.opt_level > 0:
            if simple is None:
                simple = simplified(plain, tell)
            graph = adapted(simple, goal, tell, accuracy)
            groups: Sequence[Group] = fuse(graph, goal.max_buffers)
        else:
            graph, groups = plain, [Group.of(plain, [n]) for n in plain.nodes]
        if goal.texture_memory and goal.float_bits == 16:
            report_half_losses(graph)
        yield assemble(graph, groups, goal, store, tell, tuned)


def resolved(target: str | Target, opt_level: int | None = None) -> Target:
    """``target`` with every capability filled in.

    Raises :class:`TargetError` for one that does not exist, :class:`CodegenError` where what links
    its code is missing: that is told before the work, not after it.
    """
    goal = Target.parse(target)
    if opt_level is not None:
        goal = replace(goal, opt_level=opt_level)
    if goal.opt_level not in range(4):
        raise TargetError(f"the optimisation level {goal.opt_level} is not one of 0, 1, 2, 3.")
    goal = for_target(goal).resolve(goal)
    for_target(goal).linker(goal)
    return goal


def read_graph(
    model: Any,
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    constants: Mapping[str, Any] | None = None,
    tell: Progress = lambda stage, done, total: None,
) -> Graph:
    """The graph of a model, all of its shapes known."""
    tell("load", 0, 1)
    if isinstance(model, Graph):
        graph = bind(model, shapes, constants).verify()
    else:
        graph = bind(load(model, shapes, constants))
    tell("load", 1, 1)
    return graph


def assemble(
    graph: Graph,
    groups: Sequence[Group],
    target: Target,
    cache: KernelCache | None = None,
    tell: Progress = lambda stage, done, total: None,
    records: Records | KnownRecords | None = None,
) -> Executable:
    """The executable of a graph that is cut into ``groups``, for a resolved target."""
    if len(set(graph.outputs)) != len(graph.outputs):
        raise GraphError("two outputs have the same name.", where=graph.name)
    groups = [g for g in groups if any(graph.types[o].size for o in g.outputs)]
    plan = plan_memory(graph, groups, in_place=not target.distinct_buffers)
    compiled, symbols = compile_groups(graph, plan.steps, target, cache, tell, records)
    codes, holders = link([k for k in compiled.values() if not k.device], target, cache)
    elsewhere = [k for k in compiled.values() if k.device]
    if elsewhere:
        other = fallback(target)
        assert other is not None
        more, where = link(elsewhere, other, cache)
        codes, holders = {**codes, **more}, {**holders, **where}
    program = make_program(graph, plan, [compiled[s] for s in symbols], target, holders)
    if knobs.dump_dir() is not None:
        text = "\n\n".join(f"{s}\n{g}" for s, g in zip(symbols, plan.steps))
        dump_text(len(GRAPH_PASSES) + 4, "groups", text)
        dump_text(len(GRAPH_PASSES) + 5, "memory", _plan_text(plan))
    used = {s.source for s in program.slots if s.kind == "constant"}
    params = {k: v for k, v in graph.constants.items() if k in used}
    exe = Executable(program, codes, params)
    # Code for another processor can be saved here, but not loaded.
    host = for_target(Target("llvm")).resolve(Target("llvm"))
    return exe.prepare() if (target.kind, target.mtriple) == ("llvm", host.mtriple) else exe


def _plan_text(plan: MemoryPlan) -> str:
    lines = [f"arena {plan.arena} bytes, {plan.without_reuse} without reuse"]
    lines += [f"{at:12d}  {name}" for name, at in sorted(plan.offsets.items(), key=lambda x: x[1])]
    lines += [f"{'in':>12}  {name} = {root}" for name, root in plan.roots.items()]
    return "\n".join(lines)


def compile_groups(
    graph: Graph,
    groups: Sequence[Group],
    target: Target,
    cache: KernelCache | None = None,
    tell: Progress = lambda stage, done, total: None,
    records: Records | KnownRecords | None = None,
) -> tuple[dict[str, CachedKernel], list[str]]:
    """Each distinct kernel by its symbol, and the symbol of each group.

    ``records`` say how a kernel is best scheduled, where it was tuned.
    """
    names: dict[str, str] = {}  # structural key -> symbol
    work: dict[str, tuple[str, Group]] = {}  # symbol -> key, the first group that needs it
    symbols: list[str] = []
    for group in groups:
        key = structural_key(group, graph.types, graph.constants)
        if key not in names:
            symbol = kernel_name(group, key)
            names[key] = symbol if symbol not in work else kernel_name(group, key, 64)
            work[names[key]] = (key, group)
        symbols.append(names[key])

    machine = f"{target} {identity(target)}"

    def kernel(key: str, symbol: str, group: Group, config: Config) -> CachedKernel:
        place = kernel_key(f"{key} {symbol}", machine, config_text(config))
        found = cache.get(place) if cache else None
        if found is None:
            found = compile_group(group, graph, target, symbol, config)
            if cache:
                cache.put(place, found)
        return found

    compiled: dict[str, CachedKernel] = {}
    for k, (symbol, (key, group)) in enumerate(work.items()):
        tell("compile", k, len(work))
        best = records.best(key, str(target), knobs.num_threads()) if records else None
        found = kernel(key, symbol, group, best.config if best is not None else {})
        # Rules that have changed since make another schedule of the same answers: it is unmeasured.
        if best is not None and best.trace not in ("", found.facts.get("trace")):
            found = kernel(key, symbol, group, {})
        compiled[symbol] = found
    tell("compile", len(work), len(work))
    return compiled, symbols


def compile_group(
    group: Group, graph: Graph, target: Target, symbol: str, config: Config | None = None
) -> CachedKernel:
    """The kernel of one group, scheduled as ``config`` says. Errors name the nodes of the group."""
    return compile_kernel(group, graph.types, graph.constants, target, symbol, config)


def make_program(
    graph: Graph,
    plan: MemoryPlan,
    kernels: Sequence[CachedKernel],
    target: Target,
    holders: Mapping[str, str],
) -> Program:
    """The program whose step k calls ``kernels[k]`` for ``plan.steps[k]``; ``holders`` names the
    code object that has a kernel."""
    slots: dict[str, Slot] = {}
    number: dict[str, int] = {}
    public = {plan.root(o) for o in graph.outputs}

    def slot(name: str) -> int:
        if name not in slots:
            root = plan.root(name)
            if root != name:
                slot(root)
            t = graph.types[name]
            kind, source = "arena", ""
            if root != name:
                kind, source = "alias", root
            elif name in graph.constants:
                kind, source = "constant", name
            elif name in graph.inputs:
                kind = "input"
            elif name in public:
                kind = "output"
            number[name] = len(slots)
            slots[name] = Slot(
                name, kind, str(t.dtype), t.shape, physical_shape(t), t.nbytes,
                plan.offsets.get(name, 0), source, str(t.layout) if t.layout else "",
                t.layout.layers if t.layout else 1,
            )  # fmt: skip
        return number[name]

    inputs = {i: slot(i) for i in graph.inputs}
    arena, reasons = plan.arena, {}
    steps = []
    for group, kernel in zip(plan.steps, kernels):
        names = [*literal_free(group, graph.constants), *group.outputs]
        assert len(names) == len(kernel.params), (group, kernel.params)
        args = [slot(n) for n in names]
        if not kernel.launches:
            steps.append(Step(kernel.symbol, tuple(args), group.label, kernel.device))
            if kernel.device:
                reasons[group.label] = kernel.reason
        for dtype, shape in kernel.scratch:
            name = f"scratch.{len(slots)}"
            nbytes = math.prod(shape) * dtype_of(dtype).bytes
            args.append(len(slots))
            slots[name] = Slot(name, "arena", dtype, shape, shape, nbytes)
            arena = max(arena, nbytes)
        for k, d in enumerate(kernel.launches, 1):
            label = f"{group.label} ({k}/{len(kernel.launches)})" if k > 1 else group.label
            steps.append(Step(d.symbol, tuple(args[a] for a in d.args), label))
    outputs = {o: slot(o) for o in graph.outputs}
    distinct = {k.symbol: k for k in kernels}
    meta: dict[str, Any] = {"weft": __version__, "model": dict(graph.meta)}
    facts = {k.symbol: dict(k.facts) for k in distinct.values() if k.facts}
    if facts:
        meta["kernels"] = facts
    if reasons:
        meta["fallback"] = reasons
    return Program(
        graph.name,
        str(target),
        tuple(slots.values()),
        tuple(k for group in distinct.values() for k in _kernels(group, holders)),
        tuple(steps),
        MappingProxyType(inputs),
        MappingProxyType(outputs),
        arena,
        meta=MappingProxyType(meta),
    )


def _kernels(group: CachedKernel, holders: Mapping[str, str]) -> list[Kernel]:
    if not group.launches:
        return [Kernel(group.symbol, group.params, holders[group.symbol])]
    return [Kernel(d.symbol, d.params, holders[d.symbol], d.launch) for d in group.launches]


def literal_free(group: Group, constants: Mapping[str, np.ndarray]) -> list[str]:
    """The inputs of a group that its kernel takes: all but the literals."""
    return [i for i in group.inputs if not is_literal(i, constants)]
