"""What operators do with tensors whose size only data knows: one rule for each, or for a kind.

A rule gets the operator's inputs and attributes, adds what computes the right elements within the
size, and says the sizes of the results. What moves elements along such an axis is in ``moves.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...graph.graph import Source
from ...ops import get
from ...ops.opdef import Kind
from .moves import MOVES, Attrs, Rule
from .sizing import Sizing, aligned

if TYPE_CHECKING:
    from ..emit import Emitter


def add(
    emitter: Emitter, op: str, inputs: Sequence[str], attrs: Attrs, hint: str, source: Source
) -> tuple[str, ...]:
    """As :meth:`Emitter.add`, where an input has a size that only data knows.

    Raises :class:`UnsupportedError` for an operator that has no rule, or not along such an axis.
    """
    s = Sizing(emitter, hint, source)
    full = get(op).check_attrs(attrs, str(source))
    rule = RULES.get(op)
    if rule is None and get(op).kind in (Kind.ELEMENTWISE, Kind.BROADCAST):
        rule = _broadcast
    if rule is None:
        s.unsupported(f"{op} of a tensor whose size only data knows")
    return tuple(rule(s, op, inputs, full))


# --- elements ---------------------------------------------------------------------------------


def _broadcast(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    ndim = max(len(s.shape(i)) for i in inputs if i)
    inputs, sizes = aligned(s, inputs, range(ndim), ndim)
    outputs = s.add_many(op, inputs, **a)
    if len(s.shape(outputs[0])) != ndim:
        s.unsupported(f"{op} of tensors whose sizes only data knows")
    return [s.declare(o, sizes) for o in outputs]


def _first(axes: Callable[[Attrs, int], Sequence[int]]) -> Rule:
    """Axes of the first input, whatever happens along the others, pass to every result."""

    def rule(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
        for i in inputs[1:]:
            if i and s.sizes(i):
                s.unsupported(f"{op} with a parameter whose size only data knows")
        ndim = len(s.shape(inputs[0]))
        passing = {k % ndim for k in axes(a, ndim)}
        along = [k for k in s.sizes(inputs[0]) if k not in passing]
        if along:
            s.unsupported(f"{op} along axis {along[0]}, whose size only data knows")
        outputs = s.add_many(op, inputs, **a)
        return [s.declare(o, s.sizes(inputs[0])) for o in outputs]

    return rule


def _batch(a: Attrs, ndim: int) -> Sequence[int]:
    return (0,)


def _channels(a: Attrs, ndim: int) -> Sequence[int]:
    return (0, 1)


def _before_axis(a: Attrs, ndim: int) -> Sequence[int]:
    return range(a["axis"] % ndim)


def _all_but_axis(a: Attrs, ndim: int) -> Sequence[int]:
    return [k for k in range(ndim) if k != a["axis"] % ndim]


def _matrices(a: Attrs, ndim: int) -> Sequence[int]:
    return range(ndim - 2)


def _quantized(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    """Scales and zero points are one number, or lie along an axis of their own."""
    one = math.prod(s.shape(inputs[1])) == 1
    passing = _first((lambda a, ndim: range(ndim)) if one else _all_but_axis)
    return passing(s, op, inputs, a)


# --- reductions -------------------------------------------------------------------------------


_NEUTRAL: dict[str, float] = {
    "reduce_l1": 0, "reduce_l2": 0, "reduce_log_sum": 0, "reduce_log_sum_exp": -np.inf,
    "reduce_prod": 1, "reduce_sum": 0, "reduce_sum_square": 0,
}  # fmt: skip


def _reduced(s: Sizing, x: str, axes: Sequence[int], keepdims: bool) -> dict[int, str]:
    """The sizes of a reduction's result."""
    left = [k for k in range(len(s.shape(x))) if keepdims or k not in axes]
    return {left.index(k): size for k, size in s.sizes(x).items() if k not in axes}


def _reduce(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, ndim = inputs[0], len(s.shape(inputs[0]))
    axes = range(ndim) if a["axes"] is None else [k % ndim for k in a["axes"]]
    sizes = _reduced(s, x, axes, a["keepdims"])
    open_axes = [k for k in axes if k in s.sizes(x)]
    if not open_axes:
        return [s.declare(o, sizes) for o in s.add_many(op, inputs, **a)]
    if op == "reduce_mean":
        return [_mean(s, x, axes, open_axes, a, sizes)]
    if op in ("reduce_max", "reduce_min"):
        rest = s.lowest(x) if op == "reduce_max" else s.highest(x)
    elif op == "reduce_log_sum_exp" and not s.dtype(x).is_float:
        s.unsupported(f"{op} of integers along an axis whose size only data knows")
    else:
        rest = _NEUTRAL[op]
    return [s.declare(s.add(op, [s.masked(x, open_axes, rest)], **a), sizes)]


def _mean(
    s: Sizing,
    x: str,
    axes: Sequence[int],
    open_axes: Sequence[int],
    a: Attrs,
    sizes: Mapping[int, str],
) -> str:
    total = s.add("reduce_sum", [s.masked(x, open_axes, 0)], **a)
    count = s.number(s.product([s.extent(x, k) for k in axes]))
    return s.declare(s.add("div", [total, s.add("cast", [count], to=str(s.dtype(x)))]), sizes)


def _arg(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x = inputs[0]
    axis = a["axis"] % len(s.shape(x))
    sizes = _reduced(s, x, [axis], a["keepdims"])
    if axis in s.sizes(x):
        if a["select_last_index"]:
            s.unsupported(f"{op} that takes the last of several, along an axis of a size that only "
                          "data knows")  # fmt: skip
        rest = s.lowest(x) if op == "arg_max" else s.highest(x)
        inputs = [s.masked(x, [axis], rest)]
    return [s.declare(s.add(op, inputs, **a), sizes)]


def _normalized(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    """Softmax and its kin: what lies beyond takes no part."""
    x = inputs[0]
    masked = s.masked(x, [a["axis"] % len(s.shape(x))], -np.inf)
    return [s.declare(s.add(op, [masked], **a), s.sizes(x))]


def _scan(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x = inputs[0]
    masked = x
    if a["reverse"]:
        masked = s.masked(x, [a["axis"] % len(s.shape(x))], 1 if op == "cumprod" else 0)
    return [s.declare(s.add(op, [masked], **a), s.sizes(x))]


def _top_k(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, sizes = inputs[0], dict(s.sizes(inputs[0]))
    axis = a["axis"] % len(s.shape(x))
    if sizes.pop(axis, ""):
        x = s.masked(x, [axis], s.lowest(x) if a["largest"] else s.highest(x))
    return [s.declare(o, sizes) for o in s.add_many(op, [x], **a)]


# --- products ---------------------------------------------------------------------------------


def _matmul(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, y = inputs
    if min(len(s.shape(x)), len(s.shape(y))) < 2:
        s.unsupported(f"{op} of a vector and a tensor whose size only data knows")
    ndim = max(len(s.shape(x)), len(s.shape(y)))
    (x, y), sizes = aligned(s, [x, y], range(ndim - 2), ndim)
    for axis, (side, at) in ((ndim - 2, (x, -2)), (ndim - 1, (y, -1))):
        size = s.sizes(side).get(at % len(s.shape(side)))
        if size:
            sizes[axis] = size
    x, y = _met(s, x, len(s.shape(x)) - 1, y, len(s.shape(y)) - 2)
    return [s.declare(s.add(op, [x, y], **a), sizes)]


def _gemm(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, y, *rest = inputs
    row, column = (1 if a["trans_a"] else 0), (0 if a["trans_b"] else 1)
    sizes = {}
    for axis, (side, at) in enumerate(((x, row), (y, column))):
        size = s.sizes(side).get(at)
        if size:
            sizes[axis] = size
    if rest and rest[0] and s.sizes(rest[0]):
        s.unsupported(f"{op} with a summand whose size only data knows")
    x, y = _met(s, x, 1 - row, y, 1 - column)
    return [s.declare(s.add(op, [x, y, *rest], **a), sizes)]


def _met(s: Sizing, x: str, i: int, y: str, j: int) -> tuple[str, str]:
    """Two factors whose products are summed over axis ``i`` of one and ``j`` of the other: there,
    both are 0 beyond the size (what lies there may be no number), and equally long."""
    if i not in s.sizes(x) and j not in s.sizes(y):
        return x, y
    x, y = s.masked(x, [i], 0), s.masked(y, [j], 0)
    least = min(s.shape(x)[i], s.shape(y)[j])
    return s.cut(x, i, least), s.cut(y, j, least)


# --- regions ----------------------------------------------------------------------------------


def _roi_align(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, rois, batch = inputs
    if s.sizes(x):
        s.unsupported(f"{op} of a picture whose size only data knows")
    size = {**s.sizes(batch), **s.sizes(rois)}.get(0)
    least = min(s.shape(rois)[0], s.shape(batch)[0])
    rois, batch = s.cut(rois, 0, least), s.cut(batch, 0, least)
    return [s.declare(s.add(op, [x, rois, batch], **a), {0: size} if size else {})]


def _suppress(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    """Boxes of a number that only data knows: the operator is told it."""
    boxes, scores = inputs[:2]
    if s.sizes(boxes).keys() - {1} or s.sizes(scores).keys() - {2}:
        s.unsupported(f"{op} of batches or classes whose number only data knows")
    least = min(s.shape(boxes)[1], s.shape(scores)[2])
    size = s.sizes(boxes).get(1) or s.sizes(scores)[2]
    boxes, scores = s.cut(boxes, 1, least), s.cut(scores, 2, least)
    numbers = [*inputs[2:], "", "", ""][:4]
    attrs = {**a, "limit": min(a["limit"], least)}
    return s.add_many(op, [boxes, scores, *numbers, size], **attrs)


def _one_hot(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    sizes = {k + (k >= a["axis"]): size for k, size in s.sizes(inputs[0]).items()}
    return [s.declare(s.add(op, inputs, **a), sizes)]


RULES: Mapping[str, Rule] = {
    **MOVES,
    **dict.fromkeys([*_NEUTRAL, "reduce_max", "reduce_mean", "reduce_min"], _reduce),
    **dict.fromkeys(["arg_max", "arg_min"], _arg),
    **dict.fromkeys(["softmax", "log_softmax", "hardmax"], _normalized),
    **dict.fromkeys(["cumsum", "cumprod"], _scan),
    **dict.fromkeys(
        ["conv", "conv_transpose", "instance_norm", "group_norm", "resample", "resample_sum",
         "depth_to_space", "space_to_depth", "upsample", "grid_sample"],
        _first(_batch),
    ),
    **dict.fromkeys(
        ["max_pool", "average_pool", "lp_pool", "max_pool_with_indices"], _first(_channels)
    ),
    **dict.fromkeys(["layer_norm", "rms_norm"], _first(_before_axis)),
    "batch_norm": _first(lambda a, ndim: [k for k in range(ndim) if k != 1]),
    "gemm": _gemm,
    **dict.fromkeys(["quantize_linear", "dequantize_linear"], _quantized),
    "lrn": _first(lambda a, ndim: [k for k in range(ndim) if k != 1]),
    "matmul": _matmul,
    "one_hot": _one_hot,
    "resample": _first(_all_but_axis),
    "resample_sum": _first(_all_but_axis),
    "non_max_suppression": _suppress,
    "roi_align": _roi_align,
    "top_k": _top_k,
    "trilu": _first(_matrices),
}  # fmt: skip

__all__ = ["RULES", "add"]
