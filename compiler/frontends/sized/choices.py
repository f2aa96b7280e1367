"""Results of several ways to compute them: alike at their bounds, each with sizes of its own."""

from __future__ import annotations

from collections.abc import Sequence

from .sizing import Sizing


def alike(a: Sizing, x: str, b: Sizing, y: str) -> bool:
    """Whether two tensors can be two values of one: of one type and as many axes."""
    return a.dtype(x) == b.dtype(y) and len(a.shape(x)) == len(b.shape(y))


def bounds(a: Sizing, x: str, b: Sizing, y: str) -> tuple[int, ...]:
    """A shape that has room for both."""
    return tuple(map(max, a.shape(x), b.shape(y)))


def open_axes(a: Sizing, x: str, b: Sizing, y: str) -> list[int]:
    """The axes of which either has a size, or in which they differ."""
    pairs = enumerate(zip(a.extents(x), b.extents(y)))
    return [k for k, (m, n) in pairs if m.size or n.size or m != n]


def widened(s: Sizing, x: str, shape: Sequence[int]) -> str:
    """``x`` with room for a shape, at its ends; its sizes are for the caller to state."""
    have = s.shape(x)
    if have == tuple(shape):
        return x
    if s.dtype(x).is_bool:
        return s.add("cast", [widened(s, s.add("cast", [x], to="uint8"), shape)], to="bool")
    pads = (*(0,) * len(have), *(n - m for m, n in zip(have, shape)))
    return s.add("pad", [x], pads=pads)


def select(s: Sizing, condition: str, x: str, y: str) -> str:
    """``x`` where the scalar ``condition`` holds, else ``y``, which are :func:`alike`."""
    axes, shape = open_axes(s, x, s, y), bounds(s, x, s, y)
    sizes = {}
    for k in axes:
        m, n = s.extent(x, k), s.extent(y, k)
        same = m.size and m.size == n.size
        sizes[k] = m.size if same else s.add("where", [condition, s.number(m), s.number(n)])
    chosen = s.add("where", [condition, widened(s, x, shape), widened(s, y, shape)])
    return s.declare(chosen, sizes)


__all__ = ["alike", "bounds", "open_axes", "select", "widened"]
