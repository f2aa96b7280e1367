"""Arithmetic on ramps: index expressions stay ``ramp(base, stride, n)`` as long as they can, since
a ramp of stride 1 is one vector load or store and anything else is a gather or a scatter."""

from __future__ import annotations

from ..expr import TRUE, Binary, Broadcast, Expr, Op, Ramp, as_int, binary, const
from ..simplify import Analyzer


def ramp_binary(op: Op, a: Expr, b: Expr, analyzer: Analyzer) -> Expr:
    """``a op b`` where at least one side is a vector and a scalar counts for every lane. The
    result is a ramp where it is one, and a scalar where all lanes are equal."""
    lanes = max(a.dtype.lanes, b.dtype.lanes)
    a, b = _scalar(a), _scalar(b)
    if a.dtype.is_int:
        found = _RULES[op](op, a, b, analyzer) if op in _RULES else None
        if found is not None:
            return found
    if a.dtype.lanes == b.dtype.lanes == 1:
        return binary(op, a, b)
    wide_a = Broadcast(a, lanes) if a.dtype.lanes == 1 else a
    wide_b = Broadcast(b, lanes) if b.dtype.lanes == 1 else b
    return Binary(op, wide_a, wide_b)


def _scalar(e: Expr) -> Expr:
    return e.value if isinstance(e, Broadcast) else e


def _sum(op: Op, a: Expr, b: Expr, analyzer: Analyzer) -> Expr | None:
    if isinstance(a, Ramp) and isinstance(b, Ramp):
        stride = binary(op, a.stride, b.stride)
        base = binary(op, a.base, b.base)
        return base if as_int(stride) == 0 else Ramp(base, stride, a.lanes)
    if isinstance(a, Ramp) and b.dtype.lanes == 1:
        return Ramp(binary(op, a.base, b), a.stride, a.lanes)
    if isinstance(b, Ramp) and a.dtype.lanes == 1:
        stride = b.stride if op is Op.ADD else binary(Op.SUB, const(0, b.stride.dtype), b.stride)
        return Ramp(binary(op, a, b.base), stride, b.lanes)
    return None


def _product(op: Op, a: Expr, b: Expr, analyzer: Analyzer) -> Expr | None:
    ramp, k = (a, b) if isinstance(a, Ramp) else (b, a)
    if not isinstance(ramp, Ramp) or k.dtype.lanes > 1:
        return None
    if as_int(k) == 0:
        return k
    return Ramp(binary(Op.MUL, ramp.base, k), binary(Op.MUL, ramp.stride, k), ramp.lanes)


def _divide(op: Op, a: Expr, b: Expr, analyzer: Analyzer) -> Expr | None:
    """A ramp by a positive constant ``c``: exact where the stride is a multiple of ``c``, one value
    where the whole ramp lies within one multiple of ``c``."""
    c = as_int(b)
    if not isinstance(a, Ramp) or c is None or c <= 0:
        return None
    stride = as_int(a.stride)
    if stride is None or stride < 0:
        return None
    quotient = analyzer.simplify(binary(Op.FLOORDIV, a.base, b))
    remainder = analyzer.simplify(binary(Op.FLOORMOD, a.base, b))
    if stride % c == 0:
        if op is Op.FLOORMOD:
            return remainder
        return Ramp(quotient, const(stride // c, a.base.dtype), a.lanes)
    highest = analyzer.interval(remainder).hi
    if highest is None or highest + (a.lanes - 1) * stride >= c:
        return None
    return quotient if op is Op.FLOORDIV else Ramp(remainder, a.stride, a.lanes)


def _compare(op: Op, a: Expr, b: Expr, analyzer: Analyzer) -> Expr | None:
    """True for all lanes at once, where that is certain."""
    greatest, least = _end(a, last=True), _end(b, last=False)
    if greatest is None or least is None or not analyzer.prove(Binary(op, greatest, least)):
        return None
    return TRUE


def _end(e: Expr, last: bool) -> Expr | None:
    """The greatest (least) lane of a ramp or a scalar."""
    if not isinstance(e, Ramp):
        return e if e.dtype.lanes == 1 else None
    stride = as_int(e.stride)
    if stride is None:
        return None
    return e.base + stride * (e.lanes - 1) if (stride > 0) == last else e.base


_RULES = {
    Op.ADD: _sum,
    Op.SUB: _sum,
    Op.MUL: _product,
    Op.FLOORDIV: _divide,
    Op.FLOORMOD: _divide,
    Op.LT: _compare,
    Op.LE: _compare,
}
