"""The way of a graph through its passes: ``PASSES`` is the whole pipeline, in order.

What no target decides comes first and is done once for all targets of a compilation
(``compile_many``, bundles); then come, for each target, those passes that it wants. At the
optimisation level 0 the graph stays as it is, and each node is a kernel.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...ir.target import Target
from ...runtime import knobs
from ...runtime.lazy import lazy
from ..graph.graph import Graph
from ..graph.group import Group
from ..graph.skeleton import has_flow
from ..options import DEFAULTS, CompileOptions
from .algorithms import choose_algorithms
from .attention import fuse_attention
from .batchnorm import fold_batch_norm
from .cse import eliminate_common
from .dead import eliminate_dead
from .dilate import dilate
from .fold import fold_constants
from .fuse import fuse
from .half import report_half_losses
from .inputs import read_as_given
from .layout import choose_layouts
from .narrow import narrow_concats
from .results import detach_results
from .share import share_slices
from .simplify import simplify
from .strided import gather_strided
from .transposes import move_transposes


class GraphPass(NamedTuple):
    """A row of the pipeline.

    ``run`` is given the graph, the target (None where no target is decided yet) and the options;
    it returns the same graph when it has nothing to do. ``when`` says which targets want the
    pass; None: no target decides it.
    """

    name: str
    run: Callable[[Graph, Target | None, CompileOptions], Graph]
    when: Callable[[Target, CompileOptions], bool] | None = None


def _shared(f: Callable[[Graph], Graph]) -> GraphPass:
    return GraphPass(f.__name__, lambda graph, target, options: f(graph))


def _wanted(when: Callable[[Target, CompileOptions], bool], f: Callable[[Graph], Graph]):
    return GraphPass(f.__name__, lambda graph, target, options: f(graph), when)


def _for_target(
    when: Callable[[Target, CompileOptions], bool], f: Callable[[Graph, Target], Graph]
) -> GraphPass:
    def run(graph: Graph, target: Target | None, options: CompileOptions) -> Graph:
        assert target is not None
        return f(graph, target)

    return GraphPass(f.__name__, run, when)


def _optimised(target: Target, options: CompileOptions) -> bool:
    return target.opt_level > 0


def _processor(target: Target, options: CompileOptions) -> bool:
    return target.opt_level > 0 and not target.texture_memory and not target.max_threads


def _inexact(target: Target, options: CompileOptions) -> bool:
    return _processor(target, options) and options.accuracy == "fast"


def _half_floats(target: Target, options: CompileOptions) -> bool:
    return target.texture_memory and target.float_bits == 16


PASSES: tuple[GraphPass, ...] = (
    # Simplification comes before the weights are changed, so that a removed identity does not stand
    # between a convolution and its scale; a second round merges what that leaves.
    # Transposes go while those that only move axes of one element can be told from reshapes.
    _shared(fold_constants),
    _shared(dilate),
    _shared(eliminate_dead),
    _shared(move_transposes),
    _shared(simplify),
    _shared(eliminate_dead),
    _shared(fold_batch_norm),
    _shared(eliminate_common),
    _shared(simplify),
    _shared(fold_constants),
    _shared(eliminate_dead),
    # From here on a target decides.
    _wanted(_processor, fuse_attention),
    _for_target(_processor, detach_results),
    _for_target(_inexact, choose_algorithms),
    _wanted(_processor, gather_strided),
    _wanted(_processor, eliminate_dead),
    _wanted(_optimised, share_slices),
    _for_target(_optimised, narrow_concats),
    _wanted(_optimised, read_as_given),
    _for_target(_optimised, choose_layouts),
    _wanted(_half_floats, report_half_losses),
)
GROUPS, MEMORY = "groups", "memory"  # what follows the passes
_DUMPS = {GROUPS: len(PASSES) + 1, MEMORY: len(PASSES) + 2}


class GraphPipeline:
    """One model on its way through the passes, for all targets of a compilation.

    ``graph`` is the model as it was read, with all shapes known.
    """

    def __init__(self, graph: Graph, options: CompileOptions = DEFAULTS):
        assert not has_flow(graph), "loops and branches are cut into sections, see graph/cut.py"
        self.graph, self.options = graph, options
        if knobs.dump_dir() is not None:
            knobs.dump("graph-00-graph.txt", f"{graph}\n")

    @lazy
    def simplified(self) -> Graph:
        """The graph after all that no target decides."""
        rows = [(k, p) for k, p in enumerate(PASSES, 1) if p.when is None]
        return self._run(self.graph, rows, "optimize")

    def source(self, target: Target) -> Graph:
        """The graph that ``target``'s own passes begin with."""
        return self.simplified if target.opt_level > 0 else self.graph

    def cut(self, target: Target) -> tuple[Graph, list[Group]]:
        """The graph for a resolved target, and its groups: each becomes one kernel."""
        rows = [
            (k, p)
            for k, p in enumerate(PASSES, 1)
            if p.when is not None and p.when(target, self.options)
        ]
        graph = self._run(self.source(target), rows, "adapt", target)
        if target.opt_level > 0:
            return graph, fuse(graph, target.max_buffers)
        return graph, [Group.of(graph, [n]) for n in graph.nodes]

    def _run(
        self,
        graph: Graph,
        rows: Sequence[tuple[int, GraphPass]],
        stage: str,
        target: Target | None = None,
    ) -> Graph:
        """``graph`` after the passes of ``rows``, each with its number in the pipeline; each is
        logged, timed, verified and dumped as the environment asks."""
        tell, where = self.options.progress, f"{target.slug}: " if target else ""
        for done, (number, (name, run, _)) in enumerate(rows):
            tell(stage, done, len(rows))
            begin = time.perf_counter()
            before, graph = graph, run(graph, target, self.options)
            if knobs.debug() >= 1:
                ms = (time.perf_counter() - begin) * 1e3
                nodes = f", {len(before.nodes)} -> {len(graph.nodes)} nodes"
                change = "" if graph is before else nodes
                print(f"weft: {graph.name}: {where}{name} {ms:.1f} ms{change}", file=sys.stderr)
            if knobs.debug() >= 3:
                graph.verify()
            if knobs.dump_dir() is not None:
                _dump(number, name, str(graph), target)
        tell(stage, len(rows), len(rows))
        return graph.verify() if rows else graph


def dump_stage(name: str, text: str, target: Target) -> None:
    """Write what became of a target's graph after its passes (``GROUPS``, ``MEMORY``) to the folder
    of ``WEFT_DUMP``."""
    _dump(_DUMPS[name], name, text, target)


def _dump(number: int, name: str, text: str, target: Target | None) -> None:
    folder = f"{target.slug}/" if target else ""
    knobs.dump(f"{folder}graph-{number:02d}-{name}.txt", f"{text}\n")
