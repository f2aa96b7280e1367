"""Is a loop nest well formed? Run after lowering, and after every pass with ``WEFT_DEBUG=3``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ..runtime.errors import LoweringError
from .expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Expr,
    IterVar,
    Load,
    Ramp,
    Read,
    Reduce,
    Reinterpret,
    Select,
    Unary,
    Var,
)
from .intrin import INTRINSICS
from .passes.barriers import check_barriers
from .passes.storage import MEMORY_SCOPES
from .stmt import (
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
)
from .visit import children, walk


def verify(f: Function, *, flat: bool, after: str = "") -> None:
    """Check a function; the message names the pass (``after``) and prints the statement.

    Every variable and buffer is declared once before it is used, types and lanes agree, only what
    may be written is written. With ``flat`` (the end of lowering) also: buffers in memory have one
    axis and no layout, no vectorized or unrolled loop is left, and threads that exchange values
    through shared memory have a barrier in between.

    Raises
    ------
    LoweringError
    """
    check = _Verifier(f, flat, after)
    check.function()
    if flat:
        missing = check_barriers(f)
        if missing is not None:
            check.fail(
                "a barrier is missing: threads read or overwrite shared memory that others "
                "wrote or read",
                missing,
            )


class _Verifier:
    def __init__(self, f: Function, flat: bool, after: str):
        self.f, self.flat = f, flat
        self.where = f"verify {f.name}" + (f" after {after}" if after else "")
        self.vars: set[Var] = set()
        self.buffers: set[Buffer] = set()
        self.writable: set[Buffer] = set(f.writes)
        self.at: Stmt | None = None  # the statement that an expression belongs to

    def fail(self, message: str, s: Stmt | None = None) -> NoReturn:
        s = s if s is not None else self.at
        raise LoweringError(
            message + (f", in\n{s}" if s is not None else ""),
            where=self.where,
            hint="this is a mistake of a lowering pass; WEFT_DEBUG=3 tells which one",
        )

    # ------------------------------------------------------------------ declarations

    def function(self) -> None:
        f = self.f
        for p in f.params:
            if p in self.vars or p in self.buffers:
                self.fail(f"the parameter {p.name} is given twice")
            if isinstance(p, Var):
                self.vars.add(p)
            else:
                self.buffers.add(p)
        for b in f.buffers:
            self.buffer(b)
        if not f.writes <= set(f.params):
            self.fail("what is written must be a parameter")
        self.stmt(f.body)

    def buffer(self, b: Buffer) -> None:
        for n in b.shape:
            self.expr(n)
        if b.dtype.lanes != 1:
            self.fail(f"the buffer {b!r} has vectors as elements")
        if self.flat and b.scope in MEMORY_SCOPES and (len(b.shape) != 1 or b.layout is not None):
            self.fail(f"the buffer {b!r} is not flat")

    def declare(self, v: Var) -> bool:
        if v in self.vars:
            self.fail(f"the variable {v.name} is defined twice")
        self.vars.add(v)
        return True

    # ------------------------------------------------------------------ statements

    def stmt(self, s: Stmt) -> None:
        outer, self.at = self.at, s
        visit = _STMT.get(type(s))
        if visit is None:
            self.fail(f"{type(s).__name__} is not a statement")
        visit(self, s)
        self.at = outer

    def store(self, s: Store) -> None:
        if s.buffer not in self.writable:
            self.fail(f"{s.buffer.name} is written, but is neither a result nor allocated here")
        self.access(s)
        self.expr(s.value)
        lanes = max([i.dtype.lanes for i in s.indices], default=1)
        if s.value.dtype != s.buffer.dtype.with_lanes(lanes):
            self.fail(f"{s.value.dtype} is stored at {lanes} elements of {s.buffer!r}")

    def loop(self, s: For) -> None:
        self.scalar(s.minimum, "the lower limit of a loop", s.var)
        self.scalar(s.extent, "the extent of a loop", s.var)
        if self.flat and s.kind in (ForKind.VECTORIZED, ForKind.UNROLLED):
            self.fail(f"the {s.kind.value} loop {s.var.name} was left over")
        if (s.kind is ForKind.BOUND) != bool(s.tag):
            self.fail(f"a bound loop has a tag, and no other has: {s.kind.value}, {s.tag!r}")
        self.declare(s.var)
        self.stmt(s.body)
        self.vars.discard(s.var)

    def scalar(self, e: Expr, what: str, var: Var) -> None:
        self.expr(e)
        if e.dtype != var.dtype or not e.dtype.is_int or e.dtype.lanes != 1:
            self.fail(f"{what} over {var.name}: {var.dtype} is {e.dtype}")

    def branch(self, s: If) -> None:
        self.expr(s.cond)
        if not s.cond.dtype.is_bool or s.cond.dtype.lanes != 1:
            self.fail(f"the condition of an if is {s.cond.dtype}, not bool")
        self.stmt(s.then)
        if s.otherwise is not None:
            self.stmt(s.otherwise)

    def let(self, s: Let) -> None:
        named, inner = [], s  # hundreds may stand in a row
        while isinstance(inner, Let):
            v = inner.var
            self.expr(inner.value)
            if v.dtype != inner.value.dtype:
                self.fail(f"{v.name}: {v.dtype} stands for a value of type {inner.value.dtype}")
            self.declare(v)
            named.append(v)
            inner = inner.body
        self.stmt(inner)
        self.vars.difference_update(named)

    def alloc(self, s: Alloc) -> None:
        if s.buffer in self.buffers:
            self.fail(f"the buffer {s.buffer.name} is allocated twice")
        self.buffer(s.buffer)
        self.buffers.add(s.buffer)
        self.writable.add(s.buffer)
        self.stmt(s.body)
        self.buffers.discard(s.buffer)
        self.writable.discard(s.buffer)

    def sequence(self, s: Seq) -> None:
        for c in s.stmts:
            self.stmt(c)

    def barrier(self, s: Barrier) -> None:
        pass

    def prefetch(self, s: Prefetch) -> None:
        if s.buffer not in self.buffers:
            self.fail(f"the buffer {s.buffer.name} is used where it does not exist")
        for i in s.indices:
            self.expr(i)
            if not i.dtype.is_int or i.dtype.lanes != 1:
                self.fail(f"an index of a prefetch of {s.buffer.name} is {i.dtype}, not an int")

    def foreign(self, s: ForeignCall) -> None:
        for e, mode in zip(s.args, s.modes, strict=True):
            self.expr(e)
            if e.dtype.lanes != 1:
                self.fail(f"an argument of a call is {e.dtype}: {e}")
            if mode != "value" and not isinstance(e, Load):
                self.fail(f"an address is that of an element, not of {e}")
        for b in s.writes:
            if b not in self.writable:
                self.fail(f"{b.name} is written, but is neither a result nor allocated here")

    # ------------------------------------------------------------------ expressions

    def expr(self, e: Expr) -> None:
        for n in walk(e):
            check = _EXPR.get(type(n))
            if check is not None:
                check(self, n)

    def var(self, v: Var) -> None:
        if v not in self.vars:
            self.fail(f"the variable {v.name} is used where it is not defined")

    def access(self, a: Load | Store) -> None:
        b = a.buffer
        if b not in self.buffers:
            self.fail(f"the buffer {b.name} is used where it does not exist")
        if len(a.indices) != len(b.shape):
            self.fail(f"{b!r} has {len(b.shape)} axes and is accessed with {len(a.indices)}")
        for k, i in enumerate(a.indices):
            if isinstance(a, Store):
                self.expr(i)
            if i.dtype.kind != "int":
                self.fail(f"an index of {b.name} is {i.dtype}, not an int: {i}")
            if i.dtype.lanes > 1 and k + 1 < len(a.indices):
                self.fail(f"only the last index of {b.name} may be a vector: {i}")
        if a.predicate is None:
            return
        if isinstance(a, Store):
            self.expr(a.predicate)
        lanes = max([i.dtype.lanes for i in a.indices], default=1)
        p = a.predicate.dtype
        if not p.is_bool or p.lanes != lanes:
            self.fail(f"the predicate of {lanes} elements of {b.name} is {p}: {a.predicate}")

    def same_lanes(self, e: Unary | Binary | Cast | Reinterpret | Call) -> None:
        for c in children(e):
            assert isinstance(c, Expr)
            if c.dtype.lanes != e.dtype.lanes:
                self.fail(f"{c.dtype} and {e.dtype} differ in lanes: {e}")

    def call(self, e: Call) -> None:
        spec = INTRINSICS.get(e.name)
        if spec is None or len(e.args) != spec.arity:
            self.fail(f"{e.name} with {len(e.args)} arguments is not an intrinsic")
        if spec.result != "one":
            self.same_lanes(e)

    def select(self, e: Select) -> None:
        if e.cond.dtype.lanes not in (1, e.dtype.lanes):
            self.fail(f"the condition of a select has {e.cond.dtype.lanes} lanes: {e}")

    def ramp(self, e: Ramp) -> None:
        if not e.base.dtype.is_int or e.lanes < 2:
            self.fail(f"a ramp has 2 or more lanes of integers: {e}")

    def broadcast(self, e: Broadcast) -> None:
        if e.lanes < 2:
            self.fail(f"a broadcast has 2 or more lanes: {e}")

    def not_lowered(self, e: Expr) -> None:
        self.fail(f"{type(e).__name__} belongs to tensor expressions: {e}")


_STMT: dict[type, Callable[[_Verifier, Any], None]] = {
    Store: _Verifier.store,
    For: _Verifier.loop,
    If: _Verifier.branch,
    Let: _Verifier.let,
    Alloc: _Verifier.alloc,
    Seq: _Verifier.sequence,
    Barrier: _Verifier.barrier,
    Prefetch: _Verifier.prefetch,
    ForeignCall: _Verifier.foreign,
}
_EXPR: dict[type, Callable[[_Verifier, Any], None]] = {
    Unary: _Verifier.same_lanes,
    Binary: _Verifier.same_lanes,
    Cast: _Verifier.same_lanes,
    Reinterpret: _Verifier.same_lanes,
    Call: _Verifier.call,
    Select: _Verifier.select,
    Load: _Verifier.access,
    Ramp: _Verifier.ramp,
    Broadcast: _Verifier.broadcast,
    Var: _Verifier.var,
    IterVar: _Verifier.var,
    Read: _Verifier.not_lowered,
    Reduce: _Verifier.not_lowered,
}
