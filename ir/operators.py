"""Python's operators on expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .alu import Op
from .refusals import no_power

if TYPE_CHECKING:
    from .expr import Expr, ExprLike


class Operators:
    """What an expression can be combined with by a symbol; :class:`Expr` says how."""

    __slots__ = ()

    @staticmethod
    def _binary(op: Op, a: ExprLike, b: ExprLike) -> Expr:
        raise NotImplementedError

    @staticmethod
    def _unary(op: Op, a: Expr) -> Expr:
        raise NotImplementedError

    def __add__(self, o: ExprLike) -> Expr:
        return self._binary(Op.ADD, self, o)  # type: ignore[arg-type]

    def __radd__(self, o: ExprLike) -> Expr:
        return self._binary(Op.ADD, o, self)  # type: ignore[arg-type]

    def __sub__(self, o: ExprLike) -> Expr:
        return self._binary(Op.SUB, self, o)  # type: ignore[arg-type]

    def __rsub__(self, o: ExprLike) -> Expr:
        return self._binary(Op.SUB, o, self)  # type: ignore[arg-type]

    def __mul__(self, o: ExprLike) -> Expr:
        return self._binary(Op.MUL, self, o)  # type: ignore[arg-type]

    def __rmul__(self, o: ExprLike) -> Expr:
        return self._binary(Op.MUL, o, self)  # type: ignore[arg-type]

    def __truediv__(self, o: ExprLike) -> Expr:
        return self._binary(Op.DIV, self, o)  # type: ignore[arg-type]

    def __rtruediv__(self, o: ExprLike) -> Expr:
        return self._binary(Op.DIV, o, self)  # type: ignore[arg-type]

    def __floordiv__(self, o: ExprLike) -> Expr:
        return self._binary(Op.FLOORDIV, self, o)  # type: ignore[arg-type]

    def __rfloordiv__(self, o: ExprLike) -> Expr:
        return self._binary(Op.FLOORDIV, o, self)  # type: ignore[arg-type]

    def __mod__(self, o: ExprLike) -> Expr:
        return self._binary(Op.FLOORMOD, self, o)  # type: ignore[arg-type]

    def __rmod__(self, o: ExprLike) -> Expr:
        return self._binary(Op.FLOORMOD, o, self)  # type: ignore[arg-type]

    def __and__(self, o: ExprLike) -> Expr:
        return self._binary(Op.AND, self, o)  # type: ignore[arg-type]

    def __rand__(self, o: ExprLike) -> Expr:
        return self._binary(Op.AND, o, self)  # type: ignore[arg-type]

    def __or__(self, o: ExprLike) -> Expr:
        return self._binary(Op.OR, self, o)  # type: ignore[arg-type]

    def __ror__(self, o: ExprLike) -> Expr:
        return self._binary(Op.OR, o, self)  # type: ignore[arg-type]

    def __xor__(self, o: ExprLike) -> Expr:
        return self._binary(Op.XOR, self, o)  # type: ignore[arg-type]

    def __rxor__(self, o: ExprLike) -> Expr:
        return self._binary(Op.XOR, o, self)  # type: ignore[arg-type]

    def __lshift__(self, o: ExprLike) -> Expr:
        return self._binary(Op.SHL, self, o)  # type: ignore[arg-type]

    def __rlshift__(self, o: ExprLike) -> Expr:
        return self._binary(Op.SHL, o, self)  # type: ignore[arg-type]

    def __rshift__(self, o: ExprLike) -> Expr:
        return self._binary(Op.SHR, self, o)  # type: ignore[arg-type]

    def __rrshift__(self, o: ExprLike) -> Expr:
        return self._binary(Op.SHR, o, self)  # type: ignore[arg-type]

    def __lt__(self, o: ExprLike) -> Expr:
        return self._binary(Op.LT, self, o)  # type: ignore[arg-type]

    def __le__(self, o: ExprLike) -> Expr:
        return self._binary(Op.LE, self, o)  # type: ignore[arg-type]

    def __gt__(self, o: ExprLike) -> Expr:
        return self._binary(Op.LT, o, self)  # type: ignore[arg-type]

    def __ge__(self, o: ExprLike) -> Expr:
        return self._binary(Op.LE, o, self)  # type: ignore[arg-type]

    def __neg__(self) -> Expr:
        return self._unary(Op.NEG, self)  # type: ignore[arg-type]

    def __invert__(self) -> Expr:
        return self._unary(Op.NOT, self)  # type: ignore[arg-type]

    def __abs__(self) -> Expr:
        return self._unary(Op.ABS, self)  # type: ignore[arg-type]

    def __pow__(self, o: object) -> Expr:
        raise no_power(self, o)

    def __rpow__(self, o: object) -> Expr:
        raise no_power(o, self)
