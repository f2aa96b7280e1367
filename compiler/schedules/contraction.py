"""The rule for sums of products: convolutions, matrix products, depthwise convolutions.

The register tile is ``rows × vectors`` accumulators. Vectors run along the axis that is contiguous
in the result's storage; rows run along an axis that one of the operands does not depend on, so
that each vector loaded is used ``rows`` times and each scalar broadcast ``vectors`` times (Goto and
van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008; for convolutions
Georganas et al., SC'18). The tile is unrolled, the reduction is not.

    for n, c.outer, h in parallel:
      for w.outer:
        acc[rows, vectors, lanes] = 0
        for k.outer, ky, kx, k.inner:
          acc[r, v, :] += broadcast(data[…]) * weights[…, :]       # r and v unrolled
        out[…] = epilogue(acc)
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.expr import Binary, Expr, IterVar, Op, Read, as_int
from ...ir.stage import Stage
from ...ir.visit import walk
from .common import Context, lane_axis, reduce_source, run_parallel, strip_casts, work


@dataclass(frozen=True)
class Tile:
    """``rows`` × ``vectors`` accumulators of ``lanes`` elements each."""

    rows: int
    vectors: int
    lanes: int


def schedule_contraction(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule ``stage`` (and its epilogue) if it is a sum of products worth tiling; gives the
    stages that are scheduled, none if it is not."""
    operands = _operands(stage)
    if operands is None or len(stage.axes) < 1:
        return set()
    epilogue = ctx.takes_epilogue(stage)
    if not stage.is_output and epilogue is None and stage.attach.kind != "root":
        return set()
    result = epilogue or stage
    vector = lane_axis(result, ctx.layout(result))
    if vector is None:
        return set()
    row = _row_axis(stage, operands, vector)
    if epilogue is None:
        accumulate = ctx.schedule[ctx.schedule.cache_write(stage.op.outputs[0], "local")]  # type: ignore[attr-defined]
    else:
        accumulate = stage
        stage.set_scope("local")
    layout = ctx.layout(result)
    if layout is not None:
        accumulate.set_layout(layout)
    tile = choose_tile(
        ctx,
        as_int(result.axes[row].extent) or 1 if row is not None else 1,
        as_int(result.axes[vector].extent) or 1,
        ctx.target.lanes(accumulate.op.outputs[0].dtype),  # type: ignore[attr-defined]
        block=_block(ctx, result, vector),
        shares_vector=_shares(stage, operands, vector),
    )
    _tile(ctx, result, accumulate, row, vector, tile)
    return {result, accumulate, stage}


def _operands(stage: Stage) -> tuple[Read, Read] | None:
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


def _shares(stage: Stage, operands: tuple[Read, Read], vector: int) -> bool:
    """Whether both operands depend on the vector axis (depthwise): nothing is broadcast."""
    return all(_uses(r, stage.axes[vector]) for r in operands)


def _row_axis(stage: Stage, operands: tuple[Read, Read], vector: int) -> int | None:
    """The axis whose steps reuse a loaded vector: absent from an operand that has the vector."""
    v = stage.axes[vector]
    best = None
    for k, a in enumerate(stage.axes):
        if k == vector or (as_int(a.extent) or 0) <= 1:
            continue
        if any(_uses(r, v) and not _uses(r, a) for r in operands):
            best = k
    return best


def _block(ctx: Context, result: Stage, vector: int) -> int:
    layout = ctx.layout(result)
    return layout.block(vector) if layout is not None else 1


def choose_tile(
    ctx: Context, rows: int, columns: int, lanes: int, *, block: int, shares_vector: bool
) -> Tile:
    """The register tile with the least estimated time over the whole extent of both axes.

    Per reduction step a tile costs the larger of its multiply-adds and its loads, at two of each a
    cycle, and never less than the latency of one multiply-add (4 cycles on current cores).
    """
    lanes = min(lanes, columns) if block == 1 else min(lanes, block)
    registers = ctx.target.num_vector_registers
    # Without a fused multiply-add every accumulator has a product in flight beside it.
    accumulators = registers - 4 if ctx.target.has_fma else registers // 2
    count = -(-columns // lanes)
    best, least = Tile(1, 1, lanes), float("inf")
    for vectors in range(1, min(count, 8) + 1):
        for r in range(1, min(rows, registers) + 1):
            if r * vectors + (1 if shares_vector else vectors) + 1 > registers:
                break
            if r * vectors > accumulators:
                break
            loads = r * vectors + vectors if shares_vector else r + vectors
            cycles = max(r * vectors / 2, loads / 2, 4.0)
            tiles = -(-rows // r) * -(-count // vectors)
            # Each tile also pays for its start and end; larger tiles win ties.
            cost = tiles * cycles - 1e-6 * r * vectors
            if cost < least:
                best, least = Tile(r, vectors, lanes), cost
    return best


def _tile(
    ctx: Context, result: Stage, acc: Stage, row: int | None, vector: int, tile: Tile
) -> None:
    operations = max(work(acc), work(result))
    wide, lane = _split(result, result.axes[vector], tile.lanes)
    outer_v, inner_v = _split(result, wide, tile.vectors) if wide is not None else (None, None)
    row_axis = result.axes[row] if row is not None else None
    outer_r, inner_r = _split(result, row_axis, tile.rows) if row_axis is not None else (None, None)
    outer: list[IterVar] = []
    for k, a in enumerate(result.axes):
        if k == vector:
            outer += [outer_v] if outer_v is not None else []
        elif k != row:
            outer.append(a)
    rows = [outer_r] if outer_r is not None else []
    inside = [a for a in (inner_r, inner_v) if a is not None]
    result.reorder(*outer, *rows, *inside, lane)
    for a in inside:
        result.unroll(a)
    result.vectorize(lane)
    if outer or rows:
        acc.compute_at(result, (outer + rows)[-1])
    # The accumulators: same tile, the reduction outside of it.
    wide, lane = _split(acc, acc.axes[vector], tile.lanes)
    data = [a for k, a in enumerate(acc.axes) if k not in (row, vector)]
    inside = [acc.axes[row]] if row is not None else []
    inside += [wide] if wide is not None else []
    if not (outer or rows):
        data = []
    acc.reorder(*data, *_reduce_order(ctx, acc), *inside, lane)
    for a in inside:
        acc.unroll(a)
    acc.vectorize(lane)
    if not rows and outer:
        outer_parallel = outer[:-1]
    else:
        outer_parallel = outer
    run_parallel(ctx, result, outer_parallel, operations)


def _split(stage: Stage, axis: IterVar, factor: int) -> tuple[IterVar | None, IterVar]:
    """(outer, inner); no outer loop when one tile covers the axis."""
    if (as_int(axis.extent) or 0) <= factor:
        return None, axis
    return stage.split(axis, factor=factor)


def _reduce_order(ctx: Context, acc: Stage) -> list[IterVar]:
    """Reduce loops, innermost the one along which the data operand lies in memory: a blocked
    channel axis is split by its block and runs inside the window."""
    for r in acc.reads():
        layout = ctx.layout_of(r.tensor)
        if layout is None or layout.block(layout.lane.axis) == 1:
            continue
        index: Expr = r.indices[layout.lane.axis]
        if isinstance(index, IterVar) and index in acc.reduce_axes:
            block = layout.block(layout.lane.axis)
            if (as_int(index.extent) or 0) > block:
                outer, inner = acc.split(index, factor=block)
                others = [a for a in acc.reduce_axes if a is not index]
                return [outer, *others, inner]
    return list(acc.reduce_axes)
