"""Reading images at computed positions: grid_sample and roi_align."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import numpy as np

from ...ir import reducers
from ...ir.builders import all_of, if_then_else, maximum, minimum
from ...ir.expr import ZERO, Expr, const
from ...ir.intrin import floor, round_even
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import INT32
from ...runtime.errors import GraphError
from ..types import MAX_ELEMENTS, TensorType
from .facts import Facts
from .gather import wrapped_array, wrapped_index
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import accumulator, extents, stage

MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")
_FAR = float(2**24)  # positions are cut off here, so that they fit into an int32 whatever comes
_A = -0.75  # the parameter of the cubic kernel (Keys 1981), as ONNX and torch have it


def _sample_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, grid = types[0], types[1]
    assert x is not None and grid is not None
    if attrs["mode"] not in MODES or attrs["padding"] not in PADDINGS:
        raise GraphError(
            f"grid_sample has no mode {attrs['mode']!r} with padding {attrs['padding']!r}.",
            hint=f"modes: {', '.join(MODES)}; paddings: {', '.join(PADDINGS)}",
        )
    n = len(x.shape) - 2
    if (
        n < 1
        or len(grid.shape) != n + 2
        or grid.shape[-1] != n
        or grid.shape[0] != x.shape[0]
        or not (x.dtype.is_float and grid.dtype.is_float)
    ):
        raise GraphError(
            f"grid_sample takes float data [batch, channel, spatial…] and a grid "
            f"[batch, spatial…, {max(n, 0)}], not {x} and {grid}."
        )
    out = TensorType(x.dtype, (*x.shape[:2], *grid.shape[1:-1]))
    if out.size and 0 in x.shape[2:]:
        raise GraphError(f"grid_sample: there is nothing to read in {x}.")
    return [out]


def _cubic(t):
    """The weights of the four neighbours at distances 1 + t, t, 1 - t, 2 - t."""

    def near(d):
        return ((_A + 2) * d - (_A + 3)) * d * d + 1.0

    def far(d):
        return ((d - 5.0) * d + 8.0) * d * _A - 4.0 * _A

    return [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]


def _sample_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, grid = inputs
    size = extents(x)[2:]
    wide = accumulator(grid.dtype)
    acc = accumulator(x.dtype)
    n, mode, padding, corners = len(size), attrs["mode"], attrs["padding"], attrs["align_corners"]

    def position(g: Expr, m: int) -> Expr:
        g = g.astype(wide)
        p = (g + 1.0) * ((m - 1) / 2) if corners else ((g + 1.0) * float(m) - 1.0) * 0.5
        if mode == "nearest":
            p = round_even(p)
        if padding == "border" and mode != "cubic":  # whose taps are brought in one by one
            low, high = (0.0, m - 1.0) if corners else (-0.5, m - 0.5)
            p = if_then_else(p < low, 0.0, if_then_else(p > high, m - 1.0, p))
        return minimum(maximum(p, -_FAR), _FAR)

    def inside(i: Expr, m: int) -> Expr:
        """Position ``i`` brought into the image."""
        if m == 1:
            return ZERO
        if padding == "reflection":
            if corners:
                return (m - 1) - abs((m - 1) - i % (2 * (m - 1)))
            j = i % (2 * m)
            return if_then_else(j < m, j, (2 * m - 1) - j)
        return minimum(maximum(i, 0), m - 1)

    def body(*o: Expr) -> Expr:
        b, c, *at = o
        # The grid's last axis counts x, y, z: innermost first.
        places = [position(grid[(b, *at, n - 1 - k)], size[k]) for k in range(n)]

        def read(index: list[Expr]) -> Expr:
            if padding == "zeros":
                ok = [t for i, m in zip(index, size) for t in (i >= 0, i < m)]
                return if_then_else(all_of(ok), x[(b, c, *index)].astype(acc), const(0, acc))
            return x[(b, c, *(inside(i, m) for i, m in zip(index, size)))].astype(acc)

        if mode == "nearest":
            return read([p.astype(INT32) for p in places]).astype(x.dtype)

        def mix(axis: int, index: list[Expr]) -> Expr:
            if axis == n:
                return read(index)
            p = places[axis]
            base = floor(p)
            t = (p - base).astype(acc)
            first = base.astype(INT32) - (1 if mode == "cubic" else 0)
            weights = _cubic(t) if mode == "cubic" else [1.0 - t, t]
            total: Expr | None = None
            for k, w in enumerate(weights):
                term = mix(axis + 1, [*index, first + k if k else first]) * w
                total = term if total is None else total + term
            assert total is not None
            return total

        return mix(0, []).astype(x.dtype)

    return [stage(out[0].shape, body, "grid_sample", {"kind": "sample"})]


def _reflected(i: np.ndarray, m: int, corners: bool) -> np.ndarray:
    """Positions brought into an axis of ``m`` by reflection, at the middles of its first and last
    element (``corners``) or at their outer edges."""
    if corners and m > 1:
        return (m - 1) - np.abs((m - 1) - i % (2 * (m - 1)))
    return np.where(i % (2 * m) < m, i % (2 * m), 2 * m - 1 - i % (2 * m))


def _sample_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, grid = inputs
    size = x.shape[2:]
    n, mode, padding, corners = len(size), attrs["mode"], attrs["padding"], attrs["align_corners"]
    places = []
    for k, m in enumerate(size):
        g = grid[..., n - 1 - k].astype(np.float64)
        p = (g + 1) * (m - 1) / 2 if corners else ((g + 1) * m - 1) / 2
        if mode == "nearest":
            p = np.rint(p)
        if padding == "border" and mode != "cubic":
            low, high = (0, m - 1) if corners else (-0.5, m - 0.5)
            p = np.where(p < low, 0, np.where(p > high, m - 1, p))
        places.append(np.nan_to_num(np.clip(p, -_FAR, _FAR)))
    if mode == "nearest":
        taps = [[(p.astype(np.int64), np.ones_like(p))] for p in places]
    else:
        taps = []
        for p in places:
            base = np.floor(p)
            t = p - base
            weights = _cubic(t) if mode == "cubic" else [1 - t, t]
            first = base.astype(np.int64) - (mode == "cubic")
            taps.append([(first + k, w) for k, w in enumerate(weights)])
    total = np.zeros((x.shape[0], *grid.shape[1:-1], x.shape[1]))
    batch = np.arange(x.shape[0]).reshape(-1, *(1,) * n)
    wide = np.moveaxis(x.astype(np.float64), 1, -1)
    for combination in itertools.product(*taps):
        weight = np.ones(grid.shape[:-1])
        key = []
        for (i, w), m in zip(combination, size):
            weight = weight * w
            if padding == "zeros":
                weight = np.where((i >= 0) & (i < m), weight, 0)
            elif padding == "reflection":
                i = _reflected(i, m, corners)
            key.append(np.clip(i, 0, max(m - 1, 0)))
        if total.size:
            total += wide[(batch, *key)] * weight[..., None]
    return [np.moveaxis(total, -1, 1).astype(x.dtype)]


# --- roi_align --------------------------------------------------------------------------------


def _roi_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, rois, batch = types[0], types[1], types[2]
    assert x is not None and rois is not None and batch is not None
    height, width = attrs["size"]
    if (
        len(x.shape) != 4
        or rois.shape != (*batch.shape, 4)
        or len(batch.shape) != 1
        or not batch.dtype.is_int
        or rois.dtype != x.dtype
        or not x.dtype.is_float
    ):
        raise GraphError(
            f"roi_align takes float images [N, C, H, W], regions [R, 4] of their type and R "
            f"integer positions of images, not {x}, {rois} and {batch}."
        )
    if min(height, width, attrs["samples"]) < 1 or attrs["mode"] not in ("avg", "max"):
        raise GraphError(
            f"roi_align to {height} x {width} with {attrs['samples']} samples, mode "
            f"{attrs['mode']!r}: extents and samples must be positive, the mode avg or max."
        )
    if height * width * attrs["samples"] ** 2 > MAX_ELEMENTS:
        raise GraphError(
            f"roi_align to {height} x {width} with {attrs['samples']} samples along each axis of "
            f"an output: {MAX_ELEMENTS} in a region are the most."
        )
    out = TensorType(x.dtype, (batch.shape[0], x.shape[1], height, width))
    if out.size and 0 in x.shape:
        raise GraphError(f"roi_align: there is nothing to read in {x}.")
    return [out]


def _roi_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, rois, batch = inputs
    count, _, height, width = extents(x)
    samples, offset = attrs["samples"], 0.5 if attrs["half_pixel"] else 0.0
    acc = accumulator(x.dtype)
    taps = [reduce_axis(samples, "ry"), reduce_axis(samples, "rx")]
    peak = attrs["mode"] == "max"

    def place(axis: int, r: Expr, o: Expr, t: Expr) -> Expr:
        """The position along y (axis 1) or x (axis 0) of sample ``t`` of output ``o``."""
        start = rois[r, axis].astype(acc) * attrs["scale"] - offset
        extent = rois[r, axis + 2].astype(acc) * attrs["scale"] - offset - start
        if not attrs["half_pixel"]:
            extent = maximum(extent, 1.0)
        step = extent / float(attrs["size"][1 - axis])
        p = start + o.astype(acc) * step + (t.astype(acc) + 0.5) * step / float(samples)
        return minimum(maximum(p, -_FAR), _FAR)

    # Stages of their own: all channels share them, and code for each lane would repeat them.
    ys, xs = (
        stage((*extents(batch), attrs["size"][1 - axis], samples), partial(place, axis), name)
        for axis, name in ((1, "roi_align.y"), (0, "roi_align.x"))
    )

    def value(r: Expr, c: Expr, oy: Expr, ox: Expr, ty: Expr, tx: Expr) -> Expr:
        y, z = ys[r, oy, ty], xs[r, ox, tx]
        n = wrapped_index(batch[(r,)], count)
        pixels, weights = [], []
        for p, m in ((y, height), (z, width)):
            q = maximum(p, 0.0)
            first = floor(q)
            t = if_then_else(first >= float(m - 1), 0.0, q - first)
            i = first.astype(INT32)
            pixels.append((minimum(i, m - 1), minimum(i + 1, m - 1)))
            weights.append((1.0 - t, t))
        terms = [
            x[n, c, pixels[0][j], pixels[1][k]].astype(acc) * (weights[0][j] * weights[1][k])
            for j in (0, 1)
            for k in (0, 1)
        ]
        total = terms[0]
        for term in terms[1:]:
            total = maximum(total, term) if peak else total + term
        ok = [y >= -1.0, y <= float(height), z >= -1.0, z <= float(width)]
        return if_then_else(all_of(ok), total, const(0, acc))

    reduce = reducers.max if peak else reducers.sum
    total = stage(out[0].shape, lambda *o: reduce(value(*o, *taps), axis=taps), "roi_align")
    if peak and acc == x.dtype:
        return [total]
    share = 1.0 if peak else 1.0 / (samples * samples)
    return [stage(out[0].shape, lambda *o: (total[o] * share).astype(x.dtype), "roi_align.out")]


def _roi_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, rois, batch = inputs
    count, channels, height, width = x.shape
    samples, offset = attrs["samples"], 0.5 if attrs["half_pixel"] else 0.0
    tall, broad = attrs["size"]

    def places(axis: int, size: int) -> np.ndarray:
        start = rois[:, axis].astype(np.float64) * attrs["scale"] - offset
        extent = rois[:, axis + 2].astype(np.float64) * attrs["scale"] - offset - start
        if not attrs["half_pixel"]:
            extent = np.maximum(extent, 1.0)
        at = np.arange(size)[:, None] + (np.arange(samples)[None, :] + 0.5) / samples
        p = start[:, None, None] + at[None] * (extent / size)[:, None, None]
        return np.nan_to_num(np.clip(p, -_FAR, _FAR)).reshape(len(rois), size * samples)

    def neighbours(p: np.ndarray, m: int) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
        q = np.maximum(p, 0)
        first = np.floor(q)
        t = np.where(first >= m - 1, 0, q - first)
        i = first.astype(np.int64)
        return (np.minimum(i, m - 1), np.minimum(i + 1, m - 1)), (1 - t, t)

    ys, xs = places(1, tall), places(0, broad)
    (py, wy), (px, wx) = neighbours(ys, height), neighbours(xs, width)
    n = wrapped_array(batch, count)[:, None, None]
    wide = np.moveaxis(x.astype(np.float64), 1, -1)
    terms = [
        wide[n, py[j][:, :, None], px[k][:, None, :]]
        * (wy[j][:, :, None] * wx[k][:, None, :])[..., None]
        for j in (0, 1)
        for k in (0, 1)
    ]
    value = np.max(terms, axis=0) if attrs["mode"] == "max" else np.sum(terms, axis=0)
    oky, okx = (ys >= -1) & (ys <= height), (xs >= -1) & (xs <= width)
    value = np.where((oky[:, :, None] & okx[:, None, :])[..., None], value, 0)
    parts = value.reshape(len(rois), tall, samples, broad, samples, channels)
    pooled = parts.max(axis=(2, 4)) if attrs["mode"] == "max" else parts.mean(axis=(2, 4))
    return [np.moveaxis(pooled, -1, 1).astype(x.dtype)]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "grid_sample",
        Kind.OPAQUE,
        _sample_infer,
        _sample_compute,
        _sample_reference,
        attrs={
            "mode": Attr(str, "linear", ", ".join(MODES)),
            "padding": Attr(str, "zeros", ", ".join(PADDINGS)),
            "align_corners": Attr(bool, False, "-1 and 1 are the centres of the outer pixels"),
        },
        min_inputs=2,
        max_inputs=2,
        doc="Pixels at the positions of a grid whose last axis holds x, y, … in [-1, 1].",
    ),
    OpDef(
        "roi_align",
        Kind.OPAQUE,
        _roi_infer,
        _roi_compute,
        _roi_reference,
        attrs={
            "size": Attr(tuple, doc="height and width of the result"),
            "samples": Attr(int, doc="samples along each axis of an output"),
            "scale": Attr(float, 1.0, "from the regions' coordinates to the image's"),
            "mode": Attr(str, "avg", "avg or max of the samples"),
            "half_pixel": Attr(bool, True, "pixel centres lie at .5"),
        },
        min_inputs=3,
        max_inputs=3,
        facts=Facts(window=lambda a: (a["samples"], a["samples"])),
        doc="Regions (x1, y1, x2, y2) of images, each resampled to one size (He et al. 2017).",
    ),
)
