"""``vectorize_loops``: a vectorized loop becomes vector code, lane k being its iteration k.

    for i in vectorized(0, 8):                  B[ramp(x, 1, 8)] =
        B[x + i] = A[x + i] * s[0]      ->          A[ramp(x, 1, 8)] * broadcast(s[0], 8)

Values that depend on the loop variable are widened lane by lane, the others stay scalars until they
meet a vector. Control that depends on it becomes predicates (Allen & Kennedy, "Optimizing Compilers
for Modern Architectures", ch. 7: if-conversion). What cannot be a vector becomes a serial loop:
inner loops whose bounds depend on the lane, nested vectorized loops, and lanes that meet in one
element.
"""

from __future__ import annotations

from ...runtime.errors import LoweringError
from ..expr import Expr, Load, Var, const
from ..stmt import For, ForKind, Function, Seq, Stmt, Store, seq
from ..target import Target
from ..visit import substitute, walk
from .scoped import ScopedMutator, trip_count
from .widen import CannotWiden, Widener

# A longer loop becomes a serial loop of vectors of this length: wider vectors than four of the
# widest registers only cost the code generator time and registers.
MAX_LANES = 64


def vectorize_loops(f: Function, target: Target) -> Function:
    """Replace every VECTORIZED loop by vector statements, or by a serial loop where it must be.

    Runs after ``flatten_storage``.

    Raises
    ------
    LoweringError : the extent of a vectorized loop is not a constant.
    """
    return f.with_body(_Vectorize(target)(f.body))


class _Vectorize(ScopedMutator):
    def __init__(self, target: Target):
        super().__init__()
        self.target = target

    def visit_For(self, s: For) -> Stmt:
        if s.kind is not ForKind.VECTORIZED:
            return super().visit_For(s)
        n = trip_count(s)
        if n is None:
            raise LoweringError(
                f"the extent {s.extent} of the vectorized loop {s.var.name} is not constant:\n{s}",
                where="vectorize_loops",
                hint="split the axis by a constant factor and vectorize the inner part",
            )
        minimum = self.analyzer.simplify(s.minimum)
        if n == 0:
            return Seq(())
        if n == 1:
            return self(substitute(s.body, {s.var: minimum}))
        nested = any(isinstance(b, For) and b.kind is ForKind.VECTORIZED for b in walk(s.body))
        if not nested:
            try:
                return self._vectors(s, minimum, n)
            except CannotWiden:
                pass
        serial = For(s.var, minimum, s.extent, ForKind.SERIAL, s.body, s.tag, s.pragmas)
        return super().visit_For(serial)

    def _vectors(self, s: For, minimum: Expr, n: int) -> Stmt:
        if n <= MAX_LANES:
            made, at = [], 0
            for lanes in pieces(n, self._native(s.body)):
                start = minimum + at if at else minimum
                made.append(self._piece(s, start, lanes))
                at += lanes
            return seq(*made)
        whole, rest = divmod(n, MAX_LANES)
        outer, d = Var(f"{s.var.name}_outer", s.var.dtype), s.var.dtype
        self.analyzer.bind(outer, 0, whole - 1)
        start = minimum + outer * MAX_LANES
        vector = Widener(s.var, start, MAX_LANES, s.body, self.analyzer)(s.body)
        main = For(outer, const(0, d), const(whole, d), ForKind.SERIAL, vector)
        if not rest:
            return main
        start = minimum + whole * MAX_LANES
        return seq(main, self(For(s.var, start, const(rest, d), ForKind.VECTORIZED, s.body)))

    def _piece(self, s: For, start: Expr, lanes: int) -> Stmt:
        if lanes == 1:
            return self(substitute(s.body, {s.var: self.analyzer.simplify(start)}))
        return Widener(s.var, start, lanes, s.body, self.analyzer)(s.body)

    def _native(self, body: Stmt) -> int:
        """How many lanes of the widest elements that ``body`` touches are a register; 0 where the
        language has vectors of its own lengths."""
        if self.target.max_lanes:
            return 0
        touched = (n.buffer.dtype for n in walk(body) if isinstance(n, Load | Store))
        return min((self.target.lanes(d) for d in touched), default=0)


def pieces(n: int, native: int) -> list[int]:
    """``n`` lanes as powers of two, the longest first, down to registers of ``native`` lanes and a
    rest that is less than one. LLVM makes the next power of two of a vector of 28 lanes, keeps it
    in memory (a slot on the stack is promoted to registers only if it is as long as its type), and
    is ten times slower than with 16, 8 and 4.

    >>> pieces(28, 8)
    [16, 8, 4]
    """
    parts = []
    while native and n > native:
        parts.append(1 << (n.bit_length() - 1))
        n -= parts[-1]
    return [*parts, n] if n else parts
