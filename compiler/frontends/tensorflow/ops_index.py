"""Reading and writing by index tensors; results whose size only data knows; images resized."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import FLOAT32, INT32, INT64
from ..blocks import resize_bilinear, resize_nearest
from ..sized import arguments
from ..sized.compaction import chosen, coordinates
from .context import Converter, TFContext
from .ops_shape import MAX_MADE, cut, sizes_of


def _gather(n: TFContext) -> str:
    x, at = n.inputs[:2]
    axis = n.axis(int(n.number(2)), len(n.shape(0))) if n.input(2) else 0
    batch = n.integer("batch_dims", 0)
    batch = batch + len(n.shape(1)) if batch < 0 else batch
    if not batch:
        return n.add("gather", [x, at], axis=axis, wrap=False)
    shape, places = n.shape(0), n.shape(1)
    if axis < batch or shape[:batch] != places[:batch]:
        n.error(f"{n.type(0)} and {n.type(1)} do not share {batch} axes.")
    if axis != batch:  # the axis to read along comes first behind those that are shared
        perm = (*range(batch), axis, *(k for k in range(batch, len(shape)) if k != axis))
        x = n.add("transpose", [x], perm=perm)
    at = n.add("reshape", [at], shape=(*places, 1))
    y = n.add("gather_nd", [x, at], batch_dims=batch, wrap=False)
    if axis != batch:
        between, inner = axis - batch, len(places) - batch
        order = (
            *range(batch), *range(batch + inner, batch + inner + between),
            *range(batch, batch + inner), *range(batch + inner + between, len(n.typeof(y).shape)),
        )  # fmt: skip
        y = n.add("transpose", [y], perm=order)
    return y


def _gather_nd(n: TFContext) -> str:
    x, at = n.inputs[:2]
    return n.add("gather_nd", [x, at], batch_dims=n.integer("batch_dims", 0), wrap=False)


def _blank(n: TFContext, i: int, value: str) -> str:
    """A scalar at every place of the shape that input ``i`` has."""
    target = [arguments.extent(n.sizing, e) for e in sizes_of(n, i)]
    known = n.ints(i) if n.is_const(i) else [e.bound for e in target]
    if min(known, default=0) < 0 or math.prod(known) > MAX_MADE:
        n.error(f"the result has the shape {known}.")
    return arguments.broadcast(n.sizing, value, target)


def _scatter_nd(n: TFContext) -> str:
    """Updates at indices of zeros; those at one place are added."""
    at, updates = n.inputs[:2]
    blank = _blank(n, 2, n.like(0, updates))
    return n.add("scatter_nd", [blank, at, updates], reduction="add", wrap=False)


def _tensor_scatter(reduction: str) -> Converter:
    return lambda n: n.add("scatter_nd", n.inputs[:3], reduction=reduction, wrap=False)


def _sparse_to_dense(n: TFContext) -> str:
    """Indices (a number, a line, or rows of coordinates), shape, values, what is elsewhere."""
    at, values = n.inputs[0], n.inputs[2]
    rest = n.inputs[3] if n.input(3) else n.like(0, values)
    blank = _blank(n, 1, n.add("reshape", [rest], shape=()))
    rank = len(n.shape(0))
    if rank < 2:
        at = n.add("reshape", [at], shape=(n.tensor_type(0).size, 1)) if not n.is_open(0) else (
            _column(n, at)
        )  # fmt: skip
    count = n.typeof(at).shape[0]
    if not n.shape(2):
        if at in n.sizing.emitter.sizes:
            n.unsupported("one value at as many places as only data knows")
        values = n.add("expand", [values], shape=(count,))
    return n.add("scatter_nd", [blank, at, values], wrap=False)


def _column(n: TFContext, x: str) -> str:
    s = n.sizing
    made = s.add("reshape", [x], shape=(*s.shape(x), 1))
    return s.declare(made, dict(s.sizes(x)))


def _one_hot(n: TFContext) -> str:
    depth = int(n.number(1))
    axis = n.axis(n.integer("axis", -1), len(n.shape(0)) + 1)
    on, off = (n.add("reshape", [n.inputs[k]], shape=(1,)) for k in (2, 3))
    values = n.add("concat", [off, on], axis=0)
    # An index below 0 is nowhere on, and does not count from the end.
    at = n.inputs[0]
    if n.typeof(at).dtype.kind == "int":
        at = n.add("where", [n.add("less", [at, n.like(0, at)]), n.like(depth, at), at])
    return n.add("one_hot", [at, values], axis=axis, depth=depth)


def _where(n: TFContext) -> str:
    """The coordinates of what is not zero, a row each."""
    s = n.sizing
    lines, size = coordinates(s, n.inputs[0])
    if not lines:
        n.unsupported("the places of a scalar")
    columns = [s.add("reshape", [line], shape=(*s.shape(line), 1)) for line in lines]
    made = s.add("concat", columns, axis=1) if len(columns) > 1 else columns[0]
    most = max(max(n.shape(0)) - 1, 0)
    s.emitter.values.stated[made] = (0, most)
    return n.sized(made, {0: s.number(size)})


def _dynamic_partition(n: TFContext) -> Sequence[str]:
    """The slices of each partition, of which data know how many there are."""
    if n.shape(1) != n.shape(0)[:1]:
        n.unsupported(f"partitions {n.type(1)}")
    made = []
    for k in range(n.integer("num_partitions")):
        mask = n.add("equal", [n.inputs[1], n.like(k, n.inputs[1])])
        places, _ = chosen(n.sizing, mask)
        made.append(n.add("gather", [n.inputs[0], places], axis=0, wrap=False))
    return made


def _dynamic_stitch(n: TFContext) -> str:
    """Slices at places that are known; of those at one place the last counts."""
    half = len(n) // 2
    places = [n.array(k).reshape(-1) for k in range(half)]
    at = np.concatenate(places).astype(np.int64)
    count = int(at.max(initial=-1)) + 1
    if count > MAX_MADE or at.min(initial=0) < 0:
        n.error(f"it makes {count} slices.")
    parts = []
    for k in range(half):
        rest = n.shape(half + k)[len(n.shape(k)) :]
        parts.append(n.add("reshape", [n.inputs[half + k]], shape=(len(places[k]), *rest)))
    whole = n.add("concat", parts, axis=0) if len(parts) > 1 else parts[0]
    source = np.zeros(count, np.int64)
    source[at] = np.arange(len(at))
    if len(np.unique(at)) != count:
        n.unsupported("places that nothing is written to")
    return n.add("gather", [whole, n.constant(source)], axis=0, wrap=False)


# --- segments -------------------------------------------------------------------------------------

_SEGMENTS = {"Sum": "add", "Prod": "mul", "Max": "max", "Min": "min"}
_STARTS = {"add": 0, "mul": 1}


def _segments(kind: str, counted: bool) -> Converter:
    """Slices with one number reduced together; ``counted``: how many numbers there are is said,
    else it is the last one's."""

    def convert(n: TFContext) -> str:
        x, ids = n.inputs[:2]
        shape, rank = n.shape(0), len(n.shape(1))
        if counted:
            count = int(n.number(2))
        elif n.is_const(1):
            count = int(n.array(1).max(initial=-1)) + 1
        else:
            n.unsupported("as many segments as only data knows")
        if not 0 <= count <= MAX_MADE:
            n.error(f"{count} segments.")
        rest = shape[rank:]
        flat = n.add("reshape", [x], shape=(math.prod(shape[:rank]), *rest)) if rank != 1 else x
        at = n.add("reshape", [ids], shape=(n.tensor_type(1).size, 1))
        at = n.as_type(at, INT64)
        # Numbers below 0 are dropped: they go to a row behind the others.
        at = n.add("where", [n.add("less", [at, n.like(0, at)]), n.like(count, at), at])
        how = "add" if kind == "Mean" else _SEGMENTS[kind]
        dtype = n.typeof(x).dtype
        if how in _STARTS:
            start = _STARTS[how]
        elif dtype.is_float:  # of nothing TensorFlow makes the type's least or greatest number
            start = np.finfo(dtype.numpy).min if how == "max" else np.finfo(dtype.numpy).max
        else:
            start = dtype.min if how == "max" else dtype.max
        blank = n.add("expand", [n.like(start, x)], shape=(count + 1, *rest))
        y = n.add("scatter_nd", [blank, at, flat], reduction=how, wrap=False)
        y = cut(n, y, 0, 0, count)
        if kind in ("Max", "Min") and not counted:
            some = np.isin(np.arange(count), n.array(1)).reshape(count, *(1,) * len(rest))
            y = n.add("where", [n.constant(some), y, n.like(0, y)])
        if kind != "Mean":
            return y
        ones = n.add("expand", [n.like(1, x)], shape=(n.tensor_type(1).size,))
        none = n.add("expand", [n.like(0, x)], shape=(count + 1,))
        often = n.add("scatter_nd", [none, at, ones], reduction="add", wrap=False)
        often = n.add("maximum", [cut(n, often, 0, 0, count), n.like(1, x)])
        often = n.add("reshape", [often], shape=(count, *(1,) * len(rest)))
        return n.add("div", [y, often])

    return convert


# --- boxes ----------------------------------------------------------------------------------------


def _suppressed(n: TFContext, sigma: int = 0) -> tuple[str, str, str]:
    """Of boxes [box, 4] and scores [box]: rows of what is chosen, how many, their scores, up to
    their bound."""
    boxes, scores = n.shape(0), n.shape(1)
    if len(boxes) != 2 or boxes[1] != 4 or scores != boxes[:1]:
        n.error(f"boxes {n.type(0)} and scores {n.type(1)} do not fit.")
    most = n.numbers(2)
    if most is None or len(most) != 1:
        n.error("how many boxes at most is not one number.")
    s = n.sizing
    size = s.sizes(n.inputs[0]).get(0) or s.sizes(n.inputs[1]).get(0)
    three = [s.add("reshape", [n.inputs[0]], shape=(1, *boxes)),
             s.add("reshape", [n.inputs[1]], shape=(1, 1, *scores))]  # fmt: skip
    limit = int(min(max(most[0].range[1], 0), boxes[0]))
    count = n.as_type(n.inputs[2], INT64)
    overlap = n.inputs[3] if n.input(3) else n.constant(
        np.array(n.real("iou_threshold", 0.5), np.float32)
    )  # fmt: skip
    overlap = n.as_type(overlap, FLOAT32)
    given = [*three, count, overlap, n.as_type(n.inputs[4], FLOAT32) if n.input(4) else ""]
    if sigma and n.input(sigma):
        width = n.as_type(n.inputs[sigma], FLOAT32)
        given.append(width if n.value_of(width) is None or n.number(sigma) > 0 else "")
    else:
        given.append("")
    given.append(size or "")
    while not given[-1]:
        given.pop()
    rows, number, values = s.add_many("non_max_suppression", given, limit=limit)
    places = s.add("slice", [rows], starts=(0, 2), shape=(limit, 1))
    places = s.add("cast", [s.add("reshape", [places], shape=(limit,))], to="int32")
    s.emitter.values.stated[places] = (0, max(boxes[0] - 1, 0))
    return places, number, values


def _suppress(n: TFContext) -> str:
    places, count, _ = _suppressed(n)
    return n.sized(places, {0: count})


def _padded(n: TFContext, x: str, count: str) -> str:
    """Zeros behind the first ``count``, as many as are asked for."""
    s, most = n.sizing, int(n.number(2))
    have = s.shape(x)[0]
    nth = s.constant(range(have))
    x = s.add("where", [s.add("less", [nth, count]), x, n.like(0, x)])
    return s.add("pad", [x], pads=(0, most - have)) if most > have else x


def _suppress_4(n: TFContext) -> Sequence[str]:
    places, count, _ = _suppressed(n)
    number = n.as_type(count, INT32)
    if n.flag("pad_to_max_output_size"):
        return [_padded(n, places, count), number]
    return [n.sized(places, {0: count}), number]


def _suppress_5(n: TFContext) -> Sequence[str]:
    places, count, values = _suppressed(n, sigma=5)
    number = n.as_type(count, INT32)
    if n.flag("pad_to_max_output_size"):
        return [_padded(n, places, count), _padded(n, values, count), number]
    return [n.sized(places, {0: count}), n.sized(values, {0: count}), number]


# --- images ---------------------------------------------------------------------------------------


def _resize(bilinear: bool) -> Converter:
    def convert(n: TFContext) -> str:
        x, size = n.inputs[0], n.ints(1)
        if len(n.shape(0)) != 4 or len(size) != 2 or min(size) < 1 or max(size) > MAX_MADE:
            n.error(f"{n.type(0)} resized to {size}.")
        corners, half = n.flag("align_corners"), n.flag("half_pixel_centers")
        if corners and half:
            n.error("corners and centres of elements cannot both be aligned.")
        if bilinear:
            return resize_bilinear(n, n.as_type(x, FLOAT32), size, corners, half)
        return resize_nearest(n, x, size, corners, half)

    return convert


def _crop_and_resize(n: TFContext) -> str:
    """Boxes [top, left, bottom, right] of images, each resized: at positions that are not within
    the image there is the extrapolation's value."""
    if n.text("method", b"bilinear") != "bilinear":
        n.unsupported(f"the method {n.text('method')!r}")
    if not (n.is_const(1) and n.is_const(2)):
        n.unsupported("boxes that only data know")
    boxes, which, size = n.array(1).astype(np.float32), n.ints(2), n.ints(3)
    parts = []
    for box, image in zip(boxes, which):
        x = n.as_type(cut(n, n.inputs[0], 0, image, 1), FLOAT32)
        for k, axis in enumerate((1, 2)):
            x = _region(n, x, axis, size[k], box[k], box[k + 2])
        parts.append(x)
    return n.add("concat", parts, axis=0) if len(parts) > 1 else parts[0]


def _region(n: TFContext, x: str, axis: int, out: int, low: np.float32, high: np.float32) -> str:
    m = n.typeof(x).shape[axis]
    last = np.float32(m - 1)
    o = np.arange(out, dtype=np.float32)
    if out > 1:
        at = low * last + o * ((high - low) * last / np.float32(out - 1))
    else:
        at = np.array([np.float32(0.5) * (low + high) * last])
    below = np.floor(at)
    index = np.stack([np.clip(below, 0, last), np.clip(np.ceil(at), 0, last)], 1).astype(np.int32)
    weight = (at - below).astype(np.float32)
    weights = np.stack([1 - weight, weight], 1)
    y = n.add("resample", [x, n.constant(index), n.constant(weights)], axis=axis)
    inside = (at >= 0) & (at <= last)
    if inside.all():
        return y
    mask = n.constant(inside.reshape([-1 if k == axis else 1 for k in range(4)]))
    return n.add("where", [mask, y, n.like(n.real("extrapolation_value", 0.0), y)])


CONVERTERS: dict[str, Converter] = {
    "CropAndResize": _crop_and_resize,
    "DynamicPartition": _dynamic_partition,
    "DynamicStitch": _dynamic_stitch,
    "Gather": _gather,
    "GatherNd": _gather_nd,
    "GatherV2": _gather,
    "NonMaxSuppression": _suppress,
    "NonMaxSuppressionV2": _suppress,
    "NonMaxSuppressionV3": _suppress,
    "NonMaxSuppressionV4": _suppress_4,
    "NonMaxSuppressionV5": _suppress_5,
    "OneHot": _one_hot,
    "ParallelDynamicStitch": _dynamic_stitch,
    "ResizeBilinear": _resize(bilinear=True),
    "ResizeNearestNeighbor": _resize(bilinear=False),
    "ScatterNd": _scatter_nd,
    "SparseToDense": _sparse_to_dense,
    "TensorScatterAdd": _tensor_scatter("add"),
    "TensorScatterMax": _tensor_scatter("max"),
    "TensorScatterMin": _tensor_scatter("min"),
    "TensorScatterUpdate": _tensor_scatter("none"),
    "Where": _where,
    **{f"Segment{k}": _segments(k, counted=False) for k in (*_SEGMENTS, "Mean")},
    **{f"UnsortedSegment{k}": _segments(k, counted=True) for k in _SEGMENTS},
}

__all__ = ["CONVERTERS"]
