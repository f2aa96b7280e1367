"""Functions that build the expressions for which Python has no symbol that we may use:
``minimum``, ``if_then_else``, ``likely``, …"""

from __future__ import annotations

from collections.abc import Sequence

from ..runtime.dtype import BOOL, DType, dtype_of
from ..runtime.errors import ExprError
from .alu import Op
from .expr import (
    TRUE,
    Binary,
    Call,
    Const,
    Expr,
    ExprLike,
    Reinterpret,
    Select,
    Unary,
    binary,
    const,
    to_expr,
)


def minimum(a: ExprLike, b: ExprLike) -> Expr:
    """The lesser of two; NaN if either is NaN."""
    return binary(Op.MIN, a, b)


def maximum(a: ExprLike, b: ExprLike) -> Expr:
    """The greater of two; NaN if either is NaN."""
    return binary(Op.MAX, a, b)


def equal(a: ExprLike, b: ExprLike) -> Expr:
    """The expression ``a == b``."""
    return binary(Op.EQ, a, b)


def not_equal(a: ExprLike, b: ExprLike) -> Expr:
    """The expression ``a != b``."""
    return binary(Op.NE, a, b)


def truncdiv(a: ExprLike, b: ExprLike) -> Expr:
    """Integer division that rounds towards zero, as C does."""
    return binary(Op.TRUNCDIV, a, b)


def truncmod(a: ExprLike, b: ExprLike) -> Expr:
    """The remainder with the dividend's sign: C's ``%`` and ``fmod``."""
    return binary(Op.TRUNCMOD, a, b)


def floordiv(a: ExprLike, b: ExprLike) -> Expr:
    """Integer division that rounds down, ``a // b``. By zero it is 0."""
    return binary(Op.FLOORDIV, a, b)


def floormod(a: ExprLike, b: ExprLike) -> Expr:
    """The remainder with the divisor's sign, ``a % b`` of integers. By zero it is 0."""
    return binary(Op.FLOORMOD, a, b)


def absolute(a: ExprLike) -> Expr:
    """``abs(a)`` of a number; the lowest integer of a type wraps to itself."""
    return Unary(Op.ABS, to_expr(a))


def reinterpret(value: ExprLike, dtype: DType | str) -> Expr:
    """The bits of ``value`` read as another type of the same width, neither of them bool."""
    v = to_expr(value)
    d = dtype_of(dtype).with_lanes(v.dtype.lanes)
    if d.bits != v.dtype.bits or d.is_bool or v.dtype.is_bool:
        raise ExprError(
            f"the bits of {v} ({v.dtype}) cannot be read as {d}: reinterpret takes and gives "
            "numbers of one width.",
            hint="convert the value with .astype(dtype), or reinterpret a type of the same bits",
        )
    return v if d == v.dtype else Reinterpret(v, d)


def min_value(dtype: DType | str) -> Const:
    """The lowest finite value of a type."""
    return const(dtype_of(dtype).min, dtype)


def max_value(dtype: DType | str) -> Const:
    """The highest finite value of a type."""
    return const(dtype_of(dtype).max, dtype)


def likely(cond: ExprLike) -> Expr:
    """``cond``, marked as what mostly holds: loops are split where it turns, so that the part in
    which it always holds does not ask. For conditions on loop variables, in ``te.if_then_else``
    and in the ``where`` of a reduction."""
    c = to_expr(cond)
    if not c.dtype.is_bool:
        raise ExprError(f"te.likely takes a condition, not {c.dtype}: {c}")
    return c if isinstance(c, Const) else Call("likely", (c,), BOOL.with_lanes(c.dtype.lanes))


def all_of(conditions: Sequence[Expr]) -> Expr:
    """The conjunction of conditions; ``True`` for none."""
    result: Expr | None = None
    for c in conditions:
        result = c if result is None else Binary(Op.AND, result, c)
    return result if result is not None else TRUE


def if_then_else(cond: ExprLike, a: ExprLike, b: ExprLike) -> Expr:
    """``a`` where ``cond`` holds, else ``b``; only the chosen side is evaluated."""
    like = a.dtype if isinstance(a, Expr) else b.dtype if isinstance(b, Expr) else None
    return Select(to_expr(cond), to_expr(a, like), to_expr(b, like))
