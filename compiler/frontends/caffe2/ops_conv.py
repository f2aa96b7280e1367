"""Convolutions, pools and sizes of images, of either order of axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import images
from .context import C2Context
from .table import Converter, Table

# legacy_pad: how pads of the first nets of Caffe were meant
_NOTSET, _VALID, _SAME, _CAFFE = 0, 1, 2, 3


def first(n: C2Context, x: str) -> str:
    """Images with their channels in front of their pixels."""
    return images.channels_first(n, x) if n.channels_last else x


def back(n: C2Context, y: str) -> str:
    """As :func:`first` found them."""
    return images.channels_last(n, y) if n.channels_last else y


def _each(n: C2Context, name: str, plural: str, count: int, default: int) -> tuple[int, ...]:
    """A number for each spatial axis: ``strides``, ``stride``, or ``stride_h`` and ``stride_w``."""
    found = n.integers(plural, ())
    if not found:
        one = n.integer(name, None)
        found = (default if one is None else one,) * count
        if count == 2 and n.has_attr(f"{name}_h"):
            found = (n.integer(f"{name}_h"), n.integer(f"{name}_w"))
    if len(found) != count:
        n.error(f"{plural} is {found}; {count} numbers are needed.")
    return tuple(found)


def _pads(n: C2Context, count: int) -> tuple[int, ...]:
    """Before each axis, then behind each."""
    found = n.integers("pads", ())
    if not found:
        found = (n.integer("pad", 0),) * (2 * count)
        if count == 2 and n.has_attr("pad_t"):
            found = tuple(n.integer(f"pad_{side}") for side in "tlbr")
    if len(found) == count:
        found = (*found, *found)
    if len(found) != 2 * count:
        n.error(f"pads is {found}; {2 * count} numbers are needed.")
    return tuple(found)


def _window(n: C2Context, size: Sequence[int], kernel: Sequence[int]) -> dict[str, tuple[int, ...]]:
    count = len(size)
    strides = _each(n, "stride", "strides", count, 1)
    dilations = _each(n, "dilation", "dilations", count, 1)
    legacy = n.integer("legacy_pad", _NOTSET)
    if legacy == _VALID:
        pads = (0,) * (2 * count)
    elif legacy == _SAME:
        pads = images.window_pads(images.SAME, size, kernel, strides, dilations)
    else:
        pads = _pads(n, count)
    return {"strides": strides, "dilations": dilations, "pads": pads}


def _kernel(n: C2Context, count: int) -> tuple[int, ...]:
    return _each(n, "kernel", "kernels", count, 0)


def _spatial(n: C2Context, x: str) -> tuple[int, ...]:
    shape = n.typeof(x).shape
    if len(shape) < 3:
        n.error(f"it takes images, not {n.type(0)}.")
    return shape[2:]


def _conv(n: C2Context) -> str:
    x, w = first(n, n.x), first(n, n.inputs[1])
    size, kernel = _spatial(n, x), n.typeof(w).shape[2:]
    stated = _kernel(n, len(size))
    if any(stated) and stated != kernel:
        n.error(f"the kernel is {stated}, the weights are {n.type(1)}.")
    window = _window(n, size, kernel)
    return back(n, n.add("conv", [x, w, *n.inputs[2:3]], groups=n.integer("group", 1), **window))


def _conv_transpose(n: C2Context) -> str:
    x, w = first(n, n.x), first(n, n.inputs[1])
    size, kernel = _spatial(n, x), n.typeof(w).shape[2:]
    if n.integer("legacy_pad", _NOTSET):
        n.unsupported("legacy_pad of a transposed convolution")
    adjusted = _each(n, "adj", "adjs", len(size), 0)
    window = _window(n, size, kernel)
    groups = n.integer("group", 1)
    y = n.add(
        "conv_transpose", [x, w, *n.inputs[2:3]], groups=groups, output_padding=adjusted, **window
    )
    return back(n, y)


def _pool(op: str) -> Converter:
    def convert(n: C2Context) -> str:
        x = first(n, n.x)
        size = _spatial(n, x)
        if n.flag("global_pooling"):
            reduce = "reduce_max" if op == "max_pool" else "reduce_mean"
            axes = tuple(range(2, 2 + len(size)))
            return back(n, n.add(reduce, [x], axes=axes, keepdims=True))
        kernel = _kernel(n, len(size))
        # Caffe's own pools kept a last window that is not whole, as ``ceil_mode`` does.
        ceil = n.integer("legacy_pad", _NOTSET) == _CAFFE
        attrs = {"kernel": kernel, "ceil_mode": ceil, **_window(n, size, kernel)}
        if op == "average_pool":
            attrs["count_include_pad"] = n.flag("count_include_pad")
        return back(n, n.add(op, [x], **attrs))

    return convert


def _channel_shuffle(n: C2Context) -> str:
    x, groups = first(n, n.x), n.integer("group")
    batch, channels, *rest = n.typeof(x).shape
    if groups < 1 or channels % groups:
        n.error(f"{channels} channels do not divide into {groups} groups.")
    split = n.reshape(x, (batch, groups, channels // groups, *rest))
    turned = n.add("transpose", [split], perm=(0, 2, 1, *range(3, len(rest) + 3)))
    return back(n, n.reshape(turned, (batch, channels, *rest)))


def _resize_nearest(n: C2Context) -> str:
    x = first(n, n.x)
    scales = [n.number("height_scale", 1.0), n.number("width_scale", 1.0)]
    if n.input(1):
        given = n.const(1)
        assert given is not None
        scales = [float(v) for v in given.reshape(-1)]
    for axis, scale in zip((2, 3), scales):
        old = n.typeof(x).shape[axis]
        size = int(np.float32(old) * np.float32(scale))
        if scale <= 0 or not 1 <= size <= 1 << 20:
            n.error(f"the scale {scale} makes {size} of {old} pixels.")
        at = (np.arange(size, dtype=np.float32) / np.float32(scale)).astype(np.int64)
        index = n.constant(np.minimum(at, old - 1).astype(np.int32))
        x = n.add("gather", [x, index], axis=axis)
    return back(n, x)


def _upsample_nearest(n: C2Context) -> str:
    scale = n.integer("scale", 2)
    return n.add("upsample", [n.x], factors=(1, 1, scale, scale))


def _pad_image(n: C2Context) -> str:
    x, (top, left, bottom, right) = first(n, n.x), _pads(n, 2)
    mode = n.text("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        n.unsupported(f"the mode is {mode!r}")
    pads = (0, 0, top, left, 0, 0, bottom, right)
    return back(n, n.add("pad", [x], pads=pads, mode=mode, value=n.number("value", 0.0)))


CONVERTERS: Table = {
    **{f"Conv{d}": _conv for d in ("", "1D", "2D", "3D")},
    **{f"MaxPool{d}": _pool("max_pool") for d in ("", "1D", "2D", "3D")},
    **{f"AveragePool{d}": _pool("average_pool") for d in ("", "1D", "2D", "3D")},
    "ChannelShuffle": _channel_shuffle,
    "ConvTranspose": _conv_transpose,
    "PadImage": _pad_image,
    "ResizeNearest": _resize_nearest,
    "UpsampleNearest": _upsample_nearest,
}
