"""What several operator modules share: shapes, axes, types, and small pieces of computes.

Half-precision floats are computed in float32 and rounded once at the end, in the computes and in
the references alike: sums and products of many terms are useless otherwise, and for one addition,
multiplication, division or square root the result is the same (float32 has more than 2p + 2 of
their bits; Figueroa, "When is double rounding innocuous?", 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.expr import Expr, IterVar, as_int, cast
from ...ir.tensor import Tensor, compute
from ...runtime.dtype import FLOAT32, FLOAT64, DType, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .opdef import Attrs, Types

Fn = Callable[..., Any]

_DOMAINS: dict[str, Callable[[DType], bool]] = {
    "float": lambda d: d.is_float,
    "int": lambda d: d.is_int,
    "number": lambda d: d.is_float or d.is_int,
    "bool": lambda d: d.is_bool,
    "any": lambda d: True,
}


def check_domain(name: str, domain: str, t: TensorType, position: int = 0) -> None:
    """Raise GraphError unless the element type of ``t`` is in ``domain``."""
    if not _DOMAINS[domain](t.dtype):
        raise GraphError(f"{name} is not defined on {t.dtype} (input {position}: {t}).")


def same_dtype(name: str, types: Types) -> DType:
    """The one element type of all inputs that are present."""
    dtypes = {t.dtype for t in types if t is not None}
    if len(dtypes) != 1:
        listed = ", ".join(str(t) for t in types if t is not None)
        raise GraphError(f"{name} takes inputs of one type, not {listed}.")
    return dtypes.pop()


def some(t: Any) -> Any:
    """``t``, which ``infer_checked`` has made sure is not None."""
    assert t is not None
    return t


def wide(d: DType) -> DType:
    """The type that values of ``d`` are computed in: float32 for the half-precision floats."""
    return FLOAT32 if d.is_float and d.bits == 16 else d


def floating(d: DType) -> DType:
    """The float type for roots, exponentials and the like of values of ``d``."""
    return wide(d) if d.is_float else FLOAT64


def widen(e: Expr) -> Expr:
    """``e`` in the type that it is computed in."""
    return cast(e, wide(e.dtype))


def widen_array(a: np.ndarray) -> np.ndarray:
    """``a`` in the type that it is computed in."""
    return a.astype(wide(dtype_of(a.dtype)).numpy, copy=False)


def convert_array(a: np.ndarray, to: DType) -> np.ndarray:
    """``a`` as ``to``, by the rules of :class:`~weft.ir.expr.Cast` (numpy leaves float to integer
    undefined out of range): truncated, saturated, 0 for NaN."""
    source = dtype_of(a.dtype)
    if source == to:
        return a
    if to.is_bool:
        return a != 0
    if source.is_float and to.is_int:
        x = np.nan_to_num(np.trunc(a.astype(np.float64)), nan=0.0, posinf=np.inf, neginf=-np.inf)
        inside = (x >= to.min) & (x <= np.nextafter(float(to.max) + 1, 0))
        y = np.where(inside, x, 0).astype(to.numpy)
        return np.where(inside, y, np.where(x > 0, to.max, to.min).astype(to.numpy))
    if source.is_int and to.kind == "bfloat":  # through float64: ml_dtypes lacks some pairs
        a = a.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return a.astype(to.numpy)


def np_truncdiv(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Integer division as :data:`~weft.ir.alu.Op.TRUNCDIV`: towards zero, by zero is 0."""
    with np.errstate(all="ignore"):
        q = np.floor_divide(x, y)  # 0 for division by zero
        inexact = (y != 0) & ((x < 0) != (y < 0)) & (q * y != x)
        return np.asarray(np.where(inexact, q + q.dtype.type(1), q)).astype(x.dtype)


def ints(shape: Sequence[Any]) -> tuple[int, ...]:
    """The extents of a tensor in a compute, which are static there."""
    dims = tuple(as_int(d) for d in shape)
    assert None not in dims, shape
    return dims  # type: ignore[return-value]


def normalize_axis(name: str, axis: int, ndim: int) -> int:
    """``axis`` counted from the front."""
    if not -ndim <= axis < ndim:
        raise GraphError(f"{name}: the axis {axis} is out of range for {ndim} axes.")
    return axis % ndim


def normalize_axes(name: str, axes: Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """``axes`` counted from the front, in order; None means all of them."""
    if axes is None:
        return tuple(range(ndim))
    found = sorted(normalize_axis(name, int(a), ndim) for a in axes)
    if len(set(found)) != len(found):
        raise GraphError(f"{name}: the axes {tuple(axes)} name one axis twice.")
    return tuple(found)


def broadcast_shapes(name: str, shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The shape that numpy broadcasts ``shapes`` to."""
    ndim = max((len(s) for s in shapes), default=0)
    result = []
    for k in range(-ndim, 0):
        dims = {s[k] for s in shapes if len(s) >= -k} - {1}
        if len(dims) > 1:
            listed = ", ".join(str(list(s)) for s in shapes)
            raise GraphError(
                f"{name}: the shapes {listed} do not broadcast.",
                hint="aligned at the last axis, extents must be equal or 1",
            )
        result.append(dims.pop() if dims else 1)
    return tuple(result)


def stretch(t: Tensor, index: Sequence[Expr], shape: Sequence[int]) -> Expr:
    """The element of ``t`` at ``index`` of the shape that it is broadcast to."""
    dims, skip = ints(t.shape), len(index) - t.ndim
    at = (i if n == m else 0 for i, n, m in zip(index[skip:], dims, shape[skip:]))
    return t[tuple(at)]


def one_output(value: Any) -> Tensor:
    """The tensor that ``te.compute`` of one result returned."""
    assert isinstance(value, Tensor)
    return value


def make(
    shape: Sequence[int], fn: Fn, name: str, attrs: Mapping[str, object] | None = None
) -> Tensor:
    """``te.compute`` of one output over static extents."""
    return one_output(compute(tuple(shape), fn, name=name, attrs=attrs))


def round_to(t: Tensor, to: DType, name: str) -> Tensor:
    """``t`` converted element by element, or ``t`` itself if it has the type already."""
    if t.dtype == to:
        return t
    return make(ints(t.shape), lambda *i: cast(t[i], to), name)


def present(types: Types) -> list[TensorType]:
    """The types of the inputs that are there."""
    return [t for t in types if t is not None]


def required(arrays: Sequence[Any]) -> list[Any]:
    """The inputs of an operator that has no optional ones."""
    assert all(a is not None for a in arrays)
    return list(arrays)


def same_type(types: Types, attrs: Attrs) -> list[TensorType]:
    """Inference of what keeps shape and type of its first input."""
    t = some(types[0])
    return [TensorType(t.dtype, t.shape)]


def over(axes: Sequence[int], free: Sequence[Expr], reduced: Sequence[IterVar]) -> tuple[Expr, ...]:
    """The full index made of ``free`` ones and, at ``axes``, ``reduced`` ones."""
    full: list[Expr] = []
    f, r = iter(free), iter(reduced)
    for k in range(len(free) + len(reduced)):
        full.append(next(r) if k in axes else next(f))
    return tuple(full)
