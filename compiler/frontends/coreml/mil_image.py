"""Operations on images [batch, channels, height, width]: resizing, cutting out, sampling."""

from __future__ import annotations

import math

import numpy as np

from . import resampling
from .mil_context import MilContext, MilConverter


def _scaled(n: MilContext) -> list[int]:
    """The extents that scale factors make."""
    outs = []
    for size, key in zip(n.typed().shape[-2:], ("height", "width")):
        factor = n.number(f"scale_factor_{key}", 1)
        if not 0 < factor < math.inf:
            n.error(f"a factor of {factor} is none.")
        outs.append(math.floor(np.float32(factor) * np.float32(size)))
    return outs


def _target(n: MilContext) -> list[int]:
    return [int(n.number(f"target_size_{key}", 1)) for key in ("height", "width")]


def _mode(n: MilContext) -> str:
    mode = n.text("sampling_mode", resampling.DEFAULT)
    if mode not in resampling.MODES:
        n.error(f"there is no sampling mode {mode!r}.")
    return mode


def _upsample_bilinear(n: MilContext) -> str:
    """Corners are aligned unless it is said that they are not; pixels have their centres then,
    unless it is said that these have not."""
    if n.flag("align_corners", True):
        mode = resampling.STRICT
    else:
        mode = resampling.UNALIGN if n.flag("half_pixel_centers", True) else resampling.DEFAULT
    return resampling.linear(n, n.arg("x"), _scaled(n), mode)


def _resize(n: MilContext) -> str:
    """The last axes to extents; 0 leaves one as it is."""
    x, count = n.arg("x"), int(n.number("resized_dims"))
    shape, wanted = n.shaped(x), n.ints("shape")
    if not 0 <= count <= min(len(shape), len(wanted)):
        n.error(f"{count} axes of {list(shape)} cannot be resized to {list(wanted)}.")
    if not count:
        return n.add("identity", [x])
    outs = [w or d for w, d in zip(wanted[-count:], shape[-count:])]
    mode = _mode(n)
    if n.text("interpolation_mode", "LINEAR") == "LINEAR":
        return resampling.linear(n, x, outs, mode)
    if mode != resampling.DEFAULT and list(shape[-count:]) != outs:
        n.unsupported(f"the nearest element with the sampling mode {mode}")
    return resampling.nearest(n, x, outs)


def _crop_resize(n: MilContext) -> str:
    """Up to iOS 16 boxes are [N, 1, 4 or 5, 1, 1] and results [N, batch or 1, C, H, W]; later ones
    are [N, 4], and results [N, C, H, W]."""
    x = n.arg("x")
    batch, depth = n.shaped(x)[:2]
    outs = [int(n.number(f"target_{key}", 1)) for key in ("height", "width")]
    if float(n.number("pad_value", 0.0)):
        n.unsupported("boxes beyond an image, which is padded with other numbers than 0")
    lead: tuple[int, ...] = ()
    if n.has("roi"):
        roi = n.arg("roi")
        count, width = n.shaped(roi)[0], n.shaped(roi)[2]
        told = n.reshaped(roi, (count, width))
        each = batch if width == 4 else 1
        if width == 5:
            at = n.add("slice", [told], starts=(0, 0), shape=(count, 1))
            at = n.cast(n.reshaped(at, (count,)), "int32")
            told = n.add("slice", [told], starts=(0, 1), shape=(count, 4))
        else:
            at = n.constant(np.tile(np.arange(each, dtype=np.int32), count))
            which = n.constant(np.repeat(np.arange(count, dtype=np.int32), each))
            told = n.add("gather", [told, which], axis=0, wrap=False)
        lead = (count, each)
    else:
        told = n.cast(n.arg("boxes"), "float32")
        at = n.arg("box_indices", "") or n.constant(np.arange(n.shaped(told)[0], dtype=np.int32))
        lead = (n.shaped(told)[0],)
    images = n.add("gather", [x, at], axis=0, wrap=False)
    y = resampling.cropped(
        n, images, told, outs, _mode(n), n.text("box_coordinate_mode", resampling.BOXES[0]),
        normalized=n.flag("normalized_coordinates"), scale=float(n.number("spatial_scale", 1.0)),
    )  # fmt: skip
    return n.reshaped(y, (*lead, depth, *outs))


_SAMPLES = {"bilinear": "linear", "nearest": "nearest"}
_PADDING = {"constant": "zeros", "border": "border", "reflection": "reflection"}


def _sampled(n: MilContext, grid: str) -> str:
    """``x`` at places [batch, height, width, (x, y)] in [-1, 1]."""
    mode, padding = n.text("sampling_mode"), n.text("padding_mode")
    if mode not in _SAMPLES:
        n.error(f"there is no sampling mode {mode!r}.")
    if padding not in _PADDING:
        n.unsupported(f"the padding mode is {padding!r}")
    if padding == "constant" and float(n.number("padding_value", 0.0)):
        n.unsupported("an image that is padded with other numbers than 0")
    told = {"mode": _SAMPLES[mode], "padding": _PADDING[padding]}
    return n.add("grid_sample", [n.arg("x"), grid], align_corners=n.flag("align_corners"), **told)


def _resample(n: MilContext) -> str:
    grid, kind = n.cast(n.arg("coordinates"), "float32"), n.text("coordinates_mode")
    if kind == "normalized_zero_to_one":
        two, one = n.like(2, grid), n.like(1, grid)
        grid = n.add("sub", [n.add("mul", [grid, two]), one])
    elif kind == "unnormalized":
        extents = np.array(n.typed().shape[:1:-1], np.float64)  # width, height
        if n.flag("align_corners"):
            slope, shift = 2 / np.maximum(extents - 1, 1), -np.ones(2)
        else:
            slope, shift = 2 / extents, 1 / extents - 1
        grid = n.add("add", [n.add("mul", [grid, n.like(slope, grid)]), n.like(shift, grid)])
    elif kind != "normalized_minus_one_to_one":
        n.error(f"there is no mode {kind!r} of coordinates.")
    return _sampled(n, grid)


def _affine(n: MilContext) -> str:
    """Each pixel of the result is read where a linear map takes it, in [-1, 1]."""
    if n.text("coordinates_mode") != "normalized_minus_one_to_one":
        n.unsupported("an affine map of other coordinates than from -1 to 1")
    matrix, batch = n.arg("transform_matrix"), n.typed().shape[0]
    height, width = (int(n.number(f"output_{key}")) for key in ("height", "width"))
    n.made([height, width, 3])
    ends = []
    for size in (width, height):
        k = np.arange(size, dtype=np.float64)
        aligned = 2 * k / max(size - 1, 1) - 1
        ends.append(aligned if n.flag("align_corners") else (2 * k + 1) / size - 1)
    x, y = np.meshgrid(*ends)
    places = n.constant(np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3).astype(np.float32))
    maps = n.reshaped(matrix, (n.shaped(matrix)[0], 2, 3))
    grid = n.add("matmul", [places, n.moved(maps, (0, 2, 1))])
    grid = n.add("expand", [grid], shape=(batch, height * width, 2))
    return _sampled(n, n.reshaped(grid, (batch, height, width, 2)))


CONVERTERS: dict[str, MilConverter] = {
    "affine": _affine,
    "crop_resize": _crop_resize,
    "resample": _resample,
    "resize": _resize,
    "resize_bilinear": lambda n: resampling.linear(n, n.arg("x"), _target(n), _mode(n)),
    "resize_nearest_neighbor": lambda n: resampling.nearest(n, n.arg("x"), _target(n)),
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": lambda n: resampling.nearest(n, n.arg("x"), _scaled(n)),
}
