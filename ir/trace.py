"""The trace of a schedule: one frozen step per primitive; trace and tuning record are one thing.

A step names stages and axes by their names, which are deterministic, so that it can be replayed on
a fresh schedule of the same computation:

>>> trace = Trace.from_json(text)            # doctest: +SKIP
>>> trace.replay(create_schedule(C))         # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..runtime.errors import ScheduleError
from .expr import as_int
from .layout import Layout

if TYPE_CHECKING:
    from .schedule import Schedule

Value = int | float | str | bool | None


@dataclass(frozen=True)
class Step:
    """One call: ``s[stage].primitive(*args)``, axes and tensors by name. A list argument is a
    tuple. ``cache_read`` and ``cache_write`` are called on the schedule, with the stage first."""

    stage: str
    primitive: str
    args: tuple[Value | tuple[str, ...], ...]

    def __str__(self) -> str:
        shown = ", ".join(repr(list(a)) if isinstance(a, tuple) else repr(a) for a in self.args)
        return f"s[{self.stage!r}].{self.primitive}({shown})"


@dataclass(frozen=True)
class Trace:
    """All steps of a schedule in order."""

    steps: tuple[Step, ...] = ()

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))

    def to_json(self) -> str:
        """Compact JSON: ``[[stage, primitive, [args…]], …]``."""
        return json.dumps([[s.stage, s.primitive, list(s.args)] for s in self.steps])

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """The trace of ``to_json``; raises ScheduleError when it is not one."""
        try:
            return cls(
                tuple(
                    Step(
                        str(stage),
                        str(primitive),
                        tuple(tuple(map(str, a)) if isinstance(a, list) else a for a in args),
                    )
                    for stage, primitive, args in json.loads(text)
                )
            )
        except (ValueError, TypeError) as e:
            raise ScheduleError(f"this is not a schedule trace: {e}.") from None

    def replay(self, schedule: Schedule) -> Schedule:
        """``schedule``, with every step applied; raises ScheduleError where one does not fit."""
        for step in self.steps:
            stage = schedule.stage_named(step.stage)
            method = _PRIMITIVES.get(step.primitive)
            if method is None:
                raise ScheduleError(f"there is no primitive {step.primitive!r}.", where=str(step))
            method(schedule, stage, *step.args)
        return schedule


def _on_axis(name: str):
    def call(schedule, stage, axis, *args):
        return getattr(stage, name)(stage.axis_named(axis), *args)

    return call


def _on_axes(name: str):
    def call(schedule, stage, axes):
        return getattr(stage, name)(*map(stage.axis_named, axes))

    return call


def _compute_at(schedule, stage, parent, axis):
    target = schedule.stage_named(parent)
    return stage.compute_at(target, target.axis_named(axis))


def _bind(schedule, stage, axis, tag):
    from .schedule import thread_axis

    return stage.bind(stage.axis_named(axis), thread_axis(tag))


def _cache_read(schedule, stage, index, scope, readers):
    tensor = stage.op.outputs[index]
    return schedule.cache_read(tensor, scope, [schedule.stage_named(r) for r in readers])


def _prefetch(schedule, stage, source, index, loop, ahead, distance, shares):
    tensor = schedule.stage_named(source).op.outputs[index]
    parts = {stage.axis_named(a): int(n) for a, _, n in (p.rpartition(":") for p in shares)}
    return stage.prefetch(tensor, stage.axis_named(loop), stage.axis_named(ahead), distance, parts)


def _rfactor(schedule, stage, axis):
    return schedule.rfactor(stage.op.outputs[0], stage.axis_named(axis))


def _tensorize(schedule, stage, axis, name):
    from .tensorize import find_intrin

    return stage.tensorize(stage.axis_named(axis), find_intrin(name))


def _set_layout(schedule, stage, text):
    shape = [as_int(a.extent) for a in stage.axes]
    return stage.set_layout(Layout.from_text(text, [n or 0 for n in shape]))


_PRIMITIVES = {
    "split": lambda schedule, stage, axis, factor, nparts: stage.split(
        stage.axis_named(axis), factor, nparts
    ),
    "fuse": _on_axes("fuse"),
    "reorder": _on_axes("reorder"),
    "vectorize": _on_axis("vectorize"),
    "unroll": _on_axis("unroll"),
    "parallel": _on_axis("parallel"),
    "bind": _bind,
    "pragma": _on_axis("pragma"),
    "tensorize": _tensorize,
    "compute_at": _compute_at,
    "compute_inline": lambda schedule, stage: stage.compute_inline(),
    "compute_root": lambda schedule, stage: stage.compute_root(),
    "set_scope": lambda schedule, stage, scope: stage.set_scope(scope),
    "set_layout": _set_layout,
    "storage_align": _on_axis("storage_align"),
    "cache_read": _cache_read,
    "cache_write": lambda schedule, stage, scope: schedule.cache_write(stage.op.outputs, scope),
    "rfactor": _rfactor,
    "prefetch": _prefetch,
}
