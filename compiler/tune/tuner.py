"""The tuner: evolutionary search ranked by a learned model, one batch of measurements a round.

The first round of a task measures the rule's own schedule and those that an analytical model likes
best of a random sample. Every later one breeds configurations from the best ones known, lets the
cost model rank them, and measures the most promising (and, with probability ``EPSILON`` each,
random others). Then the best newcomers compete with the champion in turns. Everything measured is
stored at once: a tuner that is killed goes on where it stopped. After AutoTVM (Chen et al.,
NeurIPS'18, §3) and Ansor (Zheng et al., OSDI'20, §5).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...codegen.llvm import generator as llvm
from ...ir.target import HOST, Target
from ...runtime import knobs
from ...runtime.errors import TuneError, WeftError
from ..options import CompileOptions
from ..schedules.choices import config_text
from .measure import Measurement, measure
from .model import CostModel
from .records import Record, Records, here
from .search import Candidate, Space
from .task import Task, tasks_of
from .worker import Worker

BATCH = 8  # measurements a round
EPSILON = 0.15  # part of a batch that is random
ELITE = 12  # parents of the next generation
SEEDS = 4  # of a task's first round
BREED_SECONDS = 1.5  # for the candidates of one round
MARGIN = 0.01  # a schedule that is not faster than the default by this part is not worth a record
RESUMED = 24  # old measurements of a task that the cost model learns from

Measure = Callable[[Task, Sequence[Mapping[str, Any]], int], list[Measurement]]


@dataclass
class TaskState:
    """How far the search of one task is."""

    task: Task
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


def ignore_progress(progress: TuneProgress) -> None:
    """What is told of a search where nobody looks on: nothing happens."""


@dataclass(frozen=True)
class TuneSettings:
    """How long and with what a search goes on; see :func:`tune`.

    Raises :class:`TuneError` where nothing ends it.
    """

    trials: int | None = None
    seconds: float | None = None
    threads: int | None = None
    timeout: float = 20.0
    seed: int = 0
    measure: Measure = measure
    tell: Callable[[TuneProgress], None] = ignore_progress

    def __post_init__(self) -> None:
        if self.trials is None and self.seconds is None:
            raise TuneError("neither a number of trials nor a time ends this search.")

    @property
    def workers(self) -> int:
        """The threads that run a kernel."""
        return self.threads or knobs.num_threads()


def tune(  # noqa: PLR0913 - public: keywords of compile and of TuneSettings
    model: Any,
    target: str | Target = "llvm",
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    *,
    records: Records,
    trials: int | None = None,
    seconds: float | None = None,
    threads: int | None = None,
    timeout: float = 20.0,
    seed: int = 0,
    accuracy: str = "fast",
    measure: Measure = measure,
    tell: Callable[[TuneProgress], None] = ignore_progress,
) -> TuneProgress:
    """Search for better schedules of a model's kernels and store what was measured.

    Parameters
    ----------
    model, target, shapes, constants, accuracy : as for ``weft.compile``.
    records : where measurements go, and what an earlier run left.
    trials, seconds : how many candidates to measure, how long to search; at least one of them.
    threads : of the kernels; the number that programs would use where None.
    timeout : seconds after which a candidate is given up; compiling it counts.
    measure : what a worker process does with a batch of configurations of a task.
    tell : called after each round and each measurement.

    Raises
    ------
    TuneError : without LightGBM, without an end, for a target that is not this machine.
    """
    options = CompileOptions(
        (Target.parse(target),), shapes or {}, constants or {}, accuracy, records=records
    )
    settings = TuneSettings(trials, seconds, threads, timeout, seed, measure, tell)
    return search(model, options, records, settings)


def search(
    model: Any, options: CompileOptions, records: Records, settings: TuneSettings
) -> TuneProgress:
    """As :func:`tune`, for the one target of ``options``."""
    (target,) = options.targets
    goal = llvm.resolve(target)
    if goal.mtriple != llvm.resolve(Target.parse(HOST)).mtriple:
        raise TuneError(
            f"kernels for {goal.mtriple} cannot be timed on this machine.",
            hint="tune on the machine that will run them, and merge its records",
        )
    begin = time.monotonic()
    cost, rng = CostModel(settings.seed), random.Random(settings.seed)
    states = [TaskState(t, Space(t, rng, settings.workers)) for t in tasks_of(model, goal, options)]
    progress = TuneProgress(states, trials=settings.trials, limit=settings.seconds)
    with Worker() as worker:
        job = _Search(settings, records, progress, worker, cost, rng, begin)
        settings.tell(progress)
        while not job.over():
            state = max(states, key=lambda s: s.promise, default=None)
            if state is None or state.exhausted:
                break
            job.round(state)
    return progress


@dataclass
class _Search:
    """What the rounds of all tasks share; ``begin`` is when the search began."""

    settings: TuneSettings
    records: Records
    progress: TuneProgress
    worker: Worker
    cost: CostModel
    rng: random.Random
    begin: float

    def over(self) -> bool:
        p = self.progress
        p.elapsed = time.monotonic() - self.begin
        done = p.trials is not None and p.measured >= p.trials
        return done or (p.limit is not None and p.elapsed >= p.limit)

    def round(self, state: TaskState) -> None:
        """One batch of a task."""
        self.progress.current = state
        fresh: list[Candidate] = []
        if not state.rounds:
            self._resume(state)
            if state.space.default.trace not in state.known:
                fresh.append(state.space.default)
            seeds = state.space.seeds(SEEDS, BREED_SECONDS)
            fresh += [c for c in seeds if c.trace not in state.known]
        state.rounds += 1
        taken = {state.space.default.trace, *(c.trace for c in fresh)}
        for c in [*fresh, *self._propose(state, BATCH - len(fresh), taken)]:
            if self.over():
                break
            self._try(state, c)
        before = state.champion
        self._compete(state)
        state.idle = 0 if state.champion is not before else state.idle + 1
        p = self.progress
        p.elapsed = time.monotonic() - self.begin
        p.history.append((p.elapsed, p.gain))
        self.settings.tell(p)

    def _resume(self, state: TaskState) -> None:
        """Take over what the records know of a task: nothing is measured twice."""
        task = state.task
        found = self.records.of(task.key, str(task.target), self.settings.workers)
        failed = [r for r in found if r.state != "ok"]
        good = [r for r in found if r.state == "ok"]
        for r in found:
            state.known.setdefault(r.trace, r)
        for r in [*good[:RESUMED], *failed[: RESUMED // 4]]:
            c = state.space.candidate(r.config)
            if c.trace != r.trace:  # the rules have changed since
                state.known.pop(r.trace, None)
                continue
            self.cost.add(task.key, c.row, r.seconds)
            if r.state == "ok":
                state.parents[c.trace] = c

    def _propose(self, state: TaskState, n: int, taken: Collection[str]) -> list[Candidate]:
        """Up to ``n`` candidates that were not measured and have no trace of those ``taken``, the
        most promising first."""
        space, rng = state.space, self.rng
        order = sorted(state.parents, key=lambda t: state.known[t].seconds or math.inf)
        elite = [state.parents[t] for t in order[:ELITE]] or [space.default]
        pool: dict[str, Candidate] = {}
        end = time.monotonic() + BREED_SECONDS
        for attempt in range(20 * n):
            if len(pool) >= 6 * n or (time.monotonic() > end and len(pool) >= n):
                break
            luck = rng.random()
            # The better a parent, the more often it is one.
            parent = elite[min(int(rng.expovariate(3 / len(elite))), len(elite) - 1)]
            if luck < 0.2 or attempt > 10 * n:
                c = space.random()
            elif luck < 0.4 and len(elite) > 1:
                c = space.cross(parent, rng.choice(elite))
            else:
                c = space.mutate(parent)
            if c.trace not in state.known and c.trace not in taken:
                pool[c.trace] = c
        if not pool:
            state.exhausted = True
            return []
        candidates = list(pool.values())
        scores = self.cost.predict([c.row for c in candidates])
        if scores is None:
            candidates.sort(key=lambda c: c.cycles)
        else:
            ranked = sorted(zip(scores, range(len(candidates))), reverse=True)
            candidates = [candidates[k] for _, k in ranked]
        chosen: list[Candidate] = []
        while candidates and len(chosen) < n:
            lucky = rng.random() < EPSILON
            chosen.append(candidates.pop(rng.randrange(len(candidates)) if lucky else 0))
        return chosen

    def _run(self, state: TaskState, candidates: Sequence[Candidate]) -> list[Measurement]:
        """What the worker says of candidates; a hang or a crash is of all of them."""
        # What is much slower than the champion need not be waited for, but compiling takes a while.
        slow = 50 * state.seconds if math.isfinite(state.seconds) else 0.0
        limit = len(candidates) * (self.settings.timeout + min(slow, self.settings.timeout))
        args = (state.task, [c.config for c in candidates], self.settings.workers)
        answer = self.worker.run(self.settings.measure, args, limit)
        if answer.state == "ok":
            return answer.value
        return [Measurement(answer.state, None, answer.message) for _ in candidates]

    def _try(self, state: TaskState, c: Candidate) -> None:
        (m,) = self._run(state, [c])
        self._store(state, c, m)
        p = self.progress
        p.measured += 1
        p.states_count[m.state] = p.states_count.get(m.state, 0) + 1
        p.elapsed = time.monotonic() - self.begin
        self.cost.add(state.task.key, c.row, m.seconds)
        self.settings.tell(p)

    def _store(self, state: TaskState, c: Candidate, m: Measurement) -> None:
        task = state.task
        record = here(Record(
            task.key, str(task.target), self.settings.workers, c.config, m.state, m.seconds,
            False, c.trace, task.name, task.flops, m.message[:500],
        ))  # fmt: skip
        self.records.put(record)
        state.known[c.trace] = record
        if m.state == "ok":
            state.parents[c.trace] = c
        else:
            state.parents.pop(c.trace, None)

    def _compete(self, state: TaskState) -> None:
        """The default, the champion and the fastest newcomers in turns; the winner is crowned. The
        default keeps the crown unless another is faster by ``MARGIN``."""
        default = state.space.default
        order = sorted(state.parents, key=lambda t: state.known[t].seconds or math.inf)
        fastest = [state.parents[t] for t in order[:3]]
        if default.trace not in state.parents:
            return  # the default cannot run here: there is nothing to compare with
        if state.champion is not None and fastest and fastest[0].trace == state.champion.trace:
            return
        entrants = {default.trace: default}
        for c in [*([state.champion] if state.champion else []), *fastest]:
            entrants.setdefault(c.trace, c)
        candidates = list(entrants.values())
        results = self._run(state, candidates)
        times: dict[str, float] = {}
        for c, m in zip(candidates, results):
            if m.state == "ok" and m.seconds is not None:
                times[c.trace] = m.seconds
            self._store(state, c, m) if m.state in ("ok", "wrong") else None
        if default.trace not in times:
            return
        winner = min(candidates, key=lambda c: times.get(c.trace, math.inf))
        if times[winner.trace] > times[default.trace] * (1 - MARGIN):
            winner = default
        state.champion = winner
        state.seconds, state.default_seconds = times[winner.trace], times[default.trace]
        self.records.crown(state.known[winner.trace])


def describe(config: Mapping[str, Any]) -> str:
    """A configuration for people."""
    return config_text(config).strip("{}").replace('"', "")


__all__ = ["Measure", "TaskState", "TuneError", "TuneProgress", "WeftError", "describe", "tune"]
