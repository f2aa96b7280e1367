"""Layers that compute element by element, normalise or reduce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .layer_context import LayerContext, LayerConverter
from .recurrent import Activation
from .shared import gelu, l2_normalized, line

_TINY = 1e-6  # what layers take for an epsilon of 0, but for batchnorm


def activation(n: LayerContext, p: Any) -> Activation:
    """The function that ``ActivationParams`` are."""
    name = next((f.name for f, _ in p.ListFields()), "")
    if name not in _FUNCTIONS:
        n.error("it does not say which activation it is.")
    return lambda x: _FUNCTIONS[name](n, getattr(p, name), x)


def _scaled_tanh(n: LayerContext, told: Any, x: str) -> str:
    inner = n.add("tanh", [n.add("mul", [x, n.like(told.beta, x)])])
    return n.add("mul", [inner, n.like(told.alpha, x)])


def _thresholded(n: LayerContext, told: Any, x: str) -> str:
    passes = n.add("greater_or_equal", [x, n.like(told.alpha, x)])
    return n.add("where", [passes, x, n.like(0, x)])


def _prelu(n: LayerContext, told: Any, x: str) -> str:
    return n.add("prelu", [x, n.along_channels(told.alpha, n.least(3, x)[-3])])


def _parametric_softplus(n: LayerContext, told: Any, x: str) -> str:
    channels = n.least(3, x)[-3]
    alpha, beta = (n.along_channels(w, channels) for w in (told.alpha, told.beta))
    return n.add("mul", [n.add("softplus", [n.add("mul", [x, beta])]), alpha])


def _plain(op: str, *keys: str) -> Callable[[LayerContext, Any, str], str]:
    return lambda n, told, x: n.add(op, [x], **{k: getattr(told, k) for k in keys})


_FUNCTIONS: dict[str, Callable[[LayerContext, Any, str], str]] = {
    "ELU": _plain("elu", "alpha"),
    "PReLU": _prelu,
    "ReLU": _plain("relu"),
    "leakyReLU": _plain("leaky_relu", "alpha"),
    "linear": lambda n, told, x: line(n, x, told.alpha, told.beta),
    "parametricSoftplus": _parametric_softplus,
    "scaledTanh": _scaled_tanh,
    "sigmoid": _plain("sigmoid"),
    "sigmoidHard": _plain("hard_sigmoid", "alpha", "beta"),
    "softplus": _plain("softplus"),
    "softsign": _plain("softsign"),
    "tanh": _plain("tanh"),
    "thresholdedReLU": _thresholded,
}


def _clamped_relu(n: LayerContext) -> str:
    leaky = n.add("leaky_relu", [n.x], alpha=n.p.alpha)
    return n.add("minimum", [leaky, n.like(n.p.beta, n.x)])


def _unary(n: LayerContext) -> str:
    p, x = n.p, n.x
    if p.scale not in (0, 1):
        x = n.add("mul", [x, n.like(p.scale, x)])
    if p.shift:
        x = n.add("add", [x, n.like(p.shift, x)])
    epsilon = n.like(p.epsilon or _TINY, x)
    match p.type:
        case 1:
            return n.add("reciprocal", [n.add("sqrt", [n.add("add", [x, epsilon])])])
        case 2:
            return n.add("reciprocal", [n.add("add", [x, epsilon])])
        case 3:
            return n.add("pow", [x, n.like(p.alpha, x)])
        case 7:
            return n.add("maximum", [x, n.like(p.alpha, x)])
    ops = {0: "sqrt", 4: "exp", 5: "log", 6: "abs"}
    if p.type not in ops:
        n.error(f"there is no function of type {p.type}.")
    return n.add(ops[p.type], [x])


def _many(op: str, constant: str = "") -> LayerConverter:
    """All inputs together; of one alone, with a number that the layer is told."""

    def convert(n: LayerContext) -> str:
        found = n.x
        if len(n) == 1 and constant:
            return n.add(op, [found, n.like(getattr(n.p, constant), found)])
        for other in n.inputs[1:]:
            found = n.add(op, [found, other])
        return found if len(n) > 1 else n.add("identity", [found])

    return convert


def _average(n: LayerContext) -> str:
    total = _many("add")(n)
    assert isinstance(total, str)
    return n.add("div", [total, n.like(len(n), total)])


def _elementwise(op: str) -> LayerConverter:
    return lambda n: n.add(op, [n.x])


def _pairs(op: str, **attrs: Any) -> LayerConverter:
    return lambda n: n.add(op, [n.x, n.y], **attrs)


def _floor_div(n: LayerContext) -> str:
    return n.add("floor", [n.add("div", [n.x, n.y])])


def _compared(op: str) -> LayerConverter:
    def convert(n: LayerContext) -> str:
        other = n.y if len(n) > 1 else n.like(n.p.alpha, n.x)
        return n.floats(n.add(op, [n.x, other]))

    return convert


def _logical(op: str) -> LayerConverter:
    return lambda n: n.floats(n.add(op, [n.cast(i, "bool") for i in n.inputs]))


def _where(n: LayerContext) -> str:
    if len(n) != 3:
        n.error("it takes a condition and two tensors.")
    return n.add("where", [n.cast(n.x, "bool"), *n.inputs[1:]])


def _bounded(n: LayerContext) -> str:
    return n.add("clip", [n.x], min=n.p.minVal, max=n.p.maxVal)


def _exp2(n: LayerContext) -> str:
    return n.add("pow", [n.like(2, n.x), n.x])


def _gelu(n: LayerContext) -> str:
    modes = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
    return gelu(n, n.x, modes[n.p.mode])


def _shaped(n: LayerContext, w: Any, shape: Sequence[int]) -> str:
    """A bias or a scale of [1], [C], [1, H, W] or [C, H, W]."""
    extents = tuple(shape) or (1,)
    values = n.weights(w, *extents)
    return n.reshaped(values, (extents[0], 1, 1) if len(extents) == 1 else extents)


def _bias(n: LayerContext) -> str:
    n.least(3)
    return n.add("add", [n.x, _shaped(n, n.p.bias, n.p.shape)])


def _scale(n: LayerContext) -> str:
    n.least(3)
    y = n.add("mul", [n.x, _shaped(n, n.p.scale, n.p.shapeScale)])
    return n.add("add", [y, _shaped(n, n.p.bias, n.p.shapeBias)]) if n.p.hasBias else y


# --- normalisation ----------------------------------------------------------------------------


def _batchnorm(n: LayerContext) -> str:
    p, channels = n.p, n.p.channels
    epsilon = p.epsilon or 1e-5
    gamma, beta = n.weights(p.gamma, channels), n.weights(p.beta, channels)
    x = n.batched()
    if p.computeMeanVar and p.instanceNormalization:
        y = n.add("instance_norm", [x, gamma, beta], epsilon=epsilon)
    elif p.computeMeanVar:
        gamma, beta = (n.reshaped(w, (channels, 1, 1)) for w in (gamma, beta))
        y = n.add("add", [n.add("mul", [_normalised(n, x, (0, 2, 3), epsilon), gamma]), beta])
    else:
        mean, variance = n.weights(p.mean, channels), n.weights(p.variance, channels)
        y = n.add("batch_norm", [x, gamma, beta, mean, variance], epsilon=epsilon)
    return n.restored(y)


def _normalised(n: LayerContext, x: str, axes: tuple[int, ...], epsilon: float | None) -> str:
    """``x`` less its mean, over the root of its variance where there is an ``epsilon``."""
    centred = n.add("sub", [x, n.add("reduce_mean", [x], axes=axes)])
    if epsilon is None:
        return centred
    variance = n.add("reduce_mean", [n.add("mul", [centred, centred])], axes=axes)
    root = n.add("sqrt", [n.add("add", [variance, n.like(epsilon, x)])])
    return n.add("div", [centred, root])


def _mvn(n: LayerContext) -> str:
    axes = (1, 2, 3) if n.p.acrossChannels else (2, 3)
    epsilon = (n.p.epsilon or _TINY) if n.p.normalizeVariance else None
    return n.restored(_normalised(n, n.batched(), axes, epsilon))


def _l2_normalize(n: LayerContext) -> str:
    n.least(3)
    return l2_normalized(n, n.x, n.p.epsilon or _TINY)


def _lrn(n: LayerContext) -> str:
    told: dict[str, Any] = {
        "size": n.p.localSize,
        "alpha": n.p.alpha,
        "beta": n.p.beta,
        "bias": n.p.k or 1.0,
    }
    return n.restored(n.add("lrn", [n.batched()], **told))


def _softmax(n: LayerContext) -> str:
    return n.add("softmax", [n.x], axis=len(n.least(3)) - 3)


def _softmax_nd(n: LayerContext) -> str:
    return n.add("softmax", [n.x], axis=n.counted(n.p.axis, len(n.shape)))


def _layer_normalization(n: LayerContext) -> str:
    extents = tuple(n.p.normalizedShape)
    if not extents or n.shape[-len(extents) :] != extents:
        n.error(f"{list(extents)} are not the last axes of {list(n.shape)}.")
    inputs = [n.x, n.weights(n.p.gamma, *extents), n.weights(n.p.beta, *extents)]
    return n.add("layer_norm", inputs, axis=-len(extents), epsilon=n.p.eps or 1e-5)


def _dot(n: LayerContext) -> str:
    a, b = n.x, n.y
    if n.least(3)[-2:] != (1, 1) or n.shaped(b) != n.shape:
        n.error(f"it takes two vectors, not {list(n.shape)} and {list(n.shaped(b))}.")
    axis = (len(n.shape) - 3,)
    if n.p.cosineSimilarity:
        a, b = (n.add("div", [v, n.add("reduce_l2", [v], axes=axis)]) for v in (a, b))
    return n.add("reduce_sum", [n.add("mul", [a, b])], axes=axis)


# --- reductions -------------------------------------------------------------------------------

_REDUCTIONS = ("reduce_sum", "reduce_mean", "reduce_prod", "", "reduce_sum_square", "reduce_l1",
               "reduce_l2", "reduce_max", "reduce_min", "arg_max")  # fmt: skip
_AXES: tuple[tuple[int, ...], ...] = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))


def _reduce(n: LayerContext) -> str:
    p, rank = n.p, len(n.shape)
    if p.mode >= len(_REDUCTIONS) or p.axis >= len(_AXES):
        n.error(f"there is no reduction {p.mode} along {p.axis}.")
    axes = tuple(n.counted(a, rank) for a in _AXES[p.axis])
    if p.mode == 3:  # the sum of logarithms
        shifted = n.add("add", [n.x, n.like(p.epsilon or _TINY, n.x)])
        return n.add("reduce_sum", [n.add("log", [shifted])], axes=axes)
    if p.mode == 9:
        if len(axes) > 1:
            n.error("the greatest element is looked for along one axis.")
        return n.floats(n.add("arg_max", [n.x], axis=min(axes)))
    return n.add(_REDUCTIONS[p.mode], [n.x], axes=axes)


def _reduce_nd(op: str) -> LayerConverter:
    def convert(n: LayerContext) -> str:
        rank = len(n.shape)
        axes = list(range(rank)) if n.p.reduceAll else n.all_counted(n.p.axes, rank)
        if not axes and rank:
            n.error("it names no axis.")
        y = n.add(op, [n.x], axes=tuple(sorted(axes)), keepdims=n.p.keepDims)
        return n.reshaped(y, n.shaped(y) or (1,))

    return convert


def _arg(op: str) -> LayerConverter:
    def convert(n: LayerContext) -> str:
        axis = n.counted(n.p.axis, len(n.shape))
        y = n.floats(n.add(op, [n.x], axis=axis, keepdims=not n.p.removeDim))
        return n.reshaped(y, n.shaped(y) or (1,))

    return convert


def _top_k(n: LayerContext) -> Sequence[str]:
    k = n.known_ints(1)[0] if len(n) > 1 else n.p.K
    axis = n.counted(n.p.axis, len(n.shape))
    values, at = n.add_many("top_k", [n.x], 2, k=k, axis=axis, largest=not n.p.useBottomK)
    return [values, n.floats(at)]


def _arg_sort(n: LayerContext) -> str:
    axis = n.counted(n.p.axis, len(n.shape))
    told = {"k": n.shape[axis], "axis": axis, "largest": n.p.descending}
    return n.floats(n.add_many("top_k", [n.x], 2, **told)[1])


def _cum_sum(n: LayerContext) -> str:
    axis = n.known_ints(1)[0] if len(n) > 1 else n.p.axis
    told = {"exclusive": n.p.excludeFinalSum, "reverse": n.p.reverse}
    return n.add("cumsum", [n.x], axis=n.counted(axis, len(n.shape)), **told)


_SAME = ("acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "floor",
         "round", "sign", "sin", "sinh", "tan", "tanh")  # fmt: skip
_ND = ("L1", "L2", "Max", "Min", "Sum", "Prod", "Mean", "LogSum", "SumSquare", "LogSumExp")
_ND_OPS = ("l1", "l2", "max", "min", "sum", "prod", "mean", "log_sum", "sum_square", "log_sum_exp")

CONVERTERS: dict[str, LayerConverter] = {
    **{op: _elementwise(op) for op in _SAME},
    **{f"reduce{a}": _reduce_nd(f"reduce_{b}") for a, b in zip(_ND, _ND_OPS)},
    "activation": lambda n: activation(n, n.p)(n.x),
    "add": _many("add", "alpha"),
    "addBroadcastable": _pairs("add"),
    "argMax": _arg("arg_max"),
    "argMin": _arg("arg_min"),
    "argSort": _arg_sort,
    "average": _average,
    "batchnorm": _batchnorm,
    "bias": _bias,
    "clampedReLU": _clamped_relu,
    "clip": _bounded,
    "copy": _elementwise("identity"),
    "cumSum": _cum_sum,
    "divideBroadcastable": _pairs("div"),
    "dot": _dot,
    "equal": _compared("equal"),
    "exp2": _exp2,
    "floorDivBroadcastable": _floor_div,
    "gelu": _gelu,
    "greaterEqual": _compared("greater_or_equal"),
    "greaterThan": _compared("greater"),
    "l2normalize": _l2_normalize,
    "layerNormalization": _layer_normalization,
    "lessEqual": _compared("less_or_equal"),
    "lessThan": _compared("less"),
    "logicalAnd": _logical("and"),
    "logicalNot": _logical("not"),
    "logicalOr": _logical("or"),
    "logicalXor": _logical("xor"),
    "lrn": _lrn,
    "max": _many("maximum"),
    "maxBroadcastable": _pairs("maximum"),
    "min": _many("minimum"),
    "minBroadcastable": _pairs("minimum"),
    "modBroadcastable": _pairs("mod"),
    "multiply": _many("mul", "alpha"),
    "multiplyBroadcastable": _pairs("mul"),
    "mvn": _mvn,
    "notEqual": _compared("not_equal"),
    "powBroadcastable": _pairs("pow"),
    "reduce": _reduce,
    "scale": _scale,
    "softmax": _softmax,
    "softmaxND": _softmax_nd,
    "subtractBroadcastable": _pairs("sub"),
    "topK": _top_k,
    "unary": _unary,
    "whereBroadcastable": _where,
}
