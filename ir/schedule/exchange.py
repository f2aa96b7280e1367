"""Which threads' cells the steps of a recurrence read: where threads must wait for each other."""

from __future__ import annotations

from collections.abc import Mapping

from ...runtime.errors import ScheduleError
from ..expr import ZERO, Expr, Read, Var, as_int
from ..operations.scan import ScanOp
from ..simplify import simplify
from ..stmt import ForKind
from ..visit import structural_equal, substitute, walk
from .bounds import StageBounds
from .loops import Annotation
from .schedule import Schedule
from .stage import Stage

Bounds = Mapping[Stage, StageBounds]


def waits_in_step(
    schedule: Schedule, scan: Stage, op: ScanOp, bounds: Bounds, alias: Mapping[Var, Expr]
) -> set[Stage]:
    """The updates after which the threads of a workgroup wait: none where every thread reads only
    cells that itself has written.

    Raises ScheduleError where a block reads cells of another one, for which it cannot wait.
    """
    threads = [a for a in bounds[scan].outside if as_int(bounds[scan].outside[a]) != 1]
    if not threads:
        return set()
    writer = {
        t: schedule[u]
        for pair in zip(op.state, op.update, op.update)
        for t, u in ((pair[0], pair[1]), (pair[1], pair[2]))
    }
    last = max((schedule[u] for u in op.update), key=schedule.stages.index)
    waits: set[Stage] = set()
    for s, b in bounds.items():
        if op.scan_axis not in b.outside:
            continue
        for read in (n for body in b.body for n in walk(body) if isinstance(n, Read)):
            by = writer.get(read.tensor)
            if by is None or _own(s, b, read, by, bounds[by], alias):
                continue
            if any(a.tag.startswith("blockIdx") for a in threads):
                raise ScheduleError(
                    f"{s.name} reads {read}, cells of {scan.name} that other blocks may compute, "
                    "and blocks cannot wait for each other.",
                    where=scan.name,
                    hint=f"bind loops of {by.name} to threadIdx alone, or read only the cell that "
                    "is computed",
                )
            waits.add(last)
            if any(read.tensor is u for u in op.update):  # of this very step
                waits.add(by)
    return waits


def _own(
    s: Stage, b: StageBounds, read: Read, by: Stage, written: StageBounds, alias: Mapping[Var, Expr]
) -> bool:
    """Whether the thread that reads is the one that computes the cell."""
    read_at = [_place(i, s, b, alias) for i in read.indices[1:]]
    made_at = [_place(a, by, written, alias) for a in by.axes[1:]]
    if s is not by and not any(a in b.outside for a in by.leaves):
        # Loops of another stage are the same where they are alike, one by one.
        mine, theirs = _loops(s, b), _loops(by, written)
        if [x[1:] for x in mine] != [x[1:] for x in theirs]:
            return False
        same: dict[Var, Expr] = {x[0]: y[0] for x, y in zip(mine, theirs)}
        read_at = [substitute(e, same) for e in read_at]
    return all(map(structural_equal, read_at, made_at))


def _place(e: Expr, s: Stage, b: StageBounds, alias: Mapping[Var, Expr]) -> Expr:
    single: dict[Var, Expr] = {a: ZERO for a in s.leaves if as_int(b.extents[a]) == 1}
    return simplify(substitute(substitute(substitute(e, b.index), single), alias))


def _loops(s: Stage, b: StageBounds) -> list[tuple[Var, int | None, ForKind, str]]:
    found = []
    for a in s.leaves:
        n = as_int(b.extents[a])
        if n != 1:
            ann = s.annotations.get(a, Annotation())
            found.append((a, n, ann.kind, ann.tag))
    return found
