"""Shapes and the movement of elements."""

from __future__ import annotations

import math

import numpy as np

from ..sized import arguments
from ..sized.arguments import known
from ..sized.moves import reshaped
from ..sized.sizing import Extent
from .context import Converter, NodeContext
from .integers import axes_of, axis_of, bounded, closed, moved, values
from .ops_conv import required

# --- reshape and its special cases ------------------------------------------------------------


def _reshape(n: NodeContext) -> str:
    x = required(n, 0)
    if n.is_open(0) or not n.is_const(1):
        # What has no bound is what the others leave over, as -1 is.
        left = known(-1)
        shape = [left if e.range[1] == math.inf else e for e in bounded(n, 1, unbounded=1)]
        if sum(e.value == -1 for e in shape) > 1:
            n.const(1)
            n.error("it leaves more than one extent open.")
        return arguments.reshape(n.sizing, n.inputs[0], shape, not n.attr("allowzero", 0))
    shape = values(n, 1)
    if shape is None:
        n.error("the shape is absent.")
    if not n.attr("allowzero", 0):
        for k, d in enumerate(shape):
            if d == 0:
                if k >= len(x.shape):
                    n.error(f"extent {k} of {shape} copies an axis that {x} does not have.")
                shape[k] = x.shape[k]
    return n.add("reshape", n.inputs[:1], shape=n.filled(x, shape))


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
    x, axes = required(n, 0), moved(n, "axes", 1, 13)
    if axes is None:
        closed(n, range(len(x.shape)))
        drop = [k for k, d in enumerate(x.shape) if d == 1]
    else:
        drop = axes_of(n, axes, len(x.shape))
    for k in drop:
        if x.shape[k] != 1:
            n.error(f"axis {k} of {x} is not 1 and cannot be dropped.")
    if n.is_open(0):
        closed(n, drop)
        return reshaped(n.sizing, n.inputs[0], [
            e for k, e in enumerate(n.sizing.extents(n.inputs[0])) if k not in drop
        ])  # fmt: skip
    shape = tuple(d for k, d in enumerate(x.shape) if k not in drop)
    return n.add("reshape", n.inputs[:1], shape=shape)


def _unsqueeze(n: NodeContext) -> str:
    x, axes = required(n, 0), moved(n, "axes", 1, 13)
    if axes is None:
        n.error("the axes are absent.")
    ndim = len(x.shape) + len(axes)
    new = axes_of(n, axes, ndim)
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


def _expand(n: NodeContext) -> str:
    x = required(n, 0)
    if n.is_open(0) or not n.is_const(1):
        target = [arguments.extent(n.sizing, e) for e in bounded(n, 1)]
        return arguments.broadcast(n.sizing, n.inputs[0], target)
    shape = values(n, 1)
    if shape is None:
        n.error("the shape is absent.")
    shape = list(np.broadcast_shapes(x.shape, tuple(shape)))
    return n.add("expand", n.inputs[:1], shape=tuple(int(d) for d in shape))


def _tile(n: NodeContext) -> str:
    if not n.is_const(1):
        return arguments.tile(n.sizing, n.inputs[0], bounded(n, 1))
    repeats = values(n, 1)
    if repeats is None:
        n.error("the repeats are absent.")
    return n.add("tile", n.inputs[:1], repeats=tuple(repeats))


def _depth_space(op: str) -> Converter:
    def convert(n: NodeContext) -> str:
        mode = n.attr("mode", "DCR")
        if mode not in ("DCR", "CRD"):
            n.unsupported(f"the mode is {mode!r}")
        return n.add(op, n.inputs[:1], block=n.attr("blocksize"), depth_first=mode == "DCR")

    return convert


# --- extents ----------------------------------------------------------------------------------


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


CONVERTERS: dict[str, Converter] = {
    "Concat": _concat,
    "DepthToSpace": _depth_space("depth_to_space"),
    "Expand": _expand,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "SpaceToDepth": _depth_space("space_to_depth"),
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
