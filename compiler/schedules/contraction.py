"""The rule for sums of products: convolutions, matrix products, depthwise convolutions.

The register tile is ``rows × vectors`` accumulators. Vectors run along the axis that is contiguous
in the result's storage; rows run along an axis that one of the operands does not depend on, so
that each vector loaded is used ``rows`` times and each scalar broadcast ``vectors`` times (Goto and
van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008; for convolutions
Georganas et al., SC'18). The tile is unrolled, of the reduction only a few channels.
"""

from __future__ import annotations

from dataclasses import replace

from ...ir.alu import Op
from ...ir.expr import Binary, IterVar, Read, as_int
from ...ir.layout import Digit, Layout
from ...ir.schedule.stage import Stage
from ...ir.tensor import PlaceholderOp
from ...ir.visit import walk
from .blocking import Tile, blocked_reduce_axis, bytes_of, choose_tile, row_pitch, tuned_tile
from .common import Context, lane_axis, reduce_source, size, strip_casts, work
from .measured import PACK_BYTES, PACK_DEPTH, PACK_ROWS
from .register_tile import TiledContraction, tile_contraction


def schedule_contraction(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule ``stage`` (and its epilogue) if it is a sum of products worth tiling; returns the
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
        pitch=row_pitch(accumulate, row, vector)
        if row is not None and plain and not blocked
        else 0,
    )
    tile = tuned_tile(ctx, accumulate, tile, rows, columns)
    line = None
    if row is not None and tile.rows >= rows and not shares:
        line = row_axis(stage, operands, vector, without=row)
    if line is not None:
        tile = replace(tile, lines=_lines(ctx, tile, as_int(result.axes[line].extent) or 1))
    operations = max(work(accumulate), work(result))
    cuts_depth = not shares and (not plain or blocked)
    contraction = TiledContraction(
        result, accumulate, row, vector, tile, line, shares=shares, cuts_depth=cuts_depth
    )
    tile_contraction(ctx, contraction, operations)
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
