"""Sums of products where neighbouring threads are to read neighbouring words: every thread has a
register tile of ``rows`` × ``own`` results.

Neighbouring threads have neighbouring results along the axis that is contiguous in storage, a few
(``own``) each; rows run along an axis that one operand does not have, so that all threads of a run
read the same element of the other. The innermost terms are unrolled.

    for tile in blockIdx.x, threadIdx.y:
      for thread in threadIdx.x:
        acc[rows, own] = 0
        for ky, kx, k.outer:
          for k in 4: acc[r, :] += data[…, r, k] * weights[…, k, thread·own : (thread + 1)·own]
        out[…] = epilogue(acc)

The layout of the weights (``compiler/passes/words_layout.py``) stores the ``own`` columns of a run
of threads one after the other, so that each is read side by side. Shared memory is left out: what
threads have in common is one address, which caches broadcast.

Tiles divide their axis where possible: a guard costs more than a smaller tile.
"""

from __future__ import annotations

from ....ir.expr import IterVar, Read, as_int
from ....ir.layout import Layout
from ....ir.schedule import thread_axis
from ....ir.stage import Stage
from ..common import Context, lane_axis, size
from ..contraction import operands_of, row_axis, shares_vector
from .bind import LANES, THREADS, bind_blocks, fused, stage_extent

RUN = 16  # neighbouring threads along the contiguous axis
# Results that a thread may have in registers. Compilers for processors, which run several threads
# as the lanes of one, spill beyond.
MAX_RESULTS = 32
UNROLLED_WINDOW = 3  # a window this wide is unrolled where threads share nothing


def bind_words(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule ``stage`` and its epilogue if it is a sum of products with results to tile; gives
    the stages that are scheduled, none if it is not."""
    operands = operands_of(stage)
    epilogue = ctx.takes_epilogue(stage)
    if operands is None or (not stage.is_output and epilogue is None):
        return set()
    result = epilogue or stage
    layout = ctx.layout(result)
    vector = lane_axis(result, layout)
    if vector is None:
        return set()
    shared = shares_vector(stage, operands, vector)
    own = _own(ctx, stage, operands, vector)
    row = row_axis(stage, operands, vector)
    if row is None and shared:
        row = _neighbour(result, vector)
    if epilogue is None:
        accumulate = ctx.schedule[ctx.schedule.cache_write(stage.op.outputs[0], "local")]  # type: ignore[attr-defined]
    else:
        accumulate = stage
        stage.set_scope("local")
    if own > 1:
        extents = [as_int(a.extent) or 1 for a in accumulate.axes]
        accumulate.set_layout(Layout.blocked(extents, vector, own))
    rows = (as_int(result.axes[row].extent) or 1) if row is not None else 1
    r = _rows(ctx, accumulate, rows, own, size(result.axes))
    _apply(ctx, result, accumulate, row, vector, (r, own), shared)
    return {result, accumulate, stage}


def _own(ctx: Context, stage: Stage, operands: tuple[Read, Read], vector: int) -> int:
    """Results of one thread along the contiguous axis: as an operand is packed for it."""
    v = stage.axes[vector]
    for r in operands:
        layout = ctx.layout_of(r.tensor)
        if layout is None or layout.lane.stride == 1:
            continue
        if r.indices[layout.lane.axis] is v:
            return layout.lane.stride
    return 1


def _neighbour(result: Stage, vector: int) -> int | None:
    """The last axis besides ``vector``: what lies nearest in storage."""
    others = [k for k, a in enumerate(result.axes) if k != vector and (as_int(a.extent) or 0) > 1]
    return others[-1] if others else None


def _rows(ctx: Context, acc: Stage, rows: int, own: int, results: int) -> int:
    """Rows of a thread's tile: many, so that weights are read less often, but a divisor, and not so
    many that too few threads are left to fill a device."""
    options = list(range(1, min(rows, max(1, MAX_RESULTS // own)) + 1))

    def cost(r: int) -> float:
        padded = -(-rows // r) * r / rows * (1.3 if rows % r else 1.0)
        reads = (r + own) / (r * own)
        threads = results / (r * own)
        return padded * (1 + 2 * reads) * max(1.0, 4 * THREADS / threads) ** 0.5

    chosen = ctx.choose(f"{acc.name}.rows", options, min(options, key=cost))
    assert isinstance(chosen, int)
    return chosen


def _apply(
    ctx: Context,
    result: Stage,
    acc: Stage,
    row: int | None,
    vector: int,
    tile: tuple[int, int],
    shared: bool,
) -> None:
    rows, own = tile
    wide, mine = _split(result, result.axes[vector], own)
    run = RUN if own > 1 or not shared else THREADS
    run = min(run, ctx.target.max_threads, stage_extent(result, wide))
    outer_v, thread = result.split(wide, factor=run)
    axis = result.axes[row] if row is not None else None
    outer_r, inner_r = _split_or_none(result, axis, rows) if axis is not None else (None, None)
    # Runs of channels outermost: the tiles of a block read the same weights.
    outer = [outer_v]
    for k, a in enumerate(result.axes):
        loop = outer_r if k == row else a
        if k != vector and loop is not None:
            outer.append(loop)
    inside = [inner_r] if inner_r is not None else []
    result.reorder(*outer, thread, *inside, *([mine] if mine is not None else []))
    for a in inside:
        result.unroll(a)
    if mine is not None:
        result.vectorize(mine)
    tiles = fused(result, outer)
    most = min(THREADS, ctx.target.max_threads)
    several = max(1, min(most // run, stage_extent(result, tiles)))
    block, member = result.split(tiles, factor=several)
    bind_blocks(ctx, result, block)
    result.bind(member, thread_axis("threadIdx.y"))
    result.bind(thread, thread_axis("threadIdx.x"))
    acc.compute_at(result, thread)
    data = [a for k, a in enumerate(acc.axes) if k not in (row, vector)]
    inside = [acc.axes[row]] if row is not None else []
    loops, unrolled = _terms(ctx, acc, shared)
    wide, mine = _split(acc, acc.axes[vector], own)
    acc.reorder(*data, *loops, *unrolled, *inside, wide, *([] if mine is None else [mine]))
    for a in (*unrolled, *inside):
        acc.unroll(a)
    if mine is not None:
        acc.vectorize(mine)


def _terms(ctx: Context, acc: Stage, shared: bool) -> tuple[list[IterVar], list[IterVar]]:
    """Reduce loops that stay, outermost first, and those to unroll: the window of a depthwise
    convolution, whose rows overlap; else four terms of the longest axis."""
    axes = list(acc.reduce_axes)
    extent = {a: as_int(a.extent) or 1 for a in axes}
    if shared:
        last = axes[-1]
        short = 1 < extent[last] <= UNROLLED_WINDOW
        return (axes[:-1], [last]) if short else (axes, [])
    longest = max(axes, key=lambda a: extent[a])
    others = [a for a in axes if a is not longest]
    if extent[longest] <= LANES:
        return others, [longest]
    if extent[longest] % LANES:
        return [*others, longest], []
    outer, inner = acc.split(longest, factor=LANES)
    return [*others, outer], [inner]


def _split(stage: Stage, axis: IterVar, factor: int) -> tuple[IterVar, IterVar | None]:
    """(outer, inner); no inner loop where it would have one iteration."""
    return stage.split(axis, factor=factor) if factor > 1 else (axis, None)


def _split_or_none(stage: Stage, axis: IterVar, factor: int) -> tuple[IterVar | None, IterVar]:
    """(outer, inner); no outer loop when one tile covers the axis."""
    if (as_int(axis.extent) or 0) <= factor:
        return None, axis
    return stage.split(axis, factor=factor)
