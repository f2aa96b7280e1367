"""Reduce axes that are as long as data say: their ends in terms of loops and buffers.

    for k in range(P[i + 1] - P[i])   ->   for k in range(P[i.outer * 4 + i.inner + 1] - …)

The ends of such an axis are written with the data axes of the stage and with reads of tensors. A
loop nest has loops and buffers instead, and the loops that say how long one is stand around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...runtime.errors import ScheduleError
from ..expr import Expr, IterVar
from ..schedule.bounds import StageBounds
from ..schedule.stage import Stage
from ..tensor import is_ragged, is_unknown
from ..visit import walk


def with_ends(s: Stage, b: StageBounds, ends: Callable[[Expr], Expr]) -> StageBounds:
    """``b`` with ``ends`` of all that depends on how long the reduce axes of ``s`` are: a function
    that puts index values for the data axes and loads for reads.

    Raises :class:`ScheduleError` for an order of loops in which that is not known where it must be.
    """
    if not any(is_ragged(a) for a in s.reduce_axes):
        return b
    extents = {a: ends(e) if is_unknown(e) else e for a, e in b.extents.items()}
    guards = [(a, ends(g) if a.kind == "reduce" else g) for a, g in b.guards]
    index = {a: ends(e) if a.kind == "reduce" else e for a, e in b.index.items()}
    position = {a: k for k, a in enumerate(s.leaves)}
    for a in s.leaves:
        if not is_unknown(b.extents[a]):
            continue
        for v in walk(extents[a]):
            if not isinstance(v, IterVar) or v not in position:
                continue
            other = s.leaves[position[v]]
            if position[v] >= position[a]:
                raise ScheduleError(
                    f"{s.name}: how long the loop {a.name} is depends on the loop {other.name}, "
                    f"which is inside of it.\n{s.nest()}",
                    hint=f"reorder {other.name} to the outside of {a.name}; vectorize another loop",
                )
    return replace(b, extents=extents, guards=guards, index=index)


__all__ = ["with_ends"]
