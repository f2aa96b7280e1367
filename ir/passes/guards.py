"""The conditions inside a loop that partitioning may decide by the loop's range alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..alu import Op
from ..expr import Binary, Expr, Load, Select, Unary, Var
from ..simplify import stride
from ..stmt import For, If, Let, Stmt
from ..visit import Mutator, children, substitute, variables, walk


class Condition(NamedTuple):
    """One conjunct of a guard: ``node`` is the If or Select, ``inner`` the loops between the place
    we look from and the guard, outermost first, ``lets`` what names stand for there."""

    node: If | Select
    conjunct: Expr
    inner: tuple[For, ...]
    lets: dict[Var, Expr]


def conjuncts(cond: Expr) -> list[Expr]:
    """``a and b and …`` taken apart."""
    if isinstance(cond, Binary) and cond.op is Op.AND and cond.dtype.is_bool:
        return [*conjuncts(cond.a), *conjuncts(cond.b)]
    return [cond]


def conditions_of(body: Stmt, selects: bool = False) -> Iterator[Condition]:
    """Every conjunct of every guard (``If.likely``) below ``body``; with ``selects`` also of the
    bounds tests of Selects, such as a convolution's padding."""
    yield from _conditions(body, (), {}, selects)


def _conditions(
    s: Stmt | Expr, inner: tuple[For, ...], lets: dict[Var, Expr], selects: bool
) -> Iterator[Condition]:
    if isinstance(s, Expr):
        if selects:
            for e in walk(s):
                if isinstance(e, Select):
                    for c in conjuncts(e.cond):
                        yield Condition(e, c, inner, lets)
        return
    if isinstance(s, If) and s.likely and s.otherwise is None:
        for c in conjuncts(s.cond):
            yield Condition(s, c, inner, lets)
    if isinstance(s, For):
        inner = (*inner, s)
    elif isinstance(s, Let):
        lets = {**lets, s.var: s.value}
    for c in children(s):
        yield from _conditions(c, inner, lets, selects)


def margin(c: Expr) -> Expr | None:
    """An integer ``d`` with ``c == (d >= 0)``, for an order comparison of integers."""
    if isinstance(c, Unary) and c.op is Op.NOT:
        a = c.a
        if isinstance(a, Binary) and a.op in (Op.LT, Op.LE) and a.a.dtype.is_int:
            return margin(Binary(Op.LE if a.op is Op.LT else Op.LT, a.b, a.a))
        return None
    if not isinstance(c, Binary) or c.op not in (Op.LT, Op.LE):
        return None
    d = c.a.dtype
    if d.kind != "int" or d.lanes > 1:
        return None
    return c.b - c.a - (1 if c.op is Op.LT else 0)


def worst_margin(c: Condition) -> Expr | None:
    """A ``d`` free of the inner loops' variables such that ``d >= 0`` makes the conjunct true in
    all their iterations; None where it cannot be told."""
    d = margin(c.conjunct)
    if d is None:
        return None
    if any(isinstance(e, Load) for e in walk(d)):
        return None  # memory may change between here and the guard
    for v in reversed(list(c.lets)):
        if v in variables(d):
            d = substitute(d, {v: c.lets[v]})
    for loop in reversed(c.inner):
        if loop.var not in variables(d):
            continue
        slope = stride(d, loop.var)
        if slope is None:
            return None
        at = loop.minimum if slope >= 0 else loop.minimum + (loop.extent - 1)
        d = substitute(d, {loop.var: at})
        for w in reversed(list(c.lets)):
            if w in variables(d):
                d = substitute(d, {w: c.lets[w]})
    return d


class Drop(Mutator):
    """Removes the conjuncts ``{id(node): {id(conjunct)}}`` that were proved."""

    def __init__(self, proved: dict[int, set[int]]):
        super().__init__()
        self.proved = proved

    def _left(self, node: If | Select) -> Expr | None:
        """What remains to be tested; None for nothing."""
        gone = self.proved.get(id(node))
        if gone is None:
            return node.cond
        rest = [c for c in conjuncts(node.cond) if id(c) not in gone]
        left: Expr | None = None
        for c in rest:
            left = c if left is None else Binary(Op.AND, left, c)
        return left

    def visit_If(self, s: If) -> Stmt:
        left = self._left(s)
        if left is None:
            return self(s.then)
        if left is s.cond:
            return self.rebuild(s)
        return If(self(left), self(s.then), None, s.likely)

    def visit_Select(self, e: Select) -> Expr:
        left = self._left(e)
        if left is None:
            return self(e.if_true)
        if left is e.cond:
            return self.rebuild(e)
        return Select(self(left), self(e.if_true), self(e.if_false))
