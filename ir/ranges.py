"""How large integer expressions can be: intervals, and bounds of linear forms.

This is the half of the analyzer that asks and never rewrites. It works on expressions that
``analyzer.py`` has simplified; every answer is memoised by identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..runtime.dtype import DType
from . import interval as iv
from .expr import (
    Binary,
    Broadcast,
    Cast,
    Const,
    Expr,
    IterVar,
    Op,
    Ramp,
    Select,
    Unary,
    Var,
)
from .interval import Interval
from .linear import Linear, of_node, total


def is_index(d: DType) -> bool:
    """A scalar int32: the type whose arithmetic is done on linear forms."""
    return d.bits == 32 and d.kind == "int" and d.lanes == 1


class Ranges:
    """Intervals of expressions, knowing the ranges of variables and facts about them."""

    def __init__(self) -> None:
        self._bounds: dict[Var, Interval] = {}
        self._symbolic: dict[Var, tuple[Expr | None, Expr | None]] = {}
        self.facts: list[Linear] = []  # each is >= 0
        self._ranges: dict[Expr, Interval] = {}
        self.linear_of: dict[Expr, Linear] = {}
        self._index_like: dict[Expr, bool] = {}

    # ------------------------------------------------------------------ linear forms

    def linear(self, e: Expr) -> Linear:
        """The linear form of a simplified scalar int32."""
        found = self.linear_of.get(e)
        if found is None:
            found = self.linear_of[e] = of_node(e, self.linear)
        return found

    def exact(self, form: Linear) -> bool:
        """Whether a linear form may be taken not to wrap: it is made of indices, or its interval
        says so."""
        if all(self.index_like(t) for t in form.terms):
            return True
        low, high = self.lower(form), self.upper(form)
        return low is not None and high is not None and low >= -(2**31) and high < 2**31

    def index_like(self, e: Expr) -> bool:
        """Whether ``e`` is made of variables and constants only, not of data."""
        found = self._index_like.get(e)
        if found is None:
            t = type(e)
            if t is Binary:
                found = self.index_like(e.a) and self.index_like(e.b)  # type: ignore[attr-defined]
            else:
                found = t is Var or t is IterVar or t is Const
            self._index_like[e] = found
        return found

    def lower(self, form: Linear) -> int | None:
        """A lower bound of a linear form."""
        edges = form.constant
        for t, k in form.terms.items():
            span = self._ranges.get(t)
            span = self.range_of(t) if span is None else span
            edge = span.lo if k > 0 else span.hi
            if edge is None:
                return None
            edges += k * edge
        return edges

    def upper(self, form: Linear) -> int | None:
        low = self.lower(form.times(-1))
        return None if low is None else -low

    def nonnegative(self, form: Linear, depth: int = 4) -> bool:
        """Whether the form is certainly >= 0: by intervals, by a multiple of a fact, or with a
        variable replaced by its symbolic bound."""
        low = self.lower(form)
        if low is not None:
            if low >= 0:
                return True
            if not self.facts:
                return False
        for fact in self.facts:
            # As often as one term of it is in the form: then that term is gone.
            times = {1, *(form.terms.get(t, 0) // k for t, k in fact.terms.items())}
            for n in times:
                low = self.lower(total(form, fact, -n)) if n > 0 else None
                if low is not None and low >= 0:
                    return True
        if depth and self._symbolic:
            for t, k in form.terms.items():
                low_high = self._symbolic.get(t)  # type: ignore[arg-type]
                edge = low_high[k < 0] if low_high else None
                if edge is not None and self.nonnegative(
                    form.replace(t, self.linear(edge)), depth - 1
                ):
                    return True
        return False

    # ------------------------------------------------------------------ intervals

    def range_of(self, e: Expr) -> Interval:
        """The interval of a simplified expression."""
        found = self._ranges.get(e)
        if found is None:
            rule = _RANGE.get(type(e))
            found = rule(self, e) if rule is not None else iv.of_dtype(e.dtype)
            self._ranges[e] = found
        return found

    def _range_var(self, e: Var) -> Interval:
        return self._bounds.get(e) or iv.of_dtype(e.dtype)

    def _range_binary(self, e: Binary) -> Interval:
        if is_index(e.dtype) and e.op in (Op.ADD, Op.SUB, Op.MUL):
            form = self.linear(e)
            if e not in form.terms:
                if not self.exact(form):
                    return iv.EVERYTHING
                return Interval(self.lower(form), self.upper(form))
        rule = _RANGE_OP.get(e.op)
        if rule is None or not e.dtype.is_int:
            return iv.of_dtype(e.dtype)
        found = iv.fit(rule(self.range_of(e.a), self.range_of(e.b)), e.dtype)
        if is_index(e.dtype) and not self.index_like(e):
            # Data wraps: a product of loads is unknown when it may leave the type.
            low, high = found
            if low is None or high is None or low < -(2**31) or high >= 2**31:
                return found if e.op in _NO_WRAP else iv.EVERYTHING
        return found

    def _range_cast(self, e: Cast) -> Interval:
        if e.value.dtype.is_float or not e.dtype.is_int:
            return iv.of_dtype(e.dtype)
        inner, d = self.range_of(e.value), e.dtype
        if inner.lo is None or inner.hi is None or inner.lo < d.min or inner.hi > d.max:
            return iv.of_dtype(d)
        return inner

    def _range_ramp(self, e: Ramp) -> Interval:
        steps = iv.mul(self.range_of(e.stride), Interval(0, e.lanes - 1))
        return iv.fit(iv.add(self.range_of(e.base), steps), e.dtype)

    def _range_unary(self, e: Unary) -> Interval:
        a = self.range_of(e.a)
        if e.op is Op.NOT or not e.dtype.is_int or e.dtype.kind == "uint":
            return iv.of_dtype(e.dtype)
        return iv.fit(iv.neg(a) if e.op is Op.NEG else iv.absolute(a), e.dtype)


_NO_WRAP = frozenset({Op.FLOORDIV, Op.FLOORMOD, Op.MIN, Op.MAX, Op.AND, Op.TRUNCDIV})
_RANGE_OP: dict[Op, Callable[[Interval, Interval], Interval]] = {
    Op.ADD: iv.add,
    Op.SUB: iv.sub,
    Op.MUL: iv.mul,
    Op.FLOORDIV: iv.floordiv,
    Op.FLOORMOD: iv.floormod,
    Op.MIN: iv.minimum,
    Op.MAX: iv.maximum,
    Op.AND: iv.bitand,
}
_RANGE: dict[type, Callable[[Ranges, Any], Interval]] = {
    Const: lambda an, e: (
        iv.EVERYTHING if e.dtype.is_float else Interval(int(e.value), int(e.value))
    ),
    Var: Ranges._range_var,
    IterVar: Ranges._range_var,
    Unary: Ranges._range_unary,
    Binary: Ranges._range_binary,
    Cast: Ranges._range_cast,
    Ramp: Ranges._range_ramp,
    Broadcast: lambda an, e: an.range_of(e.value),
    Select: lambda an, e: iv.union(an.range_of(e.if_true), an.range_of(e.if_false)),
}
