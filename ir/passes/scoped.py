"""A rewriter that knows the ranges of the loop variables around the place it is at."""

from __future__ import annotations

from collections.abc import Sequence

from ..expr import Expr, Var, as_int
from ..simplify import Analyzer
from ..stmt import For, If, Let, Stmt
from ..visit import Mutator


class ScopedMutator(Mutator):
    """A :class:`Mutator` whose ``analyzer`` has every enclosing loop and let variable bound."""

    def __init__(self) -> None:
        super().__init__()
        self.analyzer = Analyzer()

    def bind_loop(self, var: Var, minimum: Expr, extent: Expr) -> None:
        """Tell the analyzer ``minimum <= var < minimum + extent``."""
        self.analyzer.bind(var, minimum, minimum + (extent - 1))

    def bind_let(self, var: Var, value: Expr) -> None:
        """Tell the analyzer what is known of a scalar integer that a Let names."""
        if value.dtype.is_int and value.dtype.lanes == 1:
            known = self.analyzer.interval(value)
            self.analyzer.bind(var, known.lo, known.hi)

    def visit_For(self, s: For) -> Stmt:
        self.bind_loop(s.var, s.minimum, s.extent)
        return self.rebuild(s)

    def visit_If(self, s: If) -> Stmt:
        cond = self(s.cond)
        with self.analyzer.assuming(cond):
            then = self(s.then)
        other = None if s.otherwise is None else self(s.otherwise)
        same = cond is s.cond and then is s.then and other is s.otherwise
        return s if same else If(cond, then, other, s.likely)

    def lets(self, s: Let) -> Sequence[tuple[Var, Expr]]:
        """The let with its value rewritten, of which the analyzer is told."""
        value = self(s.value)
        self.bind_let(s.var, value)
        return ((s.var, value),)


def trip_count(s: For) -> int | None:
    """The constant number of iterations of a loop, else None."""
    n = as_int(s.extent)
    return None if n is None else max(n, 0)
