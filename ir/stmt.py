"""Statements: the loop nest that a schedule lowers to, and the function that holds it."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypedDict

from ..runtime.dtype import DType
from .expr import Expr, Load, Var
from .foreign import Foreign
from .layout import Layout
from .printer import function_text, stmt_text

_EMPTY: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Buffer:
    """Storage of a tensor inside a kernel.

    ``shape`` are the logical extents; ``layout`` maps logical indices to physical ones (None: row
    major). ``scope`` is ``"global"`` (a kernel parameter or a scratch of the whole kernel),
    ``"shared"`` (one per workgroup) or ``"local"`` (one per thread: registers, stack). After the
    storage pass buffers in memory have one axis, the flat physical size, and no layout, except
    that ``layers`` still says how its texels are dealt out (see :class:`Layout`).
    """

    name: str
    dtype: DType
    shape: tuple[Expr, ...]
    scope: str = "global"
    layout: Layout | None = None
    alignment: int = 64  # bytes
    layers: int = 1

    def __repr__(self) -> str:
        dims = ", ".join(map(str, self.shape))
        return f"{self.name}: {self.dtype}[{dims}]"


class ForKind(enum.Enum):
    """How the iterations of a loop are carried out."""

    SERIAL = "serial"
    PARALLEL = "parallel"  # iterations on several CPU threads; they must not depend on each other
    VECTORIZED = "vectorized"  # one vector; the vectorise pass removes it
    UNROLLED = "unrolled"  # the unroll pass removes it
    BOUND = "bound"  # to a hardware index, see ``For.tag``


class Stmt:
    """Base of all statements."""

    __slots__ = ("__weakref__",)

    def __str__(self) -> str:
        return stmt_text(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Store(Stmt):
    """``buffer[indices] = value``; lanes where ``predicate`` is false are not written.

    Indices as in :class:`~weft.ir.expr.Load`. ``value.dtype`` is the buffer's with the lanes of
    the indices.
    """

    buffer: Buffer
    indices: tuple[Expr, ...]
    value: Expr
    predicate: Expr | None = None

    def __post_init__(self) -> None:
        assert self.value.dtype.element == self.buffer.dtype, (self.buffer, self.value.dtype)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class For(Stmt):
    """``for var in [minimum, minimum + extent): body``; ``tag`` names the hardware index of a
    bound loop; ``pragmas`` are hints for later passes and code generators."""

    var: Var
    minimum: Expr
    extent: Expr
    kind: ForKind
    body: Stmt
    tag: str = ""
    pragmas: Mapping[str, object] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class If(Stmt):
    """``then`` where ``cond`` holds, else ``otherwise``. ``likely`` marks a guard that the
    schedule made for extents that do not divide: loop partitioning peels those."""

    cond: Expr
    then: Stmt
    otherwise: Stmt | None = None
    likely: bool = False


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Seq(Stmt):
    """Statements in order. Build with :func:`seq`, which flattens."""

    stmts: tuple[Stmt, ...]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Let(Stmt):
    """``var`` stands for ``value`` in ``body``."""

    var: Var
    value: Expr
    body: Stmt


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Alloc(Stmt):
    """``buffer`` exists, with undefined contents, while ``body`` runs."""

    buffer: Buffer
    body: Stmt


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Barrier(Stmt):
    """All threads of a workgroup arrive before any goes on. Their writes to shared memory are seen,
    and with the scope ``"global"`` those to global memory, too."""

    scope: str = "shared"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Prefetch(Stmt):
    """A hint that ``buffer[indices]`` will be loaded: its line may be brought into a cache. It
    changes nothing, and the element need not exist."""

    buffer: Buffer
    indices: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class ForeignCall(Stmt):
    """``function(args)``. ``modes`` says what each argument is: a ``"value"``, or the address of
    what is written as a load of it, of a buffer that is only read (``"in"``), or written as well
    (``"out"``), anywhere. Until an operation is made of it, ``"any"`` of these two."""

    function: Foreign
    args: tuple[Expr, ...]
    modes: tuple[str, ...]

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """The buffers that it may write."""
        return tuple(
            a.buffer
            for a, m in zip(self.args, self.modes)
            if m in ("out", "any") and isinstance(a, Load)
        )


def allocated(buffers: Sequence[Buffer], body: Stmt) -> Stmt:
    """``body`` with all of ``buffers`` allocated around it, the first one outermost."""
    for b in reversed(buffers):
        body = Alloc(b, body)
    return body


def seq(*stmts: Stmt | None) -> Stmt:
    """The statements in order, flattened; a single one is itself."""
    flat: list[Stmt] = []
    for s in stmts:
        if isinstance(s, Seq):
            flat.extend(s.stmts)
        elif s is not None:
            flat.append(s)
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


class Attrs(TypedDict, total=False):
    """What passes tell the code generator about a function.

    ``launch``: the extent of each hardware loop of a device kernel, by its tag. ``overlap``:
    parameters that may be given the same memory; all others lie apart. ``addresses``: of functions
    in the process that will run the code; the others are symbols.
    """

    launch: Mapping[str, int | Expr]
    addresses: Mapping[Foreign, int]
    overlap: Collection[Buffer]


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """A kernel: parameters (buffers and scalar variables, in calling order) and a body.

    ``writes`` are the parameters that the kernel writes.
    """

    name: str
    params: tuple[Buffer | Var, ...]
    body: Stmt
    writes: frozenset[Buffer] = frozenset()
    attrs: Attrs = field(default_factory=Attrs)

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The parameters that are buffers, in calling order."""
        return tuple(p for p in self.params if isinstance(p, Buffer))

    def with_body(self, body: Stmt) -> Function:
        """This function with another body (itself when it is the same)."""
        if body is self.body:
            return self
        return Function(self.name, self.params, body, self.writes, self.attrs)

    def __str__(self) -> str:
        return function_text(self)
