"""Views, movement of elements, and tensors made out of nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .context import Ints, Row, Tensor, Tensors, TorchContext, aten
from .ops_make import MAX_MADE

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


def _reshape_alias(n: TorchContext, self: Tensor, size: Ints, stride: Ints) -> str:
    return view(n, self, size)


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


def _deep(n: TorchContext, tensors: Tensors) -> str:
    return _cat(n, tuple(_at_least(3)(n, t) for t in tensors), 2)


def _block_diag(n: TorchContext, tensors: Tensors) -> str:
    parts = [n.reshape(t, (1,) * (2 - n.rank(t)) + n.shape(t)) for t in tensors]
    d = n.promoted(*parts)
    width, at, rows = sum(n.shape(p)[1] for p in parts), 0, []
    for p in parts:
        columns = n.shape(p)[1]
        rows.append(n.do("pad", n.cast(p, d), pads=(0, at, 0, width - at - columns)))
        at += columns
    return n.concat(rows, 0)


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


def taken(
    n: TorchContext, x: str, axis: int, start: int | None, end: int | None, step: int
) -> range:
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


def _fliplr(n: TorchContext, self: Tensor) -> str:
    return _flip(n, self, (1,))


def _flipud(n: TorchContext, self: Tensor) -> str:
    return _flip(n, self, (0,))


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


# -- the same tensor


def _same(n: TorchContext, self: Tensor) -> str:
    return self


CONVERTERS: dict[str, Row] = {
    **aten("view.default _unsafe_view.default view_copy.default", _view),
    **aten("reshape.default", _reshape),
    **aten("_reshape_alias.default", _reshape_alias),
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
    **aten("dstack.default", _deep),
    **aten("block_diag.default", _block_diag),
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
    **aten("fliplr.default", _fliplr),
    **aten("flipud.default", _flipud),
    **aten("roll.default", _roll),
    **aten("rot90.default", _rot90),
    **aten("alias.default alias_copy.default clone.default contiguous.default detach.default "
           "detach_copy.default lift_fresh_copy.default lift.default lift_fresh.default "
           "resolve_conj.default resolve_neg.default", _same),
}  # fmt: skip
