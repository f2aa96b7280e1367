"""roi_align that takes as many samples as a region is large: one at least for each pixel.

A bilinear sample is a sum over rows and columns of weights that belong to the row and to the column
alone, and so is the mean of a grid of samples, however many they are. So the samples become weights
of rows and of columns, of every region and output, and the result two products with them. A row is
reached by few samples: where there are two of them, the step between is more than half a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...ir import reducers
from ...ir.builders import all_of, equal, if_then_else, maximum, minimum
from ...ir.expr import Expr, cast, const
from ...ir.intrin import ceil, floor
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.errors import GraphError
from ..types import TensorType
from .gather import wrapped_array, wrapped_index
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import accumulator, extents, stage

_FAR = float(2**24)  # positions are cut off here: whole numbers up to it are exact as float32
_REACH = 7  # samples that a pixel may be reached by: 5 within its width of 2, and one on each side


def _infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, rois, batch = types[0], types[1], types[2]
    assert x is not None and rois is not None and batch is not None
    fits = len(x.shape) == 4 and len(batch.shape) == 1 and rois.shape == (*batch.shape, 4)
    if not fits or not batch.dtype.is_int or rois.dtype != x.dtype or not x.dtype.is_float:
        raise GraphError(
            f"roi_align_adaptive takes float images [N, C, H, W], regions [R, 4] of their type and "
            f"R integer positions of images, not {x}, {rois} and {batch}."
        )
    if min(attrs["size"]) < 1:
        raise GraphError(f"roi_align_adaptive to {attrs['size']}: extents must be positive.")
    out = TensorType(x.dtype, (batch.shape[0], x.shape[1], *attrs["size"]))
    if out.size and 0 in x.shape:
        raise GraphError(f"roi_align_adaptive: there is nothing to read in {x}.")
    return [out]


def _weights(rois: Tensor, attrs: Attrs, side: int, extent: int) -> tuple[Tensor, Tensor]:
    """The weights of rows (``side`` 1) or columns (0) for each region and output of that axis."""
    acc, size = accumulator(rois.dtype), attrs["size"][1 - side]
    offset = 0.5 if attrs["half_pixel"] else 0.0
    count, name = extents(rois)[0], "roi_align.rows" if side else "roi_align.columns"

    def start(r: Expr) -> Expr:
        return rois[r, side].astype(acc) * attrs["scale"] - offset

    def span(r: Expr) -> Expr:
        whole = rois[r, side + 2].astype(acc) * attrs["scale"] - offset - start(r)
        whole = whole if attrs["half_pixel"] else maximum(whole, 1.0)
        return minimum(maximum(whole, -_FAR), _FAR)

    def samples(r: Expr) -> Expr:
        """The least whole number that times ``size`` is not less than the span: exact, unlike the
        quotient of some drivers."""
        near = ceil(span(r) / float(size))
        less, found = near - 1.0, near
        found = if_then_else(near * float(size) >= span(r), near, near + 1.0)
        return maximum(if_then_else(less * float(size) >= span(r), less, found), 0.0)

    grid = stage((count,), samples, f"{name}.samples")
    tap = reduce_axis(_REACH, "tap")

    def weight(r: Expr, o: Expr, h: Expr, k: Expr) -> Expr:
        n = grid[r]
        step = span(r) / float(size)
        each = step / maximum(n, 1.0)
        base = minimum(maximum(start(r) + cast(o, acc) * step, -_FAR), _FAR)
        first = ceil((cast(h, acc) - 1.0 - base) / maximum(each, 1e-6) - 0.5) - 1.0
        t = maximum(minimum(first, n - 1.0), 0.0) + cast(k, acc)
        p = base + (t + 0.5) * each
        q = maximum(p, 0.0)
        below = minimum(floor(q), float(extent - 1))
        part = if_then_else(below >= float(extent - 1), 0.0, q - below)
        here = if_then_else(equal(below, cast(h, acc)), 1.0 - part, 0.0)
        here = if_then_else(equal(below + 1.0, cast(h, acc)), part, here)
        return if_then_else(all_of([t < n, p >= -1.0, p <= float(extent)]), here, const(0, acc))

    def total(r, o, h):
        return reducers.sum(weight(r, o, h, tap), axis=[tap])

    return grid, stage((count, size, extent), total, name)


def _compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, rois, batch = inputs
    images, channels, height, width = extents(x)
    regions, tall = extents(batch)[0], attrs["size"][0]
    acc = accumulator(x.dtype)
    (rows, by_row), (columns, by_column) = (
        _weights(rois, attrs, side, extent) for side, extent in ((1, height), (0, width))
    )
    h, w = reduce_axis(height, "h"), reduce_axis(width, "w")

    def product(weight: Expr, value: Callable[[], Expr]) -> Expr:
        """What is not sampled has no part in it, though it be NaN."""
        return if_then_else(weight > 0.0, weight * value(), const(0, acc))

    def line(r, c, o, at):
        n = wrapped_index(batch[(r,)], images)
        read = partial(lambda *i: x[i].astype(acc), n, c, h, at)
        return reducers.sum(product(by_row[r, o, h], read), axis=[h])

    lines = stage((regions, channels, tall, width), line, "roi_align.lines")

    def area(r, c, o, p):
        read = partial(lambda *i: lines[i], r, c, o, w)
        return reducers.sum(product(by_column[r, p, w], read), axis=[w])

    total = stage(out[0].shape, area, "roi_align.area")

    def mean(r: Expr, c: Expr, o: Expr, p: Expr) -> Expr:
        return (total[r, c, o, p] / maximum(rows[r] * columns[r], 1.0)).astype(x.dtype)

    return [stage(out[0].shape, mean, "roi_align_adaptive")]


def _reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    """Sample by sample."""
    x, rois, batch = inputs
    offset = 0.5 if attrs["half_pixel"] else 0.0
    y = np.zeros((len(rois), x.shape[1], *attrs["size"]), np.float64)
    own = np.float64 if x.dtype == np.float64 else np.float32
    scale = own(attrs["scale"])

    def places(roi: np.ndarray, side: int) -> np.ndarray:
        size = attrs["size"][1 - side]
        start, end = (roi[k].astype(own) * scale - own(offset) for k in (side, side + 2))
        span = np.clip(end - start if offset else max(end - start, own(1)), -_FAR, _FAR)
        count = max(int(np.ceil(float(span) / size)), 0)
        step = float(span) / size
        inside = (np.arange(count) + 0.5) * step / max(count, 1)
        return float(start) + np.arange(size)[:, None] * step + inside

    def sampled(image: np.ndarray, p: np.ndarray, axis: int) -> np.ndarray:
        m = image.shape[axis]
        q = np.maximum(p, 0)
        first = np.minimum(np.floor(q), m - 1).astype(np.int64)
        t = np.where(first >= m - 1, 0, q - first)
        parts = [np.take(image, np.minimum(first + k, m - 1), axis) for k in (0, 1)]
        shape = [-1 if k == axis else 1 for k in range(image.ndim)]
        value = parts[0] * (1 - t).reshape(shape) + parts[1] * t.reshape(shape)
        return value * ((p >= -1) & (p <= m)).reshape(shape)

    for r, n in enumerate(wrapped_array(batch, len(x))):
        ys, xs = places(rois[r], 1), places(rois[r], 0)
        if not ys.size or not xs.size:
            continue
        rows = sampled(x[n].astype(np.float64), ys.reshape(-1), 1)
        value = sampled(rows, xs.reshape(-1), 2)
        y[r] = value.reshape(-1, *ys.shape, *xs.shape).mean(axis=(2, 4))
    return [y.astype(x.dtype)]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "roi_align_adaptive",
        Kind.OPAQUE,
        _infer,
        _compute,
        _reference,
        attrs={
            "size": Attr(tuple, doc="height and width of the result"),
            "scale": Attr(float, 1.0, "from the regions' coordinates to the image's"),
            "half_pixel": Attr(bool, True, "pixel centres lie at .5"),
        },
        min_inputs=3,
        max_inputs=3,
        doc="Regions (x1, y1, x2, y2) of images, each resampled to one size: the mean of as many "
        "samples an axis of an output as it is pixels long, rounded up.",
    ),
)
