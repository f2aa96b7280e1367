"""Resize and Upsample, also of sizes, scales and regions that only data knows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import resizing
from ..sized import Extent, Sizing, arguments
from ..sized.arguments import Number
from ..sized.resized import Manner, Stretch, resized
from .context import Converter, NodeContext
from .integers import axis_of
from .ops_conv import required
from .ops_resize import as_before, as_floats, mode_of, resize, rounding_of, rule_of, upsample

_SLACK = 1 + 1e-6  # of a bound on what float32 rounds


def _computed(n: NodeContext) -> bool:
    """Whether anything is known by data alone."""
    region = n.opset >= 11 and rule_of(n) == "tf_crop_and_resize"
    read = range(1 if region or n.opset < 11 else 2, len(n))
    return n.is_open(0) or not all(n.is_const(k) for k in read if n.input(k))


def _resize(n: NodeContext) -> str:
    if not _computed(n):
        return resize(n)
    x, rule, mode = required(n, 0), rule_of(n), mode_of(n)
    given = n.attr("axes", None)
    axes = [axis_of(n, a, len(x.shape)) for a in given or range(len(x.shape))]
    if len(set(axes)) < len(axes):
        n.error(f"the axes {given} name one twice.")
    eleven = n.opset >= 11
    at = (2 if eleven else 1), (3 if eleven else 4)
    scales, sizes = (k if _count(n, k) else None for k in at)
    if (scales is None) == (sizes is None):
        n.error("it takes either scales or sizes.")
    roi = _region(n, len(axes)) if eleven and rule == "tf_crop_and_resize" else None
    if sizes is not None:
        stretches = _by_sizes(n, axes, sizes)
    else:
        assert scales is not None
        stretches = _by_scales(n, axes, scales)
    if roi is not None:
        stretches = [_cropped(a, pair) for a, pair in zip(stretches, roi)]
    manner = Manner(mode, rule, rounding_of(n), n.attr("cubic_coeff_a", -0.75),
                    bool(n.attr("antialias", 0)), bool(n.attr("exclude_outside", 0)))  # fmt: skip
    return _made(n, stretches, manner, n.attr("extrapolation_value", 0.0))


def _upsample(n: NodeContext) -> str:
    if not _computed(n):
        return upsample(n)
    x = required(n, 0)
    if n.opset < 9:
        n.unsupported("a tensor whose size only data knows")
    axes = list(range(len(x.shape)))
    return _made(n, _by_scales(n, axes, 1), Manner(mode_of(n), "asymmetric"), 0.0)


def _made(n: NodeContext, stretches: Sequence[Stretch], manner: Manner, rest: float) -> str:
    changed = [a for a in stretches if not _stays(a)]
    if not changed:
        return n.add("identity", n.inputs[:1])
    if any(a.out.bound > resizing.MAX_TABLE for a in changed):
        n.unsupported(f"an extent of up to {max(a.out.bound for a in changed)}")
    if any(a.out.bound and not a.size.bound for a in changed):
        n.error("an empty axis cannot be resized.")
    if manner.mode == "nearest":
        return resized(n.sizing, n.inputs[0], changed, manner, rest)
    made = resized(n.sizing, as_floats(n), changed, manner, rest)
    return as_before(n, made, manner.mode, manner.antialias)


def _stays(a: Stretch) -> bool:
    """Whether an axis is left as it is, whatever the others are."""
    if a.roi is not None:
        return False
    return a.fixed == 1 or (a.ratio is not None and a.size == a.out and a.ratio[0] == a.ratio[1])


# --- arguments --------------------------------------------------------------------------------


def _count(n: NodeContext, k: int) -> int:
    """How many numbers an argument has."""
    t = n.type(k)
    if t is not None and n.is_open(k):
        n.unsupported(f"input {k} has as many numbers as only data knows")
    return 0 if t is None else math.prod(t.shape)


def _each(n: NodeContext, k: int, count: int) -> None:
    if _count(n, k) != count:
        n.error(f"{_count(n, k)} scales or sizes for {count} axes.")


def _scalar(s: Sizing, name: str, index: int) -> str:
    """One float of an argument, as a float32 scalar."""
    tensor, place = s.emitter.values.origin(name, index)
    flat = s.add("reshape", [tensor], shape=(math.prod(s.shape(tensor)),))
    made = s.add("gather", [flat, s.constant(place)], axis=0)
    return made if str(s.dtype(made)) == "float32" else s.add("cast", [made], to="float32")


def _region(n: NodeContext, count: int) -> list[tuple[str, str]] | None:
    """The scalars of the region of interest; None for the whole of it."""
    if not n.input(1) or (n.is_const(1) and not _count(n, 1)):
        return None
    if _count(n, 1) != 2 * count:
        n.error(f"the region has {_count(n, 1)} numbers for {count} axes.")
    if n.is_const(1):
        value = n.const(1)
        assert value is not None
        if not np.isfinite(value.astype(np.float64)).all():
            n.error(f"the region is {value.tolist()}.")
        if (value.reshape(2, -1) == [[0], [1]]).all():
            return None
    ends = [_scalar(n.sizing, n.inputs[1], k) for k in range(2 * count)]
    return list(zip(ends[:count], ends[count:]))


def _cropped(a: Stretch, roi: tuple[str, str]) -> Stretch:
    return Stretch(a.axis, a.size, a.out, a.ratio, a.scale, a.fixed, roi)


def _by_scales(n: NodeContext, axes: Sequence[int], k: int) -> list[Stretch]:
    _each(n, k, len(axes))
    s, found = n.sizing, []
    for j, axis in enumerate(axes):
        scale, size = _scalar(s, n.inputs[k], j), s.extent(n.inputs[0], axis)
        known = n.value_of(scale)
        if known is not None:
            fixed = np.float32(known)
            if not 0 < fixed < math.inf:
                n.error(f"the scale {fixed} must be positive.")
            out = _by_scale(s, size, scale, float(fixed))
            found.append(Stretch(axis, size, out, None, scale, fixed))
            continue
        most = s.emitter.values.interval(n.inputs[k], j)[1]
        if not most < math.inf:
            n.unbounded(k)
        out = _by_scale(s, size, scale, most * _SLACK)
        found.append(Stretch(axis, size, out, None, scale))
    return found


def _by_scale(s: Sizing, size: Extent, scale: str, most: float) -> Extent:
    """The extent that a scale of at most ``most`` makes: rounded down, in float32."""
    bound = resizing.scaled_extent(size.bound, np.float32(most)) if size.bound else 0
    if size.size or s.emitter.builder.constants.get(scale) is None:
        whole = s.add("mul", [s.add("cast", [s.number(size)], to="float32"), scale])
        return s.made(max(bound, 0), s.add("cast", [s.add("floor", [whole])], to="int64"))
    return Extent(bound)


def _by_sizes(n: NodeContext, axes: Sequence[int], k: int) -> list[Stretch]:
    _each(n, k, len(axes))
    s, wanted = n.sizing, n.numbers(k)
    assert wanted is not None
    if any(e.range[1] == math.inf for e in wanted):
        n.unbounded(k)
    if any(e.value is not None and e.value < 0 for e in wanted):
        n.error(f"the sizes are {[e.value for e in wanted]}.")
    outs = [arguments.extent(s, e) for e in wanted]
    sizes = [s.extent(n.inputs[0], axis) for axis in axes]
    policy = n.attr("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        pairs = zip(axes, sizes, outs)
        return [Stretch(a, size, out, (size, out)) for a, size, out in pairs]
    if policy not in ("not_larger", "not_smaller"):
        n.unsupported(f"the keep_aspect_ratio_policy is {policy!r}")
    return _one_ratio(n, axes, sizes, outs, wanted, policy == "not_larger")


def _one_ratio(
    n: NodeContext,
    axes: Sequence[int],
    sizes: Sequence[Extent],
    outs: Sequence[Extent],
    wanted: Sequence[Number],
    least: bool,
) -> list[Stretch]:
    """All axes stretched by the least, or the greatest, of the ratios of ``outs`` to ``sizes``."""
    s = n.sizing
    if not least and any(e.size or not e.bound for e in sizes):
        n.unsupported("the policy not_smaller for axes whose size only data knows")
    num, den = s.number(sizes[0]), s.number(outs[0])
    for size, out in zip(sizes[1:], outs[1:]):
        pair = [s.add("mul", [s.number(out), num]), s.add("mul", [den, s.number(size)])]
        takes = s.add("less", pair if least else pair[::-1])
        num = s.add("where", [takes, s.number(size), num])
        den = s.add("where", [takes, s.number(out), den])
    given = s.made(max(e.bound for e in sizes), num)
    asked = s.made(max(e.bound for e in outs), den)
    most = max(o.bound / max(e.bound, 1) for o, e in zip(outs, sizes))
    found = []
    for axis, size, out in zip(axes, sizes, outs):
        bound = out.bound if least else math.floor(size.bound * most + 0.5)
        whole = s.add("mul", [s.number(size), s.number(asked)])
        twice = s.add("mul", [s.number(given), s.constant(2)])
        above = s.add("add", [s.add("mul", [whole, s.constant(2)]), s.number(given)])
        made = s.made(bound, s.add("div", [above, s.add("maximum", [twice, s.constant(1)])]))
        found.append(Stretch(axis, size, made, (given, asked)))
    return found


CONVERTERS: dict[str, Converter] = {
    "Resize": _resize,
    "Upsample": _upsample,
}
