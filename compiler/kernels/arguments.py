"""Whether a schedule, its arguments and a target go together: what ``weft.build`` asks first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.expr import ZERO, Var, as_int
from ...ir.schedule.loops import VTHREAD
from ...ir.schedule.reads import check_reads
from ...ir.schedule.scans import rows_computed, states_of
from ...ir.schedule.schedule import Schedule
from ...ir.stmt import ForKind
from ...ir.target import Target
from ...ir.tensor import ComputeOp, Operation, PlaceholderOp, Tensor
from ...runtime.errors import ScheduleError


def check_build(schedule: Any, args: Any, name: str) -> None:
    """Raises :class:`ScheduleError` where the arguments are not those of the schedule, and
    :class:`LoweringError` where a computation reads outside of what it reads."""
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            f"{type(schedule).__name__} is no schedule.",
            where=name,
            hint="weft.build(te.create_schedule(C), [A, B, C])",
        )
    if not isinstance(args, Sequence) or isinstance(args, str):
        raise ScheduleError(
            f"the arguments are {args!r}, not a list.", where=name, hint=f"write {_call(schedule)}"
        )
    for a in args:
        if not isinstance(a, Tensor | Var):
            raise ScheduleError(
                f"the argument {a!r} is {type(a).__name__}, neither a tensor nor a variable.",
                where=name,
                hint="give the placeholders, the results and the te.var of the computation"
                + (", tensors in place of their operations" if isinstance(a, Operation) else ""),
            )
    _check_tensors(schedule, args, name)
    rows = rows_computed(schedule)
    for stage in schedule.stages:
        begin = rows.get(stage.op, ZERO)
        if isinstance(stage.op, ComputeOp) and begin is not None:
            check_reads(stage.op, as_int(begin) or 0)


def check_places(schedule: Schedule, target: Target, name: str) -> None:
    """Raises :class:`ScheduleError` where a loop is bound to what the target does not have. (On a
    processor, loops over workgroups and threads are plain ones.)"""
    for s in schedule.stages:
        for loop, note in s.annotations.items():
            if note.kind is not ForKind.BOUND or note.tag == VTHREAD:
                continue
            fragments = note.tag.startswith(("fragment", "draw"))
            if fragments is target.texture_memory:
                continue
            there = "opengl and webgl, whose draws weft schedules by itself"
            raise ScheduleError(
                f"{s.name}: the loop {loop.name} is bound to {note.tag}, which has no place on "
                f"{target.kind}.\n{s.nest()}",
                where=name,
                hint=f"{note.tag} is for {there if fragments else 'all but opengl and webgl'}",
            )


def _check_tensors(schedule: Schedule, args: Sequence[Tensor | Var], name: str) -> None:
    seen: set[Tensor | Var] = set()
    for a in args:
        if a in seen:
            raise ScheduleError(f"the argument {a.name} is given twice.", where=name)
        seen.add(a)
        if isinstance(a, Var) or a in schedule.outputs or isinstance(a.op, PlaceholderOp):
            continue
        results = ", ".join(t.name for t in (*schedule.outputs, a))
        raise ScheduleError(
            f"the argument {a.name} is computed, and is no result of the schedule.",
            where=name,
            hint=f"name all results: te.create_schedule([{results}])",
        )
    inputs = _inputs(schedule)
    for s in schedule.stages:
        for t in s.op.outputs:
            wanted = t in inputs or t in schedule.outputs
            if wanted and t not in seen:
                role = "an input" if t in inputs else "a result"
                raise ScheduleError(
                    f"{t.name} is {role} of the schedule and is missing from the arguments.",
                    where=name,
                    hint=f"write {_call(schedule)}",
                )


def _call(schedule: Schedule) -> str:
    """How ``weft.build`` is called for a schedule."""
    return f"weft.build(s, [{', '.join(x.name for x in (*_inputs(schedule), *schedule.outputs))}])"


def _inputs(schedule: Schedule) -> list[Tensor]:
    """What the caller provides: placeholders that are not the state of a recurrence."""
    states = states_of(schedule)
    given = (t for s in schedule.stages if isinstance(s.op, PlaceholderOp) for t in s.op.outputs)
    return [t for t in given if t not in states]
