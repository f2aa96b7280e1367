"""``insert_barriers``: threads of a workgroup wait for each other around shared memory.

    shared[tx] = A[tx]                       shared[tx] = A[tx]
    B[tx] = shared[63 - tx]          ->      barrier("shared")
                                             B[tx] = shared[63 - tx]

Between two barriers a shared buffer is only read or only written. Walking in order of execution, a
barrier is put in front of a statement that reads what was written, or writes what was read or
written, since the last one. A serial loop is walked a second time with what its own end left, so
that the step from the end of an iteration to the next one is covered.
"""

from __future__ import annotations

from ...runtime.errors import LoweringError
from ..expr import Expr, Load, Var
from ..stmt import (
    Alloc,
    Barrier,
    Buffer,
    For,
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
from ..visit import walk


def insert_barriers(f: Function, target: Target) -> Function:
    """Put barriers where threads exchange values through ``"shared"`` buffers.

    Raises
    ------
    LoweringError : a barrier is needed where only some of the threads arrive.
    """
    if not any(isinstance(s, Alloc) and s.buffer.scope == "shared" for s in walk(f.body)):
        return f
    return f.with_body(_Sync().visit(f.body))


def check_barriers(f: Function) -> Stmt | None:
    """The first statement that needs a barrier in front of it and has none; None if all is well.

    Raises
    ------
    LoweringError : a barrier, there or needed, stands where only some of the threads arrive.
    """
    if not any(map(_synchronises, walk(f.body))):
        return None  # nested loops are walked twice at every level: not for nothing
    sync = _Sync()
    sync.visit(f.body)
    return sync.missing[0] if sync.missing else None


def _synchronises(n: Stmt | Expr) -> bool:
    if isinstance(n, Alloc | Load | Store):
        return n.buffer.scope == "shared"
    return isinstance(n, Barrier)


class _Sync:
    def __init__(self) -> None:
        self.read: set[Buffer] = set()
        self.written: set[Buffer] = set()  # since the last barrier
        self.varying: set[Var] = set()  # variables that differ between threads
        self.divergent: Stmt | None = None  # the branch or loop that only some threads take
        self.missing: list[Stmt] = []

    # ------------------------------------------------------------------ accesses

    def _reads(self, *exprs: Expr | None) -> set[Buffer]:
        return {
            e.buffer
            for x in exprs
            if x is not None
            for e in walk(x)
            if isinstance(e, Load) and e.buffer.scope == "shared"
        }

    def _before(self, s: Stmt, reads: set[Buffer], writes: set[Buffer]) -> bool:
        """Note accesses of ``s``; True when a barrier is needed in front of it."""
        clash = bool(reads & self.written or writes & (self.read | self.written))
        if clash:
            self.missing.append(s)
            self._barrier(s)
        self.read |= reads
        self.written |= writes
        return clash

    def _barrier(self, at: Stmt) -> None:
        if self.divergent is not None:
            raise LoweringError(
                "a barrier would stand where only some threads of the workgroup arrive, "
                f"before\n{at}\nin\n{self.divergent}",
                where="insert_barriers",
                hint="fill shared memory outside of conditions on threadIdx: guard the value, "
                "not the statement",
            )
        self.read, self.written = set(), set()

    def _differs(self, *exprs: Expr) -> bool:
        """Whether threads may see different values."""
        for x in exprs:
            for e in walk(x):
                if isinstance(e, Var) and e in self.varying:
                    return True
                if isinstance(e, Load) and e.buffer.scope == "local":
                    return True
        return False

    # ------------------------------------------------------------------ statements

    def visit(self, s: Stmt) -> Stmt:
        return _VISIT[type(s)](self, s)

    def store(self, s: Store) -> Stmt:
        reads = self._reads(*s.indices, s.value, s.predicate)
        writes = {s.buffer} if s.buffer.scope == "shared" else set()
        return seq(Barrier(), s) if self._before(s, reads, writes) else s

    def prefetch(self, s: Prefetch) -> Stmt:
        return s

    def barrier(self, s: Barrier) -> Stmt:
        self._barrier(s)
        return s

    def sequence(self, s: Seq) -> Stmt:
        new = [self.visit(c) for c in s.stmts]
        return s if all(a is b for a, b in zip(new, s.stmts)) else seq(*new)

    def let(self, s: Let) -> Stmt:
        clash = self._before(s, self._reads(s.value), set())
        if self._differs(s.value):
            self.varying.add(s.var)
        body = self.visit(s.body)
        new = s if body is s.body else Let(s.var, s.value, body)
        return seq(Barrier(), new) if clash else new

    def alloc(self, s: Alloc) -> Stmt:
        body = self.visit(s.body)
        return s if body is s.body else Alloc(s.buffer, body)

    def branch(self, s: If) -> Stmt:
        clash = self._before(s, self._reads(s.cond), set())
        clash |= self._enter(s, self._differs(s.cond))
        outer = self.divergent
        if self._differs(s.cond):
            self.divergent = outer or s
        start = set(self.read), set(self.written)
        then = self.visit(s.then)
        ended = self.read, self.written
        self.read, self.written = start
        other = None if s.otherwise is None else self.visit(s.otherwise)
        self.read |= ended[0]
        self.written |= ended[1]
        self.divergent = outer
        same = then is s.then and other is s.otherwise
        new = s if same else If(s.cond, then, other, s.likely)
        return seq(Barrier(), new) if clash else new

    def loop(self, s: For) -> Stmt:
        clash = self._before(s, self._reads(s.minimum, s.extent), set())
        if s.kind is ForKind.BOUND:
            if s.tag.startswith("threadIdx"):
                self.varying.add(s.var)
            body = self.visit(s.body)
            new = s if body is s.body else _with_body(s, body)
            return seq(Barrier(), new) if clash else new
        differs = self._differs(s.minimum, s.extent)
        if differs:
            self.varying.add(s.var)
        clash |= self._enter(s, differs)
        outer = self.divergent
        if differs:
            self.divergent = outer or s
        body = self._twice(s.body)
        self.divergent = outer
        new = s if body is s.body else _with_body(s, body)
        return seq(Barrier(), new) if clash else new

    def _twice(self, body: Stmt) -> Stmt:
        """The body of a loop, synchronised with its own previous iteration too."""
        start, missing = (set(self.read), set(self.written)), list(self.missing)
        self.visit(body)
        self.missing = missing
        self.read |= start[0]
        self.written |= start[1]
        return self.visit(body)

    def _enter(self, s: Stmt, differs: bool) -> bool:
        """In front of divergent control: its accesses count at its start, where all arrive."""
        if not differs or self.divergent is not None:
            return False
        reads, writes = set(), set()
        for n in walk(s):
            if isinstance(n, Load | Store) and n.buffer.scope == "shared":
                (reads if isinstance(n, Load) else writes).add(n.buffer)
        clash = bool(reads & self.written or writes & (self.read | self.written))
        if clash:
            self.missing.append(s)
            self._barrier(s)
        return clash


def _with_body(s: For, body: Stmt) -> For:
    return For(s.var, s.minimum, s.extent, s.kind, body, s.tag, s.pragmas)


_VISIT = {
    Store: _Sync.store,
    Barrier: _Sync.barrier,
    Prefetch: _Sync.prefetch,
    Seq: _Sync.sequence,
    Let: _Sync.let,
    Alloc: _Sync.alloc,
    If: _Sync.branch,
    For: _Sync.loop,
}
