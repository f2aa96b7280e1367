"""The upper or lower triangle of matrices."""

from __future__ import annotations

import numpy as np

from ...ir.builders import if_then_else
from ...ir.expr import to_expr
from ...runtime.errors import GraphError
from .common import make, same_type, some
from .opdef import Attr, Kind, OpDef


def _infer(types, a):
    if len(some(types[0]).shape) < 2:
        raise GraphError(f"trilu takes matrices, not {types[0]}.")
    return same_type(types, a)


def _trilu(inputs, a, out):
    x = some(inputs[0])
    # Beyond the matrix every diagonal is alike; clipped, it stays far within int32.
    k = min(max(a["k"], -out[0].shape[-2] - 1), out[0].shape[-1] + 1)

    def body(*i):
        above = i[-1] - i[-2]
        kept = above >= k if a["upper"] else above <= k
        return if_then_else(kept, x[i], to_expr(0, x.dtype) if not x.dtype.is_bool else False)

    return [make(out[0].shape, body, "trilu")]


def _np_trilu(arrays, a):
    x = some(arrays[0])
    above = np.arange(x.shape[-1]) - np.arange(x.shape[-2])[:, None]
    kept = above >= a["k"] if a["upper"] else above <= a["k"]
    return [np.where(kept, x, np.zeros((), x.dtype))]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "trilu",
        Kind.ELEMENTWISE,
        _infer,
        _trilu,
        _np_trilu,
        {
            "k": Attr(int, 0, "the diagonal that the triangle ends at"),
            "upper": Attr(bool, True),
        },
    ),
)
