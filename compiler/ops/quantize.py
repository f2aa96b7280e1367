"""Linear quantisation to integers of 8, 16 or 32 bits or to small floats, and back.

``scale`` and ``zero_point`` are one number, one per index along ``axis``, or (``block_size`` > 0)
one per block of ``block_size`` elements along ``axis``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir import intrin as te
from ...ir import reducers
from ...ir.builders import equal, if_then_else, maximum, minimum
from ...ir.expr import Expr, cast, to_expr
from ...ir.tensor import Tensor
from ...runtime.dtype import FLOAT32, INT32, UINT8, DType, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import Attrs as AxisAttrs
from .axes import Carried, Shape, carries
from .common import (
    check_domain,
    convert_array,
    ints,
    make,
    normalize_axis,
    some,
    wide,
)
from .facts import Facts
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .reduce import reduce_over
from .small_float import format_of, np_rounded, rounded


def _params_checked(name: str, types: Types, a: Attrs) -> TensorType:
    """Raise GraphError unless scale and zero point fit the first input; returns its type."""
    t, scale = some(types[0]), some(types[1])
    zero = types[2] if len(types) > 2 else None
    check_domain(name, "float", scale, 1)
    if zero is not None and zero.shape != scale.shape:
        raise GraphError(f"{name}: the zero point {zero} has not the shape of the scale {scale}.")
    if scale.shape in ((), (1,)):
        return t
    axis, block = normalize_axis(name, a["axis"], len(t.shape)), a["block_size"]
    if block:
        expected = tuple(-(-n // block) if k == axis else n for k, n in enumerate(t.shape))
    else:
        expected = (t.shape[axis],)
    if block < 0 or scale.shape != expected:
        raise GraphError(
            f"{name}: the scale is {scale}; for {t} and axis {axis} it must be one number or "
            f"have the shape {list(expected)}."
        )
    return t


def _param(p: Tensor, index: Sequence[Expr], a: Attrs) -> Expr:
    if p.ndim == 0:
        return p[()]
    if ints(p.shape) == (1,):  # one number, also for data without axes
        return p[to_expr(0)]
    axis = a["axis"] % len(index)
    if a["block_size"] and p.ndim == len(index):
        block = min(a["block_size"], INT32.max)
        return p[tuple(i // block if k == axis else i for k, i in enumerate(index))]
    return p[index[axis]]


def _np_param(p: np.ndarray, x: np.ndarray, a: Attrs) -> np.ndarray:
    if p.shape in ((), (1,)):
        return p.reshape(())
    axis = a["axis"] % x.ndim
    if a["block_size"]:
        return np.take(p, np.arange(x.shape[axis]) // a["block_size"], axis)
    return p.reshape([-1 if k == axis else 1 for k in range(x.ndim)])


def _saturate(value: Expr, to: DType) -> Expr:
    """``value`` as ``to``; NaN (0 / 0, where a scale is 0) is the lowest, as in ONNX Runtime."""
    low = to_expr(float(to.min), value.dtype)
    inside = minimum(maximum(value, low), float(to.max))
    return cast(if_then_else(te.isnan(value), low, inside), to)


TIES = ("even", "away")  # where halves go: to the even neighbour, or away from 0


def _rounded(value: Expr, ties: str) -> Expr:
    """The nearest whole number. Adding 1/2 and truncating would not do: it rounds, too."""
    near = te.round_even(value)
    if ties == "even":
        return near
    up = equal(value - near, 0.5) & (value > 0.0)
    down = equal(value - near, -0.5) & (value < 0.0)
    return if_then_else(up, near + 1.0, if_then_else(down, near - 1.0, near))


def _np_rounded(value: np.ndarray, ties: str) -> np.ndarray:
    near = np.rint(value)
    if ties == "even":
        return near
    tie = np.abs(value - near) == 0.5
    return np.where(tie, np.trunc(value) + np.sign(value), near).astype(value.dtype)


# -- quantize_linear: saturate(round(x / scale) + zero_point), of small floats without the round


def _q_infer(types, a):
    t, to = _params_checked("quantize_linear", types, a), dtype_of(a["to"])
    if a["ties"] not in TIES:
        raise GraphError(f"quantize_linear: ties are one of {', '.join(TIES)}, not {a['ties']!r}.")
    if a["format"]:
        format_of(a["format"])
        if to != FLOAT32:
            raise GraphError(f"quantize_linear holds {a['format']} as float32, not {to}.")
    elif not to.is_int or to.bits > 16:
        raise GraphError(f"quantize_linear makes integers of 8 or 16 bits, not {to}.")
    if len(types) > 2 and types[2] is not None and types[2].dtype != to:
        raise GraphError(f"quantize_linear: the zero point is {types[2]}, the result {to}.")
    check_domain("quantize_linear", "number", t)
    return [TensorType(to, t.shape)]


def _quantize(inputs, a, out):
    x, scale = some(inputs[0]), some(inputs[1])
    zero = inputs[2] if len(inputs) > 2 else None

    def body(*i):
        value = cast(x[i], FLOAT32) / cast(_param(scale, i, a), FLOAT32)
        value = value if a["format"] else _rounded(value, a["ties"])
        if zero is not None:
            value = value + cast(_param(zero, i, a), FLOAT32)
        if a["format"]:
            return rounded(value, a["format"], a["saturate"])
        return _saturate(value, out[0].dtype)

    return [make(out[0].shape, body, "quantize_linear")]


def _np_quantize(arrays, a):
    x, scale = some(arrays[0]), some(arrays[1])
    to = dtype_of(a["to"])
    with np.errstate(all="ignore"):
        y = x.astype(np.float32) / _np_param(scale, x, a).astype(np.float32)
        y = y if a["format"] else _np_rounded(y, a["ties"])
        if len(arrays) > 2 and arrays[2] is not None:
            y = y + _np_param(arrays[2], x, a).astype(np.float32)
    if a["format"]:
        return [np_rounded(y, a["format"], a["saturate"])]
    y = np.where(np.isnan(y), to.min, y)
    return [convert_array(np.asarray(np.clip(y, to.min, to.max)), to)]


# -- dequantize_linear: (x - zero_point) * scale


def _dq_infer(types, a):
    t = _params_checked("dequantize_linear", types, a)
    if t.dtype != FLOAT32:  # it holds small floats
        check_domain("dequantize_linear", "int", t)
    if len(types) > 2 and types[2] is not None and types[2].dtype != t.dtype:
        raise GraphError(f"dequantize_linear: the zero point is {types[2]}, the input {t}.")
    to = dtype_of(a["to"]) if a["to"] else some(types[1]).dtype
    return [TensorType(to, t.shape)]


def _dequantize(inputs, a, out):
    x, scale = some(inputs[0]), some(inputs[1])
    zero = inputs[2] if len(inputs) > 2 else None
    d = wide(some(scale).dtype)

    def body(*i):
        exact = FLOAT32 if x.dtype.is_float else INT32
        value = cast(x[i], exact)
        if zero is not None:
            value = value - cast(_param(zero, i, a), exact)
        return cast(cast(value, d) * cast(_param(scale, i, a), d), out[0].dtype)

    return [make(out[0].shape, body, "dequantize_linear")]


def _np_dequantize(arrays, a):
    x, scale = some(arrays[0]), some(arrays[1])
    own, to = dtype_of(scale.dtype), dtype_of(a["to"] or scale.dtype)
    d = wide(own).numpy
    exact = np.float32 if x.dtype == np.float32 else np.int32
    value = x.astype(exact)
    with np.errstate(all="ignore"):
        if len(arrays) > 2 and arrays[2] is not None:
            value = value - _np_param(arrays[2], x, a).astype(exact)
        y = value.astype(d) * _np_param(scale, x, a).astype(d)
    return [convert_array(np.asarray(y), to)]


# -- dynamic_quantize_linear: uint8 over the range of the data, which is made to contain 0


def _dynamic_infer(types, a):
    t = some(types[0])
    if t.dtype != FLOAT32:
        raise GraphError(f"dynamic_quantize_linear takes float32, not {t}.")
    return [TensorType(UINT8, t.shape), TensorType(FLOAT32, ()), TensorType(UINT8, ())]


def _dynamic(inputs, a, out):
    x, name = some(inputs[0]), "dynamic_quantize_linear"
    axes = tuple(range(x.ndim))
    low = reduce_over(x, axes, False, lambda v, _: v, reducers.min, f"{name}.min")
    high = reduce_over(x, axes, False, lambda v, _: v, reducers.max, f"{name}.max")

    def scale_of():
        span = maximum(high[()], 0.0) - minimum(low[()], 0.0)
        return if_then_else(equal(span, 0.0), 1.0, span / 255.0)

    def zero_of():
        return te.round_even(_clamp(-minimum(low[()], 0.0) / scale[()]))

    scale = make((), scale_of, f"{name}.scale")
    zero = make((), zero_of, f"{name}.zero")

    def body(*i):
        return cast(_clamp(te.round_even(x[i] / scale[()]) + zero[()]), UINT8)

    y = make(out[0].shape, body, name)
    return [y, scale, make((), lambda: cast(zero[()], UINT8), f"{name}.zero_point")]


def _clamp(value: Expr) -> Expr:
    return minimum(maximum(value, 0.0), 255.0)


def _np_dynamic(arrays, a):
    x, one = some(arrays[0]), np.float32(1)
    low, high = (f(x, initial=np.float32(0)) for f in (np.min, np.max))
    with np.errstate(all="ignore"):
        span = np.float32(high - low)
        scale = np.float32(span / np.float32(255)) if span != 0 else one
        zero = np.rint(np.clip(-low / scale, 0, 255))
        y = np.clip(np.rint(x / scale) + zero, 0, 255)
    return [
        convert_array(np.asarray(y), UINT8),
        np.asarray(scale, np.float32),
        convert_array(np.asarray(zero), UINT8),
    ]


def _carries(shapes: Sequence[Shape | None], made: Sequence[Shape], a: AxisAttrs) -> Carried | None:
    """Scales of blocks have the axes of the data; others are read as they are."""
    rank = len(made[0])
    blocks = a["block_size"] and rank and len(some(shapes[1])) == rank and made[0] != (1,)
    rule = carries(along=("axis",) if rank else (), first=None if blocks else 1)
    return rule(shapes, made, a)


_AXIS = {
    "axis": Attr(int, 1, "of scales that are more than one number"),
    "block_size": Attr(int, 0, "elements along axis that share a scale; 0: one scale per index"),
}

OPS: tuple[OpDef, ...] = (
    OpDef(
        "quantize_linear", Kind.BROADCAST, _q_infer, _quantize, _np_quantize,
        {
            **_AXIS,
            "to": Attr(str, "uint8", "dtype of the result"),
            "format": Attr(str, "", "of small floats, as of round_float, held as float32"),
            "saturate": Attr(bool, True, "as of round_float"),
            "ties": Attr(str, "even", "where halves go: even, or away from 0"),
        }, 2, 3, Facts(carries=_carries),
        doc="Inputs x, scale, zero point (optional). Computed in float32.",
    ),
    OpDef(
        "dequantize_linear", Kind.BROADCAST, _dq_infer, _dequantize, _np_dequantize,
        {**_AXIS, "to": Attr(str, "", "dtype of the result; empty: the scale's")}, 2, 3,
        Facts(carries=_carries),
    ),
    OpDef(
        "dynamic_quantize_linear", Kind.OPAQUE, _dynamic_infer, _dynamic, _np_dynamic,
        doc="Results are y, scale and zero point; the scale of zeros alone is 1.",
    ),
)  # fmt: skip
