"""Element by element: arithmetic, comparison, logic, activations, casts."""

from __future__ import annotations

import math

import numpy as np

from .mil_context import MilContext, MilConverter
from .program import NARROW, WIDEN
from .shared import gelu, line, per_channel

TINY = 1e-45  # the least float32: MIL's default of what is added before a logarithm
# MIL's names of element types to weft's; float16 is held as float32.
_CASTS = {"fp16": "float32", "fp32": "float32", "fp64": "float64", "bool": "bool",
          **{f"{u}int{b}": f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)}}  # fmt: skip


def unary(op: str, **attrs: float | str) -> MilConverter:
    """A converter to one operator of ``x``."""
    return lambda n: n.add(op, [n.arg("x")], **attrs)


def binary(op: str) -> MilConverter:
    """A converter to one operator of ``x`` and ``y``."""
    return lambda n: n.add(op, [n.arg("x"), n.arg("y")])


def _logical(op: str) -> MilConverter:
    return lambda n: n.add(op, [n.cast(n.arg(k), "bool") for k in ("x", "y")])


def _with(*keys: str) -> MilConverter:
    """An operator of the same name whose attributes are arguments."""
    return lambda n: n.add(n.op, [n.arg("x")], **{k: float(n.number(k)) for k in keys})


def _floor_div(n: MilContext) -> str:
    x, y = n.arg("x"), n.arg("y")
    if n.typeof(x).dtype.is_float:
        return n.add("floor", [n.add("div", [x, y])])
    whole = n.add("sub", [x, n.add("mod", [x, y])])  # the remainder has the divisor's sign
    return n.add("div", [whole, y])


def _real_div(n: MilContext) -> str:
    x, y = n.arg("x"), n.arg("y")
    dtype = n.typeof(x).dtype
    if dtype.is_float:
        return n.add("div", [x, y])
    found = n.add("div", [n.cast(x, "float32"), n.cast(y, "float32")])
    return n.cast(found, str(dtype))


def _shifted(n: MilContext, default: float) -> str:
    """``x`` and what is added to it, so that nothing divides by zero."""
    x, epsilon = n.arg("x"), float(n.number("epsilon", default))
    return n.add("add", [x, n.like(epsilon, x)]) if epsilon else x


def _inverse(n: MilContext) -> str:
    return n.add("reciprocal", [_shifted(n, 1e-4)])


def _rsqrt(n: MilContext) -> str:
    return n.add("reciprocal", [n.add("sqrt", [_shifted(n, 1e-12)])])


def _log(n: MilContext) -> str:
    return n.add("log", [_shifted(n, TINY)])


def _exp2(n: MilContext) -> str:
    x = n.arg("x")
    return n.add("pow", [n.like(2, x), x])


def _square(n: MilContext) -> str:
    return n.add("mul", [n.arg("x"), n.arg("x")])


def _threshold(n: MilContext) -> str:
    x = n.arg("x")
    return n.add("maximum", [x, n.like(n.number("alpha"), x)])


def _clip(n: MilContext) -> str:
    x = n.arg("x")
    low, high = n.number("alpha"), n.number("beta")
    if n.typeof(x).dtype.is_float:
        return n.add("clip", [x], min=float(low), max=float(high))
    return n.add("minimum", [n.add("maximum", [x, n.like(low, x)]), n.like(high, x)])


def _select(n: MilContext) -> str:
    return n.add("where", [n.cast(n.arg("cond"), "bool"), n.arg("a"), n.arg("b")])


def _cast(n: MilContext) -> str:
    name = n.text("dtype")
    if name not in _CASTS:
        n.error(f"there is no element type {name!r}.")
    return n.cast(n.arg("x"), _CASTS[name])


def _logical_not(n: MilContext) -> str:
    return n.add("not", [n.cast(n.arg("x"), "bool")])


# --- activations ------------------------------------------------------------------------------


def _linear_activation(n: MilContext) -> str:
    return line(n, n.arg("x"), n.number("alpha"), n.number("beta"))


def _sigmoid_hard(n: MilContext) -> str:
    alpha, beta = float(n.number("alpha")), float(n.number("beta"))
    return n.add("hard_sigmoid", [n.arg("x")], alpha=alpha, beta=beta)


def _clamped_relu(n: MilContext) -> str:
    x = n.arg("x")
    leaky = n.add("leaky_relu", [x], alpha=float(n.number("alpha")))
    return n.add("minimum", [leaky, n.like(n.number("beta"), x)])


def _scaled_tanh(n: MilContext) -> str:
    x = n.arg("x")
    inner = n.add("mul", [x, n.like(n.number("beta"), x)])
    return n.add("mul", [n.add("tanh", [inner]), n.like(n.number("alpha"), x)])


def _thresholded_relu(n: MilContext) -> str:
    x = n.arg("x")
    alpha = n.like(n.number("alpha"), x)
    return n.add("where", [n.add("greater_or_equal", [x, alpha]), x, n.like(0, x)])


def _prelu(n: MilContext) -> str:
    x = n.arg("x")
    return n.add("prelu", [x, per_channel(n, n.arg("alpha"), len(n.typeof(x).shape))])


def _softplus_parametric(n: MilContext) -> str:
    x = n.arg("x")
    alpha, beta = (per_channel(n, n.arg(k), len(n.typeof(x).shape)) for k in ("alpha", "beta"))
    return n.add("mul", [n.add("softplus", [n.add("mul", [x, beta])]), alpha])


def _softmax(n: MilContext) -> str:
    return n.add("softmax", [n.arg("x")], axis=n.axis("axis", -1))


def _relu6(n: MilContext) -> str:
    return n.add("clip", [n.arg("x")], min=0.0, max=6.0)


def _widen(n: MilContext) -> str:
    return n.cast(n.inputs[0], "float32")


def _narrow(n: MilContext) -> str:
    return n.cast(n.inputs[0], "float16")


def _range(n: MilContext) -> str:
    start, end, step = (n.value(k) for k in ("start", "end", "step"))
    if start is None or end is None or step is None or not step.size or step.reshape(-1)[0] == 0:
        n.error("it takes a start, an end and a step that is not zero.")
    first, last, by = (v.reshape(-1)[0] for v in (start, end, step))
    count = max(math.ceil((float(last) - float(first)) / float(by)), 0)
    n.made([count])
    wide = np.float64 if start.dtype.kind == "f" else np.int64
    return n.constant((wide(first) + np.arange(count) * wide(by)).astype(start.dtype))


_SAME = ("abs", "acos", "asin", "asinh", "acosh", "atan", "atanh", "ceil", "cos", "cosh", "erf",
         "exp", "floor", "identity", "relu", "round", "sigmoid", "sign", "sin", "sinh",
         "softplus", "softsign", "sqrt", "tan", "tanh")  # fmt: skip
_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "pow": "pow", "maximum": "maximum",
           "minimum": "minimum", "mod": "mod", "equal": "equal", "not_equal": "not_equal",
           "greater": "greater", "greater_equal": "greater_or_equal", "less": "less",
           "less_equal": "less_or_equal"}  # fmt: skip

CONVERTERS: dict[str, MilConverter] = {
    **{op: unary(op) for op in _SAME},
    **{name: binary(op) for name, op in _BINARY.items()},
    **{f"logical_{op}": _logical(op) for op in ("and", "or", "xor")},
    "cast": _cast,
    "clamped_relu": _clamped_relu,
    "clip": _clip,
    "elu": _with("alpha"),
    "exp2": _exp2,
    "floor_div": _floor_div,
    "gelu": lambda n: gelu(n, n.arg("x"), n.text("mode", "EXACT")),
    "inverse": _inverse,
    "leaky_relu": _with("alpha"),
    "linear_activation": _linear_activation,
    "log": _log,
    "logical_not": _logical_not,
    "prelu": _prelu,
    "range_1d": _range,
    "real_div": _real_div,
    "relu6": _relu6,
    "rsqrt": _rsqrt,
    "scaled_tanh": _scaled_tanh,
    "select": _select,
    "sigmoid_hard": _sigmoid_hard,
    "silu": unary("swish"),
    "softmax": _softmax,
    "softplus_parametric": _softplus_parametric,
    "square": _square,
    "threshold": _threshold,
    "thresholded_relu": _thresholded_relu,
    NARROW: _narrow,
    WIDEN: _widen,
}
