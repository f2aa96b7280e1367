"""Layers of networks: products, normalisations, activations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .context import C2Context
from .ops_conv import back, first
from .table import Converter, Table

# --- products ---------------------------------------------------------------------------------


def _fully(transposed: bool) -> Converter:
    """Axes of the data from ``axis`` on, and of the weights from ``axis_w`` on, count as one."""

    def convert(n: C2Context) -> str:
        axis = n.placed(n.integer("axis", 1), len(n.shape) + 1)
        w, axis_w = n.typed(1).shape, n.integer("axis_w", 1)
        axis_w = n.placed(axis_w, len(w) + 1)
        rows = n.reshape(n.x, (math.prod(n.shape[:axis]), math.prod(n.shape[axis:])))
        weights = n.reshape(n.inputs[1], (math.prod(w[:axis_w]), math.prod(w[axis_w:])))
        bias = [n.reshape(b, (n.typeof(b).size,)) for b in n.inputs[2:3]]
        y = n.add("gemm", [rows, weights, *bias], trans_b=not transposed)
        return n.reshape(y, (*n.shape[:axis], n.typeof(y).shape[1]))

    return convert


def _turned(n: C2Context, tensor: str) -> str:
    ndim = len(n.typeof(tensor).shape)
    return n.add("transpose", [tensor], perm=(*range(ndim - 2), ndim - 1, ndim - 2))


def _batch_matmul(n: C2Context) -> str:
    a, b = n.inputs[:2]
    a = _turned(n, a) if n.flag("trans_a") else a
    return n.add("matmul", [a, _turned(n, b) if n.flag("trans_b") else b])


def _matmul(n: C2Context) -> str:
    """Of matrices, which axes from ``axis_a`` and ``axis_b`` on are the columns of."""
    flat = []
    for k, name in enumerate("ab"):
        shape = n.typed(k).shape
        axis = n.placed(n.integer(f"axis_{name}", 1), len(shape) + 1)
        rows = (math.prod(shape[:axis]), math.prod(shape[axis:]))
        made = n.reshape(n.inputs[k], rows)
        flat.append(_turned(n, made) if n.flag(f"trans_{name}") else made)
    return n.add("matmul", flat)


# --- normalisations ---------------------------------------------------------------------------


def _spatial_bn(n: C2Context) -> Sequence[str]:
    if not n.flag("is_test"):
        n.unsupported("batch normalisation that is still in training (is_test is 0)")
    if len(n) != 5:
        n.error(f"it takes data, scale, bias, mean and variance, not {len(n)} inputs.")
    x = first(n, n.x) if len(n.shape) > 2 else n.x
    y = n.add("batch_norm", [x, *n.inputs[1:]], epsilon=n.number("epsilon", 1e-5))
    return [back(n, y) if len(n.shape) > 2 else y]


def _instance_norm(n: C2Context) -> Sequence[str]:
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("the statistics of instance normalisation as outputs")
    inputs = [first(n, n.x), *n.inputs[1:3]]
    return [back(n, n.add("instance_norm", inputs, epsilon=n.number("epsilon", 1e-5)))]


def _group_norm(n: C2Context) -> Sequence[str]:
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("the statistics of group normalisation as outputs")
    attrs = {"num_groups": n.integer("group", 32), "epsilon": n.number("epsilon", 1e-5)}
    return [back(n, n.add("group_norm", [first(n, n.x), *n.inputs[1:3]], **attrs))]


def _layer_norm(n: C2Context) -> Sequence[str]:
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("the statistics of layer normalisation as outputs")
    axis = n.placed(n.integer("axis", 1))
    tail = n.shape[axis:]
    if n.flag("elementwise_affine") and len(n) > 2:
        params = [n.reshape(p, tail) for p in n.inputs[1:3]]
    else:
        params = [n.constant(np.ones(tail, np.float32))]
    return [n.add("layer_norm", [n.x, *params], axis=axis, epsilon=n.number("epsilon", 1e-5))]


def _lrn(n: C2Context) -> Sequence[str]:
    if n.output_wanted(1):
        n.unsupported("the scale of a local response normalisation as an output")
    y = n.add(
        "lrn", [first(n, n.x)], size=n.integer("size"), alpha=n.number("alpha"),
        beta=n.number("beta"), bias=n.number("bias", 1.0),
    )  # fmt: skip
    return [back(n, y)]


def _normalize(n: C2Context) -> str:
    """By the 2-norm along an axis, which counts as 1e-12 where it is smaller."""
    axis = n.placed(n.integer("axis", -1))
    norm = n.add("reduce_l2", [n.x], axes=(axis,), keepdims=True)
    return n.add("div", [n.x, n.add("maximum", [norm, n.like(1e-12)])])


def _softmax(op: str) -> Converter:
    """Axes from ``axis`` on count as one."""

    def convert(n: C2Context) -> str:
        axis = n.placed(n.integer("axis", 1), len(n.shape) + 1)
        rows = (math.prod(n.shape[:axis]), math.prod(n.shape[axis:]))
        return n.reshape(n.add(op, [n.reshape(n.x, rows)], axis=1), n.shape)

    return convert


# --- activations ------------------------------------------------------------------------------


def _unary(op: str, **defaults: float) -> Converter:
    """``defaults``: arguments that are attributes of the same name."""

    def convert(n: C2Context) -> str:
        return n.add(op, [n.x], **{k: float(n.number(k, v)) for k, v in defaults.items()})

    return convert


def _prelu(n: C2Context) -> str:
    slope, ndim = n.inputs[1], len(n.shape)
    size = n.typeof(slope).size
    behind = 0 if n.channels_last or ndim < 3 else ndim - 2
    shape = (size, *(1,) * behind) if size > 1 else ()
    return n.add("prelu", [n.x, n.reshape(slope, shape)])


def _selu(n: C2Context) -> str:
    scale, alpha = n.number("scale", 1.0507009873554804), n.number("alpha", 1.6732632423543772)
    return n.add("mul", [n.add("elu", [n.x], alpha=alpha), n.like(scale)])


def _swish(n: C2Context) -> str:
    return n.add("mul", [n.x, n.add("sigmoid", [n.x])])


def _clip(n: C2Context) -> str:
    return n.add("clip", [n.x], min=n.number("min", None), max=n.number("max", None))


def _relu_n(n: C2Context) -> str:
    return n.add("clip", [n.x], min=0.0, max=n.number("n", 6.0))


def _square(n: C2Context) -> str:
    return n.add("mul", [n.x, n.x])


def _cube(n: C2Context) -> str:
    return n.add("mul", [_square(n), n.x])


def _rsqrt(n: C2Context) -> str:
    return n.add("reciprocal", [n.add("sqrt", [n.x])])


def _scale(n: C2Context) -> str:
    return n.add("mul", [n.x, n.like(n.number("scale", 1.0))])


def _same(n: C2Context) -> Sequence[str]:
    return [n.x]


def _dropout(n: C2Context) -> Sequence[str]:
    if not n.flag("is_test"):
        n.unsupported("dropout that is still in training (is_test is 0)")
    mask = ""
    if n.output_wanted(1):
        mask = n.add("expand", [n.constant(np.array(True))], shape=n.shape)
    return [n.x, mask]


_PLAIN = {
    "Abs": "abs", "Acos": "acos", "Asin": "asin", "Atan": "atan", "Ceil": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor", "Log": "log",
    "Negative": "neg", "Not": "not", "Reciprocal": "reciprocal", "Relu": "relu",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip

CONVERTERS: Table = {
    **{name: _unary(op) for name, op in _PLAIN.items()},
    **dict.fromkeys(
        (
            "Alias", "Copy", "CopyCPUToGPU", "CopyGPUToCPU", "CopyFromCPUInput",
            "EnsureCPUOutput", "EnsureDense", "StopGradient",
        ),
        _same,
    ),
    "BatchMatMul": _batch_matmul,
    "Clip": _clip,
    "Cube": _cube,
    "Dropout": _dropout,
    "Elu": _unary("elu", alpha=1.0),
    "FC": _fully(False),
    "FCTransposed": _fully(True),
    "Gelu": _unary("gelu"),
    "GroupNorm": _group_norm,
    "HardSigmoid": _unary("hard_sigmoid", alpha=0.2, beta=0.5),
    "InstanceNorm": _instance_norm,
    "LRN": _lrn,
    "LayerNorm": _layer_norm,
    "LeakyRelu": _unary("leaky_relu", alpha=0.01),
    "LogSoftmax": _softmax("log_softmax"),
    "MatMul": _matmul,
    "Normalize": _normalize,
    "PRelu": _prelu,
    "ReluN": _relu_n,
    "Rsqrt": _rsqrt,
    "Scale": _scale,
    "Selu": _selu,
    "Softmax": _softmax("softmax"),
    "SpatialBN": _spatial_bn,
    "Sqr": _square,
    "Swish": _swish,
}  # fmt: skip
