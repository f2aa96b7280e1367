"""Reductions over any axes: sums, products, extrema, norms, and the index of an extremum.

Each is a line of a table: what is reduced of every element, the reducer, and what becomes of the
result. ``axes`` None means all of them; with ``()`` nothing is reduced, but the element-wise parts
remain, as ONNX has it. Halves accumulate in float32; integers wrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...ir import intrin as te
from ...ir import reducers
from ...ir.builders import equal, if_then_else, not_equal, truncdiv
from ...ir.expr import Expr, cast, to_expr
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import INT64, DType, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries
from .common import (
    Fn,
    check_domain,
    convert_array,
    floating,
    ints,
    make,
    normalize_axes,
    normalize_axis,
    np_truncdiv,
    over,
    round_to,
    some,
    wide,
)
from .facts import Facts
from .opdef import Attr, Kind, OpDef

REDUCE = {"kind": "reduce"}
_AXES = {
    "axes": Attr(tuple, None, "None: all axes"),
    "keepdims": Attr(bool, True, "reduced axes stay with extent 1"),
}
_CARRIES = carries(reduced="axes")


def reduced_shape(shape: Sequence[int], axes: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    """The shape of a reduction's result."""
    if keepdims:
        return tuple(1 if k in axes else n for k, n in enumerate(shape))
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def free_part(index: Sequence[Expr], axes: Sequence[int], keepdims: bool) -> tuple[Expr, ...]:
    """The coordinates of an output element along the axes that are not reduced."""
    return tuple(i for k, i in enumerate(index) if k not in axes) if keepdims else tuple(index)


def reduce_over(
    x: Tensor, axes: Sequence[int], keepdims: bool, source: Fn, reducer: Fn, name: str
) -> Tensor:
    """``reducer`` over ``axes`` of ``source(element, index of the full tensor)``."""
    dims = ints(x.shape)

    def body(*i):
        free = free_part(i, axes, keepdims)
        ks = [reduce_axis(dims[a], f"k{a}") for a in axes]
        at = over(axes, free, ks)
        value = source(x[at], at)
        return reducer(value, axis=ks) if ks else value

    return make(reduced_shape(dims, axes, keepdims), body, name, REDUCE if axes else None)


def _same(x):
    return x


def _reduction(
    name: str,
    reducer: Fn,
    np_reduce: Fn,
    source: Fn = _same,
    np_source: Fn = _same,
    finish: Fn | None = None,
    np_finish: Fn | None = None,
    acc: Fn = wide,
) -> OpDef:
    """``finish(reducer(source(x)))``; ``finish`` takes the number of elements reduced as well."""

    def infer(types, a):
        t = some(types[0])
        if not (t.dtype.is_bool and name in ("reduce_max", "reduce_min")):
            check_domain(name, "number", t)
        axes = normalize_axes(name, a["axes"], len(t.shape))
        return [TensorType(t.dtype, reduced_shape(t.shape, axes, a["keepdims"]))]

    def build(inputs, a, out):
        x, d = inputs[0], acc(out[0].dtype)
        axes = normalize_axes(name, a["axes"], x.ndim)
        n = math.prod(ints(x.shape)[k] for k in axes)
        pick = reducer
        if d.is_bool:
            pick = reducers.any if name == "reduce_max" else reducers.all
        total = reduce_over(x, axes, a["keepdims"], lambda v, _: source(cast(v, d)), pick, name)
        if finish is not None:
            post, value = finish, total
            total = make(
                out[0].shape, lambda *i: cast(post(value[i], n), out[0].dtype), f"{name}.out"
            )
        return [round_to(total, out[0].dtype, f"{name}.out")]

    def reference(arrays, a):
        x = arrays[0]
        to, d = dtype_of(x.dtype), acc(dtype_of(x.dtype))
        axes = normalize_axes(name, a["axes"], x.ndim)
        n = math.prod(x.shape[k] for k in axes)
        with np.errstate(all="ignore"):
            v = np_source(convert_array(x, d))
            y = np_reduce(v, axis=axes, keepdims=a["keepdims"], dtype=d) if axes else v
            y = np.asarray(y if np_finish is None else np_finish(y, n))
        return [convert_array(y, to)]

    facts = Facts(reduced=lambda a: a["axes"], carries=_CARRIES)
    return OpDef(name, Kind.REDUCTION, infer, build, reference, _AXES, facts=facts)


def _np_sum(x: np.ndarray, axis, keepdims: bool, dtype: DType) -> np.ndarray:
    # Pairwise in float64: the judge of float32 sums should be better than they are.
    exact = np.float64 if dtype.is_float else dtype.numpy
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=exact)


def _np_prod(x: np.ndarray, axis, keepdims: bool, dtype: DType) -> np.ndarray:
    return np.prod(x, axis=axis, keepdims=keepdims, dtype=dtype.numpy)


def _np_extremum(ufunc: np.ufunc) -> Fn:
    def extremum(x: np.ndarray, axis, keepdims: bool, dtype: DType) -> np.ndarray:
        lowest = -np.inf if dtype.is_float else dtype.min
        highest = np.inf if dtype.is_float else dtype.max
        initial = lowest if ufunc is np.maximum else highest
        return ufunc.reduce(x, axis=axis, keepdims=keepdims, initial=initial)

    return extremum


def _mean(total: Expr, n: int) -> Expr:
    d = total.dtype
    if d.is_float:
        return total / float(n)
    return truncdiv(total, to_expr(n, d)) if n <= d.max else to_expr(0, d)


def _np_mean(total: np.ndarray, n: int) -> np.ndarray:
    if total.dtype.kind == "f":
        return total / n
    d = dtype_of(total.dtype)
    return np_truncdiv(total, np.asarray(n if n <= d.max else 0, d.numpy))


# -- log(sum(exp(x))) with the maximum taken out (it may be infinite: then nothing is taken out)


def _lse_infer(types, a):
    t = some(types[0])
    check_domain("reduce_log_sum_exp", "number", t)
    axes = normalize_axes("reduce_log_sum_exp", a["axes"], len(t.shape))
    return [TensorType(t.dtype, reduced_shape(t.shape, axes, a["keepdims"]))]


def _lse(inputs, a, out):
    name, x = "reduce_log_sum_exp", inputs[0]
    axes, to = normalize_axes(name, a["axes"], x.ndim), out[0].dtype
    d, keep = floating(to), a["keepdims"]
    top = reduce_over(x, axes, keep, lambda v, _: cast(v, d), reducers.max, f"{name}.max")
    top = make(
        out[0].shape, lambda *i: if_then_else(te.isinf(top[i]), 0.0, top[i]), f"{name}.shift"
    )

    def source(v, at):
        index = tuple(
            e if k not in axes else to_expr(0) for k, e in enumerate(at) if keep or k not in axes
        )
        return te.exp(cast(v, d) - top[index])

    total = reduce_over(x, axes, keep, source, reducers.sum, f"{name}.sum")
    return [make(out[0].shape, lambda *i: cast(te.log(total[i]) + top[i], to), name)]


def _np_lse(arrays, a):
    x = arrays[0]
    axes = normalize_axes("reduce_log_sum_exp", a["axes"], x.ndim)
    v = x.astype(np.float64)
    with np.errstate(all="ignore"):
        top = np.max(v, axis=axes, keepdims=True, initial=-np.inf) if axes else v
        top = np.where(np.isinf(top), 0, top)
        e = np.exp(v - top)
        total = np.log(np.sum(e, axis=axes, keepdims=True) if axes else e) + top
    shape = reduced_shape(x.shape, axes, a["keepdims"])
    return [convert_array(np.asarray(total).reshape(shape), dtype_of(x.dtype))]


# -- the index of an extremum: first the extremum, then the least (or greatest) index that has it;
# two plain reductions, which vectorise, and which targets without several outputs have too


def index_of(x: Tensor, axis: int, keepdims: bool, extremum: Fn, last: bool, name: str) -> Tensor:
    """The int32 index of the first (``last``: the last) extremum along ``axis``, NaN before all."""
    d, n = wide(x.dtype), ints(x.shape)[axis]
    best = reduce_over(x, (axis,), keepdims, lambda v, _: cast(v, d), extremum, f"{name}.value")

    def source(v: Expr, at: Sequence[Expr]) -> Expr:
        own = (to_expr(0) if k == axis else e for k, e in enumerate(at) if k != axis or keepdims)
        value, other = cast(v, d), best[tuple(own)]
        hit = equal(value, other)
        if d.is_float:  # there is a NaN only where the extremum is one
            hit = hit | not_equal(value, value)
        return if_then_else(hit, at[axis], 0 if last else n - 1)

    return reduce_over(
        x, (axis,), keepdims, source, reducers.max if last else reducers.min, f"{name}.index"
    )


def _arg(name: str, extremum: Fn, np_arg: Fn) -> OpDef:
    def infer(types, a):
        t = some(types[0])
        check_domain(name, "number", t)
        axis = normalize_axis(name, a["axis"], len(t.shape))
        if t.shape[axis] == 0:
            raise GraphError(f"{name}: axis {axis} of {t} is empty and has no extremum.")
        return [TensorType(INT64, reduced_shape(t.shape, (axis,), a["keepdims"]))]

    def build(inputs, a, out):
        x = inputs[0]
        axis = normalize_axis(name, a["axis"], x.ndim)
        found = index_of(x, axis, a["keepdims"], extremum, a["select_last_index"], name)
        return [round_to(found, INT64, name)]

    def reference(arrays, a):
        x = arrays[0]
        axis = normalize_axis(name, a["axis"], x.ndim)
        v = x.astype(np.float64) if x.dtype.kind not in "iufb" else x
        if a["select_last_index"]:
            found = x.shape[axis] - 1 - np_arg(np.flip(v, axis), axis=axis, keepdims=a["keepdims"])
        else:
            found = np_arg(v, axis=axis, keepdims=a["keepdims"])
        return [np.asarray(found, dtype=np.int64)]

    schema = {
        "axis": Attr(int, 0),
        "keepdims": Attr(bool, True),
        "select_last_index": Attr(bool, False, "of equal ones the last"),
    }
    facts = Facts(carries=carries(reduced="axis"))
    return OpDef(name, Kind.OPAQUE, infer, build, reference, schema, facts=facts)


def _square(x):
    return x * x


def _te_abs(x: Expr) -> Expr:
    return x if x.dtype.kind == "uint" else abs(x)


def _log(x: Expr, n: int) -> Expr:
    return te.log(x)


OPS: tuple[OpDef, ...] = (
    _reduction("reduce_sum", reducers.sum, _np_sum),
    _reduction("reduce_mean", reducers.sum, _np_sum, finish=_mean, np_finish=_np_mean),
    _reduction("reduce_prod", reducers.prod, _np_prod),
    _reduction("reduce_max", reducers.max, _np_extremum(np.maximum)),
    _reduction("reduce_min", reducers.min, _np_extremum(np.minimum)),
    _reduction("reduce_l1", reducers.sum, _np_sum, _te_abs, np.abs),
    _reduction(
        "reduce_l2",
        reducers.sum,
        _np_sum,
        _square,
        _square,
        lambda x, n: te.sqrt(x),
        lambda x, n: np.sqrt(x),
        acc=floating,
    ),
    _reduction("reduce_sum_square", reducers.sum, _np_sum, _square, _square),
    _reduction(
        "reduce_log_sum",
        reducers.sum,
        _np_sum,
        finish=_log,
        np_finish=lambda x, n: np.log(x),
        acc=floating,
    ),
    OpDef(
        "reduce_log_sum_exp",
        Kind.OPAQUE,
        _lse_infer,
        _lse,
        _np_lse,
        _AXES,
        facts=Facts(carries=_CARRIES),
    ),
    _arg("arg_max", reducers.max, np.argmax),
    _arg("arg_min", reducers.min, np.argmin),
)
