"""What TensorFlow and TensorFlow Lite have in common of moving elements: slices with masks, blocks
of space in the batch, and images that are resized as they do it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .context import Context
from .images import channels_first, channels_last


@dataclass(frozen=True)
class Masks:
    """The bits of ``StridedSlice``: for entry k of its lists, bit k."""

    begin: int = 0
    end: int = 0
    ellipsis: int = 0
    new_axis: int = 0
    shrink: int = 0


def strided_slice(
    n: Context, x: str, begin: Sequence[int], end: Sequence[int], strides: Sequence[int],
    masks: Masks, offset: bool = False,
) -> str:  # fmt: skip
    """numpy's ``x[begin:end:stride, …]``, entries of which may be an ellipsis, a new axis, or one
    index, by ``masks``; with ``offset`` ends count from the begins."""
    shape = n.typeof(x).shape
    if not len(begin) == len(end) == len(strides):
        n.error(f"begin, end and strides have {len(begin)}, {len(end)}, {len(strides)} entries.")
    if masks.ellipsis & (masks.ellipsis - 1):
        n.error("it has more than one ellipsis.")
    used = sum(not (masks.new_axis | masks.ellipsis) >> k & 1 for k in range(len(begin)))
    if used > len(shape):
        n.error(f"{used} entries do not fit {n.typeof(x)}.")
    starts, counts, steps, result = [], [], [], []
    axis = 0
    listed = list(range(len(begin)))
    if not masks.ellipsis:
        listed.append(-1)  # as if it were there, at the end
    for k in listed:
        if k < 0 or masks.ellipsis >> k & 1:
            for _ in range(len(shape) - used):
                starts.append(0)
                counts.append(shape[axis])
                steps.append(1)
                result.append(shape[axis])
                axis += 1
            continue
        if masks.new_axis >> k & 1:
            result.append(1)
            continue
        start, count, step = _line(
            n, shape[axis], int(begin[k]), int(end[k]), int(strides[k]), k, masks, offset
        )
        starts.append(start)
        counts.append(count)
        steps.append(step)
        if not masks.shrink >> k & 1:
            result.append(count)
        axis += 1
    if tuple(counts) != shape or any(s != 1 for s in steps):
        x = n.add("slice", [x], starts=tuple(starts), shape=tuple(counts), steps=tuple(steps))
    return x if tuple(result) == n.typeof(x).shape else n.add("reshape", [x], shape=tuple(result))


def _line(
    n: Context, size: int, begin: int, end: int, step: int, k: int, masks: Masks, offset: bool
) -> tuple[int, int, int]:
    """Start, count and step along one axis."""
    if masks.shrink >> k & 1:
        at = begin + size if begin < 0 else begin
        if not 0 <= at < size:
            n.error(f"the index {begin} is out of range for {size} elements.")
        return at, 1, 1
    if step == 0:
        n.error("a stride is 0.")
    if offset:
        end += begin
    first, last = (0, size) if step > 0 else (-1, size - 1)
    start = (first if step > 0 else last) if masks.begin >> k & 1 else _clamped(begin, size, step)
    stop = (last if step > 0 else first) if masks.end >> k & 1 else _clamped(end, size, step)
    count = max(0, math.ceil((stop - start) / step))
    return (start if count else 0), count, step


def _clamped(at: int, size: int, step: int) -> int:
    at = at + size if at < 0 else at
    return min(max(at, 0), size) if step > 0 else min(max(at, -1), size - 1)


def space_to_batch(n: Context, x: str, block: Sequence[int], pads: Sequence[Sequence[int]],
                   value: float = 0) -> str:  # fmt: skip
    """Blocks of the axes behind the first, padded by ``[before, after]`` with ``value``, into the
    batch."""
    m = len(block)
    rank = len(n.typeof(x).shape)
    if len(pads) != m or m >= rank or min(block, default=1) < 1:
        n.error(f"blocks {list(block)} do not fit {n.typeof(x)}.")
    if any(v for pair in pads for v in pair):
        rest = [0] * (rank - 1 - m)
        before, after = ([0, *(p[k] for p in pads), *rest] for k in (0, 1))
        x = n.add("pad", [x], pads=(*before, *after), value=value)
    batch, *space = n.typeof(x).shape
    if any(s % b for s, b in zip(space, block)):
        n.error(f"blocks {list(block)} do not divide {n.typeof(x)}.")
    split = [v for s, b in zip(space, block) for v in (s // b, b)]
    rest = space[m:]
    x = n.add("reshape", [x], shape=(batch, *split, *rest))
    inner, outer = [2 + 2 * k for k in range(m)], [1 + 2 * k for k in range(m)]
    tail = range(1 + 2 * m, 1 + 2 * m + len(rest))
    x = n.add("transpose", [x], perm=(*inner, 0, *outer, *tail))
    small = [s // b for s, b in zip(space, block)]
    return n.add("reshape", [x], shape=(batch * math.prod(block), *small, *rest))


def batch_to_space(n: Context, x: str, block: Sequence[int], crops: Sequence[Sequence[int]]) -> str:
    """The inverse of :func:`space_to_batch`, cropped by ``[before, after]``."""
    m = len(block)
    batch, *space = n.typeof(x).shape
    if len(crops) != m or m > len(space) or min(block, default=1) < 1:
        n.error(f"blocks {list(block)} do not fit {n.typeof(x)}.")
    if batch % math.prod(block):
        n.error(f"blocks {list(block)} do not divide the batch of {n.typeof(x)}.")
    small, rest = space[:m], space[m:]
    x = n.add("reshape", [x], shape=(*block, batch // math.prod(block), *small, *rest))
    woven = [v for k in range(m) for v in (m + 1 + k, k)]
    tail = range(2 * m + 1, 2 * m + 1 + len(rest))
    x = n.add("transpose", [x], perm=(m, *woven, *tail))
    large = [s * b for s, b in zip(small, block)]
    x = n.add("reshape", [x], shape=(batch // math.prod(block), *large, *rest))
    if not any(v for pair in crops for v in pair):
        return x
    pads = [0, *(-c[0] for c in crops), *(0 for _ in rest)]
    ends = [0, *(-c[1] for c in crops), *(0 for _ in rest)]
    return n.add("pad", [x], pads=(*pads, *ends))


def _scale(size: int, out: int, corners: bool) -> np.float32:
    """Elements of the input for one of the output, in float32 as there."""
    if corners and out > 1:
        return np.float32(size - 1) / np.float32(out - 1)
    return np.float32(size) / np.float32(out)


def resize_bilinear(n: Context, x: str, size: Sequence[int], corners: bool, half: bool) -> str:
    """[batch, height, width, channel] between its four nearest elements; ``corners`` aligns those
    of both images, with ``half`` the centres of elements lie at .5. Positions are float32."""
    y = channels_first(n, x)
    for axis, out in zip((2, 3), size):
        m = n.typeof(y).shape[axis]
        if m == out:
            continue
        o = np.arange(out, dtype=np.float32)
        scale = _scale(m, out, corners)
        at = (o + np.float32(0.5)) * scale - np.float32(0.5) if half else o * scale
        below = np.floor(at)
        low = np.clip(below, 0, m - 1).astype(np.int32)
        high = np.clip(np.ceil(at), 0, m - 1).astype(np.int32)
        weight = (at - below).astype(np.float32)
        index, weights = np.stack([low, high], 1), np.stack([1 - weight, weight], 1)
        y = n.add("resample", [y, n.constant(index), n.constant(weights)], axis=axis)
    return channels_last(n, y)


def resize_nearest(n: Context, x: str, size: Sequence[int], corners: bool, half: bool) -> str:
    """[batch, height, width, channel] with each element the nearest one; as
    :func:`resize_bilinear`."""
    y = channels_first(n, x)
    for axis, out in zip((2, 3), size):
        m = n.typeof(y).shape[axis]
        if m == out:
            continue
        at = np.arange(out, dtype=np.float32) + np.float32(0.5 if half else 0)
        at = at * _scale(m, out, corners)
        index = np.floor(at + np.float32(0.5)) if corners else np.floor(at)
        index = np.clip(index, 0, m - 1).astype(np.int32)
        if out % m == 0 and (index == np.arange(out) // (out // m)).all():
            factors = tuple(out // m if k == axis else 1 for k in range(4))
            y = n.add("upsample", [y], factors=factors)
        else:
            y = n.add("gather", [y, n.constant(index)], axis=axis, wrap=False)
    return channels_last(n, y)


__all__ = [
    "Masks",
    "batch_to_space",
    "resize_bilinear",
    "resize_nearest",
    "space_to_batch",
    "strided_slice",
]
