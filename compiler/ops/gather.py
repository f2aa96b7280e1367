"""Reading by index tensors: gather and its kin, one-hot, reversal of sequences.

Index values count from the end when negative. A value out of range is the model's mistake that
only shows when it runs; its lowest 32 bits are clamped, so that nothing outside the tensor is ever
read.
"""

from __future__ import annotations

import numpy as np

from ...ir.alu import Op as Alu
from ...ir.builders import equal, if_then_else, maximum, minimum
from ...ir.expr import ZERO, Expr, binary, const
from ...ir.tensor import Tensor
from ...runtime.dtype import INT32
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries, gathers
from .facts import Facts
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import extents, stage


def wrapped_index(value: Expr, n: int, wrap: bool = True) -> Expr:
    """An index value as an int32 position in ``[0, n)``: negative counts from the end (where it may
    be: ``wrap``), the rest is clamped.

    Written without a select: an arm would read the index again, in a branch of its own.
    """
    if n <= 1:
        return ZERO
    i = value.astype(INT32)
    if wrap and value.dtype.kind == "int":
        i = i + (i < 0).astype(INT32) * n
    return minimum(maximum(i, 0), n - 1)


def wrapped_array(values: np.ndarray, n: int) -> np.ndarray:
    """What :func:`wrapped_index` says, of an array."""
    i = values.astype(np.int32).astype(np.int64)
    if values.dtype.kind == "i":
        i = np.where(i < 0, i + n, i)
    return np.clip(i, 0, max(n - 1, 0))


def _two(types: Types, op: str) -> tuple[TensorType, TensorType]:
    x, i = types[0], types[1]
    assert x is not None and i is not None
    if not i.dtype.is_int:
        raise GraphError(f"{op}: indices are integers, not {i}.")
    return x, i


def check_axis(op: str, axis: int, x: TensorType) -> None:
    """Raise GraphError unless ``axis``, counted from the front, is one of ``x``."""
    if not 0 <= axis < len(x.shape):
        raise GraphError(f"{op}: {x} has no axis {axis}.")


def _readable(op: str, x: TensorType, out: TensorType, axes) -> list[TensorType]:
    if out.size and any(x.shape[k] == 0 for k in axes):
        raise GraphError(f"{op}: there is nothing to read in {x}.")
    return [out]


def _one(shape, fn, name: str) -> list[Tensor]:
    return [stage(shape, fn, name, {"kind": "injective"})]


# --- gather -----------------------------------------------------------------------------------


def _gather_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    (x, i), axis = _two(types, "gather"), attrs["axis"]
    check_axis("gather", axis, x)
    out = TensorType(x.dtype, (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]))
    return _readable("gather", x, out, [axis])


def _gather_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, index = inputs
    axis, n = attrs["axis"], extents(x)[attrs["axis"]]

    def body(*o: Expr) -> Expr:
        i = wrapped_index(index[o[axis : axis + index.ndim]], n, attrs["wrap"])
        return x[(*o[:axis], i, *o[axis + index.ndim :])]

    return _one(out[0].shape, body, "gather")


def _gather_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, index = inputs
    return [np.take(x, wrapped_array(index, x.shape[attrs["axis"]]), axis=attrs["axis"])]


def _elements_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    (x, i), axis = _two(types, "gather_elements"), attrs["axis"]
    check_axis("gather_elements", axis, x)
    fits = len(i.shape) == len(x.shape) and all(
        p <= q for k, (p, q) in enumerate(zip(i.shape, x.shape)) if k != axis
    )
    if not fits:
        raise GraphError(f"gather_elements: indices {i} reach beyond the data {x}.")
    return _readable("gather_elements", x, TensorType(x.dtype, i.shape), [axis])


def _elements_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, index = inputs
    axis, n = attrs["axis"], extents(x)[attrs["axis"]]
    return _one(
        out[0].shape,
        lambda *o: x[(*o[:axis], wrapped_index(index[o], n, attrs["wrap"]), *o[axis + 1 :])],
        "gather_elements",
    )


def _elements_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, index = inputs
    axis = attrs["axis"]
    x = x[tuple(slice(None) if k == axis else slice(n) for k, n in enumerate(index.shape))]
    return [np.take_along_axis(x, wrapped_array(index, x.shape[axis]), axis)]


# --- gather_nd --------------------------------------------------------------------------------


def _nd_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    (x, i), batch = _two(types, "gather_nd"), attrs["batch_dims"]
    depth = i.shape[-1] if i.shape else 0
    if not (
        i.shape
        and 0 <= batch < len(i.shape)
        and batch + depth <= len(x.shape)
        and i.shape[:batch] == x.shape[:batch]
    ):
        raise GraphError(
            f"gather_nd: indices {i} with {batch} batch axes do not address the data {x}."
        )
    out = TensorType(x.dtype, (*i.shape[:-1], *x.shape[batch + depth :]))
    return _readable("gather_nd", x, out, range(batch, batch + depth))


def _nd_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, index = inputs
    batch, depth = attrs["batch_dims"], extents(index)[-1]
    outer = index.ndim - 1

    def body(*o: Expr) -> Expr:
        at = [
            wrapped_index(index[(*o[:outer], k)], extents(x)[batch + k], attrs["wrap"])
            for k in range(depth)
        ]
        return x[(*o[:batch], *at, *o[outer:])]

    return _one(out[0].shape, body, "gather_nd")


def _nd_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, index = inputs
    batch, depth = attrs["batch_dims"], index.shape[-1]
    grid = np.indices(index.shape[:-1], sparse=True)[:batch] if batch else []
    at = [wrapped_array(index[..., k], x.shape[batch + k]) for k in range(depth)]
    key = (*grid, *at)
    return [x[key] if key else np.broadcast_to(x, (*index.shape[:-1], *x.shape)).copy()]


# --- one_hot, reverse_sequence ----------------------------------------------------------------


def _one_hot_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    i, values = types[0], types[1]
    assert i is not None and values is not None
    axis, depth = attrs["axis"], attrs["depth"]
    if values.shape != (2,) or depth < 0 or not 0 <= axis <= len(i.shape) or i.dtype.is_bool:
        raise GraphError(
            f"one_hot takes numeric indices, [off, on] values, depth >= 0 and an axis of the "
            f"result, not {i}, {values}, {depth} and {axis}."
        )
    return [TensorType(values.dtype, (*i.shape[:axis], depth, *i.shape[axis:]))]


def _one_hot_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    index, values = inputs
    axis, depth = attrs["axis"], attrs["depth"]

    def body(*o: Expr) -> Expr:
        # Compared in the type of the indices: converting them could turn a large one into a hit.
        wanted, d = index[(*o[:axis], *o[axis + 1 :])], index.dtype
        k = o[axis]
        limit = 2**24 if d.is_float else d.max
        hit = equal(wanted, k.astype(d))
        if depth - 1 > limit:
            hit = binary(Alu.AND, hit, k <= int(limit))
        if d.is_float or d.kind == "int":
            wrapped = (k - depth).astype(d)
            miss_free = equal(wanted, wrapped)
            if not d.is_float and -depth < d.min:
                miss_free = binary(Alu.AND, miss_free, k - depth >= int(d.min))
            hit = binary(Alu.OR, hit, miss_free)
        return if_then_else(hit, values[(const(1),)], values[(const(0),)])

    return _one(out[0].shape, body, "one_hot")


def _one_hot_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    index, values = inputs
    axis, depth = attrs["axis"], attrs["depth"]
    wide = np.expand_dims(index, axis)
    wide = wide.astype(np.float64) if index.dtype.kind not in "iu" else wide.astype(object)
    k = np.arange(depth).reshape([-1 if a == axis else 1 for a in range(wide.ndim)])
    hit = ((wide == k) | (wide == k - depth)).astype(bool)
    return [np.where(hit, values[1], values[0]).astype(values.dtype)]


def _reverse_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, lens = _two(types, "reverse_sequence")
    batch, time = attrs["batch_axis"], attrs["time_axis"]
    check_axis("reverse_sequence", batch, x)
    check_axis("reverse_sequence", time, x)
    if batch == time or lens.shape != (x.shape[batch],):
        raise GraphError(
            f"reverse_sequence of {x} takes two axes and a length for each of "
            f"{x.shape[batch]} sequences, not {lens}."
        )
    return [TensorType(x.dtype, x.shape)]


def _reverse_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, lens = inputs
    batch, time = attrs["batch_axis"], attrs["time_axis"]
    n = extents(x)[time]

    def body(*o: Expr) -> Expr:
        length = minimum(maximum(lens[(o[batch],)].astype(INT32), 0), n)
        t = if_then_else(o[time] < length, length - 1 - o[time], o[time])
        return x[(*o[:time], t, *o[time + 1 :])]

    return _one(out[0].shape, body, "reverse_sequence")


def _reverse_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, lens = inputs
    batch, time = attrs["batch_axis"], attrs["time_axis"]
    grid = list(np.indices(x.shape, sparse=True))
    length = np.clip(lens.astype(np.int64), 0, x.shape[time])
    length = length.reshape([-1 if k == batch else 1 for k in range(x.ndim)])
    grid[time] = np.where(grid[time] < length, length - 1 - grid[time], grid[time])
    return [x[tuple(grid)]]


WRAP = Attr(bool, True, "indices may be negative; False is a promise that none is")

_AXIS = {"axis": Attr(int, doc="not negative")}

OPS: tuple[OpDef, ...] = (
    OpDef(
        "gather",
        Kind.INJECTIVE,
        _gather_infer,
        _gather_compute,
        _gather_reference,
        attrs={**_AXIS, "wrap": WRAP},
        min_inputs=2,
        max_inputs=2,
        facts=Facts(carries=gathers),
        doc="numpy.take: the indices' shape takes the place of the axis.",
    ),
    OpDef(
        "gather_elements",
        Kind.INJECTIVE,
        _elements_infer,
        _elements_compute,
        _elements_reference,
        attrs={**_AXIS, "wrap": WRAP},
        min_inputs=2,
        max_inputs=2,
        facts=Facts(carries=carries(along=("axis",))),
        doc="numpy.take_along_axis, with indices that may be smaller than the data.",
    ),
    OpDef(
        "gather_nd",
        Kind.INJECTIVE,
        _nd_infer,
        _nd_compute,
        _nd_reference,
        attrs={
            "batch_dims": Attr(int, 0, "leading axes that data and indices share"),
            "wrap": WRAP,
        },
        min_inputs=2,
        max_inputs=2,
        doc="The last axis of the indices holds coordinates of slices of the data.",
    ),
    OpDef(
        "one_hot",
        Kind.INJECTIVE,
        _one_hot_infer,
        _one_hot_compute,
        _one_hot_reference,
        attrs={**_AXIS, "depth": Attr(int, doc="extent of the new axis")},
        min_inputs=2,
        max_inputs=2,
        doc="inputs: indices, values [off, on]; an index out of range is nowhere on.",
    ),
    OpDef(
        "reverse_sequence",
        Kind.INJECTIVE,
        _reverse_infer,
        _reverse_compute,
        _reverse_reference,
        attrs={"batch_axis": Attr(int), "time_axis": Attr(int)},
        min_inputs=2,
        max_inputs=2,
        facts=Facts(carries=carries(along=("batch_axis", "time_axis"), first=1)),
        doc="The first lens[b] steps of every sequence in reverse order, the rest as it is.",
    ),
)
