"""Convolutions of every kind, and pools."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..images import channels_first, channels_last, window_pads
from .activations import activate
from .context import Converter, KerasContext


def spatial(n: KerasContext, x: str, count: int) -> str:
    """``x`` with its channels before its ``count`` spatial axes."""
    if n.rank(x) != count + 2:
        n.error(f"it takes {count + 2} axes, not {n.typeof(x)}.")
    return channels_first(n, x) if n.channels_last else x


def restored(n: KerasContext, y: str) -> str:
    """The result of :func:`spatial`'s kind as the layer's data are."""
    return channels_last(n, y) if n.channels_last else y


def out_in(kernel: np.ndarray) -> np.ndarray:
    """[spatial…, in, out] as [out, in, spatial…]."""
    k = kernel.ndim
    return np.ascontiguousarray(kernel.transpose(k - 1, k - 2, *range(k - 2)))


def _kernel(n: KerasContext, name: str, count: int) -> np.ndarray:
    kernel = n.weight(name)
    if kernel.ndim != count + 2 or 0 in kernel.shape:
        n.error(f"its {name} has the shape {list(kernel.shape)}.")
    return kernel


def _padded(
    n: KerasContext, x: str, window: Sequence[int], strides: Sequence[int], rates: Sequence[int]
) -> tuple[int, ...]:
    """The pads of the layer's ``padding``."""
    padding, count = str(n.opt("padding", "valid")).lower(), len(window)
    if padding == "causal":
        if count != 1:
            n.error("only one axis can have the padding 'causal'.")
        return ((window[0] - 1) * rates[0], 0)
    return window_pads(padding, n.shape(x)[2:], window, strides, rates)


def convolved(
    n: KerasContext, x: str, kernel: np.ndarray, groups: int, bias: np.ndarray | None
) -> str:
    """A convolution of ``x``, channels first, by weights [out, in, spatial…]."""
    count = kernel.ndim - 2
    window = kernel.shape[2:]
    strides = n.integers("strides", count, 1)
    rates = n.integers("dilation_rate", count, 1)
    if min((*strides, *rates)) < 1:
        n.error(f"strides {strides} and dilation_rate {rates} are positive.")
    if groups < 1 or kernel.shape[1] * groups != n.shape(x)[1]:
        n.error(f"a kernel {list(kernel.shape)} in {groups} groups for data {n.typeof(x)}.")
    pads = _padded(n, x, window, strides, rates)
    inputs = [x, n.constant(kernel), *([n.constant(bias)] if bias is not None else [])]
    return n.add("conv", inputs, strides=strides, dilations=rates, pads=pads, groups=groups)


def _conv(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        kernel = out_in(_kernel(n, "kernel", count))
        given = n.x
        lead = n.shape(given)[: n.rank(given) - count - 1]
        if len(lead) > 1:  # more axes in front are one batch
            rest = n.shape(given)[len(lead) :]
            given = n.add("reshape", [given], shape=(math.prod(lead), *rest))
        y = convolved(n, spatial(n, given, count), kernel, n.integer("groups", 1), n.bias())
        y = restored(n, y)
        if len(lead) > 1:
            y = n.add("reshape", [y], shape=(*lead, *n.shape(y)[1:]))
        return activate(n, y, n.config.get("activation"))

    return convert


def _depthwise_weights(kernel: np.ndarray) -> np.ndarray:
    """[spatial…, in, multiplier] as [in * multiplier, 1, spatial…]."""
    *window, channels, times = kernel.shape
    moved = kernel.transpose(kernel.ndim - 2, kernel.ndim - 1, *range(kernel.ndim - 2))
    return np.ascontiguousarray(moved.reshape(channels * times, 1, *window))


def _strided_depthwise(n: KerasContext, x: str, kernel: np.ndarray, bias: np.ndarray | None) -> str:
    return convolved(n, x, _depthwise_weights(kernel), kernel.shape[-2], bias)


def _depthwise(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        x = spatial(n, n.x, count)
        y = _strided_depthwise(n, x, _kernel(n, "kernel", count), n.bias())
        return activate(n, restored(n, y), n.config.get("activation"))

    return convert


def _separable(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        depth, point = _kernel(n, "depthwise_kernel", count), _kernel(n, "pointwise_kernel", count)
        y = _strided_depthwise(n, spatial(n, n.x, count), depth, None)
        bias = n.bias()
        inputs = [y, n.constant(out_in(point)), *([n.constant(bias)] if bias is not None else [])]
        return activate(n, restored(n, n.add("conv", inputs)), n.config.get("activation"))

    return convert


def transposed_extent(
    size: int, kernel: int, stride: int, rate: int, same: bool, extra: int | None
) -> int:
    """The extent of what a transposed convolution makes of ``size``, as Keras has it."""
    reach = (kernel - 1) * rate + 1
    if same:
        return size * stride if extra is None else (size - 1) * stride + reach % 2 + extra
    rest = max(reach, stride) - reach if extra is None else extra
    return (size - 1) * stride + reach + rest


def _transpose(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        kernel = _kernel(n, "kernel", count)  # [spatial…, out, in]
        x = spatial(n, n.x, count)
        window = kernel.shape[:count]
        strides, rates = n.integers("strides", count, 1), n.integers("dilation_rate", count, 1)
        padding = str(n.opt("padding", "valid")).lower()
        if padding not in ("same", "valid") or min((*strides, *rates)) < 1:
            n.error(f"padding {padding!r}, strides {strides}, dilation_rate {rates}.")
        given = n.config.get("output_padding")
        extra = [None] * count if given is None else list(n.integers("output_padding", count))
        before, after, more = [], [], []
        for m, k, s, d, e in zip(n.shape(x)[2:], window, strides, rates, extra):
            out = transposed_extent(m, k, s, d, padding == "same", e)
            full = (m - 1) * s + (k - 1) * d + 1
            # That of the convolution whose gradient it is, of ``out`` elements.
            first = max(full - out, 0) // 2 if padding == "same" else 0
            rest = full - first - out
            before.append(first)
            after.append(max(rest, 0))
            more.append(max(-rest, 0))
        k = kernel.ndim
        weights = np.ascontiguousarray(kernel.transpose(k - 1, k - 2, *range(k - 2)))
        bias = n.bias()
        inputs = [x, n.constant(weights), *([n.constant(bias)] if bias is not None else [])]
        y = n.add(
            "conv_transpose", inputs, strides=strides, dilations=rates,
            pads=(*before, *after), output_padding=tuple(more),
        )  # fmt: skip
        return activate(n, restored(n, y), n.config.get("activation"))

    return convert


def _pool(op: str, count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        x = spatial(n, n.x, count)
        name = "pool_size" if "pool_size" in n.config else "pool_length"
        window = n.integers(name, count, 2)
        given = n.config.get("strides")
        strides = window if given is None else n.integers("strides", count)
        if min((*window, *strides)) < 1:
            n.error(f"a pool of {window}, strides {strides}.")
        pads = _padded(n, x, window, strides, (1,) * count)
        return restored(n, n.add(op, [x], kernel=window, strides=strides, pads=pads))

    return convert


def _global(op: str, count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        x = n.x
        if n.rank(x) != count + 2:
            n.error(f"it takes {count + 2} axes, not {n.typeof(x)}.")
        axes = tuple(range(1, count + 1) if n.channels_last else range(2, count + 2))
        keep = n.flag("keepdims", False)
        mask = n.mask() if count == 1 and op == "reduce_mean" else ""
        if mask:
            return _masked_mean(n, x, mask, axes, keep)
        return n.add(op, [x], axes=axes, keepdims=keep)

    return convert


def _masked_mean(n: KerasContext, x: str, mask: str, axes: tuple[int, ...], keep: bool) -> str:
    """The mean of the steps whose mask is true."""
    b, t = n.shape(mask)
    weight = n.to(mask, str(n.typeof(x).dtype))
    weight = n.add("reshape", [weight], shape=(b, t, 1) if n.channels_last else (b, 1, t))
    total = n.add("reduce_sum", [n.add("mul", [x, weight])], axes=axes, keepdims=keep)
    count = n.add("reduce_sum", [weight], axes=axes, keepdims=keep)
    return n.add("div", [total, count])


def _adaptive(op: str, count: int) -> Converter:
    """Windows from ``floor(i * size / out)`` to ``ceil((i + 1) * size / out)`` of each axis."""

    def convert(n: KerasContext) -> str:
        x = spatial(n, n.x, count)
        for k, out in enumerate(n.integers("output_size", count)):
            axis, size = k + 2, n.shape(x)[k + 2]
            if not 1 <= out <= 4096:
                n.error(f"output_size is {out}.")
            parts = []
            for i in range(out):
                start, end = i * size // out, -(-(i + 1) * size // out)
                shape = n.shape(x)
                part = n.add(
                    "slice", [x],
                    starts=tuple(start if a == axis else 0 for a in range(len(shape))),
                    shape=tuple(end - start if a == axis else d for a, d in enumerate(shape)),
                )  # fmt: skip
                parts.append(n.add(op, [part], axes=(axis,)))
            x = n.add("concat", parts, axis=axis) if len(parts) > 1 else parts[0]
        return restored(n, x)

    return convert


CONVERTERS: dict[str, Converter] = {
    **{f"Conv{d}D": _conv(d) for d in (1, 2, 3)},
    **{f"Conv{d}DTranspose": _transpose(d) for d in (1, 2, 3)},
    **{f"DepthwiseConv{d}D": _depthwise(d) for d in (1, 2)},
    **{f"SeparableConv{d}D": _separable(d) for d in (1, 2)},
    **{f"MaxPooling{d}D": _pool("max_pool", d) for d in (1, 2, 3)},
    **{f"AveragePooling{d}D": _pool("average_pool", d) for d in (1, 2, 3)},
    **{f"GlobalMaxPooling{d}D": _global("reduce_max", d) for d in (1, 2, 3)},
    **{f"GlobalAveragePooling{d}D": _global("reduce_mean", d) for d in (1, 2, 3)},
    **{f"AdaptiveMaxPooling{d}D": _adaptive("reduce_max", d) for d in (1, 2, 3)},
    **{f"AdaptiveAveragePooling{d}D": _adaptive("reduce_mean", d) for d in (1, 2, 3)},
}
