"""Resizing, sampling and other operators on images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .context import Converter, NodeContext
from .ops_conv import required
from .ops_shape import axis_of

MAX_TABLE = 1 << 24  # elements of a table of positions or weights


# --- where each output reads ------------------------------------------------------------------


class _Axis:
    """How one axis of ``size`` is resized to ``out``; ``scale`` is what the model says it is, which
    ``out / size`` may miss by rounding."""

    def __init__(self, size: int, out: int, scale: float, roi: tuple[float, float]):
        self.size, self.out, self.scale, self.roi = size, out, scale, roi

    def positions(self, n: NodeContext, mode: str) -> np.ndarray:
        """The position in the input, a real number, of each output, by ONNX's formulas."""
        if mode not in _POSITIONS:
            n.unsupported(f"the coordinate_transformation_mode is {mode!r}")
        return _POSITIONS[mode](self, np.arange(self.out, dtype=np.float64))

    @property
    def length(self) -> float:
        """The extent of the whole resized image, which may be fractional."""
        return self.size * self.scale


def _half_pixel(a: _Axis, o: np.ndarray) -> np.ndarray:
    return (o + 0.5) / a.scale - 0.5


def _half_pixel_symmetric(a: _Axis, o: np.ndarray) -> np.ndarray:
    """The output is cut from a resized image of fractional extent, at its middle."""
    return a.size / 2 * (1 - a.out / a.length) + _half_pixel(a, o)


def _pytorch_half_pixel(a: _Axis, o: np.ndarray) -> np.ndarray:
    return _half_pixel(a, o) if a.length > 1 else np.zeros_like(o)


def _align_corners(a: _Axis, o: np.ndarray) -> np.ndarray:
    return o * (a.size - 1) / (a.length - 1) if a.length != 1 else np.zeros_like(o)


def _crop_and_resize(a: _Axis, o: np.ndarray) -> np.ndarray:
    low, high = a.roi
    if a.length <= 1:
        return o * 0 + 0.5 * (low + high) * (a.size - 1)
    span = (high - low) * (a.size - 1)
    return low * (a.size - 1) + o * span / (a.length - 1)


# coordinate_transformation_mode -> (axis, indices of the output) -> positions in the input
_POSITIONS: dict[str, Callable[[_Axis, np.ndarray], np.ndarray]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda a, o: o / a.scale,
    "tf_half_pixel_for_nn": lambda a, o: (o + 0.5) / a.scale,
    "tf_crop_and_resize": _crop_and_resize,
}


def _nearest(n: NodeContext, at: np.ndarray, rounding: str, size: int) -> np.ndarray:
    match rounding:
        case "round_prefer_floor":
            index = np.ceil(at - 0.5)
        case "round_prefer_ceil":
            index = np.floor(at + 0.5)
        case "floor":
            index = np.floor(at)
        case "ceil":
            index = np.ceil(at)
        case _:
            n.unsupported(f"the nearest_mode is {rounding!r}")
    return np.clip(index, 0, size - 1).astype(np.int32)


def _linear_kernel(d: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(d), 0)


def _cubic_kernel(a: float):
    """Keys, "Cubic convolution interpolation for digital image processing", 1981."""

    def kernel(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((d - 5) * d + 8) * d * a - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return kernel


def _table(
    axis: _Axis, at: np.ndarray, kernel, reach: int, antialias: bool, exclude: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights ``[out, taps]`` of a kernel that is zero from ``reach`` on. With
    ``antialias`` the kernel is stretched when the image shrinks, so that every pixel counts."""
    stretch = min(axis.scale, 1.0) if antialias else 1.0
    left = np.ceil(at).astype(np.int64) - 1  # at is in (left, left + 1]
    start = math.floor(-reach / stretch) + 1
    taps = np.arange(start, 2 - start)
    weight = kernel((taps[None, :] - (at - left)[:, None]) * stretch)
    index = left[:, None] + taps[None, :]
    if exclude:
        weight = np.where((index < 0) | (index >= axis.size), 0, weight)
    if antialias or exclude:
        total = weight.sum(axis=1, keepdims=True)
        weight = weight / np.where(total == 0, 1, total)
    return np.clip(index, 0, axis.size - 1).astype(np.int32), weight.astype(np.float32)


# --- resize -----------------------------------------------------------------------------------


def _floats(n: NodeContext, i: int) -> list[float] | None:
    value = n.const(i)
    return None if value is None or value.size == 0 else [float(v) for v in value.reshape(-1)]


def _axes(n: NodeContext) -> dict[int, _Axis]:
    """The axes that Resize changes, from its scales or sizes and its region of interest."""
    x = required(n, 0)
    given = n.attr("axes", None)
    axes = [axis_of(n, a, len(x.shape)) for a in given or range(len(x.shape))]
    eleven = n.opset >= 11
    scales, sizes = _floats(n, 2 if eleven else 1), _floats(n, 3) if eleven else None
    roi = _floats(n, 1) if eleven else None
    count = len(axes)
    crop = n.attr("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    if not crop or roi is None:
        roi = [0.0] * count + [1.0] * count
    wanted = scales if scales is not None else sizes
    if wanted is None or (scales is not None and sizes is not None):
        n.error("it takes either scales or sizes.")
    if len(wanted) != count or len(roi) != 2 * count:
        n.error(f"{len(wanted)} scales or sizes and {len(roi)} region bounds for {count} axes.")
    extents = [x.shape[a] for a in axes]
    if scales is None:
        outs, ratio = _by_sizes(n, extents, [int(v) for v in wanted])
    else:
        ratio = wanted
        if any(not (0 < s < math.inf) for s in ratio):
            n.error(f"the scales are {ratio}; they must be positive.")
        kept = [roi[count + k] - roi[k] if crop else 1 for k in range(count)]
        outs = [math.floor(e * part * s) for e, part, s in zip(extents, kept, ratio)]
    if any(o < 0 or o > MAX_TABLE for o in outs):
        n.error(f"the result would have the extents {outs}.")
    found = {}
    for k, a in enumerate(axes):
        whole = not crop or (roi[k], roi[count + k]) == (0.0, 1.0)
        if outs[k] != x.shape[a] or ratio[k] != 1.0 or not whole:
            if outs[k] and not x.shape[a]:
                n.error(f"an empty axis cannot be resized to {outs[k]}.")
            found[a] = _Axis(x.shape[a], outs[k], ratio[k], (roi[k], roi[count + k]))
    return found


def _by_sizes(
    n: NodeContext, extents: Sequence[int], outs: list[int]
) -> tuple[list[int], list[float]]:
    """The extents of the result and the scales, of a Resize that asks for the extents ``outs``."""
    policy = n.attr("keep_aspect_ratio_policy", "stretch")
    ratio = [o / e if e else 1.0 for o, e in zip(outs, extents)]
    if policy == "stretch":
        return outs, ratio
    if policy not in ("not_larger", "not_smaller"):
        n.unsupported(f"the keep_aspect_ratio_policy is {policy!r}")
    one = min(ratio) if policy == "not_larger" else max(ratio)
    return [math.floor(one * e + 0.5) for e in extents], [one] * len(extents)


def _pick(n: NodeContext, name: str, picks: dict[int, np.ndarray]) -> str:
    """A tensor read at constant positions along some axes: as repetition or slice where it is."""
    factors = [1] * len(n.typeof(name).shape)
    rest: dict[int, np.ndarray] = {}
    for axis, index in picks.items():
        size = n.typeof(name).shape[axis]
        factor = len(index) // size if size else 1
        if factor * size == len(index) and (index == np.arange(len(index)) // factor).all():
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


def _resize(n: NodeContext) -> str:
    eleven = n.opset >= 11
    mode = n.attr("mode", "nearest")
    coordinates = n.attr("coordinate_transformation_mode", "half_pixel")
    axes = _axes(n)
    return _resized(n, mode, coordinates if eleven else "asymmetric", axes, eleven)


def _resized(
    n: NodeContext, mode: str, coordinates: str, axes: dict[int, _Axis], modern: bool
) -> str:
    x, name = required(n, 0), n.inputs[0]
    if not axes:
        return n.add("identity", [name])
    at = {k: a.positions(n, coordinates) for k, a in axes.items()}
    if mode == "nearest":
        rounding = n.attr("nearest_mode", "round_prefer_floor") if modern else "floor"
        name = _pick(n, name, {k: _nearest(n, at[k], rounding, a.size) for k, a in axes.items()})
    elif mode in ("linear", "cubic"):
        cubic = mode == "cubic"
        kernel = _cubic_kernel(n.attr("cubic_coeff_a", -0.75)) if cubic else _linear_kernel
        antialias, exclude = bool(n.attr("antialias", 0)), bool(n.attr("exclude_outside", 0))
        if not x.dtype.is_float:
            name = n.add("cast", [name], to="float32")
        for k, a in axes.items():
            taps = (4 if cubic else 2) / (min(a.scale, 1.0) if antialias else 1.0)
            if taps * a.out > MAX_TABLE:
                n.unsupported(f"resizing {a.size} to {a.out} elements takes {taps:.0f} taps each")
            index, weight = _table(a, at[k], kernel, 2 if cubic else 1, antialias, exclude)
            op = "resample" if index.shape[1] <= 4 else "resample_sum"
            name = n.add(op, [name, n.constant(index), n.constant(weight)], axis=k)
        if not x.dtype.is_float:
            name = n.add("cast", [name], to=str(x.dtype))
    else:
        n.unsupported(f"the mode is {mode!r}")
    if coordinates != "tf_crop_and_resize":
        return name
    fill = n.constant(np.array(n.attr("extrapolation_value", 0.0)).astype(x.dtype.numpy))
    for k, a in axes.items():
        inside = (at[k] >= 0) & (at[k] <= a.size - 1)
        if not inside.all():
            mask = n.constant(inside.reshape([-1 if d == k else 1 for d in range(len(x.shape))]))
            name = n.add("where", [mask, name, fill])
    return name


def _upsample(n: NodeContext) -> str:
    x = required(n, 0)
    scales = n.attr("scales", None) if n.opset < 9 else _floats(n, 1)
    if scales is None or len(scales) != len(x.shape) or any(not s >= 1 for s in scales):
        n.error(f"the scales are {scales}; {x} needs one for each axis, of at least 1.")
    outs = [math.floor(d * s) for d, s in zip(x.shape, scales)]
    if max(outs, default=0) > MAX_TABLE:
        n.error(f"the result would have the extents {outs}.")
    axes = {
        k: _Axis(d, o, s, (0.0, 1.0))
        for k, (d, o, s) in enumerate(zip(x.shape, outs, scales))
        if s != 1
    }
    mode = n.attr("mode", "nearest")
    return _resized(n, "linear" if mode == "bilinear" else mode, "asymmetric", axes, False)


# --- sampling ---------------------------------------------------------------------------------


def _grid_sample(n: NodeContext) -> str:
    mode = n.attr("mode", "linear")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    return n.add(
        "grid_sample",
        n.inputs[:2],
        mode=mode,
        padding=n.attr("padding_mode", "zeros"),
        align_corners=bool(n.attr("align_corners", 0)),
    )


def _affine_grid(n: NodeContext) -> str:
    """The homogeneous coordinates of every pixel, a constant, times the matrices."""
    theta, size = required(n, 0), n.const(1)
    rank = len(theta.shape) and theta.shape[-1] - 1
    if size is None or rank not in (2, 3) or size.size != rank + 2 or theta.shape[1:2] != (rank,):
        n.error(f"matrices {theta} do not fit the size {None if size is None else size.tolist()}.")
    batch, _, *spatial = (int(v) for v in size.reshape(-1))
    if batch != theta.shape[0] or min(spatial) < 0 or math.prod(spatial) > MAX_TABLE:
        n.error(f"the size {size.tolist()} does not fit the matrices {theta}, or is too large.")
    lines = []
    for m in spatial:
        if n.attr("align_corners", 0):
            lines.append(np.linspace(-1, 1, m) if m > 1 else np.zeros(m))
        else:
            lines.append((np.arange(m) * 2 + 1) / max(m, 1) - 1)
    grids = np.meshgrid(*lines, indexing="ij")
    base = np.stack([*reversed(grids), np.ones(spatial)], axis=-1).reshape(-1, rank + 1)
    points = n.constant(base.astype(theta.dtype.numpy))
    turned = n.add("transpose", [n.inputs[0]], perm=(0, 2, 1))
    return n.add("reshape", [n.add("matmul", [points, turned])], shape=(batch, *spatial, rank))


def _roi_align(n: NodeContext) -> str:
    samples = n.attr("sampling_ratio", 0)
    if samples < 1:
        n.unsupported("sampling_ratio 0 takes as many samples as the data says")
    half = n.attr("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    return n.add(
        "roi_align",
        n.inputs[:3],
        size=(n.attr("output_height", 1), n.attr("output_width", 1)),
        samples=samples,
        scale=n.attr("spatial_scale", 1.0),
        mode=n.attr("mode", "avg"),
        half_pixel=half and n.opset >= 16,
    )


def _ints(n: NodeContext, i: int) -> Sequence[int]:
    value = n.const(i)
    if value is None:
        n.error(f"its input {i} is absent.")
    return tuple(int(v) for v in value.reshape(-1))


def _col2im(n: NodeContext) -> str:
    window = {k: n.attr(k, None) for k in ("strides", "dilations", "pads")}
    return n.add("col2im", n.inputs[:1], image=_ints(n, 1), block=_ints(n, 2), **window)


CONVERTERS: dict[str, Converter] = {
    "AffineGrid": _affine_grid,
    "Col2Im": _col2im,
    "GridSample": _grid_sample,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "Upsample": _upsample,
}
