"""The movement of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .mil_context import MilContext, MilConverter
from .moves import filled, parts, ranges, resolved, sliced, squeezed, stacked, windows


def _reshape(n: MilContext) -> str:
    x = n.arg("x")
    return n.add("reshape", [x], shape=resolved(n, x, n.ints("shape")))


def _reshape_like(n: MilContext) -> str:
    """Extents out of the shapes of other tensors."""
    begins, ends, masks = (n.ints(k) for k in ("begins", "ends", "end_masks"))
    shape: list[int] = []
    for t, b, e, m in zip(n.args("ref_tensors"), begins, ends, masks, strict=True):
        shape += n.typeof(t).shape[slice(b, None if m else e)]
    return n.add("reshape", [n.arg("x")], shape=tuple(shape))


def _expand_dims(n: MilContext) -> str:
    x, axes = n.arg("x"), n.ints("axes")
    rank = len(n.typeof(x).shape) + len(axes)
    new = {n.counted(a, rank) for a in axes}
    if len(new) < len(axes):
        n.error(f"the axes {axes} name one twice.")
    old = iter(n.typeof(x).shape)
    return n.add("reshape", [x], shape=tuple(1 if k in new else next(old) for k in range(rank)))


def _transpose(n: MilContext) -> str:
    rank = len(n.typed().shape)
    perm = [n.counted(p, rank) for p in n.ints("perm")]
    return n.add("transpose", [n.arg("x")], perm=tuple(perm))


def _reverse(n: MilContext) -> str:
    x = n.arg("x")
    shape = n.typeof(x).shape
    axes = n.ints("axes", None)
    turned = set(range(len(shape))) if axes is None else {n.counted(a, len(shape)) for a in axes}
    starts = tuple(d - 1 if k in turned else 0 for k, d in enumerate(shape))
    steps = tuple(-1 if k in turned else 1 for k in range(len(shape)))
    return n.add("slice", [x], starts=starts, shape=shape, steps=steps)


def _reverse_sequence(n: MilContext) -> str:
    axes = {"time_axis": n.axis("seq_axis", 0), "batch_axis": n.axis("batch_axis", 0)}
    return n.add("reverse_sequence", [n.arg("x"), n.arg("lengths")], **axes)


# --- slices -----------------------------------------------------------------------------------


_MASKS = ("begin_mask", "end_mask", "squeeze_mask")


def _ranges(n: MilContext, shape: Sequence[int]) -> list[range]:
    strides, *masks = (n.ints(k, None) or () for k in ("stride", *_MASKS))
    return ranges(n, shape, n.ints("begin"), n.ints("end"), strides, masks)


def _slice_by_index(n: MilContext) -> str:
    x = n.arg("x")
    squeeze = n.ints("squeeze_mask", None) or ()
    if n.args("begin") and n.value_of(n.arg("begin")) is None:
        return _slice_computed(n, x, squeeze)
    y = sliced(n, x, _ranges(n, n.typeof(x).shape))
    shape = n.typeof(y).shape
    return n.reshaped(y, [d for k, d in enumerate(shape) if k >= len(squeeze) or not squeeze[k]])


def _slice_computed(n: MilContext, x: str, squeeze: Sequence[int]) -> str:
    """With begins that data compute, of axes that are squeezed or whole: only then is the size of
    the result known."""
    shape = n.typeof(x).shape
    masks = [n.ints(k, None) or (0,) * len(shape) for k in ("begin_mask", "end_mask")]
    whole = [bool(b and e) for b, e in zip(*masks)]
    if len(squeeze) != len(shape) or not all(s or w for s, w in zip(squeeze, whole)):
        n.const(n.node.attrs["args"]["begin"][0])  # raises, and says what to bind
    begin, extents = n.cast(n.arg("begin"), "int32"), n.constant(np.array(shape, np.int32))
    begin = n.add("where", [
        n.add("less", [begin, n.like(0, begin)]), n.add("add", [begin, extents]), begin
    ])  # fmt: skip
    free = n.constant(np.array([not s for s in squeeze]))
    begin = n.add("where", [free, n.like(0, begin), begin])
    sizes = tuple(1 if s else d for s, d in zip(squeeze, shape))
    y = n.add("slice_at", [x, begin], shape=sizes)
    return n.reshaped(y, [d for s, d in zip(squeeze, shape) if not s])


def _slice_by_size(n: MilContext) -> str:
    x, shape = n.arg("x"), n.typed().shape
    size = n.ints("size")
    if len(size) != len(shape):
        n.error(f"{len(size)} sizes for {len(shape)} axes.")
    if n.value_of(n.arg("begin")) is None and -1 not in size:
        begin = n.cast(n.arg("begin"), "int32")
        return n.add("slice_at", [x, begin], shape=size)
    begin = [b + d if b < 0 else b for b, d in zip(n.ints("begin"), shape, strict=True)]
    taken = [range(b, d if s == -1 else b + s) for b, s, d in zip(begin, size, shape)]
    return sliced(n, x, taken)


def _slice_update(n: MilContext) -> str:
    """``x`` with other elements where the slice is."""
    x, update, shape = n.arg("x"), n.arg("update"), n.typed().shape
    taken = _ranges(n, shape)
    update = n.reshaped(update, [len(r) for r in taken])
    for axis, places in reversed(list(enumerate(taken))):
        if places == range(shape[axis]):
            continue
        # What lies around the axes before this one is not cut out yet: cut what is updated here.
        around = sliced(n, x, [r if k < axis else range(d) for k, (r, d) in
                               enumerate(zip(taken, shape))])  # fmt: skip
        at = np.array(places, np.int32).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        at = np.broadcast_to(at, n.typeof(update).shape)
        update = n.add("scatter_elements", [around, n.constant(at), update], axis=axis)
    return update


# --- several tensors --------------------------------------------------------------------------


def _concat(n: MilContext) -> str:
    values = n.args("values")
    if not values:
        n.error("it joins nothing.")
    rank = len(n.typeof(values[0]).shape)
    axis = n.counted(int(n.number("axis")), rank)
    if not n.flag("interleave"):
        return n.add("concat", values, axis=axis)
    shape = n.typeof(values[0]).shape
    lifted = [n.reshaped(v, (*shape[: axis + 1], 1, *shape[axis + 1 :])) for v in values]
    joined = n.add("concat", lifted, axis=axis + 1)
    return n.reshaped(joined, (*shape[:axis], shape[axis] * len(values), *shape[axis + 1 :]))


def _split(n: MilContext) -> list[str]:
    axis = n.axis()
    size, count = n.typed().shape[axis], n.number("num_splits", None)
    sizes = n.ints("split_sizes", None)
    if sizes is None:
        if not count or size % count or count > n.n_outputs:
            n.error(f"an axis of {size} is not {count} equal parts.")
        sizes = (size // count,) * count
    return parts(n, n.arg("x"), axis, sizes)


# --- padding and the like ---------------------------------------------------------------------

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def _pad(n: MilContext) -> str:
    x, given, mode = n.arg("x"), n.ints("pad"), n.text("mode", "constant").lower()
    rank = len(n.typeof(x).shape)
    if mode not in _MODES:
        n.error(f"there is no mode {mode!r} of padding.")
    if len(given) % 2 or len(given) > 2 * rank:
        n.error(f"pads of {given} do not fit {n.typeof(x)}.")
    skip = (0,) * (rank - len(given) // 2)
    pads = (*skip, *given[::2], *skip, *given[1::2])
    if mode != "constant":
        return n.add("pad", [x], pads=pads, mode=_MODES[mode])
    return n.add("pad", [x, n.like(n.number("constant_val", 0), x)], pads=pads)


def _crop(n: MilContext) -> str:
    x, shape = n.arg("x"), n.typed().shape
    taken = [range(d) for d in shape]
    for axis, key in ((-2, "crop_height"), (-1, "crop_width")):
        before, after = n.ints(key)
        taken[axis] = range(before, shape[axis] - after)
    return sliced(n, x, taken)


def _tile(n: MilContext) -> str:
    return n.add("tile", [n.arg("x")], repeats=n.ints("reps"))


def _fill(n: MilContext) -> str:
    value = n.arg("value", "") or n.constant(np.float32(0))
    return filled(n, value, n.ints("shape"))


def _fill_like(n: MilContext) -> str:
    value = n.arg("value", "") or n.constant(np.float32(0))
    return filled(n, value, n.typed("ref_tensor").shape)


def _shape(n: MilContext) -> str:
    return n.constant(np.array(n.typed().shape, np.int32))


def _flatten2d(n: MilContext) -> str:
    x, shape, axis = n.arg("x"), n.typed().shape, int(n.number("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        n.error(f"the axis {axis} is out of range for {n.typed()}.")
    axis = axis + len(shape) if axis < 0 else axis
    return n.add("reshape", [x], shape=(math.prod(shape[:axis]), math.prod(shape[axis:])))


def _band_part(n: MilContext) -> str:
    x = n.arg("x")
    lower, upper = int(n.number("lower", -1)), int(n.number("upper", -1))
    if lower >= 0:
        x = n.add("trilu", [x], k=-lower, upper=True)
    if upper >= 0:
        x = n.add("trilu", [x], k=upper, upper=False)
    return n.add("identity", [x]) if x == n.arg("x") else x


def _blocks(op: str, key: str, depth_first: bool) -> MilConverter:
    return lambda n: n.add(op, [n.arg("x")], block=int(n.number(key)), depth_first=depth_first)


def _space_to_batch(n: MilContext) -> str:
    """[N, C, H, W] to [block * N, C, H / block, W / block], blocks first."""
    x, block = n.arg("x"), n.ints("block_shape")
    pads = np.array(n.ints("paddings")).reshape(2, 2)
    given = (0, 0, *pads[:, 0], 0, 0, *pads[:, 1])
    x = n.add("pad", [x], pads=tuple(int(p) for p in given))
    b, c, h, w = n.typeof(x).shape
    p, q = block
    x = n.reshaped(x, (b, c, h // p, p, w // q, q))
    return n.reshaped(n.moved(x, (3, 5, 0, 1, 2, 4)), (p * q * b, c, h // p, w // q))


def _batch_to_space(n: MilContext) -> str:
    x, (p, q) = n.arg("x"), n.ints("block_shape")
    crops = np.array(n.ints("crops")).reshape(2, 2)
    b, c, h, w = n.typeof(x).shape
    x = n.reshaped(x, (p, q, b // (p * q), c, h, w))
    x = n.reshaped(n.moved(x, (2, 3, 4, 0, 5, 1)), (b // (p * q), c, h * p, w * q))
    (top, bottom), (left, right) = ((int(v) for v in row) for row in crops)
    return sliced(n, x, [range(b // (p * q)), range(c), range(top, h * p - bottom),
                         range(left, w * q - right)])  # fmt: skip


def _sliding_windows(n: MilContext) -> str:
    return windows(n, n.arg("x"), n.axis(), int(n.number("size")), int(n.number("stride", 1)))


CONVERTERS: dict[str, MilConverter] = {
    "band_part": _band_part,
    "batch_to_space": _batch_to_space,
    "concat": _concat,
    "crop": _crop,
    "depth_to_space": _blocks("depth_to_space", "block_size", True),
    "expand_dims": _expand_dims,
    "fill": _fill,
    "fill_like": _fill_like,
    "flatten2d": _flatten2d,
    "pad": _pad,
    "pixel_shuffle": _blocks("depth_to_space", "upscale_factor", False),
    "pixel_unshuffle": _blocks("space_to_depth", "downscale_factor", False),
    "reshape": _reshape,
    "reshape_like": _reshape_like,
    "reverse": _reverse,
    "reverse_sequence": _reverse_sequence,
    "shape": _shape,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "slice_update": _slice_update,
    "sliding_windows": _sliding_windows,
    "space_to_batch": _space_to_batch,
    "space_to_depth": _blocks("space_to_depth", "block_size", True),
    "split": _split,
    "squeeze": lambda n: squeezed(n, n.arg("x"), n.ints("axes", None)),
    "stack": lambda n: stacked(n, n.args("values"), int(n.number("axis"))),
    "tile": _tile,
    "transpose": _transpose,
}
