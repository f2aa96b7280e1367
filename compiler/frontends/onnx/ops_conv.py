"""Convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import dtype_of
from ...types import TensorType
from ..deform import deform_conv
from .context import Converter, NodeContext


def required(n: NodeContext, i: int) -> TensorType:
    """The type of input ``i``, which the operator's schema demands."""
    t = n.type(i)
    if t is None:
        n.error(f"its input {i} is absent.")
    return t


def _spatial(n: NodeContext) -> tuple[int, ...]:
    t = required(n, 0)
    if len(t.shape) < 3:
        n.error(f"it takes [batch, channel, spatial…] data, not {t}.")
    return t.shape[2:]


def _list(n: NodeContext, name: str, count: int, default: int) -> tuple[int, ...]:
    values = n.attr(name, None) or (default,) * count
    if len(values) != count:
        n.error(f"{name} is {tuple(values)}; {count} values are needed.")
    return tuple(values)


def _kernel(n: NodeContext, shape: Sequence[int]) -> tuple[int, ...]:
    """The extents of the weights of a convolution, checked against kernel_shape."""
    given = n.attr("kernel_shape", None)
    if given and tuple(given) != tuple(shape):
        n.error(f"kernel_shape is {tuple(given)}, but the weights are {tuple(shape)}.")
    return tuple(shape)


def _window(
    n: NodeContext, kernel: Sequence[int], size: Sequence[int] | None = None
) -> dict[str, tuple[int, ...]]:
    """strides, dilations and pads, with auto_pad worked out, over data of the extents ``size``
    (None: those of input 0)."""
    size = _spatial(n) if size is None else size
    count = len(size)
    if len(kernel) != count:
        n.error(f"a kernel of {len(kernel)} axes cannot slide over {count} spatial axes.")
    strides = _list(n, "strides", count, 1)
    dilations = _list(n, "dilations", count, 1)
    mode = n.attr("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = _list(n, "pads", 2 * count, 0)
    elif mode == "VALID":
        pads = (0,) * (2 * count)
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        if min(strides) < 1:
            n.error(f"strides are {strides}; they must be positive.")
        before, after = [], []
        for m, k, s, d in zip(size, kernel, strides, dilations):
            total = max((-(-m // s) - 1) * s + (k - 1) * d + 1 - m, 0)
            less, more = total // 2, total - total // 2
            before.append(less if mode == "SAME_UPPER" else more)
            after.append(more if mode == "SAME_UPPER" else less)
        pads = (*before, *after)
    else:
        n.unsupported(f"auto_pad is {mode!r}")
    return {"strides": strides, "dilations": dilations, "pads": pads}


def _optional(n: NodeContext, i: int) -> list[str]:
    return [n.input(i)] if n.input(i) else []


def convolution(n: NodeContext) -> str:
    """``Conv`` of inputs 0 to 2, without what follows them."""
    kernel = _kernel(n, required(n, 1).shape[2:])
    inputs = [*n.inputs[:2], *_optional(n, 2)]
    return n.add("conv", inputs, groups=n.attr("group", 1), **_window(n, kernel))


def _deform_conv(n: NodeContext) -> str:
    """Inputs are image, weights, offsets, bias and mask; the last two may be absent."""
    _kernel(n, required(n, 1).shape[2:])
    x, weights, offsets = n.inputs[:3]
    return deform_conv(
        n, x, offsets, weights, n.input(3), n.input(4), n.attr("group", 1),
        strides=_list(n, "strides", 2, 1), dilations=_list(n, "dilations", 2, 1),
        pads=_list(n, "pads", 4, 0), groups_of_offsets=n.attr("offset_group", 1),
    )  # fmt: skip


def _shifted(n: NodeContext, i: int, zero: int, axis: int) -> str:
    """Input ``i`` as int32 less its zero point, a scalar or one per index of ``axis``."""
    value = n.add("cast", [n.input(i)], to="int32")
    if not n.input(zero):
        return value
    point = n.add("cast", [n.input(zero)], to="int32")
    return n.add("sub", [value, per_axis(n, point, axis, len(required(n, i).shape))])


def per_axis(n: NodeContext, name: str, axis: int, ndim: int) -> str:
    """A scalar or vector shaped so that it broadcasts along ``axis`` of a tensor of ``ndim``."""
    size = n.typeof(name).size
    return n.add("reshape", [name], shape=(size, *(1,) * (ndim - 1 - axis)) if size > 1 else ())


def _conv_integer(n: NodeContext) -> str:
    window = _window(n, _kernel(n, required(n, 1).shape[2:]))
    x, w = _shifted(n, 0, 2, 1), _shifted(n, 1, 3, 0)
    return n.add("conv", [x, w], groups=n.attr("group", 1), **window)


def _qlinear_conv(n: NodeContext) -> str:
    """round(conv(x - x0, w - w0) * (xs * ws / ys)) + y0, saturated to the type of y0."""
    window = _window(n, _kernel(n, required(n, 3).shape[2:]))
    x, w = _shifted(n, 0, 2, 1), _shifted(n, 3, 5, 0)
    ndim = len(required(n, 0).shape)
    total = n.add("conv", [x, w, *_optional(n, 8)], groups=n.attr("group", 1), **window)
    scale = n.add("mul", [n.input(1), per_axis(n, n.input(4), 1, ndim)])
    scale = n.add("div", [scale, n.input(6)])
    real = n.add("mul", [n.add("cast", [total], to="float32"), scale])
    zero = required(n, 7).dtype
    point = n.add("cast", [n.input(7)], to="float32")
    shifted = n.add("add", [n.add("round", [real]), point])
    low, high = (n.constant(np.array(v, np.float32)) for v in (zero.min, zero.max))
    bounded = n.add("minimum", [n.add("maximum", [shifted, low]), high])
    return n.add("cast", [bounded], to=str(zero))


def _conv_transpose(n: NodeContext) -> str:
    size, kernel = _spatial(n), _kernel(n, required(n, 1).shape[2:])
    count = len(size)
    if len(kernel) != count:
        n.error(f"a kernel of {len(kernel)} axes cannot slide over {count} spatial axes.")
    strides, dilations = _list(n, "strides", count, 1), _list(n, "dilations", count, 1)
    extra = list(_list(n, "output_padding", count, 0))
    mode, wanted = n.attr("auto_pad", "NOTSET"), n.attr("output_shape", None)
    if mode in ("SAME_UPPER", "SAME_LOWER") and not wanted:
        wanted = tuple(m * s for m, s in zip(size, strides))
    if wanted:
        wanted = tuple(wanted)[-count:]
        before, after = [], []
        for k, (m, s, d) in enumerate(zip(size, strides, dilations)):
            total = s * (m - 1) + extra[k] + (kernel[k] - 1) * d + 1 - wanted[k]
            extra[k] += max(-total, 0)  # more is asked for than there is: zeros at the end
            total = max(total, 0)
            less, more = total // 2, total - total // 2
            before.append(less if mode == "SAME_UPPER" else more)
            after.append(more if mode == "SAME_UPPER" else less)
        pads = (*before, *after)
    else:
        pads = (0,) * (2 * count) if mode == "VALID" else _list(n, "pads", 2 * count, 0)
    return n.add(
        "conv_transpose",
        [*n.inputs[:2], *_optional(n, 2)],
        strides=strides,
        dilations=dilations,
        pads=pads,
        output_padding=tuple(extra),
        groups=n.attr("group", 1),
    )


# --- pools ------------------------------------------------------------------------------------


def pool_window(n: NodeContext, size: Sequence[int] | None = None) -> dict:
    """The attributes of a pool, over data of the extents ``size`` (None: those of input 0)."""
    kernel = tuple(n.attr("kernel_shape"))
    ceil = bool(n.attr("ceil_mode", 0))
    return {"kernel": kernel, "ceil_mode": ceil, **_window(n, kernel, size)}


def _max_pool(n: NodeContext) -> Sequence[str]:
    window = pool_window(n)
    if not n.output_wanted(1):
        return [n.add("max_pool", n.inputs[:1], **window)]
    column_major = bool(n.attr("storage_order", 0))
    return n.add_many("max_pool_with_indices", n.inputs[:1], 2, column_major=column_major, **window)


def _average_pool(n: NodeContext) -> str:
    include = bool(n.attr("count_include_pad", 0))
    return n.add("average_pool", n.inputs[:1], count_include_pad=include, **pool_window(n))


def _lp_pool(n: NodeContext) -> str:
    return n.add("lp_pool", n.inputs[:1], p=n.attr("p", 2), **pool_window(n))


def _global(op: str) -> Converter:
    def convert(n: NodeContext) -> str:
        axes = tuple(range(2, 2 + len(_spatial(n))))
        return n.add(op, n.inputs[:1], axes=axes, keepdims=True)

    return convert


def _global_lp_pool(n: NodeContext) -> str:
    return n.add("lp_pool", n.inputs[:1], p=n.attr("p", 2), kernel=_spatial(n))


def _max_unpool(n: NodeContext) -> str:
    x = required(n, 0)
    size, kernel = _spatial(n), tuple(n.attr("kernel_shape"))
    count = len(size)
    if len(kernel) != count:
        n.error(f"a kernel of {len(kernel)} axes cannot slide over {count} spatial axes.")
    strides, pads = _list(n, "strides", count, 1), _list(n, "pads", 2 * count, 0)
    inferred = x.shape[:2] + tuple(
        (m - 1) * s - b - a + k for m, k, s, b, a in zip(size, kernel, strides, pads, pads[count:])
    )
    total = int(np.prod(inferred))
    zero = n.constant(np.zeros((), dtype_of(x.dtype).numpy))
    empty = n.add("expand", [zero], shape=(total,))
    flat = [n.add("reshape", [i], shape=(x.size,)) for i in (n.inputs[1], n.inputs[0])]
    full = n.add("scatter_elements", [empty, *flat], axis=0)
    result = n.add("reshape", [full], shape=inferred)
    wanted = n.const(2)
    if wanted is None:
        return result
    if len(wanted) != len(inferred):
        n.error(f"output_shape is {wanted.tolist()}, the result has {len(inferred)} axes.")
    after = tuple(int(w) - i for w, i in zip(wanted, inferred))
    return n.add("pad", [result], pads=(*(0,) * len(after), *after))


CONVERTERS: dict[str, Converter] = {
    "AveragePool": _average_pool,
    "Conv": convolution,
    "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose,
    "DeformConv": _deform_conv,
    "GlobalAveragePool": _global("reduce_mean"),
    "GlobalLpPool": _global_lp_pool,
    "GlobalMaxPool": _global("reduce_max"),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "MaxUnpool": _max_unpool,
    "QLinearConv": _qlinear_conv,
}
