"""Long reductions along an outer axis: sums of columns, means of images whose channels are last.

    for block of columns in parallel:                  a page of them
      total[:] = 0
      for block of rows:
        part[:] = 0                                    in registers, or in the nearest cache
        for eight rows: part[:] += x[row, :]           lines of x are read as far as they are needed
        total[:] += part[:]

Columns are reduced beside their neighbours, so that lines of the cache and pages are read once; and
a sum is one of sums, so that about 2·√n roundings follow each other in place of n.
"""

from __future__ import annotations

import math

from ...ir.expr import IterVar, as_int
from ...ir.schedule.stage import Stage
from .common import Context, even_part, run_parallel
from .measured import LONG_SUM, ROWS_TOGETHER, WIDE_TILE


def cut_in_blocks(stage: Stage, least: int) -> IterVar | None:
    """Cut the reduction of ``stage`` in two where it has ``least`` terms or more: the loop over its
    blocks, of about the square root of all terms, is returned; None where there is nothing to
    cut."""
    loops = [a for a in stage.leaves if stage.is_reduce(a)]
    lengths = stage.extents()
    terms = math.prod(as_int(lengths[a]) or 1 for a in loops)
    if terms < least:
        return None
    wanted, inner = 1 << (math.isqrt(terms) - 1).bit_length(), 1
    outer: list[IterVar] = []
    for k in reversed(range(len(loops))):
        n = as_int(lengths[loops[k]]) or 1
        if inner * n < wanted:
            inner *= n
            continue
        factor = -(-wanted // inner)
        outer = loops[:k]
        if n >= 2 * factor:
            first, _ = stage.split(loops[k], factor=even_part(n, factor, factor // 2))
            outer.append(first)
        break
    if not outer:
        return None
    return stage.fuse(*outer) if len(outer) > 1 else outer[0]


def sum_in_blocks(ctx: Context, stage: Stage) -> Stage | None:
    """Make a long reduction in registers one of reductions: the stage of these, which is computed
    inside of ``stage``, or None where it is not long."""
    outer = cut_in_blocks(stage, LONG_SUM)
    if outer is None:
        return None
    part = ctx.schedule[ctx.schedule.rfactor(stage.op.outputs[0], outer)]
    part.set_scope("local")
    part.compute_at(stage, stage.reduce_axes[-1])
    return part


def schedule_columns(
    ctx: Context, stage: Stage, axis: int, lanes: int, operations: int
) -> set[Stage]:
    """Schedule a long reduction of row-major data whose results, along ``axis``, are neighbours in
    memory; returns the stages that are scheduled."""
    s = ctx.schedule
    total = s[s.cache_write(stage.op.outputs[0], "local")]
    around, tile = _tiled(ctx, stage, axis, lanes)
    run_parallel(ctx, stage, around, operations)
    around = stage.leaves[: -len(tile)]
    part = sum_in_blocks(ctx, total)
    stages = [total] if part is None else [total, part]
    wide = len(tile) > 1 and (as_int(stage.extents()[tile[0]]) or 1) > _registers(ctx)
    for k, each in enumerate(stages):
        data = list(each.axes)
        column = data.pop(axis + k)
        tile = [column]
        if (as_int(column.extent) or 0) > lanes:
            tile = list(each.split(column, factor=lanes))
        rows = [a for a in each.leaves if each.is_reduce(a)]
        if each is not stages[-1]:
            each.reorder(*data, *rows, *tile)
        elif wide:
            outer, some = each.split(rows.pop(), factor=ROWS_TOGETHER)
            each.reorder(*data, *rows, outer, tile[0], some, tile[1])
            each.unroll(some)
        else:
            each.reorder(*data, *rows, *tile)
            if len(tile) > 1:
                each.unroll(tile[0])
        each.vectorize(tile[-1])
    if around:
        total.compute_at(stage, around[-1])
    return {stage, *stages}


def _registers(ctx: Context) -> int:
    """The most vectors of a tile whose sums stay in registers."""
    return max(1, ctx.target.num_vector_registers // 2)


def _tiled(
    ctx: Context, stage: Stage, axis: int, lanes: int
) -> tuple[list[IterVar], list[IterVar]]:
    """Split the columns of a result into tiles of vectors; returns the loops around a tile and
    those of a tile."""
    column = stage.axes[axis]
    others = [a for a in stage.axes if a is not column]
    n = as_int(column.extent) or 1
    vectors, tile = -(-n // lanes), [column]
    most = WIDE_TILE // max(1, lanes * stage.op.outputs[0].dtype.bytes)
    if vectors > most:
        outer, inner = stage.split(column, factor=even_part(vectors, most, most // 2) * lanes)
        others.append(outer)
        tile = [inner]
    if vectors > 1:
        tile = list(stage.split(tile[0], factor=lanes))
    stage.reorder(*others, *tile)
    stage.vectorize(tile[-1])
    return others, tile
