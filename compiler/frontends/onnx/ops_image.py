"""Sampling and other operators on images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np

from ....runtime.errors import WeftError
from .context import Converter, NodeContext
from .ops_conv import required

MAX_POINTS = 1 << 24  # of a grid that is made at compile time


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
    if batch != theta.shape[0] or min(spatial) < 0 or math.prod(spatial) > MAX_POINTS:
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
    samples, mode = n.attr("sampling_ratio", 0), n.attr("mode", "avg")
    half = n.attr("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    attrs = {
        "size": (n.attr("output_height", 1), n.attr("output_width", 1)),
        "scale": n.attr("spatial_scale", 1.0),
        "half_pixel": half and n.opset >= 16,
    }
    if samples > 0:
        return n.add("roi_align", n.inputs[:3], samples=samples, mode=mode, **attrs)
    if mode != "avg":
        n.unsupported(f"sampling_ratio 0 with the mode {mode!r}")
    return n.add("roi_align_adaptive", n.inputs[:3], **attrs)


def _ints(n: NodeContext, i: int) -> Sequence[int]:
    value = n.const(i)
    if value is None:
        n.error(f"its input {i} is absent.")
    return tuple(int(v) for v in value.reshape(-1))


def _col2im(n: NodeContext) -> str:
    window = {k: n.attr(k, None) for k in ("strides", "dilations", "pads")}
    return n.add("col2im", n.inputs[:1], image=_ints(n, 1), block=_ints(n, 2), **window)


_MODES = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L"}


def _image_decoder(n: NodeContext) -> str:
    """The bytes of an image file, which must be known, as uint8 ``[height, width, channels]``."""
    form = n.attr("pixel_format", "RGB")
    if form not in _MODES:
        n.error(f"the pixel format {form!r} is none of {', '.join(_MODES)}.")
    data = n.const(0)
    if data is None or data.dtype != np.uint8 or data.ndim != 1:
        n.error(f"it takes the bytes of one file, not {n.type(0)}.")
    try:
        from PIL import Image
    except ImportError:
        n.unsupported("decoding images needs Pillow, which is not installed (weft[images])")
    try:
        with Image.open(BytesIO(data.tobytes())) as opened:
            if opened.width * opened.height * 3 > MAX_POINTS:
                n.unsupported(f"an image of {opened.width} by {opened.height} as a constant")
            pixels = np.asarray(opened.convert(_MODES[form]))
    except WeftError:
        raise
    except Exception as e:  # each of its formats has a decoder with errors of its own
        n.error(f"this is no readable image: {str(e) or type(e).__name__}.")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return n.constant(np.ascontiguousarray(pixels[..., ::-1] if form == "BGR" else pixels))


CONVERTERS: dict[str, Converter] = {
    "AffineGrid": _affine_grid,
    "Col2Im": _col2im,
    "GridSample": _grid_sample,
    "ImageDecoder": _image_decoder,
    "RoiAlign": _roi_align,
}
