"""Integers that nodes take as attributes or inputs: axes, extents, numbers of places."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..sized.arguments import Number
from .context import NodeContext


def values(n: NodeContext, i: int) -> list[int] | None:
    """The integers of an input that must be known at compile time; None when it is absent."""
    value = n.const(i)
    return None if value is None else [int(v) for v in value.reshape(-1)]


def axis_of(n: NodeContext, axis: int, ndim: int) -> int:
    """``axis`` counted from the front."""
    if not -ndim <= axis < ndim:
        n.error(f"the axis {axis} is out of range for {ndim} axes.")
    return axis % ndim


def axes_of(n: NodeContext, axes: Sequence[int], ndim: int) -> list[int]:
    """Several axes counted from the front, each named once."""
    found = [axis_of(n, int(a), ndim) for a in axes]
    if len(set(found)) != len(found):
        n.error(f"the axes {list(axes)} name one axis twice.")
    return found


def moved(n: NodeContext, name: str, i: int, since: int) -> list[int] | None:
    """Integers that were the attribute ``name`` before opset ``since`` and are input ``i`` now."""
    if n.opset >= since:
        return values(n, i)
    given = n.attr(name, None)
    return None if given is None else [int(v) for v in given]


def bounded(n: NodeContext, i: int, unbounded: int = 0) -> list[Number]:
    """The integers of an input that are sizes. Raises :class:`ModelError` where more than
    ``unbounded`` of them have neither a value nor a bound, which the caller may know."""
    found = n.numbers(i)
    if found is None:
        n.error(f"its input {i} is absent.")
    if sum(e.range[1] == math.inf for e in found) > unbounded:
        n.unbounded(i)
    return found


def closed(n: NodeContext, axes: Sequence[int]) -> None:
    """Refuses what needs to know how long axes of the first input are."""
    found = [k for k in axes if k in n.sizing.sizes(n.inputs[0])]
    if found:
        n.unsupported(f"only data knows the size of axis {found[0]}")
