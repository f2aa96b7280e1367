"""The operators of the arithmetic-logic unit, and the groups that rules about them speak of."""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable


class Op(enum.Enum):
    """Operators of the arithmetic-logic unit, on scalars and lane by lane on vectors.

    Integers wrap modulo 2^bits. Division and remainder of integers by zero are 0. Comparisons
    with NaN are false, ``NE`` is true.
    """

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"  # floats only, IEEE 754
    FLOORDIV = "//"  # integers: rounds towards minus infinity
    FLOORMOD = "%"  # integers: sign of the divisor
    TRUNCDIV = "truncdiv"  # integers: rounds towards zero, as C does
    TRUNCMOD = "truncmod"  # integers: sign of the dividend; floats: C's fmod
    MIN = "min"  # NaN if either operand is NaN (numpy.minimum)
    MAX = "max"  # NaN if either operand is NaN (numpy.maximum)
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    AND = "&"  # bool: both; integers: bitwise
    OR = "|"
    XOR = "^"
    SHL = "<<"  # the shift count is taken modulo the width
    SHR = ">>"  # arithmetic on int, logical on uint
    NEG = "neg"
    NOT = "not"  # bool: negation; integers: bitwise complement
    ABS = "abs"  # the lowest int wraps to itself

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code


UNARY = frozenset({Op.NEG, Op.NOT, Op.ABS})
COMPARE = frozenset({Op.EQ, Op.NE, Op.LT, Op.LE})
LOGIC = frozenset({Op.AND, Op.OR, Op.XOR})
SHIFT = frozenset({Op.SHL, Op.SHR})
INT_ONLY = frozenset({Op.FLOORDIV, Op.FLOORMOD, Op.TRUNCDIV}) | SHIFT
COMMUTATIVE = frozenset({Op.ADD, Op.MUL, Op.MIN, Op.MAX, Op.EQ, Op.NE, Op.AND, Op.OR, Op.XOR})
UFUNCS: dict[str, Callable] = {  # what numpy calls where one operand is a number of its own
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor,
    "left_shift": operator.lshift, "right_shift": operator.rshift,
}  # fmt: skip
_INTEGERS: dict[Op, Callable[[int, int], int]] = {
    Op.ADD: operator.add, Op.SUB: operator.sub, Op.MUL: operator.mul,
    Op.FLOORDIV: operator.floordiv, Op.FLOORMOD: operator.mod, Op.MIN: min, Op.MAX: max,
}  # fmt: skip


def of_integers(op: Op, x: int, y: int) -> int | None:
    """``x op y`` without limits, for the operators of indices; None for others and for divisions
    by zero."""
    f = _INTEGERS.get(op)
    by_zero = y == 0 and op in (Op.FLOORDIV, Op.FLOORMOD)
    return None if f is None or by_zero else f(x, y)
