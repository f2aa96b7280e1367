"""Shapes and the movement of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import dtype_of
from ..sized import arguments
from ..sized.arguments import Number, known
from ..sized.moves import reshaped
from ..sized.sizing import Extent
from .context import Converter, NodeContext
from .ops_conv import required
from .tensors import onnx_dtype

MAX_MADE = 1 << 24  # elements of a constant that a node may ask for out of nothing


def _values(n: NodeContext, i: int) -> list[int] | None:
    """The integers of an input that must be known at compile time; None when it is absent."""
    value = n.const(i)
    return None if value is None else [int(v) for v in value.reshape(-1)]


def axis_of(n: NodeContext, axis: int, ndim: int) -> int:
    """``axis`` counted from the front."""
    if not -ndim <= axis < ndim:
        n.error(f"the axis {axis} is out of range for {ndim} axes.")
    return axis % ndim


def _axes_of(n: NodeContext, axes: Sequence[int], ndim: int) -> list[int]:
    found = [axis_of(n, int(a), ndim) for a in axes]
    if len(set(found)) != len(found):
        n.error(f"the axes {list(axes)} name one axis twice.")
    return found


def _moved(n: NodeContext, name: str, i: int, since: int) -> list[int] | None:
    """Integers that were the attribute ``name`` before opset ``since`` and are input ``i`` now."""
    if n.opset >= since:
        return _values(n, i)
    given = n.attr(name, None)
    return None if given is None else [int(v) for v in given]


# --- reshape and its special cases ------------------------------------------------------------


def _bounded(n: NodeContext, i: int, unbounded: int = 0) -> list[Number]:
    """The integers of an input that are sizes. Raises :class:`ModelError` where more than
    ``unbounded`` of them have neither a value nor a bound, which the caller may know."""
    found = n.numbers(i)
    if found is None:
        n.error(f"its input {i} is absent.")
    if sum(e.range[1] == math.inf for e in found) > unbounded:
        n.unbounded(i)
    return found


def _reshape(n: NodeContext) -> str:
    x = required(n, 0)
    if n.is_open(0) or not n.is_const(1):
        # What has no bound is what the others leave over, as -1 is.
        left = known(-1)
        shape = [left if e.range[1] == math.inf else e for e in _bounded(n, 1, unbounded=1)]
        if sum(e.value == -1 for e in shape) > 1:
            n.const(1)
            n.error("it leaves more than one extent open.")
        return arguments.reshape(n.sizing, n.inputs[0], shape, not n.attr("allowzero", 0))
    shape = _values(n, 1)
    if shape is None:
        n.error("the shape is absent.")
    if not n.attr("allowzero", 0):
        for k, d in enumerate(shape):
            if d == 0:
                if k >= len(x.shape):
                    n.error(f"extent {k} of {shape} copies an axis that {x} does not have.")
                shape[k] = x.shape[k]
    free = [k for k, d in enumerate(shape) if d == -1]
    if len(free) > 1:
        n.error(f"{shape} leaves more than one extent open.")
    if free:
        rest = math.prod(d for d in shape if d != -1)
        if rest == 0 or x.size % rest:
            n.error(f"{x} with {x.size} elements cannot become {shape}.")
        shape[free[0]] = x.size // rest
    return n.add("reshape", n.inputs[:1], shape=tuple(shape))


def _closed(n: NodeContext, axes: Sequence[int]) -> None:
    """Refuses what needs to know how long axes of the first input are."""
    found = [k for k in axes if k in n.sizing.sizes(n.inputs[0])]
    if found:
        n.unsupported(f"only data knows the size of axis {found[0]}")


def _flatten(n: NodeContext) -> str:
    x, axis = required(n, 0), n.attr("axis", 1)
    if not -len(x.shape) <= axis <= len(x.shape):
        n.error(f"the axis {axis} is out of range for {x}.")
    axis = axis + len(x.shape) if axis < 0 else axis
    if n.is_open(0):
        s, extents = n.sizing, n.sizing.extents(n.inputs[0])
        return reshaped(s, n.inputs[0], [s.product(extents[:axis]), s.product(extents[axis:])])
    shape = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    return n.add("reshape", n.inputs[:1], shape=shape)


def _squeeze(n: NodeContext) -> str:
    x, axes = required(n, 0), _moved(n, "axes", 1, 13)
    if axes is None:
        _closed(n, range(len(x.shape)))
        drop = [k for k, d in enumerate(x.shape) if d == 1]
    else:
        drop = _axes_of(n, axes, len(x.shape))
    for k in drop:
        if x.shape[k] != 1:
            n.error(f"axis {k} of {x} is not 1 and cannot be dropped.")
    if n.is_open(0):
        _closed(n, drop)
        return reshaped(n.sizing, n.inputs[0], [
            e for k, e in enumerate(n.sizing.extents(n.inputs[0])) if k not in drop
        ])  # fmt: skip
    shape = tuple(d for k, d in enumerate(x.shape) if k not in drop)
    return n.add("reshape", n.inputs[:1], shape=shape)


def _unsqueeze(n: NodeContext) -> str:
    x, axes = required(n, 0), _moved(n, "axes", 1, 13)
    if axes is None:
        n.error("the axes are absent.")
    ndim = len(x.shape) + len(axes)
    new = _axes_of(n, axes, ndim)
    if n.is_open(0):
        extents = iter(n.sizing.extents(n.inputs[0]))
        target = [Extent(1) if k in new else next(extents) for k in range(ndim)]
        return reshaped(n.sizing, n.inputs[0], target)
    rest = iter(x.shape)
    return n.add(
        "reshape", n.inputs[:1], shape=tuple(1 if k in new else next(rest) for k in range(ndim))
    )


# --- movement ---------------------------------------------------------------------------------


def _transpose(n: NodeContext) -> str:
    ndim = len(required(n, 0).shape)
    perm = n.attr("perm", None)
    return n.add("transpose", n.inputs[:1], perm=tuple(perm or reversed(range(ndim))))


def _concat(n: NodeContext) -> str:
    axis = axis_of(n, n.attr("axis", 1), len(required(n, 0).shape))
    return n.add("concat", n.inputs, axis=axis)


def cut(n: NodeContext, name: str, axis: int, start: int, count: int) -> str:
    """``count`` elements of a tensor from ``start`` along ``axis``."""
    shape = n.typeof(name).shape
    if count == shape[axis]:
        return name
    return n.add(
        "slice",
        [name],
        starts=tuple(start if k == axis else 0 for k in range(len(shape))),
        shape=tuple(count if k == axis else d for k, d in enumerate(shape)),
    )


def _split(n: NodeContext) -> Sequence[str]:
    x = required(n, 0)
    axis = axis_of(n, n.attr("axis", 0), len(x.shape))
    _closed(n, [axis])
    sizes, total = _moved(n, "split", 1, 13), x.shape[axis]
    if sizes is None:
        count = n.attr("num_outputs", n.n_outputs)
        if count != n.n_outputs:
            n.error(f"num_outputs is {count}, but there are {n.n_outputs} outputs.")
        each = -(-total // count)
        sizes = [max(min(each, total - k * each), 0) for k in range(count)]
    if sum(sizes) != total or min(sizes, default=0) < 0 or len(sizes) < n.n_outputs:
        n.error(f"parts of {sizes} for {n.n_outputs} outputs do not make up {total}.")
    starts = np.cumsum([0, *sizes])
    return [cut(n, n.inputs[0], axis, int(b), c) for b, c in zip(starts, sizes)]


def _slice_computed(n: NodeContext) -> str:
    """With a begin or an end that data compute, or along an axis of a size that they decide."""
    x = required(n, 0)
    starts, ends = n.numbers(1), n.numbers(2)
    axes, steps = _values(n, 3), _values(n, 4)
    assert starts is not None and ends is not None
    axes = _axes_of(n, range(len(starts)) if axes is None else axes, len(x.shape))
    steps = [1] * len(starts) if steps is None else steps
    if not len(axes) == len(steps) == len(starts) == len(ends) or 0 in steps:
        n.error(f"{len(starts)} starts go with the axes {axes} and the steps {steps}.")
    result = n.inputs[0]
    for axis, begin, end, step in zip(axes, starts, ends, steps):
        result = arguments.cut(n.sizing, result, axis, begin, end, step)
    return result


def _taken(begin: int, end: int, step: int, extent: int) -> range:
    """The places of a slice. It differs from Python's where it goes backwards from before the
    first place: ONNX begins at that one."""
    if step > 0:
        return range(*slice(begin, end, step).indices(extent))
    begin, end = (k + extent if k < 0 else k for k in (begin, end))
    return range(min(max(begin, 0), extent - 1), min(max(end, -1), extent - 1), step)


def _slice(n: NodeContext) -> str:
    x = required(n, 0)
    if n.opset >= 10 and (n.is_open(0) or not (n.is_const(1) and n.is_const(2))):
        return _slice_computed(n)
    if n.opset >= 10:
        starts, ends, axes, steps = (_values(n, k) for k in (1, 2, 3, 4))
    else:
        starts, ends, axes = (_moved(n, k, 0, 99) for k in ("starts", "ends", "axes"))
        steps = None
    if starts is None or ends is None or len(starts) != len(ends):
        n.error(f"starts {starts} and ends {ends} are not one for each axis.")
    axes = _axes_of(n, range(len(starts)) if axes is None else axes, len(x.shape))
    steps = [1] * len(starts) if steps is None else steps
    if not len(axes) == len(steps) == len(starts) or 0 in steps:
        n.error(f"{len(starts)} starts go with the axes {axes} and the steps {steps}.")
    first, step, shape = [0] * len(x.shape), [1] * len(x.shape), list(x.shape)
    for a, b, e, s in zip(axes, starts, ends, steps):
        taken = _taken(b, e, s, x.shape[a])
        first[a], step[a], shape[a] = taken.start if taken else 0, s, len(taken)
    return n.add("slice", n.inputs[:1], starts=tuple(first), steps=tuple(step), shape=tuple(shape))


def _pad(n: NodeContext) -> str:
    x = required(n, 0)
    ndim = len(x.shape)
    pads = _moved(n, "pads", 1, 11)
    axes = _values(n, 3) if n.opset >= 18 else None
    axes = list(range(ndim)) if axes is None else _axes_of(n, axes, ndim)
    if pads is None or len(pads) != 2 * len(axes):
        n.error(f"pads are {pads}; the axes {axes} need {2 * len(axes)}.")
    full = [0] * (2 * ndim)
    for k, a in enumerate(axes):
        full[a], full[ndim + a] = pads[k], pads[len(axes) + k]
    mode = n.attr("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        n.unsupported(f"the mode is {mode!r}")
    inputs, value = n.inputs[:1], 0
    if n.opset < 11:
        value = n.attr("value", 0.0)
    elif mode == "constant" and n.input(2):
        if n.is_const(2):
            given = n.const(2)
            assert given is not None
            value = given.reshape(-1)[0].item()
        else:
            inputs = [*inputs, n.add("reshape", [n.inputs[2]], shape=())]
    return n.add("pad", inputs, pads=tuple(full), mode=mode, value=value)


def _expand(n: NodeContext) -> str:
    x = required(n, 0)
    if n.is_open(0) or not n.is_const(1):
        target = [arguments.extent(n.sizing, e) for e in _bounded(n, 1)]
        return arguments.broadcast(n.sizing, n.inputs[0], target)
    shape = _values(n, 1)
    if shape is None:
        n.error("the shape is absent.")
    shape = list(np.broadcast_shapes(x.shape, tuple(shape)))
    return n.add("expand", n.inputs[:1], shape=tuple(int(d) for d in shape))


def _tile(n: NodeContext) -> str:
    if not n.is_const(1):
        return arguments.tile(n.sizing, n.inputs[0], _bounded(n, 1))
    repeats = _values(n, 1)
    if repeats is None:
        n.error("the repeats are absent.")
    return n.add("tile", n.inputs[:1], repeats=tuple(repeats))


def _center_crop_pad(n: NodeContext) -> str:
    x, wanted = required(n, 0), _values(n, 1)
    axes = n.attr("axes", None)
    axes = list(range(len(x.shape))) if axes is None else _axes_of(n, axes, len(x.shape))
    if wanted is None or len(wanted) != len(axes):
        n.error(f"the shape is {wanted}; the axes {axes} need {len(axes)} extents.")
    ndim = len(x.shape)
    starts, shape = [0] * ndim, list(x.shape)
    pads = [0] * (2 * ndim)
    for a, w in zip(axes, wanted):
        more = w - x.shape[a]
        if more < 0:
            starts[a], shape[a] = -more // 2, w
        pads[a], pads[ndim + a] = max(more, 0) // 2, max(more, 0) - max(more, 0) // 2
    cropped = n.add("slice", n.inputs[:1], starts=tuple(starts), shape=tuple(shape))
    return n.add("pad", [cropped], pads=tuple(pads))


def _depth_space(op: str) -> Converter:
    def convert(n: NodeContext) -> str:
        mode = n.attr("mode", "DCR")
        if mode not in ("DCR", "CRD"):
            n.unsupported(f"the mode is {mode!r}")
        return n.add(op, n.inputs[:1], block=n.attr("blocksize"), depth_first=mode == "DCR")

    return convert


# --- constants --------------------------------------------------------------------------------


def _shape(n: NodeContext) -> str:
    shape, part = required(n, 0).shape, slice(n.attr("start", 0), n.attr("end", None))
    if not n.is_open(0):
        return n.constant(np.array(shape[part], np.int64))
    s = n.sizing
    lined = [s.add("reshape", [s.number(e)], shape=(1,)) for e in s.extents(n.inputs[0])[part]]
    return s.add("concat", lined, axis=0) if lined else n.constant(np.zeros(0, np.int64))


def _size(n: NodeContext) -> str:
    s = n.sizing
    required(n, 0)
    return s.number(s.product(s.extents(n.inputs[0])))


def _made(n: NodeContext, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that the model asks for, if it is one and not absurdly large."""
    if min(shape, default=0) < 0:
        n.error(f"the shape {list(shape)} has a negative extent.")
    if math.prod(shape) > MAX_MADE:
        n.unsupported(f"a constant of the shape {list(shape)} is larger than {MAX_MADE} elements")
    return tuple(int(d) for d in shape)


def _constant_of_shape(n: NodeContext) -> str:
    value = np.asarray(n.attr("value", np.zeros(1, np.float32)))
    if value.size != 1:
        n.error(f"its value has {value.size} elements, not one.")
    if not n.is_const(0):
        scalar, made = n.constant(value.reshape(())), _bounded(n, 0)
        return arguments.broadcast(n.sizing, scalar, [arguments.extent(n.sizing, e) for e in made])
    shape = _values(n, 0)
    if min(shape or [], default=0) < 0:
        n.error(f"the shape {shape} has a negative extent.")
    # Broadcasting folds to a constant where that is small, and stays a node where it is not.
    scalar = n.constant(value.reshape(()))
    made = n.add("expand", [scalar], shape=tuple(shape or []))
    return n.hold(made, n.attr_narrow("value") if n.has_attr("value") else None)


def _eye_like(n: NodeContext) -> str:
    x = required(n, 0)
    if len(x.shape) != 2:
        n.error(f"it takes a matrix, not {x}.")
    code = n.attr("dtype", None)
    dtype = x.dtype if code is None else onnx_dtype(code, n.where)
    rows, columns = _made(n, x.shape)
    offset = max(min(n.attr("k", 0), columns), -rows)
    return n.constant(np.eye(rows, columns, offset).astype(dtype.numpy))


def _range_computed(n: NodeContext) -> str:
    """With a begin or an end that data compute."""
    start, limit, delta = ((n.numbers(k) or [None])[0] for k in range(3))
    t = required(n, 0)
    if start is None or limit is None or delta is None:
        n.error("it takes three scalars.")
    if delta.value == 0:
        n.error("its step is 0.")
    backward = delta.value is not None and delta.value < 0
    room = (start.range[1] - limit.range[0]) if backward else (limit.range[1] - start.range[0])
    if delta.value is None or math.isinf(room) or not t.dtype.is_int:
        for k in range(3):
            n.const(k)  # raises for one of them, and says what to bind
    assert delta.value is not None
    return arguments.arange(n.sizing, start, limit, delta.value, str(t.dtype))


def _range(n: NodeContext) -> str:
    if not all(n.is_const(k) for k in range(3)):
        return _range_computed(n)
    parts = [n.const(k) for k in range(3)]
    if any(p is None or p.size != 1 for p in parts):
        n.error("it takes three scalars.")
    start, limit, delta = (p.reshape(-1)[0] for p in parts if p is not None)
    if delta == 0:
        n.error("its step is 0.")
    d = dtype_of(start.dtype)
    if d.is_float:
        steps = (float(limit) - float(start)) / float(delta)
        count = max(math.ceil(steps), 0) if math.isfinite(steps) else MAX_MADE + 1
    else:
        count = max(-(-(int(limit) - int(start)) // int(delta)), 0)
    (count,) = _made(n, [count])
    wide = np.float64 if d.is_float else np.int64
    values = wide(start) + np.arange(count, dtype=wide) * wide(delta)
    return n.constant(values.astype(d.numpy))


CONVERTERS: dict[str, Converter] = {
    "CenterCropPad": _center_crop_pad,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_space("depth_to_space"),
    "Expand": _expand,
    "EyeLike": _eye_like,
    "Flatten": _flatten,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _depth_space("space_to_depth"),
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
