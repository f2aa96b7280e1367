"""Functions that build the expressions for which Python has no symbol that we may use: ``equal``,
``minimum``, ``if_then_else``, …"""

from __future__ import annotations

from collections.abc import Sequence

from .alu import Op
from .expr import TRUE, Binary, Expr, ExprLike, Select, binary, to_expr


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
