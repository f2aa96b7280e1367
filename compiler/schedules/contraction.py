"""The rule for sums of products: convolutions, matrix products, depthwise convolutions.

The register tile is ``rows × vectors`` accumulators. Vectors run along the axis that is contiguous
in the result's storage; rows run along an axis that one of the operands does not depend on, so
that each vector loaded is used ``rows`` times and each scalar broadcast ``vectors`` times (Goto and
van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008; for convolutions
Georganas et al., SC'18). The tile is unrolled, of the reduction only a few channels.

    for n, c.outer, h in parallel:
      for w.outer:
        acc[rows, vectors, lanes] = 0
        for k.outer, ky, kx, k.inner:
          acc[r, v, :] += broadcast(data[…]) * weights[…, :]       # r and v unrolled
        out[…] = epilogue(acc)
"""

from __future__ import annotations

import math
from dataclasses import replace

from ...ir.expr import Binary, IterVar, Op, Read, as_int
from ...ir.layout import Digit, Layout
from ...ir.stage import Stage
from ...ir.tensor import PlaceholderOp
from ...ir.visit import walk
from .ahead import beside, fetch_panel, fetch_rows, panels_ahead, rows_ahead
from .blocking import (
    CHUNKS,
    UNROLLED,
    Tile,
    blocked_reduce_axis,
    bytes_of,
    choose_tile,
    depth_block,
    lines_first,
    row_block,
    tuned_tile,
)
from .common import Context, lane_axis, orders, reduce_source, run_parallel, size, strip_casts, work

# An operand of at least so many bytes and lines is packed if so many rows use it.
PACK_BYTES = 1 << 17
PACK_ROWS = 24
PACK_DEPTH = 512


def schedule_contraction(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule ``stage`` (and its epilogue) if it is a sum of products worth tiling; gives the
    stages that are scheduled, none if it is not."""
    operands = operands_of(stage)
    if operands is None or len(stage.axes) < 1:
        return set()
    epilogue = ctx.takes_epilogue(stage)
    if not stage.is_output and epilogue is None and stage.attach.kind != "root":
        return set()
    result = epilogue or stage
    vector = lane_axis(result, ctx.layout(result))
    if vector is None:
        return set()
    row = row_axis(stage, operands, vector)
    if epilogue is None:
        accumulate = ctx.schedule[ctx.schedule.cache_write(stage.op.outputs[0], "local")]
    else:
        accumulate = stage
        stage.set_scope("local")
    layout = ctx.layout(result)
    if layout is not None:
        accumulate.set_layout(layout)
    _pack(ctx, accumulate, vector)
    rows = as_int(result.axes[row].extent) or 1 if row is not None else 1
    columns = as_int(result.axes[vector].extent) or 1
    plain = row is not None and row_axis(stage, operands, vector, without=row) is None
    shares = shares_vector(stage, operands, vector)
    blocked = blocked_reduce_axis(ctx, accumulate)[1] > 0
    tile = choose_tile(
        ctx,
        rows,
        columns,
        ctx.target.lanes(accumulate.op.outputs[0].dtype),
        block=_block(ctx, result, vector),
        shares_vector=shares,
        depth=size(accumulate.reduce_axes),
        apart=plain and not blocked,
    )
    tile = tuned_tile(ctx, accumulate, tile, rows, columns)
    line = None
    if row is not None and tile.rows >= rows and not shares:
        line = row_axis(stage, operands, vector, without=row)
    if line is not None:
        tile = replace(tile, lines=_lines(ctx, tile, as_int(result.axes[line].extent) or 1))
    operations = max(work(accumulate), work(result))
    tile_contraction(
        ctx, result, accumulate, row, vector, tile, operations, line, shares=shares,
        cuts_depth=not shares and (not plain or blocked),
    )  # fmt: skip
    return {result, accumulate, stage}


def operands_of(stage: Stage) -> tuple[Read, Read] | None:
    """The two factors, when the stage is a sum of products of two reads."""
    r = reduce_source(stage)
    if r is None or r.reducer.name != "sum":
        return None
    product = r.sources[0]
    if not isinstance(product, Binary) or product.op is not Op.MUL:
        return None
    a, b = strip_casts(product.a), strip_casts(product.b)
    if isinstance(a, Read) and isinstance(b, Read):
        return a, b
    return None


def _uses(r: Read, v: IterVar) -> bool:
    return any(n is v for i in r.indices for n in walk(i))


def shares_vector(stage: Stage, operands: tuple[Read, Read], vector: int) -> bool:
    """Whether both operands depend on the vector axis (depthwise): nothing is broadcast."""
    return all(_uses(r, stage.axes[vector]) for r in operands)


def _lines(ctx: Context, tile: Tile, extent: int) -> int:
    """How often a tile of few rows fits into the registers, evenly over ``extent``: the operand
    that all rows share is then read so much less often."""
    most = max(1, (ctx.target.num_vector_registers - 4) // (tile.rows * tile.vectors))
    return -(-extent // -(-extent // most))


def row_axis(
    stage: Stage, operands: tuple[Read, Read], vector: int, without: int | None = None
) -> int | None:
    """The axis whose steps reuse a loaded vector: absent from an operand that has the vector."""
    v = stage.axes[vector]
    best = None
    for k, a in enumerate(stage.axes):
        if k in (vector, without) or (as_int(a.extent) or 0) <= 1:
            continue
        if any(_uses(r, v) and not _uses(r, a) for r in operands):
            best = k
    return best


def _block(ctx: Context, result: Stage, vector: int) -> int:
    layout = ctx.layout(result)
    return layout.block(vector) if layout is not None else 1


def tile_contraction(
    ctx: Context,
    result: Stage,
    acc: Stage,
    row: int | None,
    vector: int,
    tile: Tile,
    operations: int,
    line: int | None = None,
    ahead: tuple[int, int] | None = None,
    together: int = 0,
    shares: bool = False,
    cuts_depth: bool = False,
) -> None:
    """Order, unroll and vectorise the loops of ``result`` and of its accumulators ``acc``, and run
    the outer ones in parallel if so many ``operations`` are worth it. The next weights lie
    ``ahead``: (axis, how far), by default the next panel of vectors. ``together``: how many rows
    are computed at a time, if not all. ``shares``: both operands depend on the vector axis.
    ``cuts_depth``: a line of rows may take part of the sums at a time."""
    wide, lane = _split(result, result.axes[vector], tile.lanes)
    outer_v, inner_v = _split(result, wide, tile.vectors) if wide is not None else (None, None)
    row_axis = result.axes[row] if row is not None else None
    outer_r, inner_r = _split(result, row_axis, tile.rows) if row_axis is not None else (None, None)
    if tile.lines == 1:
        line = None
    line_axis = result.axes[line] if line is not None else None
    outer_l, inner_l = (
        _split(result, line_axis, tile.lines) if line_axis is not None else (None, None)
    )
    loops: dict[int, IterVar] = {}  # the loop outside of the tile of each axis that has one
    for k, a in enumerate(result.axes):
        loop = {vector: outer_v, row: outer_r, line: outer_l}.get(k, a)
        if loop is not None:
            loops[k] = loop
    # Rows last: their loop stays serial and the operand that they share stays in cache.
    default = [k for k in loops if k != row] + [k for k in loops if k == row]
    if row is not None and lines_first(ctx, acc, row, vector, tile):
        default = [k for k in default if k not in (vector, row)]
        default += [k for k in (vector, row) if k in loops]
    order = _outer_order(ctx, acc, result, loops, default)
    outer = [loops[k] for k in order]
    around_rows = together or (size([row_axis]) if row_axis is not None else 1)
    if outer_r is not None and outer_v is not None and outer[-1] is outer_r:
        assert row is not None
        lengths = result.extents()
        tiles, *others = (as_int(lengths[a]) or 1 for a in reversed(outer))
        block = row_block(ctx, acc, row, vector, tiles, math.prod(others), tile)
        if block:
            # So many rows that their operand stays in the second-level cache for all panels.
            outermost, inner = result.split(outer_r, factor=block)
            outer[-1] = outer_r = inner
            around_rows = block * tile.rows
            outer.insert(outer.index(outer_v), outermost)
    inside = [a for a in (inner_l, inner_r, inner_v) if a is not None]
    result.reorder(*outer, *inside, lane)
    for a in inside:
        result.unroll(a)
    result.vectorize(lane)
    # With few panels and lines of rows the innermost loop has to be cut for many threads, too.
    lengths = result.extents()
    free = max(0, len(outer) - 1)
    if math.prod(as_int(lengths[a]) or 1 for a in outer[:free]) < CHUNKS:
        free = len(outer)
    chunks = ctx.choose(f"{acc.name}.parallel", tuple(range(max(free, len(result.axes)) + 1)), free)
    assert isinstance(chunks, int)
    loop = run_parallel(ctx, result, outer[:chunks], operations)
    at = around = None  # the innermost loop; the one outside of it, if that is over tiles of rows
    if outer:
        at = outer[-1] if outer[-1] in result.leaves else loop
        if len(outer) > 1 and at is outer_r:
            around = outer[-2] if outer[-2] in result.leaves else loop
    # The accumulators: same tile, the reduction outside of it.
    wide, lane = _split(acc, acc.axes[vector], tile.lanes)
    data = [a for k, a in enumerate(acc.axes) if k not in (row, line, vector)] if outer else []
    rows = acc.axes[row] if row is not None else None
    inside = [acc.axes[k] for k in (line, row) if k is not None]
    inside += [wide] if wide is not None else []
    moved = ahead[0] if ahead is not None else vector
    later = (
        {k: size([acc.axes[k]]) for k in order[order.index(moved) + 1 :]} if moved in order else {}
    )
    if row in later:
        later[row] = around_rows
    panels = panels_ahead(ctx, acc, vector, tile, ahead, later, row)
    tiles = None
    if blocked_reduce_axis(ctx, acc)[1] and not shares and outer and outer[-1] is outer_r:
        tiles = rows_ahead(ctx, acc, row, vector, tile)
    reduction = _reduce_order(ctx, acc)
    loops_around = list(reduction)
    if cuts_depth and rows is not None and around is not None and tile.lines == 1:
        block = depth_block(ctx, acc, reduction[0], tile, panels.parts if panels else 0)
        if block:
            # The sums of a line stay in memory between the parts.
            at = around
            far, reduction[0] = acc.split(reduction[0], factor=block)
            each, inner = acc.split(rows, factor=tile.rows)
            inside = [inner if a is rows else a for a in inside]
            loops_around = [far, each, *reduction]
    if at is not None:
        acc.compute_at(result, at)
    acc.reorder(*data, *loops_around, *inside, lane)
    for a in inside:
        acc.unroll(a)
    acc.vectorize(lane)
    if panels is not None:
        fetch_panel(acc, panels, reduction, tile)
    if tiles is not None:
        fetch_rows(acc, tiles, reduction)
    if shares:
        # The loops of a window, where that is little code: guards of padding then stand once before
        # all vectors of a place.
        whole = tile.rows * tile.vectors * tile.lines * size(acc.reduce_axes)
        unrolled, most = reduction[0] if reduction else None, UNROLLED if whole <= UNROLLED else 0
    else:
        unrolled, most = _innermost(acc, row, reduction), UNROLLED // 2
    most = ctx.choose(f"{acc.name}.unroll_max", (0, 64, UNROLLED // 2, UNROLLED), most)
    if most and unrolled is not None:
        acc.pragma(unrolled, "unroll_max", most)


def _innermost(acc: Stage, row: int | None, reduction: list[IterVar]) -> IterVar | None:
    """The innermost loop of the sums, if it may be unrolled: counting it takes slots from the
    multiply-adds, above all where two threads share a core. Not the columns of a window: what one
    row reads at one of them, the next row reads at another, and a compiler would keep it all in
    registers."""
    if not reduction:
        return None
    window = row is not None and reduction[-1] in beside(acc, acc.axes[row])
    return None if window else reduction[-1]


def _pack(ctx: Context, acc: Stage, vector: int) -> None:
    """Copy an operand that is used for many rows, panel after panel, if it lies across them: lines
    of a large power of two apart share few places in a cache. Constants are packed already."""
    v = acc.axes[vector]
    for r in acc.reads():
        inside = [k for k, i in enumerate(r.indices) if any(n is v for n in walk(i))]
        if len(inside) != 1 or r.indices[inside[0]] is not v:
            continue
        if not isinstance(r.tensor.op, PlaceholderOp) or ctx.layout_of(r.tensor) is not None:
            continue
        used = {n for i in r.indices for n in walk(i)}
        shape = [as_int(e) or 0 for e in r.tensor.shape]
        lanes = ctx.target.lanes(r.tensor.dtype)
        reused = size([a for a in acc.axes if a not in used])
        if inside[0] != len(shape) - 1 or len(shape) < 2 or shape[-1] < 2 * lanes:
            continue
        if reused < PACK_ROWS or bytes_of(r.tensor) < PACK_BYTES or shape[-2] < PACK_DEPTH:
            continue
        if not ctx.choose(f"{acc.name}.pack", (False, True), True):
            continue
        copy = ctx.schedule[ctx.schedule.cache_read(r.tensor, "global", [acc])]
        *outer, last = (Digit(k, 1, n) for k, n in enumerate(shape))
        *batch, depth = outer
        panels = Digit(last.axis, lanes, -(-shape[-1] // lanes))
        digits = [*batch, panels, depth, Digit(last.axis, 1, lanes)]
        copy.set_layout(Layout(tuple(shape), tuple((d,) for d in digits)))
        return


def _outer_order(
    ctx: Context, acc: Stage, result: Stage, loops: dict[int, IterVar], default: list[int]
) -> list[int]:
    """The axes of ``result`` in the order of their loops outside of the tile."""
    ranked = [k for k in default if (as_int(result.axes[k].extent) or 0) > 1]
    # An axis that one tile covers has no loop; it is in the options all the same, so that an
    # order means the same for every tile.
    ranked += [k for k, a in enumerate(result.axes) if k not in loops and as_int(a.extent) != 1]
    chosen = ctx.choose(f"{acc.name}.order", orders(ranked), tuple(ranked))
    assert isinstance(chosen, tuple)
    if chosen == tuple(ranked):
        return default
    return [k for k in loops if k not in chosen] + [k for k in chosen if k in loops]


def _split(stage: Stage, axis: IterVar, factor: int) -> tuple[IterVar | None, IterVar]:
    """(outer, inner); no outer loop when one tile covers the axis."""
    if (as_int(axis.extent) or 0) <= factor:
        return None, axis
    return stage.split(axis, factor=factor)


def _reduce_order(ctx: Context, acc: Stage) -> list[IterVar]:
    """Reduce loops, outermost first. By default the innermost is the one along which the data
    operand lies in memory: a blocked channel axis is split by its block and runs inside the
    window. A long one is split by a few iterations, to be unrolled."""
    axis, block = blocked_reduce_axis(ctx, acc)
    longest = max(acc.reduce_axes, key=lambda a: as_int(a.extent) or 0)
    axis = axis if axis is not None else longest
    extent = as_int(axis.extent) or 0
    factors = [f for f in sorted({4, 8, 16, 32, 64, 128, block}) if 0 < f < extent]
    if not block:
        block = next((f for f in (8, 4, 16) if f in factors and extent % f == 0), 0)
    factor = ctx.choose(f"{acc.name}.reduce_split", (0, *factors), block)
    assert isinstance(factor, int)
    loops = list(acc.reduce_axes)
    if factor:
        outer, inner = acc.split(axis, factor=factor)
        loops = [outer, *[a for a in loops if a is not axis], inner]
    default = tuple(range(len(loops)))
    chosen = ctx.choose(f"{acc.name}.reduce_order", orders(default), default)
    assert isinstance(chosen, tuple)
    return [loops[k] for k in chosen]
