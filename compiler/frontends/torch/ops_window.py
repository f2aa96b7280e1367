"""Windows, diagonals, triangles, padding, blocks of pixels, grids."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .context import Ints, Number, Row, Tensor, Tensors, TorchContext, aten
from .ops_make import MAX_MADE


def _unfold(n: TorchContext, self: Tensor, dimension: int, size: int, step: int) -> str:
    """Windows along an axis; their elements become the last one."""
    x = self if n.rank(self) else n.reshape(self, (1,))
    axis = n.axis(dimension, n.rank(x))
    extent = n.shape(x)[axis]
    if not 0 < size <= extent or step < 1:
        n.error(f"windows of {size} with the step {step} of {extent} elements.")
    count = (extent - size) // step + 1
    at = np.arange(count)[:, None] * step + np.arange(size)
    made = n.do("gather", x, n.constant(at.astype(np.int32)), axis=axis, wrap=False)
    perm = [k for k in range(n.rank(made)) if k != axis + 1]
    return n.transpose(made, [*perm, axis + 1])


def _as_strided(
    n: TorchContext, self: Tensor, size: Ints, stride: Ints, storage_offset: int | None = None
) -> str:
    """Of a tensor whose elements lie one after another."""
    if len(size) != len(stride) or math.prod(size) > MAX_MADE or min(size, default=0) < 0:
        n.unsupported(f"a view of {list(size)} with the strides {list(stride)}")
    at = np.full(size, storage_offset or 0, np.int64)
    for k, (d, s) in enumerate(zip(size, stride)):
        at += (np.arange(d) * s).reshape((-1, *(1,) * (len(size) - 1 - k)))
    if at.size and not 0 <= at.min() <= at.max() < n.typeof(self).size:
        n.unsupported("a view beyond the elements of its tensor")
    flat = n.reshape(self, (n.typeof(self).size,))
    return n.do("gather", flat, n.constant(at.astype(np.int32)), axis=0, wrap=False)


def _diagonal(n: TorchContext, self: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> str:
    a, b = n.axes((dim1, dim2), n.rank(self))
    rest = [k for k in range(n.rank(self)) if k not in (a, b)]
    x = n.transpose(self, [*rest, a, b])
    rows, columns = n.shape(x)[-2:]
    first, right = max(-offset, 0), max(offset, 0)
    count = max(min(rows - first, columns - right), 0)
    lead = n.shape(x)[:-2]
    flat = n.reshape(x, (*lead, rows * columns))
    at = first * columns + right + np.arange(count) * (columns + 1)
    return n.do("gather", flat, n.constant(at.astype(np.int32)), axis=len(lead), wrap=False)


def _diag_embed(
    n: TorchContext, self: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1
) -> str:
    count = n.shape(self)[-1]
    extent = count + abs(offset)
    rank = n.rank(self) + 1
    a, b = n.axes((dim1, dim2), rank)
    rows, columns = np.indices((extent, extent))
    mask = columns - rows == offset
    along = np.minimum(np.minimum(rows, columns), max(count - 1, 0)).astype(np.int32)
    wide = n.do("gather", self, n.constant(along), axis=n.rank(self) - 1, wrap=False)
    made = n.do("where", n.constant(mask), wide, n.number(0, self))
    lead = iter(range(rank - 2))
    return n.transpose(made, [
        rank - 2 if k == a else rank - 1 if k == b else next(lead) for k in range(rank)
    ])  # fmt: skip


def _diag(n: TorchContext, self: Tensor, diagonal: int = 0) -> str:
    if n.rank(self) == 1:
        return _diag_embed(n, self, diagonal)
    return _diagonal(n, self, diagonal)


def _tri(upper: bool) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, diagonal: int = 0) -> str:
        if n.dtype(self).is_bool:
            made = n.do("trilu", n.cast(self, "uint8"), k=diagonal, upper=upper)
            return n.do("not_equal", made, n.number(0, made))
        return n.do("trilu", self, k=diagonal, upper=upper)

    return convert


def _pad(
    n: TorchContext, self: Tensor, pad: Ints, mode: str = "constant", value: float | None = None
) -> str:
    """Pairs from the last axis on; negative ones cut."""
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in names or len(pad) % 2 or len(pad) // 2 > n.rank(self):
        n.error(f"padding of {list(pad)} in the mode {mode!r}.")
    x, rank = self, n.rank(self)
    before, after = [0] * rank, [0] * rank
    for k in range(len(pad) // 2):
        axis = rank - 1 - k
        before[axis], after[axis] = pad[2 * k], pad[2 * k + 1]
        extent = n.shape(x)[axis]
        low, high = max(-before[axis], 0), max(-after[axis], 0)
        if low or high:
            x = n.cut(x, axis, low, extent - low - high)
    pads = tuple(max(p, 0) for p in (*before, *after))
    if not any(pads):
        return x
    if n.dtype(x).is_bool and mode == "constant":
        made = n.do("pad", n.cast(x, "uint8"), pads=pads, value=int(bool(value)))
        return n.do("not_equal", made, n.number(0, made))
    number = value or 0
    number = number if n.dtype(x).is_float else int(number)
    return n.do("pad", x, pads=pads, mode=names[mode], value=number)


def _constant_pad(n: TorchContext, self: Tensor, pad: Ints, value: Number = 0) -> str:
    return _pad(n, self, pad, value=float(value))


def _padded(mode: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, padding: Ints) -> str:
        return _pad(n, self, padding, mode)

    return convert


def _pixel_shuffle(n: TorchContext, self: Tensor, upscale_factor: int) -> str:
    lead, flat = n.shape(self)[:-3], n.reshape(self, (_lead(n, self), *n.shape(self)[-3:]))
    made = n.do("depth_to_space", flat, block=upscale_factor, depth_first=False)
    return n.reshape(made, (*lead, *n.shape(made)[1:]))


def _lead(n: TorchContext, x: str) -> int:
    if n.rank(x) < 3:
        n.error("it takes [channel, height, width] data.")
    return math.prod(n.shape(x)[:-3])


def _pixel_unshuffle(n: TorchContext, self: Tensor, downscale_factor: int) -> str:
    lead, count, r = n.shape(self)[:-3], _lead(n, self), downscale_factor
    c, h, w = n.shape(self)[-3:]
    if r < 1 or h % r or w % r:
        n.error(f"{h} x {w} pixels are no blocks of {r}.")
    x = n.reshape(self, (count, c, h // r, r, w // r, r))
    return n.reshape(n.transpose(x, (0, 1, 3, 5, 2, 4)), (*lead, c * r * r, h // r, w // r))


def _channel_shuffle(n: TorchContext, self: Tensor, groups: int) -> str:
    shape = n.shape(self)
    if groups < 1 or len(shape) < 3 or shape[1] % groups:
        n.error(f"{list(shape)} in {groups} groups of channels.")
    x = n.reshape(self, (shape[0], groups, shape[1] // groups, math.prod(shape[2:])))
    return n.reshape(n.transpose(x, (0, 2, 1, 3)), shape)


def _meshgrid(n: TorchContext, tensors: Tensors) -> list[str]:
    return _meshgrid_by(n, tensors, indexing="ij")


def _meshgrid_by(n: TorchContext, tensors: Tensors, *, indexing: str) -> list[str]:
    sizes = [n.typeof(t).size for t in tensors]
    swap = indexing == "xy" and len(sizes) > 1
    order = [1, 0, *range(2, len(sizes))] if swap else list(range(len(sizes)))
    shape = tuple(sizes[k] for k in order)
    return [
        n.expand(n.reshape(t, [s if a == order.index(k) else 1 for a in range(len(sizes))]), shape)
        for k, (t, s) in enumerate(zip(tensors, sizes))
    ]


CONVERTERS: dict[str, Row] = {
    **aten("unfold.default unfold_copy.default", _unfold),
    **aten("as_strided.default as_strided_copy.default", _as_strided),
    **aten("diagonal.default diagonal_copy.default", _diagonal),
    **aten("diag_embed.default", _diag_embed),
    **aten("diag.default", _diag),
    **aten("tril.default", _tri(False)),
    **aten("triu.default", _tri(True)),
    **aten("pad.default", _pad),
    **aten("constant_pad_nd.default", _constant_pad),
    **aten("reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default",
           _padded("reflect")),
    **aten("replication_pad1d.default replication_pad2d.default replication_pad3d.default",
           _padded("replicate")),
    **aten("pixel_shuffle.default", _pixel_shuffle),
    **aten("pixel_unshuffle.default", _pixel_unshuffle),
    **aten("channel_shuffle.default native_channel_shuffle.default", _channel_shuffle),
    **aten("meshgrid.default", _meshgrid),
    **aten("meshgrid.indexing", _meshgrid_by),
}  # fmt: skip
