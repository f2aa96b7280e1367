"""How the loops around a sum of products are cut: the register tile, and what of its operands stays
in which cache.

All of it follows from capabilities of the target: vectors and their registers, the cache that a
core has for itself, the bytes that reach it from beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...ir.expr import Expr, IterVar, as_int
from ...ir.identity import among
from ...ir.schedule.stage import Stage
from ...ir.tensor import Tensor
from ...ir.visit import walk
from .common import Context, even_part, size
from .measured import (
    BLOCK_SHARE,
    CACHE_SHARE,
    CHUNKS,
    COVERED_CYCLES,
    COVERING,
    DEPTH_BLOCK_BYTES,
    EVICTED_CYCLES,
    FEW_TILES,
    LINE_BYTES,
    LINE_CYCLES,
    LOADS,
    NEAR_BYTES,
    SCATTERED,
    STEP_CYCLES,
    STREAM_BYTES,
    UNEVEN,
    UNROLLED,
    WAY_BYTES,
    WAYS,
    WHOLE_SHARE,
)


@dataclass(frozen=True)
class Tile:
    """``rows`` × ``vectors`` accumulators of ``lanes`` elements each; ``lines`` times as many where
    the rows of the tile are all there are, and there is a second axis of rows."""

    rows: int
    vectors: int
    lanes: int
    lines: int = 1


def choose_tile(
    ctx: Context,
    rows: int,
    columns: int,
    lanes: int,
    *,
    block: int,
    shares_vector: bool,
    depth: int = 0,
    pitch: int = 0,
) -> Tile:
    """The register tile with the least estimated time over the whole extent of both axes; for a
    depthwise product one that is small enough to unroll the window, too. ``depth``: how long the
    sums are; ``pitch``: how many bytes the rows of the operand without vectors are apart, where
    each lies in a place of its own, as those of a matrix do.

    Per reduction step a tile costs the larger of its multiply-adds, at two a cycle, and its loads,
    and never less than the latency of one; tiles at the ends cost what they are.
    """
    lanes = min(lanes, columns) if block == 1 else min(lanes, block)
    registers = ctx.target.num_vector_registers
    if shares_vector:
        # Nothing is broadcast: more vectors side by side save no load, more rows save weights.
        most = max(1, min(registers // 2 - 2, UNROLLED // max(1, depth)))
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
            # Tiles at the ends are as small as what is left for them.
            cost = sum(
                n * m * _step_cycles(v, c, lanes, depth, pitch)
                for n, v in ((rows // r, r), (1, rows % r))
                for m, c in ((count // vectors, vectors), (1, count % vectors))
                if v and c
            )
            if rows % r or count % vectors:
                cost *= UNEVEN
            cost -= 1e-6 * r * vectors  # each tile also pays for its start and end
            if cost < least:
                best, least = Tile(r, vectors, lanes), cost
    return best


def _step_cycles(rows: int, vectors: int, lanes: int, depth: int, pitch: int) -> float:
    """Cycles of a step of the reduction in a tile."""
    least = STEP_CYCLES if rows * vectors < COVERING else COVERED_CYCLES
    cycles = max(rows * vectors / 2, (rows + vectors) / LOADS, least)
    if depth * vectors * lanes * 4 > NEAR_BYTES:
        # The panel streams through the first-level cache, and so do rows that lie apart.
        streams = vectors * lanes + (rows if pitch else 0)
        cycles = max(cycles, 4 * streams / LINE_BYTES * LINE_CYCLES)
    if pitch and depth * 4 > LINE_BYTES:
        # Lines a multiple of a way apart have one set between them, and push each other out.
        one_set = -(-rows * max(LINE_BYTES, math.gcd(pitch, WAY_BYTES)) // WAY_BYTES)
        if one_set > WAYS:
            cycles = max(cycles, rows * EVICTED_CYCLES)
    return cycles


def row_pitch(acc: Stage, row: int, vector: int) -> int:
    """Bytes from one row to the next of the operand without vectors; a line of the cache where rows
    do not follow each other at one distance."""
    r, v = acc.axes[row], acc.axes[vector]
    for read in acc.reads():
        used = {n for i in read.indices for n in walk(i)}
        places = [k for k, i in enumerate(read.indices) if i is r]
        if v in used or len(places) != 1:
            continue
        inner = [as_int(e) or 0 for e in read.tensor.shape[places[0] + 1 :]]
        return math.prod(inner) * read.tensor.dtype.bytes or LINE_BYTES
    return LINE_BYTES


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


def lines_first(ctx: Context, acc: Stage, row: int, vector: int, tile: Tile) -> bool:
    """Whether to go through all vectors for a line of rows before the next line, and not through
    all lines for a panel of vectors: what then comes from beyond the core's own cache is less. A
    panel reads all data anew unless they stay there, a line all weights."""
    v, r = acc.axes[vector], acc.axes[row]
    weights, data = operand_bytes(acc, row, vector)
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


def row_block(
    ctx: Context, acc: Stage, row: int, vector: int, tiles: int, lines: int, tile: Tile
) -> int:
    """How many of the ``tiles`` of rows to take together, so that what they read of the data
    operand stays in the core's cache for all panels, and that the other loops, of ``lines``
    iterations, make enough work for threads; 0 for all of them."""
    bytes_of_tile = tile.rows * tile.lines * size(acc.reduce_axes) * 4
    cache = ctx.target.cache_bytes
    weights, _ = operand_bytes(acc, row, vector)
    part = whole = CACHE_SHARE
    if blocked_reduce_axis(ctx, acc)[1]:
        part = BLOCK_SHARE
        whole = WHOLE_SHARE if weights > cache else part
    best = 0
    if tiles * bytes_of_tile > whole * cache:
        most = int(part * cache) // max(1, bytes_of_tile)
        if most >= 2:
            best = even_part(tiles, most, most // 2)
    blocks = -(-tiles // (best or tiles))
    if lines * blocks < CHUNKS and tiles * lines >= 2 * CHUNKS:
        most = -(-tiles // -(-CHUNKS // lines))
        best = even_part(tiles, most, 3 * most // 4)
    options = {0, best, *(k for k in (2, 4, 8, 16, 32, 64, 128) if k < tiles)}
    chosen = ctx.choose(f"{acc.name}.row_block", sorted(options), best)
    assert isinstance(chosen, int)
    return chosen


def depth_block(ctx: Context, acc: Stage, outermost: IterVar, tile: Tile, tiles: int) -> int:
    """How many iterations of the outermost reduction to take for a line, or a block, of rows before
    the next ones, so that their part of a panel stays in the first-level cache; 0 for all of them.
    ``tiles``: how many of them a panel that comes from afar is for, 0 if it does not."""
    n = as_int(acc.extents()[outermost]) or 1
    panel = 4 * size(acc.reduce_axes) * tile.vectors * tile.lanes
    streams = 4 * tile.vectors * tile.lanes / max(tile.rows * tile.vectors / 2, COVERED_CYCLES)
    best = 0
    # For one or two tiles there is little to gain.
    if 2 < tiles <= FEW_TILES and panel > NEAR_BYTES and streams > STREAM_BYTES:
        most = max(2, DEPTH_BLOCK_BYTES * n // panel)
        if most < n:
            best = even_part(n, most, most // 2)
    options = sorted({0, best, *(k for k in (2, 4, 8, 16, 32, 64) if k < n)})
    chosen = ctx.choose(f"{acc.name}.depth_block", options, best)
    assert isinstance(chosen, int)
    return chosen


def blocked_reduce_axis(ctx: Context, acc: Stage) -> tuple[IterVar | None, int]:
    """The reduce axis along which an operand is stored in blocks, and the block; (None, 0) when
    there is none longer than its block."""
    for r in acc.reads():
        layout = ctx.layout_of(r.tensor)
        if layout is None or layout.block(layout.lane.axis) == 1:
            continue
        index: Expr = r.indices[layout.lane.axis]
        if isinstance(index, IterVar) and among(index, acc.reduce_axes):
            block = layout.block(layout.lane.axis)
            if (as_int(index.extent) or 0) > block:
                return index, block
    return None, 0


def operand_bytes(acc: Stage, row: int, vector: int) -> tuple[int, int]:
    """Bytes of the operands that have the vector axis alone (weights), and the row axis alone
    (data)."""
    v, r = acc.axes[vector], acc.axes[row]
    data = weights = 0
    for read in acc.reads():
        used = {n for i in read.indices for n in walk(i)}
        if v in used and r not in used:
            weights += bytes_of(read.tensor)
        elif r in used and v not in used:
            data += bytes_of(read.tensor)
    return weights, data


def bytes_of(t: Tensor) -> int:
    """Bytes of a tensor's elements, symbolic extents counted as 1."""
    n = t.dtype.bytes
    for e in t.shape:
        n *= as_int(e) or 1
    return n
