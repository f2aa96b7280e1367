"""Resizing where a size, a scale or a region is one that only data knows.

As where all is known (:mod:`..resizing`, which has the rules), an axis is read through a table of
elements and weights. Here the graph computes it, for one axis at a time and up to the bound of the
result: positions by sizes are whole numbers and a remainder, so that they are exact on every
target; positions by scales are float32. What is known of that is constant at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...ops.image import UNROLLED_TAPS
from .. import resizing
from .sizing import Extent, Sizing

_AHEAD = 2  # elements that no position lies before the first one
_MOST = 1 << 31  # numbers from here on are not integers on every target


@dataclass(frozen=True)
class Stretch:
    """How an axis becomes one of the extent ``out``.

    By sizes, ``ratio`` has the two extents whose quotient the scale is; by scales, ``scale`` is a
    float32 scalar of the graph, and ``fixed`` is it where it is known. ``roi`` are float32 scalars.
    """

    axis: int
    size: Extent
    out: Extent
    ratio: tuple[Extent, Extent] | None = None
    scale: str = ""
    fixed: np.float32 | None = None
    roi: tuple[str, str] | None = None


@dataclass(frozen=True)
class Manner:
    """What lies between elements: ``mode`` is "nearest", "linear" or "cubic", ``rule`` one of
    :data:`..resizing.RULES`. No ``rounding``: down, and up where the axis shrinks."""

    mode: str
    rule: str
    rounding: str = ""
    cubic: float = -0.75
    antialias: bool = False
    exclude: bool = False


@dataclass(frozen=True)
class _Positions:
    """The element ``left`` of each position (int64 ``[out, 1]``) and how far it is from there to
    the position, float32 in [0, 1); ``beyond`` tells those that are outside, of a region."""

    left: str
    part: str
    beyond: str = ""


def resized(s: Sizing, x: str, stretches: Sequence[Stretch], manner: Manner, rest: float) -> str:
    """``x``, of floats unless the mode is "nearest", with some axes stretched; ``rest`` is what
    lies outside of a region."""
    sizes = dict(s.sizes(x))
    shifts = manner.rule == "tf_half_pixel_for_nn"  # moves what is not stretched, too
    same = _same(s, stretches) if manner.rule not in ("align_corners", "tf_crop_and_resize") else ""
    for a in stretches:
        at = _positions(s, a, manner.rule, _kept(s, a, same) if shifts else same)
        x = _nearest(s, x, a, at, manner) if manner.mode == "nearest" else _between(
            s, x, a, at, manner
        )  # fmt: skip
        if at.beyond:
            lined = [1] * len(s.shape(x))
            lined[a.axis] = a.out.bound
            beyond = s.add("reshape", [at.beyond], shape=tuple(lined))
            x = s.add("where", [beyond, s.constant(rest, s.dtype(x)), x])
        sizes.pop(a.axis, None)
        if a.out.size:
            sizes[a.axis] = a.out.size
    return s.declare(x, sizes)


# --- positions --------------------------------------------------------------------------------


def _positions(s: Sizing, a: Stretch, rule: str, same: str) -> _Positions:
    if a.ratio is not None and (a.roi is None or rule != "tf_crop_and_resize"):
        return _exact(s, a, rule, same)
    o = s.constant(np.arange(a.out.bound).reshape(-1, 1), "float32")
    at = _crop(s, a, o) if a.roi and rule == "tf_crop_and_resize" else _scaled(s, a, rule, o)
    beyond = ""
    if rule == "tf_crop_and_resize":
        before = s.add("less", [at, _f(s, 0)])
        beyond = s.add("or", [before, s.add("less", [_last(s, a), at])])
    at = s.add("clip", [at], min=float(-_AHEAD), max=float(a.size.bound + _AHEAD))
    left = s.add("floor", [at])
    part = s.add("sub", [at, left])
    left = s.add("cast", [left], to="int64")
    return _unless(s, a, same, _Positions(left, part, beyond))


def _unless(s: Sizing, a: Stretch, same: str, at: _Positions) -> _Positions:
    """The positions, and where ``same`` holds, each its own."""
    if not same:
        return at
    whole = s.constant(np.arange(a.out.bound).reshape(-1, 1))
    left = s.add("where", [same, whole, at.left])
    return _Positions(left, s.add("where", [same, _f(s, 0), at.part]), at.beyond)


def _f(s: Sizing, value: float) -> str:
    return s.constant(value, "float32")


def _float(s: Sizing, e: Extent) -> str:
    return s.add("cast", [s.number(e)], to="float32")


def _last(s: Sizing, a: Stretch) -> str:
    """The last place of the axis, as a float."""
    return s.add("sub", [_float(s, a.size), _f(s, 1)])


def _sum(s: Sizing, x: str, y: str | int) -> str:
    return s.add("add", [x, y if isinstance(y, str) else s.constant(y)])


def _product(s: Sizing, x: str, y: str | int) -> str:
    return s.add("mul", [x, y if isinstance(y, str) else s.constant(y)])


def _difference(s: Sizing, x: str, y: str | int) -> str:
    return s.add("sub", [x, y if isinstance(y, str) else s.constant(y)])


def _exact(s: Sizing, a: Stretch, rule: str, same: str) -> _Positions:
    """By sizes: numerators and one denominator."""
    assert a.ratio is not None
    given, wanted = a.ratio  # a step is given / wanted
    size, out, num, den = (s.number(e) for e in (a.size, a.out, given, wanted))
    own = (given, wanted) == (a.size, a.out)
    factors = [2 * max(a.out.bound, wanted.bound) + 1, max(a.size.bound, given.bound) + _AHEAD]
    if rule == "align_corners" and not own:
        factors.append(max(given.bound, wanted.bound))
    if 2 * math.prod(factors) >= _MOST:
        s.unsupported(f"axis {a.axis} is resized from up to {a.size.bound} to up to "
                      f"{a.out.bound} elements, as only data knows")  # fmt: skip
    o = s.constant(np.arange(a.out.bound).reshape(-1, 1))
    middle = _product(s, s.constant(np.arange(a.out.bound).reshape(-1, 1) * 2 + 1), num)
    if rule == "asymmetric":
        above, below = _product(s, o, num), den
    elif rule == "tf_half_pixel_for_nn":
        above, below = middle, _product(s, den, 2)
    elif rule in ("align_corners", "tf_crop_and_resize"):
        last = _difference(s, size, 1)
        if own or rule == "tf_crop_and_resize":
            above, below = _product(s, o, last), _difference(s, out, 1)
        else:
            above = _product(s, o, _product(s, last, num))
            below = _difference(s, _product(s, size, den), num)
        if rule == "tf_crop_and_resize":  # a single element reads the middle
            single = s.add("equal", [out, s.constant(1)])
            above = s.add("where", [single, last, above])
            below = s.add("where", [single, s.constant(2), below])
    else:
        above, below = _difference(s, middle, den), _product(s, den, 2)
        if rule == "half_pixel_symmetric" and not own:
            margin = _difference(s, _product(s, size, den), _product(s, out, num))
            above = _sum(s, above, margin)
        if rule == "pytorch_half_pixel":
            above = s.add("where", [s.add("less", [s.constant(1), out]), above, s.constant(0)])
    below = s.add("maximum", [below, s.constant(1)])
    above = _sum(s, above, _product(s, below, _AHEAD))  # quotients of what is not negative
    above = s.add("maximum", [above, s.constant(0)])
    left = _difference(s, s.add("div", [above, below]), _AHEAD)
    part = s.add("cast", [s.add("mod", [above, below])], to="float32")
    part = s.add("div", [part, s.add("cast", [below], to="float32")])
    return _unless(s, a, same, _Positions(left, part))


def _scaled(s: Sizing, a: Stretch, rule: str, o: str) -> str:
    """By scales: in float32, in the order of ONNX Runtime's formulas."""
    half = _f(s, 0.5)
    if rule == "asymmetric":
        return s.add("div", [o, a.scale])
    if rule == "align_corners":
        length = s.add("sub", [s.add("mul", [_float(s, a.size), a.scale]), _f(s, 1)])
        single = s.add("equal", [length, _f(s, 0)])
        at = s.add("div", [s.add("mul", [o, _last(s, a)]), length])
        return s.add("where", [single, _f(s, 0), at])
    middle = s.add("div", [s.add("add", [o, half]), a.scale])
    if rule == "tf_half_pixel_for_nn":
        return middle
    if rule == "half_pixel_symmetric":
        size = _float(s, a.size)
        whole = s.add("div", [_float(s, a.out), s.add("mul", [a.scale, size])])
        margin = s.add("mul", [s.add("mul", [size, half]), s.add("sub", [_f(s, 1), whole])])
        middle = s.add("add", [margin, middle])
    at = s.add("sub", [middle, half])
    if rule == "pytorch_half_pixel":
        several = s.add("less", [s.constant(1), s.number(a.out)])
        at = s.add("where", [several, at, o])
    return at


def _crop(s: Sizing, a: Stretch, o: str) -> str:
    """Of a region, whatever asks for the extent."""
    assert a.roi is not None
    (low, high), last, out = a.roi, _last(s, a), _float(s, a.out)
    middle = s.add("mul", [s.add("mul", [s.add("add", [low, high]), _f(s, 0.5)]), last])
    step = s.add("mul", [s.add("mul", [o, s.add("sub", [high, low])]), last])
    room = s.add("maximum", [s.add("sub", [out, _f(s, 1)]), _f(s, 1)])
    at = s.add("add", [s.add("mul", [low, last]), s.add("div", [step, room])])
    single = s.add("less", [s.number(a.out), s.constant(2)])
    return s.add("where", [single, s.add("add", [middle, o]), at])


def _same(s: Sizing, stretches: Sequence[Stretch]) -> str:
    """Whether no axis changes its extent: nothing is resampled then, whatever the scales are.
    Empty where it is known that one does, or where positions by sizes say so."""
    result = ""
    for a in stretches:
        known = not a.size.size and not a.out.size and a.size != a.out
        if a.ratio is not None or known or (a.fixed is not None and not 0.5 < a.fixed < 2):
            return ""
        equal = s.add("equal", [s.number(a.size), s.number(a.out)])
        result = s.add("and", [result, equal]) if result else equal
    return result


def _kept(s: Sizing, a: Stretch, same: str) -> str:
    """Whether this axis is left as it is: where all are, and where its own scale is 1."""
    if a.ratio is not None:
        own = s.add("equal", [s.number(e) for e in a.ratio])
    else:
        own = s.add("equal", [a.scale, _f(s, 1)])
    return s.add("or", [own, same]) if same else own


# --- elements ---------------------------------------------------------------------------------


def _inside(s: Sizing, a: Stretch, index: str) -> str:
    last = s.add("maximum", [_difference(s, s.number(a.size), 1), s.constant(0)])
    return s.add("maximum", [s.add("minimum", [index, last]), s.constant(0)])


def _nearest(s: Sizing, x: str, a: Stretch, at: _Positions, manner: Manner) -> str:
    """One more than the element on the left, where the rounding says so."""
    part, half = at.part, _f(s, 0.5)
    if manner.rounding.startswith("round") and (a.ratio is None or a.roi):
        far = s.add("abs", [s.add("sub", [part, half])])
        part = s.add("where", [s.add("less_or_equal", [far, _f(s, resizing.TIE)]), half, part])
    more = {
        "round_prefer_floor": lambda: s.add("less", [half, part]),
        "round_prefer_ceil": lambda: s.add("less_or_equal", [half, part]),
        "ceil": lambda: s.add("less", [_f(s, 0), part]),
        "": lambda: _up_where_it_shrinks(s, a, part),
    }.get(manner.rounding)
    index = at.left
    if more is not None:
        index = s.add("add", [index, s.add("cast", [more()], to="int64")])
    index = s.add("reshape", [_inside(s, a, index)], shape=(a.out.bound,))
    return s.add("gather", [x, index], axis=a.axis, wrap=False)


def _up_where_it_shrinks(s: Sizing, a: Stretch, part: str) -> str:
    if a.ratio is not None:
        shrinks = s.add("less", [s.number(a.ratio[1]), s.number(a.ratio[0])])
    else:
        shrinks = s.add("less", [a.scale, _f(s, 1)])
    return s.add("and", [shrinks, s.add("less", [_f(s, 0), part])])


def _between(s: Sizing, x: str, a: Stretch, at: _Positions, manner: Manner) -> str:
    """Some elements around each position, by weight."""
    reach = 2 if manner.mode == "cubic" else 1
    stretch = 1.0
    if manner.antialias:
        if a.fixed is None:
            s.unsupported("antialiasing by a scale that only data knows")
        stretch = min(float(a.fixed), 1.0)
    first = math.floor(-reach / stretch) + 1
    taps = np.arange(first, 2 - first)
    if a.out.bound * len(taps) > resizing.MAX_TABLE:
        s.unsupported(f"resizing to {a.out.bound} elements takes {len(taps)} taps each")
    away = s.add("sub", [s.constant(taps, "float32"), at.part])
    if stretch < 1:
        away = s.add("mul", [away, _f(s, stretch)])
    away = s.add("abs", [away])
    if manner.mode == "cubic":
        weight = _cubic(s, away, manner.cubic)
    else:
        weight = s.add("maximum", [s.add("sub", [_f(s, 1), away]), _f(s, 0)])
    index = s.add("add", [at.left, s.constant(taps)])
    if manner.exclude:
        inside = s.add("less", [index, s.number(a.size)])
        inside = s.add("and", [inside, s.add("less_or_equal", [s.constant(0), index])])
        weight = s.add("where", [inside, weight, _f(s, 0)])
    if manner.antialias or manner.exclude:
        total = s.add("reduce_sum", [weight], axes=(1,), keepdims=True)
        none = s.add("equal", [total, _f(s, 0)])
        weight = s.add("div", [weight, s.add("where", [none, _f(s, 1), total])])
    index = s.add("cast", [_inside(s, a, index)], to="int32")
    op = "resample" if len(taps) <= UNROLLED_TAPS else "resample_sum"
    return s.add(op, [x, index, weight], axis=a.axis)


def _cubic(s: Sizing, d: str, c: float) -> str:
    """As :func:`..resizing.cubic_kernel`, of distances."""

    def polynomial(*coefficients: float) -> str:
        result = _f(s, coefficients[0])
        for k in coefficients[1:]:
            result = s.add("add", [s.add("mul", [result, d]), _f(s, k)])
        return result

    near = polynomial(c + 2, -(c + 3), 0, 1)
    far = polynomial(c, -5 * c, 8 * c, -4 * c)
    far = s.add("where", [s.add("less", [d, _f(s, 2)]), far, _f(s, 0)])
    return s.add("where", [s.add("less_or_equal", [d, _f(s, 1)]), near, far])


__all__ = ["Manner", "Stretch", "resized"]
