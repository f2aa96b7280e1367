"""Recurrences in a schedule: which stages are computed in each step, and where.

The steps are the one loop of a scan's stage. At it are computed: the updates, whose rows are parts
of the scan's storage, and every stage that depends on a state, unless it has been given a place
further inside. What does not depend on a state stays where the schedule has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..expr import ZERO, Expr, Read, Var, as_int, const
from ..operations.scan import ScanOp
from ..simplify import Analyzer
from ..tensor import ComputeOp, Operation, Tensor
from ..visit import substitute
from .reads import certain_reads
from .spans import SymbolicRanges
from .transforms import Attach

if TYPE_CHECKING:
    from .bounds import StageBounds
    from .schedule import Schedule
    from .stage import Stage


def scans_of(schedule: Schedule) -> list[tuple[Stage, ScanOp]]:
    """The stages that are recurrences."""
    return [(s, s.op) for s in schedule.stages if isinstance(s.op, ScanOp)]


def scan_of_update(s: Stage) -> Stage | None:
    """The recurrence whose rows a stage computes."""
    for scan, op in scans_of(s.schedule):
        if any(u.op is s.op for u in op.update):
            return scan
    return None


def states_of(schedule: Schedule) -> dict[Tensor, Stage]:
    """The placeholders that stand for states, each with its recurrence."""
    return {t: scan for scan, op in scans_of(schedule) for t in op.state}


def rows_computed(schedule: Schedule) -> dict[Operation, Expr | None]:
    """For the operations that are computed step by step: the first row that an update computes;
    None for the others, which compute what an update needs."""
    found: dict[Operation, Expr | None] = {}
    for scan, op in scans_of(schedule):
        found |= dict.fromkeys(s.op for s in _moving(schedule, scan, op))
        found |= dict.fromkeys((u.op for u in op.update), op.first)
    return found


def attach_steps(schedule: Schedule) -> None:
    """Put what depends on states into the loops over steps.

    Raises ScheduleError where something outside of a recurrence's updates reads its state, or a
    part of a recurrence is used as a result of its own.
    """
    for scan, op in scans_of(schedule):
        _check_parts(schedule, scan, op)
        updates = {schedule[u] for u in op.update}
        below: set[Stage] = set()
        stack = list(updates)
        while stack:
            s = stack.pop()
            if s not in below:
                below.add(s)
                stack.extend(s.producers())
        for s in _moving(schedule, scan, op):
            if s not in below:
                raise ScheduleError(
                    f"{s.name} reads a state of {scan.name}, or what its steps compute, and is no "
                    "part of a step.",
                    hint=f"read the result of {scan.name}",
                )
            if not isinstance(s.op, ComputeOp):
                raise ScheduleError(f"{s.name} cannot be computed in a step of {scan.name}.")
            if s.attach.kind == "root":
                s.attach = Attach("at", scan, op.scan_axis)


def _moving(schedule: Schedule, scan: Stage, op: ScanOp) -> list[Stage]:
    """The updates, and the stages that depend on a state otherwise than through the result."""
    updates = {schedule[u] for u in op.update}
    moving = {schedule[t]: True for t in op.state if t in schedule}
    states = len(moving)
    for s in schedule.stages:  # producers come first
        if s is not scan and (s in updates or any(p in moving for p in s.producers())):
            moving[s] = True
    return list(moving)[states:]


def _check_parts(schedule: Schedule, scan: Stage, op: ScanOp) -> None:
    for t in (*op.init, *op.update):
        if schedule[t].is_output:
            raise ScheduleError(
                f"{t.name} is a part of {scan.name} and a result of its own.",
                hint=f"copy it with a te.compute, or take the rows of {scan.name}",
            )
        others = [o for o, p in scans_of(schedule) if o is not scan and t in p.inputs]
        if others:
            raise ScheduleError(
                f"{t.name} is a part of two recurrences, {scan.name} and {others[0].name}.",
                hint="copy it with a te.compute for one of them",
            )


def step_box(s: Stage, scan: Stage) -> list[tuple[Expr, Expr]]:
    """What one step computes of an update: one row."""
    assert isinstance(scan.op, ScanOp)
    return [(scan.op.scan_axis + scan.op.first, const(1)), *((ZERO, a.extent) for a in s.axes[1:])]


def place_of_part(s: Stage) -> str:
    """What a stage is of a recurrence whose storage it writes; empty for any other."""
    for scan, op in scans_of(s.schedule):
        if any(t.op is s.op for t in op.update):
            return f"the step of {scan.name}"
        if any(t.op is s.op for t in op.init):
            return f"the beginning of {scan.name}"
    return ""


def check_rows(schedule: Schedule, found: Mapping[Stage, StageBounds]) -> None:
    """Raise ScheduleError where a step certainly reads a row of a state that is not there yet, or
    one before the first. Reads under a condition are the user's to guard."""
    for scan, op in scans_of(schedule):
        for s, b in found.items():
            if op.scan_axis in b.outside:
                for read in (r for body in b.body for r in certain_reads(body)):
                    if any(read.tensor is t for t in op.state):
                        _check_row(scan, op, s, b, read)


def _check_row(scan: Stage, op: ScanOp, s: Stage, b: StageBounds, read: Read) -> None:
    an = Analyzer()
    loops = {a: b.extents[a] for a in s.leaves} | b.outside
    moving: dict[Var, tuple[Expr, Expr]] = {}
    for v, extent in loops.items():
        n = as_int(extent)
        an.bind(v, 0, n - 1 if n is not None else extent - 1)
        if v is not op.scan_axis:
            moving[v] = (ZERO, extent - 1)
    span = SymbolicRanges(moving).of(an.simplify(substitute(read.indices[0], b.index)))
    if span is None:
        return
    row = op.scan_axis + op.first  # the one that is being computed
    ahead = as_int(an.simplify(span[1] - row))
    low = as_int(an.simplify(span[0] - op.scan_axis))
    if (ahead is not None and ahead >= 0) or (low is not None and low < 0):
        raise ScheduleError(
            f"{s.name} reads {read} of {scan.name}: "
            + (
                "a row that no earlier step has computed."
                if low is None or low >= 0
                else f"a row before the first, as the steps begin at row {op.first}."
            ),
            hint="a step at t reads the rows before t, and as many before it as there are first "
            "rows",
        )
