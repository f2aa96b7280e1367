"""Resize and Upsample: as tables of positions that are made here, at compile time.

What the positions are, and which rule is followed where others differ, :mod:`..resizing` says.
Where only data knows sizes or scales, ``ops_resize_sized.py`` converts the node, and begins here
where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ...ops.image import UNROLLED_TAPS
from .. import resizing
from ..resizing import Axis
from .context import NodeContext
from .integers import axis_of
from .ops_conv import required

FINENESS = 4096  # steps per unit that a value is rounded to before it is truncated to an integer


def _float32s(n: NodeContext, i: int) -> np.ndarray | None:
    value = n.const(i)
    return None if value is None or value.size == 0 else value.reshape(-1).astype(np.float32)


def _ints(n: NodeContext, i: int) -> list[int]:
    value = n.const(i)
    return [] if value is None else [int(v) for v in value.reshape(-1)]


def _axes(n: NodeContext, rule: str) -> dict[int, Axis]:
    """The axes that Resize changes, from its scales or sizes and its region of interest."""
    x = required(n, 0)
    given = n.attr("axes", None)
    axes = [axis_of(n, a, len(x.shape)) for a in given or range(len(x.shape))]
    if len(set(axes)) < len(axes):
        n.error(f"the axes {given} name one twice.")
    eleven = n.opset >= 11
    scales = _float32s(n, 2 if eleven else 1)
    sizes = _ints(n, 3) if eleven else []
    if (scales is None) == (not sizes):
        n.error("it takes either scales or sizes.")
    count, extents = len(axes), [x.shape[a] for a in axes]
    roi = _float32s(n, 1) if eleven and rule == "tf_crop_and_resize" else None
    bounds = [0.0] * count + [1.0] * count if roi is None else [float(v) for v in roi]
    wanted = len(sizes) if scales is None else len(scales)
    if wanted != count or len(bounds) != 2 * count or not np.isfinite(bounds).all():
        n.error(f"{wanted} scales or sizes and the region {bounds} for {count} axes.")
    if scales is None:
        outs, ratios = _by_sizes(n, extents, sizes)
    else:
        outs, ratios = _by_scales(n, extents, scales, least=0.0), list(scales)
    _check_extents(n, outs)
    found = {}
    for k, a in enumerate(axes):
        axis = Axis(extents[k], outs[k], ratios[k], (bounds[k], bounds[count + k]))
        if axis.out and not axis.size:
            n.error(f"an empty axis cannot be resized to {axis.out}.")
        found[a] = axis
    return _changed(found, rule)


def _changed(axes: dict[int, Axis], rule: str) -> dict[int, Axis]:
    """Those of ``axes`` that are not left as they are."""
    changed = {k: a for k, a in axes.items() if not a.is_whole or a.scale != 1}
    stay = rule != "align_corners" and all(a.is_whole and a.out == a.size for a in axes.values())
    return {} if stay else changed


def _by_scales(
    n: NodeContext, extents: Sequence[int], scales: np.ndarray, least: float
) -> list[int]:
    """The extents of a result that ``scales``, of at least ``least`` and above zero, make."""
    if any(not (0 < s < math.inf) or s < least for s in scales):
        what = f"at least {least:g}" if least else "positive"
        n.error(f"the scales are {scales.tolist()}; they must be {what}.")
    return [resizing.scaled_extent(e, s) for e, s in zip(extents, scales)]


def _check_extents(n: NodeContext, outs: Sequence[int]) -> None:
    if any(o < 0 or o > resizing.MAX_TABLE for o in outs):
        n.error(f"the result would have the extents {list(outs)}.")


def _by_sizes(
    n: NodeContext, extents: Sequence[int], outs: list[int]
) -> tuple[list[int], list[Fraction]]:
    """The extents of the result and the scales, of a Resize that asks for the extents ``outs``."""
    policy = n.attr("keep_aspect_ratio_policy", "stretch")
    ratios = [Fraction(o, e) if e else Fraction(1) for o, e in zip(outs, extents)]
    if policy == "stretch":
        return outs, ratios
    if policy not in ("not_larger", "not_smaller"):
        n.unsupported(f"the keep_aspect_ratio_policy is {policy!r}")
    one = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(one * e + Fraction(1, 2)) for e in extents], [one] * len(extents)


def _pick(n: NodeContext, name: str, picks: dict[int, np.ndarray]) -> str:
    """A tensor read at constant positions along some axes: as repetition or slice where it is."""
    factors = [1] * len(n.typeof(name).shape)
    rest: dict[int, np.ndarray] = {}
    for axis, index in picks.items():
        size = n.typeof(name).shape[axis]
        factor = len(index) // size if size else 1
        if (
            factor
            and factor * size == len(index)
            and (index == np.arange(len(index)) // factor).all()
        ):
            factors[axis] = factor
        else:
            rest[axis] = index
    for axis, index in rest.items():
        shape = list(n.typeof(name).shape)
        steps = np.diff(index)
        if len(index) > 1 and steps[0] > 0 and (steps == steps[0]).all():
            starts, stride = [0] * len(shape), [1] * len(shape)
            starts[axis], stride[axis], shape[axis] = int(index[0]), int(steps[0]), len(index)
            name = n.add("slice", [name], starts=starts, steps=tuple(stride), shape=tuple(shape))
        else:
            name = n.add("gather", [name, n.constant(index)], axis=axis)
    return (
        n.add("upsample", [name], factors=tuple(factors)) if max(factors, default=1) > 1 else name
    )


def rule_of(n: NodeContext) -> str:
    """The coordinate_transformation_mode of a Resize."""
    rule = n.attr("coordinate_transformation_mode", "half_pixel") if n.opset >= 11 else "asymmetric"
    if rule not in resizing.RULES:
        n.unsupported(f"the coordinate_transformation_mode is {rule!r}")
    return rule


def rounding_of(n: NodeContext) -> str:
    """The nearest_mode of a Resize; empty where its operator set does not say it."""
    rounding = n.attr("nearest_mode", "round_prefer_floor") if n.opset >= 11 else ""
    if rounding and rounding not in resizing.ROUNDINGS:
        n.unsupported(f"the nearest_mode is {rounding!r}")
    return rounding


def mode_of(n: NodeContext) -> str:
    """The mode of a Resize or an Upsample: nearest, linear or cubic."""
    mode = n.attr("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic", "bilinear"):
        n.unsupported(f"the mode is {mode!r}")
    return "linear" if mode == "bilinear" else mode


def resize(n: NodeContext) -> str:
    """A Resize of which all is known."""
    rule = rule_of(n)
    return _resized(n, mode_of(n), rule, _axes(n, rule), rounding_of(n))


def _resized(n: NodeContext, mode: str, rule: str, axes: dict[int, Axis], rounding: str) -> str:
    """The first input resized. No ``rounding``: down, and up along axes that shrink, as ONNX
    Runtime reads the operator sets that do not say it."""
    x, name = required(n, 0), n.inputs[0]
    if not axes:
        return n.add("identity", [name])
    at = {k: resizing.positions(a, rule) for k, a in axes.items()}
    if mode == "nearest":
        picks = {}
        for k, a in axes.items():
            mine = rounding or ("ceil" if a.scale < 1 else "floor")
            picks[k] = resizing.nearest(a, rule, mine)
        name = _pick(n, name, picks)
    else:
        name = _interpolated(n, mode, axes, at)
    if rule != "tf_crop_and_resize":
        return name
    fill = n.constant(np.array(n.attr("extrapolation_value", 0.0)).astype(x.dtype.numpy))
    for k, a in axes.items():
        inside = resizing.inside(a, at[k])
        if not inside.all():
            mask = n.constant(inside.reshape([-1 if d == k else 1 for d in range(len(x.shape))]))
            name = n.add("where", [mask, name, fill])
    return name


def as_floats(n: NodeContext) -> str:
    """The first input, as what is interpolated."""
    x = required(n, 0)
    return n.inputs[0] if x.dtype.is_float else n.add("cast", n.inputs[:1], to="float32")


def as_before(n: NodeContext, name: str, mode: str, antialias: bool) -> str:
    """What was interpolated, in the type of the first input.

    Integers are what ONNX Runtime makes of them: truncated in plain linear mode, else rounded, as
    in ONNX's reference; both saturate. A value that only float32's rounding keeps from being whole
    is whole, so that a plane of one colour stays one.
    """
    x = required(n, 0)
    if x.dtype.is_float:
        return name
    if mode == "linear" and not antialias:
        fine = n.add("round", [n.add("mul", [name, n.constant(np.array(FINENESS, np.float32))])])
        name = n.add("mul", [fine, n.constant(np.array(1 / FINENESS, np.float32))])
    else:
        name = n.add("round", [name])
    return n.add("cast", [name], to=str(x.dtype))


def _interpolated(
    n: NodeContext, mode: str, axes: dict[int, Axis], at: dict[int, np.ndarray]
) -> str:
    """The first input, linear or cubic between its elements."""
    name = as_floats(n)
    kernel, reach = resizing.linear_kernel, 1
    if mode == "cubic":
        kernel, reach = resizing.cubic_kernel(n.attr("cubic_coeff_a", -0.75)), 2
    antialias, exclude = bool(n.attr("antialias", 0)), bool(n.attr("exclude_outside", 0))
    for k, a in axes.items():
        taps = resizing.tap_count(a, reach, antialias)
        if taps * a.out > resizing.MAX_TABLE:
            n.unsupported(f"resizing {a.size} to {a.out} elements takes {taps} taps each")
        index, weight = resizing.weighted(
            a, at[k], kernel, reach, antialias=antialias, exclude=exclude
        )
        op = "resample" if taps <= UNROLLED_TAPS else "resample_sum"
        name = n.add(op, [name, n.constant(index), n.constant(weight)], axis=k)
    return as_before(n, name, mode, antialias)


def upsample(n: NodeContext) -> str:
    """An Upsample of which all is known."""
    x = required(n, 0)
    if n.opset < 7:
        given = 1, 1, n.attr("height_scale"), n.attr("width_scale")
    else:
        given = n.attr("scales", ()) if n.opset < 9 else _float32s(n, 1)
    scales = np.array(() if given is None else given, np.float32)
    if len(scales) != len(x.shape):
        n.error(f"the scales are {scales.tolist()}; {x} needs one for each axis.")
    outs = _by_scales(n, x.shape, scales, least=1.0)
    _check_extents(n, outs)
    axes = {k: Axis(d, o, s) for k, (d, o, s) in enumerate(zip(x.shape, outs, scales))}
    axes = _changed(axes, "asymmetric")
    return _resized(n, mode_of(n), "asymmetric", axes, "")
