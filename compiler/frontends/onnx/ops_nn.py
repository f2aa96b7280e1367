"""Converters of products, normalisations, softmax, and what is the identity at inference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .compose import row
from .context import Converter, NodeContext
from .ops_math import cast, scalar


def gemm(n: NodeContext) -> str:
    """``Gemm``, and what it is fused with before that."""
    return n.add(
        "gemm",
        n.inputs,
        alpha=n.attr("alpha", 1.0),
        beta=n.attr("beta", 1.0),
        trans_a=bool(n.attr("transA", 0)),
        trans_b=bool(n.attr("transB", 0)),
    )


def _matmul(n: NodeContext) -> str:
    return n.add("matmul", n.inputs)


def _einsum(n: NodeContext) -> str:
    return n.add("einsum", n.inputs, equation=n.attr("equation"))


def _trilu(n: NodeContext) -> str:
    """The triangle from diagonal k on, which may be known at run time only."""
    t, upper = n.type(0), bool(n.attr("upper", 1))
    assert t is not None
    if not n.input(1) or n.is_const(1):
        return n.add("trilu", n.inputs[:1], k=int(scalar(n, 1) or 0), upper=upper)
    if len(t.shape) < 2:
        n.error(f"it takes matrices, not {t}.")
    rows, columns = (np.arange(d, dtype=np.int64) for d in t.shape[-2:])
    last = n.add("add", [n.constant(rows[:, None]), n.add("reshape", [n.inputs[1]], shape=())])
    op = "greater_or_equal" if upper else "less_or_equal"
    kept = n.add(op, [n.constant(columns[None, :]), last])
    return n.add("where", [kept, n.inputs[0], n.constant(np.zeros((), t.dtype.numpy))])


def _softmax(op: str) -> Converter:
    """Before opset 13 all axes from ``axis`` on count as one, and the default is 1."""

    def convert(n: NodeContext) -> str:
        t = n.type(0)
        assert t is not None
        if n.opset >= 13:
            return n.add(op, n.inputs, axis=n.attr("axis", -1))
        axis, ndim = n.attr("axis", 1), len(t.shape)
        if not -ndim <= axis <= ndim:
            n.error(f"the axis {axis} is out of range for {ndim} axes.")
        axis = axis + ndim if axis < 0 else axis
        if axis == ndim - 1:
            return n.add(op, n.inputs, axis=axis)
        rows = (math.prod(t.shape[:axis]), math.prod(t.shape[axis:]))
        flat = n.add(op, [n.add("reshape", n.inputs, shape=rows)], axis=1)
        return n.add("reshape", [flat], shape=t.shape)

    return convert


def _dropout(n: NodeContext) -> Sequence[str]:
    """At inference it is the identity, and keeps every element."""
    if scalar(n, 2) and scalar(n, 1) != 0:
        n.unsupported("dropout in training mode draws random numbers, which weft does not")
    t = n.type(0)
    assert t is not None
    mask = ""
    if n.output_wanted(1):
        one = n.constant(np.ones((), bool if n.opset >= 10 else t.dtype.numpy))
        mask = n.add("expand", [one], shape=t.shape)
    return [n.inputs[0], mask][: n.n_outputs]


def _batch_norm(n: NodeContext) -> Sequence[str]:
    epsilon = n.attr("epsilon", 1e-5)
    if not n.attr("training_mode", 0):
        if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
            n.unsupported("the statistics of batch normalisation, which only training updates,")
        if n.attr("spatial", 1):
            y = n.add("batch_norm", n.inputs, epsilon=epsilon)
        else:
            y = _norm_of_elements(n, epsilon)
        return [y, *[""] * (n.n_outputs - 1)]
    x, scale, bias, mean, variance = n.inputs
    t, stat = n.type(0), n.type(3)
    assert t is not None and stat is not None
    axes = tuple(k for k in range(len(t.shape)) if k != 1)
    wide = cast(n, x, "float64" if str(t.dtype) == "float64" else "float32")
    own_mean = n.add("reduce_mean", [wide], axes=axes, keepdims=True)
    centred = n.add("sub", [wide, own_mean])
    own_variance = n.add(
        "reduce_mean", [n.add("mul", [centred, centred])], axes=axes, keepdims=False
    )
    own_mean = n.add("reshape", [own_mean], shape=n.typeof(own_variance).shape)
    y = n.add("batch_norm", [x, scale, bias, own_mean, own_variance], epsilon=epsilon)
    momentum, updated = n.attr("momentum", 0.9), []
    for old, new in ((mean, own_mean), (variance, own_variance)):
        new = cast(n, new, str(stat.dtype))
        keep = n.constant(np.asarray(momentum, stat.dtype.numpy))
        rest = n.constant(np.asarray(1 - momentum, stat.dtype.numpy))
        updated.append(n.add("add", [n.add("mul", [old, keep]), n.add("mul", [new, rest])]))
    return [y, *updated][: n.n_outputs]


def _norm_of_elements(n: NodeContext, epsilon: float) -> str:
    """Batch normalisation with statistics for every element of an item (``spatial`` 0, before
    opset 9), as one vector in the first versions."""
    t = n.type(0)
    assert t is not None
    params = []
    for k, name in enumerate(n.inputs[1:], 1):
        given, each = n.type(k), t.shape[1:]
        assert given is not None
        if given.shape not in (each, (math.prod(each),)):
            n.error(f"input {k} is {given}; {list(each)} is needed where spatial is 0.")
        params.append(n.add("reshape", [name], shape=(1, *each)))
    scale, bias, mean, variance = params
    shifted = n.add("add", [variance, n.constant(np.asarray(epsilon, t.dtype.numpy))])
    factor = n.add("div", [scale, n.add("sqrt", [shifted])])
    centred = n.add("sub", [n.inputs[0], mean])
    return n.add("add", [n.add("mul", [centred, factor]), bias])


def _layer_norm(n: NodeContext) -> Sequence[str]:
    """The second and third output, mean and 1 / deviation, are made only where they are read."""
    axis, epsilon, t = n.attr("axis", -1), n.attr("epsilon", 1e-5), n.type(0)
    assert t is not None
    made = [n.add("layer_norm", n.inputs, axis=axis, epsilon=epsilon), "", ""]
    if n.output_wanted(1) or n.output_wanted(2):
        axes = tuple(range(axis % len(t.shape), len(t.shape)))
        made[1:] = layer_statistics(n, n.inputs[0], axes, epsilon)
    return made[: n.n_outputs]


def layer_statistics(
    n: NodeContext, x: str, axes: Sequence[int], epsilon: float
) -> tuple[str, str]:
    """Mean and 1 / deviation over ``axes``, which stay with the extent 1; float32."""
    x = cast(n, x, "float32")
    mean = n.add("reduce_mean", [x], axes=tuple(axes))
    return mean, rms_statistic(n, n.add("sub", [x, mean]), axes, epsilon)


def rms_statistic(n: NodeContext, x: str, axes: Sequence[int], epsilon: float) -> str:
    """1 / root of the mean square over ``axes``, which stay with the extent 1; float32."""
    x = cast(n, x, "float32")
    square = n.add("reduce_mean", [n.add("mul", [x, x])], axes=tuple(axes))
    shifted = n.add("add", [square, n.constant(np.asarray(epsilon, np.float32))])
    return n.add("reciprocal", [n.add("sqrt", [shifted])])


def _rms_norm(n: NodeContext) -> str:
    return n.add("rms_norm", n.inputs, axis=n.attr("axis", -1), epsilon=n.attr("epsilon", 1e-5))


def _simplified_layer_norm(n: NodeContext) -> Sequence[str]:
    """RMS normalisation by the name that ONNX Runtime's optimiser writes it in ONNX's domain."""
    axis, epsilon, t = n.attr("axis", -1), n.attr("epsilon", 1e-5), n.type(0)
    assert t is not None
    made = [n.add("rms_norm", n.inputs, axis=axis, epsilon=epsilon), ""]
    if n.output_wanted(1):
        axes = tuple(range(axis % len(t.shape), len(t.shape)))
        made[1] = rms_statistic(n, n.inputs[0], axes, epsilon)
    return made[: n.n_outputs]


def _instance_norm(n: NodeContext) -> str:
    return n.add("instance_norm", n.inputs, epsilon=n.attr("epsilon", 1e-5))


def _group_norm(n: NodeContext) -> str:
    """Scale and bias are one per group before opset 21, then one per channel."""
    t, groups = n.type(0), n.attr("num_groups")
    assert t is not None
    x, *params = n.inputs
    if n.opset < 21 and groups > 0 and len(t.shape) > 1 and t.shape[1] % groups == 0:
        per = t.shape[1] // groups
        for k, p in enumerate(params):
            column = n.add("reshape", [p], shape=(groups, 1))
            spread = n.add("expand", [column], shape=(groups, per))
            params[k] = n.add("reshape", [spread], shape=(t.shape[1],))
    return n.add("group_norm", [x, *params], num_groups=groups, epsilon=n.attr("epsilon", 1e-5))


def _lp_norm(n: NodeContext) -> str:
    """x / |x|_p; a row of zeros stays zero."""
    p = n.attr("p", 2)
    if p not in (1, 2):
        n.unsupported(f"the norm of order {p}; there are 1 and 2")
    x = n.inputs[0]
    norm = n.add(f"reduce_l{p}", [x], axes=(n.attr("axis", -1),))
    d = n.typeof(norm).dtype.numpy
    empty = n.add("equal", [norm, n.constant(np.zeros((), d))])
    return n.add("div", [x, n.add("where", [empty, n.constant(np.ones((), d)), norm])])


def _mvn(n: NodeContext) -> str:
    return n.add("mean_variance_norm", n.inputs, axes=n.attr("axes", (0, 2, 3)))


def _lrn(n: NodeContext) -> str:
    return n.add(
        "lrn",
        n.inputs,
        size=n.attr("size"),
        alpha=n.attr("alpha", 1e-4),
        beta=n.attr("beta", 0.75),
        bias=n.attr("bias", 1.0),
    )


CONVERTERS: dict[str, Converter] = {
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "Einsum": _einsum,
    "Gemm": gemm,
    "GroupNormalization": _group_norm,
    "Hardmax": _softmax("hardmax"),
    "InstanceNormalization": _instance_norm,
    "LRN": _lrn,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": _softmax("log_softmax"),
    "LpNormalization": _lp_norm,
    "MatMul": _matmul,
    "MeanVarianceNormalization": _mvn,
    "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": row(
        _simplified_layer_norm, "X scale", axis=int, epsilon=float, stash_type=int
    ),
    "Softmax": _softmax("softmax"),
    "Trilu": _trilu,
}
