"""The places of what is chosen, one behind the other: what makes a size out of data.

Counting takes the place of order: the chosen before a block, and before an element in its block,
are counted, and the n-th of them is found by counting the blocks, then the elements, that end
before it. So it runs on every target, in about n^1.5 steps for n elements.
"""

from __future__ import annotations

import math

import numpy as np

from ...ir import reducers
from ...ir.builders import if_then_else
from ...ir.expr import cast, const
from ...ir.tensor import reduce_axis
from ...runtime.dtype import INT32, INT64
from ...runtime.errors import GraphError
from ..types import TensorType
from .common import make, some
from .opdef import Kind, OpDef
from .reduce import REDUCE


def _infer(types, a):
    t = some(types[0])
    if len(t.shape) != 1 or not t.dtype.is_bool:
        raise GraphError(f"compact takes a line of conditions, not {t}.")
    return [TensorType(INT64, t.shape), TensorType(INT64, ())]


def _compute(inputs, a, out):
    mask, n = some(inputs[0]), out[0].shape[0]
    if n == 0:
        none = make((0,), lambda r: const(0, INT64), "compact.places")
        return [none, make((), lambda: const(0, INT64), "compact.count")]
    block = math.isqrt(n - 1) + 1
    blocks = -(-n // block)

    def chosen(b, k):
        return cast(mask[b * block + k], INT32)

    def total(b):
        k = reduce_axis(block, "k")
        return reducers.sum(chosen(b, k), axis=k, where=b * block + k < n)

    totals = make((blocks,), total, "compact.total", REDUCE)

    def before(b):
        k = reduce_axis(blocks, "k")
        return reducers.sum(totals[k], axis=k, where=k < b)

    starts = make((blocks + 1,), before, "compact.before", REDUCE)

    def ranked(b, k):
        j = reduce_axis(block, "j")
        return reducers.sum(chosen(b, j), axis=j, where=(j <= k) & (b * block + j < n))

    ranks = make((blocks, block), ranked, "compact.rank", REDUCE)

    def block_of(r):
        b = reduce_axis(blocks, "b")
        return reducers.sum(if_then_else(starts[b + 1] <= r, 1, 0), axis=b, where=b + 1 < blocks)

    owner = make((n,), block_of, "compact.block", REDUCE)

    def within(r):
        k = reduce_axis(block, "k")
        ahead = ranks[owner[r], k] <= r - starts[owner[r]]
        return reducers.sum(if_then_else(ahead, 1, 0), axis=k)

    offset = make((n,), within, "compact.offset", REDUCE)

    def place(r):
        found = owner[r] * block + offset[r]
        return cast(if_then_else(r < starts[blocks], found, 0), INT64)

    places = make((n,), place, "compact.places")
    return [places, make((), lambda: cast(starts[blocks], INT64), "compact.count")]


def _reference(arrays, a):
    found = np.flatnonzero(arrays[0])
    places = np.zeros(arrays[0].shape, np.int64)
    places[: len(found)] = found
    return [places, np.array(len(found), np.int64)]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "compact",
        Kind.OPAQUE,
        _infer,
        _compute,
        _reference,
        doc="The indices of true elements, in order, and how many; behind those, zeros.",
    ),
)
