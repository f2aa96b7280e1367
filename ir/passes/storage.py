"""``flatten_storage``: buffers in memory become flat, logical indices become addresses.

    A: float32[4, 8]            A: float32[32]
    A[i, j] = 0.0       ->      A[i * 8 + j] = 0.0

An index goes through the buffer's layout (row major without one) to physical axes; in memory these
are joined to one row-major address. Buffers in other scopes (textures) keep their physical axes.
Row padding needs nothing here: it is a digit of the layout that is longer than its axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.errors import LoweringError
from ..expr import ONE, ZERO, Expr, Load, as_int, const
from ..stmt import Alloc, Buffer, ForeignCall, Function, Prefetch, Stmt, Store
from ..target import Target
from .scoped import ScopedMutator

MEMORY_SCOPES = frozenset({"global", "shared", "local"})
MAX_ELEMENTS = 2**31 - 1


def flatten_storage(f: Function, target: Target) -> Function:
    """Every buffer with its physical shape, every access with its physical index.

    Runs before vectorisation: all indices are scalars. Parameters keep their order and names.

    Raises
    ------
    LoweringError : a buffer has more elements than a 32-bit index reaches.
    """
    flat = _Flatten()
    params = tuple(flat.buffer(p) if isinstance(p, Buffer) else p for p in f.params)
    body = flat(f.body)
    if body is f.body and all(a is b for a, b in zip(params, f.params)):
        return f
    writes = frozenset(flat.buffer(b) for b in f.writes)
    return Function(f.name, params, body, writes, f.attrs)


def physical_index(buffer: Buffer, indices: Sequence[Expr]) -> tuple[Expr, ...]:
    """The physical coordinates of a logical element, not simplified."""
    return tuple(indices) if buffer.layout is None else buffer.layout.map(indices)


def physical_shape(buffer: Buffer) -> tuple[Expr, ...]:
    """The physical extents of a buffer, before its axes are joined."""
    if buffer.layout is None:
        return buffer.shape
    return tuple(const(n) for n in buffer.layout.physical_shape)


def row_major(indices: Sequence[Expr], shape: Sequence[Expr]) -> Expr:
    """The number of an element in row-major order."""
    address: Expr | None = None
    for i, n in zip(indices, shape, strict=True):
        address = i if address is None else address * n + i
    return ZERO if address is None else address


class _Flatten(ScopedMutator):
    def __init__(self) -> None:
        super().__init__()
        self.made: dict[Buffer, Buffer] = {}

    def buffer(self, b: Buffer) -> Buffer:
        new = self.made.get(b)
        if new is None:
            new = self.made[b] = self._physical(b)
        return new

    def _physical(self, b: Buffer) -> Buffer:
        shape = physical_shape(b)
        if b.scope in MEMORY_SCOPES:
            shape = (self._size(b, shape),)
        elif b.layout is None:
            return b
        if b.layout is None and len(b.shape) == 1:
            return b
        layers = b.layout.layers if b.layout is not None else b.layers
        return Buffer(b.name, b.dtype, shape, b.scope, None, b.alignment, layers)

    def _size(self, b: Buffer, shape: Sequence[Expr]) -> Expr:
        known = 1  # Python's integers do not wrap as the product of constants might
        for n in shape:
            known *= 1 if as_int(n) is None else int(as_int(n) or 0)
        if known > MAX_ELEMENTS:
            raise LoweringError(
                f"the buffer {b!r} has {known} elements; an index is a 32-bit integer.",
                where="flatten_storage",
                hint="split the computation so that every tensor has fewer than 2^31 elements",
            )
        size: Expr = ONE
        for n in shape:
            size = n if size is ONE else size * n
        return self.analyzer.simplify(size)

    def address(self, b: Buffer, indices: Sequence[Expr]) -> tuple[Expr, ...]:
        physical = physical_index(b, indices)
        if b.scope in MEMORY_SCOPES:
            physical = (row_major(physical, physical_shape(b)),)
        return tuple(self.analyzer.simplify(i) for i in physical)

    def visit_Load(self, e: Load) -> Expr:
        new = self.buffer(e.buffer)
        if new is e.buffer:
            return self.rebuild(e)
        predicate = None if e.predicate is None else self(e.predicate)
        indices = tuple(self(i) for i in e.indices)
        return Load(new, self.address(e.buffer, indices), predicate)

    def visit_Store(self, s: Store) -> Stmt:
        new = self.buffer(s.buffer)
        if new is s.buffer:
            return self.rebuild(s)
        predicate = None if s.predicate is None else self(s.predicate)
        indices = self.address(s.buffer, tuple(self(i) for i in s.indices))
        return Store(new, indices, self(s.value), predicate)

    def visit_Prefetch(self, s: Prefetch) -> Stmt:
        new = self.buffer(s.buffer)
        if new is s.buffer:
            return self.rebuild(s)
        return Prefetch(new, self.address(s.buffer, tuple(self(i) for i in s.indices)))

    def visit_ForeignCall(self, s: ForeignCall) -> Stmt:
        for a, mode in zip(s.args, s.modes):
            if mode != "value" and isinstance(a, Load) and a.buffer.layout is not None:
                raise LoweringError(
                    f"{a.buffer.name} does not lie row-major in memory, and {s.function} is given "
                    "its address.",
                    where="flatten_storage",
                    hint="give that tensor no layout",
                )
        return self.rebuild(s)

    def visit_Alloc(self, s: Alloc) -> Stmt:
        new = self.buffer(s.buffer)
        return self.rebuild(s) if new is s.buffer else Alloc(new, self(s.body))
