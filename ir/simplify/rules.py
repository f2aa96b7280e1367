"""The simplifier's rewrite rules: one line each, exact for every value of the types it names.

``x y z`` stand for any expressions, ``a b`` for constants; a letter that comes twice must be the
same expression. A rule's domain is ``"int"`` (all integer types, wrapping), ``"float"`` (IEEE 754
with NaN, infinities and signed zeros; so there is no ``x + 0`` and no ``x - x``) or ``"bool"``: the
type of the operands. Rules serve scalars and vectors. ``analyzer.py`` applies them bottom-up; sums,
quotients and comparisons of scalar int32 are rewritten by ``sums.py`` instead, without rules.
"""
# ruff: noqa: B002, PLR0124  (the operators build patterns: `x < x` and `-(-x)` are meant)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..alu import COMMUTATIVE, COMPARE, Op
from ..expr import Binary, Broadcast, Const, Expr, Select, Unary


class Pattern:
    """Base of the terms that rules are written in."""

    def __add__(self, o: Any) -> Pattern:
        return Apply(Op.ADD, self, lift(o))

    def __sub__(self, o: Any) -> Pattern:
        return Apply(Op.SUB, self, lift(o))

    def __rsub__(self, o: Any) -> Pattern:
        return Apply(Op.SUB, lift(o), self)

    def __mul__(self, o: Any) -> Pattern:
        return Apply(Op.MUL, self, lift(o))

    def __truediv__(self, o: Any) -> Pattern:
        return Apply(Op.DIV, self, lift(o))

    def __floordiv__(self, o: Any) -> Pattern:
        return Apply(Op.FLOORDIV, self, lift(o))

    def __rfloordiv__(self, o: Any) -> Pattern:
        return Apply(Op.FLOORDIV, lift(o), self)

    def __mod__(self, o: Any) -> Pattern:
        return Apply(Op.FLOORMOD, self, lift(o))

    def __rmod__(self, o: Any) -> Pattern:
        return Apply(Op.FLOORMOD, lift(o), self)

    def __and__(self, o: Any) -> Pattern:
        return Apply(Op.AND, self, lift(o))

    def __or__(self, o: Any) -> Pattern:
        return Apply(Op.OR, self, lift(o))

    def __xor__(self, o: Any) -> Pattern:
        return Apply(Op.XOR, self, lift(o))

    def __lshift__(self, o: Any) -> Pattern:
        return Apply(Op.SHL, self, lift(o))

    def __rshift__(self, o: Any) -> Pattern:
        return Apply(Op.SHR, self, lift(o))

    def __lt__(self, o: Any) -> Pattern:
        return Apply(Op.LT, self, lift(o))

    def __le__(self, o: Any) -> Pattern:
        return Apply(Op.LE, self, lift(o))

    def __neg__(self) -> Pattern:
        return Apply(Op.NEG, self)

    def __invert__(self) -> Pattern:
        return Apply(Op.NOT, self)


@dataclass(frozen=True, eq=False)
class Any_(Pattern):
    """Any expression; with ``constant`` only a constant."""

    name: str
    constant: bool = False


@dataclass(frozen=True, eq=False)
class Literal(Pattern):
    """The constant of this value, in the type of its place."""

    value: int | bool


class Apply(Pattern):
    """An operator on patterns."""

    def __init__(self, op: Op, *args: Pattern):
        self.op, self.args = op, args


class Choose(Pattern):
    """A Select."""

    def __init__(self, *args: Any):
        self.args = tuple(map(lift, args))


def lift(x: Any) -> Pattern:
    """A pattern as it is, a plain number or truth value as a literal."""
    return x if isinstance(x, Pattern) else Literal(x)


def low(x: Any, y: Any) -> Pattern:
    """The lesser of two."""
    return Apply(Op.MIN, lift(x), lift(y))


def high(x: Any, y: Any) -> Pattern:
    """The greater of two."""
    return Apply(Op.MAX, lift(x), lift(y))


def eq(x: Any, y: Any) -> Pattern:
    """Whether two are equal."""
    return Apply(Op.EQ, lift(x), lift(y))


def ne(x: Any, y: Any) -> Pattern:
    """Whether two differ."""
    return Apply(Op.NE, lift(x), lift(y))


def mag(x: Pattern) -> Pattern:
    """The magnitude."""
    return Apply(Op.ABS, x)


def tdiv(x: Any, y: Any) -> Pattern:
    """The quotient, rounded towards zero."""
    return Apply(Op.TRUNCDIV, lift(x), lift(y))


def tmod(x: Any, y: Any) -> Pattern:
    """The remainder of :func:`tdiv`."""
    return Apply(Op.TRUNCMOD, lift(x), lift(y))


@dataclass(frozen=True, eq=False)
class Rewrite:
    """``pattern`` becomes ``result``; ``domain`` is the type of ``x`` or of a Select's arms."""

    domain: str
    pattern: Pattern
    result: Pattern


x, y, z, c = (Any_(n) for n in "xyzc")
a, b = Any_("a", True), Any_("b", True)

RULES: tuple[Rewrite, ...] = (
    # Integers of any width: a ring modulo 2^bits.
    Rewrite("int", x + 0, x),  # nothing added
    Rewrite("int", x - 0, x),  # nothing taken away
    Rewrite("int", x - x, Literal(0)),  # itself taken away
    Rewrite("int", x * 1, x),  # once
    Rewrite("int", x * 0, Literal(0)),  # never
    Rewrite("int", (x + a) + b, x + (a + b)),  # constants meet
    Rewrite("int", (x - a) - b, x - (a + b)),  # constants meet
    Rewrite("int", (x + a) - b, x + (a - b)),  # constants meet
    Rewrite("int", (x * a) * b, x * (a * b)),  # constants meet
    Rewrite("int", x + -y, x - y),  # one operation less
    Rewrite("int", x - -y, x + y),  # one operation less
    Rewrite("int", (x + y) - y, x),  # added and taken away
    Rewrite("int", (x - y) + y, x),  # taken away and added
    Rewrite("int", -(-x), x),  # negated twice
    Rewrite("int", ~(~x), x),  # complemented twice
    Rewrite("int", mag(mag(x)), mag(x)),  # also for the lowest, which is its own magnitude
    # Division: by zero it is 0, so x // x and x % x are not rewritten to 1 and 0.
    Rewrite("int", x // 1, x),  # one part
    Rewrite("int", x % 1, Literal(0)),  # no remainder
    Rewrite("int", 0 // x, Literal(0)),  # also for x = 0
    Rewrite("int", 0 % x, Literal(0)),  # also for x = 0
    Rewrite("int", x % x, Literal(0)),  # also for x = 0
    Rewrite("int", tdiv(x, 1), x),  # one part
    Rewrite("int", tmod(x, 1), Literal(0)),  # no remainder
    Rewrite("int", tmod(x, x), Literal(0)),  # also for x = 0
    Rewrite("int", (x % a) % a, x % a),  # a remainder is its own remainder
    # Bits.
    Rewrite("int", x & x, x),  # both the same
    Rewrite("int", x | x, x),  # either the same
    Rewrite("int", x ^ x, Literal(0)),  # no difference
    Rewrite("int", x & 0, Literal(0)),  # no bit
    Rewrite("int", x | 0, x),  # no bit more
    Rewrite("int", x ^ 0, x),  # no bit flipped
    Rewrite("int", x << 0, x),  # not moved
    Rewrite("int", x >> 0, x),  # not moved
    # Extrema of integers.
    Rewrite("int", low(x, x), x),  # both the same
    Rewrite("int", high(x, x), x),  # both the same
    Rewrite("int", low(x, low(x, y)), low(x, y)),  # said twice
    Rewrite("int", high(x, high(x, y)), high(x, y)),  # said twice
    Rewrite("int", low(x, high(x, y)), x),  # absorption
    Rewrite("int", high(x, low(x, y)), x),  # absorption
    Rewrite("int", low(low(x, a), b), low(x, low(a, b))),  # constants meet
    Rewrite("int", high(high(x, a), b), high(x, high(a, b))),  # constants meet
    # Comparisons of integers.
    Rewrite("int", eq(x, x), Literal(True)),  # itself
    Rewrite("int", ne(x, x), Literal(False)),  # itself
    Rewrite("int", x < x, Literal(False)),  # itself
    Rewrite("int", x <= x, Literal(True)),  # itself
    Rewrite("int", ~(x < y), y <= x),  # total order
    Rewrite("int", ~(x <= y), y < x),  # total order
    Rewrite("int", ~eq(x, y), ne(x, y)),  # one operation less
    Rewrite("int", ~ne(x, y), eq(x, y)),  # one operation less
    # Floats: only what is exact for NaN, infinity and both zeros.
    Rewrite("float", x * 1, x),  # once
    Rewrite("float", x / 1, x),  # one part
    Rewrite("float", -(-x), x),  # the sign flipped twice
    Rewrite("float", x + -y, x - y),  # the definition of subtraction
    Rewrite("float", x - -y, x + y),  # the definition of subtraction
    Rewrite("float", mag(-x), mag(x)),  # the sign does not matter
    Rewrite("float", mag(mag(x)), mag(x)),  # no sign left
    Rewrite("float", low(x, x), x),  # both the same, NaN too
    Rewrite("float", high(x, x), x),  # both the same, NaN too
    Rewrite("float", ~eq(x, y), ne(x, y)),  # NE is true with NaN, EQ is false
    Rewrite("float", ~ne(x, y), eq(x, y)),  # NE is true with NaN, EQ is false
    Rewrite("float", x < x, Literal(False)),  # false with NaN too
    # Boolean algebra.
    Rewrite("bool", x & x, x),  # both the same
    Rewrite("bool", x | x, x),  # either the same
    Rewrite("bool", x ^ x, Literal(False)),  # no difference
    Rewrite("bool", x & True, x),  # neutral
    Rewrite("bool", x & False, Literal(False)),  # absorbing
    Rewrite("bool", x | False, x),  # neutral
    Rewrite("bool", x | True, Literal(True)),  # absorbing
    Rewrite("bool", x ^ False, x),  # neutral
    Rewrite("bool", x ^ True, ~x),  # flipped
    Rewrite("bool", ~(~x), x),  # negated twice
    Rewrite("bool", x & ~x, Literal(False)),  # contradiction
    Rewrite("bool", x | ~x, Literal(True)),  # excluded middle
    Rewrite("bool", (x & y) & y, x & y),  # said twice
    Rewrite("bool", (x & y) & x, x & y),  # said twice
    Rewrite("bool", (x | y) & x, x),  # absorption
    Rewrite("bool", (x & y) | x, x),  # absorption
    Rewrite("bool", eq(x, True), x),  # the truth of x
    Rewrite("bool", eq(x, False), ~x),  # the falsehood of x
    Rewrite("bool", ne(x, True), ~x),  # the falsehood of x
    Rewrite("bool", ne(x, False), x),  # the truth of x
    Rewrite("bool", eq(x, x), Literal(True)),  # itself
    Rewrite("bool", ne(x, x), Literal(False)),  # itself
    # Select: the arm that is dropped is never the one that would be evaluated.
    Rewrite("any", Choose(True, x, y), x),  # decided
    Rewrite("any", Choose(False, x, y), y),  # decided
    Rewrite("any", Choose(c, x, x), x),  # no choice
    Rewrite("any", Choose(~c, x, y), Choose(c, y, x)),  # one operation less
    Rewrite("any", Choose(c, Choose(c, x, y), z), Choose(c, x, z)),  # asked twice
    Rewrite("any", Choose(c, x, Choose(c, y, z)), Choose(c, x, z)),  # asked twice
    Rewrite("bool", Choose(c, True, False), c),  # the condition itself
    Rewrite("bool", Choose(c, False, True), ~c),  # its negation
)

Match = Callable[[Any, dict[str, Expr]], bool]


def domain_of(e: Expr) -> str:
    """The domain of rules that an expression's type belongs to."""
    d = e.dtype
    return "float" if d.is_float else "int" if d.is_int else "bool"


def compile_match(p: Pattern) -> Match:
    """A function that tells whether an expression matches, and fills in the letters. A constant
    in all lanes of a vector counts as a constant."""
    if isinstance(p, Any_):
        return _match_letter(p.name, p.constant)
    if isinstance(p, Literal):
        value = p.value
        return lambda e, m: _is_constant(e) and _scalar(e).value == value
    args = [compile_match(q) for q in p.args]  # type: ignore[attr-defined]
    if isinstance(p, Choose):
        f, g, h = args

        def choose(e: Any, m: dict[str, Expr]) -> bool:
            return type(e) is Select and f(e.cond, m) and g(e.if_true, m) and h(e.if_false, m)

        return choose
    assert isinstance(p, Apply)
    op = p.op
    if len(args) == 1:
        inner = args[0]
        return lambda e, m: type(e) is Unary and e.op is op and inner(e.a, m)
    left, right = args
    return lambda e, m: type(e) is Binary and e.op is op and left(e.a, m) and right(e.b, m)


def _match_letter(name: str, constant: bool) -> Match:
    def match(e: Any, m: dict[str, Expr]) -> bool:
        if constant and not _is_constant(e):
            return False
        return m.setdefault(name, e) is e

    return match


def _scalar(e: Any) -> Any:
    return e.value if type(e) is Broadcast else e


def _is_constant(e: Any) -> bool:
    return type(_scalar(e)) is Const


def commuted(p: Pattern) -> list[Pattern]:
    """``p`` and, when its operator commutes, ``p`` with its operands exchanged."""
    if isinstance(p, Apply) and p.op in COMMUTATIVE:
        return [p, Apply(p.op, p.args[1], p.args[0])]
    return [p]


def by_operator() -> dict[tuple[Op | None, str], list[tuple[Match, Pattern]]]:
    """The rules by operator (None: Select) and domain, in order."""
    table: dict[tuple[Op | None, str], list[tuple[Match, Pattern]]] = {}
    for r in RULES:
        for p in commuted(r.pattern):
            op = p.op if isinstance(p, Apply) else None
            domains = ("int", "float", "bool") if r.domain == "any" else (r.domain,)
            inner = p.args[0] if isinstance(p, Apply) and p.op is Op.NOT else None
            # `not` of a comparison has a bool operand; the rule's domain is what is compared.
            compares = isinstance(inner, Apply) and inner.op in COMPARE
            for d in domains:
                key = (op, "bool" if compares else d)
                match = compile_match(p)
                entry = (_in_domain(match, r.domain) if compares else match, r.result)
                table.setdefault(key, []).append(entry)
    return table


def _in_domain(match: Match, domain: str) -> Match:
    return lambda e, m: match(e, m) and domain_of(e.a.a) == domain
