"""The way of a model through the compiler, from a file to an executable.

front-end -> graph -> graph passes -> groups -> memory plan
                                  |  each distinct group, unless it is in the cache
                                  v
              te graph -> schedule -> loop nest -> object code -> Program -> Executable
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..codegen import for_target, resolve
from ..ir.target import Target
from ..runtime import knobs
from ..runtime.errors import InputError
from ..runtime.executor import Executable
from ..runtime.guard import guarded, passed_on
from .frontends import read_graph
from .graph.cut import cut, straight_parts
from .graph.graph import Graph
from .graph.skeleton import has_flow
from .kernels.cache import KernelCache, kernel_cache
from .kernels.flow import assemble_flow
from .kernels.program import assemble
from .options import CompileOptions, ProgressCallback, silent, with_threads
from .passes.pipeline import GraphPipeline
from .tune.known import default_records
from .tune.records import Records


@guarded
def compile(  # noqa: PLR0913 - public: a keyword for each option of CompileOptions
    model: Any,
    target: str | Target = "llvm",
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    opt_level: int | None = None,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    renderer: str = "",
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
    threads : how many threads the executable uses at most, of those that its process has
        (:func:`weft.set_num_threads`); a package keeps that. None: all of them. For ``llvm`` and
        ``wasm -threads``.
    progress : called with a stage's name, how much of it is done, and how much there is.
    cache : whether to look kernels up in the cache of the environment, or a cache to use. With
        ``WEFT_DUMP`` or ``WEFT_DEBUG`` from 2 on, kernels are compiled anew to be looked at.
    records : whether to schedule kernels as ``weft tune`` found best, here or, for common kernels,
        on a machine of the same kind of ours; or the records to look that up in.
    renderer : whose measurements count, by a part of the name of a device ("Mali", "SwiftShader");
        where it is empty, or nothing was measured there, what is best for all devices that were.
    accuracy : ``"fast"`` allows convolutions by minimal filtering (Winograd), whose results differ
        from exact ones by up to 1e-4 of the largest one in a layer; ``"strict"`` does not.

    Raises
    ------
    WeftError : a subclass that says where in the model, what, and what to do.
    """
    options = compile_options(
        [target], shapes, constants, opt_level=opt_level, threads=threads, progress=progress,
        cache=cache, records=records, renderer=renderer, accuracy=accuracy,
    )  # fmt: skip
    return compile_all(model, options)[0]


@guarded
def compile_many(
    model: Any,
    targets: Sequence[str | Target],
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    **options: Any,
) -> tuple[Executable, ...]:
    """Compile a model for several targets; one executable for each, in order.

    The model is read, and all that no target decides (constants, batch normalisation, common and
    dead nodes, algebra) is done, once for all of them. Parameters and errors are those of
    :func:`compile`; what a target lacks is told before any work.

    >>> cpu, gpu = weft.compile_many("model.onnx", ["llvm", "opencl"])    # doctest: +SKIP
    """
    return compile_all(model, compile_options(targets, shapes, **options))


def compile_options(  # noqa: PLR0913 - a keyword for each option
    targets: Sequence[str | Target] = ("llvm",),
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    *,
    opt_level: int | None = None,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    renderer: str = "",
    accuracy: str = "fast",
) -> CompileOptions:
    """The options that the keywords of the public functions ask for; see :func:`compile`.

    Raises :class:`TargetError`, :class:`GraphError` or :class:`InputError` for an option that does
    not exist.
    """
    goals = tuple(Target.parse(t) for t in targets)
    if opt_level is not None:
        goals = tuple(replace(t, opt_level=opt_level) for t in goals)
    if threads is not None:
        goals = with_threads(goals, threads)
    for name, value, kind in (("cache", cache, KernelCache), ("records", records, Records)):
        if not isinstance(value, bool | kind):
            raise InputError(
                f"{name}={value!r} is neither True nor False nor weft's {kind.__name__}."
            )
    if cache is True:
        cache = not knobs.kernels_are_watched()
    return CompileOptions(
        goals,
        MappingProxyType(dict(shapes or {})),
        MappingProxyType(dict(constants or {})),
        accuracy,
        cache if isinstance(cache, KernelCache) else kernel_cache() if cache else None,
        records if isinstance(records, Records) else default_records() if records else None,
        renderer,
        passed_on(progress) if progress else silent,
    )


def compile_all(model: Any, options: CompileOptions) -> tuple[Executable, ...]:
    """The executables of a model for all targets of ``options``, in order."""
    targets = [resolved(t) for t in options.targets]
    compiler = GraphCompiler(read_graph(model, options), options)
    return tuple(map(compiler.compile, targets))


class GraphCompiler:
    """One graph, for any number of targets; what none of them decides is done once."""

    def __init__(self, graph: Graph, options: CompileOptions):
        self._graph, self._options = graph, options
        self._skeleton = cut(graph) if has_flow(graph) else None
        self._pipeline = None if self._skeleton else GraphPipeline(graph, options)

    def compile(self, target: Target) -> Executable:
        """The executable for a resolved target."""
        if self._pipeline is None:
            assert self._skeleton is not None
            return assemble_flow(self._skeleton, target, self._options)
        graph, groups = self._pipeline.cut(replace(target, num_threads=0))  # the same for any
        return assemble(graph, groups, target, self._options)

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The constants that targets' own passes begin with, by name."""
        if self._pipeline is not None:
            return self._pipeline.simplified.constants
        return {k: v for part in straight_parts(self._graph) for k, v in part.constants.items()}


def resolved(target: str | Target) -> Target:
    """``target`` with every capability filled in.

    Raises :class:`TargetError` for one that does not exist, :class:`CodegenError` where what links
    its code is missing: that is told before the work, not after it.
    """
    goal = resolve(target)
    for_target(goal).linker(goal)
    return goal
