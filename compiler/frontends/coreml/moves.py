"""Reshapes, slices, gathers and scatters, as both kinds of models have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import CoreContext

# Core ML's mode of a scatter to the reduction of weft's operator, and what the updates go through.
_MODES = {"update": ("none", ""), "add": ("add", ""), "sub": ("add", "neg"), "mul": ("mul", ""),
          "div": ("mul", "reciprocal"), "max": ("max", ""), "min": ("min", "")}  # fmt: skip


def resolved(n: CoreContext, x: str, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape to reshape ``x`` to: 0 keeps an axis, one -1 is what is left."""
    have = n.typeof(x)
    found = list(shape)
    for k, d in enumerate(found):
        if d == 0 and have.size:
            if k >= len(have.shape):
                n.error(f"extent {k} of {found} keeps an axis that {have} does not have.")
            found[k] = have.shape[k]
    return n.filled(have, found)


def squeezed(n: CoreContext, x: str, axes: Sequence[int] | None) -> str:
    """``x`` without axes of one element; None: without all of them."""
    shape = n.typeof(x).shape
    if axes is None:
        drop = {k for k, d in enumerate(shape) if d == 1}
    else:
        drop = {n.counted(a, len(shape)) for a in axes}
    if any(shape[k] != 1 for k in drop):
        n.error(f"an axis of {sorted(drop)} of {n.typeof(x)} is not 1 and cannot be dropped.")
    return n.add("reshape", [x], shape=tuple(d for k, d in enumerate(shape) if k not in drop))


def ranges(
    n: CoreContext,
    shape: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    masks: Sequence[Sequence[int]],
) -> list[range]:
    """The elements that a slice by index takes along each axis, as numpy does. ``masks`` say where
    a begin and an end mean nothing, and where an axis is one element; empty ones say nothing."""
    rank = len(shape)
    strides = strides or (1,) * rank
    no_begin, no_end, single = (m or (False,) * rank for m in masks)
    lists = (begin, end, strides, no_begin, no_end, single)
    if any(len(v) != rank for v in lists) or 0 in strides:
        n.error(f"a slice of {list(shape)} takes {rank} numbers each, and no step of 0.")
    found = []
    for k, d in enumerate(shape):
        first = None if no_begin[k] else begin[k]
        if single[k]:
            at = first or 0
            at = at + d if at < 0 else at
            if not 0 <= at < d:
                n.error(f"element {at} of an axis of {d} is asked for.")
            found.append(range(at, at + 1))
        else:
            found.append(range(*slice(first, None if no_end[k] else end[k], strides[k]).indices(d)))
    return found


def sliced(n: CoreContext, x: str, taken: Sequence[range]) -> str:
    """The elements of ``x`` at these places along each axis."""
    return n.add(
        "slice",
        [x],
        starts=tuple(r.start if len(r) else 0 for r in taken),
        shape=tuple(map(len, taken)),
        steps=tuple(r.step for r in taken),
    )


def stacked(n: CoreContext, values: Sequence[str], axis: int) -> str:
    """Tensors of one shape along a new axis."""
    shape = n.typeof(values[0]).shape
    axis = n.counted(axis, len(shape) + 1)
    lifted = [n.add("reshape", [v], shape=(*shape[:axis], 1, *shape[axis:])) for v in values]
    return n.add("concat", lifted, axis=axis)


def parts(n: CoreContext, x: str, axis: int, sizes: Sequence[int]) -> list[str]:
    """``x`` cut along an axis."""
    shape, at, made = n.typeof(x).shape, 0, []
    if sum(sizes) != shape[axis] or min(sizes, default=0) < 0:
        n.error(f"parts of {list(sizes)} do not make up an axis of {shape[axis]}.")
    for size in sizes:
        whole = [range(d) for d in shape]
        whole[axis] = range(at, at + size)
        made.append(sliced(n, x, whole))
        at += size
    return made


def filled(n: CoreContext, value: str, shape: Sequence[int]) -> str:
    """A scalar in every element of a shape."""
    return n.add("expand", [n.reshaped(value, ())], shape=n.made(shape))


def windows(n: CoreContext, x: str, axis: int, size: int, step: int) -> str:
    """Windows along an axis: [..., L, ...] to [..., windows, size, ...]."""
    extent = n.typeof(x).shape[axis]
    if size < 1 or step < 1 or size > extent:
        n.error(f"windows of {size} in steps of {step} do not fit an axis of {extent}.")
    first = np.arange((extent - size) // step + 1, dtype=np.int32) * step
    at = first[:, None] + np.arange(size, dtype=np.int32)
    return n.add("gather", [x, n.constant(at)], axis=axis, wrap=False)


def gathered(n: CoreContext, x: str, at: str, axis: int, batch: int) -> str:
    """Slices of ``x`` along an axis; the first ``batch`` axes go with those of the indices."""
    if not batch:
        return n.add("gather", [x, at], axis=axis)
    rank, places = len(n.typeof(x).shape), n.typeof(at).shape
    if not batch <= axis < rank or batch > len(places):
        n.error(f"{batch} axes of a batch do not fit the axis {axis} and indices {places}.")
    order = [*range(batch), axis, *(k for k in range(batch, rank) if k != axis)]
    y = n.add("gather_nd", [n.moved(x, order), n.reshaped(at, (*places, 1))], batch_dims=batch)
    # [batch, indices, before the axis, after it] to [batch, before, indices, after]
    many, before = len(places) - batch, axis - batch
    middle = list(range(batch, batch + many))
    front = list(range(batch + many, batch + many + before))
    last = range(batch + many + before, batch + many + rank - batch - 1)
    return n.moved(y, [*range(batch), *front, *middle, *last])


def updates(n: CoreContext, tensor: str, mode: str) -> tuple[str, str]:
    """The updates of a scatter as weft's operator takes them, and its reduction."""
    if mode not in _MODES:
        n.error(f"there is no mode {mode!r} of a scatter.")
    reduction, through = _MODES[mode]
    if through == "reciprocal" and not n.typeof(tensor).dtype.is_float:
        n.unsupported("a scatter that divides integers")
    return (n.add(through, [tensor]) if through else tensor), reduction


def scattered(n: CoreContext, data: str, at: str, new: str, axis: int, mode: str) -> str:
    """Slices along an axis of ``data`` made or changed; ``new`` has the indices' axes in place of
    it."""
    new, reduction = updates(n, new, mode)
    rank, places = len(n.typeof(data).shape), n.typeof(at).shape
    front = [axis, *(k for k in range(rank) if k != axis)]
    many = len(places)
    order = [*range(axis, axis + many), *range(axis), *range(axis + many, rank + many - 1)]
    y = n.add(
        "scatter_nd",
        [n.moved(data, front), n.reshaped(at, (*places, 1)), n.moved(new, order)],
        reduction=reduction,
    )
    return n.moved(y, [front.index(k) for k in range(rank)])
