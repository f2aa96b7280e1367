"""The rule for reductions that are no sums of products: pooling, softmax, means, argmax."""

from __future__ import annotations

from ...ir.expr import Expr, IterVar, Read, as_int
from ...ir.schedule.stage import Stage
from ...ir.simplify import stride
from ...ir.tensor import Tensor
from ...ir.visit import walk
from .columns import schedule_columns, sum_in_blocks
from .common import (
    Context,
    inlined_body,
    lane_axis,
    reduce_source,
    run_parallel,
    size,
    vectorize_along,
    work,
)
from .measured import LONG_COLUMN, UNROLLED_WINDOW


def schedule_reduction(ctx: Context, stage: Stage, parallel: bool = True) -> set[Stage]:
    """Vectorise along a data axis that is contiguous in the operand, else along the reduction; run
    in parallel where that pays, unless the stage is to be part of a loop that does.

    Returns the stages that are scheduled.
    """
    s, target = ctx.schedule, ctx.target
    layout = ctx.layout(stage)
    operations = work(stage) if parallel else 0
    lanes = target.lanes(stage.op.outputs[0].dtype)
    along = _contiguous_reduce_axis(ctx, stage)
    if along is not None and reduce_source(stage) is not None:
        n = as_int(along.extent) or 0
        if n >= 4:
            return _along_reduction(ctx, stage, along, lanes, operations)
    axis = lane_axis(stage, layout)
    if axis is None or len(stage.op.outputs) != 1:
        run_parallel(ctx, stage, _outer(stage), operations)
        return {stage}
    if (
        layout is None
        and reduce_source(stage) is not None
        and size(stage.reduce_axes) >= LONG_COLUMN
    ):
        return schedule_columns(ctx, stage, axis, lanes, operations)
    # Accumulate a vector of results in a register, then store it.
    accumulator = s[s.cache_write(stage.op.outputs[0], "local")]
    if layout is not None:
        accumulator.set_layout(layout)
    block = layout.block(axis) if layout is not None else lanes
    order = vectorize_along(stage, axis, block, layout)
    data = list(accumulator.axes)
    lane = data.pop(axis)
    if (as_int(lane.extent) or 0) > block:
        rest, lane = accumulator.split(lane, factor=block)
        data.append(rest)
    accumulator.reorder(*data, *accumulator.reduce_axes, lane)
    accumulator.vectorize(lane)
    if accumulator.reduce_axes and size(accumulator.reduce_axes) <= UNROLLED_WINDOW:
        # The guards of a small window become conditions of its own place each.
        accumulator.pragma(accumulator.reduce_axes[0], "unroll_max", UNROLLED_WINDOW)
    if len(order) > 1:
        loops = order[:-1]
        accumulator.compute_at(stage, loops[-1])
        if len(loops) > 1:
            run_parallel(ctx, stage, loops[:-1], operations)
    return {stage, accumulator}


def _outer(stage: Stage) -> list[IterVar]:
    return [a for a in stage.leaves if a.kind != "reduce"]


def _lane_index(ctx: Context, stage: Stage) -> Expr | None:
    """Where the largest operand is read along the axis that is contiguous in memory."""
    reads = [n for b in inlined_body(ctx, stage) for n in walk(b) if isinstance(n, Read)]
    reads = [r for r in reads if r.indices]
    if not reads:
        return None

    def elements(r: Read) -> int:
        n = 1
        for e in r.tensor.shape:
            n *= as_int(e) or 1
        return n

    largest = max(reads, key=elements)
    layout = ctx.layout_of(largest.tensor)
    position = _lane_position(largest.tensor) if layout is None else layout.lane.axis
    return largest.indices[position]


def _neighbours(ctx: Context, stage: Stage, axis: IterVar) -> bool:
    """Whether neighbours along ``axis`` of the result read neighbours of the largest operand."""
    index = _lane_index(ctx, stage)
    return index is not None and stride(index, axis) == 1


def _contiguous_reduce_axis(ctx: Context, stage: Stage) -> IterVar | None:
    """The reduce axis along which the largest operand lies in memory, if there is one. Not that of
    a window that moves by one: neighbours of the result are neighbours there, too."""
    index = _lane_index(ctx, stage)
    if index is None or any(stride(index, a) == 1 and size([a]) > 1 for a in stage.axes):
        return None
    for a in stage.reduce_axes:
        if stride(index, a) == 1:
            return a
    return None


def _lane_position(t: Tensor) -> int:
    """The last axis of a row-major tensor that is longer than 1."""
    long = [k for k, e in enumerate(t.shape) if as_int(e) != 1]
    return long[-1] if long else len(t.shape) - 1


def _along_reduction(
    ctx: Context, stage: Stage, along: IterVar, lanes: int, operations: int
) -> set[Stage]:
    """Partial results in the lanes of vectors, combined at the end."""
    s = ctx.schedule
    result = stage.op.outputs[0]
    n = as_int(along.extent) or 1
    width = _partial_results(n, lanes)
    if n > width:
        _, inner = stage.split(along, factor=width)
    else:
        inner = along
    parts = [_partial(s[s.rfactor(result, inner)])]
    blocks = _in_blocks(ctx, parts[0])
    # The lanes are added in halves, 16 -> 8 -> 4 -> 2: the latency of one addition each.
    while width % 4 == 0:
        width //= 2
        (left,) = stage.reduce_axes
        _, half = stage.split(left, factor=width)
        parts.append(_partial(s[s.rfactor(result, half)]))
        for a in parts[-1].reduce_axes:
            parts[-1].unroll(a)
    loops = list(stage.axes)
    if loops and size(loops) > 1:
        run_parallel(ctx, stage, loops, operations)
        at = [a for a in stage.leaves if a.kind != "reduce"][-1]
        for part in reversed(parts):
            part.compute_at(stage, at)
    return {stage, *parts, *blocks}


def _in_blocks(ctx: Context, part: Stage) -> set[Stage]:
    """The sums of vectors, where they are long, as sums of sums."""
    block = sum_in_blocks(ctx, part)
    if block is None:
        return set()
    lane, *data = part.axes
    part.reorder(*data, *part.reduce_axes, lane)
    number, lane, *data = block.axes
    block.reorder(number, *data, *(a for a in block.leaves if block.is_reduce(a)), lane)
    block.vectorize(lane)
    return {block}


def _partial_results(n: int, lanes: int) -> int:
    """How many partial results a sum of ``n`` has: those of one vector, or of several, which do not
    wait for each other and round less, where no more is left over at the end by that."""
    for vectors in (4, 2) if lanes > 1 else ():
        width = vectors * lanes
        if n >= 2 * width and n % width == n % lanes:
            return width
    return min(n, lanes)


def _partial(stage: Stage) -> Stage:
    """Vectors along the first axis, which counts partial results."""
    stage.set_scope("local")
    lane, *data = stage.axes
    stage.reorder(*data, *stage.reduce_axes, lane)
    stage.vectorize(lane)
    return stage
