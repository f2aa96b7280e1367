"""The rule for attention (``compiler/ops/attention.py``).

    for heads and blocks of rows in parallel:
      scores[rows, keys] = Q · K                          # register tiles
      for row: max, exp, sum along the keys               # vectors of keys
      product[rows, columns] = exp · V                    # register tiles
      result[rows, columns] = epilogue(product / sum)

A block of rows stays in the first-level cache, as far as there is room for all keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.expr import as_int
from ...ir.schedule.stage import Stage
from .blocking import choose_tile, tuned_tile
from .common import Context, part_of, run_parallel, size, vectorize_along, work
from .measured import ATTENTION_BYTES
from .reduction import schedule_reduction
from .register_tile import TiledContraction, tile_contraction

ROWS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class _Parts:
    scores: Stage
    top: Stage
    exp: Stage
    total: Stage
    product: Stage
    result: Stage


def schedule_attention(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule all stages of the attention that ``stage`` is the scores of; returns them, none for
    any other stage."""
    if part_of(stage, "attention") != "scores":
        return set()
    stages = {part: s for s in ctx.stored() if (part := part_of(s, "attention"))}
    product = stages["product"]
    result = ctx.takes_epilogue(product)
    if result is None:
        return set()
    p = _Parts(stage, stages["max"], stages["exp"], stages["sum"], product, result)
    if "logits" in stages:
        stages["logits"].compute_inline()
    *batch, row, column = result.axes
    rows, keys = as_int(row.extent) or 1, as_int(p.scores.axes[-1].extent) or 1
    lanes = ctx.target.lanes(p.product.op.outputs[0].dtype)
    block = _block(ctx, p, rows, keys, lanes)
    outer, inner = (None, row) if block >= rows else result.split(row, factor=block)
    wide = column
    if (as_int(column.extent) or 0) > lanes:
        wide, lane = result.split(column, factor=lanes)
        loops = [*batch, *([outer] if outer is not None else []), inner, wide, lane]
    else:
        lane = column
        loops = [*batch, *([outer] if outer is not None else []), inner, lane]
    result.reorder(*loops)
    result.vectorize(lane)
    chunks = loops[: len(batch) + (outer is not None)]
    at = None
    if chunks:
        at = result.fuse(*chunks) if len(chunks) > 1 else chunks[0]
    done = {p.scores, p.top, p.exp, p.total, p.product, result}
    for contraction in (p.scores, p.product):
        done.add(_tiled(ctx, contraction, min(block, rows), lanes))
    vectorize_along(p.exp, len(p.exp.axes) - 1, lanes, None)
    for reduction in (p.top, p.total):
        done |= schedule_reduction(ctx, reduction, parallel=False)
    if at is not None:
        for s in reversed(ctx.stored()):  # those that read before those that are read
            if s in done and s is not result and s.attach.kind == "root":
                s.compute_at(result, at)
        run_parallel(ctx, result, [at], work(p.scores) + work(p.product))
    return done


def _block(ctx: Context, p: _Parts, rows: int, keys: int, lanes: int) -> int:
    """Rows that are worked on together: whole register tiles, as many as fit."""
    tile = choose_tile(ctx, rows, keys, lanes, block=1, shares_vector=False).rows
    tiles = max(1, ATTENTION_BYTES // (8 * keys * tile))
    best = min(rows, tile * tiles)
    options = sorted({*(k for k in ROWS if k < rows), rows, best})
    chosen = ctx.choose(f"{p.scores.name}.rows", options, best)
    assert isinstance(chosen, int)
    return chosen


def _tiled(ctx: Context, stage: Stage, rows: int, lanes: int) -> Stage:
    """Register tiles for one of the products; returns the stage of its accumulators."""
    column = len(stage.axes) - 1
    columns = as_int(stage.axes[column].extent) or 1
    accumulate = ctx.schedule[ctx.schedule.cache_write(stage.op.outputs[0], "local")]
    depth = size(accumulate.reduce_axes)
    tile = choose_tile(ctx, rows, columns, lanes, block=1, shares_vector=False, depth=depth)
    tile = tuned_tile(ctx, accumulate, tile, rows, columns)
    tile_contraction(
        ctx, TiledContraction(stage, accumulate, column - 1, column, tile), operations=0
    )
    return accumulate
