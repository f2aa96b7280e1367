"""Layers that move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import resampling
from .layer_context import LayerContext, LayerConverter
from .moves import (
    filled,
    gathered,
    parts,
    ranges,
    resolved,
    scattered,
    sliced,
    squeezed,
    stacked,
    updates,
    windows,
)
from .nn_conv import borders

_MODES = ("update", "add", "sub", "mul", "div", "max", "min")  # of a scatter
_SAMPLING = (resampling.STRICT, resampling.ALIGN, resampling.DEFAULT, resampling.OFFSET)


# --- the last three axes ----------------------------------------------------------------------


def _flatten(n: LayerContext) -> str:
    shape = n.least(3)
    x = n.batched()
    if n.p.mode:  # the channels last
        x = n.moved(x, (0, 2, 3, 1))
    return n.reshaped(x, (*shape[:-3], math.prod(shape[-3:]), 1, 1))


def _reshape(n: LayerContext) -> str:
    shape, target = n.least(3), tuple(n.p.targetShape)
    if len(target) not in (3, 4):
        n.error(f"the target {list(target)} has neither three nor four extents.")
    lead = shape[:-3]
    if len(target) == 4:
        if len(shape) != 5:
            n.error(f"{list(shape)} has no sequence that a fourth extent would be.")
        lead = (target[0], shape[1])
    full = resolved(n, n.x, [*lead, *target[-3:]])
    if not n.p.mode:
        return n.reshaped(n.x, full)
    *front, c, h, w = full
    x = n.moved(n.batched(), (0, 2, 3, 1))
    x = n.moved(n.reshaped(x, (math.prod(front), h, w, c)), (0, 3, 1, 2))
    return n.reshaped(x, full)


def _permute(n: LayerContext) -> str:
    if len(n.shape) != 5:
        n.error(f"it takes five axes, not {list(n.shape)}.")
    at = {0: 0, 1: 2, 2: 3, 3: 4}  # of [sequence, channels, height, width]
    order = [at[a] for a in n.p.axis or range(4)]
    return n.add("transpose", [n.x], perm=(order[0], 1, *order[1:]))


def _concat(n: LayerContext) -> str:
    rank = len(n.least(5 if n.p.sequenceConcat else 3))
    return n.add("concat", n.inputs, axis=rank - (5 if n.p.sequenceConcat else 3))


def _split(n: LayerContext) -> list[str]:
    axis, count = len(n.least(3)) - 3, n.p.nOutputs
    size = n.shape[axis]
    if not count or size % count or count != n.n_outputs:
        n.error(f"{size} channels are not {count} equal parts.")
    return parts(n, n.x, axis, [size // count] * count)


def _padding(n: LayerContext) -> str:
    p, rank = n.p, len(n.least(3))
    top, left, bottom, right = borders(p.paddingAmounts)
    front = (0,) * (rank - 2)
    pads = (*front, top, left, *front, bottom, right)
    if p.HasField("reflection"):
        return n.add("pad", [n.x], pads=pads, mode="reflect")
    if p.HasField("replication"):
        return n.add("pad", [n.x], pads=pads, mode="edge")
    return n.add("pad", [n.x], pads=pads, value=p.constant.value)


def _crop(n: LayerContext) -> str:
    shape = n.least(3)
    height, width = shape[-2:]
    if len(n) > 1:
        top, left = tuple(n.p.offset) or (0, 0)
        tall, broad = n.shaped(n.y)[-2:]
    else:
        top, left, bottom, right = borders(n.p.cropAmounts)
        tall, broad = height - top - bottom, width - left - right
    taken = [range(d) for d in shape[:-2]]
    return sliced(n, n.x, [*taken, range(top, top + tall), range(left, left + broad)])


def _upsample(n: LayerContext) -> str:
    p, (height, width) = n.p, n.least(3)[-2:]
    factors = tuple(p.fractionalScalingFactor) or tuple(p.scalingFactor) or (1, 1)
    if len(factors) != 2 or not all(0 < f < math.inf for f in factors):
        n.error(f"the factors are {factors}.")
    outs = [math.floor(size * f) for size, f in zip((height, width), factors)]
    if not p.mode:
        return resampling.nearest(n, n.x, outs)
    modes = (resampling.DEFAULT, resampling.STRICT, resampling.UNALIGN)
    if p.linearUpsampleMode >= len(modes):
        n.error(f"there is no mode {p.linearUpsampleMode}.")
    return resampling.linear(n, n.x, outs, modes[p.linearUpsampleMode])


def _resize_bilinear(n: LayerContext) -> str:
    n.least(3)
    return resampling.linear(n, n.x, tuple(n.p.targetSize) or (1, 1), _sampling(n))


def _sampling(n: LayerContext) -> str:
    if n.p.mode.samplingMethod >= len(_SAMPLING):
        n.error(f"there is no sampling method {n.p.mode.samplingMethod}.")
    return _SAMPLING[n.p.mode.samplingMethod]


def _crop_resize(n: LayerContext) -> str:
    """[1, batch, C, H, W] and boxes [N, 1, 4 or 5, 1, 1]."""
    shape, boxes = n.shape, n.shaped(n.y)
    if len(shape) != 5 or shape[0] != 1 or len(boxes) != 5 or boxes[2] not in (4, 5):
        n.error(f"images {list(shape)} and boxes {list(boxes)} are none.")
    count, images = boxes[0], n.reshaped(n.x, shape[1:])
    outs = tuple(n.p.targetSize) or (1, 1)
    told = n.reshaped(n.y, (count, boxes[2]))
    if boxes[2] == 5:
        at = n.add("slice", [told], starts=(0, 0), shape=(count, 1))
        at = n.integers(n.reshaped(at, (count,)))
        told = n.add("slice", [told], starts=(0, 1), shape=(count, 4))
        each = 1
    else:
        each = shape[1]
        at = n.constant(np.tile(np.arange(each, dtype=np.int32), count))
        which = n.constant(np.repeat(np.arange(count, dtype=np.int32), each))
        told = n.add("gather", [told, which], axis=0, wrap=False)
    images = n.add("gather", [images, at], axis=0, wrap=False)
    y = resampling.cropped(
        n, images, told, outs, _sampling(n), resampling.BOXES[n.p.boxIndicesMode.boxMode],
        normalized=n.p.normalizedCoordinates, scale=n.p.spatialScale or 1.0,
    )  # fmt: skip
    return n.reshaped(y, (count, each, shape[2], *outs))


def _reorganize(n: LayerContext) -> str:
    """SPACE_TO_DEPTH, DEPTH_TO_SPACE, PIXEL_SHUFFLE."""
    if n.p.mode > 2 or n.p.blockSize < 1:
        n.error(f"there is no mode {n.p.mode} with blocks of {n.p.blockSize}.")
    op = "depth_to_space" if n.p.mode else "space_to_depth"
    told = {"block": n.p.blockSize, "depth_first": n.p.mode != 2}
    return n.restored(n.add(op, [n.batched()], **told))


def _slice(n: LayerContext) -> str:
    shape, axis = n.shape, (-3, -2, -1)[n.p.axis]
    at = n.counted(axis, len(shape))
    if n.p.stride < 1:
        n.error("its step is not positive.")
    taken = [range(d) for d in shape]
    part = slice(n.p.startIndex, n.p.endIndex, n.p.stride)
    taken[at] = range(*part.indices(shape[at]))
    return sliced(n, n.x, taken)


def _sequence_repeat(n: LayerContext) -> str:
    rank = len(n.least(5))
    times = [1] * rank
    times[rank - 5] = n.p.nRepetitions or 1
    n.made([times[rank - 5], math.prod(n.shape)])
    return n.add("tile", [n.x], repeats=tuple(times))


def _load_constant(n: LayerContext) -> str:
    shape = tuple(n.p.shape)
    if len(shape) != 3:
        n.error(f"its shape {list(shape)} is not channels, height and width.")
    return n.reshaped(n.weights(n.p.data, *shape), (1, 1, *shape))


# --- any axes ---------------------------------------------------------------------------------


def _concat_nd(n: LayerContext) -> str:
    axis, shape = n.counted(n.p.axis, len(n.shape)), n.shape
    if not n.p.interleave:
        return n.add("concat", n.inputs, axis=axis)
    y = stacked(n, n.inputs, axis + 1)
    return n.reshaped(y, (*shape[:axis], shape[axis] * len(n), *shape[axis + 1 :]))


def _split_nd(n: LayerContext) -> list[str]:
    axis = n.counted(n.p.axis, len(n.shape))
    size, sizes = n.shape[axis], list(n.p.splitSizes)
    if not sizes:
        count = n.p.numSplits
        if not count or size % count or count != n.n_outputs:
            n.error(f"an axis of {size} is not {count} equal parts.")
        sizes = [size // count] * count
    return parts(n, n.x, axis, sizes)


def _transpose(n: LayerContext) -> str:
    return n.add("transpose", [n.x], perm=tuple(n.p.axes))


def _reverse(n: LayerContext) -> str:
    turned = list(n.p.reverseDim)
    if len(turned) != len(n.shape):
        n.error(f"{turned} do not fit {list(n.shape)}.")
    return sliced(n, n.x, [
        range(d - 1, -1, -1) if t else range(d) for d, t in zip(n.shape, turned)
    ])  # fmt: skip


def _reverse_seq(n: LayerContext) -> str:
    rank = len(n.shape)
    told = {"time_axis": n.counted(n.p.sequenceAxis, rank)}
    told["batch_axis"] = n.counted(n.p.batchAxis, rank)
    lengths = n.integers(n.reshaped(n.y, (math.prod(n.shaped(n.y)),)))
    return n.add("reverse_sequence", [n.x, lengths], **told)


def _slice_static(n: LayerContext) -> str:
    p = n.p
    return _sliced(n, list(p.beginIds), p)


def _slice_dynamic(n: LayerContext) -> str:
    """Begins are the second input; what follows may be further ones."""
    told: list[Any] = [n.p.endIds, n.p.strides, n.p.beginMasks, n.p.endMasks, n.p.squeezeMasks]
    for k in range(2, len(n)):
        told[k - 2] = n.known_ints(k)
    rank = len(n.shape)
    ends, strides, *masks = (list(t)[:rank] for t in told)  # the writer gives five of each
    taken = ranges(n, n.shape, n.known_ints(1), ends, strides, masks)
    return _without(n, sliced(n, n.x, taken), masks[2])


def _sliced(n: LayerContext, begin: Sequence[int], p: Any) -> str:
    masks = [list(p.beginMasks), list(p.endMasks), list(p.squeezeMasks)]
    y = sliced(n, n.x, ranges(n, n.shape, begin, list(p.endIds), list(p.strides), masks))
    return _without(n, y, masks[2])


def _without(n: LayerContext, y: str, single: Sequence[bool]) -> str:
    """``y`` without the axes that are squeezed; one axis is left."""
    if not any(single):
        return y
    kept = [d for d, s in zip(n.shaped(y), single) if not s]
    return n.reshaped(y, kept or (1,))


def _slice_by_size(n: LayerContext) -> str:
    axis = n.counted(n.p.axis, len(n.shape))
    begin = n.known_ints(1)[0]
    begin = begin + n.shape[axis] if begin < 0 else begin
    taken = [range(d) for d in n.shape]
    taken[axis] = range(begin, begin + n.p.size)
    return sliced(n, n.x, taken)


def _sliding_windows(n: LayerContext) -> str:
    axis = n.counted(n.p.axis, len(n.shape))
    return windows(n, n.x, axis, n.p.windowSize, n.p.step)


def _tile(n: LayerContext) -> str:
    times = n.known_ints(1) if len(n) > 1 else list(n.p.reps)
    if len(times) == len(n.shape):
        n.made([t * d for t, d in zip(times, n.shape)])
    return n.add("tile", [n.x], repeats=tuple(times))


def _stack(n: LayerContext) -> str:
    n.least(0)
    return stacked(n, n.inputs, n.p.axis)


def _get_shape(n: LayerContext) -> str:
    return n.constant(np.array(n.shape, np.float32))


def _load_constant_nd(n: LayerContext) -> str:
    return n.weights(n.p.data, *n.p.shape)


def _fill(n: LayerContext, shape: Sequence[int]) -> str:
    return filled(n, n.constant(np.float32(n.p.value)), shape)


def _broadcast(n: LayerContext, shape: Sequence[int]) -> str:
    """numpy's broadcasting: a shape of the input that is larger stays."""
    return n.add("expand", [n.x], shape=n.made(np.broadcast_shapes(n.shape, tuple(shape))))


def _squeeze(n: LayerContext) -> str:
    y = squeezed(n, n.x, None if n.p.squeezeAll else n.p.axes)
    return n.reshaped(y, n.shaped(y) or (1,))


def _expand_dims(n: LayerContext) -> str:
    rank = len(n.shape) + len(n.p.axes)
    new, old = n.all_counted(n.p.axes, rank), iter(n.shape)
    return n.reshaped(n.x, [1 if k in new else next(old) for k in range(rank)])


def _flatten_to_2d(n: LayerContext) -> str:
    axis = n.p.axis + len(n.shape) if n.p.axis < 0 else n.p.axis
    if not 0 <= axis <= len(n.shape):
        n.error(f"the axis {n.p.axis} is out of range for {len(n.shape)} axes.")
    return n.reshaped(n.x, (math.prod(n.shape[:axis]), math.prod(n.shape[axis:])))


def _reshaped(n: LayerContext, shape: Sequence[int]) -> str:
    return n.reshaped(n.x, resolved(n, n.x, shape))


def _constant_pad(n: LayerContext) -> str:
    if n.p.padToGivenOutputSizeMode:
        n.unsupported("padding up to a given size")
    given = n.known_ints(1) if len(n) > 1 else list(n.p.padAmounts)
    if len(given) != 2 * len(n.shape):
        n.error(f"{len(given)} amounts do not fit {len(n.shape)} axes.")
    return n.add("pad", [n.x], pads=(*given[::2], *given[1::2]), value=n.p.value)


def _band(lower: str, upper: str) -> LayerConverter:
    """A triangle or a band of matrices; -1 below or above keeps all."""

    def convert(n: LayerContext) -> str:
        x = n.x
        if lower:
            k = getattr(n.p, lower)
            if lower == "k" or k >= 0:
                x = n.add("trilu", [x], k=k if lower == "k" else -k, upper=True)
        if upper:
            k = getattr(n.p, upper)
            if upper == "k" or k >= 0:
                x = n.add("trilu", [x], k=k, upper=False)
        return n.add("identity", [x]) if x == n.x else x

    return convert


# --- places -----------------------------------------------------------------------------------


def _gather(n: LayerContext) -> str:
    axis = n.counted(n.p.axis, len(n.shape))
    return gathered(n, n.x, n.integers(n.y), axis, 0)


def _gather_along_axis(n: LayerContext) -> str:
    axis = n.counted(n.p.axis, len(n.shape))
    return n.add("gather_elements", [n.x, n.integers(n.y)], axis=axis)


def _scatter_mode(n: LayerContext) -> str:
    if n.p.mode >= len(_MODES):
        n.error(f"there is no mode {n.p.mode}.")
    if len(n) != 3:
        n.error("it takes data, places and updates.")
    return _MODES[n.p.mode]


def _scatter(n: LayerContext) -> str:
    axis, mode = n.counted(n.p.axis, len(n.shape)), _scatter_mode(n)
    return scattered(n, n.x, n.integers(n.y), n.inputs[2], axis, mode)


def _scatter_along_axis(n: LayerContext) -> str:
    axis, mode = n.counted(n.p.axis, len(n.shape)), _scatter_mode(n)
    new, how = updates(n, n.inputs[2], mode)
    return n.add("scatter_elements", [n.x, n.integers(n.y), new], axis=axis, reduction=how)


def _scatter_nd(n: LayerContext) -> str:
    mode = _scatter_mode(n)
    new, how = updates(n, n.inputs[2], mode)
    return n.add("scatter_nd", [n.x, n.integers(n.y), new], reduction=how)


def _one_hot(n: LayerContext) -> str:
    p, depth = n.p, n.known_ints(1)[0] if len(n) > 1 else n.p.oneHotVectorSize
    axis = n.counted(p.axis, len(n.shape) + 1)
    n.made([depth, math.prod(n.shape)])
    values = n.constant(np.array([p.offValue, p.onValue], np.float32))
    return n.add("one_hot", [n.integers(n.x), values], axis=axis, depth=depth)


def _range(n: LayerContext) -> str:
    """End, start and step are inputs, as far as they are there."""
    told = [getattr(n.p, "endValue", 0.0), n.p.startValue, n.p.stepSizeValue]
    for k in range(len(n)):
        value = n.const(k)
        if value is None or value.size != 1:
            n.error("its inputs are scalars.")
        told[k] = float(value.reshape(-1)[0])
    end, start, step = told
    if not step or not math.isfinite((end - start) / step):
        n.error(f"steps of {step} do not lead from {start} to {end}.")
    count = max(math.ceil((end - start) / step), 0)
    n.made([count])
    return n.constant((start + np.arange(count) * step).astype(np.float32))


CONVERTERS: dict[str, LayerConverter] = {
    "broadcastToDynamic": lambda n: _broadcast(n, n.known_ints(1)),
    "broadcastToLike": lambda n: _broadcast(n, n.shaped(n.y)),
    "broadcastToStatic": lambda n: _broadcast(n, n.p.targetShape),
    "concat": _concat,
    "concatND": _concat_nd,
    "constantPad": _constant_pad,
    "crop": _crop,
    "cropResize": _crop_resize,
    "expandDims": _expand_dims,
    "fillDynamic": lambda n: _fill(n, n.known_ints(0)),
    "fillLike": lambda n: _fill(n, n.shape),
    "fillStatic": lambda n: _fill(n, n.p.targetShape),
    "flatten": _flatten,
    "flattenTo2D": _flatten_to_2d,
    "gather": _gather,
    "gatherAlongAxis": _gather_along_axis,
    "gatherND": lambda n: n.add("gather_nd", [n.x, n.integers(n.y)]),
    "getShape": _get_shape,
    "loadConstant": _load_constant,
    "loadConstantND": _load_constant_nd,
    "lowerTriangular": _band("", "k"),
    "matrixBandPart": _band("numLower", "numUpper"),
    "oneHot": _one_hot,
    "padding": _padding,
    "permute": _permute,
    "rangeDynamic": _range,
    "rangeStatic": _range,
    "rankPreservingReshape": lambda n: _reshaped(n, n.p.targetShape),
    "reorganizeData": _reorganize,
    "reshape": _reshape,
    "reshapeDynamic": lambda n: _reshaped(n, n.known_ints(1)),
    "reshapeLike": lambda n: _reshaped(n, n.shaped(n.y)),
    "reshapeStatic": lambda n: _reshaped(n, n.p.targetShape),
    "resizeBilinear": _resize_bilinear,
    "reverse": _reverse,
    "reverseSeq": _reverse_seq,
    "scatter": _scatter,
    "scatterAlongAxis": _scatter_along_axis,
    "scatterND": _scatter_nd,
    "sequenceRepeat": _sequence_repeat,
    "slice": _slice,
    "sliceBySize": _slice_by_size,
    "sliceDynamic": _slice_dynamic,
    "sliceStatic": _slice_static,
    "slidingWindows": _sliding_windows,
    "split": _split,
    "splitND": _split_nd,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
    "upperTriangular": _band("k", ""),
    "upsample": _upsample,
}
