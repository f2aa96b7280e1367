"""Operators of com.microsoft that ONNX Runtime's optimiser fuses: products, convolutions, GELUs.

The order of inputs and the defaults are those of ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from .compose import op, reshape, row, scaled, swapped, transpose, typed
from .context import Converter, NodeContext
from .ops_conv import convolution, pool_window
from .ops_linear import inverse
from .ops_nn import gemm
from .ops_rnn import ACTIVATIONS, activation_of
from .ops_signal import irfft, rfft

_PARAMETERS = {"relu": 0, "tanh": 0, "sigmoid": 0, "leakyrelu": 1, "clip": 2, "hardsigmoid": 2}


def _fused_conv(n: NodeContext) -> str:
    """act(conv(X, W, B) + Z)"""
    y = convolution(n)
    if n.input(3):
        y = op(n, "add", y, n.input(3))
    name = n.attr("activation", "")
    if not name:
        return y
    count, given = _PARAMETERS.get(name.lower()), n.attr("activation_params", ())
    if count is None:
        n.unsupported(f"the activation {name!r}")
    if len(given) < count:
        n.error(f"activation_params has {len(given)} values; {name} takes {count}.")
    if name.lower() == "clip":
        return n.add("clip", [y], min=given[0], max=given[1])
    return activation_of(n, name.lower(), *(*given[:count], None, None)[:2])(y)


def _batch_last(n: NodeContext, x: str) -> str:
    """``[rows, batch…, columns]`` as ``[batch…, rows, columns]``."""
    ndim = len(n.typeof(x).shape)
    return transpose(n, x, (*range(1, ndim - 1), 0, ndim - 1)) if ndim > 2 else x


def _fused_matmul(n: NodeContext) -> str:
    """alpha * op(A) @ op(B); a vector is left as it is."""
    sides = []
    for k, side in enumerate("AB"):
        x = n.inputs[k]
        if len(typed(n, k).shape) > 1:
            x = _batch_last(n, x) if n.attr(f"transBatch{side}", 0) else x
            x = swapped(n, x) if n.attr(f"trans{side}", 0) else x
        sides.append(x)
    return scaled(n, n.add("matmul", sides), n.attr("alpha", 1.0))


def _fused_gemm(n: NodeContext) -> str:
    y = gemm(n)
    name = n.attr("activation", "")
    if not name:
        return y
    takes = ACTIVATIONS.get(name.lower())
    if takes is None:
        n.unsupported(f"the activation {name!r}")
    alpha, beta = (
        None if default is None else n.attr(f"activation_{k}", default)
        for k, default in zip(("alpha", "beta"), takes)
    )
    return activation_of(n, name.lower(), alpha, beta)(y)


def _gelu(approximate: str) -> Converter:
    """gelu(X + bias); a bias that is absent is none."""

    def convert(n: NodeContext) -> str:
        x = op(n, "add", *n.inputs) if n.input(1) else n.inputs[0]
        return n.add("gelu", [x], approximate=approximate)

    return convert


def _gemm_fast_gelu(n: NodeContext) -> str:
    y = op(n, "matmul", *n.inputs[:2])
    y = op(n, "add", y, n.input(2)) if n.input(2) else y
    return n.add("gelu", [y], approximate="tanh")


def _quick_gelu(n: NodeContext) -> str:
    return n.add("swish", n.inputs, alpha=n.attr("alpha", 1.702))


def _bias_split_gelu(n: NodeContext) -> str:
    """The halves of X + bias along the last axis: left * gelu(right)."""
    both = op(n, "add", *n.inputs)
    shape = n.typeof(both).shape
    if shape[-1] % 2:
        n.error(f"the last axis of {list(shape)} does not split into halves.")
    half = (*shape[:-1], shape[-1] // 2)
    start = (0,) * (len(shape) - 1)
    left = n.add("slice", [both], starts=(*start, 0), shape=half)
    right = n.add("slice", [both], starts=(*start, half[-1]), shape=half)
    return op(n, "mul", left, n.add("gelu", [right]))


def _bias_add(n: NodeContext) -> str:
    """X + bias + skip"""
    return op(n, "add", op(n, "add", *n.inputs[:2]), n.inputs[2])


def _bias_softmax(n: NodeContext) -> str:
    """softmax(data + bias) over the axes from ``axis`` on; the bias is stretched along the axes
    before them, the innermost (``[batch, …, 1, …]``) or the outermost ones."""
    shape, axis = typed(n, 0).shape, n.attr("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    y = op(n, "add", *n.inputs)
    if n.typeof(y).shape != shape or not 0 <= axis < len(shape):
        n.error(f"the bias {typed(n, 1)} and the axis {axis} do not fit {typed(n, 0)}.")
    if axis == len(shape) - 1:
        return n.add("softmax", [y], axis=axis)
    flat = 1
    for d in shape[axis:]:
        flat *= d
    y = n.add("softmax", [reshape(n, y, (*shape[:axis], flat))], axis=-1)
    return reshape(n, y, shape)


def _scaled_silu(n: NodeContext) -> str:
    y = op(n, "mul", n.inputs[0], op(n, "sigmoid", n.inputs[0]))
    y = scaled(n, y, n.attr("alpha", 1.0))
    return op(n, "mul", y, n.input(1)) if n.input(1) else y


def _nhwc_max_pool(n: NodeContext) -> str:
    """A pool over ``[batch, spatial…, channel]``."""
    x = typed(n, 0)
    ndim = len(x.shape)
    if ndim < 3:
        n.error(f"it takes [batch, spatial…, channel] data, not {x}.")
    front = transpose(n, n.inputs[0], (0, ndim - 1, *range(1, ndim - 1)))
    y = n.add("max_pool", [front], **pool_window(n, n.typeof(front).shape[2:]))
    return transpose(n, y, (0, *range(2, ndim), 1))


_WINDOW: dict[str, type] = {
    "auto_pad": str,
    "kernel_shape": tuple,
    "strides": tuple,
    "dilations": tuple,
}
_WINDOW |= {"pads": tuple}
_SCALES: dict[str, type] = {"alpha": float, "transA": int, "transB": int}

CONVERTERS: dict[str, Converter] = {
    "BiasAdd": row(_bias_add, "X bias skip"),
    "BiasGelu": row(_gelu("none"), "A B"),
    "BiasSoftmax": row(_bias_softmax, "data bias", axis=int, is_inner_broadcast=int),
    "BiasSplitGelu": row(_bias_split_gelu, "X bias"),
    "FastGelu": row(_gelu("tanh"), "X bias?"),
    "FusedConv": row(
        _fused_conv, "X W B? Z?", **_WINDOW, group=int, activation=str, activation_params=tuple
    ),
    "FusedGemm": row(
        _fused_gemm,
        "A B C?",
        **_SCALES,
        beta=float,
        activation=str,
        activation_alpha=float,
        activation_beta=float,
        activation_gamma=float,
    ),
    "FusedMatMul": row(_fused_matmul, "A B", **_SCALES, transBatchA=int, transBatchB=int),
    "Gelu": row(_gelu("none"), "X"),
    "GemmFastGelu": row(_gemm_fast_gelu, "X W bias?"),
    "Inverse": row(inverse, "X"),
    "Irfft": row(irfft, "X", signal_ndim=int, normalized=int, onesided=int),
    "NhwcMaxPool": row(_nhwc_max_pool, "x", **_WINDOW, ceil_mode=int),
    "QuickGelu": row(_quick_gelu, "X", alpha=float),
    "Rfft": row(rfft, "X", signal_ndim=int, normalized=int, onesided=int),
    "ScaledSiLU": row(_scaled_silu, "X scale?", alpha=float),
    "TransposeMatMul": row(_fused_matmul, "A B", **_SCALES),
}
