"""Products of integers and fixed-point numbers, as quantised networks scale their sums.

The arithmetic is that of gemmlowp and TensorFlow Lite (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 2.2), so that
results are those of its reference kernels to the bit:

- of int32, ``x * multiplier * 2^(shift - 31)`` is rounded twice: the high half of the doubled
  product to the nearest (halves up), then its division by a power of two (halves away from 0);
- of int64, the multiplier is first rounded to 16 bits, and the product once (halves up).

Nothing here needs more than 32 bits for int32, which is all that some targets have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir.builders import if_then_else, maximum, minimum
from ...ir.expr import Expr, cast, to_expr
from ...ir.tensor import Tensor
from ...runtime.dtype import INT32, INT64, UINT32
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import Attrs as AxisAttrs
from .axes import Carried, Shape, carries
from .common import ints, make, normalize_axis, some
from .facts import Facts
from .opdef import Attr, Kind, OpDef

_NAME = "fixed_point_multiply"
_FEW = 0x7FFF0000  # from here on a multiplier rounds to 2^15, which is one too many for 16 bits


def _infer(types, a):
    x, multiplier, shift = (some(t) for t in types)
    if x.dtype not in (INT32, INT64):
        raise GraphError(f"{_NAME} takes int32 or int64, not {x}.")
    for t in (multiplier, shift):
        if t.dtype != INT32 or t.shape != multiplier.shape:
            raise GraphError(
                f"{_NAME}: multiplier and shift are int32 of one shape, not {multiplier}, {shift}."
            )
    if multiplier.shape not in ((), (1,)):
        axis = normalize_axis(_NAME, a["axis"], len(x.shape))
        if multiplier.shape != (x.shape[axis],):
            raise GraphError(f"{_NAME}: multipliers {multiplier} do not fit axis {axis} of {x}.")
    return [TensorType(INT32, x.shape)]


def _param(p: Tensor, index: Sequence[Expr], axis: int) -> Expr:
    if p.ndim == 0:
        return p[()]
    return p[to_expr(0)] if ints(p.shape) == (1,) else p[index[axis % len(index)]]


def _high(x: Expr, m: Expr) -> Expr:
    """floor((x * m + 2^30) / 2^31) for m >= 0, by products of halves that fit 32 bits."""
    low = to_expr(0xFFFF, INT32)
    xh, xl, mh, ml = x >> 16, x & low, m >> 16, m & low
    a, b = xh * ml, xl * mh
    carry = cast((cast(xl, UINT32) * cast(ml, UINT32)) >> to_expr(16, UINT32), INT32)
    few = to_expr(0x7FFF, INT32)
    rest = ((a & few) + (b & few) + carry + 16384) >> 15
    return xh * mh * 2 + (a >> 15) + (b >> 15) + rest


def _divided(x: Expr, exponent: Expr) -> Expr:
    """x / 2^exponent to the nearest, halves away from 0."""
    one = to_expr(1, INT32)
    mask = (one << exponent) - 1
    threshold = (mask >> 1) + if_then_else(x < 0, one, 0)
    return (x >> exponent) + if_then_else((x & mask) > threshold, one, 0)


def _compute(inputs, a, out):
    x, multiplier, shift = (some(t) for t in inputs)
    zero = to_expr(0, INT32)

    def narrow(*i):
        m, s = (_param(p, i, a["axis"]) for p in (multiplier, shift))
        return _divided(_high(x[i] << maximum(s, zero), m), maximum(zero - s, zero))

    def wide(*i):
        m, s = (_param(p, i, a["axis"]) for p in (multiplier, shift))
        few = if_then_else(m < _FEW, (m + 32768) >> 16, to_expr(0x7FFF, INT32))
        total = cast(to_expr(15, INT32) - s, INT64)
        one = to_expr(1, INT64)
        value = (x[i] * cast(few, INT64) + (one << (total - one))) >> total
        low, high = to_expr(INT32.min, INT64), to_expr(INT32.max, INT64)
        return cast(minimum(maximum(value, low), high), INT32)

    return [make(out[0].shape, wide if x.dtype == INT64 else narrow, _NAME)]


def _np_param(p: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    p = p.astype(np.int64)
    if p.size == 1:
        return p.reshape(())
    return p.reshape([-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])


def _reference(arrays, a):
    x, multiplier, shift = (some(v) for v in arrays)
    m, s = (_np_param(p, x, a["axis"]) for p in (multiplier, shift))
    if x.dtype == np.int64:
        few = np.where(m < _FEW, (m + 32768) >> 16, 0x7FFF)
        total = 15 - s
        value = (x * few + (np.int64(1) << (total - 1))) >> total
        return [np.clip(value, INT32.min, INT32.max).astype(np.int32)]
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    shifted = (x.astype(np.int64) << left).astype(np.int32).astype(np.int64)
    high = (shifted * m + (1 << 30)) >> 31
    mask = (np.int64(1) << right) - 1
    more = (high & mask) > (mask >> 1) + (high < 0)
    return [np.asarray((high >> right) + more, np.int32).reshape(x.shape)]


def _carries(shapes: Sequence[Shape | None], made: Sequence[Shape], a: AxisAttrs) -> Carried | None:
    """Multipliers are read as they are; their axis is that of the data where they are several."""
    several = shapes[1] not in ((), (1,))
    return carries(along=("axis",) if several else (), first=1)(shapes, made, a)


OPS: tuple[OpDef, ...] = (
    OpDef(
        _NAME, Kind.BROADCAST, _infer, _compute, _reference,
        {"axis": Attr(int, 1, "of multipliers that are more than one number")}, 3, 3,
        facts=Facts(cheap=False, carries=_carries),
        doc="x * multiplier * 2^(shift - 31), rounded as TensorFlow Lite does; int32. A multiplier "
        "is not negative, a shift from -31 to 7, of int32 to 30.",
    ),
)  # fmt: skip
