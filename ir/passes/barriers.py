"""``insert_barriers``: threads of a workgroup wait for each other around shared memory.

    shared[tx] = A[tx]                       shared[tx] = A[tx]
    B[tx] = shared[63 - tx]          ->      barrier("shared")
                                             B[tx] = shared[63 - tx]

Two accesses clash if one of them writes and two threads may meet in a cell (``cells.py`` proves
where they cannot: a thread may read its own cells at once, and distinct iterations of a copy write
distinct cells). Every path from an access to one that it clashes with has a barrier.

Statements are looked at from inside outwards. What is left of one are the accesses that happen
before its first barrier (``enter``) and after its last one (``leave``). In a sequence, a barrier is
put in front of the whole statement that clashes with what came before, not inside of its loops and
branches; in a loop whose end clashes with its own beginning, at the beginning. So a tiled product
has two barriers for each tile, before and after the copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from ...runtime.errors import LoweringError
from ..alu import Op
from ..expr import Binary, Expr, Load, Var, as_int
from ..simplify import Analyzer
from ..stmt import (
    Alloc,
    Barrier,
    Buffer,
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
from ..visit import substitute, walk
from .cells import Access, Forms, own_cells
from .guards import conjuncts

# That are written down in one kernel. Compilers for processors take its regions apart and copy what
# lives across each: PoCL needs minutes for some hundreds, and then runs out of its stack.
MOST_BARRIERS = 128


def insert_barriers(f: Function, target: Target) -> Function:
    """Put barriers where threads exchange values through ``"shared"`` buffers.

    Raises
    ------
    LoweringError : a barrier is needed where only some of the threads arrive, or there are more
        than :data:`MOST_BARRIERS`.
    """
    if not any(isinstance(s, Alloc) and s.buffer.scope == "shared" for s in walk(f.body)):
        return f
    body = _Sync(f.body).visit(f.body)[0]
    count = sum(isinstance(s, Barrier) for s in walk(body))
    if count > MOST_BARRIERS:
        raise LoweringError(
            f"the kernel would have {count} barriers, and {MOST_BARRIERS} are the most that "
            "drivers take: a loop that fills shared memory was unrolled.",
            where=f"insert_barriers, {f.name}",
            hint="let that loop run: unroll the ones inside of it",
        )
    return f.with_body(body)


def check_barriers(f: Function) -> Stmt | None:
    """The first statement that needs a barrier in front of it and has none; None if all is well.

    Raises
    ------
    LoweringError : a barrier, there or needed, stands where only some of the threads arrive.
    """
    if not any(map(_synchronises, walk(f.body))):
        return None
    sync = _Sync(f.body)
    sync.visit(f.body)
    return sync.missing[0] if sync.missing else None


def _synchronises(n: Stmt | Expr) -> bool:
    if isinstance(n, Alloc | Load | Store):
        return n.buffer.scope == "shared"
    return isinstance(n, Barrier)


@dataclass
class _Flow:
    """Accesses before the first barrier of a statement and after its last one. Where not every way
    through it ``waits`` at a barrier, ``enter`` and ``leave`` may have accesses in common, and what
    came before it may clash with what comes after."""

    enter: list[Access] = field(default_factory=list)
    leave: list[Access] = field(default_factory=list)
    waits: bool = False

    def then(self, other: _Flow) -> _Flow:
        """This and then the other."""
        enter = self.enter if self.waits else _union(self.enter, other.enter)
        leave = other.leave if other.waits else _union(self.leave, other.leave)
        return _Flow(enter, leave, self.waits or other.waits)


def _union(a: list[Access], b: list[Access]) -> list[Access]:
    if not a or not b:
        return a or b
    known = {id(x) for x in a}
    return [*a, *(x for x in b if id(x) not in known)]


class _Sync:
    def __init__(self, body: Stmt) -> None:
        self.analyzer = Analyzer()
        self.tag_of: dict[Var, str] = {}
        self.forms = Forms(self.analyzer, self.tag_of)
        self.tags = _threads(body)
        self.names: dict[Var, Expr] = {}  # what lets stand for
        self.fixed: dict[str, int] = {}  # hardware indices that guards around allow one value of
        self.around: frozenset[Var] = frozenset()  # loops: one iteration at a time
        self.varying: set[Var] = set()  # variables that differ between threads
        self.divergent: Stmt | None = None  # the branch or loop that only some threads take
        self.missing: list[Stmt] = []
        self.clashing: dict[tuple[int, int, frozenset[Var]], bool] = {}
        self.alive: list[Access] = []  # those that are not in ``seen``: ids stay theirs
        self.seen: dict[tuple, Access] = {}

    # ------------------------------------------------------------------ accesses

    def _accesses(self, s: Stmt, exprs: Iterable[Expr | None]) -> list[Access]:
        """The loads of shared memory in the expressions of a statement."""
        loads = [
            e
            for x in exprs
            if x is not None
            for e in walk(x)
            if isinstance(e, Load) and e.buffer.scope == "shared"
        ]
        return [self._access(s, e.buffer, e.indices[-1], False) for e in loads]

    def _access(self, s: Stmt, b: Buffer, index: Expr, writes: bool) -> Access:
        if any(v in self.names for v in walk(index)):
            index = substitute(index, self.names)
        form = self.forms.of(index, self.fixed)
        if form is None:
            made = Access(b, writes, s, None, self.fixed)
            self.alive.append(made)
            return made
        key = b, writes, form.key, tuple(sorted(self.fixed.items()))
        if key not in self.seen:  # copies of an unrolled loop read much the same
            self.seen[key] = Access(b, writes, s, form, self.fixed)
        return self.seen[key]

    def _clash(self, before: list[Access], after: list[Access], same: frozenset[Var]):
        """The first access that clashes with one before it, else None."""
        for b in after:
            for a in before:
                if a.buffer is not b.buffer or not (a.writes or b.writes):
                    continue
                key = id(a), id(b), same
                known = self.clashing.get(key)
                if known is None:
                    known = self.clashing[key] = not own_cells(a, b, self.tags, same)
                if known:
                    return b
        return None

    def _barrier(self, at: Stmt, missing: bool = True) -> Barrier:
        if missing:
            self.missing.append(at)
        if self.divergent is not None:
            raise LoweringError(
                "a barrier would stand where only some threads of the workgroup arrive, "
                f"before\n{at}\nin\n{self.divergent}",
                where="insert_barriers",
                hint="fill shared memory outside of conditions on threadIdx: guard the value, "
                "not the statement",
            )
        return Barrier()

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

    def visit(self, s: Stmt) -> tuple[Stmt, _Flow]:
        return _VISIT[type(s)](self, s)

    def store(self, s: Store) -> tuple[Stmt, _Flow]:
        found = self._accesses(s, (*s.indices, s.value, s.predicate))
        if s.buffer.scope == "shared":
            found.append(self._access(s, s.buffer, s.indices[-1], True))
        return s, _Flow(found, found)

    def prefetch(self, s: Prefetch) -> tuple[Stmt, _Flow]:
        return s, _Flow()

    def foreign(self, s: ForeignCall) -> tuple[Stmt, _Flow]:
        """Where in a buffer it reads and writes is not known."""
        found = self._accesses(s, [a for a, m in zip(s.args, s.modes) if m == "value"])
        for a, m in zip(s.args, s.modes):
            if m != "value" and isinstance(a, Load) and a.buffer.scope == "shared":
                found.append(Access(a.buffer, m == "out", s, None, self.fixed))
        self.alive += found
        return s, _Flow(found, found)

    def barrier(self, s: Barrier) -> tuple[Stmt, _Flow]:
        self._barrier(s, missing=False)
        return s, _Flow(waits=True)

    def sequence(self, s: Seq) -> tuple[Stmt, _Flow]:
        flow, new, same = _Flow(), [], True
        for c in s.stmts:
            made, own = self.visit(c)
            clash = self._clash(flow.leave, own.enter, self.around)
            if clash is not None:
                new.append(self._barrier(clash.statement))
                flow = flow.then(_Flow(waits=True))
            flow = flow.then(own)
            new.append(made)
            same = same and clash is None and made is c
        return s if same else seq(*new), flow

    def _after(self, s: Stmt, found: list[Access], body: Stmt) -> tuple[Stmt, _Flow]:
        """``body``, the beginning of which comes after the accesses ``found`` of ``s`` itself."""
        new, own = self.visit(body)
        clash = self._clash(found, own.enter, self.around)
        flow = _Flow(found, found)
        if clash is not None:
            new = seq(self._barrier(clash.statement), new)
            flow = flow.then(_Flow(waits=True))
        return new, flow.then(own)

    def let(self, s: Let) -> tuple[Stmt, _Flow]:
        if self._differs(s.value):
            self.varying.add(s.var)
        if s.value.dtype.is_int and s.value.dtype.lanes == 1:
            self.names[s.var] = substitute(s.value, self.names)
        body, flow = self._after(s, self._accesses(s, (s.value,)), s.body)
        return s if body is s.body else Let(s.var, s.value, body), flow

    def alloc(self, s: Alloc) -> tuple[Stmt, _Flow]:
        body, flow = self.visit(s.body)
        return s if body is s.body else Alloc(s.buffer, body), flow

    def branch(self, s: If) -> tuple[Stmt, _Flow]:
        found = self._accesses(s, (s.cond,))
        outer, fixed = self.divergent, self.fixed
        if self._differs(s.cond):
            self.divergent = outer or s
            self.fixed = {**fixed, **self._fixes(s.cond)}
        with ExitStack() as narrower:
            for v, n in self._limits(s.cond):
                narrower.enter_context(self.analyzer.bound(v, 0, n - 1))
            then, flow = self._after(s, found, s.then)
        self.fixed = fixed
        other, rest = s.otherwise, _Flow(found, found)
        if s.otherwise is not None:
            other, rest = self._after(s, found, s.otherwise)
        self.divergent = outer
        same = then is s.then and other is s.otherwise
        both = _Flow(
            _union(flow.enter, rest.enter),
            _union(flow.leave, rest.leave),
            flow.waits and rest.waits,
        )
        return s if same else If(s.cond, then, other, s.likely), both

    def _fixes(self, cond: Expr) -> dict[str, int]:
        """Hardware indices that have one value where ``cond`` holds."""
        found: dict[str, int] = {}
        for c in conjuncts(cond):
            if isinstance(c, Binary) and isinstance(c.a, Var) and c.a in self.tag_of:
                n = as_int(c.b)
                if n is None:
                    continue
                if c.op is Op.EQ:
                    found[self.tag_of[c.a]] = n
                elif (c.op is Op.LT and n == 1) or (c.op is Op.LE and n == 0):
                    found[self.tag_of[c.a]] = 0
        return found

    def _limits(self, cond: Expr) -> Iterator[tuple[Var, int]]:
        """Hardware indices that are less than a number where ``cond`` holds."""
        for c in conjuncts(cond):
            if isinstance(c, Binary) and c.op is Op.LT and isinstance(c.a, Var):
                n, known = as_int(c.b), self.analyzer.interval(c.a).hi
                if c.a in self.tag_of and n is not None and known is not None and 0 < n <= known:
                    yield c.a, n

    def loop(self, s: For) -> tuple[Stmt, _Flow]:
        found = self._accesses(s, (s.minimum, s.extent))
        self.analyzer.bind(s.var, s.minimum, s.minimum + (s.extent - 1))
        if s.kind is ForKind.BOUND:
            if s.tag.startswith("threadIdx"):
                self.tag_of[s.var] = s.tag
                self.varying.add(s.var)
            body, flow = self._after(s, found, s.body)
            return s if body is s.body else replace(s, body=body), flow
        outer, around = self.divergent, self.around
        if self._differs(s.minimum, s.extent):
            self.varying.add(s.var)
            self.divergent = outer or s
        self.around = around | {s.var}
        body, flow = self.visit(s.body)
        self.around = around
        trips = as_int(s.extent)
        if trips is None or trips > 1:
            clash = self._clash(flow.leave, flow.enter, around)
            if clash is not None:
                body = seq(self._barrier(clash.statement), body)
                flow = _Flow([], flow.leave, True)
        limits = _Flow(found, found)
        clash = self._clash(found, flow.enter, around)
        self.divergent = outer
        if trips is None or trips < 1:  # perhaps none
            flow.waits = False
        new = s if body is s.body else replace(s, body=body)
        if clash is not None:
            raise LoweringError(
                f"how often a loop runs depends on shared memory that it writes:\n{s}",
                where="insert_barriers",
            )
        return new, limits.then(flow)


def _threads(body: Stmt) -> set[str]:
    """The hardware indices of a workgroup of which there is more than one."""
    return {
        s.tag
        for s in walk(body)
        if isinstance(s, For)
        and s.kind is ForKind.BOUND
        and s.tag.startswith("threadIdx")
        and as_int(s.extent) != 1
    }


_VISIT = {
    Store: _Sync.store,
    Barrier: _Sync.barrier,
    Prefetch: _Sync.prefetch,
    ForeignCall: _Sync.foreign,
    Seq: _Sync.sequence,
    Let: _Sync.let,
    Alloc: _Sync.alloc,
    If: _Sync.branch,
    For: _Sync.loop,
}
