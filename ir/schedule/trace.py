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

from ...runtime.errors import ScheduleError
from .primitives import PRIMITIVES, TraceStep

if TYPE_CHECKING:
    from .schedule import Schedule


@dataclass(frozen=True)
class Trace:
    """All steps of a schedule in order."""

    steps: tuple[TraceStep, ...] = ()

    def __iter__(self) -> Iterator[TraceStep]:
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
                    TraceStep(
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
            known = PRIMITIVES.get(step.primitive)
            if known is None:
                raise ScheduleError(
                    f"there is no primitive {step.primitive!r}.",
                    where=str(step),
                    hint=", ".join(PRIMITIVES),
                )
            known.replay(schedule, step)
        return schedule
