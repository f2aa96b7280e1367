"""Masks that are the same in all lanes become branches.

A guard of a vector loop whose extent is a multiple of the lanes keeps or drops whole vectors:

    C[ramp(4*t, 1, 4), where=ramp(4*t, 1, 4) < 1000] = A[ramp(…), where=…] + 1
    ->
    if t < 250: C[ramp(4*t, 1, 4)] = A[ramp(…)] + 1

so that vectors are read and written as a whole. (The back-end for processors has masked
instructions, which do the same without a branch.)
"""

from __future__ import annotations

from ...ir.expr import Broadcast, Expr, Load
from ...ir.passes.scoped import ScopedMutator
from ...ir.stmt import Function, If, Stmt, Store
from ...ir.visit import Mutator, structural_equal
from .scopes import Lane


def branch_on_masks(f: Function) -> Function:
    """``f`` with a branch in place of each mask of a store that all lanes share."""
    return f.with_body(_Branch()(f.body))


class _Branch(ScopedMutator):
    def visit_Store(self, s: Store) -> Stmt:
        p = s.predicate
        if p is None or p.dtype.lanes == 1:
            return s
        cond = self.common(p)
        if cond is None:
            return s
        value = _Assume(p)(s.value)
        return If(cond, Store(s.buffer, s.indices, value))

    def common(self, p: Expr) -> Expr | None:
        """The condition that all lanes of a mask are."""
        if isinstance(p, Broadcast):
            return p.value
        try:
            lanes = [
                self.analyzer.simplify(Lane(k, _no_component)(p)) for k in range(p.dtype.lanes)
            ]
        except LookupError:
            return None
        return lanes[0] if all(structural_equal(lanes[0], x) for x in lanes[1:]) else None


def _no_component(e: Expr, k: int) -> Expr:
    raise LookupError


class _Assume(Mutator):
    """Loads whose mask is known to be on lose it."""

    def __init__(self, known: Expr):
        super().__init__()
        self.known = known

    def visit_Load(self, e: Load) -> Expr:
        new = self.rebuild(e)
        p = new.predicate
        if p is not None and (p is self.known or structural_equal(p, self.known)):
            return Load(new.buffer, new.indices)
        return new


__all__: list[str] = ["branch_on_masks"]
