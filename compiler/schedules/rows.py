"""Stages that share rows are computed row by row, in one parallel loop: softmax, layer norm.

    for i in parallel: top[i] = max(x[i, :])          for i in parallel:
    for i in parallel: e[i, :] = exp(x[i, :] - …)       top = max(x[i, :])
    for i in parallel: total[i] = sum(e[i, :])     ->   e[:] = exp(x[i, :] - top)
    for i in parallel: y[i, :] = e[i, :] / …            total = sum(e)
                                                        y[i, :] = e / total

A row stays in the first-level cache between the stages, and threads are started once.
"""

from __future__ import annotations

from ...ir.expr import IterVar, as_int
from ...ir.identity import place_of
from ...ir.schedule.bounds import infer_bounds
from ...ir.schedule.stage import Stage
from ...ir.stmt import ForKind
from .common import Context, constant_domain, size


def join_rows(ctx: Context) -> None:
    """Move stages at the root into the parallel loop of the result that needs them, where no
    element is computed twice by that."""
    results = [s for s in ctx.stored() if s.is_output]
    if len(results) != 1 or results[0].reduce_axes:
        return
    result = results[0]
    loops = [a for a, note in result.annotations.items() if note.kind is ForKind.PARALLEL]
    if len(loops) != 1 or _before(result, loops[0]):
        return
    for stage in reversed(ctx.stored()):
        if stage is result or stage.attach.kind != "root" or not constant_domain(stage):
            continue
        if all(_inside(r, result, loops[0]) for r in ctx.readers(stage)):
            _try(ctx, stage, result, loops[0])


def _before(stage: Stage, loop: IterVar) -> bool:
    """Whether a loop of more than one iteration encloses ``loop``."""
    around = stage.leaves[: place_of(loop, stage.leaves)]
    lengths = stage.extents()
    return any(as_int(lengths[a]) != 1 for a in around)


def _inside(stage: Stage, result: Stage, loop: IterVar) -> bool:
    """Whether ``stage`` is computed in ``loop`` of ``result``."""
    while stage is not result:
        if stage.attach.kind != "at" or stage.attach.stage is None:
            return False
        if stage.attach.stage is result and stage.attach.axis is loop:
            return True
        stage = stage.attach.stage
    return True


def _try(ctx: Context, stage: Stage, result: Stage, loop: IterVar) -> None:
    stage.compute_at(result, loop)
    bounds = infer_bounds(ctx.schedule)
    points = 1
    for extent in (bounds[result].extents[loop], *(e for _, e in bounds[stage].box)):
        n = as_int(extent)
        points *= size(stage.axes) + 1 if n is None else n
    if points > size(stage.axes):
        stage.compute_root()
