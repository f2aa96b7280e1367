"""Element by element: functions of one tensor, of two, and of one and a number.

Comparisons and logic make numbers of their operands' type, 0 and 1.
"""

from __future__ import annotations

import math

import numpy as np

from .context import MxContext
from .table import Converter, Table, named


def _unary(op: str) -> Converter:
    return lambda n: n.add(op, [n.x])


def _chain(*ops: str) -> Converter:
    def convert(n: MxContext) -> str:
        y = n.x
        for op in ops:
            y = n.add(op, [y])
        return y

    return convert


def _with_number(op: str, value: float, swap: bool = False) -> Converter:
    """``op`` of the data and a number."""

    def convert(n: MxContext) -> str:
        both = [n.x, n.like(value)]
        return n.add(op, both[::-1] if swap else both)

    return convert


def _log_of(base: float) -> Converter:
    return lambda n: n.add("mul", [n.add("log", [n.x]), n.like(1 / math.log(base))])


def _log1p(n: MxContext) -> str:
    """log(1 + x); near zero, where 1 + x drops digits, it is 2 atanh(x / (x + 2))."""
    near = n.add("less", [n.x, n.like(1)])
    ratio = n.add("div", [n.x, n.add("add", [n.x, n.like(2)])])
    small = n.add("mul", [n.add("atanh", [ratio]), n.like(2)])
    large = n.add("log", [n.add("add", [n.x, n.like(1)])])
    return n.add("where", [near, small, large])


def _expm1(n: MxContext) -> str:
    """exp(x) - 1, which ``elu`` is below zero; above, it is -(exp(-x) - 1) exp(x)."""
    below = n.add("less", [n.x, n.like(0)])
    turned = n.add("elu", [n.add("neg", [n.x])], alpha=1.0)
    above = n.add("neg", [n.add("mul", [turned, n.add("exp", [n.x])])])
    return n.add("where", [below, n.add("elu", [n.x], alpha=1.0), above])


def _round(n: MxContext) -> str:
    """Halves away from zero, as C's function; ``rint`` takes them down."""
    up = n.add("floor", [n.add("add", [n.add("abs", [n.x]), n.like(0.5)])])
    return n.add("mul", [n.add("sign", [n.x]), up])


def _rint(n: MxContext) -> str:
    return n.add("ceil", [n.add("sub", [n.x, n.like(0.5)])])


def _towards_zero(n: MxContext) -> str:
    return n.add("mul", [n.add("sign", [n.x]), n.add("floor", [n.add("abs", [n.x])])])


def _root(power: float) -> Converter:
    """The cube root and its reciprocal, of negative numbers, too."""

    def convert(n: MxContext) -> str:
        size = n.add("pow", [n.add("abs", [n.x]), n.like(power)])
        return n.add("mul", [n.add("sign", [n.x]), size])

    return convert


def _as_number(n: MxContext, condition: str, like: str) -> str:
    return n.cast(condition, str(n.typeof(like).dtype))


def _is_true(n: MxContext, tensor: str) -> str:
    return n.add("not_equal", [tensor, n.like(0, tensor)])


def _logical_not(n: MxContext) -> str:
    return _as_number(n, n.add("equal", [n.x, n.like(0)]), n.x)


# --- two operands -----------------------------------------------------------------------------


def _plain(op: str, **attrs: object) -> Converter:
    return lambda n: n.add(op, _operands(n), **attrs)


def _operands(n: MxContext) -> list[str]:
    """Two tensors, or a tensor and the number ``scalar``; turned round for ``_r…_scalar``."""
    if not _has_scalar(n):
        if len(n) != 2:
            n.error(f"it takes two inputs, not {len(n)}.")
        return n.inputs[:2]
    value = n.number("scalar", 1.0)
    if not n.typeof(n.x).dtype.is_float and value != int(value):
        n.unsupported(f"integers with the number {value}")
    both = [n.x, n.like(value)]
    return both[::-1] if n.op.lower().startswith(("_r", "_npi_r")) else both


def _has_scalar(n: MxContext) -> bool:
    return "scalar" in n.op.lower()


def _compare(op: str) -> Converter:
    return lambda n: _as_number(n, n.add(op, _operands(n)), n.x)


def _logic(op: str) -> Converter:
    def convert(n: MxContext) -> str:
        return _as_number(n, n.add(op, [_is_true(n, i) for i in _operands(n)]), n.x)

    return convert


def _mod(n: MxContext) -> str:
    """The remainder has the divisor's sign; by zero it is zero."""
    x, y = _operands(n)
    zero = n.add("equal", [y, n.like(0, y)])
    made = n.add("mod", [x, n.add("where", [zero, n.like(1, y), y])])
    return n.add("where", [zero, n.like(0, y), made])


def _hypot(n: MxContext) -> str:
    x, y = _operands(n)
    total = n.add("add", [n.add("mul", [x, x]), n.add("mul", [y, y])])
    return n.add("sqrt", [total])


_TWO: dict[str, Converter] = {
    "add": _plain("add"),
    "sub": _plain("sub"),
    "mul": _plain("mul"),
    "div": _plain("div"),
    "mod": _mod,
    "power": _plain("pow"),
    "maximum": _plain("maximum"),
    "minimum": _plain("minimum"),
    "hypot": _hypot,
    "equal": _compare("equal"),
    "not_equal": _compare("not_equal"),
    "greater": _compare("greater"),
    "greater_equal": _compare("greater_or_equal"),
    "lesser": _compare("less"),
    "lesser_equal": _compare("less_or_equal"),
    "logical_and": _logic("and"),
    "logical_or": _logic("or"),
    "logical_xor": _logic("xor"),
}
_OLD = {"add": "plus", "sub": "minus"}  # names of numbers' operators, and of the first versions


def _two_operands() -> Table:
    """``broadcast_mul``, ``elemwise_mul``, ``_mul``, ``_Mul``, ``_mul_scalar``, ``_MulScalar``."""
    table: Table = {}
    for name, convert in _TWO.items():
        old = _OLD.get(name, name)
        camel = "".join(part.capitalize() for part in old.split("_"))
        names = [
            f"broadcast_{name}", f"broadcast_{old}", f"elemwise_{name}", f"_{name}", f"_{old}",
            f"_{camel}", f"_{old}_scalar", f"_{camel}Scalar",
        ]  # fmt: skip
        if name in ("sub", "div", "mod", "power"):
            names += [f"_r{old}_scalar", f"_R{camel}Scalar"]
        table |= named(convert, *names)
    return table


def _add_n(n: MxContext) -> str:
    total = n.x
    for i in n.inputs[1:]:
        total = n.add("add", [total, i])
    return total


def _clip(n: MxContext) -> str:
    return n.add("clip", [n.x], min=n.number("a_min"), max=n.number("a_max"))


def _smooth_l1(n: MxContext) -> str:
    """Half the square near zero, the distance further out; sigma is where they meet."""
    sigma = n.number("scalar", 1.0) ** 2
    far = n.add("abs", [n.x])
    square = n.add("mul", [n.add("mul", [n.x, n.x]), n.like(0.5 * sigma)])
    near = n.add("less", [far, n.like(1 / sigma)])
    return n.add("where", [near, square, n.add("sub", [far, n.like(0.5 / sigma)])])


def _where(n: MxContext) -> str:
    condition, x, y = n.inputs
    given = n.typeof(condition).shape
    if given != n.typed(1).shape and len(given) == 1:  # one for each row
        condition = n.reshape(condition, (*given, *(1,) * (len(n.typed(1).shape) - 1)))
    return n.add("where", [_is_true(n, condition), x, y])


def _cast(n: MxContext) -> str:
    to = n.text("dtype")
    if to not in _NAMES:
        n.unsupported(f"the element type is {to!r}")
    return n.cast(n.x, to)


_NAMES = frozenset(
    (
        "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
        "uint16", "uint32", "uint64", "bool",
    )
)  # fmt: skip


def _amp_multicast(n: MxContext) -> list[str]:
    """All inputs in the widest type among them, or in the narrowest."""
    types = [n.typed(k).dtype for k in range(len(n))]
    pick = min if n.flag("cast_narrow") else max
    to = str(pick(types, key=lambda d: d.bits))
    return [n.cast(i, to) for i in n.inputs]


def _square(n: MxContext) -> str:
    return n.add("mul", [n.x, n.x])


_PLAIN = {
    "abs": "abs", "ceil": "ceil", "cos": "cos", "cosh": "cosh", "erf": "erf", "exp": "exp",
    "floor": "floor", "log": "log", "negative": "neg", "reciprocal": "reciprocal",
    "relu": "relu", "sigmoid": "sigmoid", "sign": "sign", "sin": "sin", "sinh": "sinh",
    "softsign": "softsign", "sqrt": "sqrt", "tan": "tan", "tanh": "tanh", "arccos": "acos",
    "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctanh": "atanh",
}  # fmt: skip

CONVERTERS: Table = {
    **{name: _unary(op) for name, op in _PLAIN.items()},
    **_two_operands(),
    **named(_add_n, "ElementWiseSum", "add_n", "_sum"),
    **named(_cast, "Cast", "amp_cast", "cast"),
    "_grad_add": _plain("add"),
    "amp_multicast": _amp_multicast,
    "cbrt": _root(1 / 3),
    "clip": _clip,
    "degrees": _with_number("mul", 180 / np.pi),
    "expm1": _expm1,
    **named(_towards_zero, "fix", "trunc"),
    "log10": _log_of(10),
    "log1p": _log1p,
    "log2": _log_of(2),
    "logical_not": _logical_not,
    "radians": _with_number("mul", np.pi / 180),
    "rcbrt": _root(-1 / 3),
    "rint": _rint,
    "round": _round,
    "rsqrt": _chain("sqrt", "reciprocal"),
    "smooth_l1": _smooth_l1,
    "square": _square,
    "where": _where,
}
