"""Expansions of the simple intrinsics, for a language that has none of them but ``sqrt``.

They take float32 or float64 (any number of lanes) and use comparisons of integers wherever NaN or
infinity matters, and no sum that a compiler could cancel: so they hold where compilers treat sums
of floats as associative, or suppose that NaN does not occur. All are exact but ``fma``, which is
rounded twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ....runtime.dtype import DType, dtype_of
from ...builders import equal
from ...expr import Cast, Expr, Reinterpret, Select, cast, to_expr
from ...intrin import call
from .forms import choose


class _Format(NamedTuple):
    """Where the bits of a float are; ``int`` is the signed integer of its size."""

    int: DType
    fraction: int  # bits of the mantissa
    infinity: int  # its bits

    @property
    def whole(self) -> int:
        """The bits of the least power of two beyond which every number is an integer."""
        return ((self.infinity >> self.fraction) // 2 + self.fraction) << self.fraction


def _format(d: DType) -> _Format:
    fraction, infinity = {32: (23, 0x7F800000), 64: (52, 0x7FF0000000000000)}[d.bits]
    return _Format(dtype_of(f"int{d.bits}").with_lanes(d.lanes), fraction, infinity)


def _magnitude(x: Expr) -> Expr:
    """The bits of ``|x|``, which as integers are in the order of the numbers."""
    f = _format(x.dtype)
    return Reinterpret(x, f.int) & f.int.max


def isnan(x: Expr) -> Expr:
    """By the bits: greater than infinity."""
    return _magnitude(x) > _format(x.dtype).infinity


def isinf(x: Expr) -> Expr:
    """By the bits, whatever the sign."""
    return equal(_magnitude(x), _format(x.dtype).infinity)


def isfinite(x: Expr) -> Expr:
    """By the bits: less than infinity."""
    return _magnitude(x) < _format(x.dtype).infinity


class _WholeAndRest(NamedTuple):
    """``|x| = whole + rest`` where ``x`` may have a fraction (``small``); elsewhere they are 0."""

    small: Expr
    number: Expr  # ``whole`` as an integer
    whole: Expr
    rest: Expr
    sign: Expr  # bits

    def signed(self, magnitude: Expr, x: Expr) -> Expr:
        """``magnitude`` with the sign of ``x``; ``x`` itself where it has no fraction."""
        value = Reinterpret(Reinterpret(magnitude, self.sign.dtype) | self.sign, x.dtype)
        return choose(self.small, value, x)


def _parts(x: Expr) -> _WholeAndRest:
    f, bits = _format(x.dtype), _magnitude(x)
    small = bits < f.whole
    inside = Select(small, bits, to_expr(0, f.int))
    size = Reinterpret(inside, x.dtype)
    number = cast(size, f.int)
    whole = Cast(number, x.dtype)
    return _WholeAndRest(small, number, whole, size - whole, Reinterpret(x, f.int) & f.int.min)


def trunc(x: Expr) -> Expr:
    """Towards zero."""
    p = _parts(x)
    return p.signed(p.whole, x)


def floor(x: Expr) -> Expr:
    """Towards minus infinity; -0.0 stays -0.0."""
    p = _parts(x)
    return p.signed(choose((p.rest > 0.0) & ~equal(p.sign, 0), p.whole + 1.0, p.whole), x)


def ceil(x: Expr) -> Expr:
    """Towards infinity; what is above -1 and below 0 becomes -0.0."""
    p = _parts(x)
    return p.signed(choose((p.rest > 0.0) & equal(p.sign, 0), p.whole + 1.0, p.whole), x)


def round_even(x: Expr) -> Expr:
    """To the nearest integer, halves to even."""
    p = _parts(x)
    up = (p.rest > 0.5) | (equal(p.rest, 0.5) & equal(p.number & 1, 1))
    return p.signed(choose(up, p.whole + 1.0, p.whole), x)


def fma(a: Expr, b: Expr, c: Expr) -> Expr:
    """A product and a sum, each rounded."""
    return a * b + c


def popcount(x: Expr) -> Expr:
    """Neighbouring counts of 1, 2, 4, … bits are added (Warren, *Hacker's Delight*, 5-1)."""
    bits = x.dtype.bits
    unsigned = dtype_of(f"uint{bits}").with_lanes(x.dtype.lanes)
    counts, width = Reinterpret(x, unsigned), 1
    while width < bits:
        mask = sum(((1 << width) - 1) << at for at in range(0, bits, 2 * width))
        counts = (counts & mask) + ((counts >> width) & mask)
        width *= 2
    return Reinterpret(counts, x.dtype)


def clz(x: Expr) -> Expr:
    """The bits above the highest that is set, counted: it is copied into all below (Warren,
    *Hacker's Delight*, 5-3)."""
    bits = Reinterpret(x, dtype_of(f"uint{x.dtype.bits}").with_lanes(x.dtype.lanes))
    below: Expr = bits
    by = 1
    while by < x.dtype.bits:
        below, by = below | (below >> by), 2 * by
    return Reinterpret(call("popcount", ~below), x.dtype)


EXPANSIONS: dict[str, Callable[..., Expr]] = {
    "floor": floor, "ceil": ceil, "trunc": trunc, "round": round_even, "fma": fma,
    "isnan": isnan, "isinf": isinf, "isfinite": isfinite, "popcount": popcount, "clz": clz,
}  # fmt: skip
