"""Views, movement of elements, and tensors made out of nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ....runtime.dtype import DType, dtype_of
from .context import Ints, Number, Row, Tensor, Tensors, TorchContext, aten
from .program import ScalarType

MAX_MADE = 1 << 24  # elements of a constant that a node may ask for out of nothing
_FLOAT32, _INT64 = dtype_of("float32"), dtype_of("int64")


# -- the same elements under other extents


def view(n: TorchContext, x: str, shape: Sequence[int]) -> str:
    """``x`` with the extents ``shape``, of which one may be -1."""
    size, rest = n.typeof(x).size, math.prod(d for d in shape if d != -1)
    found = list(shape)
    if found.count(-1) > 1 or min(found, default=0) < -1:
        n.error(f"the shape {found} is none.")
    if -1 in found:
        if not rest or size % rest:
            n.error(f"{size} elements cannot become {found}.")
        found[found.index(-1)] = size // rest
    return n.reshape(x, found)


def _view(n: TorchContext, self: Tensor, size: Ints) -> str:
    return view(n, self, size)


def _reshape(n: TorchContext, self: Tensor, shape: Ints) -> str:
    return view(n, self, shape)


def _view_as(n: TorchContext, self: Tensor, other: Tensor) -> str:
    return n.reshape(self, n.shape(other))


def _flatten(n: TorchContext, self: Tensor, start_dim: int = 0, end_dim: int = -1) -> str:
    shape = n.shape(self) or (1,)
    a, b = n.axis(start_dim, len(shape)), n.axis(end_dim, len(shape))
    return n.reshape(self, (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]))


def _unflatten(n: TorchContext, self: Tensor, dim: int, sizes: Ints) -> str:
    shape, axis = n.shape(self), n.axis(dim, n.rank(self))
    free = [-1 if s == -1 else s for s in sizes]
    if -1 in free:
        rest = -math.prod(free)
        free[free.index(-1)] = shape[axis] // max(rest, 1)
    return n.reshape(self, (*shape[:axis], *free, *shape[axis + 1 :]))


def _squeeze(n: TorchContext, self: Tensor) -> str:
    return n.reshape(self, [d for d in n.shape(self) if d != 1])


def _squeeze_dims(n: TorchContext, self: Tensor, dim: Ints) -> str:
    shape = n.shape(self)
    drop = {n.axis(d, len(shape)) for d in dim}
    return n.reshape(self, [d for k, d in enumerate(shape) if not (k in drop and d == 1)])


def _unsqueeze(n: TorchContext, self: Tensor, dim: int) -> str:
    shape = list(n.shape(self))
    shape.insert(n.axis(dim, len(shape) + 1), 1)
    return n.reshape(self, shape)


def _at_least(rank: int) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        shape = n.shape(self)
        if len(shape) >= rank:
            return self
        if rank == 3 and len(shape) == 2:
            return n.reshape(self, (*shape, 1))
        return n.reshape(self, ((1,) * (rank - 1 if rank < 3 else 1) + shape + (1,))[:rank]
                         if rank == 3 else (1,) * (rank - len(shape)) + shape)  # fmt: skip

    return convert


# -- axes in another order


def _permute(n: TorchContext, self: Tensor, dims: Ints) -> str:
    perm = n.axes(dims, n.rank(self)) if dims else ()
    if len(perm) != n.rank(self):
        n.error(f"{dims} does not order {n.rank(self)} axes.")
    return n.transpose(self, perm)


def _transpose(n: TorchContext, self: Tensor, dim0: int, dim1: int) -> str:
    perm = list(range(n.rank(self)))
    a, b = n.axis(dim0, len(perm)), n.axis(dim1, len(perm))
    if perm:
        perm[a], perm[b] = perm[b], perm[a]
    return n.transpose(self, perm)


def _swapped(n: TorchContext, self: Tensor, axis0: int, axis1: int) -> str:
    return _transpose(n, self, axis0, axis1)


def _t(n: TorchContext, self: Tensor) -> str:
    return n.transpose(self, (1, 0)) if n.rank(self) == 2 else self


def _reversed(n: TorchContext, self: Tensor) -> str:
    return n.transpose(self, tuple(reversed(range(n.rank(self)))))


def _matrix_transposed(n: TorchContext, self: Tensor) -> str:
    return _transpose(n, self, -2, -1)


def _movedim(n: TorchContext, self: Tensor, source: Ints, destination: Ints) -> str:
    rank = n.rank(self)
    if len(source) != len(destination):
        n.error(f"{source} and {destination} are not as many.")
    if not source:
        return self
    to = dict(zip(n.axes(destination, rank), n.axes(source, rank)))
    rest = iter(k for k in range(rank) if k not in to.values())
    return n.transpose(self, [to[k] if k in to else next(rest) for k in range(rank)])


# -- repetition


def _expand(n: TorchContext, self: Tensor, size: Ints, *, implicit: bool = False) -> str:
    shape = n.shape(self)
    more = len(size) - len(shape)
    if more < 0:
        n.error(f"{list(shape)} does not stretch to {list(size)}.")
    full = [s if s != -1 else (shape[k - more] if k >= more else -1) for k, s in enumerate(size)]
    if min(full, default=0) < 0:
        n.error(f"the shape {list(size)} is none.")
    return n.expand(self, full)


def _expand_as(n: TorchContext, self: Tensor, other: Tensor) -> str:
    return n.expand(self, n.shape(other))


def _broadcast_to(n: TorchContext, self: Tensor, size: Ints) -> str:
    return _expand(n, self, size)


def _broadcast_tensors(n: TorchContext, tensors: Tensors) -> list[str]:
    shape = np.broadcast_shapes(*(n.shape(t) for t in tensors))
    return [n.expand(t, shape) for t in tensors]


def _repeat(n: TorchContext, self: Tensor, repeats: Ints) -> str:
    shape = n.shape(self)
    x = n.reshape(self, (1,) * (len(repeats) - len(shape)) + shape)
    if len(repeats) < len(shape):
        n.error(f"{list(repeats)} for {len(shape)} axes.")
    return n.do("tile", x, repeats=repeats) if any(r != 1 for r in repeats) else x


def _tile(n: TorchContext, self: Tensor, dims: Ints) -> str:
    return _repeat(n, self, (1,) * (n.rank(self) - len(dims)) + dims)


def _repeat_interleave(
    n: TorchContext, self: Tensor, repeats: int, dim: int | None = None, *,
    output_size: int | None = None,
) -> str:  # fmt: skip
    if dim is None:
        self, dim = n.reshape(self, (n.typeof(self).size,)), 0
    axis = n.axis(dim, n.rank(self))
    if repeats == 1:
        return self
    index = np.repeat(np.arange(n.shape(self)[axis]), max(repeats, 0))
    if len(index) > MAX_MADE:
        n.unsupported(f"{len(index)} repeated elements")
    return n.do("gather", self, n.constant(index.astype(np.int32)), axis=axis, wrap=False)


# -- joining and cutting


def _cat(n: TorchContext, tensors: Tensors, dim: int = 0) -> str:
    """Empty vectors, which PyTorch lets join anything, are left out."""
    some = [t for t in tensors if n.shape(t) != (0,)] or list(tensors[:1])
    if not some:
        n.error("there is nothing to join.")
    d = n.promoted(*tensors)
    return n.concat([n.cast(t, d) for t in some], n.axis(dim, n.rank(some[0])))


def _stack(n: TorchContext, tensors: Tensors, dim: int = 0) -> str:
    if not tensors:
        n.error("there is nothing to stack.")
    return _cat(n, tuple(_unsqueeze(n, t, dim) for t in tensors), dim)


def _joined(axis: int, least: int) -> Callable[..., str]:
    def convert(n: TorchContext, tensors: Tensors) -> str:
        parts = [n.reshape(t, (1,) * (least - n.rank(t)) + n.shape(t)) for t in tensors]
        return _cat(n, tuple(parts), axis if n.rank(parts[0]) > axis else 0)

    return convert


def _parts(n: TorchContext, x: str, axis: int, sizes: Sequence[int]) -> list[str]:
    if sum(sizes) != n.shape(x)[axis] or min(sizes, default=0) < 0:
        n.error(f"parts of {list(sizes)} do not make up {n.shape(x)[axis]}.")
    starts = np.cumsum([0, *sizes])
    return [n.cut(x, axis, int(b), c) for b, c in zip(starts, sizes)]


def _split(n: TorchContext, self: Tensor, split_size: int, dim: int = 0) -> list[str]:
    axis = n.axis(dim, n.rank(self))
    total = n.shape(self)[axis]
    if split_size < 1:
        n.error(f"parts of {split_size} elements.")
    return _parts(n, self, axis, [
        min(split_size, total - b) for b in range(0, max(total, 1), split_size)
    ])  # fmt: skip


def _split_sizes(n: TorchContext, self: Tensor, split_sizes: Ints, dim: int = 0) -> list[str]:
    return _parts(n, self, n.axis(dim, n.rank(self)), split_sizes)


def _split_list(n: TorchContext, self: Tensor, split_size: Ints, dim: int = 0) -> list[str]:
    return _split_sizes(n, self, split_size, dim)


def _chunk(n: TorchContext, self: Tensor, chunks: int, dim: int = 0) -> list[str]:
    total = n.shape(self)[n.axis(dim, n.rank(self))]
    if chunks < 1:
        n.error(f"{chunks} parts.")
    return _split(n, self, max(-(-total // chunks), 1), dim)


def _tensor_split(n: TorchContext, self: Tensor, sections: int, dim: int = 0) -> list[str]:
    axis = n.axis(dim, n.rank(self))
    each, more = divmod(n.shape(self)[axis], max(sections, 1))
    return _parts(n, self, axis, [each + (k < more) for k in range(sections)])


def _tensor_split_at(n: TorchContext, self: Tensor, indices: Ints, dim: int = 0) -> list[str]:
    axis = n.axis(dim, n.rank(self))
    total = n.shape(self)[axis]
    found, last = [], 0
    for e in (*indices, total):
        end = min(max(e if e >= 0 else e + total, 0), total)
        found.append(n.cut(self, axis, last, max(end - last, 0)))
        last = end
    return found


def _unbind(n: TorchContext, self: Tensor, dim: int = 0) -> list[str]:
    return [select(n, self, dim, k) for k in range(n.shape(self)[n.axis(dim, n.rank(self))])]


def select(n: TorchContext, x: str, dim: int, index: int) -> str:
    """One place along an axis, which is then gone."""
    axis, shape = n.axis(dim, n.rank(x)), n.shape(x)
    if not shape or not -shape[axis] <= index < shape[axis]:
        n.error(f"there is no place {index} along the axis {dim} of {list(shape)}.")
    one = n.cut(x, axis, index % shape[axis], 1)
    return n.reshape(one, (*shape[:axis], *shape[axis + 1 :]))


def _select(n: TorchContext, self: Tensor, dim: int, index: int) -> str:
    return select(n, self, dim, index)


def taken(n: TorchContext, x: str, axis: int, start: int | None, end: int | None, step: int) -> range:
    """The places of a slice."""
    if step < 1:
        n.error(f"a slice has the step {step}.")
    return range(*slice(start, end, step).indices(n.shape(x)[axis]))


def _slice(
    n: TorchContext, self: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> str:  # fmt: skip
    axis = n.axis(dim, n.rank(self))
    r = taken(n, self, axis, start, end, step)
    return n.cut(self, axis, r.start if r else 0, len(r), step)


def _narrow(n: TorchContext, self: Tensor, dim: int, start: int, length: int) -> str:
    axis = n.axis(dim, n.rank(self))
    start += n.shape(self)[axis] if start < 0 else 0
    return n.cut(self, axis, start, length)


def _flip(n: TorchContext, self: Tensor, dims: Ints) -> str:
    shape, axes = n.shape(self), n.axes(dims, n.rank(self)) if dims else ()
    if not axes or 0 in shape:
        return self
    starts = [d - 1 if k in axes else 0 for k, d in enumerate(shape)]
    steps = [-1 if k in axes else 1 for k in range(len(shape))]
    return n.do("slice", self, starts=tuple(starts), shape=shape, steps=tuple(steps))


def _roll(n: TorchContext, self: Tensor, shifts: Ints, dims: Ints = ()) -> str:
    shape = n.shape(self)
    x = self if dims else n.reshape(self, (n.typeof(self).size,))
    for shift, axis in zip(shifts, n.axes(dims, n.rank(x)) if dims else (0,)):
        extent = n.shape(x)[axis]
        by = shift % extent if extent else 0
        if by:
            ends = n.cut(x, axis, extent - by, by), n.cut(x, axis, 0, extent - by)
            x = n.concat(ends, axis)
    return n.reshape(x, shape)


def _rot90(n: TorchContext, self: Tensor, k: int = 1, dims: Ints = (0, 1)) -> str:
    a, b = n.axes(dims, n.rank(self))
    turns = k % 4
    if turns == 2:
        return _flip(n, self, (a, b))
    if not turns:
        return self
    flipped = _flip(n, self, (b if turns == 1 else a,))
    return _transpose(n, flipped, a, b)


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


def _diagonal(
    n: TorchContext, self: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> str:
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


# -- the same tensor


def _same(n: TorchContext, self: Tensor) -> str:
    return self


# -- out of nothing


def _made(n: TorchContext, size: Sequence[int], value: Number, dtype: DType) -> str:
    if min(size, default=0) < 0:
        n.error(f"the shape {list(size)} has a negative extent.")
    return n.expand(n.number(value, dtype), tuple(size))


def _filled(value: Number) -> Callable[..., str]:
    def convert(n: TorchContext, size: Ints, *, dtype: ScalarType | None = None) -> str:
        return _made(n, size, value, n.scalar_type(dtype, _FLOAT32))

    return convert


def _filled_like(value: Number) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, *, dtype: ScalarType | None = None) -> str:
        return _made(n, n.shape(self), value, n.scalar_type(dtype, n.dtype(self)))

    return convert


def _new_filled(value: Number) -> Callable[..., str]:
    def convert(
        n: TorchContext, self: Tensor, size: Ints, *, dtype: ScalarType | None = None
    ) -> str:
        return _made(n, size, value, n.scalar_type(dtype, n.dtype(self)))

    return convert


def _full(
    n: TorchContext, size: Ints, fill_value: Number, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, size, fill_value, n.scalar_type(dtype, n.promoted(fill_value)))


def _full_like(
    n: TorchContext, self: Tensor, fill_value: Number, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, n.shape(self), fill_value, n.scalar_type(dtype, n.dtype(self)))


def _new_full(
    n: TorchContext, self: Tensor, size: Ints, fill_value: Number, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    return _made(n, size, fill_value, n.scalar_type(dtype, n.dtype(self)))


def _scalar_tensor(n: TorchContext, s: Number, *, dtype: ScalarType | None = None) -> str:
    return n.number(s, n.scalar_type(dtype, n.promoted(s)))


def _fill(n: TorchContext, self: Tensor, value: Tensor | Number) -> str:
    return n.expand(n.operand(value, n.dtype(self)), n.shape(self))


def _empty_strided(
    n: TorchContext, size: Ints, stride: Ints, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, size, 0, n.scalar_type(dtype, _FLOAT32))


def _empty_permuted(
    n: TorchContext, size: Ints, physical_layout: Ints, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, size, 0, n.scalar_type(dtype, _FLOAT32))


def _arange_from(
    n: TorchContext, start: Number, end: Number, step: Number = 1, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    if not step or not all(map(math.isfinite, (start, end, step))):
        n.error(f"a range from {start} to {end} by {step}.")
    count = max(math.ceil((end - start) / step), 0)
    if count > MAX_MADE:
        n.unsupported(f"a range of {count} elements")
    whole = all(isinstance(v, int) for v in (start, end, step))
    to = n.scalar_type(dtype, _INT64 if whole else _FLOAT32)
    values = np.arange(count, dtype=np.int64 if whole else np.float64) * step + start
    return n.constant(values.astype(to.numpy))


def _arange(n: TorchContext, end: Number, *, dtype: ScalarType | None = None) -> str:
    return _arange_from(n, 0, end, dtype=dtype)


def _linspace(
    n: TorchContext, start: Number, end: Number, steps: int, *, dtype: ScalarType | None = None
) -> str:
    """From both ends to the middle, as ATen does."""
    if not 0 <= steps <= MAX_MADE:
        n.error(f"{steps} steps.")
    to = n.scalar_type(dtype, _FLOAT32).numpy
    k = np.arange(steps)
    step = (end - start) / max(steps - 1, 1)
    values = np.where(k < steps // 2, start + k * step, end - (steps - 1 - k) * step)
    return n.constant((values if steps > 1 else np.full(steps, start, np.float64)).astype(to))


def _eye(c: TorchContext, n: int, m: int | None = None, *, dtype: ScalarType | None = None) -> str:
    columns = n if m is None else m
    if n < 0 or columns < 0 or n * columns > MAX_MADE:
        c.error(f"a matrix of {n} x {columns}.")
    return c.constant(np.eye(n, columns, dtype=c.scalar_type(dtype, _FLOAT32).numpy))


def _tri_indices(upper: bool) -> Callable[..., str]:
    def convert(
        n: TorchContext, row: int, col: int, offset: int = 0, *, dtype: ScalarType | None = None
    ) -> str:
        if min(row, col) < 0 or row * col > MAX_MADE:
            n.error(f"a matrix of {row} x {col}.")
        found = np.triu_indices(row, offset, col) if upper else np.tril_indices(row, offset, col)
        return n.constant(np.stack(found).astype(n.scalar_type(dtype, _INT64).numpy))

    return convert


CONVERTERS: dict[str, Row] = {
    **aten("view.default _unsafe_view.default view_copy.default", _view),
    **aten("reshape.default _reshape_alias.default", _reshape),
    **aten("view_as.default reshape_as.default", _view_as),
    **aten("flatten.using_ints", _flatten),
    **aten("unflatten.int", _unflatten),
    **aten("squeeze.default squeeze_copy.default", _squeeze),
    **aten("squeeze.dim squeeze.dims squeeze_copy.dim squeeze_copy.dims", _squeeze_dims),
    **aten("unsqueeze.default unsqueeze_copy.default", _unsqueeze),
    **aten("atleast_1d.default", _at_least(1)),
    **aten("atleast_2d.default", _at_least(2)),
    **aten("atleast_3d.default", _at_least(3)),
    **aten("permute.default permute_copy.default", _permute),
    **aten("transpose.int transpose_copy.int swapdims.default", _transpose),
    **aten("swapaxes.default", _swapped),
    **aten("t.default t_copy.default", _t),
    **aten("numpy_T.default", _reversed),
    **aten("mT.default matrix_H.default adjoint.default", _matrix_transposed),
    **aten("movedim.intlist movedim.int moveaxis.intlist moveaxis.int", _movedim),
    **aten("expand.default expand_copy.default", _expand),
    **aten("expand_as.default", _expand_as),
    **aten("broadcast_to.default", _broadcast_to),
    **aten("broadcast_tensors.default", _broadcast_tensors),
    **aten("repeat.default", _repeat),
    **aten("tile.default", _tile),
    **aten("repeat_interleave.self_int", _repeat_interleave),
    **aten("cat.default concat.default concatenate.default", _cat),
    **aten("stack.default", _stack),
    **aten("hstack.default column_stack.default", _joined(1, 1)),
    **aten("vstack.default", _joined(0, 2)),
    **aten("split.Tensor", _split),
    **aten("split.sizes", _split_list),
    **aten("split_with_sizes.default split_with_sizes_copy.default", _split_sizes),
    **aten("chunk.default", _chunk),
    **aten("tensor_split.sections", _tensor_split),
    **aten("tensor_split.indices", _tensor_split_at),
    **aten("unbind.int unbind_copy.int", _unbind),
    **aten("select.int select_copy.int", _select),
    **aten("slice.Tensor slice_copy.Tensor", _slice),
    **aten("narrow.default narrow_copy.default", _narrow),
    **aten("flip.default", _flip),
    **aten("roll.default", _roll),
    **aten("rot90.default", _rot90),
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
    **aten("alias.default alias_copy.default clone.default contiguous.default detach.default "
           "detach_copy.default lift_fresh_copy.default lift.default lift_fresh.default "
           "resolve_conj.default resolve_neg.default", _same),
    **aten("zeros.default empty.memory_format", _filled(0)),
    **aten("ones.default", _filled(1)),
    **aten("zeros_like.default empty_like.default", _filled_like(0)),
    **aten("ones_like.default", _filled_like(1)),
    **aten("new_zeros.default new_empty.default", _new_filled(0)),
    **aten("new_ones.default", _new_filled(1)),
    **aten("full.default", _full),
    **aten("full_like.default", _full_like),
    **aten("new_full.default", _new_full),
    **aten("fill.Scalar fill.Tensor", _fill),
    **aten("scalar_tensor.default", _scalar_tensor),
    **aten("empty_strided.default", _empty_strided),
    **aten("empty_permuted.default", _empty_permuted),
    **aten("arange.default", _arange),
    **aten("arange.start arange.start_step", _arange_from),
    **aten("linspace.default", _linspace),
    **aten("eye.default eye.m", _eye),
    **aten("tril_indices.default", _tri_indices(False)),
    **aten("triu_indices.default", _tri_indices(True)),
}  # fmt: skip
