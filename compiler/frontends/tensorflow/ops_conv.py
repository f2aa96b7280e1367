"""Convolutions, pools, and what is fused with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import images
from ..images import channels_first, channels_last
from .context import Converter, TFContext
from .ops_math import matmul

_FIRST = {"NCHW", "NCW", "NCDHW"}  # layouts with the channels before the image


def _is_first(n: TFContext) -> bool:
    layout = n.text("data_format", "NHWC")
    if layout not in {"NHWC", "NWC", "NDHWC", *_FIRST}:
        n.unsupported(f"the layout of data is {layout!r}")
    return layout in _FIRST


def _spatial(n: TFContext, values: Sequence[int], count: int, first: bool) -> tuple[int, ...]:
    """Of one number for each axis those of the image; ones where there are none."""
    if not values:
        return (1,) * count
    if len(values) == count + 2:
        outer = values[:2] if first else (values[0], values[-1])
        if any(v != 1 for v in outer):
            n.unsupported(f"steps {tuple(values)} along batch or channels")
        return tuple(values[2:] if first else values[1:-1])
    if len(values) != 1:
        n.error(f"{tuple(values)} are not one number for each axis.")
    return tuple(values) * count


def _pads(
    n: TFContext, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], first: bool,
) -> tuple[int, ...]:  # fmt: skip
    padding = n.text("padding")
    if padding != "EXPLICIT":
        return images.window_pads(padding, size, kernel, strides, dilations)
    given = n.integers("explicit_paddings", n.attr("padding_list", ()))
    if len(given) != 2 * len(size) + 4:
        n.error(f"explicit_paddings are {given}.")
    pairs = list(zip(given[::2], given[1::2]))
    inner = pairs[2:] if first else pairs[1:-1]
    return (*(a for a, _ in inner), *(b for _, b in inner))


def _data(n: TFContext, i: int, first: bool) -> str:
    """Input ``i`` with its channels first."""
    if len(n.shape(i)) < 3:
        n.error(f"its input {i} is {n.type(i)}, no image.")
    return n.inputs[i] if first else channels_first(n, n.inputs[i])


def _result(n: TFContext, y: str, first: bool) -> str:
    return y if first else channels_last(n, y)


def _window(n: TFContext, x: str, kernel: Sequence[int], first: bool) -> dict[str, Any]:
    """Strides, dilations and pads over an image with its channels first."""
    size = n.typeof(x).shape[2:]
    if len(kernel) != len(size):
        n.error(f"a window of {len(kernel)} axes over {len(size)}.")
    strides = _spatial(n, n.integers("strides"), len(size), first)
    dilations = _spatial(n, n.integers("dilations", ()), len(size), first)
    pads = _pads(n, size, kernel, strides, dilations, first)
    return {"strides": strides, "dilations": dilations, "pads": pads}


def _filters(n: TFContext, i: int) -> str:
    """Weights [spatial…, in, out] as [out, in, spatial…]."""
    rank = len(n.shape(i))
    return n.add("transpose", [n.inputs[i]], perm=(rank - 1, rank - 2, *range(rank - 2)))


def _conv(n: TFContext) -> str:
    """Of data and weights [spatial…, in / groups, out]."""
    first = _is_first(n)
    x, w = _data(n, 0, first), _filters(n, 1)
    _, depth, *kernel = n.typeof(w).shape
    channels = n.typeof(x).shape[1]
    if not depth or channels % depth:
        n.error(f"weights {n.type(1)} do not fit {n.type(0)}.")
    window = _window(n, x, kernel, first)
    return _result(n, n.add("conv", [x, w], groups=channels // depth, **window), first)


def _depthwise(n: TFContext) -> str:
    """Weights [spatial…, in, multiplier]: a channel is a group of its own."""
    first = _is_first(n)
    x, (*kernel, depth, times) = _data(n, 0, first), n.shape(1)
    if n.typeof(x).shape[1] != depth:
        n.error(f"weights {n.type(1)} do not fit {n.type(0)}.")
    w = n.add("reshape", [n.inputs[1]], shape=(*kernel, depth * times))
    w = n.add("transpose", [w], perm=(len(kernel), *range(len(kernel))))
    w = n.add("reshape", [w], shape=(depth * times, 1, *kernel))
    window = _window(n, x, kernel, first)
    return _result(n, n.add("conv", [x, w], groups=depth, **window), first)


def _transposed(n: TFContext) -> str:
    """The gradient of a convolution for its input: sizes, weights [spatial…, in, out], data. The
    sizes are those of what the convolution would read."""
    first = _is_first(n)
    y = _data(n, 2, first)
    sizes = n.ints(0)
    wanted = n.typeof(y).shape[2:]
    count = len(wanted)
    if len(sizes) == count + 2:
        sizes = sizes[2:] if first else sizes[1:-1]
    if len(sizes) != count:
        n.error(f"the result has the shape {n.ints(0)}.")
    *kernel, depth, filters = n.shape(1)
    strides = _spatial(n, n.integers("strides"), count, first)
    dilations = _spatial(n, n.integers("dilations", ()), count, first)
    pads = _pads(n, sizes, kernel, strides, dilations, first)
    extra = []
    for k in range(count):
        reached = (wanted[k] - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + 1
        extra.append(sizes[k] + pads[k] + pads[count + k] - reached)
    if min(extra, default=0) < 0 or any(e >= s for e, s in zip(extra, strides)):
        n.error(f"{n.type(2)} is no result of a convolution of {n.ints(0)}.")
    w = _filters(n, 1)  # [out of the convolution, in of it]: what this reads, what it makes
    del depth, filters
    made = n.add(
        "conv_transpose", [y, w], strides=strides, dilations=dilations, pads=pads,
        output_padding=tuple(extra),
    )  # fmt: skip
    return _result(n, made, first)


# --- what follows ---------------------------------------------------------------------------------


def biased(n: TFContext, x: str, bias: str) -> str:
    """One number added to each channel."""
    rank = len(n.typeof(x).shape)
    if rank > 2 and n.text("data_format", "NHWC") in _FIRST:
        bias = n.add("reshape", [bias], shape=(n.typeof(bias).size, *(1,) * (rank - 2)))
    return n.add("add", [x, bias])


def _normalised(n: TFContext, x: str, params: Sequence[str], epsilon: float) -> str:
    """By scale, offset, mean and variance of each channel."""
    first = n.text("data_format", "NHWC") in _FIRST
    data = x if first else channels_first(n, x)
    y = n.add("batch_norm", [data, *params], epsilon=epsilon)
    return y if first else channels_last(n, y)


def _batch_norm(n: TFContext) -> Sequence[str]:
    if n.flag("is_training", True):
        n.unsupported("normalisation by the moments of the batch (is_training)")
    made = _normalised(n, n.inputs[0], n.inputs[1:5], n.real("epsilon", 1e-4))
    return [made, *n.inputs[3:5]]


def _old_batch_norm(n: TFContext) -> str:
    """BatchNormWithGlobalNormalization: data, mean, variance, offset, scale."""
    x, mean, variance, beta, gamma = n.inputs[:5]
    if not n.flag("scale_after_normalization"):
        gamma = n.constant(np.ones(n.shape(1), n.tensor_type(1).dtype.numpy))
    return _normalised(n, x, [gamma, beta, mean, variance], n.real("variance_epsilon"))


_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Elu": ("elu", {}),
    "GeluExact": ("gelu", {"approximate": "none"}),
    "GeluApproximate": ("gelu", {"approximate": "tanh"}),
    "Relu": ("relu", {}),
    "Relu6": ("clip", {"min": 0.0, "max": 6.0}),
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "_MklSwish": ("swish", {}),
}


def _fused(base: Converter) -> Converter:
    """A product, then what ``fused_ops`` lists; each takes as many further inputs as it needs."""

    def convert(n: TFContext) -> str:
        y, rest = base(n), list(n.inputs[2:])
        assert isinstance(y, str)
        for name in n.texts("fused_ops"):
            if name == "BiasAdd":
                y = biased(n, y, rest.pop(0))
            elif name == "FusedBatchNorm":
                params, rest = rest[:4], rest[4:]
                y = _normalised(n, y, params, n.real("epsilon", 1e-4))
            elif name == "Prelu":
                y = n.add("prelu", [y, rest.pop(0)])
            elif name == "Add":
                y = n.add("add", [y, rest.pop(0)])
            elif name == "LeakyRelu":
                y = n.add("leaky_relu", [y], alpha=n.real("leakyrelu_alpha", 0.2))
            elif name in _ACTIVATIONS:
                op, attrs = _ACTIVATIONS[name]
                y = n.add(op, [y], **attrs)
            else:
                n.unsupported(f"{name!r} fused with it")
        return y

    return convert


# --- pools ----------------------------------------------------------------------------------------


def _pool(op: str) -> Converter:
    def convert(n: TFContext) -> str:
        first = _is_first(n)
        x = _data(n, 0, first)
        if n.op == "MaxPoolV2":
            kernel, steps = n.ints(1), n.ints(2)
        else:
            kernel, steps = n.integers("ksize"), n.integers("strides")
        size = n.typeof(x).shape[2:]
        window = _spatial(n, kernel, len(size), first)
        strides = _spatial(n, steps, len(size), first)
        pads = _pads(n, size, window, strides, (1,) * len(size), first)
        return _result(n, n.add(op, [x], kernel=window, strides=strides, pads=pads), first)

    return convert


def _max_pool_places(n: TFContext) -> Sequence[str]:
    """The largest of each window, and where it is in the image (and the batch), as a number that
    counts the channels fastest."""
    x = channels_first(n, n.inputs[0])
    batch, channels, *size = n.typeof(x).shape
    window = _spatial(n, n.integers("ksize"), len(size), False)
    strides = _spatial(n, n.integers("strides"), len(size), False)
    pads = _pads(n, size, window, strides, (1,) * len(size), False)
    y, at = n.add_many("max_pool_with_indices", [x], 2, kernel=window, strides=strides, pads=pads)
    plane = int(np.prod(size, dtype=np.int64))
    # As weft counts: ((batch * channels + channel) * plane + place); TensorFlow's is
    # (place * channels + channel), after the batch's if include_batch_in_index.
    place = n.add("mod", [at, n.constant(np.array(plane, np.int64))])
    line = n.constant(np.arange(channels, dtype=np.int64).reshape(channels, *(1,) * len(size)))
    number = n.add("add", [n.add("mul", [place, n.constant(np.array(channels))]), line])
    if n.flag("include_batch_in_index"):
        images_ = np.arange(batch, dtype=np.int64) * plane * channels
        number = n.add("add", [number, n.constant(images_.reshape(batch, *(1,) * (len(size) + 1)))])
    number = n.as_type(channels_last(n, number), n.dtype("Targmax"))
    return [channels_last(n, y), number]


def _lrn(n: TFContext) -> str:
    """bias + alpha * (sum of squares): weft's alpha is for the mean of the window."""
    radius = n.integer("depth_radius", 5)
    size = 2 * radius + 1
    made = n.add(
        "lrn", [channels_first(n, n.inputs[0])], size=size, alpha=n.real("alpha", 1.0) * size,
        beta=n.real("beta", 0.5), bias=n.real("bias", 1.0),
    )  # fmt: skip
    return channels_last(n, made)


def _dilation(n: TFContext) -> str:
    """The maximum of data plus a filter [height, width, channel], over windows."""
    rates, strides = n.integers("rates")[1:3], n.integers("strides")[1:3]
    kernel = n.shape(1)[:2]
    size = n.shape(0)[1:3]
    pads = images.window_pads(n.text("padding"), size, kernel, strides, rates)
    low = -np.inf if n.tensor_type(0).dtype.is_float else int(n.tensor_type(0).dtype.min)
    full = n.add("pad", n.inputs[:1], pads=(0, *pads[:2], 0, 0, *pads[2:], 0), value=low)
    _, tall, broad, depth = n.typeof(full).shape
    outs = [
        (m - (k - 1) * r - 1) // s + 1 for m, k, r, s in zip((tall, broad), kernel, rates, strides)
    ]
    result = ""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            part = n.add(
                "slice", [full], starts=(0, i * rates[0], j * rates[1], 0),
                steps=(1, *strides, 1), shape=(n.shape(0)[0], *outs, depth),
            )  # fmt: skip
            tap = n.add("slice", [n.inputs[1]], starts=(i, j, 0), shape=(1, 1, depth))
            moved = n.add("add", [part, n.add("reshape", [tap], shape=(depth,))])
            result = n.add("maximum", [result, moved]) if result else moved
    return result


CONVERTERS: dict[str, Converter] = {
    "AvgPool": _pool("average_pool"),
    "AvgPool3D": _pool("average_pool"),
    "BatchNormWithGlobalNormalization": _old_batch_norm,
    "BiasAdd": lambda n: biased(n, *n.inputs[:2]),
    "BiasAddV1": lambda n: n.add("add", n.inputs[:2]),
    "Conv2D": _conv,
    "Conv2DBackpropInput": _transposed,
    "Conv3D": _conv,
    "Conv3DBackpropInputV2": _transposed,
    "DepthwiseConv2dNative": _depthwise,
    "Dilation2D": _dilation,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "FusedDepthwiseConv2dNative": _fused(_depthwise),
    "LRN": _lrn,
    "MaxPool": _pool("max_pool"),
    "MaxPool3D": _pool("max_pool"),
    "MaxPoolV2": _pool("max_pool"),
    "MaxPoolWithArgmax": _max_pool_places,
    "_FusedConv2D": _fused(_conv),
    "_FusedDepthwiseConv2dNative": _fused(_depthwise),
    "_FusedMatMul": _fused(matmul),
}

__all__ = ["CONVERTERS"]
