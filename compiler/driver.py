"""The way of a model through the compiler, from a file to an executable.

front-end -> graph -> GRAPH_PASSES -> groups -> memory plan
                                  |  each distinct group, unless it is in the cache
                                  v
              te graph -> schedule -> loop nest -> object code -> Program -> Executable
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..codegen import for_target
from ..ir.target import Target
from ..runtime import knobs
from ..runtime.errors import GraphError, TargetError
from ..runtime.executor import Executable
from .cache import KernelCache, kernel_cache
from .frontends import load
from .frontends.signature import bind
from .graph import Graph
from .group import Group
from .half import report_half_losses
from .optimize import Progress, adapted, simplified
from .passes.fuse import fuse
from .program import assemble
from .tune.known import default_records
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
