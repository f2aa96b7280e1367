"""Functions as nodes of a graph; ``functions.py`` has their names.

Their arguments are found by place, by name, or in the config: :func:`take`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .activations import relu
from .context import Converter, KerasContext, Tensor
from .shape import filled, resized

_NONE: Any = object()


def take(n: KerasContext, k: int, *names: str, default: Any = None) -> Any:
    """An argument: by its place, its name, or in the config of the operation."""
    if k < len(n.args):
        return n.args[k]
    for name in names:
        if name in n.kwargs:
            return n.kwargs[name]
        if name in n.config:
            return n.config[name]
    return default


def tensor(n: KerasContext, value: Any, like: str = "") -> str:
    """An argument as a tensor; numbers have the element type of ``like``, as Python's have none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, str) or value is None or isinstance(value, Mapping):
        n.error(f"an argument is {value!r}, not a tensor.")
    array = np.asarray(value)
    if array.dtype == object:
        n.unsupported("a list with tensors as a tensor")
    if like:
        dtype = n.typeof(like).dtype
        if dtype.is_float or array.dtype.kind in "bi":
            return n.constant(array.astype(dtype.numpy))
    return n.constant(array.astype(np.float32 if array.dtype.kind == "f" else np.int32))


def pair(n: KerasContext, *names: str) -> list[str]:
    """Two operands of one element type."""
    a = take(n, 0, "x1", "x", "a", "condition", default=_NONE)
    b = take(n, 1, "x2", "y", "b", *names, default=_NONE)
    if a is _NONE or b is _NONE:
        n.error("it has two operands.")
    if not isinstance(a, Tensor) and isinstance(b, Tensor):
        two = [tensor(n, a, b), b]
    else:
        one = tensor(n, a)
        two = [one, tensor(n, b, one)]
    return _promoted(n, two)


def _promoted(n: KerasContext, tensors: Sequence[str]) -> list[str]:
    kinds = {str(n.typeof(t).dtype): n.typeof(t).dtype for t in tensors}
    if len(kinds) == 1:
        return list(tensors)
    floats = [k for k, d in kinds.items() if d.is_float]
    if floats:
        want = max(floats, key=lambda k: kinds[k].bytes)
    else:
        want = str(np.result_type(*(d.numpy for d in kinds.values())))
    return [n.to(t, want) for t in tensors]


def first(n: KerasContext) -> str:
    """The first argument, under whatever name."""
    return tensor(n, take(n, 0, "x", "inputs", "input", "input_tensor", "tensor", "logits",
                          "features", "images", "a"))  # fmt: skip


def _axes(n: KerasContext, rank: int, k: int = 1) -> tuple[int, ...]:
    given = take(n, k, "axis", "axes")
    if given is None:
        return tuple(range(rank))
    listed = given if isinstance(given, list | tuple) else [given]
    return tuple(sorted({n.axis(a, rank) for a in listed}))


def binary(op: str, float_only: bool = False) -> Converter:
    """An operator of two tensors; of floats, where it is for them alone."""

    def convert(n: KerasContext) -> str:
        two = pair(n)
        if float_only and not n.typeof(two[0]).dtype.is_float:
            two = [n.to(t, "float32") for t in two]
        return n.add(op, two)

    return convert


def logical(op: str) -> Converter:
    """An operator of two truths."""
    return lambda n: n.add(op, [n.to(t, "bool") for t in pair(n)])


def unary(op: str, float_only: bool = True, **attrs: Any) -> Converter:
    """An operator of one tensor; of floats, where it is for them alone."""

    def convert(n: KerasContext) -> str:
        x = first(n)
        if float_only and not n.typeof(x).dtype.is_float:
            x = n.to(x, "float32")
        return n.add(op, [x], **attrs)

    return convert


def applied(function: Callable[[KerasContext, str], str]) -> Converter:
    """A function of one tensor."""
    return lambda n: function(n, first(n))


def reduced(op: str) -> Converter:
    """A reduction along axes; None: along all."""

    def convert(n: KerasContext) -> str:
        x = first(n)
        if op == "reduce_mean" and not n.typeof(x).dtype.is_float:
            x = n.to(x, "float32")
        keep = bool(take(n, 2, "keepdims", default=False))
        return n.add(op, [x], axes=_axes(n, n.rank(x)), keepdims=keep)

    return convert


def any_or_all(op: str) -> Converter:
    """Whether any or all are true."""

    def convert(n: KerasContext) -> str:
        x = n.to(n.to(first(n), "bool"), "int32")
        keep = bool(take(n, 2, "keepdims", default=False))
        return n.to(n.add(op, [x], axes=_axes(n, n.rank(x)), keepdims=keep), "bool")

    return convert


def variance(root: bool) -> Converter:
    """The variance, or its root."""

    def convert(n: KerasContext) -> str:
        x = first(n)
        axes, keep = _axes(n, n.rank(x)), bool(take(n, 2, "keepdims", default=False))
        centred = n.add("sub", [x, n.add("reduce_mean", [x], axes=axes)])
        y = n.add("reduce_mean", [n.add("mul", [centred, centred])], axes=axes, keepdims=keep)
        return n.add("sqrt", [y]) if root else y

    return convert


def position(op: str) -> Converter:
    """Where the greatest or the least lies: of TensorFlow int64, of Keras int32."""

    def convert(n: KerasContext) -> str:
        x, given = first(n), take(n, 1, "axis", default=0 if n.op.startswith("tf.") else None)
        keep = bool(take(n, 2, "keepdims", default=False)) and not n.op.startswith("tf.")
        if given is None:
            x, given = n.add("reshape", [x], shape=(math.prod(n.shape(x)),)), 0
        y = n.add(op, [x], axis=n.axis(given, n.rank(x)), keepdims=keep)
        return n.to(y, "int64" if n.op.startswith("tf.") else "int32")

    return convert


def reshape(n: KerasContext) -> str:
    """The same elements in another shape."""
    x, given = first(n), take(n, 1, "newshape", "shape")
    if not isinstance(given, list | tuple) or not all(isinstance(d, int) for d in given):
        n.unsupported(f"a reshape to {given!r}")
    return n.add("reshape", [x], shape=filled(n, list(given), math.prod(n.shape(x))))


def transpose(n: KerasContext) -> str:
    """Axes in another order; in reverse, where none is given."""
    x, given = first(n), take(n, 1, "axes", "perm")
    rank = n.rank(x)
    perm = [n.axis(a, rank) for a in given] if given is not None else list(range(rank))[::-1]
    if sorted(perm) != list(range(rank)):
        n.error(f"the order of axes is {given!r}.")
    return n.add("transpose", [x], perm=tuple(perm))


def moved(n: KerasContext) -> str:
    """Two axes exchanged, or some moved to other places."""
    x = first(n)
    rank = n.rank(x)
    a, b = (take(n, k, *names) for k, names in
            ((1, ("axis1", "source")), (2, ("axis2", "destination"))))  # fmt: skip
    order = list(range(rank))
    if n.op.endswith("Swapaxes"):
        a, b = n.axis(a, rank), n.axis(b, rank)
        order[a], order[b] = b, a
    else:
        order = list(np.moveaxis(np.empty(tuple(range(rank))), a, b).shape)
    return n.add("transpose", [x], perm=tuple(order))


def expand(n: KerasContext) -> str:
    """New axes of one element."""
    x, given = first(n), take(n, 1, "axis")
    listed = given if isinstance(given, list | tuple) else [given]
    rank = n.rank(x) + len(listed)
    axes, rest = {n.axis(a, rank) for a in listed}, iter(n.shape(x))
    shape = tuple(1 if k in axes else next(rest) for k in range(rank))
    return n.add("reshape", [x], shape=shape)


def squeeze(n: KerasContext) -> str:
    """Without axes of one element."""
    x, given = first(n), take(n, 1, "axis", "squeeze_dims")
    shape, rank = n.shape(x), n.rank(x)
    listed = given if isinstance(given, list | tuple) else [given]
    gone = {k for k, d in enumerate(shape) if d == 1} if given in (None, []) else {
        n.axis(a, rank) for a in listed}  # fmt: skip
    if any(shape[k] != 1 for k in gone):
        n.error(f"axes {sorted(gone)} of {n.typeof(x)} are not of one element.")
    return n.add("reshape", [x], shape=tuple(d for k, d in enumerate(shape) if k not in gone))


def _list(n: KerasContext) -> list[str]:
    given = take(n, 0, "xs", "x", "values", "arrays")
    if not isinstance(given, list | tuple):
        given = [given]
    like = next((g for g in given if isinstance(g, Tensor)), "")
    return _promoted(n, [tensor(n, g, like) for g in given])


def concat(n: KerasContext) -> str:
    """Tensors behind each other."""
    parts = _list(n)
    return n.add("concat", parts, axis=n.axis(take(n, 1, "axis", default=0), n.rank(parts[0])))


def stack(n: KerasContext) -> str:
    """Tensors along a new axis."""
    parts = _list(n)
    axis = n.axis(take(n, 1, "axis", default=0), n.rank(parts[0]) + 1)
    shape = list(n.shape(parts[0]))
    shape.insert(axis, 1)
    return n.add("concat", [n.add("reshape", [p], shape=tuple(shape)) for p in parts], axis=axis)


def split(n: KerasContext) -> list[str]:
    """Parts along an axis: so many, or by sizes (TensorFlow), or by bounds (Keras)."""
    is_tf = n.op.startswith("tf.")
    x = tensor(n, take(n, 0, "x", "value"))
    parts = take(n, 1, "indices_or_sections", "num_or_size_splits")
    axis = n.axis(take(n, 2, "axis", default=0), n.rank(x))
    size = n.shape(x)[axis]
    if isinstance(parts, int):
        if parts < 1 or size % parts:
            n.error(f"{size} elements in {parts} parts.")
        ends = [size // parts * (k + 1) for k in range(parts)]
    elif is_tf:
        ends = np.cumsum(parts).tolist()
    else:
        ends = [*parts, size]
    made, start = [], 0
    for end in ends:
        shape = tuple(end - start if k == axis else d for k, d in enumerate(n.shape(x)))
        starts = tuple(start if k == axis else 0 for k in range(n.rank(x)))
        made.append(n.add("slice", [x], starts=starts, shape=shape))
        start = end
    return made


def where_of(n: KerasContext) -> str:
    """One tensor where a condition holds, else the other."""
    c = n.to(tensor(n, take(n, 0, "condition")), "bool")
    a, b = take(n, 1, "x1", "x"), take(n, 2, "x2", "y")
    if a is None or b is None:
        n.unsupported("the places where a condition holds")
    like = next((v for v in (a, b) if isinstance(v, Tensor)), "")
    return n.add("where", [c, *_promoted(n, [tensor(n, a, like), tensor(n, b, like)])])


def matmul(n: KerasContext) -> str:
    """Products of matrices."""
    a, b = pair(n)
    for name in n.kwargs:
        if name.startswith(("adjoint", "a_is", "b_is", "output_type")) and n.kwargs[name]:
            n.unsupported(f"matmul with {name}")
    flips = [bool(n.kwargs.get(f"transpose_{k}", False)) for k in "ab"]
    two = []
    for t, flip in zip((a, b), flips):
        rank = n.rank(t)
        order = (*range(rank - 2), rank - 1, rank - 2)
        two.append(n.add("transpose", [t], perm=order) if flip else t)
    return n.add("matmul", two)


def einsum(n: KerasContext) -> str:
    """Sums of products by an equation."""
    equation = take(n, 0, "subscripts", "equation")
    given = n.args if n.config.get("subscripts") else n.args[1:]
    if not isinstance(equation, str):
        equation = n.config.get("subscripts", "")
    parts = [tensor(n, g) for g in given]
    return n.add("einsum", _promoted(n, parts), equation=str(equation).replace(" ", ""))


def item(n: KerasContext) -> str:
    """``x[key]`` of numbers, slices, new axes and ``...``."""
    x, key = tensor(n, take(n, 0, "x", "tensor")), take(n, 1, "key", "slice_spec")
    listed = list(key) if isinstance(key, list | tuple) else [key]
    parts = [_index(n, k) for k in listed]
    taken = sum(p is not None and p is not ... for p in parts)
    shape, rank = n.shape(x), n.rank(x)
    if taken > rank or parts.count(...) > 1:
        n.error(f"{len(parts)} indices of {n.typeof(x)}.")
    at = parts.index(...) if ... in parts else len(parts)
    full = [slice(None)] * (rank - taken)
    parts = [*parts[:at], *full, *parts[at + 1 :]]
    starts, sizes, steps, result = [], [], [], []
    axis = 0
    for p in parts:
        if p is None:
            result.append(1)
            continue
        d = shape[axis]
        axis += 1
        if isinstance(p, int):
            if not -d <= p < d:
                n.error(f"the index {p} of {d} elements.")
            starts, sizes, steps = [*starts, p % d], [*sizes, 1], [*steps, 1]
            continue
        span = range(*p.indices(d))
        starts, sizes = [*starts, span.start if span else 0], [*sizes, len(span)]
        steps = [*steps, span.step]
        result.append(len(span))
    y = n.add("slice", [x], starts=tuple(starts), shape=tuple(sizes), steps=tuple(steps))
    return n.add("reshape", [y], shape=tuple(result))


def _index(n: KerasContext, k: Any) -> Any:
    if isinstance(k, Mapping):
        if "start" in k or "stop" in k:
            k = slice(k.get("start"), k.get("stop"), k.get("step"))
        elif k.get("class_name") == "__ellipsis__":
            k = ...
    if isinstance(k, slice) and all(
        v is None or isinstance(v, int) for v in (k.start, k.stop, k.step)
    ):
        return k
    if k is None or k is ... or (isinstance(k, int) and not isinstance(k, bool)):
        return k
    return n.unsupported(f"an index {k!r}")


def clip(n: KerasContext) -> str:
    """Between two bounds."""
    x = first(n)
    low = take(n, 1, "x_min", "clip_value_min", "min")
    high = take(n, 2, "x_max", "clip_value_max", "max")
    return n.add("minimum", [n.add("maximum", [x, tensor(n, low, x)]), tensor(n, high, x)])


def padded(n: KerasContext) -> str:
    """More elements around."""
    x, widths = first(n), take(n, 1, "pad_width", "paddings")
    mode = str(take(n, 2, "mode", default="constant")).lower()
    pairs = np.broadcast_to(np.asarray(widths), (n.rank(x), 2)).astype(int)
    if (pairs < 0).any() or mode not in ("constant", "reflect"):
        n.unsupported(f"padding of {widths!r} with the mode {mode!r}")
    value = take(n, 3, "constant_values", default=0) or 0
    return n.add("pad", [x], pads=(*pairs[:, 0].tolist(), *pairs[:, 1].tolist()), mode=mode,
                 value=value)  # fmt: skip


def cast(n: KerasContext) -> str:
    """Another element type."""
    return n.to(first(n), str(take(n, 1, "dtype")))


def gather(n: KerasContext) -> str:
    """Slices at indices."""
    x = tensor(n, take(n, 0, "x", "params"))
    index, axis = tensor(n, take(n, 1, "indices")), take(n, 2, "axis", default=None)
    if n.op.startswith("tf."):
        axis = n.kwargs.get("axis") or 0
    if axis is None:
        x, axis = n.add("reshape", [x], shape=(math.prod(n.shape(x)),)), 0
    return n.add("gather", [x, index], axis=n.axis(axis, n.rank(x)))


def tile(n: KerasContext) -> str:
    """A tensor repeated along axes."""
    x, given = first(n), take(n, 1, "repeats", "multiples")
    times = list(given) if isinstance(given, list | tuple) else [given]
    shape = (1,) * (len(times) - n.rank(x)) + n.shape(x)
    times = [1] * (len(shape) - len(times)) + times
    x = n.add("reshape", [x], shape=shape)
    return n.add("tile", [x], repeats=tuple(times))


def broadcast(n: KerasContext) -> str:
    """Stretched to a shape."""
    return n.add("expand", [first(n)], shape=tuple(take(n, 1, "shape")))


def softmax(op: str) -> Converter:
    """Along one axis, the last where none is given."""

    def convert(n: KerasContext) -> str:
        x = first(n)
        axis = take(n, 1, "axis", default=-1)
        return n.add(op, [x], axis=n.axis(-1 if axis is None else axis, n.rank(x)))

    return convert


def relu_of(n: KerasContext) -> str:
    """The positive part."""
    return relu(n, first(n))


def leaky(n: KerasContext) -> str:
    """Negative numbers times a slope."""
    default = 0.2
    return n.add("leaky_relu", [first(n)],
                 alpha=float(take(n, 1, "negative_slope", "alpha", default=default)))  # fmt: skip


def gelu(n: KerasContext) -> str:
    """Gelu; Keras's operation approximates unless told not to."""
    default = not n.op.startswith("tf.")
    near = take(n, 1, "approximate", default=default)
    return n.add("gelu", [first(n)], approximate="tanh" if near else "none")


def resize(n: KerasContext) -> str:
    """Images of another size."""
    x, size = first(n), take(n, 1, "size")
    how = str(take(n, 2, "interpolation", "method", default="bilinear"))
    last = str(take(n, 9, "data_format", default="channels_last")) == "channels_last"
    for odd in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "preserve_aspect_ratio"):
        if take(n, 9, odd, default=False):
            n.unsupported(f"a resize with {odd}")
    rank = n.rank(x)
    axes = [rank - 3, rank - 2] if last else [rank - 2, rank - 1]
    smooth = bool(take(n, 9, "antialias", default=False))
    return resized(n, n.to(x, "float32"), axes, [int(s) for s in size], how, smooth)


def copied(n: KerasContext) -> str:
    """The tensor itself."""
    return n.add("identity", [first(n)])


def filled_with(value: int) -> Converter:
    """A tensor of the same shape and one number."""

    def convert(n: KerasContext) -> str:
        t = n.typeof(first(n))
        one = n.constant(np.full((1,) * len(t.shape), value, t.dtype.numpy))
        return n.add("expand", [one], shape=t.shape)

    return convert


def rsqrt(n: KerasContext, x: str) -> str:
    """1 / sqrt(x)"""
    return n.add("reciprocal", [n.add("sqrt", [x])])


def floor_div(n: KerasContext) -> str:
    """The quotient, rounded down."""
    two = pair(n)
    if n.typeof(two[0]).dtype.is_float:
        return n.add("floor", [n.add("div", two)])
    return n.unsupported("a floored quotient of integers")


def square(n: KerasContext, x: str) -> str:
    """x * x"""
    return n.add("mul", [x, x])
