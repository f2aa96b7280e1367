"""Tensors that nodes make of nothing but a shape or a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import dtype_of
from ..sized import arguments
from .context import Converter, NodeContext
from .integers import bounded, values
from .ops_conv import required
from .tensors import onnx_dtype

MAX_MADE = 1 << 24  # elements of a constant that a node may ask for out of nothing


def _made(n: NodeContext, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that the model asks for, if it is one and not absurdly large."""
    if min(shape, default=0) < 0:
        n.error(f"the shape {list(shape)} has a negative extent.")
    if math.prod(shape) > MAX_MADE:
        n.unsupported(f"a constant of the shape {list(shape)} is larger than {MAX_MADE} elements")
    return tuple(int(d) for d in shape)


def _constant_of_shape(n: NodeContext) -> str:
    value = np.asarray(n.attr("value", np.zeros(1, np.float32)))
    if value.size != 1:
        n.error(f"its value has {value.size} elements, not one.")
    if not n.is_const(0):
        scalar, made = n.constant(value.reshape(())), bounded(n, 0)
        return arguments.broadcast(n.sizing, scalar, [arguments.extent(n.sizing, e) for e in made])
    shape = values(n, 0)
    if min(shape or [], default=0) < 0:
        n.error(f"the shape {shape} has a negative extent.")
    # Broadcasting folds to a constant where that is small, and stays a node where it is not.
    scalar = n.constant(value.reshape(()))
    made = n.add("expand", [scalar], shape=tuple(shape or []))
    return n.hold(made, n.attr_narrow("value") if n.has_attr("value") else None)


def _eye_like(n: NodeContext) -> str:
    x = required(n, 0)
    if len(x.shape) != 2:
        n.error(f"it takes a matrix, not {x}.")
    code = n.attr("dtype", None)
    dtype = x.dtype if code is None else onnx_dtype(code, n.where)
    rows, columns = _made(n, x.shape)
    offset = max(min(n.attr("k", 0), columns), -rows)
    return n.constant(np.eye(rows, columns, offset).astype(dtype.numpy))


def _range_computed(n: NodeContext) -> str:
    """With a begin or an end that data compute."""
    start, limit, delta = ((n.numbers(k) or [None])[0] for k in range(3))
    t = required(n, 0)
    if start is None or limit is None or delta is None:
        n.error("it takes three scalars.")
    if delta.value == 0:
        n.error("its step is 0.")
    backward = delta.value is not None and delta.value < 0
    room = (start.range[1] - limit.range[0]) if backward else (limit.range[1] - start.range[0])
    if delta.value is None or math.isinf(room) or not t.dtype.is_int:
        for k in range(3):
            n.const(k)  # raises for one of them, and says what to bind
    assert delta.value is not None
    return arguments.arange(n.sizing, start, limit, delta.value, str(t.dtype))


def _range(n: NodeContext) -> str:
    if not all(n.is_const(k) for k in range(3)):
        return _range_computed(n)
    parts = [n.const(k) for k in range(3)]
    if any(p is None or p.size != 1 for p in parts):
        n.error("it takes three scalars.")
    start, limit, delta = (p.reshape(-1)[0] for p in parts if p is not None)
    if delta == 0:
        n.error("its step is 0.")
    d = dtype_of(start.dtype)
    if d.is_float:
        steps = (float(limit) - float(start)) / float(delta)
        count = max(math.ceil(steps), 0) if math.isfinite(steps) else MAX_MADE + 1
    else:
        count = max(-(-(int(limit) - int(start)) // int(delta)), 0)
    (count,) = _made(n, [count])
    wide = np.float64 if d.is_float else np.int64
    values = wide(start) + np.arange(count, dtype=wide) * wide(delta)
    return n.constant(values.astype(d.numpy))


CONVERTERS: dict[str, Converter] = {
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Range": _range,
}
