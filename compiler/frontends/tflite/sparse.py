"""Sparse constants: the formats of TACO (Kjolstad et al., "The Tensor Algebra Compiler", OOPSLA
2017), a format an axis, over the axes in any order; inner ones may be blocks of others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....runtime.errors import ModelError
from .flatbuffer import Table
from .schema import TABLES

_DENSE, _SPARSE = 0, 1
_MOST = 1024  # elements for each byte that is stored: so that no file can exhaust us
_VECTORS = {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"}


def densified(
    s: Table, data: memoryview, shape: Sequence[int], dtype: np.dtype, where: str
) -> np.ndarray:
    """The dense array of a tensor with ``SparsityParameters``. Raises :class:`ModelError`."""

    def fail(what: str) -> ModelError:
        return ModelError(f"its sparsity {what}.", where=where)

    order, blocks = s.numbers("traversal_order"), s.numbers("block_map")
    axes = s.tables("dim_metadata", TABLES["DimensionMetadata"])
    rank, most = len(shape), max(math.prod(shape), 1)
    if sorted(order) != list(range(rank + len(blocks))) or len(axes) != len(order):
        raise fail("does not list each axis once")
    if any(not 0 <= b < rank for b in blocks):
        raise fail("has blocks of an axis that there is not")
    if most > _MOST * max(len(data), 1):
        raise fail(f"lets {len(data)} bytes fill {list(shape)}; weft stops at {_MOST} for one")
    # The walk goes down the axes: ``entries`` are the positions of all that there is at a level,
    # ``coords`` their coordinates along the axes so far.
    entries, coords = np.zeros(1, np.int64), []
    for axis in axes:
        if axis.get("format") == _DENSE:
            size = axis.get("dense_size")
            counts = np.full(entries.size, size)
            if size < 1 or entries.size * size > most:
                raise fail("has more elements than its shape")
            index = np.tile(np.arange(size), entries.size)
            below = np.repeat(entries, size) * size + index
        else:
            begin, counts, indices = _segments(axis, entries, where)
            if counts.sum() > most:
                raise fail("has more elements than its shape")
            first = np.repeat(begin - (np.cumsum(counts) - counts), counts)
            below = first + np.arange(counts.sum())
            index = indices[below]
        coords = [*(np.repeat(c, counts) for c in coords), index]
        entries = below
    values = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    if entries.size and entries.max() >= values.size:
        raise fail("has more elements than its buffer")
    by_axis = dict(zip(order, coords))
    full = [by_axis[k] for k in range(rank)]
    for k, b in enumerate(blocks):
        full[b] = full[b] * axes[order.index(rank + k)].get("dense_size") + by_axis[rank + k]
    if any(c.size and (c.min() < 0 or c.max() >= n) for c, n in zip(full, shape)):
        raise fail("has indices that lie outside")
    result = np.zeros(shape, dtype)
    result[tuple(full)] = values[entries]
    return result


def _segments(
    axis: Table, entries: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a compressed axis: where what lies below each entry begins, how much it is, and the
    coordinates of all."""
    segments, indices = (_vector(axis, k, where) for k in ("array_segments", "array_indices"))
    if entries.size and entries.max() + 1 >= segments.size:
        raise ModelError("its sparsity has too few segments.", where=where)
    begin, end = segments[entries], segments[entries + 1]
    if np.any(end < begin) or np.any(begin < 0) or np.any(end > indices.size):
        raise ModelError("its sparsity has segments that lie outside.", where=where)
    return begin, end - begin, indices


def _vector(axis: Table, name: str, where: str) -> np.ndarray:
    kind = axis.get(f"{name}_type")
    if axis.get("format") != _SPARSE or kind not in _VECTORS:
        raise ModelError("its sparsity has an axis of an unknown format.", where=where)
    vector = axis.table(name, TABLES[_VECTORS[kind]])
    return np.zeros(0, np.int64) if vector is None else vector.array("values").astype(np.int64)


__all__ = ["densified"]
