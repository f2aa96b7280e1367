"""Shapes and the movement of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import INT32
from ..blocks import Masks, strided_slice
from ..sized import Extent, arguments
from ..sized.arguments import Number, known
from ..sized.moves import reshaped
from .context import Converter, TFContext
from .values import Dims

MAX_MADE = 1 << 24  # elements of a constant that a node may ask for out of nothing


def sizes_of(n: TFContext, i: int, unbounded: int = 0) -> list[Number]:
    """The integers of an input that are sizes. Raises :class:`ModelError` where more than
    ``unbounded`` have neither a value nor a bound."""
    found = n.numbers(i)
    if found is None:
        n.error(f"its input {i} is absent.")
    if sum(e.range[1] == math.inf for e in found) > unbounded:
        n.const(i)  # raises, and says what to bind
    return found


def _reshape(n: TFContext) -> str:
    x = n.tensor_type(0)
    if n.is_open(0) or not n.is_const(1):
        left = known(-1)
        shape = [left if e.range[1] == math.inf else e for e in sizes_of(n, 1, unbounded=1)]
        if sum(e.value == -1 for e in shape) > 1:
            n.error("it leaves more than one extent open.")
        return arguments.reshape(n.sizing, n.inputs[0], shape, copies=False)
    return n.add("reshape", n.inputs[:1], shape=n.filled(x, n.ints(1)))


def with_axes(n: TFContext, x: str, new: Sequence[int]) -> str:
    """A tensor with axes of extent 1 at these places of the result."""
    s, ndim = n.sizing, len(n.typeof(x).shape) + len(new)
    places = n.axes(new, ndim)
    extents = iter(s.extents(x))
    target = [Extent(1) if k in places else next(extents) for k in range(ndim)]
    return _shaped(n, x, target)


def without_axes(n: TFContext, x: str, drop: Sequence[int]) -> str:
    """A tensor without these axes, which have extent 1."""
    s, ndim = n.sizing, len(n.typeof(x).shape)
    places = n.axes(drop, ndim)
    for k in places:
        if n.typeof(x).shape[k] != 1 or k in s.sizes(x):
            n.error(f"axis {k} of {n.typeof(x)} is not 1 and cannot be dropped.")
    return _shaped(n, x, [e for k, e in enumerate(s.extents(x)) if k not in places])


def _shaped(n: TFContext, x: str, target: Sequence[Extent]) -> str:
    if any(e.size for e in target):
        return reshaped(n.sizing, x, target)
    return n.add("reshape", [x], shape=tuple(e.bound for e in target))


def _squeeze(n: TFContext) -> str:
    x = n.inputs[0]
    drop = n.integers("squeeze_dims", n.attr("axis", ()))
    if not drop:
        if n.is_open(0):
            n.unsupported("axes that are dropped where they are 1, of a tensor of open size")
        drop = tuple(k for k, d in enumerate(n.shape(0)) if d == 1)
    return without_axes(n, x, drop)


def _transpose(n: TFContext) -> str:
    perm = n.ints(1)
    return n.add("transpose", n.inputs[:1], perm=n.axes(perm, len(n.shape(0))))


def _concat(n: TFContext, axis_at: int) -> str:
    parts = n.inputs[:-1] if axis_at < 0 else n.inputs[1:]
    axis = int(n.number(len(n) - 1 if axis_at < 0 else 0))
    axis = n.axis(axis, len(n.typeof(parts[0]).shape))
    # Parts without elements may be there for nothing but their type.
    return n.add("concat", parts, axis=axis) if len(parts) > 1 else parts[0]


def _pack(n: TFContext) -> str:
    axis = n.integer("axis", 0)
    return stacked(n, n.inputs, axis)


def stacked(n: TFContext, tensors: Sequence[str], axis: int = 0) -> str:
    """Tensors of one shape along a new axis."""
    lines = [with_axes(n, x, [axis]) for x in tensors]
    if len(lines) == 1:
        return lines[0]
    return n.add("concat", lines, axis=n.axis(axis, len(n.typeof(lines[0]).shape)))


def cut(n: TFContext, x: str, axis: int, start: int, count: int) -> str:
    """``count`` elements of a tensor from ``start`` along ``axis``."""
    shape = n.typeof(x).shape
    if count == shape[axis]:
        return x
    return n.add(
        "slice", [x], starts=tuple(start if k == axis else 0 for k in range(len(shape))),
        shape=tuple(count if k == axis else d for k, d in enumerate(shape)),
    )  # fmt: skip


def _closed(n: TFContext, x: str, axis: int) -> int:
    if axis in n.sizing.sizes(x):
        n.unsupported(f"only data knows the size of axis {axis}")
    return n.typeof(x).shape[axis]


def _unpack(n: TFContext) -> Sequence[str]:
    axis = n.axis(n.integer("axis", 0), len(n.shape(0)))
    count = _closed(n, n.inputs[0], axis)
    if count != n.integer("num", count) or count < n.n_outputs:
        n.error(f"{n.type(0)} has {count} parts, {n.n_outputs} are asked for.")
    return unstacked(n, n.inputs[0], axis)[: n.n_outputs]


def unstacked(n: TFContext, x: str, axis: int = 0) -> list[str]:
    """The parts of a tensor along an axis, without it."""
    count = n.typeof(x).shape[axis]
    return [without_axes(n, cut(n, x, axis, k, 1), [axis]) for k in range(count)]


def _split(n: TFContext) -> Sequence[str]:
    axis = n.axis(int(n.number(0)), len(n.shape(1)))
    total, count = _closed(n, n.inputs[1], axis), n.integer("num_split")
    if count < 1 or total % count or n.n_outputs > count:
        n.error(f"{n.type(1)} is not {count} equal parts along axis {axis}.")
    each = total // count
    return [cut(n, n.inputs[1], axis, k * each, each) for k in range(n.n_outputs)]


def _split_v(n: TFContext) -> Sequence[str]:
    axis = n.axis(int(n.number(2)), len(n.shape(0)))
    total, sizes = _closed(n, n.inputs[0], axis), n.ints(1)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = total - sum(sizes) - 1
    if sum(sizes) != total or min(sizes, default=0) < 0 or len(sizes) < n.n_outputs:
        n.error(f"parts of {sizes} do not make up {total}.")
    starts = np.cumsum([0, *sizes])
    return [cut(n, n.inputs[0], axis, int(b), c) for b, c in zip(starts, sizes)]


# --- slices ---------------------------------------------------------------------------------------


def _slice(n: TFContext) -> str:
    x = n.tensor_type(0)
    if n.is_open(0) or not (n.is_const(1) and n.is_const(2)):
        return _slice_computed(n)
    begin, size = n.ints(1), n.ints(2)
    if not len(begin) == len(size) == len(x.shape):
        n.error(f"begin {begin} and size {size} do not fit {x}.")
    counts = [d - b if c == -1 else c for d, b, c in zip(x.shape, begin, size)]
    if any(b < 0 or c < 0 or b + c > d for b, c, d in zip(begin, counts, x.shape)):
        n.error(f"begin {begin} and size {size} do not lie in {x}.")
    return n.add("slice", n.inputs[:1], starts=tuple(begin), shape=tuple(counts))


def _slice_computed(n: TFContext) -> str:
    """With begins that data compute, and sizes that are known; or along open axes."""
    x, begin, size = n.inputs[0], n.numbers(1), n.numbers(2)
    shape = n.shape(0)
    if begin is None or size is None or not len(begin) == len(size) == len(shape):
        n.error(f"its begin or size does not fit {n.type(0)}.")
    sizes = [e.value for e in size]
    if not n.is_open(0) and None not in sizes and -1 not in sizes:
        starts = n.add("cast", [n.inputs[1]], to="int32")
        counts = tuple(int(c or 0) for c in sizes)
        if any(c > d for c, d in zip(counts, shape)):
            n.error(f"a slice of {counts} does not lie in {n.type(0)}.")
        return n.add("slice_at", [x, starts], shape=counts)
    for axis, (b, c) in enumerate(zip(begin, size)):
        if c.value == -1:
            end = known(arguments.FAR)
        elif b.value is not None and c.value is not None:
            end = known(b.value + c.value)
        elif b.value == 0:
            end = _to_the_end(n, c)
        else:
            n.unsupported("a slice whose begin and size only data knows")
        if b.value != 0 or end.value is None or end.value < shape[axis]:
            x = arguments.cut(n.sizing, x, axis, b, end, 1)
    return x


def _to_the_end(n: TFContext, size: Number) -> Number:
    """Where a slice from 0 on ends: a size of -1 is all that is there."""
    if size.range[0] >= 0:
        return size
    s, number = n.sizing, n.sizing.of_element(size.element, 0).size
    least = s.add("less", [number, s.constant(0)])
    end = s.add("where", [least, s.constant(arguments.FAR), number])
    return arguments.numbers(s, end)[0]


def _masks(n: TFContext) -> Masks:
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return Masks(*(n.integer(name, 0) for name in names))


def _strided_slice(n: TFContext) -> str:
    masks = _masks(n)
    if not n.is_open(0) and n.is_const(1) and n.is_const(2):
        return strided_slice(n, n.inputs[0], n.ints(1), n.ints(2), n.ints(3), masks)
    return _strided_computed(n, masks)


def _strided_computed(n: TFContext, m: Masks) -> str:
    """With begins or ends that data compute, or along axes of a size that they decide."""
    begin, end, strides = n.numbers(1), n.numbers(2), n.ints(3)
    assert begin is not None and end is not None
    x, ndim = n.inputs[0], len(n.shape(0))
    if not len(begin) == len(end) == len(strides) or 0 in strides:
        n.error(f"{len(begin)} begins, {len(end)} ends, the strides {strides}.")
    used = sum(not (m.new_axis | m.ellipsis) >> k & 1 for k in range(len(begin)))
    new, drop, axis, place = [], [], 0, 0
    for k in range(len(begin)):
        if m.ellipsis >> k & 1:
            axis, place = axis + ndim - used, place + ndim - used
            continue
        if m.new_axis >> k & 1:
            new.append(place)
            place += 1
            continue
        if m.shrink >> k & 1:
            x = _one(n, x, axis, begin[k])
            drop.append(axis)
        else:
            forward = strides[k] > 0
            first = known(0 if forward else arguments.FAR) if m.begin >> k & 1 else begin[k]
            last = known(arguments.FAR if forward else -arguments.FAR) if m.end >> k & 1 else end[k]
            if not (m.begin >> k & 1 and m.end >> k & 1 and strides[k] == 1):
                x = arguments.cut(n.sizing, x, axis, first, last, strides[k])
            place += 1
        axis += 1
    x = without_axes(n, x, drop) if drop else x
    return with_axes(n, x, new) if new else x


def _one(n: TFContext, x: str, axis: int, at: Number) -> str:
    """The slice at one place."""
    if at.value is not None and axis not in n.sizing.sizes(x):
        size = n.typeof(x).shape[axis]
        if not -size <= at.value < size:
            n.error(f"the index {at.value} is out of range for {size} elements.")
        return cut(n, x, axis, at.value % size, 1)
    if at.value is not None and at.value >= 0:
        index = n.constant(np.array([at.value], np.int64))
    elif at.value is not None:
        length = n.sizing.number(n.sizing.extent(x, axis))
        place = n.sizing.add("add", [length, n.sizing.constant(at.value)])
        index = n.sizing.add("reshape", [place], shape=(1,))
    else:
        place = n.sizing.of_element(at.element, 0).size
        index = n.sizing.add("reshape", [place], shape=(1,))
    return n.add("gather", [x, index], axis=axis)


# --- shapes as values -----------------------------------------------------------------------------


def shape_value(n: TFContext, i: int) -> str:
    """The shape of input ``i`` as a tensor of the type ``out_type``."""
    to = n.dtype("out_type", INT32)
    if not n.is_open(i):
        return n.constant(np.array(n.shape(i), to.numpy))
    s = n.sizing
    lined = [s.add("reshape", [s.number(e)], shape=(1,)) for e in s.extents(n.inputs[i])]
    return n.as_type(s.add("concat", lined, axis=0) if len(lined) > 1 else lined[0], to)


def _size(n: TFContext) -> str:
    s, to = n.sizing, n.dtype("out_type", INT32)
    return n.as_type(s.number(s.product(s.extents(n.inputs[0]))), to)


def _range(n: TFContext) -> str:
    if not all(n.is_const(k) for k in range(3)):
        return _range_computed(n)
    start, limit, delta = (n.number(k) for k in range(3))
    if delta == 0:
        n.error("its step is 0.")
    dtype = n.tensor_type(0).dtype
    if dtype.is_float:
        steps = (limit - start) / delta
        count = max(math.ceil(steps), 0) if math.isfinite(steps) else MAX_MADE + 1
    else:
        count = max(-int((start - limit) // delta), 0)
    if count > MAX_MADE:
        n.unsupported(f"a range of {count} elements")
    wide = np.float64 if dtype.is_float else np.int64
    return n.constant(
        (wide(start) + np.arange(count, dtype=wide) * wide(delta)).astype(dtype.numpy)
    )


def _range_computed(n: TFContext) -> str:
    """With a begin or an end that data compute."""
    start, limit, delta = ((n.numbers(k) or [None])[0] for k in range(3))
    t = n.tensor_type(0)
    if start is None or limit is None or delta is None:
        n.error("it takes three scalars.")
    room = limit.range[1] - start.range[0]
    if delta.value is not None and delta.value < 0:
        room = start.range[1] - limit.range[0]
    if not delta.value or math.isinf(room) or not t.dtype.is_int:
        for k in range(3):
            n.const(k)  # raises for one of them, and says what to bind
    assert delta.value
    return arguments.arange(n.sizing, start, limit, delta.value, str(t.dtype))


def _linspace(n: TFContext) -> str:
    start, stop, count = n.number(0), n.number(1), int(n.number(2))
    if not 0 < count <= MAX_MADE:
        n.error(f"{count} elements.")
    return n.constant(np.linspace(start, stop, count).astype(n.tensor_type(0).dtype.numpy))


def _rank(n: TFContext) -> str:
    return n.constant(np.array(len(n.shape(0)), np.int32))


def _broadcast_args(n: TFContext) -> str:
    made = np.broadcast_shapes(tuple(n.ints(0)), tuple(n.ints(1)))
    return n.constant(np.array(made, n.tensor_type(0).dtype.numpy))


def _ensured(n: TFContext) -> str:
    """The input, if it has the shape."""
    wanted: Dims | None = n.attr("shape")
    have = n.shape(0)
    if wanted is not None and (
        len(wanted) != len(have) or any(w >= 0 and w != d for w, d in zip(wanted, have))
    ):
        n.error(f"{n.type(0)} has not the shape {list(wanted)}.")
    return n.inputs[0]


CONVERTERS: dict[str, Converter] = {
    "BroadcastArgs": _broadcast_args,
    "Concat": lambda n: _concat(n, 0),
    "ConcatV2": lambda n: _concat(n, -1),
    "EnsureShape": _ensured,
    "ExpandDims": lambda n: with_axes(n, n.inputs[0], [int(n.number(1))]),
    "LinSpace": _linspace,
    "Pack": _pack,
    "Range": _range,
    "Rank": _rank,
    "Reshape": _reshape,
    "Shape": lambda n: shape_value(n, 0),
    "ShapeN": lambda n: [shape_value(n, k) for k in range(len(n))],
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "SplitV": _split_v,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Transpose": _transpose,
    "Unpack": _unpack,
}

__all__ = [
    "CONVERTERS",
    "MAX_MADE",
    "cut",
    "sizes_of",
    "stacked",
    "unstacked",
    "with_axes",
    "without_axes",
]
