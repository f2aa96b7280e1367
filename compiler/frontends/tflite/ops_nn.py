"""Convolutions, products, pools, normalisation and resizing, in floats."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from ..blocks import resize_bilinear, resize_nearest
from ..images import SAME, VALID, channels_first, channels_last, pool, window_pads
from .context import Converter, TfliteContext

PADDINGS = {0: SAME, 1: VALID}


def window_of(n: TfliteContext, size: Sequence[int], kernel: Sequence[int]) -> dict:
    """strides, dilations and pads of the operator's window over ``size``."""
    names = ("d", "h", "w")[3 - len(kernel) :]
    strides = tuple(n.attr(f"stride_{k}") for k in names)
    dilations = tuple(n.attr(f"dilation_{k}_factor", 1) for k in names)
    padding = PADDINGS.get(n.attr("padding"))
    if padding is None:
        n.error(f"there is no padding {n.attr('padding')}.")
    pads = window_pads(padding, size, kernel, strides, dilations)
    return {"strides": strides, "dilations": dilations, "pads": pads}


def conv_weights(n: TfliteContext, w: str) -> str:
    """Weights [filter, spatial…, channel] as weft's [filter, channel, spatial…]."""
    rank = len(n.typeof(w).shape)
    return n.add("transpose", [w], perm=(0, rank - 1, *range(1, rank - 1)))


def images_of(n: TfliteContext, rank: int = 4) -> tuple[int, ...]:
    """The shape of input 0 and of the weights, input 1, checked to be of images."""
    x, w = n.required(0), n.required(1)
    if len(x.shape) != rank or len(w.shape) != rank:
        n.error(f"it takes tensors of {rank} axes, not {x} and {w}.")
    return x.shape


def conv2d(n: TfliteContext, x: str, w: str, bias: str) -> str:
    """The convolution of ``CONV_2D``, without what follows: images [batch, height, width, channel],
    weights [filter, height, width, channel of a group], of one element type."""
    shape, kernel = n.typeof(x).shape, n.typeof(w).shape
    if not kernel[3] or shape[3] % kernel[3]:
        n.error(f"weights {n.typeof(w)} do not fit {n.typeof(x)}.")
    window = window_of(n, shape[1:3], kernel[1:3])
    inputs = [channels_first(n, x), conv_weights(n, w), *([bias] if bias else [])]
    return channels_last(n, n.add("conv", inputs, groups=shape[3] // kernel[3], **window))


def depthwise(n: TfliteContext, x: str, w: str, bias: str) -> str:
    """The convolution of ``DEPTHWISE_CONV_2D``, without what follows: weights [1, height, width,
    channel * multiplier]."""
    shape, kernel = n.typeof(x).shape, n.typeof(w).shape
    if kernel[0] != 1 or not shape[3] or kernel[3] % shape[3]:
        n.error(f"weights {n.typeof(w)} do not fit {n.typeof(x)}.")
    window = window_of(n, shape[1:3], kernel[1:3])
    inputs = [channels_first(n, x), n.add("transpose", [w], perm=(3, 0, 1, 2)),
              *([bias] if bias else [])]  # fmt: skip
    return channels_last(n, n.add("conv", inputs, groups=shape[3], **window))


def _conv_2d(n: TfliteContext) -> str:
    images_of(n)
    return n.activated(conv2d(n, n.input(0), n.input(1), n.input(2)))


def _depthwise_conv_2d(n: TfliteContext) -> str:
    images_of(n)
    return n.activated(depthwise(n, n.input(0), n.input(1), n.input(2)))


def _conv_3d(n: TfliteContext) -> str:
    """Weights are [depth, height, width, channel, filter]."""
    shape = images_of(n, 5)
    kernel = n.required(1).shape
    if kernel[3] != shape[4]:
        n.error(f"weights {n.type(1)} do not fit {n.type(0)}.")
    window = window_of(n, shape[1:4], kernel[:3])
    w = n.add("transpose", [n.inputs[1]], perm=(4, 3, 0, 1, 2))
    inputs = [channels_first(n, n.inputs[0]), w, *([n.input(2)] if n.input(2) else [])]
    return n.activated(channels_last(n, n.add("conv", inputs, **window)))


def transposed(
    n: TfliteContext, x: str, w: str, bias: str, out: Sequence[int], strides: Sequence[int],
    padding: str, dilations: Sequence[int] | None = None,
) -> str:  # fmt: skip
    """The gradient of a convolution: images ``x``, weights [channel, filter, spatial…], a result of
    the spatial extents ``out``."""
    size, kernel = n.typeof(x).shape[1:-1], n.typeof(w).shape[2:]
    steps = tuple(dilations or (1,) * len(kernel))
    if min(out, default=1) < 1:
        n.error(f"its result is of the extents {list(out)}.")
    pads = window_pads(padding, out, kernel, strides, steps)
    before, after, extra = [], [], []
    for k, (m, o, s, d, t) in enumerate(zip(size, out, strides, steps, kernel)):
        total = (m - 1) * s + (t - 1) * d + 1 - o
        before.append(pads[k])
        after.append(max(total - pads[k], 0))
        extra.append(max(pads[k] - total, 0))
    n.checked([*n.typeof(x).shape[:1], *out, n.typeof(w).shape[1]])
    inputs = [channels_first(n, x), w, *([bias] if bias else [])]
    y = n.add("conv_transpose", inputs, strides=tuple(strides), dilations=steps,
              pads=(*before, *after), output_padding=tuple(extra))  # fmt: skip
    return channels_last(n, y)


def _transposed_weights(n: TfliteContext, w: str, x: str) -> str:
    if n.typeof(w).shape[3] != n.typeof(x).shape[3]:
        n.error(f"weights {n.typeof(w)} do not fit {n.typeof(x)}.")
    return n.add("transpose", [w], perm=(3, 0, 1, 2))


def transpose_conv(n: TfliteContext, x: str, w: str, bias: str) -> str:
    """The convolution of ``TRANSPOSE_CONV``, whose input 0 is the shape of its result."""
    out = n.ints(0)
    if len(out) != 4 or len(n.typeof(x).shape) != 4 or len(n.typeof(w).shape) != 4:
        n.error(f"it takes images, not {n.typeof(x)} and {n.typeof(w)}.")
    strides = n.attr("stride_h"), n.attr("stride_w")
    padding = PADDINGS.get(n.attr("padding"), VALID)
    return transposed(n, x, _transposed_weights(n, w, x), bias, out[1:3], strides, padding)


def _transpose_conv(n: TfliteContext) -> str:
    n.required(1)
    n.required(2)
    return n.activated(transpose_conv(n, n.input(2), n.input(1), n.input(3)))


def _conv_3d_transpose(n: TfliteContext) -> str:
    """Weights are [depth, height, width, filter, channel]."""
    out = n.ints(0)
    x, w = n.required(2), n.required(1)
    if len(out) != 5 or len(x.shape) != 5 or len(w.shape) != 5 or w.shape[4] != x.shape[4]:
        n.error(f"a result {out} of {x} and {w}.")
    kernel = n.add("transpose", [n.inputs[1]], perm=(4, 3, 0, 1, 2))
    strides = tuple(n.attr(f"stride_{k}") for k in "dhw")
    dilations = tuple(n.attr(f"dilation_{k}_factor", 1) for k in "dhw")
    padding = PADDINGS.get(n.attr("padding"), VALID)
    return n.activated(
        transposed(n, n.inputs[2], kernel, n.input(3), out[1:4], strides, padding, dilations)
    )


def _convolution_2d_transpose_bias(n: TfliteContext) -> str:
    """MediaPipe's: input, weights [filter, height, width, channel], bias. Its options are the bytes
    of a C structure: padding (1: SAME, 2: VALID), stride along the width, along the height."""
    images_of(n)
    raw = n.attr("custom")
    if len(raw) < 12:
        n.error(f"its options have {len(raw)} bytes, not 12.")
    padding, across, down = struct.unpack_from("<3i", raw)
    if padding not in (1, 2) or across < 1 or down < 1:
        n.error(f"its padding is {padding}, its strides {down} and {across}.")
    x, w = n.inputs[:2]
    kernel, size = n.typeof(w).shape[1:3], n.typeof(x).shape[1:3]
    strides = (down, across)
    if padding == 1:
        out = [m * s for m, s in zip(size, strides)]
    else:
        out = [(m - 1) * s + k for m, s, k in zip(size, strides, kernel)]
    return transposed(n, x, _transposed_weights(n, w, x), n.input(2), out, strides,
                      SAME if padding == 1 else VALID)  # fmt: skip


def rows_of(n: TfliteContext) -> tuple[str, tuple[int, ...]]:
    """The first input of ``FULLY_CONNECTED`` as rows, and the shape of the result."""
    x, w = n.required(0), n.required(1)
    if n.attr("weights_format", 0):
        n.unsupported("weights in an order of their own")
    if len(w.shape) != 2 or not w.shape[1] or x.size % w.shape[1]:
        n.error(f"weights {w} do not fit {x}.")
    rows = (x.size // w.shape[1], w.shape[1])
    if n.attr("keep_num_dims", False):
        if x.shape[-1:] != (w.shape[1],):
            n.error(f"weights {w} do not fit {x}.")
        return n.reshape(n.inputs[0], rows), (*x.shape[:-1], w.shape[0])
    return n.reshape(n.inputs[0], rows), (rows[0], w.shape[0])


def _fully_connected(n: TfliteContext) -> str:
    x, shape = rows_of(n)
    inputs = [x, n.inputs[1], *([n.input(2)] if n.input(2) else [])]
    y = n.add("gemm", inputs, trans_b=True)
    return n.reshape(n.activated(y), shape)


def matrices(n: TfliteContext) -> tuple[str, str]:
    """The factors of ``BATCH_MATMUL``, each transposed where it is asked for."""
    found = []
    for k, adjoint in enumerate(("adj_x", "adj_y")):
        rank = len(n.required(k).shape)
        if rank < 2:
            n.error(f"it takes matrices, not {n.type(k)}.")
        x = n.inputs[k]
        if n.attr(adjoint, False):
            x = n.add("transpose", [x], perm=(*range(rank - 2), rank - 1, rank - 2))
        found.append(x)
    return found[0], found[1]


def _batch_matmul(n: TfliteContext) -> str:
    return n.add("matmul", list(matrices(n)))


def pool_window(n: TfliteContext) -> dict:
    """kernel, strides and pads of a pool over images [batch, height, width, channel]."""
    if len(n.required(0).shape) != 4:
        n.error(f"it takes images, not {n.type(0)}.")
    kernel = n.attr("filter_height"), n.attr("filter_width")
    if min(kernel) < 1:
        n.error(f"its window is {kernel}.")
    window = window_of(n, n.required(0).shape[1:3], kernel)
    return {"kernel": kernel, **window}


def max_pool(n: TfliteContext) -> str:
    """``MAX_POOL_2D`` without its activation."""
    return pool(n, "max_pool", n.inputs[0], **pool_window(n))


def _max_pool_2d(n: TfliteContext) -> str:
    return n.activated(max_pool(n))


def _average_pool_2d(n: TfliteContext) -> str:
    return n.activated(pool(n, "average_pool", n.inputs[0], **pool_window(n)))


def _l2_pool_2d(n: TfliteContext) -> str:
    square = n.add("mul", [n.inputs[0], n.inputs[0]])
    return n.activated(n.add("sqrt", [pool(n, "average_pool", square, **pool_window(n))]))


def _softmax(n: TfliteContext) -> str:
    x, beta = n.inputs[0], n.attr("beta", 1.0)
    if beta != 1.0:
        x = n.add("mul", [x, n.full(beta, x)])
    return n.add("softmax", [x], axis=-1)


def _log_softmax(n: TfliteContext) -> str:
    return n.add("log_softmax", n.inputs[:1], axis=-1)


def _l2_normalization(n: TfliteContext) -> str:
    x = n.inputs[0]
    rank = len(n.required(0).shape)
    norm = n.add("reduce_l2", [x], axes=(rank - 1,), keepdims=True)
    return n.activated(n.add("div", [x, n.add("maximum", [norm, n.full(1e-6, x)])]))


def _lrn(n: TfliteContext) -> str:
    if len(n.required(0).shape) != 4:
        n.error(f"it takes images, not {n.type(0)}.")
    radius, x = n.attr("radius"), n.inputs[0]
    if not 0 <= radius < 1 << 20:
        n.error(f"its radius is {radius}.")
    if not radius:
        return n.add("mul", [x, n.full(n.attr("bias") ** -n.attr("beta"), x)])
    # From radius channels before to radius - 1 behind, as the kernels have it.
    y = n.add("lrn", [channels_first(n, x)], size=2 * radius, before=radius, bias=n.attr("bias"),
              alpha=n.attr("alpha") * 2 * radius, beta=n.attr("beta"))  # fmt: skip
    return channels_last(n, y)


def _resize(bilinear: bool) -> Converter:
    def convert(n: TfliteContext) -> str:
        t, size = n.required(0), n.ints(1)
        if len(t.shape) != 4 or len(size) != 2 or min(size) < 1 or not t.size:
            n.error(f"it resizes {t} to {size}.")
        n.checked([t.shape[0], *size, t.shape[3]])
        corners, half = (bool(n.attr(k, False)) for k in ("align_corners", "half_pixel_centers"))
        how = resize_bilinear if bilinear else resize_nearest
        return how(n, n.inputs[0], size, corners, half)

    return convert


def _fake_quant(n: TfliteContext) -> str:
    """To the nearest of the numbers of an integer type over a range that is moved so that 0 is one
    of them, and back (TensorFlow's ``nudge``)."""
    low, high, bits = n.attr("min"), n.attr("max"), n.attr("num_bits")
    least = 1.0 if n.attr("narrow_range", False) else 0.0
    if not 2 <= bits <= 16 or not low < high:
        n.error(f"{bits} bits from {low} to {high}.")
    most = float((1 << bits) - 1)
    scale = np.float32((high - low) / (most - least))
    at = np.float32(least - low / scale)
    zero = np.float32(min(max(np.floor(at + np.float32(0.5)), least), most))
    bottom, top = np.float32((least - zero) * scale), np.float32((most - zero) * scale)
    x = n.add("clip", n.inputs[:1], min=float(bottom), max=float(top))
    steps = n.add("div", [n.add("sub", [x, n.full(bottom, x)]), n.full(scale, x)])
    near = n.add("floor", [n.add("add", [steps, n.full(0.5, x)])])
    return n.add("add", [n.add("mul", [near, n.full(scale, x)]), n.full(bottom, x)])


CONVERTERS: dict[str, Converter] = {
    "AVERAGE_POOL_2D": _average_pool_2d,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "CONV_3D": _conv_3d,
    "CONV_3D_TRANSPOSE": _conv_3d_transpose,
    "Convolution2DTransposeBias": _convolution_2d_transpose_bias,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FAKE_QUANT": _fake_quant,
    "FULLY_CONNECTED": _fully_connected,
    "L2_NORMALIZATION": _l2_normalization,
    "L2_POOL_2D": _l2_pool_2d,
    "LOCAL_RESPONSE_NORMALIZATION": _lrn,
    "LOG_SOFTMAX": _log_softmax,
    "MAX_POOL_2D": _max_pool_2d,
    "RESIZE_BILINEAR": _resize(bilinear=True),
    "RESIZE_NEAREST_NEIGHBOR": _resize(bilinear=False),
    "SOFTMAX": _softmax,
    "TRANSPOSE_CONV": _transpose_conv,
}
