"""Pools, adaptive ones with the exact bounds of each window, and resizing.

Positions of resized elements are those of ATen's kernels: computed in float32 from a scale that is
the ratio of extents, or the inverse of the factor that the model states (``UpSample.h``).
"""

# Converters have the parameters of their operators' schemas.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...ops.image import UNROLLED_TAPS
from .. import resizing
from .context import Floats, Ints, Row, Tensor, TorchContext, aten
from .ops_nn import repeated

MAX_TABLE = 1 << 24


def _batched(n: TorchContext, x: str, count: int) -> tuple[str, bool]:
    """``x`` as [batch, channel, spatial…], and whether it had no axis of the batch."""
    if n.rank(x) == count + 1:
        return n.reshape(x, (1, *n.shape(x))), True
    if n.rank(x) != count + 2:
        n.error(f"{n.typeof(x)} has not {count} axes that a window slides over.")
    return x, False


def _unbatched(n: TorchContext, x: str, alone: bool) -> str:
    return n.reshape(x, n.shape(x)[1:]) if alone else x


# -- pools


def _window(
    n: TorchContext, count: int, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints,
    ceil_mode: bool,
) -> dict[str, object]:  # fmt: skip
    kernel = repeated(n, kernel, count, "kernel_size")
    pads = repeated(n, padding, count, "padding")
    return {
        "kernel": kernel,
        "strides": repeated(n, stride, count, "stride") if stride else kernel,
        "dilations": repeated(n, dilation, count, "dilation"),
        "pads": (*pads, *pads),
        "ceil_mode": ceil_mode,
    }


def _max_pool(count: int, indices: bool) -> Callable[..., str | list[str]]:
    def convert(
        n: TorchContext, self: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = (0,),
        dilation: Ints = (1,), ceil_mode: bool = False,
    ) -> str | list[str]:  # fmt: skip
        x, alone = _batched(n, self, count)
        attrs = _window(n, count, kernel_size, stride, padding, dilation, ceil_mode)
        if not (indices and n.output_wanted(1)):
            made = _unbatched(n, n.do("max_pool", x, **attrs), alone)
            return [made, ""][: n.n_outputs] if indices else made
        values, at = n.add_many("max_pool_with_indices", [x], 2, **attrs)
        # weft counts through all planes, PyTorch through each.
        plane = math.prod(n.shape(x)[2:])
        at = n.do("mod", at, n.number(plane, at))
        return [_unbatched(n, values, alone), _unbatched(n, at, alone)]

    return convert


def _average(n: TorchContext, x: str, count: int, attrs: dict[str, object], include: bool,
             divisor: int | None) -> str:  # fmt: skip
    x, alone = _batched(n, x, count)
    if divisor is None:
        made = n.do("average_pool", x, count_include_pad=include, **attrs)
        return _unbatched(n, made, alone)
    norm = n.do("lp_pool", n.do("relu", x), p=1, **attrs)  # sums of what is above 0, and below
    below = n.do("lp_pool", n.do("relu", n.do("neg", x)), p=1, **attrs)
    total = n.do("sub", norm, below)
    return _unbatched(n, n.do("div", total, n.number(divisor, total)), alone)


def _avg_pool1d(
    n: TorchContext, self: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = (0,),
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> str:  # fmt: skip
    attrs = _window(n, 1, kernel_size, stride, padding, (1,), ceil_mode)
    return _average(n, self, 1, attrs, count_include_pad, None)


def _avg_pool(count: int) -> Callable[..., str]:
    def convert(
        n: TorchContext, self: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = (0,),
        ceil_mode: bool = False, count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> str:  # fmt: skip
        attrs = _window(n, count, kernel_size, stride, padding, (1,), ceil_mode)
        return _average(n, self, count, attrs, count_include_pad, divisor_override)

    return convert


def _bounds(extent: int, out: int) -> list[range]:
    """The window of each output of an adaptive pool."""
    return [range(k * extent // out, -(-(k + 1) * extent // out)) for k in range(out)]


def _outputs(n: TorchContext, given: Sequence[int], count: int) -> tuple[int, ...]:
    found = repeated(n, given, count, "output_size")
    if min(found) < 1 or max(found) > MAX_TABLE:
        n.error(f"the output_size is {found}.")
    return found


def _even(size: Sequence[int], outs: Sequence[int]) -> bool:
    return all(s and s % o == 0 for s, o in zip(size, outs))


def _adaptive_average(count: int) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, output_size: Ints) -> str:
        x, alone = _batched(n, self, count)
        size, outs = n.shape(x)[2:], _outputs(n, output_size, count)
        axes = tuple(range(2, 2 + count))
        if set(outs) == {1}:
            return _unbatched(n, n.do("reduce_mean", x, axes=axes, keepdims=True), alone)
        if _even(size, outs):
            kernel = tuple(s // o for s, o in zip(size, outs))
            made = n.do("average_pool", x, kernel=kernel, strides=kernel)
            return _unbatched(n, made, alone)
        for axis, s, o in zip(axes, size, outs):
            windows = _bounds(s, o)
            taps = max(map(len, windows))
            index, weight = np.zeros((o, taps), np.int32), np.zeros((o, taps), np.float32)
            for k, w in enumerate(windows):
                index[k] = np.minimum(w.start + np.arange(taps), s - 1)
                weight[k, : len(w)] = 1 / len(w)
            x = _resampled(n, x, axis, index, weight)
        return _unbatched(n, x, alone)

    return convert


def _adaptive_max(count: int) -> Callable[..., list[str]]:
    def convert(n: TorchContext, self: Tensor, output_size: Ints) -> list[str]:
        x, alone = _batched(n, self, count)
        size, outs = n.shape(x)[2:], _outputs(n, output_size, count)
        if n.output_wanted(1):
            return _adaptive_max_places(n, x, size, outs, alone)
        if _even(size, outs):
            kernel = tuple(s // o for s, o in zip(size, outs))
            x = n.do("max_pool", x, kernel=kernel, strides=kernel)
        else:
            for axis, (s, o) in enumerate(zip(size, outs), 2):
                windows = _bounds(s, o)
                taps = np.arange(max(map(len, windows)))
                index = np.array([np.minimum(w.start + taps, w.stop - 1) for w in windows])
                x = n.do("gather", x, n.constant(index.astype(np.int32)), axis=axis, wrap=False)
                x = n.do("reduce_max", x, axes=(axis + 1,), keepdims=False)
        return [_unbatched(n, x, alone), ""][: n.n_outputs]

    return convert


def _adaptive_max_places(
    n: TorchContext, x: str, size: Sequence[int], outs: Sequence[int], alone: bool
) -> list[str]:
    """Values, and where they lie in their plane: each window's elements as a row."""
    grids = [_bounds(s, o) for s, o in zip(size, outs)]
    rows = []
    for at in np.ndindex(*outs):
        lines = np.meshgrid(*(np.array(g[k]) for g, k in zip(grids, at)), indexing="ij")
        rows.append(np.ravel_multi_index([line.ravel() for line in lines], tuple(size)))
    taps = max(map(len, rows))
    index = np.array([np.pad(r, (0, taps - len(r)), mode="edge") for r in rows], np.int32)
    lead = n.shape(x)[:2]
    flat = n.reshape(x, (*lead, math.prod(size)))
    wide = n.do("gather", flat, n.constant(index), axis=2, wrap=False)  # [N, C, outs, taps]
    values = n.do("reduce_max", wide, axes=(3,), keepdims=False)
    tap = n.do("arg_max", wide, axis=3, keepdims=True)
    table = n.expand(n.constant(index.astype(np.int64)[None, None]), n.shape(wide))
    places = n.do("gather_elements", table, tap, axis=3, wrap=False)
    shape = (*lead, *outs)
    return [_unbatched(n, n.reshape(v, shape), alone) for v in (values, places)]


# -- resizing


def _resampled(n: TorchContext, x: str, axis: int, index: np.ndarray, weight: np.ndarray) -> str:
    """Sums of a few elements each, by tables ``[out, taps]``."""
    if index.size > MAX_TABLE:
        n.unsupported(f"resampling with tables of {index.size} elements")
    op = "resample" if index.shape[1] <= UNROLLED_TAPS else "resample_sum"
    return n.do(op, x, n.constant(index.astype(np.int32)),
                n.constant(weight.astype(np.float32)), axis=axis)  # fmt: skip


def _step(extent: int, out: int, factor: float | None, corners: bool) -> np.float32:
    """Elements of the input for one of the output (area_pixel_compute_scale)."""
    if corners:
        return np.float32(extent - 1) / np.float32(out - 1) if out > 1 else np.float32(0)
    if factor is not None and factor > 0:
        return np.float32(1.0 / factor)
    return np.float32(extent) / np.float32(out)


def _at(step: np.float32, out: int, corners: bool, clamp: bool) -> np.ndarray:
    o = np.arange(out, dtype=np.float32)
    if corners:
        return o * step
    at = (o + np.float32(0.5)) * step - np.float32(0.5)
    return np.maximum(at, np.float32(0)) if clamp else at


def _nearest(x: int, out: int, factor: float | None, exact: bool) -> np.ndarray:
    step, o = _step(x, out, factor, False), np.arange(out, dtype=np.float32)
    if out == x and factor is None:
        return np.arange(out)
    at = (o + np.float32(0.5)) * step if exact else o * step
    return np.clip(np.floor(at), 0, x - 1).astype(np.int64)


def _linear(extent: int, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = np.minimum(np.floor(at).astype(np.int64), extent - 1)
    high = np.minimum(low + 1, extent - 1)
    share = np.clip(at - low.astype(np.float32), 0, 1)
    return np.stack([low, high], 1), np.stack([1 - share, share], 1)


def _cubic(extent: int, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = np.floor(at)
    share = (at - low).astype(np.float64)
    taps = np.arange(-1, 3)
    index = np.clip(low.astype(np.int64)[:, None] + taps, 0, extent - 1)
    return index, resizing.cubic_kernel(-0.75)(taps - share[:, None])


def _smooth(
    extent: int, out: int, step: np.float32, kernel: resizing.Kernel, reach: int, corners: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Stretched where the image shrinks (``_upsample_…_aa``)."""
    stretch = max(float(step), 1.0)
    support = reach * stretch
    centre = float(step) * (np.arange(out) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), extent)
    taps = np.arange(max(int((last - first).max()), 1))
    index = first[:, None] + taps
    weight = kernel((index - centre[:, None] + 0.5) / stretch)
    weight = np.where(index < last[:, None], weight, 0)
    total = weight.sum(1, keepdims=True)
    return np.clip(index, 0, extent - 1), weight / np.where(total == 0, 1, total)


def _resize(
    n: TorchContext, x: str, mode: str, outs: Sequence[int], factors: Sequence[float | None],
    corners: bool,
) -> str:  # fmt: skip
    count = len(outs)
    if n.rank(x) != count + 2 or min(outs, default=1) < 1 or max(outs) > MAX_TABLE:
        n.error(f"{n.typeof(x)} cannot become one of {list(outs)}.")
    size = n.shape(x)[2:]
    if 0 in size:
        n.error("an empty image cannot be resized.")
    if mode in ("nearest", "exact"):
        return _picked(n, x, [
            _nearest(s, o, f, mode == "exact") for s, o, f in zip(size, outs, factors)
        ])  # fmt: skip
    d = n.dtype(x)
    if not d.is_float:
        n.unsupported(f"{mode} resizing of {d}")
    for axis, (s, o, f) in enumerate(zip(size, outs, factors), 2):
        if s == o and (corners or f is None or f == 1):
            continue
        step = _step(s, o, f, corners)
        if mode == "linear":
            index, weight = _linear(s, _at(step, o, corners, clamp=True))
        elif mode == "cubic":
            index, weight = _cubic(s, _at(step, o, corners, clamp=False))
        else:
            linear = mode == "linear_aa"
            kernel = resizing.linear_kernel if linear else resizing.cubic_kernel(-0.5)
            index, weight = _smooth(s, o, step, kernel, 1 if linear else 2, corners)
        x = _resampled(n, x, axis, index, weight)
    return x


def _picked(n: TorchContext, x: str, picks: Sequence[np.ndarray]) -> str:
    """Places along the axes of an image: repetition where that is what they are."""
    factors = [1] * n.rank(x)
    for axis, index in enumerate(picks, 2):
        extent = n.shape(x)[axis]
        factor = len(index) // extent
        if factor * extent == len(index) and (index == np.arange(len(index)) // factor).all():
            factors[axis] = factor
        else:
            table = n.constant(index.astype(np.int32))
            x = n.do("gather", x, table, axis=axis, wrap=False)
    return n.do("upsample", x, factors=tuple(factors)) if max(factors) > 1 else x


def _sizes(
    n: TorchContext, x: str, count: int, output_size: Ints | None, factors: Floats | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    if (output_size is None) == (factors is None) or n.rank(x) != count + 2:
        n.error("it takes either output_size or scale_factors, and images.")
    if output_size is not None:
        return repeated(n, output_size, count, "output_size"), (None,) * count
    assert factors is not None
    factors = factors * count if len(factors) == 1 else factors
    if len(factors) != count or not all(0 < f < 1 << 20 for f in factors):
        n.error(f"the scale_factors are {factors}.")
    return tuple(int(s * f) for s, f in zip(n.shape(x)[2:], factors)), factors


def _upsample_vec(mode: str, count: int, aligned: bool) -> Callable[..., str]:
    def plain(
        n: TorchContext, input: Tensor, output_size: Ints | None,
        scale_factors: Floats | None = None,
    ) -> str:  # fmt: skip
        outs, factors = _sizes(n, input, count, output_size, scale_factors)
        return _resize(n, input, mode, outs, factors, False)

    def corners(
        n: TorchContext, input: Tensor, output_size: Ints | None, align_corners: bool,
        scale_factors: Floats | None = None,
    ) -> str:  # fmt: skip
        outs, factors = _sizes(n, input, count, output_size, scale_factors)
        return _resize(n, input, mode, outs, factors, align_corners)

    return corners if aligned else plain


def _upsample(mode: str, count: int, aligned: bool) -> Callable[..., str]:
    """The overloads that have sizes and, for each axis, a factor."""

    def made(n: TorchContext, x: str, size: Ints, corners: bool, *given: float | None) -> str:
        factors = tuple(given) if any(g is not None for g in given) else (None,) * count
        return _resize(n, x, mode, repeated(n, size, count, "output_size"), factors, corners)

    def one(
        n: TorchContext, self: Tensor, output_size: Ints, scales: float | None = None
    ) -> str:  # fmt: skip
        return made(n, self, output_size, False, scales)

    def one_aligned(
        n: TorchContext, self: Tensor, output_size: Ints, align_corners: bool,
        scales: float | None = None,
    ) -> str:  # fmt: skip
        return made(n, self, output_size, align_corners, scales)

    def two(
        n: TorchContext, self: Tensor, output_size: Ints, scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> str:  # fmt: skip
        return made(n, self, output_size, False, scales_h, scales_w)

    def two_aligned(
        n: TorchContext, self: Tensor, output_size: Ints, align_corners: bool,
        scales_h: float | None = None, scales_w: float | None = None,
    ) -> str:  # fmt: skip
        return made(n, self, output_size, align_corners, scales_h, scales_w)

    def three(
        n: TorchContext, self: Tensor, output_size: Ints, scales_d: float | None = None,
        scales_h: float | None = None, scales_w: float | None = None,
    ) -> str:  # fmt: skip
        return made(n, self, output_size, False, scales_d, scales_h, scales_w)

    def three_aligned(
        n: TorchContext, self: Tensor, output_size: Ints, align_corners: bool,
        scales_d: float | None = None, scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> str:  # fmt: skip
        return made(n, self, output_size, align_corners, scales_d, scales_h, scales_w)

    by_count = {1: (one, one_aligned), 2: (two, two_aligned), 3: (three, three_aligned)}
    return by_count[count][aligned]


_MODES = {0: "linear", 1: "nearest", 2: "cubic"}
_PADDINGS = {0: "zeros", 1: "border", 2: "reflection"}


def _grid_sampler(
    n: TorchContext, input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int,
    align_corners: bool,
) -> str:  # fmt: skip
    return n.do("grid_sample", input, grid, mode=_MODES[interpolation_mode],
                padding=_PADDINGS[padding_mode], align_corners=align_corners)  # fmt: skip


def _affine_grid(n: TorchContext, theta: Tensor, size: Ints, align_corners: bool) -> str:
    """Positions in [-1, 1] of every pixel, moved by one matrix for each image."""
    count = len(size) - 2
    if math.prod(size) > MAX_TABLE or n.shape(theta)[1:] != (count, count + 1):
        n.error(f"a grid of {list(size)} by {n.typeof(theta)}.")
    lines = []
    for d in size[2:]:
        line = np.linspace(-1, 1, d) if d > 1 else np.zeros(d)
        lines.append(line if align_corners else line * (d - 1) / d)
    grid = np.meshgrid(*lines, indexing="ij")[::-1]
    base = np.stack([*grid, np.ones(size[2:])], -1).astype(n.dtype(theta).numpy)
    rows = n.constant(base.reshape(1, -1, count + 1))
    moved = n.do("matmul", rows, n.transpose(theta, (0, 2, 1)))
    return n.reshape(moved, (size[0], *size[2:], count))


# -- columns


def _im2col(
    n: TorchContext, self: Tensor, kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints
) -> str:
    """Windows of an image as columns."""
    x, alone = _batched(n, self, 2)
    kernel, dilations, pads, strides = (
        repeated(n, v, 2, "a window") for v in (kernel_size, dilation, padding, stride)
    )
    x = n.do("pad", x, pads=(0, 0, *pads, 0, 0, *pads)) if any(pads) else x
    batch, channels, *size = n.shape(x)
    counts = []
    for axis, (s, k, d, t) in enumerate(zip(size, kernel, dilations, strides)):
        count = (s - (k - 1) * d - 1) // max(t, 1) + 1
        if count < 1 or t < 1 or k < 1 or d < 1:
            n.error(f"windows of {kernel} do not fit {size}.")
        at = np.arange(k)[:, None] * d + np.arange(count) * t
        x = n.do("gather", x, n.constant(at.astype(np.int32)), axis=2 + 2 * axis, wrap=False)
        counts.append(count)
    x = n.transpose(x, (0, 1, 2, 4, 3, 5))
    x = n.reshape(x, (batch, channels * math.prod(kernel), math.prod(counts)))
    return _unbatched(n, x, alone)


def _col2im(
    n: TorchContext, self: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints,
    padding: Ints, stride: Ints,
) -> str:  # fmt: skip
    alone = n.rank(self) == 2
    x = n.reshape(self, (1, *n.shape(self))) if alone else self
    pads = repeated(n, padding, 2, "padding")
    made = n.do("col2im", x, image=repeated(n, output_size, 2, "output_size"),
                block=repeated(n, kernel_size, 2, "kernel_size"),
                strides=repeated(n, stride, 2, "stride"),
                dilations=repeated(n, dilation, 2, "dilation"), pads=(*pads, *pads))  # fmt: skip
    return _unbatched(n, made, alone)


def _resizes() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for name, mode, count, aligned in (
        ("upsample_nearest1d", "nearest", 1, False), ("upsample_nearest2d", "nearest", 2, False),
        ("upsample_nearest3d", "nearest", 3, False),
        ("_upsample_nearest_exact1d", "exact", 1, False),
        ("_upsample_nearest_exact2d", "exact", 2, False),
        ("_upsample_nearest_exact3d", "exact", 3, False),
        ("upsample_linear1d", "linear", 1, True), ("upsample_bilinear2d", "linear", 2, True),
        ("upsample_trilinear3d", "linear", 3, True), ("upsample_bicubic2d", "cubic", 2, True),
        ("_upsample_bilinear2d_aa", "linear_aa", 2, True),
        ("_upsample_bicubic2d_aa", "cubic_aa", 2, True),
    ):  # fmt: skip
        rows |= aten(f"{name}.vec", _upsample_vec(mode, count, aligned))
        rows |= aten(f"{name}.default", _upsample(mode, count, aligned))
    return rows


CONVERTERS: dict[str, Row] = {
    **_resizes(),
    **{k: r for c in (1, 2, 3) for k, r in {
        **aten(f"max_pool{c}d.default", _max_pool(c, False)),
        **aten(f"max_pool{c}d_with_indices.default", _max_pool(c, True)),
        **aten(f"adaptive_avg_pool{c}d.default" + f" _adaptive_avg_pool{c}d.default" * (c > 1),
               _adaptive_average(c)),
        **aten(f"adaptive_max_pool{c}d.default", _adaptive_max(c)),
    }.items()},
    **aten("avg_pool1d.default", _avg_pool1d),
    **aten("avg_pool2d.default", _avg_pool(2)),
    **aten("avg_pool3d.default", _avg_pool(3)),
    **aten("grid_sampler.default grid_sampler_2d.default grid_sampler_3d.default", _grid_sampler),
    **aten("affine_grid_generator.default", _affine_grid),
    **aten("im2col.default", _im2col),
    **aten("col2im.default", _col2im),
}  # fmt: skip
