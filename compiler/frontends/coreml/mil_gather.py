"""Reading and writing at places that tensors tell."""

from __future__ import annotations

import numpy as np

from .mil_context import MilContext, MilConverter

# MIL's mode of a scatter to the reduction of weft's operator, and what the updates go through.
_MODES = {"update": ("none", ""), "add": ("add", ""), "sub": ("add", "neg"), "mul": ("mul", ""),
          "div": ("mul", "reciprocal"), "max": ("max", ""), "min": ("min", "")}  # fmt: skip


def _indices(n: MilContext, key: str = "indices") -> str:
    at = n.arg(key)
    return at if n.typeof(at).dtype.is_int else n.cast(at, "int32")


def gathered(n: MilContext, x: str, at: str, axis: int, batch: int) -> str:
    """Slices of ``x`` along an axis; the first ``batch`` axes go with those of the indices."""
    if not batch:
        return n.add("gather", [x, at], axis=axis)
    rank, places = len(n.typeof(x).shape), n.typeof(at).shape
    if not batch <= axis < rank or batch > len(places):
        n.error(f"{batch} axes of a batch do not fit the axis {axis} and indices {places}.")
    order = [*range(batch), axis, *(k for k in range(batch, rank) if k != axis)]
    y = n.add("gather_nd", [n.moved(x, order), n.reshaped(at, (*places, 1))], batch_dims=batch)
    # [batch, indices, before the axis, after it] to [batch, before, indices, after]
    many, before = len(places) - batch, axis - batch
    middle = list(range(batch, batch + many))
    front = list(range(batch + many, batch + many + before))
    last = range(batch + many + before, batch + many + rank - batch - 1)
    return n.moved(y, [*range(batch), *front, *middle, *last])


def _gather(n: MilContext) -> str:
    batch = int(n.number("batch_dims", 0))
    rank = len(n.typeof(_indices(n)).shape)
    return gathered(n, n.arg("x"), _indices(n), n.axis("axis", 0), batch + rank * (batch < 0))


def _gather_along_axis(n: MilContext) -> str:
    return n.add("gather_elements", [n.arg("x"), _indices(n)], axis=n.axis("axis", 0))


def _gather_nd(n: MilContext) -> str:
    return n.add("gather_nd", [n.arg("x"), _indices(n)], batch_dims=n.number("batch_dims", 0))


def updates(n: MilContext, tensor: str, mode: str) -> tuple[str, str]:
    """The updates of a scatter as weft's operator takes them, and its reduction."""
    if mode not in _MODES:
        n.error(f"there is no mode {mode!r} of a scatter.")
    reduction, through = _MODES[mode]
    if through == "reciprocal" and not n.typeof(tensor).dtype.is_float:
        n.unsupported("a scatter that divides integers")
    return (n.add(through, [tensor]) if through else tensor), reduction


def scattered(n: MilContext, data: str, at: str, new: str, axis: int, mode: str) -> str:
    """Slices along an axis of ``data`` made or changed; ``new`` has the indices' axes in place of
    it."""
    new, reduction = updates(n, new, mode)
    rank, places = len(n.typeof(data).shape), n.typeof(at).shape
    front = [axis, *(k for k in range(rank) if k != axis)]
    many = len(places)
    order = [*range(axis, axis + many), *range(axis), *range(axis + many, rank + many - 1)]
    y = n.add(
        "scatter_nd",
        [n.moved(data, front), n.reshaped(at, (*places, 1)), n.moved(new, order)],
        reduction=reduction,
    )
    return n.moved(y, [front.index(k) for k in range(rank)])


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
