"""Vectors of more lanes than a language has, as several vectors that it has.

y[ramp(0, 1, 8)] = x[ramp(0, 1, 8)] + 1
->
y[ramp(0, 1, 4)] = x[ramp(0, 1, 4)] + 1
y[ramp(4, 1, 4)] = x[ramp(4, 1, 4)] + 1
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from ...ir.alu import Op
from ...ir.expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Expr,
    Load,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
)
from ...ir.stmt import Function, Let, Stmt, Store, seq
from ...ir.visit import Mutator, uses_buffer

Part = tuple[int, int]  # first lane, lanes


def split_vectors(f: Function, widths: Sequence[int]) -> Function:
    """``f`` with no vectors but those of ``widths``, which must hold 2 and powers of two."""
    return f.with_body(_Split(widths)(f.body))


class _Split(Mutator):
    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.widths = sorted(widths, reverse=True)
        self.pieces: dict[tuple[Var, Part], Var] = {}

    def parts(self, lanes: int) -> list[Part]:
        if lanes == 1 or lanes in self.widths:
            return [(0, lanes)]
        parts, at = [], 0
        while at < lanes:
            powers = (w for w in self.widths if w & (w - 1) == 0 and w <= lanes - at)
            n = next(powers, 1)
            parts.append((at, n))
            at += n
        return parts

    def visit_Store(self, s: Store) -> Stmt:
        parts = self.parts(s.value.dtype.lanes)
        if len(parts) == 1:
            return s
        takes = [_Take(self.pieces, part) for part in parts]
        values = [take(s.value) for take in takes]
        # All lanes are computed before any is written.
        names: list[tuple[Var, Expr]] = []
        if uses_buffer(s.value, s.buffer):
            names = [(Var(f"part{at}", v.dtype), v) for (at, _), v in zip(parts, values)]
            values = [name for name, _ in names]
        body = seq(
            *(
                Store(
                    s.buffer,
                    tuple(map(take, s.indices)),
                    value,
                    None if s.predicate is None else take(s.predicate),
                )
                for take, value in zip(takes, values)
            )
        )
        for name, value in reversed(names):
            body = Let(name, value, body)
        return body

    def visit_Call(self, e: Call) -> Expr:
        """Where a condition holds in any lane of any part; other calls are in stores and lets."""
        parts = self.parts(e.args[0].dtype.lanes) if e.name == "any" else []
        if len(parts) < 2:
            return e
        takes = [_Take(self.pieces, part) for part in parts]
        found = [take(e.args[0]) for take in takes]
        whole = [c if c.dtype.lanes == 1 else Call("any", (c,), e.dtype) for c in found]
        return reduce(lambda a, b: Binary(Op.OR, a, b), whole)

    def lets(self, s: Let) -> Sequence[tuple[Var, Expr]]:
        parts = self.parts(s.var.dtype.lanes)
        if len(parts) == 1:
            return super().lets(s)
        values = [_Take(self.pieces, part)(s.value) for part in parts]
        made = [(Var(f"{s.var.name}_{p[0]}", v.dtype), v) for p, v in zip(parts, values)]
        self.pieces |= {(s.var, p): v for p, (v, _) in zip(parts, made)}
        return made


class _Take(Mutator):
    """Some lanes of an expression; scalars stay."""

    def __init__(self, pieces: dict[tuple[Var, Part], Var], part: Part):
        super().__init__()
        self.pieces, self.part = pieces, part

    def __call__(self, node: Expr) -> Expr:
        return node if node.dtype.lanes == 1 else super().__call__(node)

    def visit_Var(self, v: Var) -> Expr:
        return self.pieces[v, self.part]

    def visit_Ramp(self, e: Ramp) -> Expr:
        at, n = self.part
        base = e.base + e.stride * at if at else e.base
        return base if n == 1 else Ramp(base, e.stride, n)

    def visit_Broadcast(self, e: Broadcast) -> Expr:
        n = self.part[1]
        return e.value if n == 1 else Broadcast(e.value, n)

    def visit_Unary(self, e: Unary) -> Expr:
        return Unary(e.op, self(e.a))

    def visit_Binary(self, e: Binary) -> Expr:
        return Binary(e.op, self(e.a), self(e.b))

    def visit_Cast(self, e: Cast) -> Expr:
        return Cast(self(e.value), e.dtype.with_lanes(self.part[1]))

    def visit_Reinterpret(self, e: Reinterpret) -> Expr:
        return Reinterpret(self(e.value), e.dtype.with_lanes(self.part[1]))

    def visit_Select(self, e: Select) -> Expr:
        return Select(self(e.cond), self(e.if_true), self(e.if_false))

    def visit_Call(self, e: Call) -> Expr:
        return Call(e.name, tuple(map(self, e.args)), e.dtype.with_lanes(self.part[1]))

    def visit_Load(self, e: Load) -> Expr:
        predicate = None if e.predicate is None else self(e.predicate)
        return Load(e.buffer, tuple(map(self, e.indices)), predicate)


__all__ = ["split_vectors"]
