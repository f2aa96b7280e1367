"""What a deformable convolution reads (Dai et al. 2017; with a mask, Zhu et al. 2019).

Each element of the window reads an image at a position of its own, between pixels, which an offset
moves; beyond the image are zeros. The rest of the convolution is a product of matrices.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ...ir.builders import all_of, if_then_else, maximum, minimum
from ...ir.expr import Expr, cast, const
from ...ir.intrin import floor
from ...ir.tensor import Tensor
from ...runtime.dtype import INT32
from ...runtime.errors import GraphError
from ..types import TensorType
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import accumulator, stage


def _infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, offset = types[0], types[1]
    mask = types[2] if len(types) > 2 else None
    assert x is not None and offset is not None
    groups, kernel, strides = attrs["groups"], attrs["kernel"], attrs["strides"]
    pairs = [kernel, strides, attrs["dilations"], attrs["pads"][:2], attrs["pads"][2:]]
    if len(x.shape) != 4 or any(len(p) != 2 for p in pairs):
        raise GraphError(
            f"deform_columns takes images [N, C, H, W], not {x}, and pairs of numbers."
        )
    if min(*kernel, *strides, *attrs["dilations"], groups) < 1 or x.shape[1] % groups:
        raise GraphError(
            f"deform_columns: the kernel {kernel}, strides {strides}, dilations "
            f"{attrs['dilations']} and {groups} groups of the channels of {x} must be positive "
            "and divide them."
        )
    out = tuple(
        (m + b + a - (k - 1) * d - 1) // s + 1
        for m, k, s, d, b, a in zip(
            x.shape[2:], kernel, strides, attrs["dilations"], attrs["pads"], attrs["pads"][2:]
        )
    )
    taps = groups * kernel[0] * kernel[1]
    wanted = (x.shape[0], 2 * taps, *out)
    fits = min(out) > 0 and offset.shape == wanted
    if mask is not None:
        fits = fits and mask.shape == (x.shape[0], taps, *out) and mask.dtype == x.dtype
    if not fits or offset.dtype != x.dtype or not x.dtype.is_float:
        raise GraphError(
            f"deform_columns of {x}: the offsets {offset} and the mask {mask} must be floats "
            f"{list(wanted)} and {[x.shape[0], taps, *out]}, of the type of the image."
        )
    return [TensorType(x.dtype, (*x.shape[:2], kernel[0] * kernel[1], *out))]


def _compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, offset = inputs[0], inputs[1]
    mask = inputs[2] if len(inputs) > 2 else None
    _, channels, *extents = (int(d) for d in out[0].shape[:2] + (x.shape[2], x.shape[3]))
    kernel, acc = attrs["kernel"], accumulator(x.dtype)
    taps, per = kernel[0] * kernel[1], max(channels // attrs["groups"], 1)

    def body(n: Expr, c: Expr, k: Expr, oy: Expr, ox: Expr) -> Expr:
        tap = c // per * taps + k
        pixels, weights = [], []
        for axis, (o, at) in enumerate(((oy, k // kernel[1]), (ox, k % kernel[1]))):
            place = o * attrs["strides"][axis] - attrs["pads"][axis] + at * attrs["dilations"][axis]
            p = cast(place, acc) + offset[n, tap * 2 + axis, oy, ox].astype(acc)
            p = minimum(maximum(p, -2.0), float(extents[axis] + 1))
            first = floor(p)
            pixels.append((cast(first, INT32), cast(first, INT32) + 1))
            weights.append((1.0 - (p - first), p - first))
        total = const(0, acc)
        for j, i in product((0, 1), (0, 1)):
            y, z = pixels[0][j], pixels[1][i]
            ok = all_of([y >= 0, y < extents[0], z >= 0, z < extents[1]])
            term = x[n, c, y, z].astype(acc) * (weights[0][j] * weights[1][i])
            total = total + if_then_else(ok, term, const(0, acc))
        if mask is not None:
            total = total * mask[n, tap, oy, ox].astype(acc)
        return total.astype(x.dtype)

    return [stage(out[0].shape, body, "deform_columns")]


def _reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, offset = inputs[0].astype(np.float64), inputs[1].astype(np.float64)
    mask = inputs[2] if len(inputs) > 2 else None
    kernel, groups = attrs["kernel"], attrs["groups"]
    count, channels, height, width = x.shape
    taps, (tall, broad) = kernel[0] * kernel[1], offset.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (2, 3), (2, 3)))
    moved = offset.reshape(count, groups, taps, 2, tall, broad)
    y = np.zeros((count, groups, channels // groups, taps, tall, broad))
    image = padded.reshape(count, groups, channels // groups, *padded.shape[2:])
    for n, g, k in np.ndindex(count, groups, taps):
        at, extents = divmod(k, kernel[1]), (height, width)
        grid = np.meshgrid(np.arange(tall), np.arange(broad), indexing="ij")
        ps = [
            np.clip(
                grid[a] * attrs["strides"][a] - attrs["pads"][a] + at[a] * attrs["dilations"][a]
                + moved[n, g, k, a], -2, extents[a] + 1,
            )
            for a in (0, 1)
        ]  # fmt: skip
        first = [np.floor(p).astype(np.int64) for p in ps]
        for j, i in product((0, 1), (0, 1)):
            w = [np.abs(1 - s - (p - f)) for s, p, f in zip((j, i), ps, first)]
            y[n, g, :, k] += image[n, g][:, first[0] + j + 2, first[1] + i + 2] * w[0] * w[1]
    if mask is not None:
        y = y * mask.reshape(count, groups, 1, taps, tall, broad)
    return [y.reshape(count, channels, taps, tall, broad).astype(inputs[0].dtype)]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "deform_columns",
        Kind.OPAQUE,
        _infer,
        _compute,
        _reference,
        attrs={
            "kernel": Attr(tuple, doc="rows and columns of the window"),
            "strides": Attr(tuple, (1, 1)),
            "pads": Attr(tuple, (0, 0, 0, 0), "before each axis, then behind each"),
            "dilations": Attr(tuple, (1, 1)),
            "groups": Attr(int, 1, "of channels that share offsets"),
        },
        min_inputs=2,
        max_inputs=3,
        doc="Of images, offsets and a mask (optional), the columns [N, C, window, H, W] that a "
        "deformable convolution multiplies its weights with.",
    ),
)
