"""Loops of a register tile: ``rows × vectors`` accumulators in registers, the loops around them in
the order that reads least from afar.

    for n, c.outer, h in parallel:                # outer loops; which ones, and their order
      for w.outer:                                #   (perhaps in blocks of rows)
        acc[rows, vectors, lanes] = 0
        for k.outer, ky, kx, k.inner:             # the reduction, perhaps a part at a time
          acc[r, v, :] += data[…] * weights[…, :]       # r and v unrolled
        out[…] = epilogue(acc)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.expr import IterVar, as_int
from ...ir.identity import among, place_of
from ...ir.schedule.stage import Stage
from .ahead import ReadAhead, beside, fetch_panel, fetch_rows, panels_ahead, rows_ahead
from .blocking import (
    Tile,
    blocked_reduce_axis,
    depth_block,
    lines_first,
    row_block,
)
from .common import Context, orders, run_parallel, size, split_axis
from .measured import CHUNKS, UNROLLED


@dataclass(frozen=True)
class TiledContraction:
    """A sum of products and how it is tiled.

    Parameters
    ----------
    result : the stage that is stored, with the epilogue.
    acc : its accumulators.
    row, vector : axes along which the tile has rows, and vectors.
    line : a second axis of rows, where a tile takes several lines of them.
    ahead : where the next weights lie, as (axis, how far); None: the next panel of vectors.
    together : how many rows are computed at a time; 0: all.
    shares : both operands depend on the vector axis.
    cuts_depth : a line of rows may take part of the sums at a time.
    """

    result: Stage
    acc: Stage
    row: int | None
    vector: int
    tile: Tile
    line: int | None = None
    ahead: tuple[int, int] | None = None
    together: int = 0
    shares: bool = False
    cuts_depth: bool = False

    @property
    def second_row(self) -> int | None:
        """The second axis of rows, if the tile has several lines."""
        return self.line if self.tile.lines > 1 else None


@dataclass
class _Loops:
    """Loops of the result. ``outer`` are those around the tile, outermost first, ``order`` their
    axes; ``rows`` and ``vectors`` are those over tiles, where there are several. ``around_rows``:
    how many rows are computed before the loop outside of them goes on."""

    outer: list[IterVar]
    order: list[int]
    inside: list[IterVar]
    lane: IterVar
    rows: IterVar | None
    vectors: IterVar | None
    around_rows: int


def tile_contraction(ctx: Context, c: TiledContraction, operations: int) -> None:
    """Order, unroll and vectorise the loops of the result and of its accumulators, and run the
    outer ones in parallel if so many ``operations`` are worth it."""
    loops = _tiled(ctx, c)
    _block_rows(ctx, c, loops)
    c.result.reorder(*loops.outer, *loops.inside, loops.lane)
    for a in loops.inside:
        c.result.unroll(a)
    c.result.vectorize(loops.lane)
    parallel = _parallel(ctx, c, loops, operations)
    reduction = _accumulate(ctx, c, loops, parallel)
    _unroll(ctx, c, reduction)


_NONE = (None, None)  # an axis that the tile does not have


def _tiled(ctx: Context, c: TiledContraction) -> _Loops:
    """Split the axes of the tile and decide on the order of the loops around it."""
    result, axes = c.result, c.result.axes
    wide, lane = split_axis(result, axes[c.vector], c.tile.lanes)
    outer_v, inner_v = split_axis(result, wide, c.tile.vectors) if wide is not None else _NONE
    outer_r, inner_r = _NONE if c.row is None else split_axis(result, axes[c.row], c.tile.rows)
    line = c.second_row
    outer_l, inner_l = _NONE if line is None else split_axis(result, axes[line], c.tile.lines)
    loops: dict[int, IterVar] = {}  # the loop outside of the tile of each axis that has one
    for k, a in enumerate(axes):
        loop = {c.vector: outer_v, c.row: outer_r, line: outer_l}.get(k, a)
        if loop is not None:
            loops[k] = loop
    # Rows last: their loop stays serial and the operand that they share stays in cache.
    default = [k for k in loops if k != c.row] + [k for k in loops if k == c.row]
    if c.row is not None and lines_first(ctx, c.acc, c.row, c.vector, c.tile):
        default = [k for k in default if k not in (c.vector, c.row)]
        default += [k for k in (c.vector, c.row) if k in loops]
    order = _outer_order(ctx, c.acc, result, loops, default)
    return _Loops(
        outer=[loops[k] for k in order],
        order=order,
        inside=[a for a in (inner_l, inner_r, inner_v) if a is not None],
        lane=lane,
        rows=outer_r,
        vectors=outer_v,
        around_rows=c.together or (1 if c.row is None else size([axes[c.row]])),
    )


def _block_rows(ctx: Context, c: TiledContraction, loops: _Loops) -> None:
    """Take so many rows together that their operand stays in the second-level cache for all
    panels, where panels and rows are innermost."""
    outer = loops.outer
    if loops.rows is None or loops.vectors is None or outer[-1] is not loops.rows:
        return
    assert c.row is not None
    lengths = c.result.extents()
    tiles, *others = (as_int(lengths[a]) or 1 for a in reversed(outer))
    block = row_block(ctx, c.acc, c.row, c.vector, tiles, math.prod(others), c.tile)
    if block:
        outermost, inner = c.result.split(loops.rows, factor=block)
        outer[-1] = loops.rows = inner
        loops.around_rows = block * c.tile.rows
        outer.insert(place_of(loops.vectors, outer), outermost)


def _parallel(ctx: Context, c: TiledContraction, loops: _Loops, operations: int) -> IterVar | None:
    """Run outer loops in parallel; returns their one loop. With few panels and lines of rows the
    innermost loop has to be cut for many threads, too."""
    lengths = c.result.extents()
    outer = loops.outer
    free = max(0, len(outer) - 1)
    if math.prod(as_int(lengths[a]) or 1 for a in outer[:free]) < CHUNKS:
        free = len(outer)
    options = tuple(range(max(free, len(c.result.axes)) + 1))
    chunks = ctx.choose(f"{c.acc.name}.parallel", options, free)
    assert isinstance(chunks, int)
    return run_parallel(ctx, c.result, outer[:chunks], operations)


def _accumulate(
    ctx: Context, c: TiledContraction, loops: _Loops, parallel: IterVar | None
) -> list[IterVar]:
    """The accumulators: the same tile, the reduction outside of it, what comes from afar asked for
    ahead; returns the loops of the reduction, outermost first."""
    acc, outer = c.acc, loops.outer
    wide, lane = split_axis(acc, acc.axes[c.vector], c.tile.lanes)
    tile_axes = (c.row, c.second_row, c.vector)
    data = [a for k, a in enumerate(acc.axes) if k not in tile_axes] if outer else []
    inside = [acc.axes[k] for k in (c.second_row, c.row) if k is not None]
    inside += [wide] if wide is not None else []
    panels, tiles = _ahead(ctx, c, loops)
    reduction = _reduce_order(ctx, acc)
    around = list(reduction)
    at, beyond = _innermost_outer(c, loops, parallel)
    if c.cuts_depth and c.row is not None and beyond is not None and c.tile.lines == 1:
        block = depth_block(ctx, acc, reduction[0], c.tile, panels.parts if panels else 0)
        if block:
            # The sums of a line stay in memory between the parts.
            at, rows = beyond, acc.axes[c.row]
            far, reduction[0] = acc.split(reduction[0], factor=block)
            each, inner = acc.split(rows, factor=c.tile.rows)
            inside = [inner if a is rows else a for a in inside]
            around = [far, each, *reduction]
    if at is not None:
        acc.compute_at(c.result, at)
    acc.reorder(*data, *around, *inside, lane)
    for a in inside:
        acc.unroll(a)
    acc.vectorize(lane)
    if panels is not None:
        fetch_panel(acc, panels, reduction, c.tile)
    if tiles is not None:
        fetch_rows(acc, tiles, reduction)
    return reduction


def _innermost_outer(
    c: TiledContraction, loops: _Loops, parallel: IterVar | None
) -> tuple[IterVar | None, IterVar | None]:
    """The innermost loop around the tile; the one outside of it, if that is over tiles of rows."""
    outer, leaves = loops.outer, c.result.leaves
    if not outer:
        return None, None
    at = outer[-1] if among(outer[-1], leaves) else parallel
    if len(outer) < 2 or at is not loops.rows:
        return at, None
    return at, outer[-2] if among(outer[-2], leaves) else parallel


def _ahead(
    ctx: Context, c: TiledContraction, loops: _Loops
) -> tuple[ReadAhead | None, ReadAhead | None]:
    """The panel of weights and the tile of rows to ask for before they are needed."""
    acc, order = c.acc, loops.order
    moved = c.ahead[0] if c.ahead is not None else c.vector
    after = order[order.index(moved) + 1 :] if moved in order else []
    later = {k: size([acc.axes[k]]) for k in after}
    if c.row in later:
        later[c.row] = loops.around_rows
    panels = panels_ahead(ctx, acc, c.vector, c.tile, c.ahead, later, c.row)
    last = bool(loops.outer) and loops.outer[-1] is loops.rows
    if not blocked_reduce_axis(ctx, acc)[1] or c.shares or not last:
        return panels, None
    return panels, rows_ahead(ctx, acc, c.row, c.vector, c.tile)


def _unroll(ctx: Context, c: TiledContraction, reduction: Sequence[IterVar]) -> None:
    """Write out a few steps of the reduction."""
    if c.shares:
        # The loops of a window, where that is little code: guards of padding then stand once before
        # all vectors of a place.
        tile = c.tile
        whole = tile.rows * tile.vectors * tile.lines * size(c.acc.reduce_axes)
        loop, most = reduction[0] if reduction else None, UNROLLED if whole <= UNROLLED else 0
    else:
        loop, most = _innermost(c.acc, c.row, reduction), UNROLLED // 2
    most = ctx.choose(f"{c.acc.name}.unroll_max", (0, 64, UNROLLED // 2, UNROLLED), most)
    if most and loop is not None:
        c.acc.pragma(loop, "unroll_max", most)


def _innermost(acc: Stage, row: int | None, reduction: Sequence[IterVar]) -> IterVar | None:
    """The innermost loop of the sums, if it may be unrolled: counting it takes slots from the
    multiply-adds, above all where two threads share a core. Not the columns of a window: what one
    row reads at one of them, the next row reads at another, and a compiler would keep it all in
    registers."""
    if not reduction:
        return None
    window = row is not None and reduction[-1] in beside(acc, acc.axes[row])
    return None if window else reduction[-1]


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
