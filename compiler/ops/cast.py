"""Conversion of elements to another type: by value (``cast``) and by bits (``bitcast``)."""

from __future__ import annotations

import numpy as np

from ...ir.expr import Reinterpret
from ...ir.expr import cast as convert
from ...runtime.dtype import dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries
from .common import convert_array, make, some
from .facts import Facts
from .opdef import Attr, Kind, OpDef


def _infer(types, a):
    return [TensorType(dtype_of(a["to"]), some(types[0]).shape)]


def _infer_bits(types, a):
    source, to = some(types[0]), dtype_of(a["to"])
    if source.dtype.bytes != to.bytes:
        raise GraphError(f"bitcast: {source.dtype} and {to} are not of the same width.")
    return [TensorType(to, source.shape)]


def _cast(inputs, a, out):
    return [make(out[0].shape, lambda *i: convert(inputs[0][i], a["to"]), "cast")]


def _bitcast(inputs, a, out):
    x, to = inputs[0], dtype_of(a["to"])

    def body(*i):
        if x.dtype == to:
            return x[i]
        if x.dtype.is_bool or to.is_bool:  # a byte that is 0 or 1
            return convert(x[i], to)
        return Reinterpret(x[i], to)

    return [make(out[0].shape, body, "bitcast")]


def _np_cast(arrays, a):
    return [convert_array(some(arrays[0]), dtype_of(a["to"]))]


def _np_bitcast(arrays, a):
    x, to = some(arrays[0]), dtype_of(a["to"])
    if to.is_bool:
        return [convert_array(x, to)]
    return [np.ascontiguousarray(x).reshape(x.shape).view(to.numpy)]


_TO = {"to": Attr(str, doc="the name of a dtype")}

OPS: tuple[OpDef, ...] = (
    OpDef(
        "cast",
        Kind.ELEMENTWISE,
        _infer,
        _cast,
        _np_cast,
        _TO,
        facts=Facts(cheap=True, channel_wise=True, carries=carries()),
        doc="As ir.expr.Cast: float to integer truncates and saturates, NaN becomes 0.",
    ),
    OpDef(
        "bitcast",
        Kind.ELEMENTWISE,
        _infer_bits,
        _bitcast,
        _np_bitcast,
        _TO,
        facts=Facts(cheap=True, carries=carries()),
    ),
)
