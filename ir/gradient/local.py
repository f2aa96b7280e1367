"""The partial derivatives of one scalar expression by each element that it reads.

Reverse accumulation over the graph of the expression (Griewank & Walther, "Evaluating Derivatives",
§3.2): every node is visited once, after all that use it. What stands in an arm of a select is
differentiated by itself and put into a select of the same condition: it may read elements that
exist only where the arm is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ...runtime.errors import ExprError
from ..alu import COMPARE, Op
from ..builders import if_then_else, not_equal
from ..expr import Binary, Call, Cast, Const, Expr, Read, Reinterpret, Select, Unary, cast, const
from ..intrin import call
from ..visit import bottom_up

Partials = dict[Read, Expr]

# d f(a) / da, from the arguments and the value of the call. Absent: no rule, an error.
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_CALLS: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "exp": lambda x, y: y,
    "exp2": lambda x, y: y * math.log(2),
    "log": lambda x, y: 1 / x,
    "log2": lambda x, y: 1 / (x * math.log(2)),
    "log10": lambda x, y: 1 / (x * math.log(10)),
    "log1p": lambda x, y: 1 / (x + 1),
    "expm1": lambda x, y: y + 1,
    "sqrt": lambda x, y: 0.5 / y,
    "rsqrt": lambda x, y: y / x * -0.5,
    "tanh": lambda x, y: 1 - y * y,
    "sigmoid": lambda x, y: y * (1 - y),
    "erf": lambda x, y: call("exp", -(x * x)) * _TWO_OVER_ROOT_PI,
    "sin": lambda x, y: call("cos", x),
    "cos": lambda x, y: -call("sin", x),
    "tan": lambda x, y: 1 + y * y,
    "asin": lambda x, y: call("rsqrt", (1 - x) * (1 + x)),
    "acos": lambda x, y: -call("rsqrt", (1 - x) * (1 + x)),
    "atan": lambda x, y: 1 / (1 + x * x),
    "sinh": lambda x, y: call("cosh", x),
    "cosh": lambda x, y: call("sinh", x),
    "asinh": lambda x, y: call("rsqrt", x * x + 1),
    "acosh": lambda x, y: call("rsqrt", (x - 1) * (x + 1)),
    "atanh": lambda x, y: 1 / ((1 - x) * (1 + x)),
}
_FLAT = frozenset({"floor", "ceil", "trunc", "round"})  # 0 wherever there is a derivative


def partials(value: Expr, seed: Expr) -> Partials:
    """``seed * d value / d read`` of every read of floats in ``value`` that it depends on; what is
    certainly 0 is left out.

    Raises :class:`ExprError` for an operation that has no rule.
    """
    order = [n for n in bottom_up([value]) if isinstance(n, Expr)]
    inside = _region(value)
    adjoint: dict[Expr, Expr] = {value: seed}
    found: Partials = {}
    for n in reversed(order):
        if n not in inside or n not in adjoint:
            continue
        bar = adjoint[n]
        if isinstance(n, Read):
            if n.dtype.is_float:
                _add(found, n, bar)
        elif isinstance(n, Select):
            zero = const(0, bar.dtype)
            for read, d in partials(n.if_true, bar).items():
                _add(found, read, Select(n.cond, d, zero))
            for read, d in partials(n.if_false, bar).items():
                _add(found, read, Select(n.cond, zero, d))
        else:
            for operand, d in _operands(n, bar):
                if operand.dtype.is_float and not isinstance(operand, Const):
                    _add(adjoint, operand, d)
    return found


def _region(value: Expr) -> set[Expr]:
    """The nodes whose value matters, the arms of selects left out."""
    seen: set[Expr] = set()
    stack = [value]
    while stack:
        n = stack.pop()
        if n in seen or not n.dtype.is_float:
            continue
        seen.add(n)
        if isinstance(n, Unary):
            stack.append(n.a)
        elif isinstance(n, Binary) and n.op not in COMPARE:
            stack += (n.a, n.b)
        elif isinstance(n, Cast):
            stack.append(n.value)
        elif isinstance(n, Call):
            stack += n.args
    return seen


def _add(table: dict, key: Expr, d: Expr) -> None:
    old = table.get(key)
    table[key] = d if old is None else old + d


def _operands(n: Expr, bar: Expr) -> list[tuple[Expr, Expr]]:
    """The operands of a node with what reaches each of ``bar``, the adjoint of the node."""
    match n:
        case Unary(op=Op.NEG, a=a):
            return [(a, -bar)]
        case Unary(op=Op.ABS, a=a):
            return [(a, if_then_else(a < 0, -bar, if_then_else(not_equal(a, 0), bar, _zero(bar))))]
        case Binary():
            return _binary(n, bar)
        case Cast(value=value):
            return [(value, cast(bar, value.dtype))] if value.dtype.is_float else []
        case Call():
            return _call(n, bar)
        case Reinterpret():
            raise ExprError(
                f"the bits of a number have no derivative: {n}",
                where="te.gradient",
                hint="write the function of the number instead",
            )
    return []


def _zero(like: Expr) -> Const:
    return const(0, like.dtype)


def _binary(n: Binary, bar: Expr) -> list[tuple[Expr, Expr]]:
    a, b = n.a, n.b
    match n.op:
        case Op.ADD:
            ends = bar, bar
        case Op.SUB:
            ends = bar, -bar
        case Op.MUL:
            ends = bar * b, bar * a
        case Op.DIV:
            ends = bar / b, -(bar * n / b)
        case Op.MIN | Op.MAX:  # of equal operands each has half of it
            first, second = (a < b, b < a) if n.op is Op.MIN else (b < a, a < b)
            half, zero = bar * 0.5, _zero(bar)
            ends = (
                if_then_else(first, bar, if_then_else(second, zero, half)),
                if_then_else(second, bar, if_then_else(first, zero, half)),
            )
        case Op.TRUNCMOD:
            ends = bar, -(bar * call("trunc", a / b))
        case _:
            return []
    return list(zip((a, b), ends))


def _call(n: Call, bar: Expr) -> list[tuple[Expr, Expr]]:
    if n.name in _FLAT:
        return []
    if n.name == "fma":
        a, b, c = n.args
        return [(a, bar * b), (b, bar * a), (c, bar)]
    if n.name == "pow":
        a, b = n.args
        base = bar * b * call("pow", a, b - 1)
        positive = if_then_else(a > 0, a, const(1, a.dtype))  # 0 to a variable power: flat
        return [(a, base), (b, bar * n * call("log", positive))]
    if n.name == "atan2":
        y, x = n.args
        square = x * x + y * y
        return [(y, bar * x / square), (x, -(bar * y / square))]
    rule = _CALLS.get(n.name)
    if rule is None:
        raise ExprError(
            f"there is no derivative of the intrinsic {n.name}: {n}",
            where="te.gradient",
            hint="intrinsics with one: " + ", ".join(sorted({*_CALLS, *_FLAT, "fma", "pow"})),
        )
    return [(n.args[0], bar * rule(n.args[0], n))]
