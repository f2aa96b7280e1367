"""Statements of one's own on workgroups: what iterations of a parallel loop are, and where large
storage lies.

    let n = N[0]                          alloc T: int32[80, 8448] in global
    for i in 80 parallel                  let n = N[0]
      alloc T: int32[8448] in global  ->  for i in 80 bound to blockIdx.x
        T[0] = …                            T[i, 0] = …

A parallel loop that is the whole of a nest becomes blocks. What is allocated in ``global`` scope is
storage of the device, which a kernel cannot make: it is made once around all nests, a part of it
for each block. A processor makes it where it is written.
"""

from __future__ import annotations

from ..expr import ZERO, Expr, Load, Var, as_int, to_expr
from ..stmt import Alloc, Buffer, For, ForKind, Function, Let, Prefetch, Seq, Stmt, Store, seq
from ..stmt import allocated as around
from ..visit import Mutator, variables, walk


def spread_statements(f: Function, max_blocks: int) -> Function:
    """``f`` with its nests that are bound to no hardware index spread over at most ``max_blocks``
    blocks; the same where there is nothing to do."""
    made: list[Buffer] = []
    body = f.body
    while isinstance(body, Alloc):
        made.append(body.buffer)
        body = body.body
    old = body.stmts if isinstance(body, Seq) else (body,)
    new = [s if _is_bound(s) else _spread(s, max_blocks, made) for s in old]
    if all(a is b for a, b in zip(old, new)):
        return f
    return f.with_body(around(made, seq(*new)))


def _is_bound(s: Stmt) -> bool:
    return any(isinstance(n, For) and n.kind is ForKind.BOUND for n in walk(s))


def _spread(s: Stmt, most: int, made: list[Buffer]) -> Stmt:
    """One nest; what it is to have allocated around it is added to ``made``."""
    lets: list[Let] = []
    inner = s
    while isinstance(inner, Let):
        lets.append(inner)
        inner = inner.body
    extent = as_int(inner.extent) if isinstance(inner, For) else None
    block = None
    if isinstance(inner, For) and inner.kind is ForKind.PARALLEL and as_int(inner.minimum) == 0:
        block = (inner.var, extent) if extent is not None and 0 < extent <= most else None
    new = _Outside(block, made)(inner)
    if block is not None:
        assert isinstance(new, For)
        new = For(new.var, ZERO, new.extent, ForKind.BOUND, new.body, "blockIdx.x")
    if new is inner:
        return s
    for let in reversed(lets):
        new = Let(let.var, let.value, new)
    return new


class _Outside(Mutator):
    """Takes storage in ``global`` scope out of a nest; each block has its own part of it."""

    def __init__(self, block: tuple[Var, int] | None, made: list[Buffer]):
        super().__init__()
        self.block, self.made = block, made
        self.moved: dict[Buffer, Buffer] = {}

    def visit_Alloc(self, s: Alloc) -> Stmt:
        b = s.buffer
        if b.scope != "global" or any(map(variables, b.shape)):
            return self.rebuild(s)
        shape = b.shape if self.block is None else (to_expr(self.block[1]), *b.shape)
        new = Buffer(b.name, b.dtype, shape, b.scope, b.layout, b.alignment, b.layers)
        self.moved[b] = new
        self.made.append(new)
        return self(s.body)

    def _indices(self, indices: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return indices if self.block is None else (self.block[0], *indices)

    def visit_Load(self, e: Load) -> Expr:
        e = self.rebuild(e)
        to = self.moved.get(e.buffer)
        return e if to is None else Load(to, self._indices(e.indices), e.predicate)

    def visit_Store(self, s: Store) -> Stmt:
        s = self.rebuild(s)
        to = self.moved.get(s.buffer)
        return s if to is None else Store(to, self._indices(s.indices), s.value, s.predicate)

    def visit_Prefetch(self, s: Prefetch) -> Stmt:
        s = self.rebuild(s)
        to = self.moved.get(s.buffer)
        return s if to is None else Prefetch(to, self._indices(s.indices))
