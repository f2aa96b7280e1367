"""Intervals of integers, open-ended where ``lo`` or ``hi`` is None, and what the operators do."""

from __future__ import annotations

from typing import NamedTuple

from ...runtime.dtype import DType


class Interval(NamedTuple):
    """All integers ``lo <= x <= hi``; None is unbounded. Empty where ``hi < lo``."""

    lo: int | None = None
    hi: int | None = None

    @property
    def single(self) -> int | None:
        """The only member, if there is one."""
        return self.lo if self.lo == self.hi else None


EVERYTHING = Interval()


def of_dtype(d: DType) -> Interval:
    """What a value of ``d`` can be. int32 counts as unbounded: indices do not overflow."""
    if d.is_bool:
        return Interval(0, 1)
    if not d.is_int or (d.kind == "int" and d.bits == 32):
        return EVERYTHING
    return Interval(int(d.min), int(d.max))


def fit(x: Interval, d: DType) -> Interval:
    """``x`` if arithmetic whose result it is cannot wrap in ``d``, else all that ``d`` holds."""
    whole = of_dtype(d)
    if whole.lo is None or whole.hi is None:
        return x
    if x.lo is None or x.hi is None or x.lo < whole.lo or x.hi > whole.hi:
        return whole
    return x


def add(a: Interval, b: Interval) -> Interval:
    """Where ``x + y`` lies for ``x`` in ``a`` and ``y`` in ``b``."""
    return Interval(
        None if a.lo is None or b.lo is None else a.lo + b.lo,
        None if a.hi is None or b.hi is None else a.hi + b.hi,
    )


def neg(a: Interval) -> Interval:
    """Where ``-x`` lies."""
    return Interval(None if a.hi is None else -a.hi, None if a.lo is None else -a.lo)


def sub(a: Interval, b: Interval) -> Interval:
    """Where ``x - y`` lies."""
    return add(a, neg(b))


def scale(a: Interval, k: int) -> Interval:
    """``k * a``."""
    if k < 0:
        a, k = neg(a), -k
    if k == 0:
        return Interval(0, 0)
    return Interval(None if a.lo is None else a.lo * k, None if a.hi is None else a.hi * k)


def mul(a: Interval, b: Interval) -> Interval:
    """Where ``x * y`` lies."""
    if a.single is not None:
        return scale(b, a.single)
    if b.single is not None:
        return scale(a, b.single)
    if a.lo is not None and b.lo is not None and a.lo >= 0 and b.lo >= 0:
        return Interval(a.lo * b.lo, None if a.hi is None or b.hi is None else a.hi * b.hi)
    if a.lo is None or a.hi is None or b.lo is None or b.hi is None:
        return EVERYTHING
    corners = (a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi)
    return Interval(min(corners), max(corners))


def floordiv(a: Interval, b: Interval) -> Interval:
    """Where ``x // y`` lies; by zero it is 0."""
    c = b.single
    if c is not None and c > 0:
        return Interval(None if a.lo is None else a.lo // c, None if a.hi is None else a.hi // c)
    if a.lo is not None and b.lo is not None and a.lo >= 0 and b.lo >= 0:
        # By zero it is 0; by one, a itself.
        low = 0 if b.lo == 0 or b.hi is None else a.lo // b.hi
        return Interval(low, None if a.hi is None else a.hi // max(1, b.lo))
    return EVERYTHING


def floormod(a: Interval, b: Interval) -> Interval:
    """Where ``x % y`` lies; by zero it is 0. Nothing is told of negative divisors."""
    if b.lo is None or b.lo < 0:
        return EVERYTHING
    if a.lo is not None and a.hi is not None and a.lo >= 0 and a.hi < b.lo:
        return a
    high = None if b.hi is None else max(0, b.hi - 1)
    if a.lo is not None and a.lo >= 0 and a.hi is not None:
        high = a.hi if high is None else min(high, a.hi)
    return Interval(0, high)


def minimum(a: Interval, b: Interval) -> Interval:
    """Where ``min(x, y)`` lies."""
    low = None if a.lo is None or b.lo is None else min(a.lo, b.lo)
    high = b.hi if a.hi is None else a.hi if b.hi is None else min(a.hi, b.hi)
    return Interval(low, high)


def maximum(a: Interval, b: Interval) -> Interval:
    """Where ``max(x, y)`` lies."""
    return neg(minimum(neg(a), neg(b)))


def union(a: Interval, b: Interval) -> Interval:
    """The least interval that holds both."""
    return Interval(
        None if a.lo is None or b.lo is None else min(a.lo, b.lo),
        None if a.hi is None or b.hi is None else max(a.hi, b.hi),
    )


def absolute(a: Interval) -> Interval:
    """Where ``abs(x)`` lies."""
    if a.lo is not None and a.lo >= 0:
        return a
    if a.hi is not None and a.hi <= 0:
        return neg(a)
    if a.lo is None or a.hi is None:
        return Interval(0, None)
    return Interval(0, max(-a.lo, a.hi))


def bitand(a: Interval, b: Interval) -> Interval:
    """Of two values of which one is not negative: at most that one."""
    highs = [x.hi for x in (a, b) if x.lo is not None and x.lo >= 0]
    if not highs:
        return EVERYTHING
    known = [h for h in highs if h is not None]
    return Interval(0, min(known) if known else None)
