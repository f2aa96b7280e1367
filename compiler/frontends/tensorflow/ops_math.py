"""Element-wise operators, reductions and products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ....runtime.dtype import INT32, INT64
from ..sized import arguments
from .context import Converter, TFContext

_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf",
    "Exp": "exp", "Floor": "floor", "Inv": "reciprocal", "Invert": "bitwise_not",
    "IsInf": "is_inf", "IsNan": "is_nan", "Log": "log", "LogicalNot": "not", "Neg": "neg",
    "Reciprocal": "reciprocal", "Relu": "relu", "Rint": "round", "Round": "round",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip

_BINARY = {
    "Add": "add", "AddV2": "add", "BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor", "Greater": "greater", "GreaterEqual": "greater_or_equal",
    "Less": "less", "LessEqual": "less_or_equal", "LogicalAnd": "and", "LogicalOr": "or",
    "Maximum": "maximum", "Minimum": "minimum", "Mul": "mul", "Pow": "pow", "Sub": "sub",
    "TruncateDiv": "div",
}  # fmt: skip

_REDUCE = {
    "All": "reduce_min", "Any": "reduce_max", "EuclideanNorm": "reduce_l2", "Max": "reduce_max",
    "Mean": "reduce_mean", "Min": "reduce_min", "Prod": "reduce_prod", "Sum": "reduce_sum",
}  # fmt: skip


def direct(op: str, **attrs: Any) -> Converter:
    """The operator ``op`` on the same inputs."""
    return lambda n: n.add(op, n.inputs, **attrs)


def _compare(op: str) -> Converter:
    """Equal and NotEqual, which may be false for shapes that do not fit."""

    def convert(n: TFContext) -> str:
        if not n.flag("incompatible_shape_error", True):
            try:
                np.broadcast_shapes(n.shape(0), n.shape(1))
            except ValueError:
                return n.constant(np.array(op == "not_equal"))
        return n.add(op, n.inputs[:2])

    return convert


def _div(n: TFContext) -> str:
    """Integers are divided as real numbers are, towards zero."""
    return n.add("div", n.inputs[:2])


def floor_div(n: TFContext) -> str:
    """Rounded down: of integers, what is left after the remainder with the divisor's sign."""
    a, b = n.inputs[:2]
    if n.typeof(a).dtype.is_float:
        return n.add("floor", [n.add("div", [a, b])])
    if n.typeof(a).dtype.kind == "uint":
        return n.add("div", [a, b])
    return n.add("div", [n.add("sub", [a, n.add("mod", [a, b])]), b])


def _zero_where_zero(op: str) -> Converter:
    """``op`` of the inputs, but 0 where ``which`` is 0, whatever the other one is."""

    def convert(n: TFContext) -> str:
        a, b = n.inputs[:2]
        which = a if op != "div" else b
        zero = n.like(0, which)
        is_zero = n.add("equal", [which, zero])
        return n.add("where", [is_zero, zero, _TWO[op](n, a, b)])

    return convert


_TWO = {
    "div": lambda n, a, b: n.add("div", [a, b]),
    "log": lambda n, a, b: n.add("mul", [a, n.add("log", [b])]),
    "log1p": lambda n, a, b: n.add("mul", [a, log1p(n, b)]),
    "reciprocal": lambda n, a, b: n.add("div", [a, b]),
}


def _mul_no_nan(n: TFContext) -> str:
    a, b = n.inputs[:2]
    zero = n.like(0, b)
    return n.add("where", [n.add("equal", [b, zero]), zero, n.add("mul", [a, b])])


def log1p(n: TFContext, x: str) -> str:
    """log(1 + x), which keeps what of a small ``x`` is lost in the sum (Kahan's quotient:
    x * log(u) / (u - 1) with u = 1 + x)."""
    one = n.like(1, x)
    u = n.add("add", [one, x])
    lost = n.add("sub", [u, one])
    exact = n.add("equal", [lost, n.like(0, x)])
    safe = n.add("where", [exact, one, lost])
    # An infinite x is its own logarithm.
    infinite = n.add("equal", [u, x])
    quotient = n.add("div", [n.add("mul", [x, n.add("log", [u])]), safe])
    tall = n.add("where", [infinite, n.add("log", [u]), quotient])
    return n.add("where", [exact, x, tall])


def expm1(n: TFContext, x: str) -> str:
    """exp(x) - 1, with the same care: 2 tanh(x/2) / (1 - tanh(x/2)) near 0."""
    one = n.like(1, x)
    t = n.add("tanh", [n.add("mul", [x, n.like(0.5, x)])])
    near = n.add("div", [n.add("add", [t, t]), n.add("sub", [one, t])])
    far = n.add("sub", [n.add("exp", [x]), one])
    is_near = n.add("less", [n.add("abs", [x]), n.like(0.5, x)])
    return n.add("where", [is_near, near, far])


def square(n: TFContext, x: str) -> str:
    """x times x."""
    return n.add("mul", [x, x])


def _rsqrt(n: TFContext) -> str:
    return n.add("reciprocal", [n.add("sqrt", n.inputs[:1])])


def _atan2(n: TFContext) -> str:
    """The angle of (x, y), of which y is the first input."""
    y, x = n.inputs[:2]
    zero = n.like(0, x)
    base = n.add("atan", [n.add("div", [y, x])])
    pi = n.like(np.pi, x)
    down = n.add("less", [y, zero])
    turned = n.add("where", [down, n.add("sub", [base, pi]), n.add("add", [base, pi])])
    angle = n.add("where", [n.add("less", [x, zero]), turned, base])
    both = n.add("and", [n.add("equal", [x, zero]), n.add("equal", [y, zero])])
    return n.add("where", [both, zero, angle])


def _approximate_equal(n: TFContext) -> str:
    away = n.add("abs", [n.add("sub", n.inputs[:2])])
    return n.add("less", [away, n.like(n.real("tolerance", 1e-5), away)])


def _is_finite(n: TFContext) -> str:
    odd = n.add("or", [n.add("is_inf", n.inputs[:1]), n.add("is_nan", n.inputs[:1])])
    return n.add("not", [odd])


def _cast(n: TFContext) -> str:
    return n.as_type(n.inputs[0], n.dtype("DstT"))


def _bitcast(n: TFContext) -> str:
    to = n.dtype("type")
    if to.bytes != n.tensor_type(0).dtype.bytes:
        n.unsupported("bits of elements of another width")
    return n.add("bitcast", n.inputs[:1], to=str(to))


def _clip(n: TFContext) -> str:
    if n.is_const(1) and n.is_const(2) and n.array(1).size == n.array(2).size == 1:
        return n.add("clip", n.inputs[:1], min=n.number(1), max=n.number(2))
    return n.add("minimum", [n.add("maximum", [n.inputs[0], n.inputs[1]]), n.inputs[2]])


def _leaky(n: TFContext) -> str:
    return n.add("leaky_relu", n.inputs[:1], alpha=n.real("alpha", 0.2))


def _select(n: TFContext) -> str:
    """The first form has a condition of one element, or of one for each row, beside like
    operands."""
    condition, (rank, shape) = n.inputs[0], (len(n.shape(1)), n.shape(0))
    if n.op == "Select" and len(shape) == 1 and rank > 1:
        condition = n.add("reshape", [condition], shape=(shape[0], *(1,) * (rank - 1)))
    return n.add("where", [condition, *n.inputs[1:3]])


def _add_n(n: TFContext) -> str:
    return reduce(lambda a, b: n.add("add", [a, b]), n.inputs)


# --- reductions -----------------------------------------------------------------------------------


def _reduce(op: str) -> Converter:
    def convert(n: TFContext) -> str:
        ndim = len(n.shape(0))
        axes, keep = n.axes(n.ints(1), ndim), n.flag("keep_dims")
        if not axes:
            return n.add("abs" if op == "reduce_l2" else "identity", n.inputs[:1])
        x = n.inputs[0]
        if n.op == "Mean" and n.typeof(x).dtype.is_int:
            n.unsupported("the mean of integers")
        return n.add(op, [x], axes=axes, keepdims=keep)

    return convert


def _arg(op: str) -> Converter:
    def convert(n: TFContext) -> str:
        axis = n.axis(int(n.number(1)) if n.input(1) else 0, len(n.shape(0)))
        made = n.add(op, n.inputs[:1], axis=axis, keepdims=False)
        return n.as_type(made, n.dtype("output_type", INT64))

    return convert


def _scan(op: str) -> Converter:
    def convert(n: TFContext) -> str:
        axis = n.axis(int(n.number(1)), len(n.shape(0)))
        exclusive, reverse = n.flag("exclusive"), n.flag("reverse")
        return n.add(op, n.inputs[:1], axis=axis, exclusive=exclusive, reverse=reverse)

    return convert


def _softmax(op: str) -> Converter:
    return lambda n: n.add(op, n.inputs[:1], axis=len(n.shape(0)) - 1)


def _top_k(n: TFContext) -> Sequence[str]:
    """The largest along the last axis, in order; of equal ones the first."""
    axis, size = len(n.shape(0)) - 1, ""
    have = n.shape(0)[axis]
    if n.input(1) and not n.is_const(1):
        (number, *_) = n.numbers(1) or [None]
        assert number is not None
        extent = arguments.extent(n.sizing, number, have)
        k, size = min(extent.bound, have), extent.size
    else:
        k = int(n.number(1)) if n.input(1) else n.integer("k")
        if not 0 <= k <= have:
            n.error(f"the {k} largest of {n.type(0)}.")
    values, places = n.add_many("top_k", n.inputs[:1], 2, k=k, axis=axis, largest=True)
    made = [values, n.as_type(places, n.dtype("index_type", INT32))]
    if not size:
        return made
    return [n.sized(t, {**n.sizing.sizes(t), axis: size}) for t in made]


def _in_top_k(n: TFContext) -> str:
    """Whether fewer than k are greater than the target's."""
    x, targets = n.inputs[:2]
    k = n.add("cast", [n.inputs[2]], to="int64") if n.input(2) else n.constant(
        np.array(n.integer("k"), np.int64)
    )  # fmt: skip
    at = n.add("reshape", [targets], shape=(n.shape(1)[0], 1))
    mine = n.add("gather_elements", [x, at], axis=1)
    over = n.add("cast", [n.add("greater", [x, mine])], to="int64")
    return n.add("less", [n.add("reduce_sum", [over], axes=(1,), keepdims=False), k])


# --- products -------------------------------------------------------------------------------------


def turned(n: TFContext, x: str) -> str:
    """A batch of matrices, each transposed."""
    rank = len(n.typeof(x).shape)
    return n.add("transpose", [x], perm=(*range(rank - 2), rank - 1, rank - 2))


def matmul(n: TFContext) -> str:
    """The product of inputs 0 and 1, either of which may be transposed first."""
    a, b = n.inputs[:2]
    if n.flag("transpose_a") or n.flag("adj_x"):
        a = turned(n, a)
    if n.flag("transpose_b") or n.flag("adj_y"):
        b = turned(n, b)
    return n.add("matmul", [a, b])


def _einsum(n: TFContext) -> str:
    return n.add("einsum", n.inputs, equation=n.text("equation"))


def _cross(n: TFContext) -> str:
    a, b = n.inputs[:2]
    axis = len(n.shape(0)) - 1
    after, before = (n.constant(np.array(p, np.int64)) for p in ([1, 2, 0], [2, 0, 1]))
    one, two = (
        n.add("mul", [n.add("gather", [a, p], axis=axis), n.add("gather", [b, q], axis=axis)])
        for p, q in ((after, before), (before, after))
    )
    return n.add("sub", [one, two])


CONVERTERS: dict[str, Converter] = {
    **{name: direct(op) for name, op in _UNARY.items()},
    **{name: direct(op) for name, op in _BINARY.items()},
    **{name: _reduce(op) for name, op in _REDUCE.items()},
    "AccumulateNV2": _add_n,
    "AddN": _add_n,
    "ApproximateEqual": _approximate_equal,
    "ArgMax": _arg("arg_max"),
    "ArgMin": _arg("arg_min"),
    "Atan2": _atan2,
    "BatchMatMul": matmul,
    "BatchMatMulV2": matmul,
    "BatchMatMulV3": matmul,
    "Bitcast": _bitcast,
    "Cast": _cast,
    "ClipByValue": _clip,
    "Cross": _cross,
    "Cumprod": _scan("cumprod"),
    "Cumsum": _scan("cumsum"),
    "Div": _div,
    "DivNoNan": _zero_where_zero("div"),
    "Einsum": _einsum,
    "Elu": direct("elu"),
    "Equal": _compare("equal"),
    "Erfc": lambda n: n.add("sub", [n.like(1, n.inputs[0]), n.add("erf", n.inputs[:1])]),
    "Expm1": lambda n: expm1(n, n.inputs[0]),
    "FloorDiv": floor_div,
    "FloorMod": direct("mod"),
    "InTopK": _in_top_k,
    "InTopKV2": _in_top_k,
    "IsFinite": _is_finite,
    "LeakyRelu": _leaky,
    "LeftShift": direct("bit_shift", direction="left"),
    "Log1p": lambda n: log1p(n, n.inputs[0]),
    "LogSoftmax": _softmax("log_softmax"),
    "MatMul": matmul,
    "Mod": direct("mod", fmod=True),
    "MulNoNan": _mul_no_nan,
    "NotEqual": _compare("not_equal"),
    "Prelu": direct("prelu"),
    "RealDiv": _div,
    "Relu6": direct("clip", min=0.0, max=6.0),
    "ReluN1To1": direct("clip", min=-1.0, max=1.0),
    "RightShift": direct("bit_shift", direction="right"),
    "Rsqrt": _rsqrt,
    "Select": _select,
    "SelectV2": _select,
    "Selu": direct("selu"),
    "Softmax": _softmax("softmax"),
    "Square": lambda n: square(n, n.inputs[0]),
    "SquaredDifference": lambda n: square(n, n.add("sub", n.inputs[:2])),
    "TopK": _top_k,
    "TopKV2": _top_k,
    "TruncateMod": direct("mod", fmod=True),
    "Xdivy": _zero_where_zero("reciprocal"),
    "Xlog1py": _zero_where_zero("log1p"),
    "Xlogy": _zero_where_zero("log"),
}

__all__ = ["CONVERTERS", "direct", "matmul", "turned"]
