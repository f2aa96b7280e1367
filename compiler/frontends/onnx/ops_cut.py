"""Parts of tensors, and tensors with more around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..sized import arguments
from .context import Converter, NodeContext
from .integers import axes_of, axis_of, closed, moved, values
from .ops_conv import required


def cut(n: NodeContext, name: str, axis: int, start: int, count: int) -> str:
    """``count`` elements of a tensor from ``start`` along ``axis``."""
    shape = n.typeof(name).shape
    if count == shape[axis]:
        return name
    return n.add(
        "slice",
        [name],
        starts=tuple(start if k == axis else 0 for k in range(len(shape))),
        shape=tuple(count if k == axis else d for k, d in enumerate(shape)),
    )


def _split(n: NodeContext) -> Sequence[str]:
    x = required(n, 0)
    axis = axis_of(n, n.attr("axis", 0), len(x.shape))
    closed(n, [axis])
    sizes, total = moved(n, "split", 1, 13), x.shape[axis]
    if sizes is None:
        count = n.attr("num_outputs", n.n_outputs)
        if count != n.n_outputs:
            n.error(f"num_outputs is {count}, but there are {n.n_outputs} outputs.")
        each = -(-total // count)
        sizes = [max(min(each, total - k * each), 0) for k in range(count)]
    if sum(sizes) != total or min(sizes, default=0) < 0 or len(sizes) < n.n_outputs:
        n.error(f"parts of {sizes} for {n.n_outputs} outputs do not make up {total}.")
    starts = np.cumsum([0, *sizes])
    return [cut(n, n.inputs[0], axis, int(b), c) for b, c in zip(starts, sizes)]


def _slice_computed(n: NodeContext) -> str:
    """With a begin or an end that data compute, or along an axis of a size that they decide."""
    x = required(n, 0)
    starts, ends = n.numbers(1), n.numbers(2)
    axes, steps = values(n, 3), values(n, 4)
    assert starts is not None and ends is not None
    axes = axes_of(n, range(len(starts)) if axes is None else axes, len(x.shape))
    steps = [1] * len(starts) if steps is None else steps
    if not len(axes) == len(steps) == len(starts) == len(ends) or 0 in steps:
        n.error(f"{len(starts)} starts go with the axes {axes} and the steps {steps}.")
    result = n.inputs[0]
    for axis, begin, end, step in zip(axes, starts, ends, steps):
        result = arguments.cut(n.sizing, result, axis, begin, end, step)
    return result


def _taken(begin: int, end: int, step: int, extent: int) -> range:
    """The places of a slice. It differs from Python's where it goes backwards from before the
    first place: ONNX begins at that one."""
    if step > 0:
        return range(*slice(begin, end, step).indices(extent))
    begin, end = (k + extent if k < 0 else k for k in (begin, end))
    return range(min(max(begin, 0), extent - 1), min(max(end, -1), extent - 1), step)


def _slice(n: NodeContext) -> str:
    x = required(n, 0)
    if n.opset >= 10 and (n.is_open(0) or not (n.is_const(1) and n.is_const(2))):
        return _slice_computed(n)
    if n.opset >= 10:
        starts, ends, axes, steps = (values(n, k) for k in (1, 2, 3, 4))
    else:
        starts, ends, axes = (moved(n, k, 0, 99) for k in ("starts", "ends", "axes"))
        steps = None
    if starts is None or ends is None or len(starts) != len(ends):
        n.error(f"starts {starts} and ends {ends} are not one for each axis.")
    axes = axes_of(n, range(len(starts)) if axes is None else axes, len(x.shape))
    steps = [1] * len(starts) if steps is None else steps
    if not len(axes) == len(steps) == len(starts) or 0 in steps:
        n.error(f"{len(starts)} starts go with the axes {axes} and the steps {steps}.")
    first, step, shape = [0] * len(x.shape), [1] * len(x.shape), list(x.shape)
    for a, b, e, s in zip(axes, starts, ends, steps):
        taken = _taken(b, e, s, x.shape[a])
        first[a], step[a], shape[a] = taken.start if taken else 0, s, len(taken)
    return n.add("slice", n.inputs[:1], starts=tuple(first), steps=tuple(step), shape=tuple(shape))


def _pad(n: NodeContext) -> str:
    x = required(n, 0)
    ndim = len(x.shape)
    pads = moved(n, "pads", 1, 11)
    axes = values(n, 3) if n.opset >= 18 else None
    axes = list(range(ndim)) if axes is None else axes_of(n, axes, ndim)
    if pads is None or len(pads) != 2 * len(axes):
        n.error(f"pads are {pads}; the axes {axes} need {2 * len(axes)}.")
    full = [0] * (2 * ndim)
    for k, a in enumerate(axes):
        full[a], full[ndim + a] = pads[k], pads[len(axes) + k]
    mode = n.attr("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        n.unsupported(f"the mode is {mode!r}")
    inputs, value = n.inputs[:1], 0
    if n.opset < 11:
        value = n.attr("value", 0.0)
    elif mode == "constant" and n.input(2):
        if n.is_const(2):
            given = n.const(2)
            assert given is not None
            value = given.reshape(-1)[0].item()
        else:
            inputs = [*inputs, n.add("reshape", [n.inputs[2]], shape=())]
    return n.add("pad", inputs, pads=tuple(full), mode=mode, value=value)


def _center_crop_pad(n: NodeContext) -> str:
    x, wanted = required(n, 0), values(n, 1)
    axes = n.attr("axes", None)
    axes = list(range(len(x.shape))) if axes is None else axes_of(n, axes, len(x.shape))
    if wanted is None or len(wanted) != len(axes):
        n.error(f"the shape is {wanted}; the axes {axes} need {len(axes)} extents.")
    ndim = len(x.shape)
    starts, shape = [0] * ndim, list(x.shape)
    pads = [0] * (2 * ndim)
    for a, w in zip(axes, wanted):
        more = w - x.shape[a]
        if more < 0:
            starts[a], shape[a] = -more // 2, w
        pads[a], pads[ndim + a] = max(more, 0) // 2, max(more, 0) - max(more, 0) // 2
    cropped = n.add("slice", n.inputs[:1], starts=tuple(starts), shape=tuple(shape))
    return n.add("pad", [cropped], pads=tuple(pads))


CONVERTERS: dict[str, Converter] = {
    "CenterCropPad": _center_crop_pad,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
}
