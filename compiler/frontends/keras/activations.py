"""Activations: those of configs by name, and layers that are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .context import Converter, KerasContext

Function = Callable[[KerasContext, str], str]


def _op(name: str, **attrs: Any) -> Function:
    return lambda n, x: n.add(name, [x], **attrs)


def _hard_sigmoid(n: KerasContext, x: str) -> str:
    """Keras 2: 0.2 x + 0.5; Keras 3: relu6(x + 3) / 6."""
    if n.version < 3:
        return n.add("hard_sigmoid", [x], alpha=0.2, beta=0.5)
    return n.add("hard_sigmoid", [x], alpha=1 / 6, beta=0.5)


def _softmax(n: KerasContext, x: str) -> str:
    return n.add("softmax", [x], axis=-1)


def _sub(n: KerasContext, a: str, b: str) -> str:
    return n.add("sub", [a, b])


def _tanh_shrink(n: KerasContext, x: str) -> str:
    return _sub(n, x, n.add("tanh", [x]))


def _log_sigmoid(n: KerasContext, x: str) -> str:
    return n.add("neg", [n.add("softplus", [n.add("neg", [x])])])


def _sparse_plus(n: KerasContext, x: str) -> str:
    """0 up to -1, x from 1 on, (x + 1)² / 4 between."""
    y = n.add("add", [x, n.scalar(1, x)])
    square = n.add("mul", [n.add("mul", [y, y]), n.scalar(0.25, x)])
    inner = n.add("where", [n.add("less", [x, n.scalar(1, x)]), square, x])
    low = n.add("less_or_equal", [x, n.scalar(-1, x)])
    return n.add("where", [low, n.scalar(0, x), inner])


def _sparse_sigmoid(n: KerasContext, x: str) -> str:
    return n.add("hard_sigmoid", [x], alpha=0.5, beta=0.5)


def _squareplus(n: KerasContext, x: str, b: float = 4) -> str:
    root = n.add("sqrt", [n.add("add", [n.add("mul", [x, x]), n.scalar(b, x)])])
    return n.add("mul", [n.add("add", [x, root]), n.scalar(0.5, x)])


def _glu(n: KerasContext, x: str, axis: int = -1) -> str:
    shape, axis = n.shape(x), n.axis(axis, n.rank(x))
    if shape[axis] % 2:
        n.error(f"glu of {shape[axis]} elements, which are no two halves.")
    half = tuple(d // 2 if k == axis else d for k, d in enumerate(shape))
    first = tuple(0 for _ in shape)
    second = tuple(d // 2 if k == axis else 0 for k, d in enumerate(shape))
    gate = n.add("sigmoid", [n.add("slice", [x], starts=second, shape=half)])
    return n.add("mul", [n.add("slice", [x], starts=first, shape=half), gate])


def _hard_shrink(n: KerasContext, x: str, threshold: float = 0.5) -> str:
    far = n.add("greater", [n.add("abs", [x]), n.scalar(threshold, x)])
    return n.add("where", [far, x, n.scalar(0, x)])


def _threshold(n: KerasContext, x: str, threshold: float, default_value: float) -> str:
    over = n.add("greater", [x, n.scalar(threshold, x)])
    return n.add("where", [over, x, n.scalar(default_value, x)])


def relu(
    n: KerasContext,
    x: str,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> str:
    """``x`` from ``threshold`` on, at most ``max_value``; below, ``negative_slope`` times what is
    missing to it."""
    if threshold == 0.0:
        if negative_slope == 0.0:
            if max_value is None:
                return n.add("relu", [x])
            return n.add("clip", [x], min=0.0, max=float(max_value))
        if max_value is None:
            return n.add("leaky_relu", [x], alpha=negative_slope)
    # Keras: the positive part is that of numbers above the threshold, not of those at it.
    above = n.add("greater", [x, n.scalar(threshold, x)])
    y = n.add("where", [above, x, n.scalar(0, x)])
    if max_value is not None:
        y = n.add("clip", [y], min=0.0, max=float(max_value))
    if negative_slope != 0.0:
        missing = n.add("relu", [_sub(n, n.scalar(threshold, x), x)])
        y = _sub(n, y, n.add("mul", [missing, n.scalar(negative_slope, x)]))
    return y


def _sparsemax(n: KerasContext, x: str, axis: int = -1) -> str:
    """As Keras has the projection of Martins, Astudillo 2016, onto the simplex."""
    axis, shape = n.axis(axis, n.rank(x)), n.shape(x)
    size = shape[axis]
    ordered, _ = n.add_many("top_k", [x], 2, k=size, axis=axis, largest=True)
    total = n.add("cumsum", [ordered], axis=axis)
    counts = np.arange(1, size + 1, dtype=n.typeof(x).dtype.numpy)
    counts = counts.reshape([size if k == axis else 1 for k in range(len(shape))])
    r = n.constant(counts)
    inside = n.add("mul", [r, ordered])
    inside = n.add("greater", [n.add("add", [inside, n.scalar(1, x)]), total])
    one = n.to(inside, str(n.typeof(x).dtype))
    support = n.add("reduce_sum", [one], axes=(axis,))
    # Keras adds up the sums of all that are in the support, where the paper has the last of them.
    sums = n.add("reduce_sum", [n.add("mul", [one, total])], axes=(axis,))
    tau = n.add("div", [_sub(n, sums, n.scalar(1, x)), support])
    return n.add("relu", [_sub(n, x, tau)])


ACTIVATIONS: dict[str, Function] = {
    "linear": lambda n, x: x,
    "relu": relu,
    "relu6": _op("clip", min=0.0, max=6.0),
    "leaky_relu": _op("leaky_relu", alpha=0.2),
    "elu": _op("elu", alpha=1.0),
    "selu": _op("selu"),
    "celu": _op("celu", alpha=1.0),
    "softmax": _softmax,
    "log_softmax": _op("log_softmax", axis=-1),
    "softplus": _op("softplus"),
    "softsign": _op("softsign"),
    "soft_shrink": _op("shrink", lambd=0.5, bias=0.5),
    "hard_shrink": _hard_shrink,
    "tanh_shrink": _tanh_shrink,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "squareplus": _squareplus,
    "sparsemax": _sparsemax,
    "silu": _op("swish"),
    "swish": _op("swish"),
    "gelu": _op("gelu"),
    "gelu_new": _op("gelu", approximate="tanh"),  # TensorFlow.js's name
    "glu": _glu,
    "tanh": _op("tanh"),
    "hard_tanh": _op("clip", min=-1.0, max=1.0),
    "sigmoid": _op("sigmoid"),
    "hard_sigmoid": _hard_sigmoid,
    "log_sigmoid": _log_sigmoid,
    "hard_silu": lambda n, x: n.add("mul", [x, n.add("hard_sigmoid", [x], alpha=1 / 6, beta=0.5)]),
    "hard_swish": lambda n, x: n.add("hard_swish", [x]),
    "exponential": _op("exp"),
    "mish": _op("mish"),
}


def activate(n: KerasContext, x: str, given: Any) -> str:
    """An activation as a config has it: a name, an object of Keras, or null for none.

    One that is a layer of its own is converted as such; functions from elsewhere are refused."""
    if given is None:
        return x
    if isinstance(given, Mapping):
        kind, config = given.get("class_name"), given.get("config")
        if kind in ("function", "Function") or isinstance(config, str):
            given = config if isinstance(config, str) else given.get("registered_name")
        elif isinstance(kind, str) and kind in n.walk.table:
            from .layer import make_layer

            return n.call(make_layer(given, n.version, n.where), [x])[0]
        else:
            given = kind
    name = str(given).split(">")[-1]
    function = ACTIVATIONS.get(name)
    if function is None:
        n.unsupported(f"the activation {name!r}")
    return function(n, x)


# --- layers -----------------------------------------------------------------------------------


def _activation(n: KerasContext) -> str:
    return activate(n, n.x, n.opt("activation", "linear"))


def _relu_layer(n: KerasContext) -> str:
    limit = n.config.get("max_value", n.config.get("maxValue"))
    limit = None if limit is None else n.number("max_value", limit)
    return relu(n, n.x, n.number("negative_slope", 0.0), limit, n.number("threshold", 0.0))


def _leaky(n: KerasContext) -> str:
    slope = n.config.get("negative_slope", n.config.get("alpha"))
    if isinstance(slope, Mapping):  # a numpy number
        slope = slope.get("value")
    alpha = 0.3 if slope is None else float(slope)
    return n.add("leaky_relu", [n.x], alpha=alpha)


def _prelu(n: KerasContext) -> str:
    return n.add("prelu", [n.x, n.constant(n.weight("alpha"))])


def _thresholded(n: KerasContext) -> str:
    return n.add("thresholded_relu", [n.x], alpha=n.number("theta", 1.0))


def _softmax_layer(n: KerasContext) -> str:
    """Of several axes, over all of them at once; where a mask is false, of a very small number."""
    x, given = n.x, n.opt("axis", -1)
    axes = [n.axis(a, n.rank(x)) for a in (given if isinstance(given, list | tuple) else [given])]
    mask = n.given(1, "mask") or n.mask_of(x)
    if mask:
        mask = n.to(mask, "bool")
        low = n.scalar(-3e4 if n.policy.compute == "float16" else -1e9, x)
        if n.version < 3:
            x = n.add("add", [x, n.add("where", [mask, n.scalar(0, x), low])])
        else:
            x = n.add("where", [mask, x, low])
    if len(axes) == 1:
        y = n.add("softmax", [x], axis=axes[0])
    else:
        e = n.add("exp", [_sub(n, x, n.add("reduce_max", [x], axes=tuple(sorted(axes))))])
        y = n.add("div", [e, n.add("reduce_sum", [e], axes=tuple(sorted(axes)))])
    # Where all of an axis is masked, a softmax would be the same everywhere.
    return n.add("where", [mask, y, n.scalar(0, y)]) if mask and n.version >= 3 else y


def _elu(n: KerasContext) -> str:
    return n.add("elu", [n.x], alpha=n.number("alpha", 1.0))


CONVERTERS: dict[str, Converter] = {
    "Activation": _activation,
    "ReLU": _relu_layer,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "ELU": _elu,
    "ThresholdedReLU": _thresholded,
    "Softmax": _softmax_layer,
}
