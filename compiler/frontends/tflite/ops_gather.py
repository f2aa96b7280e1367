"""Reading and writing by indices, sums of segments, the greatest elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import Converter, TfliteContext


def _gather(n: TfliteContext) -> str:
    t, at = n.required(0), n.required(1)
    axis, batch = n.axis(n.attr("axis", 0), len(t.shape)), n.attr("batch_dims", 0)
    batch = batch + len(at.shape) if batch < 0 else batch
    if not batch:
        return n.add("gather", n.inputs[:2], axis=axis, wrap=False)
    if not 0 <= batch <= min(axis, len(at.shape)) or t.shape[:batch] != at.shape[:batch]:
        n.error(f"{batch} axes of {t} and of the indices {at} are no batch.")
    # The gathered axis goes behind the batch, so that gather_nd finds it there.
    rank = len(t.shape)
    front = (*range(batch), axis, *(k for k in range(batch, rank) if k != axis))
    x = n.add("transpose", [n.inputs[0]], perm=front)
    found = n.add("gather_nd", [x, n.reshape(n.inputs[1], (*at.shape, 1))], batch_dims=batch)
    more = len(at.shape) - batch  # axes of indices: now [batch, indices, rest before, rest after]
    before = axis - batch
    lead, tail = list(range(batch)), range(batch + more + before, batch + more + rank - batch - 1)
    perm = (*lead, *range(batch + more, batch + more + before), *range(batch, batch + more), *tail)
    return n.add("transpose", [found], perm=perm)


def _gather_nd(n: TfliteContext) -> str:
    return n.add("gather_nd", n.inputs[:2], wrap=False)


def _scatter_nd(n: TfliteContext) -> str:
    t = n.required(1)
    zeros = n.constant(np.zeros(n.checked(n.ints(2)), t.dtype.numpy))
    return n.add("scatter_nd", [zeros, *n.inputs[:2]], reduction="add", wrap=False)


def _sparse_to_dense(n: TfliteContext) -> str:
    indices, values = n.required(0), n.required(2)
    shape = n.checked(n.ints(1))
    base = n.add("expand", [n.reshape(n.inputs[3], ())], shape=shape)
    at = n.inputs[0]
    if len(indices.shape) < 2:
        at = n.reshape(at, (indices.size, 1) if len(shape) == 1 else (1, indices.size))
    count = n.typeof(at).shape[0]
    data = n.inputs[2]
    data = n.add("expand", [data], shape=(count,)) if values.size != count else n.reshape(
        data, (count,)
    )  # fmt: skip
    return n.add("scatter_nd", [base, at, data], wrap=False)


def _one_hot(n: TfliteContext) -> str:
    t, depth = n.required(0), n.number(1)
    axis = n.axis(n.attr("axis", -1), len(t.shape) + 1)
    n.checked([*t.shape, depth])
    on, off = (n.reshape(n.inputs[k], (1,)) for k in (2, 3))
    # An index that is negative is nowhere on; weft's counts from the end.
    at = n.inputs[0]
    zero = n.full(0, at)
    at = n.add("where", [n.add("less", [at, zero]), n.full(depth, at), at])
    return n.add("one_hot", [at, n.add("concat", [off, on], axis=0)], axis=axis, depth=depth)


def _top_k(n: TfliteContext) -> Sequence[str]:
    values, places = n.add_many("top_k", n.inputs[:1], 2, k=n.number(1), axis=-1)
    to = str(n.out_dtype(1)) if n.n_outputs > 1 else "int32"
    return [values, n.add("cast", [places], to=to)]


def _dynamic_update_slice(n: TfliteContext) -> str:
    """Elements from ``start`` on, moved so that all lie inside, are those of the update."""
    t, u = n.required(0), n.required(1)
    rank = len(t.shape)
    if len(u.shape) != rank or any(a > b for a, b in zip(u.shape, t.shape)):
        n.error(f"an update {u} of {t}.")
    starts = n.add("cast", [n.inputs[2]], to="int32")
    last = n.constant(np.array([a - b for a, b in zip(t.shape, u.shape)], np.int32))
    starts = n.add("minimum", [n.add("maximum", [starts, n.full(0, starts)]), last])
    grid = np.stack(np.meshgrid(*(np.arange(d) for d in u.shape), indexing="ij"), -1)
    at = n.add("add", [n.constant(grid.astype(np.int32)), starts])
    return n.add("scatter_nd", [n.inputs[0], at, n.inputs[1]], wrap=False)


def _embedding_lookup(n: TfliteContext) -> str:
    return n.add("gather", [n.inputs[1], n.inputs[0]], axis=0, wrap=False)


def _segment(reduction: str, empty: str) -> Converter:
    """Sums or the like of rows, by their segment; one that has no row is ``empty``."""

    def convert(n: TfliteContext) -> str:
        t, ids = n.required(0), n.required(1)
        sorted_ = n.op == "SEGMENT_SUM"
        count = max(n.ints(1), default=-1) + 1 if sorted_ else n.number(2)
        shape = n.checked([count, *t.shape[len(ids.shape) :]])
        low, high = _limits(t.dtype)
        value = {"0": 0, "1": 1, "low": low, "high": high}[empty]
        base = n.constant(np.full(shape, value, t.dtype.numpy))
        at = n.reshape(n.inputs[1], (*ids.shape, 1))
        return n.add("scatter_nd", [base, at, n.inputs[0]], reduction=reduction, wrap=False)

    return convert


def _limits(dtype) -> tuple[float, float]:
    if dtype.is_float:
        top = np.finfo(dtype.numpy).max
        return -top, top
    return dtype.min, dtype.max


CONVERTERS: dict[str, Converter] = {
    "DYNAMIC_UPDATE_SLICE": _dynamic_update_slice,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "ONE_HOT": _one_hot,
    "SCATTER_ND": _scatter_nd,
    "SEGMENT_SUM": _segment("add", "0"),
    "SPARSE_TO_DENSE": _sparse_to_dense,
    "TOPK_V2": _top_k,
    "UNSORTED_SEGMENT_MAX": _segment("max", "low"),
    "UNSORTED_SEGMENT_MIN": _segment("min", "high"),
    "UNSORTED_SEGMENT_PROD": _segment("mul", "1"),
    "UNSORTED_SEGMENT_SUM": _segment("add", "0"),
}
