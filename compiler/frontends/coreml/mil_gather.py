"""Reading and writing at places that tensors tell."""

from __future__ import annotations

import numpy as np

from .mil_context import MilContext, MilConverter
from .moves import gathered, scattered, updates


def _indices(n: MilContext, key: str = "indices") -> str:
    at = n.arg(key)
    return at if n.typeof(at).dtype.is_int else n.cast(at, "int32")


def _gather(n: MilContext) -> str:
    batch = int(n.number("batch_dims", 0))
    rank = len(n.typeof(_indices(n)).shape)
    return gathered(n, n.arg("x"), _indices(n), n.axis("axis", 0), batch + rank * (batch < 0))


def _gather_along_axis(n: MilContext) -> str:
    return n.add("gather_elements", [n.arg("x"), _indices(n)], axis=n.axis("axis", 0))


def _gather_nd(n: MilContext) -> str:
    return n.add("gather_nd", [n.arg("x"), _indices(n)], batch_dims=n.number("batch_dims", 0))


def _scatter(n: MilContext) -> str:
    axis = n.axis("axis", 0, of="data")
    return scattered(n, n.arg("data"), _indices(n), n.arg("updates"), axis, n.text("mode", "add"))


def _scatter_along_axis(n: MilContext) -> str:
    new, reduction = updates(n, n.arg("updates"), n.text("mode", "add"))
    axis = n.axis("axis", 0, of="data")
    inputs = [n.arg("data"), _indices(n), new]
    return n.add("scatter_elements", inputs, axis=axis, reduction=reduction)


def _scatter_nd(n: MilContext) -> str:
    new, reduction = updates(n, n.arg("updates"), n.text("mode", "add"))
    return n.add("scatter_nd", [n.arg("data"), _indices(n), new], reduction=reduction)


def _one_hot(n: MilContext) -> str:
    rank, axis = len(n.typed("indices").shape) + 1, int(n.number("axis", -1))
    ends = [n.value(k) for k in ("off_value", "on_value")]
    kind = next((e.dtype for e in ends if e is not None), np.dtype(np.int32))
    pair = [d if e is None else e.reshape(-1)[0] for e, d in zip(ends, (0, 1))]
    depth = int(n.number("one_hot_vector_size"))
    n.made([depth, n.typed("indices").size])
    values = n.constant(np.array(pair, kind))
    return n.add("one_hot", [_indices(n), values], axis=n.counted(axis, rank), depth=depth)


CONVERTERS: dict[str, MilConverter] = {
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "one_hot": _one_hot,
    "scatter": _scatter,
    "scatter_along_axis": _scatter_along_axis,
    "scatter_nd": _scatter_nd,
}
