"""The statements that :meth:`~weft.ir.schedule.stage.Stage.prefetch` asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..expr import ZERO, Expr, IterVar, Load, Read, Var, as_int, const
from ..identity import among
from ..schedule.bounds import StageBounds
from ..schedule.stage import PrefetchRequest, Stage
from ..simplify import Analyzer, stride
from ..stmt import Buffer, For, ForKind, Prefetch, Stmt
from ..visit import substitute, walk
from .storage import physical_index, physical_shape, row_major

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
    inside = {a: as_int(b.extents[a]) for a in s.leaves[place:]}
    for ahead in s.prefetches[s.leaves[place]]:
        read = next(
            n for e in b.body for n in walk(e) if isinstance(n, Read) and n.tensor is ahead.tensor
        )
        load = to_load(read)
        if not isinstance(load, Load) or load.buffer not in params:
            continue
        used = {v for i in load.indices for v in walk(i)}
        lengths = {a: n for a, n in inside.items() if a in used}
        known = {a: n for a, n in lengths.items() if n is not None}
        if s.leaves[place] not in lengths or len(known) < len(lengths):
            continue
        where = [
            i + const(ahead.distance) if ahead.axis in set(walk(logical)) else i
            for i, logical in zip(load.indices, read.indices)
        ]
        if ahead.shares:
            found += _shares(s, place, b, ahead, to_load, load, where, known)
        else:
            found += _whole(load, where, known)
    return found


def _shares(
    s: Stage,
    place: int,
    b: StageBounds,
    ahead: PrefetchRequest,
    to_load: Callable[[Expr], Expr],
    load: Load,
    where: list[Expr],
    lengths: dict[IterVar, int],
) -> list[Stmt]:
    """The share of an iteration in the elements that the loop reads."""
    zero = dict.fromkeys(s.leaves[place:], ZERO)
    # One vector is one line, or a part of one.
    vector = next((a for a in lengths if _kind(s, a) is ForKind.VECTORIZED), None)
    beside = [a for a in lengths if _kind(s, a) is ForKind.UNROLLED]
    along = [a for a in lengths if a is not vector and not among(a, beside)]
    if vector is None:
        return []
    step = max(1, LINE // (lengths[vector] * load.buffer.dtype.bytes))
    points, position, parts = 1, ZERO, 1
    for a, whole in ahead.shares:
        at = to_load(a)
        tile = math.prod(as_int(b.extents[v]) or 1 for v in zero if v in set(walk(at)))
        position = position * whole + substitute(at, zero) % whole
        points *= whole
        parts *= -(-whole // tile)
    lines = -(-math.prod(lengths[a] for a in along) // step)
    count = -(-lines // parts)
    if count * math.prod(lengths[a] for a in beside) > MOST or points * lines >= 1 << 30:
        return []
    start = position * lines // points if points > 1 else ZERO
    line = Var("line.ahead")
    inner: dict[IterVar, Expr] = {**zero, **{a: Var(f"{a.name}.ahead") for a in beside}}
    element, below = (start + line) * step, 1
    for a in reversed(along):
        inner[a] = element // below
        if a is not along[0]:
            inner[a] = inner[a] % lengths[a]
        below *= lengths[a]
    stmt: Stmt = Prefetch(load.buffer, tuple(substitute(i, inner) for i in where))
    for var, extent in [(line, count), *((inner[a], lengths[a]) for a in beside)]:
        assert isinstance(var, Var)
        stmt = For(var, ZERO, const(extent), ForKind.UNROLLED, stmt)
    return [stmt]


def _whole(load: Load, where: list[Expr], lengths: dict[IterVar, int]) -> list[Stmt]:
    """All that the loop reads, a hint for each line of the cache."""
    shape = physical_shape(load.buffer)
    an = Analyzer()
    for a, n in lengths.items():
        an.bind(a, 0, n - 1)
    address = an.simplify(row_major(physical_index(load.buffer, load.indices), shape))
    offsets = np.zeros(1, np.int64)
    for a, n in lengths.items():
        step = stride(address, a)
        if step is None:
            return []
        offsets = np.add.outer(offsets, np.arange(n) * step)
    lines, first = np.unique(
        offsets.reshape(-1) * load.buffer.dtype.bytes // LINE, return_index=True
    )
    if len(lines) > MOST:
        return []
    points = zip(*np.unravel_index(first, tuple(lengths.values())))
    found: list[Stmt] = []
    for point in points:
        values = {a: const(int(k)) for a, k in zip(lengths, point)}
        found.append(Prefetch(load.buffer, tuple(substitute(i, values) for i in where)))
    return found


def _kind(s: Stage, a: IterVar) -> ForKind:
    note = s.annotations.get(a)
    return ForKind.SERIAL if note is None else note.kind
