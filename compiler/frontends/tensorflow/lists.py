"""TensorArrays and lists of tensors of a known length: as tensors, one for each element, or as one
tensor of all, where data say which element is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....runtime.dtype import INT64, DType
from .context import Converter, TFContext
from .ops_shape import MAX_MADE, cut, stacked, unstacked
from .values import Dims

MAX_ELEMENTS = 1 << 16  # of a list


@dataclass(frozen=True)
class Rows:
    """The elements, ``""`` for one that is not written yet; or ``whole``, a tensor of all of them.
    ``dims`` is what the file says of their shape."""

    elements: tuple[str, ...]
    dtype: DType
    dims: Dims | None = None
    whole: str = ""
    count: int = 0

    @property
    def length(self) -> int:
        """How many elements there are."""
        return self.count if self.whole else len(self.elements)


def rows_of(n: TFContext, name: str) -> Rows:
    """The list that a value is."""
    found = n.walk.shared.objects.get(name)
    if not isinstance(found, Rows):
        n.error(f"{name!r} is no list of tensors.")
    return found


def shape_of(n: TFContext, rows: Rows, like: str = "") -> tuple[int, ...]:
    """The shape of the elements; ``like`` is one of them."""
    for e in (*rows.elements, like):
        if e:
            return n.typeof(e).shape
    if rows.whole:
        return n.typeof(rows.whole).shape[1:]
    if rows.dims is None or min(rows.dims, default=0) < 0:
        n.unsupported("a list whose elements have no known shape")
    return rows.dims


def zero(n: TFContext, rows: Rows, like: str = "") -> str:
    """An element that nothing was written to."""
    made = n.constant(np.zeros((), rows.dtype.numpy))
    shape = shape_of(n, rows, like)
    return n.add("expand", [made], shape=shape) if shape else made


def whole(n: TFContext, rows: Rows, like: str = "") -> str:
    """All elements as one tensor."""
    if rows.whole:
        return rows.whole
    if not rows.elements:
        return n.constant(np.zeros((0, *shape_of(n, rows, like)), rows.dtype.numpy))
    blank = zero(n, rows, like) if "" in rows.elements else ""
    return stacked(n, [e or blank for e in rows.elements])


def written(n: TFContext, rows: Rows, at: str, value: str) -> Rows:
    """The list with an element replaced."""
    index = n.value_of(at)
    if index is not None and not rows.whole:
        k = int(index)
        if not 0 <= k < rows.length:
            n.error(f"element {k} of {rows.length}.")
        elements = list(rows.elements)
        elements[k] = value
        return replace(rows, elements=tuple(elements))
    buffer = whole(n, rows, value)
    shape = n.typeof(buffer).shape
    places = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    number = n.as_type(n.add("reshape", [at], shape=()), INT64)
    here = n.add("equal", [n.constant(places), number])
    line = n.add("reshape", [value], shape=(1, *shape[1:]))
    made = n.add("where", [here, line, buffer])
    return replace(rows, elements=(), whole=made, count=shape[0])


def element(n: TFContext, rows: Rows, at: str) -> str:
    """One element."""
    index = n.value_of(at)
    if index is not None:
        k = int(index)
        if not 0 <= k < rows.length:
            n.error(f"element {k} of {rows.length}.")
        if not rows.whole:
            return rows.elements[k] or zero(n, rows)
        x = cut(n, rows.whole, 0, k, 1)
        return n.add("reshape", [x], shape=n.typeof(x).shape[1:])
    return n.add("gather", [whole(n, rows), n.add("reshape", [at], shape=())], axis=0, wrap=False)


def _hold(n: TFContext, rows: Rows) -> str:
    return n.walk.hold(rows)


def _of_tensor(n: TFContext, x: str, dims: Dims | None = None) -> Rows:
    if x in n.sizing.emitter.sizes and 0 in n.sizing.sizes(x):
        n.unsupported("a list of as many tensors as only data knows")
    shape = n.typeof(x).shape
    if not shape or shape[0] > MAX_ELEMENTS:
        n.error(f"a list of the elements of {n.typeof(x)}.")
    return Rows((), n.typeof(x).dtype, dims, x, shape[0])


def _empty(n: TFContext, count: int, dtype: DType, dims: Dims | None) -> Rows:
    if not 0 <= count <= MAX_ELEMENTS:
        n.unsupported(f"a list of {count} tensors")
    return Rows(("",) * count, dtype, dims)


def _dims(n: TFContext, i: int) -> Dims | None:
    """A shape given as a tensor: -1 for extents that are not known, a scalar -1 for no shape."""
    value = n.array(i)
    return None if not value.shape else tuple(int(v) for v in value)


def _places(n: TFContext, i: int) -> list[int]:
    return n.ints(i)


# --- TensorArray: a handle, and a flow that here is the state ------------------------------------


def _array(n: TFContext) -> Sequence[str]:
    rows = _empty(n, int(n.number(0)), n.dtype("dtype"), n.attr("element_shape", None))
    held = _hold(n, rows)
    return [held, held]


def _array_read(n: TFContext) -> str:
    return element(n, rows_of(n, n.inputs[2]), n.inputs[1])


def _array_write(n: TFContext) -> str:
    return _hold(n, written(n, rows_of(n, n.inputs[3]), n.inputs[1], n.inputs[2]))


def _array_gather(n: TFContext) -> str:
    rows = rows_of(n, n.inputs[2])
    if n.is_const(1) and n.ints(1) == list(range(rows.length)):
        return whole(n, rows)
    return n.add("gather", [whole(n, rows), n.inputs[1]], axis=0, wrap=False)


def _array_scatter(n: TFContext) -> str:
    rows, places = rows_of(n, n.inputs[3]), _places(n, 1)
    if places == list(range(rows.length)):
        return _hold(n, replace(_of_tensor(n, n.inputs[2]), dims=rows.dims))
    for k, part in zip(places, unstacked(n, n.inputs[2])):
        rows = written(n, rows, n.constant(np.array(k)), part)
    return _hold(n, rows)


def _array_size(n: TFContext) -> str:
    return n.constant(np.array(rows_of(n, n.inputs[1]).length, np.int32))


def _array_concat(n: TFContext) -> Sequence[str]:
    rows = rows_of(n, n.inputs[1])
    parts = [element(n, rows, n.constant(np.array(k))) for k in range(rows.length)]
    lengths = [n.typeof(p).shape[0] for p in parts]
    joined = n.add("concat", parts, axis=0) if len(parts) > 1 else parts[0]
    return [joined, n.constant(np.array(lengths, np.int64))]


# --- TensorList -----------------------------------------------------------------------------------


def _reserve(n: TFContext) -> str:
    return _hold(n, _empty(n, int(n.number(1)), n.dtype("element_dtype"), _dims(n, 0)))


def _nothing(n: TFContext) -> str:
    return _hold(n, _empty(n, 0, n.dtype("element_dtype"), _dims(n, 0)))


def _from_tensor(n: TFContext) -> str:
    return _hold(n, _of_tensor(n, n.inputs[0], _dims(n, 1)))


def _get(n: TFContext) -> str:
    rows = rows_of(n, n.inputs[0])
    if len(n) > 2 and n.is_const(2) and rows.dims is None:
        rows = replace(rows, dims=_dims(n, 2))
    return element(n, rows, n.inputs[1])


def _set(n: TFContext) -> str:
    return _hold(n, written(n, rows_of(n, n.inputs[0]), n.inputs[1], n.inputs[2]))


def _stack(n: TFContext) -> str:
    rows = rows_of(n, n.inputs[0])
    if len(n) > 1 and n.is_const(1) and rows.dims is None:
        rows = replace(rows, dims=_dims(n, 1))
    return whole(n, rows)


def _length(n: TFContext) -> str:
    return n.constant(np.array(rows_of(n, n.inputs[0]).length, np.int32))


def _parts(n: TFContext, rows: Rows) -> tuple[str, ...]:
    return tuple(unstacked(n, rows.whole)) if rows.whole else rows.elements


def _push(n: TFContext) -> str:
    rows = rows_of(n, n.inputs[0])
    elements = (*_parts(n, rows), n.inputs[1])
    if len(elements) > MAX_ELEMENTS:
        n.unsupported(f"a list of {len(elements)} tensors")
    return _hold(n, Rows(elements, rows.dtype, rows.dims))


def _pop(n: TFContext) -> Sequence[str]:
    rows = rows_of(n, n.inputs[0])
    elements = _parts(n, rows)
    if not elements:
        n.error("the list is empty.")
    last = elements[-1] or zero(n, rows)
    return [_hold(n, Rows(elements[:-1], rows.dtype, rows.dims)), last]


def _resize(n: TFContext) -> str:
    rows, count = rows_of(n, n.inputs[0]), int(n.number(1))
    if not 0 <= count <= MAX_ELEMENTS:
        n.unsupported(f"a list of {count} tensors")
    elements = (*_parts(n, rows), *("",) * count)[:count]
    return _hold(n, Rows(elements, rows.dtype, rows.dims))


def _gather(n: TFContext) -> str:
    return n.add("gather", [whole(n, rows_of(n, n.inputs[0])), n.inputs[1]], axis=0, wrap=False)


def _scatter(n: TFContext) -> str:
    """A new list of elements at these places."""
    places = _places(n, 1)
    count = max(places, default=-1) + 1
    if n.op == "TensorListScatterV2" and n.number(3) >= 0:
        count = int(n.number(3))
    rows = _empty(n, count, n.typeof(n.inputs[0]).dtype, _dims(n, 2))
    for k, part in zip(places, unstacked(n, n.inputs[0])):
        rows = written(n, rows, n.constant(np.array(k)), part)
    return _hold(n, rows)


def _concat(n: TFContext) -> Sequence[str]:
    rows = rows_of(n, n.inputs[0])
    parts = [e or zero(n, rows) for e in _parts(n, rows)]
    if not parts:
        n.unsupported("the parts of an empty list put together")
    lengths = [n.typeof(p).shape[0] for p in parts]
    joined = n.add("concat", parts, axis=0) if len(parts) > 1 else parts[0]
    return [joined, n.constant(np.array(lengths, np.int64))]


def _split(n: TFContext) -> str:
    x, lengths = n.inputs[0], n.ints(2)
    starts = np.cumsum([0, *lengths])
    if starts[-1] != n.shape(0)[0] or min(lengths, default=0) < 0 or starts[-1] > MAX_MADE:
        n.error(f"parts of {lengths} do not make up {n.type(0)}.")
    parts = [cut(n, x, 0, int(b), c) for b, c in zip(starts, lengths)]
    return _hold(n, Rows(tuple(parts), n.typeof(x).dtype, None))


CONVERTERS: dict[str, Converter] = {
    "EmptyTensorList": _nothing,
    "TensorArrayConcatV3": _array_concat,
    "TensorArrayGatherV3": _array_gather,
    "TensorArrayReadV3": _array_read,
    "TensorArrayScatterV3": _array_scatter,
    "TensorArraySizeV3": _array_size,
    "TensorArrayV3": _array,
    "TensorArrayWriteV3": _array_write,
    "TensorListConcat": _concat,
    "TensorListConcatV2": _concat,
    "TensorListFromTensor": _from_tensor,
    "TensorListGather": _gather,
    "TensorListGetItem": _get,
    "TensorListLength": _length,
    "TensorListPopBack": _pop,
    "TensorListPushBack": _push,
    "TensorListReserve": _reserve,
    "TensorListResize": _resize,
    "TensorListScatter": _scatter,
    "TensorListScatterV2": _scatter,
    "TensorListSetItem": _set,
    "TensorListSplit": _split,
    "TensorListStack": _stack,
}

__all__ = ["CONVERTERS", "Rows", "whole"]
