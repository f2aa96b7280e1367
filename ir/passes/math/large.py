"""Large angles: the argument of a trigonometric function modulo π/2, in integers.

The method is Payne and Hanek's, *Radian reduction for trigonometric functions* (1983). With
x = m·2^e, m an integer, only a window of the bits of 2/π matters for x·2/π modulo 4: what is above
it contributes multiples of 4, what is below less than the result's last place. The window here has
three words (of 32 bits for float32, of 64 for float64), taken from a table by the exponent; two
words of its product with m are the quadrant, 2 bits, and a fraction of 62 or 126 bits. No float is
closer to a multiple of π/2 than about 2^-30 (float32) or 2^-62 (float64) of it: the fraction has a
bit in its first word, and after that as many as a float holds and half a word more.

Nothing but words of one width is needed, whose products of halves do not overflow: so this holds in
languages without longer integers, and where compilers take liberties with floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from ....runtime.dtype import DType, dtype_of
from ...builders import equal, not_equal
from ...expr import Broadcast, Expr, Reinterpret, Select, cast, const, to_expr
from .forms import NAN, choose, fma, rarely


@dataclass(frozen=True)
class _Format:
    """One width of floats. ``least``: the exponent, as it is stored, of the smallest argument."""

    word: int  # bits
    fraction: int  # bits of the mantissa after the point
    least: int
    half_pi: tuple[float, float]  # the first few bits of π/2, and the rest

    @property
    def half(self) -> int:
        """Bits of half a word."""
        return self.word // 2

    @property
    def bias(self) -> int:
        """What is added to an exponent to store it."""
        return (1 << (self.word - 2 - self.fraction)) - 1


# From 2^13 and 2^20 on. The first part of π/2 has 8 and 21 bits: times half a word it is exact.
_FORMATS = {
    32: _Format(32, 23, 127 + 13, (1.5703125, 0.00048382679489661926)),
    64: _Format(64, 52, 1023 + 20, (1.570796012878418, 3.139164786504813e-07)),
}


class Angle(NamedTuple):
    """x = (4k + q)·π/2 + r + low; ``q`` is a float in {0, 1, 2, 3}, |r| ≤ π/4, and ``low`` what
    rounding r lost (0 where nobody asks for it)."""

    r: Expr
    low: Expr
    q: Expr


def of_angle(x: Expr, near: Callable[[Expr], Angle], value: Callable[[Angle], Expr]) -> Expr:
    """``value(angle)`` of the angle that ``x`` is: by ``near`` where |x| is less than 2^13
    (float32) or 2^20 (float64), by :func:`reduce_large` beyond; NaN for infinities and NaN."""
    w = _Words(x.dtype)
    f = w.format
    size = Reinterpret(x, w.signed) & w.signed.max
    infinity = ((1 << (f.word - 1 - f.fraction)) - 1) << f.fraction
    far = choose(size < infinity, value(reduce_large(x)), NAN)
    return rarely(size >= f.least << f.fraction, far, value(near(x)))


@cache
def _two_over_pi(digits: int) -> int:
    """The first ``digits`` binary places of 2/π as an integer: by Machin's formula for π."""
    scale = 1 << (digits + 64)

    def arctan_of_inverse(n: int) -> int:
        term = total = scale // n
        k = 1
        while term:
            term //= -(n * n)
            k += 2
            total += term // k
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return ((2 * scale) << digits) // pi


@cache
def _table(bits: int) -> tuple[int, ...]:
    """Words of 2/π. The window for the exponent ``least + s`` begins at the bit ``s``, and its
    first bit counts 2 quadrants: the bits before the binary point are 0."""
    f = _FORMATS[bits]
    before = f.fraction + 2 - (f.least - f.bias)
    last = (2 << (f.word - 2 - f.fraction)) - 1 - f.least  # of infinity
    count = last // f.word + 4
    length = count * f.word
    number = _two_over_pi(length - before)
    return tuple(number >> (length - f.word * (k + 1)) & ((1 << f.word) - 1) for k in range(count))


class _Words:
    """Arithmetic of unsigned words beside a float of type ``d``."""

    def __init__(self, d: DType):
        self.format = _FORMATS[d.bits]
        self.unsigned = dtype_of(f"uint{d.bits}").with_lanes(d.lanes)
        self.signed = dtype_of(f"int{d.bits}").with_lanes(d.lanes)
        self.float = d
        self.mask = (1 << self.format.half) - 1

    def const(self, value: int) -> Expr:
        """A constant in every lane."""
        word = const(value, self.unsigned.element)
        return word if self.unsigned.lanes == 1 else Broadcast(word, self.unsigned.lanes)

    def high(self, e: Expr) -> Expr:
        """The upper half of a word."""
        return e >> self.format.half

    def high_product(self, a: Expr, b: Expr) -> Expr:
        """The upper word of a product, from products of halves."""
        al, ah, bl, bh = a & self.mask, self.high(a), b & self.mask, self.high(b)
        middle = ah * bl + self.high(al * bl)
        other = al * bh + (middle & self.mask)
        return ah * bh + self.high(middle) + self.high(other)

    def number(self, e: Expr) -> Expr:
        """Half a word as a float, exactly."""
        return cast(Reinterpret(e, self.signed), self.float)

    def window(self, shift: Expr) -> list[Expr]:
        """Three words of the table, from the bit ``shift`` on."""
        width = self.format.word
        words: list[Expr] = [self.const(w) for w in _table(width)]
        stages = (len(words) - 4).bit_length()
        for stage in reversed(range(stages)):
            step = 1 << stage
            far = not_equal(shift & (step * width), 0)
            kept = 3 + step  # what the stages after this one may still ask for
            words = [
                Select(far, words[k + step], words[k]) if k + step < len(words) else words[k]
                for k in range(min(kept, len(words)))
            ]
        left = shift & (width - 1)
        right = left ^ (width - 1)
        return [(a << left) | ((b >> 1) >> right) for a, b in pairwise(words)]


def reduce_large(x: Expr) -> Angle:
    """``x`` modulo π/2, for finite |x| ≥ ``least``; some angle for any other."""
    w = _Words(x.dtype)
    f = w.format
    pattern = Reinterpret(x, w.unsigned)
    exponent = (pattern >> f.fraction) & ((1 << (f.word - 1 - f.fraction)) - 1)
    m = (pattern & ((1 << f.fraction) - 1)) | (1 << f.fraction)
    first, second, third = w.window(exponent - f.least)
    lower = m * second
    low = lower + w.high_product(m, third)
    high = m * first + w.high_product(m, second) + cast(low < lower, w.unsigned)
    # The nearest quadrant, and a fraction of either sign.
    quadrant = (high + (1 << (f.word - 3))) >> (f.word - 2)
    high = high - (quadrant << (f.word - 2))
    negative = Reinterpret(high, w.signed) < 0
    flip = choose(negative, w.const((1 << f.word) - 1), w.const(0))
    high, low = high ^ flip, low ^ flip
    # Half a word further where the first half of the fraction is 0.
    near = equal(w.high(high), 0)
    top = Select(near, (high << f.half) | w.high(low), high)
    rest = Select(near, low << f.half, low)
    leading = w.number(w.high(top))
    following = fma(w.number(w.high(rest)), 2.0**-f.half, w.number(top & w.mask)) * 2.0**-f.half
    a, b = f.half_pi
    exact = leading * a
    small = fma(leading, b, following * (a + b))
    r = exact + small
    lost = (exact - r) + small
    unit = 2.0 ** (2 - f.half)
    scale = choose(near, to_expr(unit * 2.0**-f.half, x.dtype), unit)
    backwards = not_equal(negative, x < 0.0)
    scale = choose(backwards, -scale, scale)
    turned = Select(x < 0.0, w.const(0) - quadrant, quadrant) & 3
    return Angle(r * scale, lost * scale, w.number(turned))
