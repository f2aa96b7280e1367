"""Padding, repetition, and elements in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..blocks import batch_to_space, space_to_batch
from ..images import channels_first, channels_last
from ..sized import Extent, arguments
from ..sized.arguments import Number
from .context import Converter, TFContext
from .ops_shape import cut, sizes_of

# --- padding and repetition -----------------------------------------------------------------------


def _pairs(n: TFContext, i: int, count: int) -> list[tuple[int, int]]:
    value = n.array(i)
    if value.shape != (count, 2):
        n.error(f"input {i} has the shape {list(value.shape)}, not [{count}, 2].")
    return [(int(a), int(b)) for a, b in value]


def _pad_computed(n: TFContext) -> str:
    """With pads behind an axis that data compute, as of lists that are filled up to a length."""
    s, x, ndim = n.sizing, n.inputs[0], len(n.shape(0))
    given = n.numbers(1)
    if given is None or len(given) != 2 * ndim or n.op == "MirrorPad":
        n.unsupported("pads that only data know")
    value = n.number(2) if n.input(2) else 0
    for axis in range(ndim):
        before, after = given[2 * axis : 2 * axis + 2]
        if before.value is None or (before.value and axis in s.sizes(x)):
            n.unsupported("pads in front of an axis that only data know")
        if before.value == after.value == 0:
            continue
        have, more = s.extent(x, axis), arguments.extent(s, after)
        rest = {k: size for k, size in s.sizes(x).items() if k != axis}
        total = Extent(before.value + have.bound + more.bound)
        if have.size or more.size:
            known_total = _filled_up(n, have, after)
            total = s.plus(have, more) if known_total is None else Extent(known_total)
            total = Extent(total.bound + before.value, total.size)
            if before.value and total.size:
                n.unsupported("pads in front of an axis that only data know")
        x = s.masked(x, [axis], value)
        x = s.cut(x, axis, min(have.bound, total.bound))
        behind = total.bound - before.value - n.typeof(x).shape[axis]
        pads = [before.value if k == axis else 0 for k in range(ndim)]
        pads += [behind if k == axis else 0 for k in range(ndim)]
        x = s.add("pad", [x], pads=tuple(pads), value=value)
        x = s.declare(x, {**rest, **({axis: total.size} if total.size else {})})
    return x


def _filled_up(n: TFContext, have: Extent, after: Number) -> int | None:
    """What an axis and what is padded behind it are together, where the pad is a constant less
    the axis."""
    values, e = n.sizing.emitter.values, after.element
    maker = next((m for m in n.sizing.emitter.builder.nodes if e.tensor in m.outputs), None)
    if maker is None or maker.op != "sub" or e.index or not have.size:
        return None
    a, b = (values.element(i, 0) for i in maker.inputs)
    size = values.element(have.size, 0)
    if a.is_known and not b.is_known and (b.tensor, b.index) == (size.tensor, size.index):
        return a.offset + e.offset + size.offset - b.offset
    return None


def _pad(n: TFContext) -> str:
    if n.is_open(0) or not n.is_const(1):
        return _pad_computed(n)
    pairs = _pairs(n, 1, len(n.shape(0)))
    if min((v for p in pairs for v in p), default=0) < 0:
        n.error(f"pads of {pairs}.")
    pads = (*(a for a, _ in pairs), *(b for _, b in pairs))
    if n.op == "MirrorPad":
        mode = {"REFLECT": "reflect", "SYMMETRIC": "symmetric"}[n.text("mode")]
        return _symmetric(n, pairs) if mode == "symmetric" else n.add(
            "pad", n.inputs[:1], pads=pads, mode=mode
        )  # fmt: skip
    if n.input(2) and not n.is_const(2):
        return n.add("pad", [n.inputs[0], n.inputs[2]], pads=pads)
    value = n.number(2) if n.input(2) else 0
    return n.add("pad", n.inputs[:1], pads=pads, value=value)


def _symmetric(n: TFContext, pairs: Sequence[tuple[int, int]]) -> str:
    """Reflected with the outermost elements, which are there twice."""
    x = n.inputs[0]
    for axis, (before, after) in enumerate(pairs):
        size = n.typeof(x).shape[axis]
        if not before and not after:
            continue
        if max(before, after) > size:
            n.error(f"pads of {before} and {after} of an axis of {size}.")
        at = np.abs(np.arange(-before, size + after) + 0.5) - 0.5
        at = np.where(at >= size, 2 * size - 1 - at, at).astype(np.int32)
        x = n.add("gather", [x, n.constant(at)], axis=axis, wrap=False)
    return x


def _tile(n: TFContext) -> str:
    if not n.is_const(1):
        return arguments.tile(n.sizing, n.inputs[0], sizes_of(n, 1))
    return n.add("tile", n.inputs[:1], repeats=tuple(n.ints(1)))


def _broadcast_to(n: TFContext) -> str:
    return _expanded(n, n.inputs[0], 1)


def _expanded(n: TFContext, x: str, i: int) -> str:
    """A tensor stretched to the shape that input ``i`` has."""
    if x in n.sizing.emitter.sizes or not n.is_const(i):
        target = [arguments.extent(n.sizing, e) for e in sizes_of(n, i)]
        return arguments.broadcast(n.sizing, x, target)
    shape = n.ints(i)
    if min(shape, default=0) < 0:
        n.error(f"the shape {shape} has a negative extent.")
    return n.add("expand", [x], shape=tuple(shape)) if shape else x


def _fill(n: TFContext) -> str:
    return _expanded(n, n.inputs[1], 0)


def _filled_like(value: float) -> Converter:
    def convert(n: TFContext) -> str:
        zero = n.like(value, n.inputs[0])
        if n.is_open(0):
            return arguments.broadcast(n.sizing, zero, n.sizing.extents(n.inputs[0]))
        return n.add("expand", [zero], shape=n.shape(0)) if n.shape(0) else zero

    return convert


def _reverse(n: TFContext) -> str:
    x, shape = n.inputs[0], n.shape(0)
    if n.op == "Reverse":
        axes = tuple(k for k, v in enumerate(n.array(1).reshape(-1)) if v)
    else:
        axes = n.axes(n.ints(1), len(shape))
    if not axes:
        return n.add("identity", [x])
    starts = tuple(max(d - 1, 0) if k in axes else 0 for k, d in enumerate(shape))
    steps = tuple(-1 if k in axes else 1 for k in range(len(shape)))
    return n.add("slice", [x], starts=starts, shape=shape, steps=steps)


def _reverse_sequence(n: TFContext) -> str:
    return n.add(
        "reverse_sequence", n.inputs[:2],
        batch_axis=n.integer("batch_dim", 0), time_axis=n.integer("seq_dim"),
    )  # fmt: skip


def _roll(n: TFContext) -> str:
    x, ndim = n.inputs[0], len(n.shape(0))
    shifts, axes = n.ints(1), n.ints(2)
    if len(shifts) != len(axes):
        n.error(f"{len(shifts)} shifts of {len(axes)} axes.")
    for shift, axis in zip(shifts, axes):
        k = n.axis(axis, ndim)
        size = n.typeof(x).shape[k]
        at = -shift % size if size else 0
        if at:
            x = n.add("concat", [cut(n, x, k, at, size - at), cut(n, x, k, 0, at)], axis=k)
    return x


def _to_batch(n: TFContext) -> str:
    if n.op == "SpaceToBatch":
        block, pads = [n.integer("block_size")] * 2, _pairs(n, 1, 2)
    else:
        block = n.ints(1)
        pads = _pairs(n, 2, len(block))
    return space_to_batch(n, n.inputs[0], block, pads)


def _to_space(n: TFContext) -> str:
    if n.op == "BatchToSpace":
        block, crops = [n.integer("block_size")] * 2, _pairs(n, 1, 2)
    else:
        block = n.ints(1)
        crops = _pairs(n, 2, len(block))
    return batch_to_space(n, n.inputs[0], block, crops)


def _depth_space(op: str) -> Converter:
    def convert(n: TFContext) -> str:
        layout = n.text("data_format", "NHWC")
        block = n.integer("block_size")
        if layout == "NCHW":
            return n.add(op, n.inputs[:1], block=block)
        if layout != "NHWC":
            n.unsupported(f"the layout of data is {layout!r}")
        return channels_last(n, n.add(op, [channels_first(n, n.inputs[0])], block=block))

    return convert


def _band(n: TFContext) -> str:
    """Matrices with zeros beyond so many diagonals below and above the main one; -1: all."""
    x, (rows, columns) = n.inputs[0], n.shape(0)[-2:]
    below, above = int(n.number(1)), int(n.number(2))
    away = np.arange(columns) - np.arange(rows)[:, None]
    inside = ((below < 0) | (-away <= below)) & ((above < 0) | (away <= above))
    return n.add("where", [n.constant(inside), x, n.like(0, x)])


def _diagonal_part(n: TFContext) -> str:
    """The main diagonal of each matrix."""
    x = n.inputs[0]
    if n.op.startswith("MatrixDiagPartV") and (n.ints(1) != [0]):
        n.unsupported("diagonals beside the main one")
    *batch, rows, columns = n.shape(0)
    flat = n.add("reshape", [x], shape=(*batch, rows * columns))
    at = np.arange(min(rows, columns), dtype=np.int32) * (columns + 1)
    return n.add("gather", [flat, n.constant(at)], axis=len(batch), wrap=False)


def _diagonal(n: TFContext) -> str:
    """Matrices with these diagonals, and zeros."""
    if n.op.startswith("MatrixDiagV") and (
        n.ints(1) != [0] or n.number(2) not in (-1, n.shape(0)[-1])
        or n.number(3) not in (-1, n.shape(0)[-1]) or n.number(4) != 0
    ):  # fmt: skip
        n.unsupported("diagonals beside the main one, or matrices that are not square")
    x, shape = n.inputs[0], n.shape(0)
    if n.op == "Diag" and len(shape) != 1:
        n.unsupported(f"the diagonal {n.type(0)}")
    line = n.add("reshape", [x], shape=(*shape, 1))
    return n.add("where", [n.constant(np.eye(shape[-1], dtype=bool)), line, n.like(0, x)])


def _matrix_set_diag(n: TFContext) -> str:
    if n.op != "MatrixSetDiag" and n.ints(2) != [0]:
        n.unsupported("diagonals beside the main one")
    x, (*_, rows, columns) = n.inputs[0], n.shape(0)
    least = min(rows, columns)
    line = n.inputs[1]
    if rows > columns:
        ndim = len(n.shape(1))
        line = n.add("pad", [line], pads=(*(0,) * ndim, *(0,) * (ndim - 1), rows - least))
    line = n.add("reshape", [line], shape=(*n.typeof(line).shape, 1))
    return n.add("where", [n.constant(np.eye(rows, columns, dtype=bool)), line, x])


CONVERTERS: dict[str, Converter] = {
    "BatchToSpace": _to_space,
    "BatchToSpaceND": _to_space,
    "BroadcastTo": _broadcast_to,
    "DepthToSpace": _depth_space("depth_to_space"),
    "Diag": _diagonal,
    "Fill": _fill,
    "MatrixBandPart": _band,
    "MatrixDiag": _diagonal,
    "MatrixDiagPart": _diagonal_part,
    "MatrixDiagPartV2": _diagonal_part,
    "MatrixDiagPartV3": _diagonal_part,
    "MatrixDiagV2": _diagonal,
    "MatrixDiagV3": _diagonal,
    "MatrixSetDiag": _matrix_set_diag,
    "MatrixSetDiagV2": _matrix_set_diag,
    "MatrixSetDiagV3": _matrix_set_diag,
    "MirrorPad": _pad,
    "OnesLike": _filled_like(1),
    "Pad": _pad,
    "PadV2": _pad,
    "Reverse": _reverse,
    "ReverseSequence": _reverse_sequence,
    "ReverseV2": _reverse,
    "Roll": _roll,
    "SpaceToBatch": _to_batch,
    "SpaceToBatchND": _to_batch,
    "SpaceToDepth": _depth_space("space_to_depth"),
    "Tile": _tile,
    "ZerosLike": _filled_like(0),
}

__all__ = ["CONVERTERS"]
