"""float32 expansions of the transcendental intrinsics into arithmetic that every target has.

Each function maps expressions of type float32 (any number of lanes) to the expression of the
result, made of ``+ - * /``, comparisons, selects, integer operations on the bits, ``fma``,
``floor``, ``round`` and ``sqrt``. Nodes that are used several times are shared by identity; the
pass (``math.py``) binds them to variables. NaN stays NaN; infinities, signed zeros and subnormals
are right as in C's libm unless a docstring says otherwise.

The polynomials were fitted for this file: weighted least squares at 4000 Chebyshev nodes,
re-weighted until the largest relative error stops falling (Lawson 1961). Argument reductions are
Cody and Waite's (1980): the leading parts of the constants have so few bits that their products
are exact with and without fused multiply-add.
"""

from __future__ import annotations

from collections.abc import Callable

from ....runtime.dtype import FLOAT32, INT32, UINT32
from ...builders import equal, maximum, minimum
from ...expr import Expr, Reinterpret, Select, cast, to_expr
from ...intrin import call
from .forms import INF, LOG2E, NAN, angle_of_any, choose, fma, horner, power_of_any, sums_are_kept
from .large import Angle, of_angle

LN2 = 0.6931471805599453
LN2_HI, LN2_LO = 0.693145751953125, 1.428606765330187e-6
LN2_ABOVE, LN2_ABOVE_REST = 0.693359375, 0.0002122169616  # 10 bits; expm1(LN2_ABOVE - ln 2)
LOG10E_HI, LOG10E_LO = 0.434326171875, -3.168997174817235e-05  # 12 bits, the rest
LOG10_2_HI, LOG10_2_LO = 0.301025390625, 4.605038981195214e-06  # 12 bits, the rest
PI_2, PI_2_HI, PI_2_LO = 1.5707963267948966, 1.5707963705062866, -4.371138828673793e-08
# 1.5·2^23: adding it to |x| < 2^22 rounds x to an integer, which then stands in the low bits.
MAGIC, MAGIC_BITS = 12582912.0, 0x4B400000

EXP = (0.49999994, 0.16666515, 0.041668456, 0.008369419, 0.0013813142)
EXPM1 = (0.5, 0.16666667, 0.04166634, 0.008333271, 0.001394206, 0.00019915034)
EXP2 = (0.6931472, 0.2402265, 0.055504102, 0.009618035, 0.001333395, 0.00015468022, 1.5195023e-05)
LOG = (
    0.33333313, -0.2500001, 0.20002119, -0.16667996, 0.14219551, -0.12405591, 0.11888175,
    -0.11675641, 0.067466013,
)  # fmt: skip
TANH = (-0.3333333134651184, 0.13333206, -0.053946763, 0.0217007, -0.008177395, 0.0021429588)
ERF = (
    0.1283791670955126, -0.37612638, 0.11283782, -0.0268654, 0.0052209455, -0.0008482829,
    0.00011256948, -9.641515e-06,
)  # fmt: skip
ERFC = (
    0.00017587455, -1.1295208, -0.63333464, -0.10829394, 0.025128625, -0.004174643, 0.00043521888,
    -2.1161906e-05,
)  # fmt: skip
SIN = (-0.1666666716337204, 0.008333329111337662, -0.00019839256, 2.7175645e-06)
COS = (0.0416666679084301, -0.0013888883404433727, 2.4799372e-05, -2.7198627e-07)
ASIN = (0.1666666, 0.07500542, 0.044509359, 0.031873696, 0.014180132, 0.037891135)
ATAN = (-0.3333333134651184, 0.19999905, -0.14282016, 0.11044753, -0.08476409, 0.0474396)
SINH = (0.16666667, 0.008333333, 0.00019841296, 2.7552064e-06, 2.5529818e-08)
POW_LOG = (0.9617967, 0.5770779, 0.4122087, 0.31992105, 0.28275076)


def bits(x: Expr) -> Expr:
    """The bits as an int32."""
    return Reinterpret(x, INT32.with_lanes(x.dtype.lanes))


def float_of(i: Expr) -> Expr:
    """The float32 of these bits."""
    return Reinterpret(i, FLOAT32.with_lanes(i.dtype.lanes))


def with_sign(magnitude: Expr, x: Expr) -> Expr:
    """``magnitude`` ≥ 0 with the sign bit of ``x``."""
    d = UINT32.with_lanes(x.dtype.lanes)
    return float_of(Reinterpret(magnitude, d) | (Reinterpret(x, d) & 0x80000000))


def power_of_two(n: Expr) -> Expr:
    """2^n for integers -126 ≤ n ≤ 127."""
    return float_of((n + 127) << 23)


def scale(value: Expr, n: Expr) -> Expr:
    """``value``·2^n in two steps, so that subnormal results are rounded once and 2^128 is no
    overflow of the factor."""
    half = n >> 1
    return value * power_of_two(half) * power_of_two(n - half)


def nearest(x: Expr) -> tuple[Expr, Expr]:
    """The integer next to ``x`` as a float and as an int32, for |x| < 2^22."""
    if not sums_are_kept():
        n = call("round", x)
        return n, cast(n, INT32.with_lanes(x.dtype.lanes))
    shifted = x + MAGIC
    return shifted - MAGIC, bits(shifted) - MAGIC_BITS


def reduce_exp(x: Expr) -> tuple[Expr, Expr]:
    """``r, n`` with x = n ln 2 + r and |r| ≤ ln 2 / 2."""
    n, whole = nearest(x * LOG2E)
    return fma(n, -LN2_LO, fma(n, -LN2_HI, x)), whole


def exp(x: Expr) -> Expr:
    """By the polynomial of exp on |r| ≤ ln 2 / 2 and a scaling by 2^n; 0 below -104."""
    # What is rounded to zero anyway (masked scores in a softmax) is not computed as subnormal
    # numbers, which take many processors a hundred times as long.
    nothing = x < -104.0
    r, n = reduce_exp(minimum(choose(nothing, 0.0, x), 90.0))
    return choose(nothing, 0.0, scale(fma(r * r, horner(r, EXP), r) + 1.0, n))


def exp2(x: Expr) -> Expr:
    """As ``exp``, without a constant in the reduction."""
    x = minimum(maximum(x, -152.0), 130.0)
    n, whole = nearest(x)
    r = x - n
    return scale(fma(r, horner(r, EXP2), 1.0), whole)


def expm1(x: Expr) -> Expr:
    """2^(n - 1) (p + 1) - 1/2, doubled, with p = exp(r) - 1: no cancellation near 0."""
    r, n = reduce_exp(minimum(maximum(x, -20.0), 90.0))
    p = fma(r * r, horner(r, EXPM1), r)
    # Half of the result first: 2^128 would overflow although the result need not.
    n = minimum(n, 128)
    s = power_of_two(n - 1)
    value = fma(s, p, s - 0.5) * 2.0
    return choose(abs(x) < 2.0**-25, x, choose(x > 89.0, INF, value))


def _reduce_log(x: Expr) -> tuple[Expr, Expr]:
    """``f, e`` with x = (1 + f)·2^e and √½ ≤ 1 + f < √2, for finite x > 0."""
    tiny = x < 1.1754943508222875e-38
    x = choose(tiny, x * 33554432.0, x)
    i = bits(x) - 0x3F3504F3
    e = (i >> 23) - Select(tiny, to_expr(25, i.dtype), to_expr(0, i.dtype))
    f = float_of((i & 0x7FFFFF) + 0x3F3504F3) - 1.0
    return f, cast(e, "float32")


def _log_special(x: Expr, value: Expr) -> Expr:
    value = choose(x < INF, value, x)  # infinity and NaN are their own logarithms
    value = choose(equal(x, 0.0), -INF, value)
    return choose(x < 0.0, NAN, value)


def _log(x: Expr, correction: Expr | float) -> Expr:
    f, e = _reduce_log(x)
    square = f * f
    tail = fma(square * f, horner(f, LOG), fma(e, LN2_LO, correction))
    return fma(e, LN2_HI, f - fma(square, 0.5, -tail))


def log(x: Expr) -> Expr:
    """e ln 2 + log(1 + f), where the leading part of ln 2 is exact in the product."""
    return _log_special(x, _log(x, 0.0))


def log2(x: Expr) -> Expr:
    """e + log(1 + f) log2(e), whose factors are products of leading parts and rests."""
    f, e = _reduce_log(x)
    square = f * f
    rest = fma(square * f, horner(f, LOG), square * -0.5)  # log(1 + f) - f
    # f·log2(e) in two parts: the rounding of the leading product must not show near x = 1.
    tail = fma(rest, LOG2E, f * (LOG2E - 1.4423828125))
    high = float_of(bits(f) & -4096)
    tail = tail + (f - high) * 1.4423828125
    lead = high * 1.4423828125
    total = e + lead
    return _log_special(x, total + ((e - total) + lead + tail))


def log10(x: Expr) -> Expr:
    """e log10(2) + log(1 + f) log10(e), in products of leading parts and rests."""
    f, e = _reduce_log(x)
    square = f * f
    rest = fma(square * f, horner(f, LOG), square * -0.5)  # log(1 + f) - f
    high = float_of(bits(f) & -4096)
    lead = high * LOG10E_HI
    tail = fma(rest + f, LOG10E_LO, (rest + (f - high)) * LOG10E_HI)
    most = e * LOG10_2_HI
    total = most + lead
    return _log_special(x, total + ((most - total) + lead + fma(e, LOG10_2_LO, tail)))


def log1p(x: Expr) -> Expr:
    """log u with u = x + 1, corrected by what rounding u lost."""
    if not sums_are_kept():
        return _log1p_without_differences(x)
    u = x + 1.0
    lost = choose(abs(x) < 16777216.0, x - (u - 1.0), 0.0)
    correction = choose(equal(u, 0.0), 0.0, lost / u)
    return choose(equal(u, 1.0), x, _log_special(u, _log(u, correction)))


def _log1p_without_differences(x: Expr) -> Expr:
    """Near 0 the series of 2 atanh(x / (2 + x)), which makes up for no rounding."""
    s = x / (x + 2.0)
    z = s * s
    twice = s + s
    near = fma(twice * z, horner(z, [1 / n for n in (3, 5, 7, 9, 11, 13)]), twice)
    return choose((x > -0.35) & (x < 0.5), near, log(x + 1.0))


def tanh(x: Expr) -> Expr:
    """Odd polynomial below 0.625, beyond 1 - 2 / (exp(2|x|) + 1)."""
    a = abs(x)
    z = x * x
    small = fma(a * z, horner(z, TANH), a)
    large = 1.0 - 2.0 / (_exp_mid(minimum(a, 9.5) * 2.0) + 1.0)
    return with_sign(choose(a < 0.625, small, large), x)


def _exp_mid(x: Expr) -> Expr:
    """exp for |x| ≤ 87: one scaling step, nothing to clamp."""
    r, n = reduce_exp(x)
    return (fma(r * r, horner(r, EXP), r) + 1.0) * power_of_two(n)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e) or e / (1 + e) with e = exp(-|x|): never overflows."""
    e = exp(-abs(x))
    s = 1.0 / (e + 1.0)
    return choose(x < 0.0, e * s, s)


def erf(x: Expr) -> Expr:
    """Odd polynomial below 0.95; beyond, 1 - exp(Q(|x|)) with Q = log erfc, fitted to 4."""
    a = abs(x)
    z = x * x
    # Near 0 one product: a part of x may be no normal number, and be taken for 0, where x is one.
    small = choose(a < 2.0**-60, x * 1.1283791670955126, fma(x, horner(z, ERF), x))
    large = 1.0 - _exp_mid(horner(minimum(a, 4.0), ERFC))
    return choose(a < 0.95, small, with_sign(large, x))


def _reduce_trig(x: Expr) -> Angle:
    """The angle for |x| up to 2^13. π/2 in four parts, the first two of so few bits that products
    with n are exact."""
    n = call("round", x * (1 / PI_2))
    r = fma(n, -1.5703125, x)
    r = fma(n, -0.0004837512969970703, r)
    # So far nothing was rounded. The third part may cancel or may round; what a rounding loses is
    # given back together with the last part.
    third = n * 7.549533620476723e-08
    near = r - third
    r = near + (((r - near) - third) - n * 2.5633440682570896e-12)
    q = fma(call("floor", n * 0.25), -4.0, n)
    return Angle(minimum(maximum(r, -0.79), 0.79), to_expr(0.0, x.dtype), q)


def _sin_cos(angle: Angle) -> tuple[Expr, Expr]:
    r = angle.r
    z = r * r
    s = fma(r * z, horner(z, SIN), r)
    # 1 - z/2 with the rounding error of the difference given back.
    half = z * 0.5
    w = 1.0 - half
    return s, w + (((1.0 - w) - half) + z * z * horner(z, COS))


def sin(x: Expr) -> Expr:
    """±sin r or ±cos r by the quadrant; -0.0 stays -0.0."""

    def value(angle: Angle) -> Expr:
        s, c = _sin_cos(angle)
        size = choose(equal(angle.q, 1.0) | equal(angle.q, 3.0), c, s)
        return choose(angle.q >= 2.0, -size, size)

    return choose(equal(x, 0.0), x, of_angle(x, _reduce_trig, value))


def cos(x: Expr) -> Expr:
    """±cos r or ±sin r by the quadrant."""

    def value(angle: Angle) -> Expr:
        s, c = _sin_cos(angle)
        size = choose(equal(angle.q, 1.0) | equal(angle.q, 3.0), s, c)
        return choose(equal(angle.q, 1.0) | equal(angle.q, 2.0), -size, size)

    return of_angle(x, _reduce_trig, value)


def tan(x: Expr) -> Expr:
    """sin r / cos r or -cos r / sin r by the quadrant; -0.0 stays -0.0."""

    def value(angle: Angle) -> Expr:
        s, c = _sin_cos(angle)
        return choose(equal(angle.q, 1.0) | equal(angle.q, 3.0), -c / s, s / c)

    return choose(equal(x, 0.0), x, of_angle(x, _reduce_trig, value))


def _asin_small(x: Expr) -> Expr:
    """asin for |x| ≤ ½."""
    z = x * x
    return fma(x * z, horner(z, ASIN), x)


def asin(x: Expr) -> Expr:
    """Polynomial to ½; beyond, π/2 - 2 asin √((1 - |x|)/2)."""
    a = abs(x)
    inner = _asin_small(call("sqrt", fma(a, -0.5, 0.5)))
    large = (PI_2_HI - 2.0 * inner) + PI_2_LO
    return choose(a <= 0.5, _asin_small(x), with_sign(large, x))


def acos(x: Expr) -> Expr:
    """From the same two forms as ``asin``, reflected for negative x."""
    a = abs(x)
    inner = 2.0 * _asin_small(call("sqrt", fma(a, -0.5, 0.5)))
    middle = PI_2_HI - (_asin_small(x) - PI_2_LO)
    left = (2 * PI_2_HI - inner) + 2 * PI_2_LO
    return choose(a <= 0.5, middle, choose(x < 0.0, left, inner))


def atan(x: Expr) -> Expr:
    """atan a = π/2 + atan(-1/a) = π/4 + atan((a - 1)/(a + 1))."""
    a = abs(x)
    far, near = a > 2.414213562373095, a > 0.41421356237309503
    t = choose(far, -1.0 / a, choose(near, (a - 1.0) / (a + 1.0), a))
    t = choose(equal(a, INF), 0.0, t)
    z = t * t
    value = fma(t * z, horner(z, ATAN), t)
    low = choose(far, PI_2_LO, choose(near, PI_2_LO / 2, to_expr(0.0, a.dtype)))
    high = choose(far, PI_2_HI, choose(near, PI_2_HI / 2, to_expr(0.0, a.dtype)))
    return with_sign(high + (value + low), x)


def atan2(y: Expr, x: Expr) -> Expr:
    """From ``atan`` of a quotient up to 1."""
    return angle_of_any(y, x, atan, (PI_2_HI, PI_2_LO), 2.0**60)


def _half_exp(a: Expr) -> Expr:
    """exp(a) / 2 for a ≥ 0, infinite only where the result is: a few bits that are more than ln 2
    are taken off the argument, exactly, and the rest is given back as a factor above 1."""
    e = exp(a - LN2_ABOVE)
    return fma(e, LN2_ABOVE_REST, e)


def sinh(x: Expr) -> Expr:
    """Odd polynomial below 1, beyond (exp(a) - exp(-a)) / 2 with the sign of x."""
    a = abs(x)
    z = x * x
    small = fma(x * z, horner(z, SINH), x)
    e = _half_exp(a)
    return choose(a < 1.0, small, with_sign(e - 0.25 / e, x))


def cosh(x: Expr) -> Expr:
    """(exp(a) + exp(-a)) / 2, infinite only where the result is."""
    e = _half_exp(abs(x))
    return e + 0.25 / e


def asinh(x: Expr) -> Expr:
    """log1p(a + a²/(√(a² + 1) + 1)); log 2a where 1 no longer counts beside a²."""
    a = abs(x)
    b = minimum(a, 4096.0)
    z = b * b
    middle = log1p(b + z / (call("sqrt", z + 1.0) + 1.0))
    return with_sign(choose(a <= 4096.0, middle, log(a) + LN2), x)


def acosh(x: Expr) -> Expr:
    """log1p(t + √(2t + t²)) with t = x - 1; log 2x for large x; NaN below 1."""
    t = minimum(x, 4096.0) - 1.0
    middle = log1p(t + call("sqrt", fma(t, t, t * 2.0)))
    return choose(x < 1.0, NAN, choose(x <= 4096.0, middle, log(x) + LN2))


def atanh(x: Expr) -> Expr:
    """½ log1p(2a / (1 - a)) with the sign of x."""
    a = abs(x)
    return with_sign(0.5 * log1p(2.0 * a / (1.0 - a)), x)


def _opaque(x: Expr) -> Expr:
    """``x``, which no compiler looks into: where sums are reordered, its last bit goes, so that
    what is left of a sum less ``x`` is computed as written."""
    return x if sums_are_kept() else float_of(bits(x) & -2)


def _product(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a·b and its rounding error, exactly (Dekker 1971, split by masking the low 12 bits)."""
    p = _opaque(a * b)
    ah, bh = float_of(bits(a) & -4096), float_of(bits(b) & -4096)
    al, bl = a - ah, b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _sum(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a + b and its rounding error for |a| ≥ |b| or a = 0."""
    s = _opaque(a + b)
    return s, b - (s - a)


def _log2_pair(x: Expr) -> tuple[Expr, Expr]:
    """log2 of finite x > 0 as an unevaluated sum, relative error about 2^-31."""
    f, e = _reduce_log(x)
    g = _opaque(f + 2.0)
    g_low = f - (g - 2.0)
    s = f / g
    p, err = _product(s, g)
    s_low = ((f - p) - err - s * g_low) / g
    z = s * s
    high, err = _product(s, to_expr(2.885390043258667, s.dtype))
    tail = fma(s * z, horner(z, POW_LOG), fma(s_low, 2.885390043258667, s * 3.85192597818218e-08))
    high, low = _sum(high, err + tail)
    total, rest = _sum(e, high)
    return _sum(total, rest + low)


def _power(a: Expr, y: Expr) -> Expr:
    """a^y for finite a > 0."""
    high, low = _log2_pair(a)
    # Beyond 2^60 every power of a number other than 1 is 0 or infinite.
    bounded = minimum(maximum(y, -(2.0**60)), 2.0**60)
    p, err = _product(bounded, high)
    err = fma(bounded, low, err)
    inside = abs(p) < 160.0
    p = minimum(maximum(p, -160.0), 160.0)
    n, whole = nearest(p)
    r = (p - n) + choose(inside, err, 0.0)
    return scale(fma(r, horner(r, EXP2), 1.0), whole)


def pow_(x: Expr, y: Expr) -> Expr:
    """x^y with C's rules for signs, zeros, infinities and NaN."""
    return power_of_any(x, y, _power, with_sign)


EXPANSIONS: dict[str, Callable[..., Expr]] = {
    "exp": exp, "exp2": exp2, "expm1": expm1, "log": log, "log2": log2, "log10": log10,
    "log1p": log1p,
    "tanh": tanh, "sigmoid": sigmoid, "erf": erf, "sin": sin, "cos": cos, "tan": tan, "asin": asin,
    "acos": acos, "atan": atan, "sinh": sinh, "cosh": cosh, "asinh": asinh, "acosh": acosh,
    "atanh": atanh, "atan2": atan2, "pow": pow_,
    "rsqrt": lambda x: 1.0 / call("sqrt", x),
}  # fmt: skip
