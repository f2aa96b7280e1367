"""``unroll_loops``: the iterations of an unrolled loop one after another.

    for j in unrolled(0, 2):          acc[i * 2] = 0.0
        acc[i * 2 + j] = 0.0    ->    acc[i * 2 + 1] = 0.0

A serial loop with a constant extent is unrolled too where an enclosing loop (or it itself) carries
the pragma ``unroll_max`` and at most that many stores come out.
"""

from __future__ import annotations

from collections.abc import Callable

from ...runtime.dtype import INT32, DType
from ...runtime.errors import LoweringError
from ..expr import Binary, Call, Const, Expr, Load, Select, Var, as_int
from ..stmt import (
    Barrier,
    For,
    ForeignCall,
    ForKind,
    Function,
    If,
    Let,
    Prefetch,
    Seq,
    Stmt,
    Store,
    seq,
)
from ..target import Target
from ..visit import children, walk
from .scoped import ScopedMutator, trip_count

# More straight-line code than this no instruction cache or compiler bears: LLVM takes ten seconds
# for it. A vector counts as often as it takes registers.
MAX_STATEMENTS = 4096
MAX_OPERATIONS = 1 << 15
# Operations that a function, which the math pass writes out later, counts for, by bits of a float.
FUNCTION = {16: 40, 32: 40, 64: 80}


def unroll_loops(f: Function, target: Target) -> Function:
    """Expand every UNROLLED loop, and small loops under the pragma ``unroll_max``.

    Raises
    ------
    LoweringError : the extent is not a constant, or more than 4096 statements or 32768 operations
    would come out of all unrolled loops together.
    """
    return f.with_body(_Unroll(target)(f.body))


class _Unroll(ScopedMutator):
    """One descent with the values of all unrolled variables, so that every statement that comes out
    is built once; only indices and conditions in which a variable was replaced are simplified."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.register = target.vector_bits
        self.made = {"statements": 0, "operations": 0}  # by the loops unrolled so far
        self.values: dict[Var, Expr] = {}
        self.limit = 0  # of the pragma unroll_max in force

    def visit_Var(self, v: Var) -> Expr:
        return self.values.get(v, v)

    visit_IterVar = visit_Var

    def visit_For(self, s: For) -> Stmt:
        outer = self.limit
        pragma = s.pragmas.get("unroll_max")
        if isinstance(pragma, int):
            self.limit = pragma
        try:
            if s.kind is ForKind.UNROLLED or self._is_small(s):
                return self._expand(s)
            return self._keep(s)
        finally:
            self.limit = outer

    def _is_small(self, s: For) -> bool:
        if s.kind is not ForKind.SERIAL or self.limit <= 0:
            return False
        count = _size(s, _is_statement, serial_too=True)
        return count is not None and count <= self.limit

    def _keep(self, s: For) -> Stmt:
        lo, n = self._simpler(s.minimum), self._simpler(s.extent)
        self.bind_loop(s.var, lo, n)
        body = self(s.body)
        if lo is s.minimum and n is s.extent and body is s.body:
            return s
        return For(s.var, lo, n, s.kind, body, s.tag, s.pragmas)

    def _expand(self, s: For) -> Stmt:
        lo, extent = self._simpler(s.minimum), self._simpler(s.extent)
        n = as_int(extent)
        if n is None:
            raise LoweringError(
                f"the extent {s.extent} of the unrolled loop {s.var.name} is not a constant:\n{s}",
                where="unroll_loops",
                hint="split the axis by a constant factor and unroll the inner part",
            )
        if not self.values:  # the outermost one counts for those inside
            self._check_size(s)
        bodies = []
        for k in range(n):
            self.values[s.var] = lo + k
            bodies.append(self(s.body))
        self.values.pop(s.var, None)
        return bodies[0] if n == 1 else seq(*bodies)

    def _check_size(self, s: For) -> None:
        for what, weight, limit in (
            ("statements", self._stores, MAX_STATEMENTS),
            ("operations", self._operations, MAX_OPERATIONS),
        ):
            own = _size(s, weight, serial_too=False) or 0
            self.made[what] += own
            count = self.made[what]
            if count > limit:
                stored = {n.buffer.name: None for n in walk(s.body) if isinstance(n, Store)}
                before = f" with the {count - own} of loops before it" if count > own else ""
                raise LoweringError(
                    f"unrolling the loop {s.var.name} of {', '.join(stored)} makes {own} {what}"
                    f"{before}; the limit is {limit}, a vector counted by its registers:\n{s}",
                    where="unroll_loops",
                    hint="unroll a smaller tile: split the axis and unroll the inner part only",
                )

    def _registers(self, d: DType) -> int:
        return -(-d.lanes * max(d.bits, 8) // max(self.register, d.bits))

    def _stores(self, s: Stmt) -> int:
        return self._registers(s.value.dtype) if isinstance(s, Store) else _is_statement(s)

    def _operations(self, s: Stmt) -> int:
        """What the value of a statement is computed by, indices left out."""
        if not isinstance(s, Store | Let):
            return 0
        return sum(
            FUNCTION.get(n.dtype.bits, 1) * self._registers(n.dtype)
            if isinstance(n, Call)
            else isinstance(n, Binary | Select)
            and n.dtype.with_lanes(1) != INT32
            and self._registers(n.dtype)
            for n in walk(s.value)
        )

    def _simpler(self, e: Expr) -> Expr:
        new = self(e)
        return e if new is e else self.analyzer.simplify(new)

    def visit_Load(self, e: Load) -> Expr:
        idx = tuple(map(self._simpler, e.indices))
        p = None if e.predicate is None else self._simpler(e.predicate)
        if p is e.predicate and all(a is b for a, b in zip(idx, e.indices)):
            return e
        return Load(e.buffer, idx, p)

    def visit_Select(self, e: Select) -> Expr:
        c = self._simpler(e.cond)
        if c is not e.cond and isinstance(c, Const):
            return self(e.if_true if c.value else e.if_false)
        t, f = self(e.if_true), self(e.if_false)
        same = c is e.cond and t is e.if_true and f is e.if_false
        return e if same else Select(c, t, f)

    def visit_Store(self, s: Store) -> Stmt:
        idx = tuple(map(self._simpler, s.indices))
        p = None if s.predicate is None else self._simpler(s.predicate)
        value = self(s.value)
        same = value is s.value and p is s.predicate
        if same and all(a is b for a, b in zip(idx, s.indices)):
            return s
        return Store(s.buffer, idx, value, p)

    def visit_Prefetch(self, s: Prefetch) -> Stmt:
        idx = tuple(map(self._simpler, s.indices))
        return s if all(a is b for a, b in zip(idx, s.indices)) else Prefetch(s.buffer, idx)

    def visit_Seq(self, s: Seq) -> Stmt:
        new = self.rebuild(s)
        return s if new is s else seq(*new.stmts)

    def visit_If(self, s: If) -> Stmt:
        c = self._simpler(s.cond)
        if c is not s.cond and isinstance(c, Const):
            taken = s.then if c.value else s.otherwise
            return Seq(()) if taken is None else self(taken)
        then = self(s.then)
        other = None if s.otherwise is None else self(s.otherwise)
        same = c is s.cond and then is s.then and other is s.otherwise
        return s if same else If(c, then, other, s.likely)

    def visit_Let(self, s: Let) -> Stmt:
        value = self._simpler(s.value)
        if value is not s.value and isinstance(value, Const):
            self.values[s.var] = value
            return self(s.body)
        self.bind_let(s.var, value)
        body = self(s.body)
        return s if value is s.value and body is s.body else Let(s.var, value, body)


def _is_statement(s: Stmt) -> int:
    return isinstance(s, Store | Barrier | ForeignCall)


def _size(s: Stmt, weight: Callable[[Stmt], int], serial_too: bool) -> int | None:
    """The ``weight`` of all statements in ``s`` once its unrolled loops are expanded, with
    ``serial_too`` the serial ones as well; None where one of those has no constant extent or is
    neither."""
    if isinstance(s, Store | Barrier | ForeignCall):
        return weight(s)
    times = 1
    if isinstance(s, For) and (serial_too or s.kind is ForKind.UNROLLED):
        n = trip_count(s)
        if n is None or s.kind not in (ForKind.SERIAL, ForKind.UNROLLED):
            return None
        times = n
    total = weight(s)
    for c in children(s):
        if isinstance(c, Stmt):
            inner = _size(c, weight, serial_too)
            if inner is None:
                return None
            total += inner
    return total * times
