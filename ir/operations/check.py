"""What statements that a user writes may be: found where they are written, not by a later pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from ...runtime.errors import ExprError
from ..expr import Expr, IterVar, Load, Read, Reduce, Var
from ..stmt import (
    Alloc,
    Barrier,
    Buffer,
    For,
    ForeignCall,
    ForKind,
    If,
    Let,
    Prefetch,
    Seq,
    Stmt,
    Store,
)
from ..visit import walk


def check_statements(name: str, ins: Sequence[Buffer], outs: Sequence[Buffer], body: Stmt) -> None:
    """Raise ExprError unless ``body`` reads only ``ins``, ``outs`` and what it allocates, writes no
    input, and uses variables where they exist. ``name`` is the operation's."""
    _Check(name, ins, outs).stmt(body)


class _Check:
    def __init__(self, name: str, ins: Iterable[Buffer], outs: Iterable[Buffer]):
        self.name = name
        self.inputs = set(ins)
        self.known = {*ins, *outs}
        self.declared: set[Var] = set()  # all that some statement declares, seen so far
        self.scope: set[Var] = set()
        self.vectorized: For | None = None

    def fail(self, message: str, hint: str = "") -> NoReturn:
        raise ExprError(message, where=self.name, hint=hint or None)

    def stmt(self, s: Stmt) -> None:
        if isinstance(s, Store):
            self.store(s)
        elif isinstance(s, For):
            self.loop(s)
        elif isinstance(s, If):
            self.exprs(s, s.cond)
            self.stmt(s.then)
            if s.otherwise is not None:
                self.stmt(s.otherwise)
        elif isinstance(s, Seq):
            for c in s.stmts:
                self.stmt(c)
        elif isinstance(s, Let):
            self.exprs(s, s.value)
            self.inside(s.var, s.body)
        elif isinstance(s, Alloc):
            self.alloc(s)
        elif isinstance(s, Prefetch):
            self.exprs(s, *s.indices)
        elif isinstance(s, ForeignCall):
            self.foreign(s)
        elif not isinstance(s, Barrier):
            self.fail(f"{type(s).__name__} is no statement.")

    def alloc(self, s: Alloc) -> None:
        if s.buffer in self.known:
            self.fail(f"{s.buffer.name} is allocated inside of its own scope.")
        self.exprs(s, *s.buffer.shape)
        self.known.add(s.buffer)
        self.stmt(s.body)
        self.known.discard(s.buffer)

    def foreign(self, s: ForeignCall) -> None:
        self.exprs(s, *s.args)
        for b in self.inputs.intersection(s.writes):
            self.fail(f"the input {b.name} is written, in\n{s}", "write to outs alone")
        if self.vectorized is not None:
            self.fail(
                f"{s.function} is called in the vectorized loop {self.vectorized.var.name}.",
                "make that loop serial or parallel",
            )

    def store(self, s: Store) -> None:
        if s.buffer in self.inputs:
            self.fail(f"the input {s.buffer.name} is written, in\n{s}", "write to outs alone")
        self.buffer(s.buffer, s)
        self.exprs(s, *s.indices, s.value, *(() if s.predicate is None else (s.predicate,)))

    def loop(self, s: For) -> None:
        self.exprs(s, s.minimum, s.extent)
        if s.kind is not ForKind.VECTORIZED:
            self.inside(s.var, s.body)
            return
        if self.vectorized is not None:
            self.fail(f"the vectorized loop {s.var.name} stands inside of another one.")
        self.vectorized = s
        self.inside(s.var, s.body)
        self.vectorized = None

    def inside(self, var: Var, body: Stmt) -> None:
        if var in self.scope:
            self.fail(f"the variable {var.name} is defined inside of its own scope.")
        self.scope.add(var)
        self.declared.add(var)
        self.stmt(body)
        self.scope.discard(var)

    def buffer(self, b: Buffer, s: Stmt) -> None:
        if b not in self.known:
            self.fail(
                f"{b.name} is used where it does not exist, in\n{s}",
                "use ins, outs, and what allocate() made in this block or around it",
            )

    def exprs(self, s: Stmt, *exprs: Expr) -> None:
        for e in exprs:
            for n in walk(e):
                if isinstance(n, Load):
                    self.buffer(n.buffer, s)
                elif isinstance(n, Read):
                    self.fail(
                        f"the tensor {n.tensor.name} is read as such, in\n{s}",
                        "give it among the inputs, and read its view: ins[k][i, j]",
                    )
                elif isinstance(n, Reduce):
                    self.fail(f"a reduction is no value of a statement: {n}", "write its loops")
                elif isinstance(n, Var) and n not in self.scope and self.bound(n):
                    self.fail(f"{n.name} is used outside of its loop or block, in\n{s}")

    def bound(self, v: Var) -> bool:
        """Whether a variable belongs to a loop or a block, and is no parameter."""
        return v in self.declared or isinstance(v, IterVar)
