"""Sampling and other operators on images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from onnx import GraphProto

from ....runtime.errors import WeftError
from .context import Converter, NodeContext
from .ops_conv import required
from .scope import reads

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


_LUMA = np.array([19595, 38470, 7471], np.int32)  # of 65536: Pillow's weights of RGB, rounded


def pictures(graph: GraphProto) -> frozenset[str]:
    """The inputs of a graph that are nothing but files of images: ``ImageDecoder`` reads them."""
    decoded = {n.input[0] for n in graph.node if n.op_type == "ImageDecoder" and n.input}
    others = set().union(*(reads(n) for n in graph.node if n.op_type != "ImageDecoder"))
    return frozenset(decoded - others - {o.name for o in graph.output})


def _image_decoder(n: NodeContext) -> str:
    """The bytes of an image file as uint8 ``[height, width, channels]``.

    They are known, or the file is an input, of which a call gives the pixels (:func:`pictures`):
    uint8 ``[1, height, width, 3]``, as Pillow and browsers decode it."""
    form = n.attr("pixel_format", "RGB")
    if form not in _MODES:
        n.error(f"the pixel format {form!r} is none of {', '.join(_MODES)}.")
    t = required(n, 0)
    if len(t.shape) == 4 and not n.is_const(0):
        return _picture(n, form)
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


def _picture(n: NodeContext, form: str) -> str:
    """The pixels of an input, red first, in another form."""
    _, height, width, _ = required(n, 0).shape
    x = n.add("reshape", n.inputs[:1], shape=(height, width, 3))
    if form == "BGR":
        return n.add("slice", [x], starts=(0, 0, 2), shape=(height, width, 3), steps=(1, 1, -1))
    if form == "RGB":
        return x
    x = n.add("mul", [n.add("cast", [x], to="int32"), n.constant(_LUMA)])
    x = n.add("reduce_sum", [x], axes=(2,), keepdims=True)
    x = n.add(
        "div", [n.add("add", [x, n.constant(np.int32(1 << 15))]), n.constant(np.int32(1 << 16))]
    )
    return n.add("cast", [x], to="uint8")


CONVERTERS: dict[str, Converter] = {
    "AffineGrid": _affine_grid,
    "Col2Im": _col2im,
    "GridSample": _grid_sample,
    "ImageDecoder": _image_decoder,
    "RoiAlign": _roi_align,
}
