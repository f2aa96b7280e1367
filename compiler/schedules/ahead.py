"""What a sum of products fetches ahead of its use, into the core's own cache.

Both operands come in pieces that no prefetcher of a processor follows well: a tile of rows reads a
few lines from each block of channels, and only where it has read them all does the next tile begin;
a panel of weights is read again and again before the next one, which then comes from far away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...ir.expr import IterVar, Read, as_int
from ...ir.identity import among, same_objects
from ...ir.schedule.stage import Stage
from ...ir.tensor import PlaceholderOp
from ...ir.visit import walk
from .blocking import Tile, bytes_of
from .common import Context, size
from .measured import FETCH_BYTES, LINE_BYTES, MOST_LINES, PANEL_SHARE


@dataclass(frozen=True)
class ReadAhead:
    """What an operand is when the data axis of this number is ``distance`` further on. ``parts``
    tiles share the work: ``shares`` has their axes, and how many neighbouring elements they are."""

    read: Read
    axis: int
    distance: int
    shares: Mapping[IterVar, int] = field(default_factory=dict)
    parts: int = 1


def panels_ahead(
    ctx: Context,
    acc: Stage,
    vector: int,
    tile: Tile,
    ahead: tuple[int, int] | None,
    later: Mapping[int, int],
    row: int | None,
) -> ReadAhead | None:
    """The operand that is read panel of vectors after panel, if it comes from far away: it is read
    only once. The next weights lie ``ahead``: (axis, how far), by default the next panel.
    ``later``: axes whose loops run before they are needed, and how many of their elements then do.
    """
    v, panel = acc.axes[vector], tile.vectors * tile.lanes
    r = next((r for r in acc.reads() if _indexed_by(r, v) and _comes_from_afar(acc, r)), None)
    if r is None or not ctx.target.has_prefetch or (ahead is None and size([v]) <= panel):
        return None
    reusing = {k: size([a]) for k, a in enumerate(acc.axes) if a not in _used(r)}
    if math.prod(reusing.values()) == 1:
        return None  # one stream from its begin to its end: the processor sees that itself
    if any(n > later.get(k, 1) for k, n in reusing.items()):
        return None  # it is read again and again, and closer from the second time on
    depth = size([a for a in acc.reduce_axes if a in _used(r)])
    if depth * panel * r.tensor.dtype.bytes > PANEL_SHARE * ctx.target.cache_bytes:
        return None  # it would drive out what is in use
    shares = {acc.axes[k]: n for k, n in later.items() if k in reusing}
    parts = (-(-n // tile.rows) if k == row else n for k, n in later.items() if k in reusing)
    return ReadAhead(r, *(ahead or (vector, panel)), shares, math.prod(parts))


def rows_ahead(
    ctx: Context, acc: Stage, row: int | None, vector: int, tile: Tile
) -> ReadAhead | None:
    """The operand that the next tile of rows reads, if there is one."""
    if not ctx.target.has_prefetch or row is None or tile.lines > 1:
        return None
    v, rows = acc.axes[vector], acc.axes[row]
    for r in acc.reads():
        used = _used(r)
        if rows in used and v not in used and _comes_from_afar(acc, r) and size([rows]) > tile.rows:
            return ReadAhead(r, row, tile.rows)
    return None


def fetch_panel(acc: Stage, ahead: ReadAhead, reduction: Sequence[IterVar], tile: Tile) -> None:
    """Ask for it in front of the outermost loop of the ``reduction`` where it is not too much at a
    time."""
    lengths = acc.extents()
    lines = tile.vectors * tile.lanes * ahead.read.tensor.dtype.bytes / LINE_BYTES / ahead.parts
    place = len(reduction) - 1
    while place > 0:
        lines *= as_int(lengths[reduction[place]]) or 1
        if lines * (as_int(lengths[reduction[place - 1]]) or 1) > MOST_LINES:
            break
        place -= 1
    _fetch(acc, ahead, reduction[place])


def fetch_rows(acc: Stage, ahead: ReadAhead, reduction: Sequence[IterVar]) -> None:
    """Ask for it in front of the innermost loop of the ``reduction`` that reads new lines."""
    columns = beside(acc, acc.axes[ahead.axis])
    place = len(reduction) - 1
    while place > 0 and reduction[place - 1] in columns:
        place -= 1  # the columns of a window read the same lines
    _fetch(acc, ahead, reduction[place])


def beside(acc: Stage, axis: IterVar) -> set[object]:
    """What stands in one index with ``axis``: for rows, the columns of a window."""
    indices = [set(walk(i)) for r in acc.reads() for i in r.indices]
    return {v for used in indices if axis in used for v in used}


def _fetch(acc: Stage, ahead: ReadAhead, loop: IterVar) -> None:
    moved = acc.axes[ahead.axis]
    acc.prefetch(ahead.read.tensor, loop, moved, ahead.distance, ahead.shares)


def _indexed_by(r: Read, v: IterVar) -> bool:
    """Whether ``v`` is one index of ``r`` by itself, and in no other."""
    return same_objects([i for i in r.indices if among(v, walk(i))], [v])


def _comes_from_afar(acc: Stage, r: Read) -> bool:
    """Whether an input is read once and is large. One that is both operands of a product comes in
    by one of them for the other."""
    large = isinstance(r.tensor.op, PlaceholderOp) and bytes_of(r.tensor) >= FETCH_BYTES
    return large and sum(other.tensor is r.tensor for other in acc.reads()) == 1


def _used(r: Read) -> set[object]:
    return {n for i in r.indices for n in walk(i)}
