"""The way of a graph through its passes: what no target decides, then what a target does.

The first part is done once for all targets of a compilation (``compile_many``, bundles).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from ..ir.target import Target
from ..runtime import knobs
from .graph import Graph
from .passes import GRAPH_PASSES, GraphPass, eliminate_dead
from .passes.algorithms import choose_algorithms
from .passes.attention import fuse_attention
from .passes.layout import choose_layouts
from .passes.narrow import narrow_concats
from .passes.results import detach_results
from .passes.strided import gather_strided

Progress = Callable[[str, int, int], None]


def optimize(
    graph: Graph,
    target: Target,
    tell: Progress = lambda stage, done, total: None,
    accuracy: str = "fast",
) -> Graph:
    """``graph`` after ``GRAPH_PASSES``, with algorithms and layouts for ``target``."""
    return adapted(simplified(graph, tell), target, tell, accuracy)


def simplified(graph: Graph, tell: Progress = lambda stage, done, total: None) -> Graph:
    """``graph`` after ``GRAPH_PASSES``: all that no target decides."""
    dump_text(0, "graph", graph)
    passes = [(p.__name__, p) for p in GRAPH_PASSES]
    return _run_passes(graph, passes, 1, "optimize", tell).verify()


def adapted(
    graph: Graph,
    target: Target,
    tell: Progress = lambda stage, done, total: None,
    accuracy: str = "fast",
) -> Graph:
    """A simplified graph with the algorithms and layouts that are best on ``target``."""
    passes: list[tuple[str, GraphPass]] = []
    if not target.texture_memory and not target.max_threads:
        passes.append(("fuse_attention", fuse_attention))
        passes.append(("detach_results", lambda g: detach_results(g, target)))
        if accuracy == "fast":
            passes.append(("choose_algorithms", lambda g: choose_algorithms(g, target)))
        passes.append(("gather_strided", gather_strided))
        passes.append(("eliminate_dead", eliminate_dead))
    if target.max_buffers:
        passes.append(("narrow_concats", lambda g: narrow_concats(g, target)))
    passes.append(("choose_layouts", lambda g: choose_layouts(g, target)))
    return _run_passes(graph, passes, len(GRAPH_PASSES) + 1, "adapt", tell).verify()


def _run_passes(
    graph: Graph,
    passes: Sequence[tuple[str, GraphPass]],
    first: int,
    stage: str,
    tell: Progress,
) -> Graph:
    """``graph`` after ``passes``; each is logged, timed, verified and dumped under its number, from
    ``first`` on, as the environment asks."""
    for k, (name, run) in enumerate(passes):
        tell(stage, k, len(passes))
        begin = time.perf_counter()
        before, graph = graph, run(graph)
        if knobs.debug() >= 1:
            ms = (time.perf_counter() - begin) * 1e3
            change = "" if graph is before else f", {len(before.nodes)} -> {len(graph.nodes)} nodes"
            print(f"weft: {graph.name}: {name} {ms:.1f} ms{change}", file=sys.stderr)
        if knobs.debug() >= 3:
            graph.verify()
        dump_text(first + k, name, graph)
    tell(stage, len(passes), len(passes))
    return graph


def dump_text(k: int, name: str, what: Graph | str) -> None:
    if knobs.dump_dir() is not None:
        knobs.dump(f"graph-{k:02d}-{name}.txt", f"{what}\n")
