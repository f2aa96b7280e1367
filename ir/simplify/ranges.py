"""How large integer expressions can be: intervals, and bounds of linear forms.

:class:`Intervals` computes bottom-up, from the bounds of variables; :class:`LinearIntervals`, the
half of the analyzer that asks and never rewrites, adds linear forms and facts about variables.
Every answer is memoised by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ...runtime.dtype import DType
from ..alu import Op
from ..expr import Binary, Broadcast, Cast, Const, Expr, IterVar, Ramp, Select, Unary, Var
from . import interval as iv
from .interval import Interval
from .linear import Linear, of_node, total


def is_index(d: DType) -> bool:
    """A scalar int32: the type whose arithmetic is done on linear forms."""
    return d.bits == 32 and d.kind == "int" and d.lanes == 1


class Intervals:
    """Intervals of expressions, knowing the ranges of variables.

    What a type is taken to hold and when a result may have wrapped is for :meth:`unknown` and
    :meth:`fit` to say; here int32 counts as unbounded, since indices do not overflow.
    """

    rules: ClassVar[Mapping[type, Callable[[Any, Any], Interval]]] = {}  # by type; filled in below

    def __init__(self) -> None:
        self._bounds: dict[Var, Interval] = {}
        self._ranges: dict[Expr, Interval] = {}

    def unknown(self, d: DType) -> Interval:
        """What a value of ``d`` can be of which nothing else is known."""
        return iv.of_dtype(d)

    def fit(self, x: Interval, d: DType) -> Interval:
        """``x`` if arithmetic whose result it is cannot wrap in ``d``, else all that can be."""
        return iv.fit(x, d)

    def range_of(self, e: Expr) -> Interval:
        """The interval of an expression."""
        found = self._ranges.get(e)
        if found is None:
            rule = self.rules.get(type(e))
            found = rule(self, e) if rule is not None else self.unknown(e.dtype)
            self._ranges[e] = found
        return found

    def _range_const(self, e: Const) -> Interval:
        return iv.EVERYTHING if e.dtype.is_float else Interval(int(e.value), int(e.value))

    def _range_var(self, e: Var) -> Interval:
        known = self._bounds.get(e)
        if known is None and e.nonnegative:
            return Interval(0, self.unknown(e.dtype).hi)
        return known or self.unknown(e.dtype)

    def _range_binary(self, e: Binary) -> Interval:
        rule = _RANGE_OP.get(e.op)
        if rule is None or not e.dtype.is_int:
            return self.unknown(e.dtype)
        return self.fit(rule(self.range_of(e.a), self.range_of(e.b)), e.dtype)

    def _range_cast(self, e: Cast) -> Interval:
        if e.value.dtype.is_float or not e.dtype.is_int:
            return self.unknown(e.dtype)
        inner, d = self.range_of(e.value), e.dtype
        if inner.lo is None or inner.hi is None or inner.lo < d.min or inner.hi > d.max:
            return self.unknown(d)
        return inner

    def _range_ramp(self, e: Ramp) -> Interval:
        steps = iv.mul(self.range_of(e.stride), Interval(0, e.lanes - 1))
        return self.fit(iv.add(self.range_of(e.base), steps), e.dtype)

    def _range_broadcast(self, e: Broadcast) -> Interval:
        return self.range_of(e.value)

    def _range_select(self, e: Select) -> Interval:
        return self.fit(iv.union(self.range_of(e.if_true), self.range_of(e.if_false)), e.dtype)

    def _range_unary(self, e: Unary) -> Interval:
        a = self.range_of(e.a)
        if e.op is Op.NOT or not e.dtype.is_int or e.dtype.kind == "uint":
            return self.unknown(e.dtype)
        return self.fit(iv.neg(a) if e.op is Op.NEG else iv.absolute(a), e.dtype)


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
Intervals.rules = {
    Const: Intervals._range_const,
    Var: Intervals._range_var,
    IterVar: Intervals._range_var,
    Unary: Intervals._range_unary,
    Binary: Intervals._range_binary,
    Cast: Intervals._range_cast,
    Ramp: Intervals._range_ramp,
    Broadcast: Intervals._range_broadcast,
    Select: Intervals._range_select,
}


class LinearIntervals(Intervals):
    """Intervals of simplified expressions, by linear forms and by facts about variables too."""

    def __init__(self) -> None:
        super().__init__()
        self._symbolic: dict[Var, tuple[Expr | None, Expr | None]] = {}
        self.facts: list[Linear] = []  # each is >= 0
        self.linear_of: dict[Expr, Linear] = {}
        self._index_like: dict[Expr, bool] = {}

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
        """An upper bound of a linear form."""
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

    def _range_binary(self, e: Binary) -> Interval:
        if is_index(e.dtype) and e.op in (Op.ADD, Op.SUB, Op.MUL):
            form = self.linear(e)
            if e not in form.terms:
                if not self.exact(form):
                    return iv.EVERYTHING
                return Interval(self.lower(form), self.upper(form))
        found = super()._range_binary(e)
        if e.op in _RANGE_OP and is_index(e.dtype) and not self.index_like(e):
            # Data wraps: a product of loads is unknown when it may leave the type.
            low, high = found
            if low is None or high is None or low < -(2**31) or high >= 2**31:
                return found if e.op in _NO_WRAP else iv.EVERYTHING
        return found


_NO_WRAP = frozenset({Op.FLOORDIV, Op.FLOORMOD, Op.MIN, Op.MAX, Op.AND, Op.TRUNCDIV})
LinearIntervals.rules = {**Intervals.rules, Binary: LinearIntervals._range_binary}
