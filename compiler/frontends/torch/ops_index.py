"""Reading and writing by tensors of indices."""

# Converters have the parameters of their operators' schemas.
# ruff: noqa: PLR0913

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .context import Number, OptionalTensors, Row, Tensor, TorchContext, aten
from .ops_math import truth
from .ops_shape import taken


def _gather(n: TorchContext, self: Tensor, dim: int, index: Tensor,
            *, sparse_grad: bool = False) -> str:  # fmt: skip
    if not n.rank(self) or not n.rank(index):
        shape = n.shape(index)
        flat = n.reshape(self, (n.typeof(self).size,)), n.reshape(index, (n.typeof(index).size,))
        return n.reshape(n.do("gather_elements", *flat, axis=0, wrap=False), shape)
    axis = n.axis(dim, n.rank(self))
    return n.do("gather_elements", self, index, axis=axis, wrap=False)


def _take_along(n: TorchContext, self: Tensor, indices: Tensor, dim: int | None = None) -> str:
    if dim is None:
        flat = (
            n.reshape(self, (n.typeof(self).size,)),
            n.reshape(indices, (n.typeof(indices).size,)),
        )
        return n.do("gather_elements", *flat, axis=0)
    axis = n.axis(dim, n.rank(self))
    rest = [np.broadcast_shapes((a,), (b,))[0] for a, b in zip(n.shape(self), n.shape(indices))
            ]  # fmt: skip
    wide = [n.expand(x, [n.shape(x)[k] if k == axis else d for k, d in enumerate(rest)])
            for x in (self, indices)]  # fmt: skip
    return n.do("gather_elements", *wide, axis=axis)


def _index_select(n: TorchContext, self: Tensor, dim: int, index: Tensor) -> str:
    x = self if n.rank(self) else n.reshape(self, (1,))
    index = index if n.rank(index) else n.reshape(index, (1,))
    made = n.do("gather", x, index, axis=n.axis(dim, n.rank(x)), wrap=False)
    return made if n.rank(self) else n.reshape(made, ())


def _take(n: TorchContext, self: Tensor, index: Tensor) -> str:
    return n.do("gather", n.reshape(self, (n.typeof(self).size,)), index, axis=0)


# -- index and index_put: advanced indexing


class _Places:
    """Indices along some axes of a tensor, which broadcast against each other.

    ``front`` is the order of axes with the indexed ones in front, ``at`` where the extents of the
    indices are in a result, ``index`` their coordinates ``[…, indexed axes]``.
    """

    def __init__(self, n: TorchContext, x: str, indices: Sequence[str | None]):
        self.n = n
        found: dict[int, str] = {}
        axis = 0
        for i in indices:
            if i is None:
                axis += 1
            elif n.dtype(i).is_bool:
                for line in _positions(n, i):
                    found[axis] = line
                    axis += 1
            else:
                found[axis] = n.cast(i, "int64")
                axis += 1
        if axis > n.rank(x) or not found:
            n.error(f"{axis} indices for {n.rank(x)} axes.")
        self.axes = list(found)
        rest = [k for k in range(n.rank(x)) if k not in found]
        self.front = [*self.axes, *rest]
        together = self.axes == list(range(self.axes[0], self.axes[-1] + 1))
        self.at = self.axes[0] if together else 0
        self.shape = tuple(np.broadcast_shapes(*(n.shape(i) for i in found.values())))
        self.rest = tuple(n.shape(x)[k] for k in rest)
        lines = [n.reshape(n.expand(i, self.shape), (*self.shape, 1)) for i in found.values()]
        self.index = n.concat(lines, len(self.shape))

    def out(self) -> list[int]:
        """The order of axes that takes a gathered result, its indices in front, to its own."""
        k, m = len(self.shape), len(self.rest)
        return [*range(k, k + self.at), *range(k), *range(k + self.at, k + m)]


def _positions(n: TorchContext, mask: str) -> list[str]:
    """Where a mask is set: known at compile time, as nothing else has a size."""
    value = n.value_of(mask)
    if value is None:
        n.unsupported("as many elements as a mask of the data has")
    return [n.constant(line.astype(np.int64)) for line in np.nonzero(value)]


def _index(n: TorchContext, self: Tensor, indices: OptionalTensors) -> str:
    some = [(k, i) for k, i in enumerate(indices) if i is not None]
    if len(some) == 1 and not n.dtype(some[0][1]).is_bool:
        axis, index = some[0]
        if axis >= n.rank(self):
            n.error(f"there is no axis {axis} to index.")
        return n.do("gather", self, index, axis=axis)
    p = _Places(n, self, indices)
    made = n.do("gather_nd", n.transpose(self, p.front), p.index)
    return n.transpose(made, p.out())


def _index_put(
    n: TorchContext, self: Tensor, indices: OptionalTensors, values: Tensor,
    accumulate: bool = False, unsafe: bool = False,
) -> str:  # fmt: skip
    values = n.cast(values, n.dtype(self))
    mask = _mask_alone(n, self, indices, values)
    if mask and not accumulate:
        return n.do("where", mask, values, self)
    p = _Places(n, self, indices)
    order = p.out()
    k = len(p.shape)
    full = [(*p.shape, *p.rest)[a] for a in order]
    values = n.expand(
        n.reshape(values, (1,) * (len(full) - n.rank(values)) + n.shape(values)), full
    )
    back = [order.index(a) for a in range(len(order))]
    values = n.transpose(values, back)
    reduction = "add" if accumulate else "none"
    count = math.prod(p.shape)
    flat = n.reshape(values, (count, *p.rest))
    index = n.reshape(p.index, (count, n.shape(p.index)[k]))
    x = n.transpose(self, p.front)
    made = n.do("scatter_nd", x, index, flat, reduction=reduction)
    return n.transpose(made, [p.front.index(a) for a in range(len(p.front))])


def _mask_alone(n: TorchContext, x: str, indices: OptionalTensors, values: str) -> str:
    """A mask that is the only index, so that one value is chosen by it; ``""`` for others."""
    if len(indices) != 1 or indices[0] is None or not n.dtype(indices[0]).is_bool:
        return ""
    mask = indices[0]
    lead = n.rank(mask)
    tail = n.shape(x)[lead:]
    shape = n.shape(values)
    if n.shape(x)[:lead] != n.shape(mask):
        return ""
    if len(shape) > len(tail) and (shape[0] != 1 or len(shape) > len(tail) + 1):
        return ""
    return n.reshape(mask, (*n.shape(mask), *(1,) * len(tail)))


# -- scatter


def _scattered(
    n: TorchContext, x: str, dim: int, index: str, values: str | Number, reduction: str
) -> str:
    flat = not n.rank(x)
    if flat:
        x, dim = n.reshape(x, (1,)), 0
    index = n.reshape(index, (1,)) if not n.rank(index) else index
    axis, shape = n.axis(dim, n.rank(x)), n.shape(index)
    if isinstance(values, str):
        values = n.reshape(values, (1,)) if not n.rank(values) else values
        for k, d in enumerate(shape):
            values = n.cut(values, k, 0, d)
    else:
        values = n.expand(n.number(values, x), shape)
    made = n.do("scatter_elements", x, index, values, axis=axis, reduction=reduction)
    return n.reshape(made, ()) if flat else made


def _scatter(n: TorchContext, self: Tensor, dim: int, index: Tensor, src: Tensor) -> str:
    return _scattered(n, self, dim, index, src, "none")


def _scatter_value(n: TorchContext, self: Tensor, dim: int, index: Tensor, value: Number) -> str:
    return _scattered(n, self, dim, index, value, "none")


_REDUCTIONS = {"add": "add", "multiply": "mul", "sum": "add", "prod": "mul", "amax": "max",
               "amin": "min"}  # fmt: skip


def _scatter_by(
    n: TorchContext, self: Tensor, dim: int, index: Tensor, src: Tensor, *, reduce: str
) -> str:
    return _scattered(n, self, dim, index, src, _REDUCTIONS[reduce])


def _scatter_value_by(
    n: TorchContext, self: Tensor, dim: int, index: Tensor, value: Number, *, reduce: str
) -> str:
    return _scattered(n, self, dim, index, value, _REDUCTIONS[reduce])


def _scatter_add(n: TorchContext, self: Tensor, dim: int, index: Tensor, src: Tensor) -> str:
    return _scattered(n, self, dim, index, src, "add")


def _scatter_reduce(
    n: TorchContext, self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *,
    include_self: bool = True,
) -> str:  # fmt: skip
    """Without its own elements, those that something is written to begin with the neutral one."""
    if reduce not in _REDUCTIONS:
        n.unsupported(f"the reduction {reduce!r}")
    op, x = _REDUCTIONS[reduce], self
    if not include_self:
        d = n.dtype(self)
        ends = (-math.inf, math.inf) if d.is_float else (d.min, d.max)
        neutral = {"add": 0, "mul": 1, "max": ends[0], "min": ends[1]}[op]
        x = _scattered(n, x, dim, index, neutral, "none")
    return _scattered(n, x, dim, index, src, op)


def _index_add(
    n: TorchContext, self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1
) -> str:
    if alpha != 1:
        source = n.do("mul", source, n.number(alpha, source))
    return _along(n, self, dim, index, source, "add")


def _along(
    n: TorchContext, x: str, dim: int, index: str, source: str, reduction: str
) -> str:  # fmt: skip
    """Slices of ``source`` written to places of ``x`` along an axis."""
    axis = n.axis(dim, n.rank(x))
    perm = [axis, *(k for k in range(n.rank(x)) if k != axis)]
    index = n.reshape(index, (n.typeof(index).size, 1))
    made = n.do("scatter_nd", n.transpose(x, perm), index, n.transpose(source, perm),
                reduction=reduction)  # fmt: skip
    return n.transpose(made, [perm.index(k) for k in range(len(perm))])


def _index_copy(n: TorchContext, self: Tensor, dim: int, index: Tensor, source: Tensor) -> str:
    return _along(n, self, dim, index, source, "none")


def _index_fill(
    n: TorchContext, self: Tensor, dim: int, index: Tensor, value: Tensor | Number
) -> str:
    axis, shape = n.axis(dim, n.rank(self)), list(n.shape(self))
    shape[axis] = n.typeof(index).size
    source = n.expand(n.operand(value, n.dtype(self)), shape)
    return _along(n, self, dim, index, source, "none")


# -- a tensor in which a part is another


def placed(n: TorchContext, x: str, src: str, axis: int, places: range) -> str:
    """``x`` with ``src`` at ``places`` along ``axis``."""
    src = n.cast(src, n.dtype(x))
    shape = list(n.shape(x))
    shape[axis] = len(places)
    src = n.expand(src, shape)
    extent = n.shape(x)[axis]
    if not places:
        return x
    if places.step == 1:
        end = places.start + len(places)
        parts = [n.cut(x, axis, 0, places.start), src, n.cut(x, axis, end, extent - end)]
        return n.concat([p for p in parts if n.shape(p)[axis]], axis)
    at = np.arange(extent)
    hit = np.isin(at, places)
    near = np.clip((at - places.start) // places.step, 0, len(places) - 1).astype(np.int32)
    wide = n.do("gather", src, n.constant(near), axis=axis, wrap=False)
    mask = hit.reshape([-1 if k == axis else 1 for k in range(n.rank(x))])
    return n.do("where", n.constant(mask), wide, x)


def _slice_scatter(
    n: TorchContext, self: Tensor, src: Tensor, dim: int = 0, start: int | None = None,
    end: int | None = None, step: int = 1,
) -> str:  # fmt: skip
    axis = n.axis(dim, n.rank(self))
    return placed(n, self, src, axis, taken(n, self, axis, start, end, step))


def _select_scatter(n: TorchContext, self: Tensor, src: Tensor, dim: int, index: int) -> str:
    axis, shape = n.axis(dim, n.rank(self)), list(n.shape(self))
    at = index % shape[axis] if shape and shape[axis] else 0
    shape[axis] = 1
    rest = [d for k, d in enumerate(shape) if k != axis]
    return placed(n, self, n.reshape(n.expand(src, rest), shape), axis, range(at, at + 1))


def _diagonal_scatter(
    n: TorchContext, self: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> str:
    a, b = n.axes((dim1, dim2), n.rank(self))
    perm = [*(k for k in range(n.rank(self)) if k not in (a, b)), a, b]
    x = n.transpose(self, perm)
    rows, columns = np.indices(n.shape(x)[-2:])
    mask = columns - rows == offset
    along = np.clip(np.minimum(rows, columns), 0, max(n.shape(src)[-1] - 1, 0)).astype(np.int32)
    wide = n.do("gather", src, n.constant(along), axis=n.rank(src) - 1, wrap=False)
    made = n.do("where", n.constant(mask), n.cast(wide, n.dtype(x)), x)
    return n.transpose(made, [perm.index(k) for k in range(len(perm))])


def _copy(n: TorchContext, self: Tensor, src: Tensor, non_blocking: bool = False) -> str:
    d = n.dtype(self)
    src = truth(n, src) if d.is_bool else n.cast(src, d)
    return n.expand(src, n.shape(self))


def _masked_select(n: TorchContext, self: Tensor, mask: Tensor) -> str:
    lines = _positions(n, n.expand(mask, n.shape(self)))
    index = n.concat([n.reshape(i, (*n.shape(i), 1)) for i in lines], 1)
    return n.do("gather_nd", self, index)


def _nonzero(n: TorchContext, self: Tensor) -> str:
    lines = _positions(n, truth(n, self))
    return n.concat([n.reshape(i, (*n.shape(i), 1)) for i in lines], 1)


def _embedding_bag(
    n: TorchContext, weight: Tensor, indices: Tensor, offsets: Tensor,
    scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
    padding_idx: int = -1,
) -> list[str]:  # fmt: skip
    """Bags that begin at ``offsets``, which are known; mode 0 sums, 1 takes means, 2 maxima."""
    starts = n.value_of(offsets)
    if starts is None or padding_idx >= 0 or any(map(n.output_wanted, range(1, n.n_outputs))):
        n.unsupported("bags of which only data knows where they begin")
    total = n.typeof(indices).size
    ends = [int(s) for s in starts.reshape(-1)]
    ends = ends if include_last_offset else [*ends, total]
    rows = n.do("gather", weight, indices, axis=0, wrap=False)
    if per_sample_weights:
        rows = n.do("mul", rows, n.reshape(per_sample_weights, (total, 1)))
    op = {0: "reduce_sum", 1: "reduce_mean", 2: "reduce_max"}[mode]
    bags = []
    for a, b in pairwise(ends):
        if not 0 <= a <= b <= total:
            n.error(f"a bag from {a} to {b} of {total} indices.")
        part = n.cut(rows, 0, a, b - a)
        bags.append(n.do(op, part, axes=(0,)) if b > a else
                    n.constant(np.zeros((1, n.shape(rows)[1]), n.dtype(rows).numpy)))  # fmt: skip
    return [n.concat(bags, 0), *[""] * (n.n_outputs - 1)]


CONVERTERS: dict[str, Row] = {
    **aten("gather.default", _gather),
    **aten("take_along_dim.default", _take_along),
    **aten("index_select.default", _index_select),
    **aten("take.default", _take),
    **aten("index.Tensor", _index),
    **aten("_unsafe_index.Tensor", _index),
    **aten("index_put.default _unsafe_index_put.default _index_put_impl.default", _index_put),
    **aten("scatter.src", _scatter),
    **aten("scatter.value", _scatter_value),
    **aten("scatter.reduce", _scatter_by),
    **aten("scatter.value_reduce", _scatter_value_by),
    **aten("scatter_add.default", _scatter_add),
    **aten("scatter_reduce.two", _scatter_reduce),
    **aten("index_add.default", _index_add),
    **aten("index_copy.default", _index_copy),
    **aten("index_fill.int_Scalar index_fill.int_Tensor", _index_fill),
    **aten("slice_scatter.default", _slice_scatter),
    **aten("select_scatter.default", _select_scatter),
    **aten("diagonal_scatter.default", _diagonal_scatter),
    **aten("copy.default", _copy),
    **aten("masked_select.default", _masked_select),
    **aten("nonzero.default", _nonzero),
    **aten("embedding_bag.padding_idx _embedding_bag.default _embedding_bag_forward_only.default",
           _embedding_bag),
}  # fmt: skip
