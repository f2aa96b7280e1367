"""Layers that move elements around."""

from __future__ import annotations

import math

from ...ops.image import UNROLLED_TAPS
from ..images import channels_last
from .context import Converter, KerasContext


def _flatten(n: KerasContext) -> str:
    """Channels first: they become the last axis before all is one."""
    x = n.x
    if not n.channels_last and n.rank(x) > 1:
        x = channels_last(n, x)
    shape = n.shape(x)
    return n.add("reshape", [x], shape=(shape[0] if shape else 1, math.prod(shape[1:])))


def filled(n: KerasContext, shape: list[int], elements: int) -> tuple[int, ...]:
    """A shape in which -1 is what is left of the elements."""
    if shape.count(-1) > 1 or any(d < -1 for d in shape):
        n.error(f"there is no shape {shape}.")
    if -1 in shape:
        rest = math.prod(d for d in shape if d != -1)
        if not rest or elements % rest:
            n.error(f"{elements} elements have no shape {shape}.")
        shape = [elements // rest if d == -1 else d for d in shape]
    return tuple(shape)


def _reshape(n: KerasContext) -> str:
    x, target = n.x, n.opt("target_shape")
    if not isinstance(target, list | tuple) or not all(
        d is None or isinstance(d, int) for d in target
    ):
        n.error(f"target_shape is {target!r}.")
    given = [-1 if d is None else int(d) for d in target]
    shape = n.shape(x)
    rest = math.prod(shape[1:])
    return n.add("reshape", [x], shape=(shape[0], *filled(n, given, rest)))


def _permute(n: KerasContext) -> str:
    dims = n.opt("dims")
    if not isinstance(dims, list | tuple) or sorted(dims) != list(range(1, n.rank(n.x))):
        n.error(f"dims are {dims!r}.")
    return n.add("transpose", [n.x], perm=(0, *dims))


def _repeat(n: KerasContext) -> str:
    b, f = n.shape(n.x)
    count = n.integer("n")
    if count < 0:
        n.error(f"it repeats {count} times.")
    return n.add("expand", [n.add("reshape", [n.x], shape=(b, 1, f))], shape=(b, count, f))


def _pairs(n: KerasContext, name: str, count: int) -> list[tuple[int, int]]:
    """Before and after each of ``count`` axes."""
    given = n.opt(name, 1)
    if isinstance(given, int):
        given = [given] * count
    if count == 1 and isinstance(given, list | tuple) and len(given) == 2:
        given = [given]
    if not isinstance(given, list | tuple) or len(given) != count:
        n.error(f"{name} is {given!r}.")
    pairs = [tuple(g) if isinstance(g, list | tuple) else (g, g) for g in given]
    if not all(len(p) == 2 and all(isinstance(v, int) and v >= 0 for v in p) for p in pairs):
        n.error(f"{name} is {given!r}.")
    return [(p[0], p[1]) for p in pairs]


def _spatial_axes(n: KerasContext, x: str, count: int) -> list[int]:
    if n.rank(x) != count + 2:
        n.error(f"it takes {count + 2} axes, not {n.typeof(x)}.")
    last = (count == 1 and "data_format" not in n.config) or n.channels_last
    return list(range(1, count + 1) if last else range(2, count + 2))


def _zero_padding(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        x = n.x
        pads = [0] * (2 * n.rank(x))
        for axis, (before, after) in zip(_spatial_axes(n, x, count), _pairs(n, "padding", count)):
            pads[axis], pads[n.rank(x) + axis] = before, after
        return n.add("pad", [x], pads=tuple(pads))

    return convert


def _cropping(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        x = n.x
        shape, starts = list(n.shape(x)), [0] * n.rank(x)
        for axis, (before, after) in zip(_spatial_axes(n, x, count), _pairs(n, "cropping", count)):
            starts[axis] = before
            shape[axis] -= before + after
            if shape[axis] < 0:
                n.error(f"it crops more than the {n.shape(x)[axis]} elements of axis {axis}.")
        return n.add("slice", [x], starts=tuple(starts), shape=tuple(shape))

    return convert


def _up_sampling(count: int) -> Converter:
    def convert(n: KerasContext) -> str:
        x = n.x
        factors = n.integers("size", count, 2)
        axes = _spatial_axes(n, x, count)
        if min(factors) < 1:
            n.error(f"size is {factors}.")
        how = str(n.opt("interpolation", "nearest"))
        if how != "nearest":
            sizes = [n.shape(x)[a] * f for a, f in zip(axes, factors)]
            return resized(n, x, axes, sizes, how)
        whole = [1] * n.rank(x)
        for axis, f in zip(axes, factors):
            whole[axis] = f
        return n.add("upsample", [x], factors=tuple(whole))

    return convert


def resized(
    n: KerasContext, x: str, axes: list[int], sizes: list[int], how: str, antialias: bool = False
) -> str:
    """``x`` with other extents of some axes, resampled between the centres of its elements."""
    from .resize import table

    for axis, out in zip(axes, sizes):
        size = n.shape(x)[axis]
        if size == out:
            continue
        if out < 1 or size < 1:
            n.error(f"an axis of {size} elements resized to {out}.")
        index, weight = table(n, size, out, how, antialias)
        op = "resample" if index.shape[1] <= UNROLLED_TAPS else "resample_sum"
        inputs = [x, n.constant(index), n.constant(weight.astype(n.typeof(x).dtype.numpy))]
        x = n.add(op, inputs, axis=axis)
    return x


__all__ = ["CONVERTERS", "filled", "resized"]
CONVERTERS: dict[str, Converter] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    **{f"ZeroPadding{d}D": _zero_padding(d) for d in (1, 2, 3)},
    **{f"Cropping{d}D": _cropping(d) for d in (1, 2, 3)},
    **{f"UpSampling{d}D": _up_sampling(d) for d in (1, 2, 3)},
}
