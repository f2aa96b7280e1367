"""The lowest and the highest value of an index while some variables move, as expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..alu import Op
from ..builders import maximum, minimum
from ..expr import Binary, Expr, Read, Select, Unary, Var, as_int, const
from ..visit import children

Span = tuple[Expr, Expr]  # the lowest and the highest value


class SymbolicRanges:
    """The spans of indices while the variables of ``ranges`` run over their spans; None is that of
    one of which nothing is known."""

    def __init__(self, ranges: Mapping[Var, Span | None]):
        self.ranges = ranges
        self._spans: dict[Expr, Span | None] = {}
        self._moving: dict[Expr, bool] = {}

    def of(self, e: Expr) -> Span | None:
        """(lowest, highest) value of ``e``; None where nothing is known (an index that depends on
        data)."""
        if isinstance(e, Var):
            return self.ranges.get(e, (e, e))
        if not self._moves(e):
            return e, e
        if e not in self._spans:
            rule = _RANGE_OF.get(type(e))
            self._spans[e] = rule(self, e) if rule else None
        return self._spans[e]

    def _moves(self, e: Expr) -> bool:
        """Whether ``e`` may have several values."""
        found = self._moving.get(e)
        if found is None:
            found = isinstance(e, Read) or (isinstance(e, Var) and e in self.ranges)
            for c in children(e):
                assert isinstance(c, Expr)
                found = self._moves(c) or found
            self._moving[e] = found
        return found

    def unary(self, e: Unary) -> Span | None:
        """The span of ``-a``."""
        r = self.of(e.a) if e.op is Op.NEG else None
        return r and (-r[1], -r[0])

    def select(self, e: Select) -> Span | None:
        """The span of both arms."""
        t, f = self.of(e.if_true), self.of(e.if_false)
        return (minimum(t[0], f[0]), maximum(t[1], f[1])) if t and f else None

    def binary(self, e: Binary) -> Span | None:
        """The span of ``a op b``."""
        rule = _RANGE_OF_OP.get(e.op)
        a, b = self.of(e.a), self.of(e.b)
        return rule(a, b) if rule and a and b else None


def _single(a: Span) -> int | None:
    """The constant that is the only value of a range."""
    return as_int(a[0]) if a[0] is a[1] else None


def _range_of_product(a: Span, b: Span) -> Span | None:
    if b[0] is not b[1] and _single(a) is not None:
        a, b = b, a
    c = _single(b)
    if c is None:
        return None
    return (a[0] * c, a[1] * c) if c >= 0 else (a[1] * c, a[0] * c)


def _range_of_quotient(a: Span, b: Span) -> Span | None:
    c = _single(b)
    return (a[0] // c, a[1] // c) if c is not None and c > 0 else None


def _range_of_remainder(a: Span, b: Span) -> Span | None:
    c = _single(b)
    if c is None or c <= 0:
        return None
    low, high = as_int(a[0]), as_int(a[1])
    if low is not None and high is not None and low // c == high // c:
        return const(low % c), const(high % c)
    return const(0), const(c - 1)


_RANGE_OF: dict[type, Callable[[SymbolicRanges, Any], Span | None]] = {
    Unary: SymbolicRanges.unary,
    Binary: SymbolicRanges.binary,
    Select: SymbolicRanges.select,
}
_RANGE_OF_OP: dict[Op, Callable[[Span, Span], Span | None]] = {
    Op.ADD: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    Op.SUB: lambda a, b: (a[0] - b[1], a[1] - b[0]),
    Op.MUL: _range_of_product,
    Op.FLOORDIV: _range_of_quotient,
    Op.FLOORMOD: _range_of_remainder,
    Op.MIN: lambda a, b: (minimum(a[0], b[0]), minimum(a[1], b[1])),
    Op.MAX: lambda a, b: (maximum(a[0], b[0]), maximum(a[1], b[1])),
}
