"""``interleave_vthreads``: what a loop bound to ``"vthread"`` does, statement by statement.

    for v in vthread, 0..2:                      alloc acc[2]
        alloc acc[1]                             for v in unrolled, 0..2: acc[v] = 0.0
        acc[0] = 0.0                       ->    for k: S[tx] = A[k, tx]
        for k:                                       for v in unrolled, 0..2: acc[v] += S[tx + v]
            S[tx] = A[k, tx]                     for v in unrolled, 0..2: B[v, tx] = acc[v]
            acc[0] += S[tx + v]
        B[v, tx] = acc[0]

A virtual thread is work that a thread does besides its own. The loop is pushed inwards: what is
alike for all virtual threads (a copy into shared memory) happens once, what they compute each for
themselves one after another, in storage of its own. So the iterations of one thread may lie far
apart, without bank conflicts, and their instructions are independent of each other (Chen et al.,
"TVM", OSDI'18, §4.4). It needs no hardware, so that it is there on every target.
"""

from __future__ import annotations

from dataclasses import replace

from ...runtime.errors import LoweringError
from ..expr import ZERO, Expr, Load, Var, as_int, const
from ..layout import Digit, Layout
from ..schedule.loops import VTHREAD
from ..stmt import (
    Alloc,
    Buffer,
    For,
    ForeignCall,
    ForKind,
    Function,
    If,
    Let,
    Seq,
    Stmt,
    Store,
    seq,
)
from ..target import Target
from ..visit import Mutator, children, walk, written_by


def interleave_vthreads(f: Function, target: Target) -> Function:
    """Replace every loop bound to ``"vthread"``.

    Raises
    ------
    LoweringError : the number of virtual threads is not a constant.
    """
    if not any(isinstance(s, For) and s.tag == VTHREAD for s in walk(f.body)):
        return f
    return f.with_body(_Vthreads()(f.body))


class _Vthreads(Mutator):
    def visit_For(self, s: For) -> Stmt:
        new = self.rebuild(s)  # inner ones first
        if new.tag != VTHREAD:
            return new
        count = as_int(new.extent)
        if count is None:
            raise LoweringError(
                f"the loop {s.var.name} bound to vthread has the extent {s.extent}, which is known "
                "only when the kernel runs.",
                where="interleave_vthreads",
                hint="split the axis with nparts=… and bind the outer loop",
            )
        return _Interleave(new.var, count, new.body).stmt(new.body)


class _Interleave:
    """Pushes the loop over the virtual threads ``v`` into ``body``."""

    def __init__(self, v: Var, count: int, body: Stmt):
        self.v, self.count = v, count
        inside = {n.buffer for n in walk(body) if isinstance(n, Alloc)}
        self.own: set[Buffer] = set()  # buffers that virtual threads see different values in
        self.varying: set[Var] = {v}
        size = -1
        while size != len(self.own) + len(self.varying):
            size = len(self.own) + len(self.varying)
            self._find(body, False, inside)
        self.copies = {b: self._one_each(b) for b in self.own}

    def _find(self, s: Stmt, behind: bool, inside: set[Buffer]) -> None:
        """Add to ``own`` and ``varying``; ``behind`` control on which virtual threads differ."""
        if isinstance(s, Store | ForeignCall):
            if behind or self._differs(*(c for c in children(s) if isinstance(c, Expr))):
                self.own |= inside.intersection(written_by(s))
        elif isinstance(s, For):
            differs = self._differs(s.minimum, s.extent)
            if differs:
                self.varying.add(s.var)
            self._find(s.body, behind or differs, inside)
        elif isinstance(s, Let):
            if self._differs(s.value):
                self.varying.add(s.var)
            self._find(s.body, behind, inside)
        elif isinstance(s, If):
            behind = behind or self._differs(s.cond)
            self._find(s.then, behind, inside)
            if s.otherwise is not None:
                self._find(s.otherwise, behind, inside)
        elif isinstance(s, Alloc):
            self._find(s.body, behind, inside)
        elif isinstance(s, Seq):
            for c in s.stmts:
                self._find(c, behind, inside)

    def _differs(self, *exprs: Expr | None) -> bool:
        """Whether virtual threads may see different values."""
        for x in exprs:
            for e in walk(x) if x is not None else ():
                if isinstance(e, Var) and e in self.varying:
                    return True
                if isinstance(e, Load) and e.buffer in self.own:
                    return True
        return False

    def _one_each(self, b: Buffer) -> Buffer:
        layout = b.layout
        if layout is not None:
            moved = tuple(
                tuple(d._replace(axis=d.axis + 1) for d in physical) for physical in layout.axes
            )
            layout = Layout((self.count, *layout.shape), ((Digit(0, 1, self.count),), *moved))
        return replace(b, shape=(const(self.count), *b.shape), layout=layout)

    # ------------------------------------------------------------------ statements

    def stmt(self, s: Stmt) -> Stmt:
        """``s`` for all virtual threads."""
        if not self._concerns(s):
            return s
        if isinstance(s, Seq):
            return seq(*map(self.stmt, s.stmts))
        if self._alike(s):
            new = {
                name: self.stmt(part)
                for name in ("body", "then", "otherwise")
                if isinstance(part := getattr(s, name, None), Stmt)
            }
            if isinstance(s, Alloc):
                return Alloc(self.copies.get(s.buffer, s.buffer), new["body"])
            return replace(s, **new)  # type: ignore[type-var]
        held = {n.buffer for n in walk(s) if isinstance(n, Alloc)}
        body = _OwnStorage({b: c for b, c in self.copies.items() if b not in held}, self.v)(s)
        return For(self.v, ZERO, const(self.count), ForKind.UNROLLED, body)

    def _alike(self, s: Stmt) -> bool:
        """Whether ``s`` is a scope or control that virtual threads run through together."""
        if isinstance(s, Let):
            return not self._differs(s.value)
        if isinstance(s, If):
            return not self._differs(s.cond)
        if isinstance(s, For):
            return s.kind is not ForKind.VECTORIZED and not self._differs(s.minimum, s.extent)
        return isinstance(s, Alloc)

    def _concerns(self, s: Stmt) -> bool:
        """Whether virtual threads do different things in ``s``."""
        return any(
            isinstance(n, ForeignCall)  # once for each of them
            or (isinstance(n, Var) and n in self.varying)
            or (isinstance(n, Load | Store | Alloc) and n.buffer in self.own)
            for n in walk(s)
        )


class _OwnStorage(Mutator):
    """Accesses to what each virtual thread has for itself."""

    def __init__(self, copies: dict[Buffer, Buffer], v: Var):
        super().__init__()
        self.copies, self.v = copies, v

    def visit_Load(self, e: Load) -> Expr:
        new = self.rebuild(e)
        own = self.copies.get(e.buffer)
        return new if own is None else Load(own, (self.v, *new.indices), new.predicate)

    def visit_Store(self, s: Store) -> Stmt:
        new = self.rebuild(s)
        own = self.copies.get(s.buffer)
        if own is None:
            return new
        return Store(own, (self.v, *new.indices), new.value, new.predicate)
