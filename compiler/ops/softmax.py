"""Softmax and its kin along one axis: the maximum is taken out first, so exp cannot overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir import intrin as te
from ...ir import reducers
from ...ir.builders import equal, if_then_else
from ...ir.expr import Expr, cast, to_expr
from ...ir.tensor import Tensor
from ...runtime.dtype import dtype_of
from .axes import carries
from .common import (
    check_domain,
    convert_array,
    ints,
    make,
    normalize_axis,
    same_type,
    some,
    wide,
)
from .facts import Facts
from .opdef import Attr, Kind, OpDef
from .reduce import index_of, reduce_over

_AXIS = {"axis": Attr(int, -1)}


def _at(t: Tensor, index: Sequence[Expr], axis: int) -> Expr:
    """The element of a reduced tensor that belongs to ``index``."""
    return t[tuple(to_expr(0) if k == axis else i for k, i in enumerate(index))]


def _along_axis(name: str, build, np_fn) -> OpDef:
    """``build(x, axis, output type)`` and ``np_fn(float64 array, axis)``, both for one axis."""

    def infer(types, a):
        t = some(types[0])
        check_domain(name, "float", t)
        normalize_axis(name, a["axis"], len(t.shape))
        return same_type(types, a)

    def te_compute(inputs, a, out):
        x = some(inputs[0])
        return [build(x, normalize_axis(name, a["axis"], x.ndim), out[0])]

    def reference(arrays, a):
        x = some(arrays[0])
        with np.errstate(all="ignore"):
            y = np_fn(x.astype(np.float64), a["axis"]) if x.size else x
        return [convert_array(y, dtype_of(x.dtype))]

    facts = Facts(carries=carries(along=("axis",)))
    return OpDef(name, Kind.OPAQUE, infer, te_compute, reference, _AXIS, facts=facts)


def _softmax(x: Tensor, axis: int, out) -> Tensor:
    d, shape = wide(out.dtype), ints(x.shape)
    top = reduce_over(x, (axis,), True, lambda v, _: cast(v, d), reducers.max, "softmax.max")
    e = make(shape, lambda *i: te.exp(cast(x[i], d) - _at(top, i, axis)), "softmax.exp")
    total = reduce_over(e, (axis,), True, lambda v, _: v, reducers.sum, "softmax.sum")
    return make(shape, lambda *i: cast(e[i] * (1.0 / _at(total, i, axis)), out.dtype), "softmax")


def _log_softmax(x: Tensor, axis: int, out) -> Tensor:
    d = wide(out.dtype)
    top = reduce_over(x, (axis,), True, lambda v, _: cast(v, d), reducers.max, "log_softmax.max")

    def shifted(index: Sequence[Expr]) -> Expr:
        return cast(x[tuple(index)], d) - _at(top, index, axis)

    total = reduce_over(
        x, (axis,), True, lambda _, at: te.exp(shifted(at)), reducers.sum, "log_softmax.sum"
    )
    log = make(ints(total.shape), lambda *i: te.log(total[i]), "log_softmax.log")
    return make(
        out.shape, lambda *i: cast(shifted(i) - _at(log, i, axis), out.dtype), "log_softmax"
    )


def _hardmax(x: Tensor, axis: int, out) -> Tensor:
    found = index_of(x, axis, True, reducers.max, False, "hardmax")

    def body(*i):
        hit = equal(_at(found, i, axis), i[axis])
        return if_then_else(hit, to_expr(1.0, out.dtype), to_expr(0.0, out.dtype))

    return make(out.shape, body, "hardmax")


def _np_log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    v = x - np.max(x, axis=axis, keepdims=True)
    return v - np.log(np.sum(np.exp(v), axis=axis, keepdims=True))


def _np_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _np_hardmax(x: np.ndarray, axis: int) -> np.ndarray:
    y = np.zeros_like(x)
    np.put_along_axis(y, np.argmax(x, axis=axis, keepdims=True), 1, axis)
    return y


OPS: tuple[OpDef, ...] = (
    _along_axis("softmax", _softmax, _np_softmax),
    _along_axis("log_softmax", _log_softmax, _np_log_softmax),
    _along_axis("hardmax", _hardmax, _np_hardmax),
)
