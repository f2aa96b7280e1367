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

import math
from dataclasses import dataclass, replace

from ...ir.expr import Binary, Expr, IterVar, Op, Read, as_int
from ...ir.layout import Digit, Layout
from ...ir.stage import Stage
from ...ir.tensor import PlaceholderOp, Tensor
from ...ir.visit import walk
from .common import Context, lane_axis, orders, reduce_source, run_parallel, size, strip_casts, work

# The part of a core's own cache that an operand may take to stay there until it is read again.
CACHE_SHARE = 3 / 4
SCATTERED = 1.5  # how much dearer bytes of data are than bytes of weights
# An operand of at least so many bytes and lines is packed if so many rows use it.
PACK_BYTES = 1 << 17
PACK_ROWS = 24
PACK_DEPTH = 512
# What a panel may have to stay in the first-level cache for all rows, and the cycles of a line that
# comes from the second one instead.
NEAR_BYTES = 16 << 10
LINE_BYTES, LINE_CYCLES = 64, 4.0
# Bytes in a cycle that may come from the second-level cache all the time; where it would be more,
# the part of a panel that all rows of a line read before the next part.
STREAM_BYTES = 10.0
BLOCK_BYTES = 10 << 10
# Cycles of a step of a tile: the latency of a multiply-add, and what keeps one from starting.
STEP_CYCLES = 5.0
# Statements of an unrolled window.
UNROLLED = 256
# Iterations that a parallel loop should have at least.
CHUNKS = 16
# Operands of fewer bytes are not fetched ahead: they come soon enough.
FETCH_BYTES = 1 << 15


@dataclass(frozen=True)
class Tile:
    """``rows`` × ``vectors`` accumulators of ``lanes`` elements each; ``lines`` times as many where
    the rows of the tile are all there are, and there is a second axis of rows."""

    rows: int
    vectors: int
    lanes: int
    lines: int = 1


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
        accumulate = ctx.schedule[ctx.schedule.cache_write(stage.op.outputs[0], "local")]  # type: ignore[attr-defined]
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
    tile = choose_tile(
        ctx,
        rows,
        columns,
        ctx.target.lanes(accumulate.op.outputs[0].dtype),  # type: ignore[attr-defined]
        block=_block(ctx, result, vector),
        shares_vector=shares_vector(stage, operands, vector),
        window=size(accumulate.reduce_axes),
        depth=size(accumulate.reduce_axes),
        plain=plain,
    )
    tile = tuned_tile(ctx, accumulate, tile, rows, columns)
    line = None
    if row is not None and tile.rows >= rows and not shares_vector(stage, operands, vector):
        line = row_axis(stage, operands, vector, without=row)
    if line is not None:
        tile = replace(tile, lines=_lines(ctx, tile, as_int(result.axes[line].extent) or 1))
    operations = max(work(accumulate), work(result))
    shares = shares_vector(stage, operands, vector)
    tile_contraction(
        ctx, result, accumulate, row, vector, tile, operations, line, shares=shares,
        cuts_depth=not plain and not shares,
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


def choose_tile(
    ctx: Context,
    rows: int,
    columns: int,
    lanes: int,
    *,
    block: int,
    shares_vector: bool,
    window: int = 1,
    depth: int = 0,
    plain: bool = True,
) -> Tile:
    """The register tile with the least estimated time over the whole extent of both axes; for a
    depthwise product over ``window`` elements one that is small enough to unroll these, too.
    ``depth``: how long the sums are; ``plain``: of a matrix product, whose rows have no neighbours
    that read the same.

    Per reduction step a tile costs the larger of its multiply-adds and its loads, at two of each a
    cycle, and never less than ``STEP_CYCLES``.
    """
    lanes = min(lanes, columns) if block == 1 else min(lanes, block)
    registers = ctx.target.num_vector_registers
    if shares_vector:
        # Nothing is broadcast: more vectors side by side save no load, more rows save weights.
        most = max(1, min(registers // 2 - 2, UNROLLED // max(1, window)))
        return Tile(-(-rows // -(-rows // most)), 1, lanes)
    # Without a fused multiply-add every accumulator has a product in flight beside it.
    accumulators = registers - 4 if ctx.target.has_fma else registers // 2
    count = -(-columns // lanes)
    best, least = Tile(1, 1, lanes), float("inf")
    # One row (a product with a vector) waits for memory whatever its tile: it leaves panels to
    # several threads.
    widest = max(1, min(4, count // 4)) if rows == 1 else min(count, 8)
    for vectors in range(1, widest + 1):
        for r in range(1, min(rows, registers) + 1):
            if r * vectors + vectors + 1 > registers or r * vectors > accumulators:
                break
            cycles = max(r * vectors / 2, (r + vectors) / 2, STEP_CYCLES)
            if depth * vectors * lanes * 4 > NEAR_BYTES:
                # The panel streams through the first-level cache, and in a matrix product the rows.
                streams = vectors * lanes + (r if plain else 0)
                cycles = max(cycles, streams * 4 / LINE_BYTES * LINE_CYCLES)
            tiles = -(-rows // r) * -(-count // vectors)
            # Each tile also pays for its start and end; larger tiles win ties.
            cost = tiles * cycles - 1e-6 * r * vectors
            if cost < least:
                best, least = Tile(r, vectors, lanes), cost
    return best


def tuned_tile(ctx: Context, acc: Stage, best: Tile, rows: int, columns: int) -> Tile:
    """The tile that a tuner chose; it has every tile that fits into the registers."""
    registers = ctx.target.num_vector_registers
    count = -(-columns // best.lanes)
    options = {
        (r, v)
        for v in range(1, min(count, 8) + 1)
        for r in range(1, min(rows, registers) + 1)
        if r * v + 2 <= registers
    }
    options.add((best.rows, best.vectors))
    chosen = ctx.choose(f"{acc.name}.tile", sorted(options), (best.rows, best.vectors))
    assert isinstance(chosen, tuple)
    return Tile(chosen[0], chosen[1], best.lanes)


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
    shares: bool = False,
    cuts_depth: bool = False,
) -> None:
    """Order, unroll and vectorise the loops of ``result`` and of its accumulators ``acc``, and run
    the outer ones in parallel if so many ``operations`` are worth it. The next weights lie
    ``ahead``: (axis, how far), by default the next panel of vectors. ``shares``: both operands
    depend on the vector axis. ``cuts_depth``: a line of rows may take part of the sums at a
    time."""
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
    if row is not None and _lines_first(ctx, acc, row, vector, tile):
        default = [k for k in default if k not in (vector, row)]
        default += [k for k in (vector, row) if k in loops]
    order = _outer_order(ctx, acc, result, loops, default)
    outer = [loops[k] for k in order]
    if outer_r is not None and outer_v is not None and outer[-1] is outer_r:
        block = _row_block(ctx, result, acc, outer_r, tile)
        if block:
            # So many rows that their operand stays in the second-level cache for all panels.
            outermost, inner = result.split(outer_r, factor=block)
            outer[-1] = outer_r = inner
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
    around = None  # the loop outside of the one over tiles of rows, if that is the innermost
    if outer:
        innermost = outer[-1] if outer[-1] in result.leaves else loop
        assert innermost is not None
        acc.compute_at(result, innermost)
        if len(outer) > 1 and innermost is outer_r:
            around = outer[-2] if outer[-2] in result.leaves else loop
    # The accumulators: same tile, the reduction outside of it.
    wide, lane = _split(acc, acc.axes[vector], tile.lanes)
    data = [a for k, a in enumerate(acc.axes) if k not in (row, line, vector)] if outer else []
    rows = acc.axes[row] if row is not None else None
    inside = [acc.axes[k] for k in (line, row) if k is not None]
    inside += [wide] if wide is not None else []
    fetch = _fetch(ctx, acc, vector, tile, ahead)
    reduction = _reduce_order(ctx, acc, fetch=fetch is not None)
    loops_around = list(reduction)
    if cuts_depth and rows is not None and around is not None and tile.lines == 1:
        block = _depth_block(ctx, acc, reduction[0], rows, tile)
        if block:
            # The sums of a line stay in memory between the parts.
            acc.compute_at(result, around)
            far, reduction[0] = acc.split(reduction[0], factor=block)
            tiles, inner = acc.split(rows, factor=tile.rows)
            inside = [inner if a is rows else a for a in inside]
            loops_around = [far, tiles, *reduction]
    acc.reorder(*data, *loops_around, *inside, lane)
    for a in inside:
        acc.unroll(a)
    acc.vectorize(lane)
    if fetch is not None:
        weights, axis, distance = fetch
        acc.prefetch(weights, reduction[-1], axis, distance)
    # The loops of a window are unrolled where that is little code: guards of padding then stand
    # once before all vectors of a place.
    whole = tile.rows * tile.vectors * tile.lines * size(acc.reduce_axes)
    unroll = UNROLLED if shares and whole <= UNROLLED else 0
    most = ctx.choose(f"{acc.name}.unroll_max", (0, 64, UNROLLED), unroll)
    if most and reduction:
        acc.pragma(reduction[0], "unroll_max", most)


def _depth_block(ctx: Context, acc: Stage, outermost: IterVar, rows: IterVar, tile: Tile) -> int:
    """How many iterations of the outermost reduction to take for a whole line of rows before the
    next ones, so that their part of a panel stays in the first-level cache; 0 for all of them."""
    n = as_int(acc.extents()[outermost]) or 1
    panel = 4 * size(acc.reduce_axes) * tile.vectors * tile.lanes
    streams = 4 * tile.vectors * tile.lanes / max(tile.rows * tile.vectors / 2, STEP_CYCLES)
    best = 0
    many = size([rows]) > 2 * tile.rows  # otherwise there is little to gain
    if many and panel > NEAR_BYTES and streams > STREAM_BYTES:
        most = max(2, BLOCK_BYTES * n // panel)
        if most < n:
            best = next((k for k in range(most, most // 2, -1) if n % k == 0), most)
    options = sorted({0, best, *(k for k in (2, 4, 8, 16, 32, 64) if k < n)})
    chosen = ctx.choose(f"{acc.name}.depth_block", options, best)
    assert isinstance(chosen, int)
    return chosen


def _lines_first(ctx: Context, acc: Stage, row: int, vector: int, tile: Tile) -> bool:
    """Whether to go through all vectors for a line of rows before the next line, and not through
    all lines for a panel of vectors: what then comes from beyond the core's own cache is less. A
    panel reads all data anew unless they stay there, a line all weights."""
    v, r = acc.axes[vector], acc.axes[row]
    data = weights = 0
    for read in acc.reads():
        used = {n for i in read.indices for n in walk(i)}
        if v in used and r not in used:
            weights += _bytes(read.tensor)
        elif r in used and v not in used:
            data += _bytes(read.tensor)
    lines = size([a for k, a in enumerate(acc.axes) if k not in (row, vector)])
    if not data or not weights or lines == 1:
        return False
    depth, kept = size(acc.reduce_axes), CACHE_SHARE * ctx.target.cache_bytes
    panel = 4 * depth * tile.vectors * tile.lanes
    panels = -(-size([v]) // (tile.vectors * tile.lanes))
    line = min(data, 4 * depth * size([r]))
    # Weights come in the order in which they lie, data from many places.
    by_panels = weights + (data if data + panel <= kept else SCATTERED * panels * data)
    by_lines = data + (weights if weights + line <= kept else lines * weights)
    return by_lines < by_panels


def _row_block(ctx: Context, result: Stage, acc: Stage, outer: IterVar, tile: Tile) -> int:
    """How many tiles of rows to take together, so that what they read of the data operand stays in
    the core's cache; 0 when all do."""
    tiles = as_int(result.extents()[outer]) or 1
    bytes_of_tile = tile.rows * tile.lines * size(acc.reduce_axes) * 4
    most = int(CACHE_SHARE * ctx.target.cache_bytes) // max(1, bytes_of_tile)
    if tiles <= most or most < 2:
        return 0
    return next((k for k in range(most, most // 2, -1) if tiles % k == 0), most)


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
        if reused < PACK_ROWS or _bytes(r.tensor) < PACK_BYTES or shape[-2] < PACK_DEPTH:
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


def _fetch(
    ctx: Context, acc: Stage, vector: int, tile: Tile, ahead: tuple[int, int] | None
) -> tuple[Tensor, IterVar, int] | None:
    """The operand that is read panel of vectors after panel, if it comes from far away, and where
    the next panel lies, which is to be fetched meanwhile: (tensor, axis, distance)."""
    if not ctx.target.has_prefetch:
        return None
    v = acc.axes[vector]
    for r in acc.reads():
        inside = [i for i in r.indices if any(n is v for n in walk(i))]
        if inside != [v] or not isinstance(r.tensor.op, PlaceholderOp):
            continue
        if _bytes(r.tensor) < FETCH_BYTES:
            continue
        used = {n for i in r.indices for n in walk(i)}
        if size([a for a in acc.axes if a not in used]) == 1:
            return None  # one stream from its begin to its end: the processor sees that itself
        if ahead is not None:
            return r.tensor, acc.axes[ahead[0]], ahead[1]
        panel = tile.vectors * tile.lanes
        return (r.tensor, v, panel) if size([v]) > panel else None
    return None


def _bytes(t: Tensor) -> int:
    n = t.dtype.bytes
    for e in t.shape:
        n *= as_int(e) or 1
    return n


def _reduce_order(ctx: Context, acc: Stage, fetch: bool = False) -> list[IterVar]:
    """Reduce loops, outermost first. By default the innermost is the one along which the data
    operand lies in memory: a blocked channel axis is split by its block and runs inside the
    window."""
    axis, block = blocked_reduce_axis(ctx, acc)
    longest = max(acc.reduce_axes, key=lambda a: as_int(a.extent) or 0)
    axis = axis if axis is not None else longest
    extent = as_int(axis.extent) or 0
    factors = [f for f in sorted({4, 8, 16, 32, 64, 128, block}) if 0 < f < extent]
    if fetch and not block:  # a loop to fetch in front of
        block = next((f for f in (16, 8, 32, 4, 64) if f in factors and extent % f == 0), 0)
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


def blocked_reduce_axis(ctx: Context, acc: Stage) -> tuple[IterVar | None, int]:
    """The reduce axis along which an operand is stored in blocks, and the block; (None, 0) when
    there is none longer than its block."""
    for r in acc.reads():
        layout = ctx.layout_of(r.tensor)
        if layout is None or layout.block(layout.lane.axis) == 1:
            continue
        index: Expr = r.indices[layout.lane.axis]
        if isinstance(index, IterVar) and index in acc.reduce_axes:
            block = layout.block(layout.lane.axis)
            if (as_int(index.extent) or 0) > block:
                return index, block
    return None, 0
