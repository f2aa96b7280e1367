"""Integer expressions as linear forms in chosen variables."""

from __future__ import annotations

from collections.abc import Collection

from ..expr import Binary, Const, Expr, Op, Unary, Var
from ..visit import walk

Coefficients = dict[Var, int]


def affine(e: Expr, over: Collection[Var]) -> tuple[Coefficients, Expr] | None:
    """``e`` as ``sum(c[v] * v for v in over) + rest`` with integer ``c`` and a ``rest`` free of
    ``over``; None when ``e`` is not of that form."""
    c: Coefficients = {}
    rest = _collect(e, frozenset(over), 1, c)
    if rest is None:
        return None
    return {v: k for v, k in c.items() if k}, rest


def occurs(e: Expr, over: Collection[Var]) -> bool:
    """Whether a variable of ``over`` occurs in ``e``."""
    return any(isinstance(n, Var) and n in over for n in walk(e))


def _collect(e: Expr, over: frozenset[Var], scale: int, c: Coefficients) -> Expr | None:
    """Add ``scale * e`` to ``c``; the result is the part of ``scale * e`` free of ``over``."""
    if isinstance(e, Var) and e in over:
        c[e] = c.get(e, 0) + scale
        return Const(0, e.dtype)
    if isinstance(e, Binary) and e.op in (Op.ADD, Op.SUB):
        a = _collect(e.a, over, scale, c)
        b = _collect(e.b, over, scale if e.op is Op.ADD else -scale, c)
        return None if a is None or b is None else _plus(a, b)
    if isinstance(e, Binary) and e.op is Op.MUL:
        for x, y in ((e.a, e.b), (e.b, e.a)):
            if isinstance(y, Const):
                return _collect(x, over, scale * int(y.value), c)
    if isinstance(e, Unary) and e.op is Op.NEG:
        return _collect(e.a, over, -scale, c)
    if occurs(e, over):
        return None
    return e if scale == 1 else e * scale


def _plus(a: Expr, b: Expr) -> Expr:
    if isinstance(a, Const) and a.value == 0:
        return b
    return a if isinstance(b, Const) and b.value == 0 else a + b
