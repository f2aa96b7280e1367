"""What a sum of products fetches ahead of its use, into the core's own cache.

Both operands come in pieces that no prefetcher of a processor follows well: a tile of rows reads a
few lines from each block of channels, and only where it has read them all does the next tile begin;
a panel of weights is read again and again before the next one, which then comes from far away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...ir.expr import IterVar, Read, as_int
from ...ir.stage import Stage
from ...ir.tensor import PlaceholderOp
from ...ir.visit import walk
from .blocking import LINE_BYTES, Tile, bytes_of
from .common import Context, size

# Operands of fewer bytes are not fetched ahead: they come soon enough.
FETCH_BYTES = 1 << 15
# Lines to ask for at a time; what may be under way is limited.
MOST_LINES = 16


@dataclass(frozen=True)
class Ahead:
    """What an operand is when the data axis of this number is ``distance`` further on."""

    read: Read
    axis: int
    distance: int


def panels_ahead(
    ctx: Context,
    acc: Stage,
    vector: int,
    tile: Tile,
    ahead: tuple[int, int] | None,
    neighbours: Mapping[int, int],
) -> Ahead | None:
    """The operand that is read panel of vectors after panel, if it comes from far away: it is read
    only once. The next weights lie ``ahead``: (axis, how far), by default the next panel.
    ``neighbours``: axes whose loops run before they are needed, and how many of their elements then
    do."""
    if not ctx.target.has_prefetch:
        return None
    v = acc.axes[vector]
    for r in acc.reads():
        inside = [i for i in r.indices if any(n is v for n in walk(i))]
        if inside != [v] or not _comes_from_afar(r):
            continue
        reusing = {k: size([a]) for k, a in enumerate(acc.axes) if a not in _used(r)}
        if math.prod(reusing.values()) == 1:
            return None  # one stream from its begin to its end: the processor sees that itself
        if any(n > neighbours.get(k, 1) for k, n in reusing.items()):
            return None  # it is read again and again, and closer from the second time on
        if ahead is not None:
            return Ahead(r, *ahead)
        panel = tile.vectors * tile.lanes
        return Ahead(r, vector, panel) if size([v]) > panel else None
    return None


def rows_ahead(ctx: Context, acc: Stage, row: int | None, vector: int, tile: Tile) -> Ahead | None:
    """The operand that the next tile of rows reads, if there is one."""
    if not ctx.target.has_prefetch or row is None or tile.lines > 1:
        return None
    v, rows = acc.axes[vector], acc.axes[row]
    for r in acc.reads():
        used = _used(r)
        if rows in used and v not in used and _comes_from_afar(r) and size([rows]) > tile.rows:
            return Ahead(r, row, tile.rows)
    return None


def fetch_rows(acc: Stage, ahead: Ahead, reduction: Sequence[IterVar]) -> None:
    """Ask for it in front of the innermost loop of the ``reduction`` that reads new lines."""
    moved = acc.axes[ahead.axis]
    beside = {v for i in ahead.read.indices for n in [set(walk(i))] if moved in n for v in n}
    place = len(reduction) - 1
    while place > 0 and reduction[place - 1] in beside:
        place -= 1  # the columns of a window read the same lines
    acc.prefetch(ahead.read.tensor, reduction[place], moved, ahead.distance)


def fetch_panel(
    acc: Stage,
    ahead: Ahead,
    reduction: Sequence[IterVar],
    tile: Tile,
    row: int | None,
    neighbours: Mapping[int, int],
) -> None:
    """Ask for it in front of the outermost loop of the ``reduction`` where it is not too much at a
    time. The ``neighbours`` share the work."""
    used = _used(ahead.read)
    shares = {k: n for k, n in neighbours.items() if acc.axes[k] not in used}
    parts = math.prod(-(-n // tile.rows) if k == row else n for k, n in shares.items())
    lengths = acc.extents()
    lines = tile.vectors * tile.lanes * ahead.read.tensor.dtype.bytes / LINE_BYTES / parts
    place = len(reduction) - 1
    while place > 0:
        lines *= as_int(lengths[reduction[place]]) or 1
        if lines * (as_int(lengths[reduction[place - 1]]) or 1) > MOST_LINES:
            break
        place -= 1
    parts_of = {acc.axes[k]: n for k, n in shares.items()}
    moved = acc.axes[ahead.axis]
    acc.prefetch(ahead.read.tensor, reduction[place], moved, ahead.distance, parts_of)


def _comes_from_afar(r: Read) -> bool:
    return isinstance(r.tensor.op, PlaceholderOp) and bytes_of(r.tensor) >= FETCH_BYTES


def _used(r: Read) -> set[object]:
    return {n for i in r.indices for n in walk(i)}
