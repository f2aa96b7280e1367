"""Layers of networks: products, activations, normalisations, and the losses that end them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .context import MxContext
from .table import Converter, Table, named

# --- products ---------------------------------------------------------------------------------


def _fully_connected(n: MxContext) -> str:
    x, w = n.x, n.inputs[1]
    if n.flag("flatten", True):
        x = n.reshape(x, (n.shape[0], math.prod(n.shape[1:])))
    lead = n.typeof(x).shape[:-1]
    flat = n.reshape(x, (math.prod(lead), n.typeof(x).shape[-1]))
    bias = [] if n.flag("no_bias") else n.inputs[2:3]
    y = n.add("gemm", [flat, w, *bias], trans_b=True)
    return n.reshape(y, (*lead, n.typeof(w).shape[0]))


def _embedding(n: MxContext) -> str:
    return n.add("gather", [n.inputs[1], n.cast(n.x, "int32")], axis=0, wrap=False)


# --- activations ------------------------------------------------------------------------------

_ACTIVATIONS = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softrelu": "softplus",
    "softsign": "softsign",
    "mish": "mish",
}


def _activation(n: MxContext) -> str:
    kind = n.text("act_type")
    if kind == "log_sigmoid":
        return n.add("neg", [n.add("softplus", [n.add("neg", [n.x])])])
    if kind not in _ACTIVATIONS:
        n.unsupported(f"act_type is {kind!r}")
    return n.add(_ACTIVATIONS[kind], [n.x])


def _leaky_relu(n: MxContext) -> str:
    kind, slope = n.text("act_type", "leaky"), n.number("slope", 0.25)
    if kind == "prelu":
        gamma, ndim = n.inputs[1], len(n.shape)
        size = n.typeof(gamma).size
        if n.typeof(gamma).shape != n.shape and ndim > 1:
            gamma = n.reshape(gamma, (size, *(1,) * (ndim - 2)) if size > 1 else ())
        return n.add("prelu", [n.x, gamma])
    if kind == "rrelu":  # what it is on average, as MXNet has it at inference
        low, high = n.number("lower_bound", 0.125), n.number("upper_bound", 0.334)
        return n.add("leaky_relu", [n.x], alpha=(low + high) / 2)
    if kind in ("leaky", "elu"):
        return n.add("leaky_relu" if kind == "leaky" else "elu", [n.x], alpha=slope)
    if kind not in ("selu", "gelu"):
        n.unsupported(f"act_type is {kind!r}")
    return n.add(kind, [n.x])


def _hard_sigmoid(n: MxContext) -> str:
    return n.add("hard_sigmoid", [n.x], alpha=n.number("alpha", 0.2), beta=n.number("beta", 0.5))


# --- softmax ----------------------------------------------------------------------------------


def _softmax(op: str, sign: float = 1.0) -> Converter:
    def convert(n: MxContext) -> str:
        axis, x, d = n.axis("axis", -1), n.x, n.text("dtype", "")
        scale = sign / n.number("temperature", 1.0)
        if d:
            x = n.cast(x, d)
        if scale != 1:
            x = n.add("mul", [x, n.like(scale, x)])
        if not n.flag("use_length"):
            return n.add(op, [x], axis=axis)
        shape, length = n.shape, n.cast(n.inputs[1], "int32")
        place = np.arange(shape[axis], dtype=np.int32)
        rest = tuple(1 if k == axis else m for k, m in enumerate(shape))
        place = n.constant(place.reshape([-1 if k == axis else 1 for k in range(len(shape))]))
        inside = n.add("less", [place, n.reshape(length, rest)])
        lowest = n.like(-math.inf, x)
        y = n.add(op, [n.add("where", [inside, x, lowest])], axis=axis)
        return n.add("where", [inside, y, n.like(0, y)])

    return convert


def _softmax_activation(n: MxContext) -> str:
    if n.text("mode", "instance") == "channel":
        return n.add("softmax", [n.x], axis=1)
    return _softmax_rows(n)


def _softmax_rows(n: MxContext) -> str:
    flat = n.reshape(n.x, (n.shape[0], math.prod(n.shape[1:])))
    return n.reshape(n.add("softmax", [flat], axis=1), n.shape)


def _softmax_output(n: MxContext) -> str:
    if n.flag("multi_output"):
        return n.add("softmax", [n.x], axis=1)
    if n.flag("preserve_shape"):
        return n.add("softmax", [n.x], axis=-1)
    return _softmax_rows(n)


# --- normalisations ---------------------------------------------------------------------------


def _moved(n: MxContext, axis: int) -> tuple[str, tuple[int, ...] | None]:
    """The data with ``axis`` second, and the permutation that leads back."""
    if axis == 1 or len(n.shape) == 1:
        return n.x, None
    perm = [k for k in range(len(n.shape)) if k != axis]
    perm.insert(1, axis)
    back = tuple(int(k) for k in np.argsort(perm))
    return n.add("transpose", [n.x], perm=tuple(perm)), back


def _batch_norm(n: MxContext) -> Sequence[str]:
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("the statistics of batch normalisation as outputs")
    if len(n) < 5:
        n.error("its statistics are absent.")
    _, gamma, beta, mean, variance = n.inputs[:5]
    if n.flag("fix_gamma", True):
        gamma = n.constant(np.ones(n.typeof(gamma).shape, n.typeof(gamma).dtype.numpy))
    x, back = _moved(n, n.axis("axis", 1))
    d = str(n.typeof(x).dtype)
    params = [n.cast(p, d) for p in (gamma, beta, mean, variance)]
    y = n.add("batch_norm", [x, *params], epsilon=n.number("eps", 1e-3))
    return [y if back is None else n.add("transpose", [y], perm=back)]


def _batch_norm_relu(n: MxContext) -> Sequence[str]:
    return [n.add("relu", [_batch_norm(n)[0]])]


def _layer_norm(n: MxContext) -> Sequence[str]:
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("the statistics of layer normalisation as outputs")
    axis, ndim = n.axis("axis", -1), len(n.shape)
    epsilon = n.number("eps", 1e-5)
    if axis == ndim - 1:
        return [n.add("layer_norm", n.inputs[:3], axis=axis, epsilon=epsilon)]
    perm = (*(k for k in range(ndim) if k != axis), axis)
    back = tuple(int(k) for k in np.argsort(perm))
    x = n.add("transpose", [n.x], perm=perm)
    y = n.add("layer_norm", [x, *n.inputs[1:3]], axis=-1, epsilon=epsilon)
    return [n.add("transpose", [y], perm=back)]


def _instance_norm(n: MxContext) -> str:
    return n.add("instance_norm", n.inputs[:3], epsilon=n.number("eps", 1e-3))


def _group_norm(n: MxContext) -> Sequence[str]:
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("the statistics of group normalisation as outputs")
    channels, groups = n.shape[1], n.integer("num_groups", 1)
    params = []
    for p in n.inputs[1:3]:
        size = n.typeof(p).size
        if size != channels and size == groups:  # of a group each, as 1.6 to 1.9 have it
            wide = n.add("expand", [n.reshape(p, (groups, 1))], shape=(groups, channels // groups))
            p = n.reshape(wide, (channels,))
        params.append(p)
    return [n.add("group_norm", [n.x, *params], num_groups=groups, epsilon=n.number("eps", 1e-5))]


def _l2_normalization(n: MxContext) -> str:
    mode, ndim = n.text("mode", "instance"), len(n.shape)
    axes = {"instance": range(1, ndim), "channel": (1,), "spatial": range(2, ndim)}[mode]
    square = n.add("reduce_sum", [n.add("mul", [n.x, n.x])], axes=tuple(axes), keepdims=True)
    root = n.add("sqrt", [n.add("add", [square, n.like(n.number("eps", 1e-10))])])
    return n.add("div", [n.x, root])


def _lrn(n: MxContext) -> str:
    return n.add(
        "lrn", [n.x], size=n.integer("nsize"), alpha=n.number("alpha", 1e-4),
        beta=n.number("beta", 0.75), bias=n.number("knorm", 2.0),
    )  # fmt: skip


# --- what is the identity at inference --------------------------------------------------------


def _identity(n: MxContext) -> Sequence[str]:
    return [n.x]


def _dropout(n: MxContext) -> Sequence[str]:
    if n.text("mode", "training") == "always" and n.number("p", 0.5):
        n.unsupported("dropout at inference draws random numbers")
    mask = n.add("expand", [n.like(1)], shape=n.shape) if n.output_wanted(1) else ""
    return [n.x, mask]


def _logistic(n: MxContext) -> str:
    return n.add("sigmoid", [n.x])


CONVERTERS: Table = {
    "Activation": _activation,
    **named(_batch_norm, "BatchNorm", "BatchNorm_v1", "CuDNNBatchNorm", "_contrib_SyncBatchNorm"),
    **named(
        _identity, "BlockGrad", "IdentityAttachKLSparseReg", "LinearRegressionOutput",
        "MAERegressionOutput", "MakeLoss", "SVMOutput", "_copy", "_identity_with_attr_like_rhs",
        "_contrib_gradientmultiplier", "identity", "make_loss", "stop_gradient", "_CrossDeviceCopy",
    ),
    "Dropout": _dropout,
    "Embedding": _embedding,
    "FullyConnected": _fully_connected,
    "GroupNorm": _group_norm,
    "InstanceNorm": _instance_norm,
    "L2Normalization": _l2_normalization,
    "LRN": _lrn,
    "LayerNorm": _layer_norm,
    "LeakyReLU": _leaky_relu,
    "LogisticRegressionOutput": _logistic,
    "_contrib_BatchNormWithReLU": _batch_norm_relu,
    "SoftmaxActivation": _softmax_activation,
    **named(_softmax_output, "Softmax", "SoftmaxOutput"),
    "hard_sigmoid": _hard_sigmoid,
    "log_softmax": _softmax("log_softmax"),
    "softmax": _softmax("softmax"),
    "softmin": _softmax("softmax", -1.0),
}  # fmt: skip
