"""The conditions inside a loop that partitioning may decide by the loop's range alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..alu import Op
from ..builders import all_of
from ..expr import Binary, Call, Expr, Load, Select, Unary, Var, as_int
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
    """``a and b and …`` taken apart, each once."""
    found: list[Expr] = []
    stack, seen = [cond], set[Expr]()
    while stack:
        c = stack.pop()
        if c in seen:
            continue
        seen.add(c)
        if isinstance(c, Binary) and c.op is Op.AND and c.dtype.is_bool:
            stack += [c.b, c.a]
        else:
            found.append(c)
    return found


def conditions_of(body: Stmt, selects: bool = False) -> Iterator[Condition]:
    """Every conjunct of every guard (``If.likely``) below ``body``, and of the conditions of
    Selects that are marked ``likely``; with ``selects`` of all Selects, such as a convolution's
    padding."""
    yield from _conditions(body, (), {}, selects)


def _conditions(
    s: Stmt | Expr, inner: tuple[For, ...], lets: dict[Var, Expr], selects: bool
) -> Iterator[Condition]:
    if isinstance(s, Expr):
        for e in walk(s):
            if isinstance(e, Select):
                for c in conjuncts(e.cond):
                    if selects or is_likely(c):
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


def is_likely(c: Expr) -> bool:
    """Whether a condition is marked by ``te.likely``."""
    return isinstance(c, Call) and c.name == "likely"


class Unmark(Mutator):
    """Conditions that are marked ``likely`` as they are."""

    def visit_Call(self, e: Call) -> Expr:
        return self(e.args[0]) if is_likely(e) else self.rebuild(e)


def where_all(conditions: Sequence[Expr], stmt: Stmt, likely: bool = False) -> Stmt:
    """``stmt`` where all conditions hold; ``likely`` marks them as guards."""
    open_ = [c for c in conditions if as_int(c) != 1]
    return If(all_of(open_), stmt, likely=likely) if open_ else stmt


def where_holds(cond: Expr, then: Stmt) -> Stmt:
    """``then`` under a condition; what is marked ``likely`` in it becomes a guard."""
    marked = [c for c in conjuncts(cond) if is_likely(c)]
    if not marked:
        return If(cond, then)
    rest = [c for c in conjuncts(cond) if not is_likely(c)]
    return If(Unmark()(all_of(marked)), If(all_of(rest), then) if rest else then, likely=True)


def margin(c: Expr) -> Expr | None:
    """An integer ``d`` with ``c == (d >= 0)``, for an order comparison of integers."""
    if isinstance(c, Call) and is_likely(c):
        c = c.args[0]
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
