"""Convolutions, pools and what else slides over images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import images
from ..deform import deform_conv
from .context import MxContext
from .table import Table, named

_FIRST = {"NCW", "NCHW", "NCDHW"}
_LAST = {"NWC", "NHWC", "NDHWC"}


def channels_last(n: MxContext) -> bool:
    """Whether the node's images end with their channels."""
    layout = n.text("layout", "NCHW").upper()
    if layout not in _FIRST | _LAST:
        n.unsupported(f"the layout {layout!r}")
    return layout in _LAST


def _kernel(n: MxContext) -> tuple[int, ...]:
    kernel = n.integers("kernel")
    if len(n.shape) != len(kernel) + 2 or not kernel:
        n.error(f"a kernel of {kernel} cannot slide over {n.type(0)}.")
    return tuple(kernel)


def _bias(n: MxContext, absent: bool) -> list[str]:
    if n.flag("no_bias", absent):
        return []
    if len(n) < 3:
        n.error("its bias is absent, and no_bias is not set.")
    return [n.inputs[2]]


def _convolution(n: MxContext) -> str:
    kernel = _kernel(n)
    count, last = len(kernel), channels_last(n)
    pad = n.whole("pad", count, 0)
    weights = n.inputs[1]
    if last:  # [filter, spatial…, channel]
        weights = images.channels_first(n, weights)
    if n.typeof(weights).shape[2:] != kernel:
        n.error(f"the kernel is {kernel}, the weights are {n.type(1)}.")
    attrs = {
        "strides": n.whole("stride", count, 1),
        "dilations": n.whole("dilate", count, 1),
        "pads": (*pad, *pad),
        "groups": n.integer("num_group", 1),
    }
    bias = _bias(n, False)
    if last:
        return images.conv(n, n.x, weights, *bias, **attrs)
    return n.add("conv", [n.x, weights, *bias], **attrs)


def _deconvolution(n: MxContext) -> str:
    kernel = _kernel(n)
    count, last = len(kernel), channels_last(n)
    strides, dilations = n.whole("stride", count, 1), n.whole("dilate", count, 1)
    pad, extra = n.whole("pad", count, 0), n.whole("adj", count, 0)
    x, weights = n.x, n.inputs[1]
    if last:
        x, weights = images.channels_first(n, x), images.channels_first(n, weights)
    target = n.integers("target_shape", ())
    if target and any(target):
        size, placed = n.typeof(x).shape[2:], []
        for m, k, s, d, t in zip(size, kernel, strides, dilations, target, strict=True):
            over = s * (m - 1) + (k - 1) * d + 1 - t
            if over < 0:
                n.error(f"target_shape {target} is larger than what {n.type(0)} makes.")
            placed.append(((over + 1) // 2, over % 2))
        pad, extra = zip(*placed)
    y = n.add(
        "conv_transpose",
        [x, weights, *_bias(n, True)],
        strides=strides,
        dilations=dilations,
        pads=(*pad, *pad),
        output_padding=extra,
        groups=n.integer("num_group", 1),
    )
    return images.channels_last(n, y) if last else y


def _deformable(n: MxContext) -> str:
    """Inputs are image, offsets, a mask, weights, bias. (The first version, without a mask, reads
    other pixels where an image ends.)"""
    kernel = _kernel(n)
    x, offsets, mask, weights, *bias = n.inputs
    if n.typeof(weights).shape[2:] != kernel:
        n.error(f"the kernel is {kernel}, the weights are {n.typeof(weights)}.")
    pad = n.whole("pad", 2, 0)
    return deform_conv(
        n, x, offsets, weights, "" if n.flag("no_bias") or not bias else bias[0], mask,
        n.integer("num_group", 1), n.integer("num_deformable_group", 1),
        strides=n.whole("stride", 2, 1), dilations=n.whole("dilate", 2, 1), pads=(*pad, *pad),
    )  # fmt: skip


# --- pools ------------------------------------------------------------------------------------


def _pooling(n: MxContext) -> str:
    last = channels_last(n)
    x = images.channels_first(n, n.x) if last else n.x
    y = _pool(n, x)
    return images.channels_last(n, y) if last else y


def _pool(n: MxContext, x: str) -> str:
    size = n.typeof(x).shape[2:]
    kind, p = n.text("pool_type", "max"), n.integer("p_value", 2)
    if not size:
        n.error(f"it takes [batch, channel, spatial…] data, not {n.type(0)}.")
    if n.flag("global_pool"):
        axes = tuple(range(2, 2 + len(size)))
        if kind == "lp":
            return n.add("lp_pool", [x], p=p, kernel=size)
        op = {"max": "reduce_max", "avg": "reduce_mean", "sum": "reduce_sum"}[kind]
        return n.add(op, [x], axes=axes, keepdims=True)
    kernel, count = _kernel(n), len(size)
    strides, pad = n.whole("stride", count, 1), n.whole("pad", count, 0)
    if min(strides) < 1 or min(kernel) < 1 or min(pad) < 0:
        n.error(f"kernel {kernel}, stride {strides} and pad {pad} are no window.")
    counts = [
        _windows(n, *axis) for axis in zip(size, kernel, strides, pad)
    ]  # every one of them is asked for: the last ones may reach past the padding
    if min(counts) < 1:
        n.error(f"a window of {kernel} does not fit on {size}.")
    behind = [
        max((c - 1) * s + k - m - b, 0) for c, s, k, m, b in zip(counts, strides, kernel, size, pad)
    ]
    window = {"kernel": kernel, "strides": strides, "pads": (*pad, *behind)}
    if kind == "max":
        return _cut(n, n.add("max_pool", [x], **window), counts)
    if kind == "lp":
        return _cut(n, n.add("lp_pool", [x], p=p, **window), counts)
    if kind not in ("avg", "sum"):
        n.error(f"there is no pool_type {kind!r}.")
    include = n.flag("count_include_pad", True) or kind == "sum"
    y = _cut(n, n.add("average_pool", [x], count_include_pad=include, **window), counts)
    taps = math.prod(kernel)
    if kind == "sum":
        return n.add("mul", [y, n.like(taps, y)])
    if include and any(b > a for a, b in zip(pad, behind)):
        # What lies past the padding that was asked for does not count.
        scale = np.array(float(taps))
        for m, k, s, b, c in zip(size, kernel, strides, pad, counts):
            first = np.arange(c) * s - b
            scale = scale[..., None] / (np.minimum(first + k, m + b) - first)
        y = n.add("mul", [y, n.constant(scale.astype(n.typeof(y).dtype.numpy))])
    return y


def _windows(n: MxContext, m: int, k: int, s: int, b: int) -> int:
    """How many windows there are along an axis, by the convention of the node."""
    convention, room = n.text("pooling_convention", "valid"), m + 2 * b - k
    if convention == "valid":
        return room // s + 1
    if convention != "full":
        n.unsupported(f"the pooling_convention is {convention!r}")
    return -(-room // s) + 1


def _cut(n: MxContext, y: str, counts: Sequence[int]) -> str:
    shape = n.typeof(y).shape
    wanted = (*shape[:2], *counts)
    if shape == wanted:
        return y
    return n.add("slice", [y], starts=(0,) * len(shape), shape=wanted)


# --- sizes of images --------------------------------------------------------------------------


def _upsampling(n: MxContext) -> str:
    """All inputs are brought to the size of the first, times ``scale``, and joined."""
    scale, kind = n.integer("scale"), n.text("sample_type")
    if kind == "bilinear":
        return _bilinear_upsampling(n, scale)
    if kind != "nearest":
        n.error(f"there is no sample_type {kind!r}.")
    height, width = (m * scale for m in n.shape[2:])
    made = []
    for k, i in enumerate(n.inputs):
        (*_, h, w) = n.typed(k).shape
        if h < 1 or w < 1 or height % h or width % w:
            n.error(f"{n.type(k)} cannot be brought to {height} × {width}.")
        made.append(n.add("upsample", [i], factors=(1, 1, height // h, width // w)))
    if len(made) == 1:
        return made[0]
    if n.text("multi_input_mode", "concat") == "concat":
        return n.add("concat", made, axis=1)
    total = made[0]
    for m in made[1:]:
        total = n.add("add", [total, m])
    return total


def _bilinear_upsampling(n: MxContext, scale: int) -> str:
    pad = math.ceil((scale - 1) / 2)
    return n.add(
        "conv_transpose", n.inputs[:2], strides=(scale,) * 2, pads=(pad,) * 4, groups=n.shape[1]
    )


def _tables(n: MxContext, x: str, axis: int, at: np.ndarray) -> str:
    """``x`` read at positions ``at`` along ``axis`` by linear interpolation."""
    size = n.typeof(x).shape[axis]
    low = np.clip(np.floor(at).astype(np.int64), 0, size - 1)
    high = np.minimum(low + 1, size - 1)
    part = np.clip(at - low, 0, 1)
    index = n.constant(np.stack([low, high], 1).astype(np.int32))
    weight = n.constant(np.stack([1 - part, part], 1).astype(np.float32))
    return n.add("resample", [x, index, weight], axis=axis)


def resized(n: MxContext, x: str, out: Sequence[int], corners: bool) -> str:
    """Images of other heights and widths by linear interpolation, as ``BilinearResize2D`` has it:
    the corners, or half a pixel beside them, lie on each other."""
    for axis, size in zip((2, 3), out):
        old = n.typeof(x).shape[axis]
        if size < 1 or size > 1 << 20:
            n.error(f"an image of {tuple(out)} pixels is asked for.")
        places = np.arange(size, dtype=np.float64)
        if corners:
            at = places * ((old - 1) / (size - 1) if size > 1 else 0.0)
        else:
            at = np.maximum((places + 0.5) * old / size - 0.5, 0)
        x = _tables(n, x, axis, at)
    return x


def _bilinear_resize(n: MxContext) -> str:
    mode, (height, width) = n.text("mode", "size"), n.shape[2:]
    corners = n.flag("align_corners", True)
    if mode == "like":
        out = n.typed(1).shape[2:]
    elif mode == "size":
        scales = [n.number(f"scale_{a}", None) for a in ("height", "width")]
        out = [
            n.integer(a, 1) if s is None else int(m * s)
            for a, s, m in zip(("height", "width"), scales, (height, width))
        ]
    elif mode in ("to_even_down", "to_even_up", "to_odd_down", "to_odd_up"):
        odd, step = mode.startswith("to_odd"), 1 if mode.endswith("up") else -1
        out = [m if m % 2 == odd else m + step for m in (height, width)]
    else:
        n.unsupported(f"the mode is {mode!r}")
    return resized(n, n.x, out, corners)


def _adaptive_pool(n: MxContext) -> str:
    """Each result is the mean of the elements that it shares with its part of the image."""
    out, x = n.integers("output_size", None) or (1,), n.x
    if len(out) == 1:
        out = out * 2
    for axis, size in zip((2, 3), out):
        old = n.shape[axis]
        if size is None or not 1 <= size <= 1 << 16 or not old:
            n.error(f"output_size is {out} for {n.type(0)}.")
        first = np.arange(size) * old // size
        end = -(-(np.arange(size) + 1) * old // size)
        taps = first[:, None] + np.arange(int((end - first).max()))
        inside = taps < end[:, None]
        weight = inside / (end - first)[:, None]
        x = n.add(
            "resample_sum",
            [
                x,
                n.constant(np.minimum(taps, old - 1).astype(np.int32)),
                n.constant(weight.astype(np.float32)),
            ],
            axis=axis,
        )
    return x


CONVERTERS: Table = {
    **named(_convolution, "Convolution", "Convolution_v1"),
    "Deconvolution": _deconvolution,
    **named(_pooling, "Pooling", "Pooling_v1"),
    "UpSampling": _upsampling,
    "_contrib_ModulatedDeformableConvolution": _deformable,
    "_contrib_AdaptiveAvgPooling2D": _adaptive_pool,
    "_contrib_BilinearResize2D": _bilinear_resize,
}
