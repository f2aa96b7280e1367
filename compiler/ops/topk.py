"""The k greatest or least elements along an axis, in order, with their indices.

Every element is ranked by counting those that come before it, a total order: by value, NaN as the
greatest (as the last for the least), equal ones by index. No order of evaluation is needed, so it
runs on every target; n² comparisons for n elements.
"""

from __future__ import annotations

import numpy as np

from ...ir import reducers
from ...ir.builders import equal, if_then_else, not_equal
from ...ir.expr import Expr, cast
from ...ir.tensor import reduce_axis
from ...runtime.dtype import INT32, INT64
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries
from .common import check_domain, make, normalize_axis, some, widen, widen_array
from .facts import Facts
from .opdef import Attr, Kind, OpDef


def _infer(types, a):
    t = some(types[0])
    check_domain("top_k", "number", t)
    axis, k = normalize_axis("top_k", a["axis"], len(t.shape)), a["k"]
    if not 0 <= k <= t.shape[axis]:
        raise GraphError(f"top_k: {k} of the {t.shape[axis]} elements along axis {axis} of {t}.")
    shape = (*t.shape[:axis], k, *t.shape[axis + 1 :])
    return [TensorType(t.dtype, shape), TensorType(INT64, shape)]


def _before(x: Expr, y: Expr, i: Expr, j: Expr, largest: bool) -> Expr:
    """Whether ``x`` at ``i`` comes before ``y`` at ``j``."""
    ahead, tie = (x > y if largest else x < y), equal(x, y)
    if x.dtype.is_float:
        nan_x, nan_y = not_equal(x, x), not_equal(y, y)
        ahead = ahead | (nan_x & ~nan_y if largest else nan_y & ~nan_x)
        tie = tie | (nan_x & nan_y)
    return ahead | (tie & (i < j))


def _top_k(inputs, a, out):
    x, shape = some(inputs[0]), out[0].shape
    axis = normalize_axis("top_k", a["axis"], x.ndim)
    full = tuple(some(e) for e in x.shape)
    n = full[axis]

    def rank(*i):
        k = reduce_axis(n, "k")
        other = widen(x[(*i[:axis], k, *i[axis + 1 :])])
        return reducers.sum(
            cast(_before(other, widen(x[i]), k, i[axis], a["largest"]), INT32), axis=k
        )

    ranks = make(full, rank, "top_k.rank", {"kind": "reduce"})

    def position(*i):
        k = reduce_axis(n, "k")
        hit = equal(ranks[(*i[:axis], k, *i[axis + 1 :])], i[axis])
        return reducers.sum(if_then_else(hit, k, 0), axis=k)

    where = make(shape, position, "top_k.position", {"kind": "reduce"})
    values = make(shape, lambda *i: x[(*i[:axis], where[i], *i[axis + 1 :])], "top_k.value")
    return [values, make(shape, lambda *i: cast(where[i], INT64), "top_k.index")]


def _np_top_k(arrays, a):
    x = some(arrays[0])
    axis = normalize_axis("top_k", a["axis"], x.ndim)
    v = widen_array(x)
    if a["largest"]:  # stable from the other end: NaN, sorted last, comes first; ties by index
        flipped = np.argsort(np.flip(v, axis), axis=axis, kind="stable")
        order = np.flip(x.shape[axis] - 1 - flipped, axis)
    else:
        order = np.argsort(v, axis=axis, kind="stable")
    index = np.take(order, range(a["k"]), axis)
    return [np.take_along_axis(x, index, axis), index.astype(np.int64)]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "top_k",
        Kind.OPAQUE,
        _infer,
        _top_k,
        _np_top_k,
        {"k": Attr(int), "axis": Attr(int, -1), "largest": Attr(bool, True)},
        facts=Facts(carries=carries(along=("axis",))),
    ),
)
