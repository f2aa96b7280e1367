"""How far a search is: of each task, and of all of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .records import Record
from .search import Candidate, Space
from .task import AnyTask


@dataclass
class TaskState:
    """How far the search of one task is."""

    task: AnyTask
    space: Space
    known: dict[str, Record] = field(default_factory=dict)  # by trace
    parents: dict[str, Candidate] = field(default_factory=dict)
    champion: Candidate | None = None
    seconds: float = math.inf  # of the champion
    default_seconds: float = math.inf  # measured in turns with the champion
    rounds: int = 0
    idle: int = 0  # rounds since the champion changed
    exhausted: bool = False

    @property
    def gain(self) -> float:
        """How many times faster than the default schedule."""
        known = math.isfinite(self.seconds) and math.isfinite(self.default_seconds)
        return self.default_seconds / self.seconds if known else 1.0

    @property
    def gflops(self) -> float:
        """What the champion computes in a second, 10^9 operations; 0 as long as there is none."""
        return self.task.flops / self.seconds * 1e-9 if math.isfinite(self.seconds) else 0.0

    @property
    def promise(self) -> float:
        """Time that this task takes of the model, less the longer nothing was found."""
        if self.exhausted:
            return -1.0
        if not self.rounds:
            return math.inf
        return self.task.calls * min(self.seconds, 10.0) * 0.75**self.idle

    def learn(self, c: Candidate, record: Record) -> None:
        """Take over what was measured of a candidate."""
        self.known[c.trace] = record
        if record.state == "ok":
            self.parents[c.trace] = c
        else:
            self.parents.pop(c.trace, None)

    def rivals(self) -> list[Candidate]:
        """The default, the champion and the fastest newcomers, where one of these is faster than
        the champion was; the default comes first."""
        default = self.space.default
        order = sorted(self.parents, key=lambda t: self.known[t].seconds or math.inf)
        fastest = [self.parents[t] for t in order[:3]]
        if default.trace not in self.parents:
            return []  # the default cannot run: there is nothing to compare with
        if self.champion is not None and fastest and fastest[0].trace == self.champion.trace:
            return []
        entrants = {default.trace: default}
        for c in [*([self.champion] if self.champion else []), *fastest]:
            entrants.setdefault(c.trace, c)
        return list(entrants.values())


@dataclass
class TuneProgress:
    """What a view shows. ``history`` holds, after each round, the seconds since the start and the
    geometric mean of all gains."""

    states: list[TaskState]
    current: TaskState | None = None
    measured: int = 0
    states_count: dict[str, int] = field(default_factory=dict)
    trials: int | None = None
    elapsed: float = 0.0
    limit: float | None = None
    history: list[tuple[float, float]] = field(default_factory=list)

    @property
    def gain(self) -> float:
        """The geometric mean of the gains of all tasks."""
        logs = [math.log(s.gain) for s in self.states]
        return math.exp(sum(logs) / len(logs)) if logs else 1.0
