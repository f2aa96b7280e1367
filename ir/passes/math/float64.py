"""float64 expansions of the transcendental intrinsics, as ``float32.py`` has them for float32.

The same rules hold: only arithmetic, bits, selects, ``fma`` (which may round twice), ``round``,
``floor`` and ``sqrt``; NaN stays NaN; infinities, signed zeros and subnormals as in C's libm. The
largest errors are in ``bounds.py``.

Sources. Argument reductions: Cody and Waite, *Software Manual for the Elementary Functions* (1980).
The forms of ``log``, ``log2`` and ``tanh`` and the three parts of π/2 are those of Sun's fdlibm
(e_log.c, e_rem_pio2.c, s_tanh.c; FreeBSD's e_log2.c). Products and sums in two parts: Dekker,
*A floating-point technique for extending the available precision* (1971). The polynomials were
fitted for this file in 50 digits: interpolation at Chebyshev nodes, for ``ERFC`` least squares
re-weighted by Lawson's method.
"""

from __future__ import annotations

from collections.abc import Callable

from ....runtime.dtype import FLOAT64, INT64, UINT64
from ...builders import equal, maximum, minimum
from ...expr import Expr, Reinterpret, cast, to_expr
from ...intrin import call
from .forms import INF, LOG2E, NAN, angle_of_any, choose, fma, horner, power_of_any, sums_are_kept
from .large import Angle, of_angle

LN2_ABOVE, LN2_ABOVE_REST = 0.693359375, 0.00021221695488736492  # 10 bits; expm1(LN2_ABOVE - ln 2)
LN2_HI, LN2_LO = 0.6931471803691238, 1.9082149292705877e-10  # 32 bits, the rest
LOG2E_HI, LOG2E_LO = 1.4426950216293335, 1.9259629911266175e-08  # 26 bits, the rest
LOG10E_HI, LOG10E_LO = 0.4342944845557213, -2.6524694553078553e-09  # 26 bits, the rest
LOG10_2_HI, LOG10_2_LO = 0.3010299956640665, -8.532344317057107e-14  # 40 bits, the rest
PI_2, PI_2_REST = 1.5707963267948966, 6.123233995736766e-17
# π/2 in three parts of 33 bits and a rest: products with integers below 2^20 are exact.
PI_2_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21,
              8.478427660348229e-32)  # fmt: skip
# 1.5·2^52: adding it to |x| < 2^51 rounds x to an integer, which then stands in the low bits.
MAGIC, MAGIC_BITS = 6755399441055744.0, 0x4338000000000000
SQRT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½
LOW_HALF = -(1 << 27)  # this mask leaves 26 bits: products of two such numbers are exact

EXP = (
    0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326025, 0.001388888888888367,
    0.00019841269875205077, 2.4801587325822283e-05, 2.75572549134867e-06, 2.7557273295539724e-07,
    2.5105419192016337e-08, 2.091483135138041e-09,
)  # fmt: skip
EXP2 = (
    0.6931471805599453, 0.24022650695910072, 0.055504108664821625, 0.00961812910762848,
    0.0013333558146406117, 0.00015403530393370558, 1.5252733842009231e-05, 1.3215486808928519e-06,
    1.0178056855501161e-07, 7.054897189206508e-09, 4.455859112330208e-10, 2.572952812566595e-11,
)  # fmt: skip
LOG = (
    0.6666666666666666, 0.4000000000000094, 0.2857142857076445, 0.2222222240054776,
    0.181817947008978, 0.15386290534658992, 0.13267418596474884, 0.1310072138350349,
)  # fmt: skip
POW_LOG = (
    0.5770780163555853, 0.4121985831111447, 0.3205988979666479, 0.26230819158246166,
    0.22195277643195818, 0.19238122373627514, 0.1688677656898634, 0.1693120766361975,
)  # fmt: skip
ERF = (
    0.12837916709551256, -0.37612638903183543, 0.11283791670945006, -0.02686617064323777,
    0.0052239776071164225, -0.0008548325975389692, 0.00012055294904839707, -1.492473690741966e-05,
    1.6447424703317362e-06, -1.6208483801871705e-07, 1.3720064546777686e-08,
    -7.795898827002142e-10,
)  # fmt: skip
ERFC = (
    -5.228052006794592e-07, -1.1283739004990574, -0.6366444589483077, -0.1027011876660448,
    0.018985966214286564, 0.0004163992822730672, -0.0019219381797440267, 0.000775464634800498,
    -0.00013808951142341326, -1.8756872885587583e-05, 2.2231460304776426e-05,
    -8.485885248885568e-06, 2.0926516172297535e-06, -3.6556632680851436e-07, 4.54051127162407e-08,
    -3.841951213986276e-09, 1.993425526845158e-10, -4.79524469630553e-12,
)  # fmt: skip
SIN = (
    -0.16666666666666666, 0.008333333333330925, -0.00019841269836722418, 2.755731608381636e-06,
    -2.5051127944014188e-08, 1.5917848524808262e-10,
)  # fmt: skip
COS = (
    0.041666666666666664, -0.0013888888888887382, 2.480158729874307e-05, -2.7557317260008837e-07,
    2.0876143827793133e-09, -1.1382456778061306e-11,
)  # fmt: skip
ASIN = (
    0.16666666666666669, 0.07499999999998433, 0.04464285714635543, 0.030381944138531247,
    0.02237217294214989, 0.017352392720869973, 0.013971212973552933, 0.011479177415184906,
    0.01032281435018578, 0.005457506718640358, 0.01740087944269402, -0.014851887071247204,
    0.028757851367421566,
)  # fmt: skip
ATAN = (
    -0.3333333333333333, 0.1999999999999549, -0.1428571428466014, 0.11111111014741562,
    -0.09090904557214267, 0.0769218270524632, -0.06664504610032648, 0.05858089538610203,
    -0.050851391487066376, 0.03922268882347632, -0.0191659065063043,
)  # fmt: skip
SINH = (
    0.16666666666666666, 0.008333333333333299, 0.00019841269841324198, 2.7557319191381816e-06,
    2.5052117695907823e-08, 1.6057679623801638e-10, 7.746178593018827e-13,
)  # fmt: skip


def bits(x: Expr) -> Expr:
    """The bits as an int64."""
    return Reinterpret(x, INT64.with_lanes(x.dtype.lanes))


def float_of(i: Expr) -> Expr:
    """The float64 of these bits."""
    return Reinterpret(i, FLOAT64.with_lanes(i.dtype.lanes))


def with_sign(magnitude: Expr, x: Expr) -> Expr:
    """``magnitude`` ≥ 0 with the sign bit of ``x``."""
    d = UINT64.with_lanes(x.dtype.lanes)
    return float_of(Reinterpret(magnitude, d) | (Reinterpret(x, d) & (1 << 63)))


def power_of_two(n: Expr) -> Expr:
    """2^n for integers -1022 ≤ n ≤ 1023."""
    return float_of((n + 1023) << 52)


def scale(value: Expr, n: Expr) -> Expr:
    """``value``·2^n in two steps, so that subnormal results are rounded once and 2^1024 is no
    overflow of the factor."""
    half = n >> 1
    return value * power_of_two(half) * power_of_two(n - half)


def nearest(x: Expr) -> tuple[Expr, Expr]:
    """The integer next to ``x`` as a float and as an int64, for |x| < 2^51."""
    if not sums_are_kept():
        n = call("round", x)
        return n, cast(n, INT64.with_lanes(x.dtype.lanes))
    shifted = x + MAGIC
    return shifted - MAGIC, bits(shifted) - MAGIC_BITS


def small_int(i: Expr) -> Expr:
    """An int64 below 2^51 as a float, without the conversion that many processors lack."""
    return float_of(i + MAGIC_BITS) - MAGIC


def zero(x: Expr) -> Expr:
    """0 in the type of ``x``."""
    return to_expr(0.0, x.dtype)


# -- exponentials -------------------------------------------------------------------------------


def reduce_exp(x: Expr) -> tuple[Expr, Expr]:
    """``r, n`` with x = n ln 2 + r and |r| ≤ ln 2 / 2."""
    n, whole = nearest(x * LOG2E)
    return fma(n, -LN2_LO, fma(n, -LN2_HI, x)), whole


def exp(x: Expr) -> Expr:
    """By the polynomial of exp on |r| ≤ ln 2 / 2 and a scaling by 2^n."""
    r, n = reduce_exp(minimum(maximum(x, -746.0), 710.0))
    return scale(fma(r * r, horner(r, EXP), r) + 1.0, n)


def exp2(x: Expr) -> Expr:
    """As ``exp``, without a constant in the reduction."""
    x = minimum(maximum(x, -1076.0), 1025.0)
    n, whole = nearest(x)
    r = x - n
    return scale(fma(r, horner(r, EXP2), 1.0), whole)


def expm1(x: Expr) -> Expr:
    """2^(n - 1) (p + 1) - 1/2, doubled, with p = exp(r) - 1: no cancellation near 0."""
    r, n = reduce_exp(minimum(maximum(x, -40.0), 710.0))
    p = fma(r * r, horner(r, EXP), r)
    # Half of the result first: 2^1024 would overflow although the result need not.
    s = power_of_two(n - 1)
    value = fma(s, p, s - 0.5) * 2.0
    return choose(abs(x) < 2.0**-54, x, value)


def tanh(x: Expr) -> Expr:
    """With t = expm1(±2|x|): 1 - 2/(t + 2) from 1 on, -t/(t + 2) below."""
    a = abs(x)
    big = a >= 1.0
    double = minimum(a, 22.0) * 2.0
    t = expm1(choose(big, double, -double))
    q = choose(big, to_expr(2.0, x.dtype), -t) / (t + 2.0)
    return with_sign(choose(big, 1.0 - q, abs(q)), x)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e) or e / (1 + e) with e = exp(-|x|): never overflows."""
    e = exp(-abs(x))
    return choose(x < 0.0, e, to_expr(1.0, x.dtype)) / (e + 1.0)


def erf(x: Expr) -> Expr:
    """Odd polynomial below 1; beyond, 1 - exp(Q(|x|)) with Q = log erfc, fitted to 6."""
    a = abs(x)
    small = fma(x, horner(x * x, ERF), x)
    large = 1.0 - exp(horner(minimum(a, 6.0), ERFC))
    return choose(a < 1.0, small, with_sign(large, x))


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


# -- logarithms ---------------------------------------------------------------------------------


def _reduce_log(x: Expr) -> tuple[Expr, Expr]:
    """``f, e`` with x = (1 + f)·2^e and √½ ≤ 1 + f < √2, for finite x > 0."""
    tiny = x < 2.2250738585072014e-308
    i = bits(choose(tiny, x * 2.0**54, x)) - SQRT_HALF
    f = float_of((i & 0xFFFFFFFFFFFFF) + SQRT_HALF) - 1.0
    return f, small_int(i >> 52) - choose(tiny, to_expr(54.0, x.dtype), 0.0)


def _log_special(x: Expr, value: Expr) -> Expr:
    value = choose(x < INF, value, x)  # infinity and NaN are their own logarithms
    value = choose(equal(x, 0.0), -INF, value)
    return choose(x < 0.0, NAN, value)


def _log_tail(f: Expr) -> tuple[Expr, Expr]:
    """``h, t`` with log(1 + f) = f - (h - t), h = f²/2."""
    s = f / (f + 2.0)
    z = s * s
    h = f * f * 0.5
    return h, s * fma(z, horner(z, LOG), h)


def _log(x: Expr, correction: Expr | float) -> Expr:
    f, e = _reduce_log(x)
    h, t = _log_tail(f)
    return fma(e, LN2_HI, f - (h - (t + fma(e, LN2_LO, correction))))


def log(x: Expr) -> Expr:
    """e ln 2 + log(1 + f), where the leading part of ln 2 is exact in the product."""
    return _log_special(x, _log(x, 0.0))


def log2(x: Expr) -> Expr:
    """e + log(1 + f) log2(e), both factors in two parts."""
    f, e = _reduce_log(x)
    h, t = _log_tail(f)
    # log(1 + f) in two parts, times log2(e) in two parts.
    high = float_of(bits(f - h) & LOW_HALF)
    low = ((f - high) - h) + t
    lead = high * LOG2E_HI
    tail = fma(low + high, LOG2E_LO, low * LOG2E_HI)
    total = e + lead
    return _log_special(x, total + ((e - total) + lead + tail))


def log10(x: Expr) -> Expr:
    """e log10(2) + log(1 + f) log10(e), all factors in two parts."""
    f, e = _reduce_log(x)
    h, t = _log_tail(f)
    high = float_of(bits(f - h) & LOW_HALF)
    low = ((f - high) - h) + t
    lead = high * LOG10E_HI
    tail = fma(low + high, LOG10E_LO, low * LOG10E_HI)
    most = e * LOG10_2_HI
    total = most + lead
    return _log_special(x, total + ((most - total) + lead + fma(e, LOG10_2_LO, tail)))


def log1p(x: Expr) -> Expr:
    """log u with u = x + 1, corrected by what rounding u lost."""
    u = x + 1.0
    lost = choose(abs(x) < 2.0**53, x - (u - 1.0), 0.0)
    correction = choose(equal(u, 0.0), 0.0, lost / u)
    return choose(equal(u, 1.0), x, _log_special(u, _log(u, correction)))


def asinh(x: Expr) -> Expr:
    """log1p(a + a²/(√(a² + 1) + 1)); log 2a where 1 no longer counts beside a²."""
    a = abs(x)
    b = minimum(a, 2.0**28)
    z = b * b
    middle = log1p(b + z / (call("sqrt", z + 1.0) + 1.0))
    return with_sign(choose(a <= 2.0**28, middle, log(a) + (LN2_HI + LN2_LO)), x)


def acosh(x: Expr) -> Expr:
    """log1p(t + √(2t + t²)) with t = x - 1; log 2x for large x; NaN below 1."""
    t = minimum(x, 2.0**28) - 1.0
    middle = log1p(t + call("sqrt", fma(t, t, t * 2.0)))
    value = choose(x <= 2.0**28, middle, log(x) + (LN2_HI + LN2_LO))
    return choose(x < 1.0, NAN, value)


def atanh(x: Expr) -> Expr:
    """½ log1p(2a / (1 - a)) with the sign of x."""
    a = abs(x)
    return with_sign(0.5 * log1p(2.0 * a / (1.0 - a)), x)


# -- trigonometry -------------------------------------------------------------------------------


def _reduce_trig(x: Expr) -> Angle:
    """The angle for |x| up to 2^20."""
    n = call("round", x * (1 / PI_2))
    a, b, c, d = PI_2_PARTS
    first = fma(n, -a, x)
    # So far nothing was rounded. What the next difference loses goes to the lower part.
    second = n * b
    near = first - second
    rest = ((first - near) - second) - fma(n, d, n * c)
    r = near + rest
    low = (near - r) + rest
    inside = abs(r) <= 0.7854
    r = choose(inside, r, minimum(maximum(r, -0.7854), 0.7854))
    q = fma(call("floor", n * 0.25), -4.0, n)
    return Angle(r, choose(inside, low, 0.0), minimum(maximum(q, 0.0), 3.0))


def _sin_cos(angle: Angle) -> tuple[Expr, Expr]:
    r, low = angle.r, angle.low
    z = r * r
    half = z * 0.5
    s = r + fma(r * z, horner(z, SIN), low * (1.0 - half))
    w = 1.0 - half
    return s, w + (((1.0 - w) - half) + (z * z * horner(z, COS) - r * low))


def sin(x: Expr) -> Expr:
    """±sin or ±cos of the reduced argument by the quadrant; -0.0 stays -0.0."""

    def value(angle: Angle) -> Expr:
        s, c = _sin_cos(angle)
        size = choose(equal(angle.q, 1.0) | equal(angle.q, 3.0), c, s)
        return choose(angle.q >= 2.0, -size, size)

    return choose(equal(x, 0.0), x, of_angle(x, _reduce_trig, value))


def cos(x: Expr) -> Expr:
    """±cos or ±sin of the reduced argument by the quadrant."""

    def value(angle: Angle) -> Expr:
        s, c = _sin_cos(angle)
        size = choose(equal(angle.q, 1.0) | equal(angle.q, 3.0), s, c)
        return choose(equal(angle.q, 1.0) | equal(angle.q, 2.0), -size, size)

    return of_angle(x, _reduce_trig, value)


def tan(x: Expr) -> Expr:
    """sin / cos or -cos / sin of the reduced argument by the quadrant; -0.0 stays -0.0."""

    def value(angle: Angle) -> Expr:
        s, c = _sin_cos(angle)
        swap = equal(angle.q, 1.0) | equal(angle.q, 3.0)
        return choose(swap, -c, s) / choose(swap, s, c)

    return choose(equal(x, 0.0), x, of_angle(x, _reduce_trig, value))


def _asin_small(x: Expr) -> Expr:
    """asin for |x| ≤ ½."""
    z = x * x
    return fma(x * z, horner(z, ASIN), x)


def asin(x: Expr) -> Expr:
    """Polynomial to ½; beyond, π/2 - 2 asin √((1 - |x|)/2)."""
    a = abs(x)
    inner = _asin_small(call("sqrt", fma(a, -0.5, 0.5)))
    large = (PI_2 - 2.0 * inner) + PI_2_REST
    return choose(a <= 0.5, _asin_small(x), with_sign(large, x))


def acos(x: Expr) -> Expr:
    """From the same two forms as ``asin``, reflected for negative x."""
    a = abs(x)
    inner = 2.0 * _asin_small(call("sqrt", fma(a, -0.5, 0.5)))
    middle = PI_2 - (_asin_small(x) - PI_2_REST)
    left = (2 * PI_2 - inner) + 2 * PI_2_REST
    return choose(a <= 0.5, middle, choose(x < 0.0, left, inner))


def atan(x: Expr) -> Expr:
    """atan a = π/2 + atan(-1/a) = π/4 + atan((a - 1)/(a + 1))."""
    a = abs(x)
    far, near = a > 2.414213562373095, a > 0.41421356237309503
    one = to_expr(1.0, a.dtype)
    t = choose(far, -1.0, choose(near, a - 1.0, a)) / choose(far, a, choose(near, a + 1.0, one))
    z = t * t
    value = fma(t * z, horner(z, ATAN), t)
    low = choose(far, PI_2_REST, choose(near, PI_2_REST / 2, zero(a)))
    high = choose(far, PI_2, choose(near, PI_2 / 2, zero(a)))
    return with_sign(high + (value + low), x)


def atan2(y: Expr, x: Expr) -> Expr:
    """From ``atan`` of a quotient up to 1."""
    return angle_of_any(y, x, atan, (PI_2, PI_2_REST), 2.0**500)


# -- powers -------------------------------------------------------------------------------------


def _product(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a·b and its rounding error, exactly (Dekker 1971, split by masking the low 27 bits)."""
    p = a * b
    ah, bh = float_of(bits(a) & LOW_HALF), float_of(bits(b) & LOW_HALF)
    al, bl = a - ah, b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _sum(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a + b and its rounding error for |a| ≥ |b| or a = 0."""
    s = a + b
    return s, b - (s - a)


def _log2_pair(x: Expr) -> tuple[Expr, Expr]:
    """log2 of finite x > 0 as an unevaluated sum, relative error below 2^-63: with
    s = f/(2 + f), z = s², it is e + s (2/ln 2 + z (2/(3 ln 2) + z Q(z))), the first two terms in
    two parts."""
    f, e = _reduce_log(x)
    d = x.dtype
    g = f + 2.0
    g_low = f - (g - 2.0)
    s = f / g
    p, err = _product(s, g)
    s_low = ((f - p) - err - s * g_low) / g
    z, z_low = _product(s, s)
    z_low = fma(s * 2.0, s_low, z_low)
    third = to_expr(0.9617966939259756, d)
    t, t_low = _product(z, third)
    t_low = t_low + fma(z_low, third, z * 5.0577616648125907e-17)
    t, rest = _sum(t, fma(z * z, horner(z, POW_LOG), t_low))
    inner, inner_low = _sum(to_expr(2.8853900817779268, d), t)
    inner_low = inner_low + (rest + 4.0710547481862066e-17)
    high, low = _product(s, inner)
    low = low + fma(s_low, inner, s * inner_low)
    high, low = _sum(high, low)
    total, rest = _sum(e, high)
    return _sum(total, rest + low)


def _power(a: Expr, y: Expr) -> Expr:
    """a^y for finite a > 0."""
    high, low = _log2_pair(a)
    # Beyond 2^70 every power of a number other than 1 is 0 or infinite.
    bounded = minimum(maximum(y, -(2.0**70)), 2.0**70)
    p, err = _product(bounded, high)
    err = fma(bounded, low, err)
    inside = abs(p) < 1100.0
    p = minimum(maximum(p, -1100.0), 1100.0)
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
