"""The statements that :meth:`~weft.ir.stage.Stage.prefetch` asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..bounds import StageBounds
from ..expr import ZERO, Expr, IterVar, Load, Read, Var, as_int, const
from ..stage import Ahead, Stage
from ..stmt import Buffer, For, ForKind, Prefetch, Stmt
from ..visit import substitute, walk

LINE = 64  # bytes
# Hints in front of one loop; more would take the time that they are to save.
MOST = 64


def fetches(
    s: Stage,
    place: int,
    b: StageBounds,
    to_load: Callable[[Expr], Expr],
    params: Sequence[Buffer | Var],
) -> list[Stmt]:
    """What is fetched in front of the loop ``s.leaves[place]``. ``to_load`` turns a read of the
    body into a load; only parameters are fetched, what a kernel makes itself is in a cache."""
    found = []
    for ahead in s.prefetches[s.leaves[place]]:
        read = next(
            n for e in b.body for n in walk(e) if isinstance(n, Read) and n.tensor is ahead.tensor
        )
        load = to_load(read)
        if isinstance(load, Load) and load.buffer in params:
            found += _fetch(s, place, b, ahead, read, load)
    return found


def _fetch(
    s: Stage, place: int, b: StageBounds, ahead: Ahead, read: Read, load: Load
) -> list[Stmt]:
    """The share of the iterations outside in the elements that the loop reads."""
    loop = s.leaves[place]
    lengths = {a: as_int(b.extents[a]) for a in s.leaves[place:]}
    n = lengths[loop]
    used = {v for i in load.indices for v in walk(i)}
    # One vector is one line, or a part of one.
    vector = next((a for a in lengths if a in used and _kind(s, a) is ForKind.VECTORIZED), None)
    beside = [a for a in lengths if a in used and _kind(s, a) is ForKind.UNROLLED]
    inside = [a for a in s.axes if not any(v is a for i in read.indices for v in walk(i))]
    sharing = [(b.box[s.axes.index(a)], as_int(a.extent)) for a in inside]
    sizes = (
        [lengths[a] for a in beside]
        + [m for _, m in sharing]
        + [as_int(e) for (_, e), _ in sharing]
    )
    if n is None or vector is None or None in sizes:
        return []
    step = max(1, LINE // ((lengths[vector] or 1) * load.buffer.dtype.bytes))
    points, position, parts = 1, ZERO, 1
    for (low, extent), whole in sharing:
        tile = as_int(extent)
        assert whole is not None and tile is not None
        position = position * whole + low
        points *= whole
        parts *= -(-whole // tile)
    lines = -(-n // step)
    count = -(-lines // parts)
    if count * math.prod(lengths[a] or 1 for a in beside) > MOST or points * lines >= 1 << 30:
        return []
    start = position * lines // points if points > 1 else ZERO
    fresh: dict[IterVar, Expr] = {a: Var(f"{a.name}.ahead") for a in beside}
    line = Var(f"{loop.name}.ahead")
    inner = dict.fromkeys(lengths, ZERO) | fresh | {loop: (start + line) * step}
    where = [substitute(i, inner) for i in load.indices]
    for k, i in enumerate(read.indices):
        if any(v is ahead.axis for v in walk(i)):
            where[k] = where[k] + const(ahead.distance)
    stmt: Stmt = Prefetch(load.buffer, tuple(where))
    for var, extent in [(line, count), *((fresh[a], lengths[a] or 1) for a in beside)]:
        assert isinstance(var, Var)
        stmt = For(var, ZERO, const(extent), ForKind.UNROLLED, stmt)
    return [stmt]


def _kind(s: Stage, a: IterVar) -> ForKind:
    note = s.annotations.get(a)
    return ForKind.SERIAL if note is None else note.kind
