"""What the expansions of every width are made of, and the rules of powers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ....runtime.dtype import DType
from ...builders import equal
from ...expr import Expr, Reinterpret, Select, to_expr
from ...intrin import call

# Whether the compiler of the target takes x + c - c for x.
_reorders: ContextVar[bool] = ContextVar("reorders", default=False)

INF, NAN = float("inf"), float("nan")
LOG2E = 1.4426950408889634


@contextmanager
def sums_reordered(reordered: bool) -> Iterator[None]:
    """Expansions made inside do not rely on the rounding of sums if ``reordered``: the compiler of
    the target treats them as if they were associative, as drivers of graphics cards do."""
    token = _reorders.set(reordered)
    try:
        yield
    finally:
        _reorders.reset(token)


def sums_are_kept() -> bool:
    """Whether ``x + c - c`` rounds ``x``."""
    return not _reorders.get()


def fma(a: Expr, b: Expr | float, c: Expr | float) -> Expr:
    """``a * b + c``, rounded once or twice, as the target has it."""
    return call("fma", a, to_expr(b, a.dtype), to_expr(c, a.dtype))


def horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    """``c0 + c1 x + c2 x² + …``"""
    value: Expr = to_expr(coefficients[-1], x.dtype)
    for c in reversed(coefficients[:-1]):
        value = fma(value, x, c)
    return value


def choose(cond: Expr, a: Expr | float, b: Expr | float) -> Expr:
    """``a`` where ``cond`` holds, else ``b``; a plain number takes the type of the other."""
    like = a.dtype if isinstance(a, Expr) else b.dtype if isinstance(b, Expr) else None
    return Select(cond, to_expr(a, like), to_expr(b, like))


def rarely(cond: Expr, rare: Expr, usual: Expr) -> Expr:
    """``rare`` in the lanes where ``cond`` holds, else ``usual``, at the cost of a branch where it
    holds in no lane. The pass (``math.py``) makes a statement of it: what only ``rare`` needs is
    not computed then."""
    return Select(call("any", cond), Select(cond, rare, usual), usual)


def angle_of_any(
    y: Expr,
    x: Expr,
    atan: Callable[[Expr], Expr],
    half_pi: tuple[float, float],
    edge: float,
) -> Expr:
    """The angle of the point (x, y) by C's rules for signs, zeros, infinities and NaN, where
    ``atan`` is right for 0 ≤ t ≤ 1. ``half_pi`` is π/2 in two parts. The lesser coordinate over the
    greater is the tangent of an angle up to π/4; beyond ``edge`` and below its inverse both are
    scaled, as the inverse of the greater may not be a normal number."""
    across, up = abs(x), abs(y)
    steep = up > across
    least, most = choose(steep, across, up), choose(steep, up, across)
    factor = choose(most > edge, 1 / edge, choose(most < 1 / edge, edge, to_expr(1.0, x.dtype)))
    t = (least * factor) / choose(equal(most, 0.0), 1.0, most * factor)
    t = choose(equal(least, INF), 1.0, choose(equal(most, INF), 0.0, t))
    angle, (high, low) = atan(t), half_pi
    angle = choose(steep, high - (angle - low), angle)
    angle = choose(_sign_bit(x), 2 * high - (angle - 2 * low), angle)
    angle = choose(_sign_bit(y), -angle, angle)
    return choose(call("isnan", x) | call("isnan", y), NAN, angle)


def _sign_bit(x: Expr) -> Expr:
    """Whether a number is negative or -0.0."""
    return Reinterpret(x, DType("int", x.dtype.bits, x.dtype.lanes)) < 0


def power_of_any(
    x: Expr,
    y: Expr,
    power: Callable[[Expr, Expr], Expr],
    with_sign: Callable[[Expr, Expr], Expr],
) -> Expr:
    """x^y by C's rules for signs, zeros, infinities and NaN, where ``power`` is right for finite
    x > 0, and ``with_sign(magnitude, x)`` takes over the sign of x."""
    a, grows = abs(x), y > 0.0
    value = power(a, y)
    nought, infinite = to_expr(0.0, y.dtype), to_expr(INF, y.dtype)
    value = choose(equal(a, INF), choose(grows, infinite, nought), value)
    value = choose(equal(a, 0.0), choose(grows, nought, infinite), value)
    half = y * 0.5
    whole_y = equal(call("floor", y), y)
    odd = whole_y & ~equal(call("floor", half), half)
    value = choose(odd, with_sign(value, x), value)
    value = choose((x < 0.0) & ~whole_y & (a < INF), NAN, value)
    value = choose(call("isnan", x) | call("isnan", y), NAN, value)
    return choose(equal(y, 0.0) | equal(x, 1.0), 1.0, value)
