"""Reductions that are no sums of products.

Many results: a thread computes each, in a register. Few results of long reductions: the threads of
a workgroup share one, each with every n-th term, and their partial results meet in shared memory.

    for out in blockIdx.x:
      for t in threadIdx.x:  part[t] = sum(x[out, k·32 + t] for k)      shared, barrier
      out = sum(part[t] for t in 32)
"""

from __future__ import annotations

from ....ir.expr import as_int
from ....ir.schedule.loops import thread_axis
from ....ir.schedule.stage import Stage
from ..columns import sum_in_blocks
from ..common import Context, lane_axis, reduce_source, size, vectorize_along
from ..measured import LONG, MANY, TOGETHER
from .bind import LANES, bind_blocks, bind_flat, fused, workgroup


def bind_reduction(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule a reduction; returns the stages that are scheduled."""
    terms = size(stage.reduce_axes)
    together = False
    can = reduce_source(stage) is not None and ctx.target.max_threads >= TOGETHER
    if can and terms >= LONG // 2:
        default = size(stage.axes) < MANY and terms >= LONG
        together = bool(ctx.choose(f"{stage.name}.shared", (False, True), default))
    return _together(ctx, stage) if together else _alone(ctx, stage)


def _alone(ctx: Context, stage: Stage) -> set[Stage]:
    s, layout = ctx.schedule, ctx.layout(stage)
    accumulator = s[s.cache_write(stage.op.outputs, "local")]
    part = sum_in_blocks(ctx, accumulator) if reduce_source(accumulator) is not None else None
    stages = [accumulator] if part is None else [accumulator, part]
    if not stage.axes:
        return {stage, *stages}
    axis = lane_axis(stage, layout)
    sizes = [as_int(a.extent) or 1 for a in stage.axes]
    if layout is None or axis is None or layout.block(axis) != LANES or sizes[axis] % LANES:
        accumulator.compute_at(stage, bind_flat(ctx, stage, list(stage.axes)))
        return {stage, *stages}
    accumulator.set_layout(layout)
    order = vectorize_along(stage, axis, LANES, layout)
    for k, each in enumerate(stages):
        data = list(each.axes)
        lane = data.pop(axis + k)
        if (as_int(lane.extent) or 0) > LANES:
            rest, lane = each.split(lane, factor=LANES)
            data.append(rest)
        each.reorder(*data, *(a for a in each.leaves if each.is_reduce(a)), lane)
        each.vectorize(lane)
    if len(order) > 1:
        accumulator.compute_at(stage, bind_flat(ctx, stage, order[:-1]))
    return {stage, *stages}


def _together(ctx: Context, stage: Stage) -> set[Stage]:
    """One workgroup for each result."""
    s = ctx.schedule
    terms = fused(stage, stage.reduce_axes)
    _, lane = stage.split(terms, factor=workgroup(ctx, stage, TOGETHER))
    result = stage.op.outputs[0]
    part = s[s.rfactor(result, lane)]
    part.set_scope("shared")
    (partial,) = part.op.outputs
    register = s[s.cache_write(partial, "local")]
    blocks = sum_in_blocks(ctx, register)
    own = part.leaves[0]
    part.bind(own, thread_axis("threadIdx.x"))
    register.compute_at(part, own)
    # Every thread adds the parts up in a register of its own: adding in memory that all of them see
    # would be a race, storing one and the same result is none.
    total = s[s.cache_write(stage.op.outputs, "local")]
    if stage.axes:
        bind_blocks(ctx, stage, fused(stage, stage.axes))
        inner = stage.leaves[-1]
        part.compute_at(stage, inner)
        total.compute_at(stage, inner)
    return {stage, part, register, total} | ({blocks} if blocks is not None else set())
