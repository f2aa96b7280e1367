"""Operators on each element, and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....runtime.dtype import dtype_of
from .context import Converter, TfliteContext
from .tensors import held


def unary(op: str, **attrs: Any) -> Converter:
    """The converter of an operator of one input that is one of weft's."""

    def convert(n: TfliteContext) -> str:
        n.required(0)
        return n.add(op, n.inputs[:1], **attrs)

    return convert


def binary(op: str, **attrs: Any) -> Converter:
    """The converter of an operator of two inputs, with an activation in it."""

    def convert(n: TfliteContext) -> str:
        n.required(0)
        n.required(1)
        return n.activated(n.add(op, n.inputs[:2], **attrs))

    return convert


def _rsqrt(n: TfliteContext) -> str:
    return n.add("reciprocal", [n.add("sqrt", n.inputs[:1])])


def _square(n: TfliteContext) -> str:
    return n.add("mul", [n.inputs[0], n.inputs[0]])


def _squared_difference(n: TfliteContext) -> str:
    d = n.add("sub", n.inputs[:2])
    return n.add("mul", [d, d])


def _floor_div(n: TfliteContext) -> str:
    x, y = n.inputs[:2]
    if n.required(0).dtype.is_float:
        return n.add("floor", [n.add("div", [x, y])])
    rest = n.add("mod", [x, y])
    return n.add("div", [n.add("sub", [x, rest]), y])


def _pow(n: TfliteContext) -> str:
    return n.add("pow", n.inputs[:2])


def _gelu(n: TfliteContext) -> str:
    how = "tanh" if n.attr("approximate", False) else "none"
    return n.add("gelu", n.inputs[:1], approximate=how)


def _leaky_relu(n: TfliteContext) -> str:
    return n.add("leaky_relu", n.inputs[:1], alpha=float(n.attr("alpha", 0.0)))


def _add_n(n: TfliteContext) -> str:
    total = n.inputs[0]
    for x in n.inputs[1:]:
        total = n.add("add", [total, x])
    return total


def _cast(n: TfliteContext) -> str:
    to, x = n.out_dtype(), n.inputs[0]
    return x if n.required(0).dtype == to else n.add("cast", [x], to=str(to))


def _bitcast(n: TfliteContext) -> str:
    to, t = n.out_dtype(), n.required(0)
    if to.bits != t.dtype.bits:
        n.unsupported(f"the bits of {t.dtype} as {to}")
    return n.add("bitcast", n.inputs[:1], to=str(to))


def _select(n: TfliteContext) -> str:
    """The condition of ``SELECT`` may be one for each index of the first axis."""
    c, x = n.required(0), n.required(1)
    condition = n.inputs[0]
    if len(c.shape) == 1 and len(x.shape) > 1 and c.shape[0] == x.shape[0]:
        condition = n.reshape(condition, (c.shape[0], *(1,) * (len(x.shape) - 1)))
    return n.add("where", [condition, *n.inputs[1:3]])


def _select_v2(n: TfliteContext) -> str:
    return n.add("where", n.inputs[:3])


def _prelu(n: TfliteContext) -> str:
    return n.add("prelu", n.inputs[:2])


def _atan2(n: TfliteContext) -> str:
    """The angle of (x, y), by that of y / x and the quadrant: atan of a quotient of 0 / 0 is that
    of 0, and the sign of a zero counts as in C."""
    y, x = n.inputs[:2]
    zero, pi = n.full(0, y), n.full(np.pi, y)
    one, half = n.full(1, y), n.full(np.pi / 2, y)
    # The sign of y, of -0 too: 1 / -0 is -inf.
    minus_zero = n.add("and", [n.add("equal", [y, zero]),
                               n.add("less", [n.add("reciprocal", [y]), zero])])  # fmt: skip
    negative = n.add("or", [n.add("less", [y, zero]), minus_zero])
    sign = n.add("where", [negative, n.full(-1, y), one])
    flat = n.add("equal", [x, zero])
    angle = n.add("atan", [n.add("div", [y, n.add("where", [flat, one, x])])])
    x_minus_zero = n.add("and", [flat, n.add("less", [n.add("reciprocal", [x]), zero])])
    left = n.add("or", [n.add("less", [x, zero]), x_minus_zero])
    upright = n.add("where", [n.add("equal", [y, zero]), y, n.add("mul", [sign, half])])
    right = n.add("where", [flat, upright, angle])
    turned = n.add("add", [n.add("where", [flat, zero, angle]), n.add("mul", [sign, pi])])
    beyond = n.add("where", [n.add("and", [flat, n.add("not_equal", [y, zero])]), upright, turned])
    return n.add("where", [left, beyond, right])


def _right_shift(n: TfliteContext) -> str:
    return n.add("bit_shift", n.inputs[:2], direction="right")


def reduction(op: str) -> Converter:
    """The converter of a reduction over the axes of input 1."""

    def convert(n: TfliteContext) -> str:
        t, keep = n.required(0), bool(n.attr("keep_dims", False))
        axes = tuple({n.axis(a, max(len(t.shape), 1)) for a in n.ints(1)}) if t.shape else ()
        if t.dtype.is_bool:
            return n.add(op, n.inputs[:1], axes=tuple(sorted(axes)), keepdims=keep)
        return n.add(op, n.inputs[:1], axes=tuple(sorted(axes)), keepdims=keep)

    return convert


def _arg(op: str) -> Converter:
    def convert(n: TfliteContext) -> str:
        t = n.required(0)
        axis = n.axis(n.number(1), len(t.shape))
        found = n.add(op, n.inputs[:1], axis=axis, keepdims=False)
        to = held(n.attr("output_type", 4), n.where)
        return found if to == dtype_of("int64") else n.add("cast", [found], to=str(to))

    return convert


def _cumsum(n: TfliteContext) -> str:
    axis = n.axis(n.number(1), len(n.required(0).shape))
    return n.add("cumsum", n.inputs[:1], axis=axis, exclusive=bool(n.attr("exclusive", False)),
                 reverse=bool(n.attr("reverse", False)))  # fmt: skip


def _identity(n: TfliteContext) -> str:
    n.required(0)
    return n.inputs[0]


def _bucketize(n: TfliteContext) -> str:
    """How many boundaries are not greater than each element."""
    bounds = np.asarray(n.attr("boundaries", []), np.float32)
    t = n.required(0)
    x = n.reshape(n.inputs[0], (*t.shape, 1))
    if not t.dtype.is_float:
        x = n.add("cast", [x], to="float32")
    if not bounds.size:
        return n.constant(np.zeros(t.shape, np.int32))
    hit = n.add("cast", [n.add("greater_or_equal", [x, n.constant(bounds)])], to="int32")
    return n.add("reduce_sum", [hit], axes=(len(t.shape),), keepdims=False)


CONVERTERS: dict[str, Converter] = {
    "ABS": unary("abs"),
    "ADD": binary("add"),
    "ADD_N": _add_n,
    "ARG_MAX": _arg("arg_max"),
    "ARG_MIN": _arg("arg_min"),
    "ATAN2": _atan2,
    "BITCAST": _bitcast,
    "BITWISE_XOR": binary("bitwise_xor"),
    "BUCKETIZE": _bucketize,
    "CAST": _cast,
    "CEIL": unary("ceil"),
    "COS": unary("cos"),
    "CUMSUM": _cumsum,
    "DIV": binary("div"),
    "ELU": unary("elu", alpha=1.0),
    "EQUAL": binary("equal"),
    "EXP": unary("exp"),
    "FLOOR": unary("floor"),
    "FLOOR_DIV": _floor_div,
    "FLOOR_MOD": binary("mod"),
    "GELU": _gelu,
    "GREATER": binary("greater"),
    "GREATER_EQUAL": binary("greater_or_equal"),
    "HARD_SWISH": unary("hard_swish"),
    "LEAKY_RELU": _leaky_relu,
    "LESS": binary("less"),
    "LESS_EQUAL": binary("less_or_equal"),
    "LOG": unary("log"),
    "LOGICAL_AND": binary("and"),
    "LOGICAL_NOT": unary("not"),
    "LOGICAL_OR": binary("or"),
    "LOGISTIC": unary("sigmoid"),
    "MAXIMUM": binary("maximum"),
    "MEAN": reduction("reduce_mean"),
    "MINIMUM": binary("minimum"),
    "MUL": binary("mul"),
    "NEG": unary("neg"),
    "NOT_EQUAL": binary("not_equal"),
    "POW": _pow,
    "PRELU": _prelu,
    "REDUCE_ALL": reduction("reduce_min"),
    "REDUCE_ANY": reduction("reduce_max"),
    "REDUCE_MAX": reduction("reduce_max"),
    "REDUCE_MIN": reduction("reduce_min"),
    "REDUCE_PROD": reduction("reduce_prod"),
    "RELU": unary("relu"),
    "RELU6": unary("clip", min=0.0, max=6.0),
    "RELU_0_TO_1": unary("clip", min=0.0, max=1.0),
    "RELU_N1_TO_1": unary("clip", min=-1.0, max=1.0),
    "RIGHT_SHIFT": _right_shift,
    "ROUND": unary("round"),
    "RSQRT": _rsqrt,
    "SELECT": _select,
    "SELECT_V2": _select_v2,
    "SIGN": unary("sign"),
    "SIN": unary("sin"),
    "SQRT": unary("sqrt"),
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
    "STOP_GRADIENT": _identity,
    "SUB": binary("sub"),
    "SUM": reduction("reduce_sum"),
    "TANH": unary("tanh"),
}
