"""Simplification of loop nests: what is decided disappears, indices take their simplest form.

Expressions are the business of :class:`Analyzer`; here loops bind their variables while the walk
descends, and statements that do nothing go away.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, TypeVar

from ..alu import Op
from ..expr import Broadcast, Const, Expr, Var, as_int
from ..stmt import (
    Alloc,
    Barrier,
    For,
    ForeignCall,
    ForKind,
    If,
    Let,
    Prefetch,
    Seq,
    Stmt,
    Store,
    seq,
)
from ..visit import variables
from .analyzer import Analyzer

T = TypeVar("T", Expr, Stmt)


def simplify(node: T, analyzer: Analyzer | None = None) -> T:
    """The simplest form that is found; ``node`` itself when it is that already.

    In a statement: loop variables are bound to their ranges; branches with a decided condition,
    loops without a turn, lets of a constant or a variable, and empty statements go; a loop of one
    turn becomes its body, unless it is bound to a hardware index, whose tag belongs to the launch.
    """
    an = analyzer or Analyzer()
    return an.simplify(node) if isinstance(node, Expr) else _Nest(an).visit(node)  # type: ignore


_NOTHING = Seq(())


def _empty(s: Stmt | None) -> bool:
    return s is None or (type(s) is Seq and not s.stmts)


class _Nest:
    """Rewrites statements; one dictionary look-up a statement, expressions through ``an``."""

    def __init__(self, an: Analyzer):
        self.an = an

    def visit(self, s: Stmt) -> Stmt:
        return _VISIT[type(s)](self, s)

    def store(self, s: Store) -> Stmt:
        an = self.an
        p = None if s.predicate is None else an.simplify(s.predicate)
        decided = p.value if isinstance(p, Broadcast) else p
        if isinstance(decided, Const):
            if not decided.value:
                return _NOTHING
            p = None
        value = an.simplify(s.value)
        indices, same = an.all(s.indices)
        if same and value is s.value and p is s.predicate:
            return s
        return Store(s.buffer, s.indices if same else indices, value, p)

    def loop(self, s: For) -> Stmt:
        an = self.an
        low, extent = an.simplify(s.minimum), an.simplify(s.extent)
        n = as_int(extent)
        if s.kind is not ForKind.BOUND:
            turns = an.range_of(extent)
            if turns.hi is not None and turns.hi <= 0:
                return _NOTHING
            if n == 1:
                return self.scoped(s.var, low, s.body)
        with an.bound(s.var, low, low + (extent - 1)):
            body = self.visit(s.body)
        if _empty(body) and s.kind is not ForKind.BOUND:
            return _NOTHING
        if low is s.minimum and extent is s.extent and body is s.body:
            return s
        return For(s.var, low, extent, s.kind, body, s.tag, s.pragmas)

    def scoped(self, var: Var, value: Expr, body: Stmt) -> Stmt:
        """``body`` with ``value`` for ``var``."""
        with self.an.standing_for(var, value):
            return self.visit(body)

    def branch(self, s: If) -> Stmt:
        an = self.an
        cond = an.simplify(s.cond)
        if isinstance(cond, Const):
            chosen = s.then if cond.value else s.otherwise
            return _NOTHING if chosen is None else self.visit(chosen)
        with an.assuming(cond):
            then = self.visit(s.then)
        otherwise = None
        if s.otherwise is not None:
            inverse = an.unary(Op.NOT, cond)
            with an.assuming(inverse):
                otherwise = self.visit(s.otherwise)
            if _empty(otherwise):
                otherwise = None
        if _empty(then):
            if otherwise is None:
                return _NOTHING
            return If(an.unary(Op.NOT, cond), otherwise, None, s.likely)
        if cond is s.cond and then is s.then and otherwise is s.otherwise:
            return s
        return If(cond, then, otherwise, s.likely)

    def seq(self, s: Seq) -> Stmt:
        new = [self.visit(c) for c in s.stmts]
        plain = len(new) != 1 and not any(type(c) is Seq for c in new)
        if plain and all(x is y for x, y in zip(new, s.stmts)):
            return s
        return seq(*new)

    def let(self, s: Let) -> Stmt:
        """A row of lets, of which hundreds may stand before a statement."""
        an = self.an
        kept: list[tuple[Let, Expr]] = []
        body: Stmt = s
        with ExitStack() as known:
            while isinstance(body, Let):
                value = an.simplify(body.value)
                if isinstance(value, Const | Var):
                    known.enter_context(an.standing_for(body.var, value))
                else:
                    if value.dtype.is_int and value.dtype.lanes == 1:
                        span = an.range_of(value)
                        known.enter_context(an.bound(body.var, span.lo, span.hi))
                    kept.append((body, value))
                body = body.body
            body = self.visit(body)
        used = variables(body)
        for let, value in reversed(kept):
            if let.var in used:
                used |= variables(value)
                same = value is let.value and body is let.body
                body = let if same else Let(let.var, value, body)
        return body

    def alloc(self, s: Alloc) -> Stmt:
        body = self.visit(s.body)
        if _empty(body):
            return _NOTHING
        return s if body is s.body else Alloc(s.buffer, body)

    def barrier(self, s: Barrier) -> Stmt:
        return s

    def prefetch(self, s: Prefetch) -> Stmt:
        indices, same = self.an.all(s.indices)
        return s if same else Prefetch(s.buffer, indices)

    def foreign(self, s: ForeignCall) -> Stmt:
        args, same = self.an.all(s.args)
        return s if same else ForeignCall(s.function, tuple(args), s.modes)


_VISIT: dict[type, Any] = {
    Store: _Nest.store,
    For: _Nest.loop,
    If: _Nest.branch,
    Seq: _Nest.seq,
    Let: _Nest.let,
    Alloc: _Nest.alloc,
    Barrier: _Nest.barrier,
    Prefetch: _Nest.prefetch,
    ForeignCall: _Nest.foreign,
}
