"""The operators of the arithmetic-logic unit, and the groups that rules about them speak of."""

from __future__ import annotations

import enum


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
