"""``te.ir_builder()``: statements written in the order in which they run, as in TVM's builder.

A block is a list of what has been emitted. What holds until the end of its block (a let, an
allocation, a hardware index) stands in the list as a function that is given the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...runtime.dtype import BOOL, DType, dtype_of
from ...runtime.errors import ExprError
from ..alu import Op
from ..expr import ZERO, Expr, ExprLike, IterVar, Var, as_int, binary, to_expr
from ..schedule.loops import THREAD_TAGS
from ..stmt import Alloc, Buffer, For, ForKind, If, Let, Stmt, Store, seq
from ..tensor import shape_of
from .views import BufferView, index_of, whole

_KINDS = {
    "serial": ForKind.SERIAL,
    "parallel": ForKind.PARALLEL,
    "vectorize": ForKind.VECTORIZED,
    "vectorized": ForKind.VECTORIZED,
    "unroll": ForKind.UNROLLED,
    "unrolled": ForKind.UNROLLED,
}
MAX_LANES = 1024
Item = Stmt | Callable[[Stmt], Stmt]


@dataclass(frozen=True, eq=False)
class Pointer:
    """A buffer that a builder reads and writes: ``A[i, j]`` is an element, and ``A[i, j] = value``
    emits the statement that stores one. A single index counts elements in row-major order."""

    builder: IRBuilder
    buffer: Buffer

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The extents, as expressions."""
        return self.buffer.shape

    @property
    def dtype(self) -> DType:
        """The type of an element."""
        return self.buffer.dtype

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        return whole(self.buffer)[indices]

    def __setitem__(self, indices: ExprLike | tuple[ExprLike, ...], value: ExprLike) -> None:
        given = indices if isinstance(indices, tuple) else (indices,)
        v = to_expr(value, self.buffer.dtype)
        if v.dtype != self.buffer.dtype:
            raise ExprError(
                f"a {v.dtype} cannot be stored in {self.buffer!r}: {v}",
                hint=f"convert it with .astype('{self.buffer.dtype}')",
            )
        self.builder.emit(Store(self.buffer, index_of(self.buffer, given), v))

    def __iter__(self):
        raise ExprError(f"{self.buffer.name} cannot be iterated; index it.")


class IRBuilder:
    """Statements in the making; :meth:`get` returns them.

    >>> ib = IRBuilder()
    >>> with ib.for_range(0, 8, "i", kind="parallel") as i:
    ...     with ib.if_scope(i < 4):
    ...         B[i] = A[i]
    ...     with ib.else_scope():
    ...         B[i] = 0.0
    """

    def __init__(self) -> None:
        self._blocks: list[list[Item]] = [[]]

    def get(self) -> Stmt:
        """All that was emitted, as one statement; raises ExprError inside of an open block."""
        if len(self._blocks) > 1:
            raise ExprError("get() of the builder is called inside of an open for or if.")
        return _folded(self._blocks[0])

    def emit(self, stmt: Stmt) -> None:
        """Append a statement."""
        if not isinstance(stmt, Stmt):
            raise ExprError(f"emit takes a statement, not {stmt!r}.")
        self._blocks[-1].append(stmt)

    def buffer_ptr(self, view: BufferView) -> Pointer:
        """``view`` for reading and writing."""
        return Pointer(self, view.buffer)

    @contextmanager
    def _block(self, close: Callable[[Stmt], Stmt]) -> Iterator[None]:
        self._blocks.append([])
        try:
            yield
        except BaseException:
            self._blocks.pop()
            raise
        self.emit(close(_folded(self._blocks.pop())))

    @contextmanager
    def for_range(
        self, begin: ExprLike, end: ExprLike, name: str = "i", kind: str = "serial"
    ) -> Iterator[Var]:
        """A loop over ``[begin, end)``; ``kind`` is ``"serial"``, ``"parallel"``, ``"vectorize"``
        or ``"unroll"``. A vectorized or unrolled one needs a constant number of iterations.

        Raises ExprError for another kind, or for limits that it cannot have.
        """
        if kind not in _KINDS:
            raise ExprError(f"there is no kind of loop {kind!r}.", hint=", ".join(_KINDS))
        low = _integer(begin, name)
        extent = binary(Op.SUB, _integer(end, name), low)
        n = as_int(extent)
        if _KINDS[kind] in (ForKind.VECTORIZED, ForKind.UNROLLED) and n is None:
            raise ExprError(
                f"the loop {name} of {extent} iterations is to be {kind}d, and their number is "
                "known only when the kernel runs.",
                hint="make an outer loop of the rest, and an inner one of a constant length",
            )
        if _KINDS[kind] is ForKind.VECTORIZED and n is not None and n > MAX_LANES:
            raise ExprError(f"the loop {name} has {n} iterations, {MAX_LANES} lanes are the most.")
        var = Var(name)
        with self._block(lambda body: For(var, low, extent, _KINDS[kind], body)):
            yield var

    @contextmanager
    def if_scope(self, cond: ExprLike) -> Iterator[None]:
        """What runs where ``cond`` holds."""
        condition = to_expr(cond)
        if condition.dtype != BOOL:
            raise ExprError(f"the condition of an if is {condition.dtype}, not bool: {condition}")
        with self._block(lambda body: If(condition, body)):
            yield

    @contextmanager
    def else_scope(self) -> Iterator[None]:
        """What runs where the condition of the ``if_scope`` right before does not hold."""
        last = self._blocks[-1][-1] if self._blocks[-1] else None
        if not isinstance(last, If) or last.otherwise is not None:
            raise ExprError("an else_scope must follow an if_scope at once.")
        self._blocks[-1].pop()
        with self._block(lambda body: If(last.cond, last.then, body)):
            yield

    def let(self, name: str, value: ExprLike) -> Var:
        """A variable for a value, until the end of the block: it is computed once, here."""
        v = to_expr(value)
        var = Var(name, v.dtype)
        self._blocks[-1].append(lambda rest: Let(var, v, rest))
        return var

    def allocate(
        self,
        dtype: DType | str,
        shape: ExprLike | Sequence[ExprLike],
        name: str = "buf",
        scope: str = "local",
    ) -> Pointer:
        """Storage until the end of the block, with undefined contents: ``"local"`` of each thread,
        ``"shared"`` by those of a workgroup (on a processor the same)."""
        if scope not in ("local", "shared", "global"):
            raise ExprError(f"there is no scope {scope!r}.", hint="local, shared, global")
        buffer = Buffer(name, dtype_of(dtype), shape_of(shape, name), scope)
        self._blocks[-1].append(lambda rest: Alloc(buffer, rest))
        return Pointer(self, buffer)

    def thread(self, tag: str, extent: ExprLike) -> Var:
        """A hardware index such as ``"blockIdx.x"``, until the end of the block."""
        if tag not in THREAD_TAGS:
            raise ExprError(f"there is no thread axis {tag!r}.", hint=", ".join(THREAD_TAGS))
        n, var = _integer(extent, tag), Var(tag)
        self._blocks[-1].append(lambda rest: For(var, ZERO, n, ForKind.BOUND, rest, tag))
        return var

    @contextmanager
    def bind(self, tag: str, extent: ExprLike) -> Iterator[Var]:
        """A loop over a hardware index such as ``"threadIdx.x"``."""
        if tag not in THREAD_TAGS:
            raise ExprError(f"there is no thread axis {tag!r}.", hint=", ".join(THREAD_TAGS))
        n, var = _integer(extent, tag), Var(tag)
        with self._block(lambda body: For(var, ZERO, n, ForKind.BOUND, body, tag)):
            yield var

    def scope_attr(self, axis: IterVar, key: str, extent: ExprLike) -> None:
        """TVM's way to write :meth:`thread`: ``scope_attr(te.thread_axis("threadIdx.x"),
        "thread_extent", 64)``; ``axis`` is the index from here on."""
        if key != "thread_extent" or axis.tag not in THREAD_TAGS:
            raise ExprError(f"scope_attr knows thread_extent of a thread axis, not {key!r}.")
        n = _integer(extent, axis.tag)
        self._blocks[-1].append(lambda rest: For(axis, ZERO, n, ForKind.BOUND, rest, axis.tag))


def _integer(value: ExprLike, name: str) -> Expr:
    e = to_expr(value, Var(name).dtype)
    if e.dtype != Var(name).dtype:
        raise ExprError(f"the limits of the loop {name} are int32, not {e.dtype}: {e}")
    return e


def _folded(items: Sequence[Item]) -> Stmt:
    """The statement of a block."""
    stmts: list[Stmt] = []
    for item in reversed(items):
        if isinstance(item, Stmt):
            stmts.insert(0, item)
        else:
            stmts = [item(seq(*stmts))]
    return seq(*stmts)
