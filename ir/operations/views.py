"""Operands of statements that a user writes: whole buffers, indexed as tensors are."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.dtype import INT32, DType
from ...runtime.errors import ExprError
from ..expr import Expr, ExprLike, Load, Var, to_expr
from ..schedule.intrinsics import View
from ..stmt import Buffer


class BufferView(View):
    """A whole operand of an extern operation: ``A[i, j]`` reads an element; ``ib.buffer_ptr(A)``
    of an :class:`~weft.ir.operations.builder.IRBuilder` is written, too."""

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The extents, as expressions."""
        return self.buffer.shape

    @property
    def dtype(self) -> DType:
        """The type of an element."""
        return self.buffer.dtype

    @property
    def name(self) -> str:
        """The name of the tensor that this stands for."""
        return self.buffer.name

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        given = indices if isinstance(indices, tuple) else (indices,)
        return Load(self.buffer, index_of(self.buffer, given))

    def __setitem__(self, indices: object, value: object) -> None:
        raise ExprError(
            f"an element of {self.name} is written by the builder of the statements.",
            hint=f"B = ib.buffer_ptr(outs[…]) and then B[…] = value, or ib.emit({self.name}"
            ".store(value, …))",
        )

    def __iter__(self):
        raise ExprError(f"{self.name} cannot be iterated; index it.")


def whole(buffer: Buffer) -> BufferView:
    """The view of all of a buffer."""
    axes = tuple(Var(f"i{k}") for k in range(len(buffer.shape)))
    return BufferView(buffer, axes, axes)


def index_of(buffer: Buffer, given: Sequence[ExprLike]) -> tuple[Expr, ...]:
    """The indices of one element. One index of a buffer of several axes counts its elements in
    row-major order, as those of TVM's ``buffer_ptr`` do.

    Raises ExprError for another number of indices, or for one that is no int32.
    """
    exprs = tuple(to_expr(i, INT32) for i in given)
    for i in exprs:
        if i.dtype.element != INT32:
            raise ExprError(
                f"an index of {buffer.name} is {i.dtype}, not int32: {i}",
                hint="convert it with .astype('int32')",
            )
    if len(exprs) == len(buffer.shape):
        return exprs
    if len(exprs) != 1 or not buffer.shape:
        raise ExprError(
            f"{buffer!r} has {len(buffer.shape)} axes and was indexed with {len(exprs)} indices"
        )
    flat, parts = exprs[0], list[Expr]()
    for extent in reversed(buffer.shape[1:]):
        parts.append(flat % extent)
        flat = flat // extent
    return (flat, *reversed(parts))
