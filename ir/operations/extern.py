"""``te.extern``: an operation whose meaning is statements instead of an expression per element.

The statements are written once, over buffers that stand for the operation's operands; lowering puts
the buffers of the kernel in their place. They run whole, at the root of the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ...runtime.dtype import DType, dtype_of
from ...runtime.errors import ExprError
from ...runtime.lazy import lazy
from ..expr import Expr, ExprLike, Load
from ..stmt import Buffer, ForeignCall, Stmt
from ..tensor import Operation, Tensor, shape_of
from ..visit import Mutator
from .check import check_statements
from .views import BufferView, whole


@dataclass(frozen=True, eq=False, repr=False)
class ExternOp(Operation):
    """``body`` computes all results at once: it reads ``ins``, which stand for the tensors
    ``reads``, and writes ``outs``, which stand for the results."""

    reads: tuple[Tensor, ...]
    ins: tuple[Buffer, ...]
    outs: tuple[Buffer, ...]
    body: Stmt

    @lazy
    def outputs(self) -> tuple[Tensor, ...]:
        """One tensor for each of ``outs``, of its shape."""
        return tuple(Tensor(self, k, b.shape, b.dtype) for k, b in enumerate(self.outs))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that ``ins`` stand for."""
        return self.reads

    def statements(self, buffers: Mapping[Buffer, Buffer]) -> Stmt:
        """``body`` with other buffers in the place of ``ins`` and ``outs``."""
        return _Rebuffer(buffers)(self.body)


class _Rebuffer(Mutator):
    """Accesses of some buffers become accesses of others."""

    def __init__(self, buffers: Mapping[Buffer, Buffer]):
        super().__init__()
        self.buffers = buffers

    def visit_Load(self, e: Load) -> Expr:
        e = self.rebuild(e)
        return Load(self.buffers.get(e.buffer, e.buffer), e.indices, e.predicate)

    def visit_Store(self, s):
        s = self.rebuild(s)
        return type(s)(self.buffers.get(s.buffer, s.buffer), s.indices, s.value, s.predicate)

    def visit_Prefetch(self, s):
        s = self.rebuild(s)
        return type(s)(self.buffers.get(s.buffer, s.buffer), s.indices)


class _Known(Mutator):
    """Calls of C functions are told which buffers are inputs, and so are only read."""

    def __init__(self, ins: Sequence[Buffer]):
        super().__init__()
        self.ins = frozenset(ins)

    def visit_ForeignCall(self, s: ForeignCall) -> Stmt:
        modes = tuple(
            ("in" if isinstance(a, Load) and a.buffer in self.ins else "out") if m == "any" else m
            for a, m in zip(s.args, s.modes)
        )
        return ForeignCall(s.function, s.args, modes)


Body = Callable[[list[BufferView], list[BufferView]], Stmt]


def extern(
    shape: ExprLike | Sequence[ExprLike] | Sequence[Sequence[ExprLike]],
    inputs: Sequence[Tensor],
    fcompute: Body,
    name: str = "extern",
    dtype: DType | str | Sequence[DType | str] | None = None,
    attrs: Mapping[str, object] | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The tensor, or the tensors, that statements compute from ``inputs``.

    Parameters
    ----------
    shape : the extents of the result, or a list of the extents of each of several results.
    inputs : the tensors that the statements read, in the order of ``ins``.
    fcompute : ``fcompute(ins, outs)`` returns the statements, made with ``te.ir_builder()``. Each
        view is of a whole tensor. Elements of ``outs`` that are not written are undefined.
    dtype : of the result or of each; by default that of the inputs, which must have one then.

    Raises
    ------
    ExprError : the statements write what is no result, read what is no input, or are ill-formed.

    >>> def double(ins, outs):
    ...     ib = te.ir_builder()
    ...     B = ib.buffer_ptr(outs[0])
    ...     with ib.for_range(0, 8, "i") as i:
    ...         B[i] = ins[0][i] * 2.0
    ...     return ib.get()
    >>> B = te.extern((8,), [A], double, name="B")
    """
    several = isinstance(shape, Sequence) and bool(shape) and isinstance(shape[0], Sequence)
    shapes = [shape_of(s, name) for s in (shape if several else (shape,))]  # type: ignore[arg-type]
    for t in inputs:
        if not isinstance(t, Tensor):
            raise ExprError(f"{name}: the inputs are tensors, not {t!r}.")
    dtypes = _dtypes(dtype, inputs, len(shapes), name)
    ins = tuple(Buffer(t.name, t.dtype, t.shape) for t in inputs)
    names = [f"{name}.v{k}" for k in range(len(shapes))] if len(shapes) > 1 else [name]
    outs = tuple(map(Buffer, names, dtypes, shapes))
    body = fcompute([whole(b) for b in ins], [whole(b) for b in outs])
    if not isinstance(body, Stmt):
        raise ExprError(
            f"{name}: the function must return statements, not {body!r}.",
            hint="end it with `return ib.get()`",
        )
    body = _Known(ins)(body)
    check_statements(name, ins, outs, body)
    facts = MappingProxyType(dict(attrs or {}))
    op = ExternOp(name, tuple(inputs), ins, outs, body, attrs=facts)
    return op.outputs if several else op.outputs[0]


def _dtypes(
    given: DType | str | Sequence[DType | str] | None,
    inputs: Sequence[Tensor],
    results: int,
    name: str,
) -> list[DType]:
    if given is None:
        kinds = {t.dtype for t in inputs}
        if len(kinds) != 1:
            raise ExprError(f"{name}: the type of the result is not known.", hint="give dtype=…")
        return [*kinds] * results
    many = [given] * results if isinstance(given, DType | str) else list(given)
    if len(many) != results:
        raise ExprError(f"{name}: {len(many)} types were given for {results} results.")
    return [dtype_of(d) for d in many]
