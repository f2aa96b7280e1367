"""Running sums and products along one axis."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np

from ...ir import reducers
from ...ir.expr import Expr, cast
from ...ir.tensor import reduce_axis
from ...runtime.dtype import dtype_of
from .axes import carries
from .common import (
    Fn,
    check_domain,
    convert_array,
    make,
    normalize_axis,
    same_type,
    some,
    wide,
)
from .facts import Facts
from .opdef import Attr, Kind, OpDef

_SHORT = 64  # up to this extent every result is reduced by itself


def _scan(name: str, reducer: Fn, combine: Fn, np_scan: Fn, identity: int) -> OpDef:
    """Without order between results, each is a reduction of its own: n²/2 steps for n of them.

    Longer axes are cut into √n blocks: totals of blocks, then of all blocks before each, then the
    part within the own block; n^1.5 steps, and the stages of a parallel scan (Blelloch 1990).
    """

    def infer(types, a):
        t = some(types[0])
        check_domain(name, "number", t)
        normalize_axis(name, a["axis"], len(t.shape))
        return same_type(types, a)

    def build(inputs, a, out):
        x, shape, to = some(inputs[0]), out[0].shape, out[0].dtype
        axis, d = normalize_axis(name, a["axis"], x.ndim), wide(to)
        n = shape[axis]

        def position(i: Expr) -> Expr:  # from the end that the scan starts at
            return n - 1 - i if a["reverse"] else i

        def element(index: Sequence[Expr], p: Expr) -> Expr:
            return cast(x[(*index[:axis], position(p), *index[axis + 1 :])], d)

        def within(index: Sequence[Expr], start: Expr | int, length: int) -> Expr:
            """The part from position ``start`` on, up to the own position."""
            k, own = reduce_axis(length, "k"), position(index[axis])
            inside = start + k < own if a["exclusive"] else start + k <= own
            return reducer(element(index, start + k), axis=k, where=inside)

        if n <= _SHORT:
            whole = make(shape, lambda *i: within(i, 0, n), name)
            return [make(shape, lambda *i: cast(whole[i], to), f"{name}.out")]
        block = math.isqrt(n - 1) + 1
        blocks = (*shape[:axis], -(-n // block), *shape[axis + 1 :])

        def total(*i):
            k = reduce_axis(block, "k")
            p = i[axis] * block + k
            return reducer(element(i, p), axis=k, where=p < n)

        totals = make(blocks, total, f"{name}.total")

        def prefix(*i):
            k = reduce_axis(blocks[axis], "k")
            value = totals[(*i[:axis], k, *i[axis + 1 :])]
            return reducer(value, axis=k, where=k < i[axis])

        before = make(blocks, prefix, f"{name}.before")
        local = make(
            shape, lambda *i: within(i, position(i[axis]) // block * block, block), f"{name}.local"
        )

        def both(*i):
            b = position(i[axis]) // block
            return cast(combine(before[(*i[:axis], b, *i[axis + 1 :])], local[i]), to)

        return [make(shape, both, name)]

    def reference(arrays, a):
        x = some(arrays[0])
        to = dtype_of(x.dtype)
        axis = normalize_axis(name, a["axis"], x.ndim)
        v = np.moveaxis(x.astype(np.float64) if to.is_float else x, axis, 0)
        v = v[::-1] if a["reverse"] else v
        with np.errstate(all="ignore"):
            y = np_scan(v, axis=0, dtype=v.dtype)
        if a["exclusive"] and len(y):
            y = np.concatenate([np.full_like(y[:1], identity), y[:-1]])
        y = np.moveaxis(y[::-1] if a["reverse"] else y, 0, axis)
        return [convert_array(np.ascontiguousarray(y), to)]

    schema = {
        "axis": Attr(int),
        "exclusive": Attr(bool, False, "without the element itself"),
        "reverse": Attr(bool, False, "from the last element"),
    }
    facts = Facts(carries=carries(along=("axis",)))
    return OpDef(name, Kind.OPAQUE, infer, build, reference, schema, facts=facts)


OPS: tuple[OpDef, ...] = (
    _scan("cumsum", reducers.sum, operator.add, np.cumsum, 0),
    _scan("cumprod", reducers.prod, operator.mul, np.cumprod, 1),
)
