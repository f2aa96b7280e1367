"""What makes sizes out of data: the places of elements that are chosen."""

from __future__ import annotations

import math

from .sizing import Extent, Sizing


def chosen(s: Sizing, mask: str) -> tuple[str, Extent]:
    """The indices of the true elements of a line of conditions, in order, as an int64 tensor of
    that size; and how many they are."""
    (n,) = s.shape(mask)
    places, count = s.add_many("compact", [s.masked(mask, [0], False)])
    size = s.made(n, count)
    s.emitter.values.stated[places] = (0, max(n - 1, 0))
    return s.declare(places, {0: count}), size


def coordinates(s: Sizing, x: str) -> tuple[list[str], Extent]:
    """The index along each axis of the elements of ``x`` that are not zero, in row-major order."""
    shape = s.shape(x)
    true = x
    if not s.dtype(x).is_bool:
        true = s.add("not_equal", [x, s.constant(0, s.dtype(x))])
    if s.sizes(x):
        true = s.add("and", [true, s.within(x, list(s.sizes(x)))])
    flat = s.add("reshape", [true], shape=(math.prod(shape),))
    places, size = chosen(s, flat)
    lines = []
    for axis, n in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        index = s.add("div", [places, s.constant(max(inner, 1))]) if inner != 1 else places
        index = s.add("mod", [index, s.constant(max(n, 1))]) if axis else index
        s.emitter.values.stated[index] = (0, max(n - 1, 0))
        lines.append(index)
    return lines, size


__all__ = ["chosen", "coordinates"]
