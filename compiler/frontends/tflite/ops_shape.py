"""Shapes and the movement of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..blocks import Masks, batch_to_space, space_to_batch, strided_slice
from .context import Converter, TfliteContext
from .tensors import held

_REFLECT, _SYMMETRIC = 0, 1


def _reshape(n: TfliteContext) -> str:
    n.required(0)
    shape = n.ints(1) if n.input(1) else list(n.attr("new_shape", []))
    if shape == [0] and not n.input(1):  # how early converters wrote a scalar
        shape = []
    return n.reshape(n.inputs[0], shape)


def _squeeze(n: TfliteContext) -> str:
    shape = n.required(0).shape
    axes = {n.axis(a, len(shape)) for a in n.attr("squeeze_dims", [])}
    drop = axes or {k for k, d in enumerate(shape) if d == 1}
    if any(shape[k] != 1 for k in drop):
        n.error(f"the axes {sorted(drop)} of {list(shape)} are not all of extent 1.")
    return n.reshape(n.inputs[0], [d for k, d in enumerate(shape) if k not in drop])


def _expand_dims(n: TfliteContext) -> str:
    shape = list(n.required(0).shape)
    shape.insert(n.axis(n.number(1), len(shape) + 1), 1)
    return n.reshape(n.inputs[0], shape)


def _transpose(n: TfliteContext) -> str:
    rank = len(n.required(0).shape)
    perm = tuple(n.axis(p, rank) for p in n.ints(1))
    if sorted(perm) != list(range(rank)):
        n.error(f"{list(perm)} is no order of {rank} axes.")
    return n.add("transpose", n.inputs[:1], perm=perm)


def _concatenation(n: TfliteContext) -> str:
    axis = n.axis(n.attr("axis", 0), len(n.required(0).shape))
    return n.activated(n.add("concat", n.inputs, axis=axis))


def _pack(n: TfliteContext) -> str:
    shape = list(n.required(0).shape)
    axis = n.axis(n.attr("axis", 0), len(shape) + 1)
    shape.insert(axis, 1)
    return n.add("concat", [n.reshape(x, shape) for x in n.inputs], axis=axis)


def _part(n: TfliteContext, axis: int, start: int, size: int) -> str:
    shape = list(n.typeof(n.inputs[-1] if n.op == "SPLIT" else n.inputs[0]).shape)
    x = n.inputs[-1] if n.op == "SPLIT" else n.inputs[0]
    starts = [0] * len(shape)
    starts[axis], shape[axis] = start, size
    return n.add("slice", [x], starts=tuple(starts), shape=tuple(shape))


def _unpack(n: TfliteContext) -> Sequence[str]:
    shape = n.required(0).shape
    axis = n.axis(n.attr("axis", 0), len(shape))
    if shape[axis] != n.n_outputs:
        n.error(f"it makes {n.n_outputs} tensors of axis {axis} of {list(shape)}.")
    rest = [d for k, d in enumerate(shape) if k != axis]
    return [n.reshape(_part(n, axis, k, 1), rest) for k in range(shape[axis])]


def _split(n: TfliteContext) -> Sequence[str]:
    shape = n.required(1).shape
    axis, count = n.axis(n.number(0), len(shape)), n.n_outputs
    if count < 1 or shape[axis] % count:
        n.error(f"{count} parts do not divide axis {axis} of {list(shape)}.")
    size = shape[axis] // count
    return [_part(n, axis, k * size, size) for k in range(count)]


def _split_v(n: TfliteContext) -> Sequence[str]:
    shape, sizes = n.required(0).shape, n.ints(1)
    axis = n.axis(n.number(2), len(shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = shape[axis] - sum(s for s in sizes if s != -1)
    if min(sizes, default=0) < 0 or sum(sizes) != shape[axis]:
        n.error(f"the sizes {sizes} do not make {shape[axis]}.")
    starts = np.cumsum([0, *sizes])
    return [_part(n, axis, int(at), size) for at, size in zip(starts, sizes)]


def _slice(n: TfliteContext) -> str:
    shape, sizes = n.required(0).shape, n.ints(2)
    if n.is_const(1):
        starts = n.ints(1)
        if not len(starts) == len(sizes) == len(shape):
            n.error(f"begin and size of {list(shape)} have {len(starts)}, {len(sizes)} entries.")
        counts = [d - s if c == -1 else c for d, s, c in zip(shape, starts, sizes)]
        if any(s < 0 or c < 0 or s + c > d for d, s, c in zip(shape, starts, counts)):
            n.error(f"begin {starts}, size {sizes} lie outside of {list(shape)}.")
        return n.add("slice", n.inputs[:1], starts=tuple(starts), shape=tuple(counts))
    if -1 in sizes:
        n.unsupported("a slice to the end from where only data knows")
    starts = n.add("cast", [n.inputs[1]], to="int32")
    return n.add("slice_at", [n.inputs[0], starts], shape=tuple(sizes))


def _strided_slice(n: TfliteContext) -> str:
    n.required(0)
    masks = Masks(*(n.attr(f"{k}_mask", 0) for k in
                    ("begin", "end", "ellipsis", "new_axis", "shrink_axis")))  # fmt: skip
    begin, end, strides = (n.ints(k) for k in (1, 2, 3))
    return strided_slice(n, n.inputs[0], begin, end, strides, masks, bool(n.attr("offset", False)))


def _tile(n: TfliteContext) -> str:
    repeats = n.ints(1)
    t = n.required(0)
    n.checked([d * max(r, 0) for d, r in zip(t.shape, repeats)])
    return n.add("tile", n.inputs[:1], repeats=tuple(repeats))


def _pairs(n: TfliteContext, i: int, rank: int) -> list[list[int]]:
    value = n.ints(i)
    if len(value) != 2 * rank:
        n.error(f"its input {i} has {len(value)} numbers, not two for each of {rank} axes.")
    return [value[2 * k : 2 * k + 2] for k in range(rank)]


def pads_of(n: TfliteContext) -> tuple[int, ...]:
    """The pads of input 1, those before each axis, then those after."""
    t = n.required(0)
    pairs = _pairs(n, 1, len(t.shape))
    if any(v < 0 for p in pairs for v in p):
        n.error("pads are negative.")
    n.checked([d + p[0] + p[1] for d, p in zip(t.shape, pairs)])
    return (*(p[0] for p in pairs), *(p[1] for p in pairs))


def _pad(n: TfliteContext) -> str:
    q = n.quant(0)
    value = q.one[1] if q is not None and q.is_scalar else 0
    return n.add("pad", n.inputs[:1], pads=pads_of(n), value=value)


def _pad_v2(n: TfliteContext) -> str:
    value = n.reshape(n.inputs[2], ())
    return n.add("pad", [n.inputs[0], value], pads=pads_of(n))


def _mirror_pad(n: TfliteContext) -> str:
    pads, mode = pads_of(n), n.attr("mode", _REFLECT)
    if mode == _REFLECT:
        return n.add("pad", n.inputs[:1], pads=pads, mode="reflect")
    if mode != _SYMMETRIC:
        n.error(f"there is no mode {mode}.")
    x, rank = n.inputs[0], len(n.required(0).shape)
    for k in range(rank):
        size, before, after = n.typeof(x).shape[k], pads[k], pads[rank + k]
        if before or after:
            if max(before, after) > size:
                n.error(f"pads {before}, {after} mirror {size} elements.")
            around = np.pad(np.arange(size, dtype=np.int32), (before, after), mode="symmetric")
            x = n.add("gather", [x, n.constant(around)], axis=k, wrap=False)
    return x


def _reverse(n: TfliteContext) -> str:
    shape = n.required(0).shape
    axes = {n.axis(a, len(shape)) for a in n.ints(1)}
    starts = tuple(max(d - 1, 0) if k in axes else 0 for k, d in enumerate(shape))
    steps = tuple(-1 if k in axes else 1 for k in range(len(shape)))
    return n.add("slice", n.inputs[:1], starts=starts, shape=shape, steps=steps)


def _reverse_sequence(n: TfliteContext) -> str:
    return n.add("reverse_sequence", n.inputs[:2], batch_axis=n.attr("batch_dim", 0),
                 time_axis=n.attr("seq_dim", 0))  # fmt: skip


def _broadcast_to(n: TfliteContext) -> str:
    n.required(0)
    return n.add("expand", n.inputs[:1], shape=n.checked(n.ints(1)))


def _broadcast_args(n: TfliteContext) -> str:
    shape = np.broadcast_shapes(tuple(n.ints(0)), tuple(n.ints(1)))
    return n.constant(np.array(shape, n.required(0).dtype.numpy))


def _space_to_depth(n: TfliteContext) -> str:
    return _blocks(n, "space_to_depth")


def _depth_to_space(n: TfliteContext) -> str:
    return _blocks(n, "depth_to_space")


def _blocks(n: TfliteContext, op: str) -> str:
    if len(n.required(0).shape) != 4:
        n.error(f"it takes images, not {n.type(0)}.")
    x = n.add("transpose", n.inputs[:1], perm=(0, 3, 1, 2))
    y = n.add(op, [x], block=n.attr("block_size"), depth_first=True)
    return n.add("transpose", [y], perm=(0, 2, 3, 1))


def _space_to_batch(n: TfliteContext) -> str:
    n.required(0)
    block, q = n.ints(1), n.quant(0)
    value = q.one[1] if q is not None else 0
    return space_to_batch(n, n.inputs[0], block, _pairs(n, 2, len(block)), value)


def _batch_to_space(n: TfliteContext) -> str:
    n.required(0)
    block = n.ints(1)
    return batch_to_space(n, n.inputs[0], block, _pairs(n, 2, len(block)))


def _shape(n: TfliteContext) -> str:
    to = held(n.attr("out_type", 2), n.where)
    return n.constant(np.array(n.required(0).shape, to.numpy))


def _rank(n: TfliteContext) -> str:
    return n.constant(np.array(len(n.required(0).shape), np.int32))


def _fill(n: TfliteContext) -> str:
    return n.add("expand", [n.reshape(n.inputs[1], ())], shape=n.checked(n.ints(0)))


def _zeros_like(n: TfliteContext) -> str:
    t = n.required(0)
    return n.constant(np.zeros(n.checked(t.shape), t.dtype.numpy))


def _range(n: TfliteContext) -> str:
    start, limit, delta = (n.const(k) for k in range(3))
    if start is None or limit is None or delta is None or not delta.reshape(-1)[0]:
        n.error("its start, limit or step is absent, or the step is 0.")
    a, b, d = (v.reshape(-1)[0].item() for v in (start, limit, delta))
    count = max(0, math.ceil((b - a) / d))
    n.checked([count])
    # Element by element from the start, as there: float32 sums are not products.
    dtype = start.dtype
    if dtype.kind == "f":
        return n.constant(np.cumsum(np.r_[a, np.full(max(count - 1, 0), d)].astype(dtype),
                                    dtype=dtype)[:count])  # fmt: skip
    return n.constant((a + np.arange(count) * d).astype(dtype))


def _matrix_diag(n: TfliteContext) -> str:
    t = n.required(0)
    size = t.shape[-1]
    n.checked([*t.shape, size])
    eye = n.constant(np.eye(size, dtype=bool))
    x = n.add("expand", [n.reshape(n.inputs[0], (*t.shape[:-1], size, 1))],
              shape=(*t.shape, size))  # fmt: skip
    return n.add("where", [eye, x, n.full(0, x)])


def _matrix_set_diag(n: TfliteContext) -> str:
    t = n.required(0)
    rows, columns = t.shape[-2:]
    eye = n.constant(np.eye(rows, columns, dtype=bool))
    d = n.inputs[1]
    least = min(rows, columns)
    if rows <= columns:
        d = n.reshape(d, (*t.shape[:-2], least, 1))
    else:
        d = n.reshape(d, (*t.shape[:-2], 1, least))
    return n.add("where", [eye, d, n.inputs[0]])


def _densify(n: TfliteContext) -> str:
    n.required(0)
    return n.inputs[0]  # a sparse constant was made dense when it was read


def _dilate(n: TfliteContext) -> str:
    """Elements apart by the counts of input 1, the value of input 2 between them."""
    t, steps = n.required(0), n.ints(1)
    if len(steps) != len(t.shape) or min(steps, default=1) < 1:
        n.error(f"the dilations {steps} do not fit {t}.")
    x = n.inputs[0]
    value = n.reshape(n.inputs[2], ())
    for k, step in enumerate(steps):
        shape = n.typeof(x).shape
        if step == 1 or not shape[k]:
            continue
        n.checked([d * (step if a == k else 1) for a, d in enumerate(shape)])
        x = n.reshape(x, (*shape[: k + 1], 1, *shape[k + 1 :]))
        after = [0] * (len(shape) + 1)
        after[k + 1] = step - 1
        x = n.add("pad", [x, value], pads=(*(0,) * len(after), *after))
        x = n.reshape(x, (*shape[:k], shape[k] * step, *shape[k + 1 :]))
        cut = [0] * len(shape)
        cut[k] = 1 - step
        x = n.add("pad", [x], pads=(*(0,) * len(cut), *cut))
    return x


CONVERTERS: dict[str, Converter] = {
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "BROADCAST_ARGS": _broadcast_args,
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "DENSIFY": _densify,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DILATE": _dilate,
    "EXPAND_DIMS": _expand_dims,
    "FILL": _fill,
    "MATRIX_DIAG": _matrix_diag,
    "MATRIX_SET_DIAG": _matrix_set_diag,
    "MIRROR_PAD": _mirror_pad,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad_v2,
    "RANGE": _range,
    "RANK": _rank,
    "RESHAPE": _reshape,
    "REVERSE_SEQUENCE": _reverse_sequence,
    "REVERSE_V2": _reverse,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
    "ZEROS_LIKE": _zeros_like,
}
