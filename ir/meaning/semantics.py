"""What the operators, casts and intrinsics compute: numpy functions on arrays and scalars.

``evaluate.py`` calls them with whole grids, ``interp.py`` with scalars and vectors; the meaning is
the one that the nodes of ``expr.py`` state. Values are held in :func:`work_dtype`. Callers run
under :func:`quiet`: overflow, division by zero and NaN are defined results here, not warnings.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import ml_dtypes
import numpy as np

from ...runtime.dtype import FLOAT32, DType
from ..alu import Op
from ..intrin import INTRINSICS

Value = Any  # a numpy scalar or array of a work dtype
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def quiet() -> AbstractContextManager[None]:
    """No warnings of numpy's: all results are defined."""
    return np.errstate(all="ignore")


def work_dtype(d: DType) -> np.dtype:
    """The numpy type that holds values of ``d``: its own, float32 for bfloat16 (whose values are
    rounded only when they are stored, cast or reinterpreted)."""
    return FLOAT32.numpy if d.kind == "bfloat" else d.numpy


def stored(value: Value, d: DType) -> Value:
    """``value`` as it lies in memory."""
    return np.asarray(value).astype(_BFLOAT16) if d.kind == "bfloat" else value


def loaded(value: Value, d: DType) -> Value:
    """The value of memory contents."""
    return value.astype(np.float32) if d.kind == "bfloat" else value


# ---------------------------------------------------------------------- arithmetic


def _truncdiv(a: Value, b: Value) -> Value:
    q = a // b
    # Floor and truncation differ where the signs differ and something is left over; q * b == a
    # also where b is 0 and q is 0 in numpy, so that is excluded by `b != 0`.
    up = (q * b != a) & ((a < 0) != (b < 0)) & (b != 0)
    return q + up.astype(q.dtype)


def _shift(f: Callable[[Value, Value], Value]) -> Callable[[Value, Value], Value]:
    return lambda a, b: f(a, b & (b.dtype.type(b.dtype.itemsize * 8 - 1)))


# Python's operators and not numpy's functions where both do: on scalars they are 5 times faster.
BINARY: dict[Op, Callable[[Value, Value], Value]] = {
    Op.ADD: operator.add,
    Op.SUB: operator.sub,
    Op.MUL: operator.mul,
    Op.DIV: np.divide,
    Op.FLOORDIV: operator.floordiv,
    Op.FLOORMOD: operator.mod,
    Op.TRUNCDIV: _truncdiv,
    Op.TRUNCMOD: np.fmod,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.AND: operator.and_,
    Op.OR: operator.or_,
    Op.XOR: operator.xor,
    Op.SHL: _shift(np.left_shift),
    Op.SHR: _shift(np.right_shift),
}
UNARY: dict[Op, Callable[[Value], Value]] = {
    Op.NEG: np.negative,
    Op.NOT: np.invert,
    Op.ABS: np.abs,
}


# ---------------------------------------------------------------------- conversions


def cast(value: Value, source: DType, target: DType) -> Value:
    """``Cast``: see its docstring for the meaning."""
    if target.is_bool:
        return value != 0
    if source.is_float and target.is_int:
        return _saturate(value, target)
    if target.kind == "bfloat":
        return value.astype(_BFLOAT16).astype(np.float32)
    return value.astype(work_dtype(target))


def _saturate(value: Value, d: DType) -> Value:
    whole = np.trunc(value)
    # The limits as floats of the source type may round past those of the integer type, and numpy
    # leaves a conversion out of range undefined: so convert only what is strictly inside.
    low, high = whole.dtype.type(d.min), whole.dtype.type(d.max)
    inside = (whole > low) & (whole < high)
    exact = np.where(inside, whole, whole.dtype.type(0)).astype(d.numpy)
    above = np.where(whole >= high, d.numpy.type(d.max), exact)
    return np.where(whole <= low, d.numpy.type(d.min), above)


def reinterpret(value: Value, source: DType, target: DType) -> Value:
    """``Reinterpret``: the same bits as another type."""
    bits = np.ascontiguousarray(stored(value, source))
    result = loaded(bits.view(target.numpy), target)
    return result.reshape(np.shape(value))[()]


# ---------------------------------------------------------------------- intrinsics

# These are exact in any precision; the others are computed in double precision and rounded once,
# which makes an oracle that is closer than any back-end.
_EXACT = frozenset(
    {
        "floor",
        "ceil",
        "trunc",
        "round",
        "isnan",
        "isinf",
        "isfinite",
        "popcount",
        "clz",
        "sqrt",
        "any",
    }
)


def intrinsic(name: str, args: list[Value], d: DType) -> Value:
    """``Call``: ``d`` is the type of the operands."""
    spec = INTRINSICS[name]
    if name in _EXACT:
        return spec.numpy(*args)
    if spec.own and (spec.result == "bool" or not d.is_float):
        made = np.asarray(spec.numpy(*args))
        return made.astype(np.bool_ if spec.result == "bool" else work_dtype(d))[()]
    wide = spec.numpy(*(a.astype(np.float64) for a in args))
    return np.asarray(wide).astype(work_dtype(d))[()]
