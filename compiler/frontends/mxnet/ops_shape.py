"""What moves elements: shapes, slices, joins, and look-ups by indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...types import MAX_ELEMENTS
from .context import MxContext
from .reshaping import reshaped_to
from .table import Converter, Table, named

# --- shapes -----------------------------------------------------------------------------------


def _reshape(n: MxContext) -> str:
    target = n.integers("shape", ())
    if not target:  # before 0.9: zero is the extent that is not known
        old = n.integers("target_shape", ())
        if not old:
            return n.x
        target = tuple(d or -1 for d in old)
        if n.flag("keep_highest"):
            target = (0, *target[1:])
    return n.reshape(n.x, reshaped_to(n, n.shape, target, n.flag("reverse")))


def _flatten(n: MxContext) -> str:
    return n.reshape(n.x, (n.shape[0], math.prod(n.shape[1:])))


def _reshape_like(n: MxContext) -> str:
    """Axes of the first input, ``lhs_begin`` to ``lhs_end``, take the extents of the second's."""
    a, b = n.shape, n.typed(1).shape

    def part(side: str, count: int) -> slice:
        begin, end = n.integer(f"{side}_begin", 0), n.integer(f"{side}_end", count)
        return slice(begin + count if begin < 0 else begin, end + count if end < 0 else end)

    left, right = part("lhs", len(a)), part("rhs", len(b))
    return n.reshape(n.x, (*a[: left.start], *b[right], *a[left.stop :]))


def _expand_dims(n: MxContext) -> str:
    axis = n.axis("axis", ndim=len(n.shape) + 1)
    return n.reshape(n.x, (*n.shape[:axis], 1, *n.shape[axis:]))


def _squeeze(n: MxContext) -> str:
    axes, shape = n.integers("axis", None), n.shape
    drop = {n.placed(a) for a in axes} if axes else {k for k, d in enumerate(shape) if d == 1}
    if any(shape[k] != 1 for k in drop):
        n.error(f"the axes {axes} of {n.type(0)} are not all 1.")
    kept = tuple(d for k, d in enumerate(shape) if k not in drop)
    return n.reshape(n.x, kept or (1,))


def _transpose(n: MxContext) -> str:
    perm = n.integers("axes", ()) or tuple(reversed(range(len(n.shape))))
    return n.add("transpose", [n.x], perm=tuple(n.placed(a) for a in perm))


def _swap_axes(n: MxContext) -> str:
    perm = list(range(len(n.shape)))
    a, b = n.axis("dim1", 0), n.axis("dim2", 0)
    perm[a], perm[b] = b, a
    return n.add("transpose", [n.x], perm=tuple(perm))


def _broadcast_to(n: MxContext) -> str:
    shape = n.integers("shape")
    if len(shape) != len(n.shape):
        n.error(f"{n.type(0)} cannot be stretched to {shape}.")
    return n.add("expand", [n.x], shape=tuple(w or d for w, d in zip(shape, n.shape)))


def _broadcast_axis(n: MxContext) -> str:
    axes, sizes, shape = n.integers("axis", ()), n.integers("size", ()), list(n.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[n.placed(axis)] = size
    return n.add("expand", [n.x], shape=tuple(shape))


def _broadcast_like(n: MxContext) -> str:
    like, shape = n.typed(1).shape, list(n.shape)
    mine, others = n.integers("lhs_axes", None), n.integers("rhs_axes", None)
    if mine is None or others is None:
        shape = list(like)
    else:
        for a, b in zip(mine, others, strict=True):
            shape[n.placed(a)] = like[n.placed(b, len(like))]
    return n.add("expand", [n.x], shape=tuple(shape))


# --- parts ------------------------------------------------------------------------------------


def _slice(n: MxContext) -> str:
    begin, end = n.integers("begin"), n.integers("end")
    step = n.integers("step", ()) or (None,) * len(begin)
    if not len(begin) == len(end) == len(step) <= len(n.shape) or 0 in step:
        n.error(f"begin {begin}, end {end} and step {step} do not fit {n.type(0)}.")
    taken = [
        range(d)[slice(b, e, s)] for d, b, e, s in zip(n.shape, begin, end, step)
    ]  # as Python has it
    rest = n.shape[len(taken) :]
    return n.add(
        "slice",
        [n.x],
        starts=(*(r.start if r else 0 for r in taken), *(0,) * len(rest)),
        steps=(*(r.step for r in taken), *(1,) * len(rest)),
        shape=(*map(len, taken), *rest),
    )


def _slice_axis(n: MxContext) -> str:
    axis = n.axis("axis")
    taken = range(n.shape[axis])[slice(n.integer("begin", None), n.integer("end", None))]
    return n.part(n.x, axis, taken.start, len(taken))


def _slice_like(n: MxContext) -> str:
    like, y = n.typed(1).shape, n.x
    axes = n.integers("axes", ()) or range(len(n.shape))
    for a in axes:
        axis = n.placed(a)
        y = n.part(y, axis, 0, like[axis])
    return y


def _crop(n: MxContext) -> str:
    """Of images: to the size of a second input, or to ``h_w``."""
    size = n.typed(1).shape[2:] if n.integer("num_args", len(n)) == 2 else n.integers("h_w")
    offset, y = n.integers("offset", (0, 0)), n.x
    for k, axis in enumerate((2, 3)):
        middle = (n.shape[axis] - size[k]) // 2
        start = middle if n.flag("center_crop") else offset[k]
        y = n.part(y, axis, start, size[k])
    return y


def _split(n: MxContext) -> Sequence[str]:
    axis, count = n.axis("axis", 1), n.integer("num_outputs")
    return _parts(n, axis, _even(n, axis, count), n.flag("squeeze_axis"))


def _even(n: MxContext, axis: int, count: int) -> list[int]:
    size = n.shape[axis]
    if count < 1 or size % count:
        n.error(f"axis {axis} of {n.type(0)} does not divide into {count} parts.")
    return [size // count * k for k in range(count)]


def _split_v2(n: MxContext) -> Sequence[str]:
    axis, sections = n.axis("axis", 0), n.integer("sections", 0)
    starts = _even(n, axis, sections) if sections else list(n.integers("indices", ()))
    return _parts(n, axis, starts, n.flag("squeeze_axis"))


def _parts(n: MxContext, axis: int, starts: Sequence[int], squeeze: bool) -> list[str]:
    ends, made = [*starts[1:], n.shape[axis]], []
    for begin, end in list(zip(starts, ends))[: n.n_outputs]:
        y = n.part(n.x, axis, begin, end - begin)
        shape = n.typeof(y).shape
        made.append(n.reshape(y, shape[:axis] + shape[axis + 1 :]) if squeeze else y)
    return made


# --- joins ------------------------------------------------------------------------------------


def _concat(n: MxContext) -> str:
    return n.add("concat", n.inputs, axis=n.axis("dim", 1))


def _rnn_param_concat(n: MxContext) -> str:
    return n.add("concat", n.inputs, axis=n.axis("dim", 0))


def _stack(n: MxContext) -> str:
    axis = n.axis("axis", 0, ndim=len(n.shape) + 1)
    shape = (*n.shape[:axis], 1, *n.shape[axis:])
    return n.add("concat", [n.reshape(i, shape) for i in n.inputs], axis=axis)


def _tile(n: MxContext) -> str:
    reps, shape = n.integers("reps"), n.shape
    count = max(len(reps), len(shape))
    shape = (*(1,) * (count - len(shape)), *shape)
    reps = (*(1,) * (count - len(reps)), *reps)
    return n.add("tile", [n.reshape(n.x, shape)], repeats=reps)


def _repeat(n: MxContext) -> str:
    times, x = n.integer("repeats"), n.x
    if not n.has("axis"):
        x = n.reshape(x, (math.prod(n.shape),))
    axis = n.placed(n.integer("axis", 0), len(n.typeof(x).shape))
    shape = n.typeof(x).shape
    wide = n.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    wide = n.add("expand", [wide], shape=(*shape[: axis + 1], times, *shape[axis + 1 :]))
    return n.reshape(wide, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def _pad(n: MxContext) -> str:
    mode, width = n.text("mode"), n.integers("pad_width")
    if mode not in ("constant", "edge", "reflect") or len(width) != 2 * len(n.shape):
        n.error(f"the mode is {mode!r}, and the widths are {width}.")
    pads = (*width[::2], *width[1::2])
    return n.add("pad", [n.x], pads=pads, mode=mode, value=n.number("constant_value", 0.0))


def _reverse(n: MxContext) -> str:
    axes, shape = {n.placed(a) for a in n.integers("axis")}, n.shape
    return n.add(
        "slice",
        [n.x],
        starts=tuple(d - 1 if k in axes else 0 for k, d in enumerate(shape)),
        steps=tuple(-1 if k in axes else 1 for k in range(len(shape))),
        shape=shape,
    )


def _depth_to_space(n: MxContext) -> str:
    return n.add("depth_to_space", [n.x], block=n.integer("block_size"))


def _space_to_depth(n: MxContext) -> str:
    return n.add("space_to_depth", [n.x], block=n.integer("block_size"))


# --- by indices -------------------------------------------------------------------------------


def _index(n: MxContext, tensor: str, size: int, mode: str) -> str:
    """Indices, which MXNet keeps as floats, too, as int32 in [0, size)."""
    if mode not in ("clip", "wrap", "raise"):
        n.error(f"there is no mode {mode!r}.")
    index = n.cast(tensor, "int32")
    if mode == "wrap":
        return n.add("mod", [index, n.constant(np.int32(max(size, 1)))])
    return n.add("clip", [index], min=0, max=max(size - 1, 0))


def _take(n: MxContext) -> str:
    axis = n.axis("axis", 0)
    index = _index(n, n.inputs[1], n.shape[axis], n.text("mode", "clip"))
    return n.add("gather", [n.x, index], axis=axis)


def _pick(n: MxContext) -> str:
    """An element of each row along ``axis``, as the second input says."""
    if not n.has("axis") and "axis" in n.node.attrs:
        n.unsupported("pick of the flattened data")
    axis, shape = n.axis("axis", -1), n.shape
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    index = _index(n, n.inputs[1], shape[axis], n.text("mode", "clip"))
    y = n.add("gather_elements", [n.x, n.reshape(index, one)], axis=axis)
    return y if n.flag("keepdims") else n.reshape(y, shape[:axis] + shape[axis + 1 :])


def _batch_take(n: MxContext) -> str:
    index = _index(n, n.inputs[1], n.shape[1], "clip")
    index = n.reshape(index, (n.shape[0], 1))
    return n.reshape(n.add("gather_elements", [n.x, index], axis=1), (n.shape[0],))


def _gather_nd(n: MxContext) -> str:
    """Coordinates are the first axis of the indices."""
    index = n.cast(n.inputs[1], "int32")
    ndim = len(n.typeof(index).shape)
    index = n.add("transpose", [index], perm=(*range(1, ndim), 0))
    return n.add("gather_nd", [n.x, index])


def _scatter_nd(n: MxContext) -> str:
    """Updates, and coordinates as the first axis of the indices; zeros elsewhere."""
    index = n.cast(n.inputs[1], "int32")
    ndim = len(n.typeof(index).shape)
    index = n.add("transpose", [index], perm=(*range(1, ndim), 0))
    empty = _filled(n, n.integers("shape"), 0.0, str(n.typed().dtype))
    return n.add("scatter_nd", [empty, index, n.x])


def _one_hot(n: MxContext) -> str:
    depth, to = n.integer("depth"), n.text("dtype", "float32")
    if not 0 <= depth <= 1 << 24:
        n.error(f"the depth is {depth}.")
    index = n.reshape(n.cast(n.x, "int32"), (*n.shape, 1))
    hit = n.add("equal", [index, n.constant(np.arange(depth, dtype=np.int32))])
    on, off = n.number("on_value", 1.0), n.number("off_value", 0.0)
    made = [n.cast(n.constant(np.float32(v)), to) for v in (on, off)]
    return n.add("where", [hit, *made])


# --- constants --------------------------------------------------------------------------------


def _filled(n: MxContext, shape: Sequence[int], value: float, dtype: str) -> str:
    """``value`` everywhere; a constant where that is small."""
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        n.error(f"the shape {tuple(shape)} cannot be made.")
    scalar = n.cast(n.constant(np.float64(value)), dtype)
    return n.add("expand", [scalar], shape=tuple(shape))


def _created(value: float | None) -> Converter:
    def convert(n: MxContext) -> str:
        given = n.number("value", 0.0) if value is None else value
        return _filled(n, n.integers("shape", ()), given, n.text("dtype", "float32"))

    return convert


def _alike(value: float) -> Converter:
    return lambda n: _filled(n, n.shape, value, str(n.typed().dtype))


def _arange(n: MxContext) -> str:
    start, stop, step = n.number("start", 0.0), n.number("stop", None), n.number("step", 1.0)
    if stop is None:
        start, stop = 0.0, start
    count = math.ceil((stop - start) / step) if step else 0
    return _counted(n, start, step, max(count, 0), n.text("dtype", "float32"))


def _counted(n: MxContext, start: float, step: float, count: int, to: str) -> str:
    times = n.integer("repeat", 1)
    if not 0 <= count * times <= 1 << 26 or times < 1:
        n.error(f"a row of {count} numbers, {times} times each.")
    values = np.repeat(start + step * np.arange(count, dtype=np.float64), times)
    return n.cast(n.constant(values), to)


def _arange_like(n: MxContext) -> str:
    axis = n.integer("axis", None)
    count = math.prod(n.shape) if axis is None else n.shape[n.placed(axis)]
    start, step, times = n.number("start", 0.0), n.number("step", 1.0), n.integer("repeat", 1)
    y = _counted(n, start, step, -(-count // max(times, 1)), str(n.typed().dtype))
    y = n.part(y, 0, 0, count)
    return n.reshape(y, n.shape) if axis is None else y


def _shape_array(n: MxContext) -> str:
    return n.constant(np.array(n.shape, np.int64))


def _size_array(n: MxContext) -> str:
    return n.constant(np.array([math.prod(n.shape)], np.int64))


def _eye(n: MxContext) -> str:
    rows, columns, k = n.integer("N"), n.integer("M", 0), n.integer("k", 0)
    columns = columns or rows
    if min(rows, columns) < 0 or rows * columns > 1 << 26:
        n.error(f"a matrix of {rows} × {columns}.")
    k = max(-rows, min(k, columns))
    return n.cast(n.constant(np.eye(rows, columns, k, np.float32)), n.text("dtype", "float32"))


CONVERTERS: Table = {
    **named(_concat, "Concat", "concat"),
    **named(_crop, "Crop"),
    **named(_flatten, "Flatten", "flatten"),
    **named(_pad, "Pad", "pad"),
    **named(_reshape, "Reshape", "reshape"),
    **named(_split, "SliceChannel", "split"),
    **named(_swap_axes, "SwapAxis", "swapaxes"),
    **named(_arange_like, "_contrib_arange_like"),
    **named(_broadcast_axis, "broadcast_axis", "broadcast_axes"),
    **named(_reverse, "flip", "reverse"),
    **named(_slice, "slice", "crop"),
    **named(_created(0.0), "_zeros", "zeros", "_zeros_without_dtype"),
    **named(_created(1.0), "_ones", "ones"),
    **named(_created(None), "_full", "full"),
    "_arange": _arange,
    "_eye": _eye,
    "_rnn_param_concat": _rnn_param_concat,
    "_split_v2": _split_v2,
    "batch_take": _batch_take,
    "broadcast_like": _broadcast_like,
    "broadcast_to": _broadcast_to,
    "depth_to_space": _depth_to_space,
    "expand_dims": _expand_dims,
    "gather_nd": _gather_nd,
    "one_hot": _one_hot,
    "ones_like": _alike(1.0),
    **named(_pick, "choose_element_0index", "pick"),
    "repeat": _repeat,
    "reshape_like": _reshape_like,
    "scatter_nd": _scatter_nd,
    "shape_array": _shape_array,
    "size_array": _size_array,
    "slice_axis": _slice_axis,
    "slice_like": _slice_like,
    "space_to_depth": _space_to_depth,
    "squeeze": _squeeze,
    "stack": _stack,
    "take": _take,
    "tile": _tile,
    "transpose": _transpose,
    "zeros_like": _alike(0.0),
}
