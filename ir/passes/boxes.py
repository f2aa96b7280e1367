"""How the stored part of a stage, its box, lies in memory: what ``set_layout`` and
``storage_align`` of a schedule ask for."""

from __future__ import annotations

from ...runtime.errors import ScheduleError
from ..expr import Expr, as_int
from ..layout import Digit, Layout
from ..schedule.bounds import Box
from ..schedule.stage import Stage


def box_layout(s: Stage, box: Box) -> Layout | None:
    """The layout of the stored box of a stage, where the schedule asks for one; None: row major.
    Raises ScheduleError where padding needs constant extents or cannot be found."""
    shape = tuple(e for _, e in box)
    if s.layout is None:
        return _aligned_layout(s, shape)
    sizes = [as_int(e) for e in shape]
    known = [n for n in sizes if n is not None]
    return s.layout.resized(known) if len(known) == len(sizes) else None


def _aligned_layout(s: Stage, shape: tuple[Expr, ...]) -> Layout | None:
    """The padded layout that ``storage_align`` asks for."""
    if not s.alignment:
        return None
    sizes = [as_int(e) for e in shape]
    if any(n is None for n in sizes):
        raise ScheduleError(f"storage_align of {s.name} needs constant extents, not {shape}.")
    extents = [n for n in sizes if n is not None]
    padded = list(extents)
    for k, (factor, offset) in sorted(s.alignment.items(), reverse=True):
        if k < len(extents) - 1:  # the last axis always has stride 1
            _pad_for_stride(padded, k, factor, offset)
    return Layout(tuple(extents), tuple((Digit(a, 1, n),) for a, n in enumerate(padded)))


def _pad_for_stride(padded: list[int], k: int, factor: int, offset: int) -> None:
    """Lengthen the axes after ``k`` as little as possible so that the stride of axis ``k`` is
    ``offset`` modulo ``factor``. An odd length of the last axis makes every stride reachable when
    it shares no divisor with ``factor``, so the search ends."""
    options = []
    last = len(padded) - 1
    for extra in range(factor if k + 1 < last else 1):
        tail = [*padded[k + 2 : last], padded[last] + extra] if k + 1 < last else []
        rest = 1
        for n in tail:
            rest *= n
        for grown in range(padded[k + 1], padded[k + 1] + factor):
            if grown * rest % factor == offset:
                options.append((grown * rest, grown, extra))
    if not options:
        raise ScheduleError(
            f"storage_align: no padding of {padded[k + 1 :]} has a stride of {offset} modulo "
            f"{factor}."
        )
    _, grown, extra = min(options)
    padded[k + 1] = grown
    if k + 1 < last:
        padded[last] += extra
