"""Executes loop nests, at any stage of lowering: the meaning of the IR as a program.

Expressions and statements are turned into closures once, then run with numpy scalars (a vector is
an array of its lanes) in an environment of variables and arrays. Every index is checked; storage
that an Alloc makes is poisoned, so that a read of undefined contents shows in the result.

What has loops bound to ``blockIdx`` or ``threadIdx`` is a kernel, and run as a device would:
every thread executes all of it, in lock step from barrier to barrier, and a bound loop only gives
its variable the thread's index. Races between threads are errors (``workgroup.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...runtime.dtype import DType
from ...runtime.errors import InputError, LoweringError
from ..expr import Expr, Load, Var
from ..lower import split_nests
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
)
from ..visit import walk
from . import semantics
from .interp_expr import Env, ExpressionClosures
from .workgroup import PHASE, THREAD, WORKGROUP, Cells, hardware_tags, launch

Action = Callable[[Env], None]
Thread = Callable[[Env], Iterator[Stmt]]


def run(function: Function, args: Sequence[np.ndarray | int | float]) -> None:
    """Execute ``function``; results are written into the arrays of ``args``.

    Parameters
    ----------
    args : one for every parameter, in order: an array of the buffer's dtype, in the physical shape
        where the buffer has a layout (or any C-contiguous array of as many elements), or a number.

    Raises
    ------
    InputError : an argument has another dtype or size than its parameter.
    LoweringError : an index is out of bounds; it names the buffer, the index and the shape.
    """
    if len(args) != len(function.params):
        raise InputError(
            f"{function.name} takes {len(function.params)} arguments, not {len(args)}."
        )
    env: Env = {}
    for p, a in zip(function.params, args):
        if isinstance(p, Var):
            env[p] = p.dtype.numpy.type(a)
    with semantics.quiet():
        for p, a in zip(function.params, args):
            if isinstance(p, Buffer):
                env[p] = _array(function, p, np.asarray(a), env)
        _Compiler(function.name).program(function)(env)


def value_of(e: Expr, env: dict[Var, Any]) -> Any:
    """The value of an expression without loads, for values of its variables."""
    with semantics.quiet():
        typed = {v: v.dtype.numpy.type(x) for v, x in env.items()}
        return _Compiler("expression").expr(e)(typed, None)


def _shape(b: Buffer, env: Env) -> tuple[int, ...]:
    """The extents of the array behind a buffer."""
    if b.layout is not None:
        return b.layout.physical_shape
    compiler = _Compiler(b.name)
    return tuple(int(compiler.expr(n)(env, None)) for n in b.shape)


def _array(f: Function, b: Buffer, a: np.ndarray, env: Env) -> np.ndarray:
    shape = _shape(b, env)
    size = int(np.prod(shape, dtype=np.int64))
    if a.dtype != b.dtype.numpy or a.size != size:
        raise InputError(
            f"{f.name}: the parameter {b} of {size} elements was given {a.dtype}{list(a.shape)}."
        )
    if a.shape == shape:
        return a
    if not a.flags.c_contiguous:
        raise InputError(f"{f.name}: the array for {b.name} must be C-contiguous or {shape}")
    return a.reshape(shape)


def poison(shape: tuple[int, ...], d: DType) -> np.ndarray:
    """Undefined contents that show: NaN, 0x7F bytes, True."""
    if d.is_float:
        return np.full(shape, np.nan, d.numpy)
    if d.is_bool:
        return np.ones(shape, bool)
    pattern = np.frombuffer(b"\x7f" * d.bytes, d.numpy)[0]
    return np.full(shape, pattern, d.numpy)


class _Compiler(ExpressionClosures):
    """Turns statements into closures, too."""

    def statement(self, s: Stmt) -> Action:
        return _STMT[type(s)](self, s)

    def store(self, s: Store) -> Action:
        at, buffer, d = self.index(s), s.buffer, s.buffer.dtype
        value = self.expr(s.value)
        n = max((i.dtype.lanes for i in s.indices), default=1)
        p = None if s.predicate is None else self.expr(s.predicate)

        def plain(env: Env) -> None:
            env[buffer][at(env, None)] = semantics.stored(value(env, None), d)

        def predicated(env: Env) -> None:
            assert p is not None
            chosen = p(env, None)
            if not np.any(chosen):
                return
            if n == 1:
                plain(env)
                return
            chosen = np.broadcast_to(chosen, (n,))
            lanes = np.broadcast_to(value(env, chosen), (n,))[chosen]
            env[buffer][at(env, chosen)] = semantics.stored(lanes, d)

        return plain if p is None else predicated

    def loop(self, s: For) -> Action:
        low, extent, body, var = (
            self.expr(s.minimum), self.expr(s.extent), self.statement(s.body), s.var
        )  # fmt: skip
        t = s.var.dtype.numpy.type
        if _is_hardware(s):
            check = self._hardware_index(s)

            def one(env: Env) -> None:
                env[var] = check(env)
                body(env)

            return one

        def loop(env: Env) -> None:
            first = int(low(env, None))
            for i in range(first, first + int(extent(env, None))):
                env[var] = t(i)
                body(env)

        return loop

    def branch(self, s: If) -> Action:
        cond, then = self.expr(s.cond), self.statement(s.then)
        otherwise = self.statement(s.otherwise) if s.otherwise is not None else None

        def branch(env: Env) -> None:
            if cond(env, None):
                then(env)
            elif otherwise is not None:
                otherwise(env)

        return branch

    def seq(self, s: Seq) -> Action:
        steps = [self.statement(c) for c in s.stmts]

        def seq(env: Env) -> None:
            for step in steps:
                step(env)

        return seq

    def let(self, s: Let) -> Action:
        value, body, var = self.expr(s.value), self.statement(s.body), s.var

        def let(env: Env) -> None:
            env[var] = value(env, None)
            body(env)

        return let

    def alloc(self, s: Alloc) -> Action:
        body, b = self.statement(s.body), s.buffer

        def alloc(env: Env) -> None:
            env[b] = self._storage(b, env)
            body(env)

        return alloc

    def _storage(self, b: Buffer, env: Env) -> Any:
        """New storage; what the threads of a workgroup share is made by the first that comes."""
        if b.scope != "shared" or WORKGROUP not in env:
            return poison(_shape(b, env), b.dtype)
        made = env[WORKGROUP]
        if b not in made:
            made[b] = poison(_shape(b, env), b.dtype), {}
        array, marks = made[b]
        return Cells(array, marks, env[PHASE], env[THREAD], b.name)

    def barrier(self, s: Barrier) -> Action:
        return lambda env: None  # no other thread: outside of every kernel

    def prefetch(self, s: Prefetch) -> Action:
        return lambda env: None  # a hint

    def foreign(self, s: ForeignCall) -> Action:
        args = [
            a.buffer if m != "value" and isinstance(a, Load) else self.expr(a)
            for a, m in zip(s.args, s.modes)
        ]
        types = [str(a.dtype) for a in s.args]

        def call(env: Env) -> None:
            given: list[Any] = []
            back: list[tuple[np.ndarray, np.ndarray]] = []
            for a, m in zip(args, s.modes):
                if not isinstance(a, Buffer):
                    given.append(a(env, None).item())
                    continue
                held = env[a].array if isinstance(env[a], Cells) else env[a]
                given.append(np.ascontiguousarray(held))
                if m != "in" and given[-1] is not held:
                    back.append((held, given[-1].reshape(held.shape)))
            s.function.call(given, types)
            for to, made in back:
                to[...] = made

        return call

    # ------------------------------------------------------------------ kernels

    def program(self, f: Function) -> Action:
        """The body of a function, one kernel after the other where it has some."""
        if not hardware_tags(f.body):
            return self.statement(f.body)
        nests, scratch = split_nests(f)
        steps = [self.kernel(n) if hardware_tags(n) else self.statement(n) for n in nests]

        def program(env: Env) -> None:
            for b in scratch:
                env[b] = poison(_shape(b, env), b.dtype)
            for step in steps:
                step(env)

        return program

    def kernel(self, nest: Stmt) -> Action:
        """A nest with loops bound to blocks and threads, as a launch."""
        extents: dict[str, Callable[[Env], int]] = {}
        for n in walk(nest):
            if isinstance(n, For) and _is_hardware(n):
                extent = self.expr(n.extent)
                extents.setdefault(n.tag, lambda env, f=extent: int(f(env, None)))
        self._extents = extents
        return launch(nest, extents, self.thread(nest))

    def _hardware_index(self, s: For) -> Callable[[Env], Any]:
        """The value of a bound loop's variable in a thread; its extent is that of the launch."""
        extent, t, tag = self.expr(s.extent), s.var.dtype.numpy.type, s.tag
        launched = self._extents[tag]

        def index(env: Env) -> Any:
            n, all_of_them = int(extent(env, None)), launched(env)
            if n != all_of_them:
                raise LoweringError(
                    f"the loop {s.var.name} has {n} iterations on the {all_of_them} of {tag}.",
                    where=self.where,
                )
            return t(env[tag])

        return index

    # ------------------------------------------------------------------ lock step

    def thread(self, s: Stmt) -> Thread:
        """``s`` as a generator that yields at every barrier."""
        if not _has_barrier(s):
            step = self.statement(s)

            def whole(env: Env) -> Iterator[Stmt]:
                step(env)
                yield from ()

            return whole
        return _THREAD[type(s)](self, s)

    def thread_loop(self, s: For) -> Thread:
        low, extent, body, var = (
            self.expr(s.minimum), self.expr(s.extent), self.thread(s.body), s.var
        )  # fmt: skip
        t = s.var.dtype.numpy.type

        def values(env: Env) -> range:
            first = int(low(env, None))
            return range(first, first + int(extent(env, None)))

        def serial(env: Env) -> Iterator[Stmt]:
            for i in values(env):
                env[var] = t(i)
                yield from body(env)

        if not _is_hardware(s):
            return serial
        check = self._hardware_index(s)

        def one(env: Env) -> Iterator[Stmt]:
            env[var] = check(env)
            yield from body(env)

        return one

    def thread_branch(self, s: If) -> Thread:
        cond, then = self.expr(s.cond), self.thread(s.then)
        otherwise = self.thread(s.otherwise) if s.otherwise is not None else None

        def branch(env: Env) -> Iterator[Stmt]:
            if cond(env, None):
                yield from then(env)
            elif otherwise is not None:
                yield from otherwise(env)

        return branch

    def thread_seq(self, s: Seq) -> Thread:
        steps = [self.thread(c) for c in s.stmts]

        def seq(env: Env) -> Iterator[Stmt]:
            for step in steps:
                yield from step(env)

        return seq

    def thread_let(self, s: Let) -> Thread:
        value, body, var = self.expr(s.value), self.thread(s.body), s.var

        def let(env: Env) -> Iterator[Stmt]:
            env[var] = value(env, None)
            yield from body(env)

        return let

    def thread_alloc(self, s: Alloc) -> Thread:
        body, b = self.thread(s.body), s.buffer

        def alloc(env: Env) -> Iterator[Stmt]:
            env[b] = self._storage(b, env)
            yield from body(env)

        return alloc

    def thread_barrier(self, s: Barrier) -> Thread:
        def barrier(env: Env) -> Iterator[Stmt]:
            yield s

        return barrier


def _is_hardware(s: For) -> bool:
    return s.kind is ForKind.BOUND and s.tag.startswith(("blockIdx.", "threadIdx."))


def _has_barrier(s: Stmt) -> bool:
    return any(isinstance(n, Barrier) for n in walk(s))


_STMT: dict[type, Callable[[_Compiler, Any], Action]] = {
    Store: _Compiler.store,
    For: _Compiler.loop,
    If: _Compiler.branch,
    Seq: _Compiler.seq,
    Let: _Compiler.let,
    Alloc: _Compiler.alloc,
    Barrier: _Compiler.barrier,
    Prefetch: _Compiler.prefetch,
    ForeignCall: _Compiler.foreign,
}
_THREAD: dict[type, Callable[[_Compiler, Any], Thread]] = {
    For: _Compiler.thread_loop,
    If: _Compiler.thread_branch,
    Seq: _Compiler.thread_seq,
    Let: _Compiler.thread_let,
    Alloc: _Compiler.thread_alloc,
    Barrier: _Compiler.thread_barrier,
}
