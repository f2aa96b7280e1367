"""Arithmetic on vectors: broadcasts move outwards, and indices stay ``ramp(base, stride, n)``.

They do as long as they can, since a ramp of stride 1 is one vector load or store and anything else
is a gather or a scatter. The analyzer simplifies vectors by these rules, and vectorisation makes
vectors by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..alu import Op
from ..expr import FALSE, TRUE, Binary, Broadcast, Const, Expr, Ramp, as_int, binary, const

if TYPE_CHECKING:  # the analyzer simplifies with these rules, and they with the analyzer
    from .analyzer import Analyzer


def lanewise(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr:
    """``a op b`` of operands as they come, where a scalar counts for every lane. Where they come to
    a ramp the result is that, simplified; it is a scalar where all lanes are equal."""
    a, b = unvaried(a), unvaried(b)
    lanes = max(a.dtype.lanes, b.dtype.lanes)
    if lanes == 1:
        return binary(op, a, b)
    x, y = (Broadcast(e, lanes) if e.dtype.lanes == 1 else e for e in (a, b))
    if isinstance(x, Ramp | Broadcast) and isinstance(y, Ramp | Broadcast):
        found = vector_binary(an, op, an.simplify(x), an.simplify(y))
        if found is not None:
            return unvaried(found)
    return Binary(op, x, y)


def unvaried(e: Expr) -> Expr:
    """The value that all lanes have, where that is plain; else ``e``."""
    return e.value if isinstance(e, Broadcast) else e


def vector_binary(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr | None:
    """``a op b`` for simplified vectors, or None when nothing is gained."""
    if type(a) is Broadcast and type(b) is Broadcast:
        return an.broadcast(an.binary(op, a.value, b.value), a.lanes)
    rule = _OF_RAMPS.get(op)
    if rule is None or not a.dtype.is_int or not (type(a) is Ramp or type(b) is Ramp):
        return None
    if op not in _RING and (a.dtype.bits != 32 or a.dtype.kind != "int"):
        return None  # the ramp may wrap
    return rule(an, op, a, b)


def _parts(an: Analyzer, e: Expr) -> tuple[Expr, Expr] | None:
    """(base, stride) of a ramp, or of a broadcast: stride 0."""
    if type(e) is Ramp:
        return e.base, e.stride
    if type(e) is Broadcast:
        return e.value, an.const(0, e.value.dtype)
    return None


def _sum(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr | None:
    x, y = _parts(an, a), _parts(an, b)
    if x is None or y is None:
        return None
    return an.ramp(an.binary(op, x[0], y[0]), an.binary(op, x[1], y[1]), a.dtype.lanes)


def _product(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr | None:
    if type(a) is Broadcast:
        a, b = b, a
    if type(a) is not Ramp or type(b) is not Broadcast:
        return None
    k = b.value
    return an.ramp(an.binary(op, a.base, k), an.binary(op, a.stride, k), a.lanes)


def _divide(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr | None:
    """A ramp by a positive constant: a ramp where the stride is a multiple of it, one value where
    all lanes lie within one multiple."""
    c = (as_int(b.value) or 0) if type(b) is Broadcast else 0
    stride = as_int(a.stride) if type(a) is Ramp and c > 0 else None
    if type(a) is not Ramp or stride is None or stride < 0 or not an.exact(an.linear(a.base)):
        return None
    divisor = an.const(c, a.base.dtype)
    rest = an.binary(Op.FLOORMOD, a.base, divisor)
    if stride % c == 0:
        if op is Op.FLOORMOD:
            return an.broadcast(rest, a.lanes)
        whole = an.binary(Op.FLOORDIV, a.base, divisor)
        return an.ramp(whole, an.const(stride // c, a.base.dtype), a.lanes)
    highest = an.range_of(rest).hi
    if highest is None or highest + (a.lanes - 1) * stride >= c:
        return None
    if op is Op.FLOORMOD:
        return an.ramp(rest, a.stride, a.lanes)
    return an.broadcast(an.binary(Op.FLOORDIV, a.base, divisor), a.lanes)


def _ends(an: Analyzer, e: Expr) -> tuple[Expr, Expr] | None:
    """The least and the greatest lane."""
    parts = _parts(an, e)
    stride = as_int(parts[1]) if parts else None
    if parts is None or stride is None:
        return None
    other = an.simplify(parts[0] + const(stride * (e.dtype.lanes - 1), parts[0].dtype))
    return (parts[0], other) if stride >= 0 else (other, parts[0])


def _all_or_none(an: Analyzer, op: Op, a: Expr, b: Expr) -> bool | None:
    """Whether ``a op b`` holds in all lanes (True), in none (False)."""
    x, y = _ends(an, a), _ends(an, b)
    if x is None or y is None:
        return None
    always = an.binary(op, x[1], y[0])
    if type(always) is Const and always.value:
        return True
    never = an.binary(op, x[0], y[1])
    return False if type(never) is Const and not never.value else None


def _order(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr | None:
    known = _all_or_none(an, op, a, b)
    return None if known is None else an.broadcast(TRUE if known else FALSE, a.dtype.lanes)


def _extremum(an: Analyzer, op: Op, a: Expr, b: Expr) -> Expr | None:
    if _all_or_none(an, Op.LE, a, b):
        return a if op is Op.MIN else b
    if _all_or_none(an, Op.LE, b, a):
        return b if op is Op.MIN else a
    return None


_RING = frozenset({Op.ADD, Op.SUB, Op.MUL})  # right modulo 2^bits, whether or not they wrap
_OF_RAMPS = {
    Op.ADD: _sum,
    Op.SUB: _sum,
    Op.MUL: _product,
    Op.FLOORDIV: _divide,
    Op.FLOORMOD: _divide,
    Op.LT: _order,
    Op.LE: _order,
    Op.MIN: _extremum,
    Op.MAX: _extremum,
}
