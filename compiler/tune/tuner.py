"""The tuner: evolutionary search ranked by a learned model, one batch of measurements a round.

The first round of a task measures the rule's own schedule and those that an analytical model likes
best of a random sample. Every later one breeds configurations from the best ones known, lets the
cost model rank them, and measures the most promising (and, with probability ``EPSILON`` each,
random others). Then the best newcomers compete with the champion in turns. Everything measured is
stored at once: a tuner that is killed goes on where it stopped.

Where candidates run is the business of an executor (``executor.py``). A round is decided before
its first measurement, and its results are learned from in the order in which it was decided: the
search is the same however many measure it, and in whatever order they answer.

After AutoTVM (Chen et al., NeurIPS'18, §3) and Ansor (Zheng et al., OSDI'20, §5).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ...codegen import resolve
from ...ir.target import Target
from ...runtime import knobs
from ...runtime.errors import TuneError, WeftError
from ...runtime.guard import guarded
from ..options import CompileOptions, has_threads
from ..schedules.choices import config_text
from .executor import Executor, LocalExecutor, Measure
from .measure import Measurement, measure
from .model import CostModel
from .records import Record, Records, here
from .search import Candidate, Space
from .slots import run_on_slots
from .state import TaskState, TuneProgress
from .task import AnyTask, tasks_of
from .template import Template, TemplateTask

BATCH = 8  # measurements a round
EPSILON = 0.15  # part of a batch that is random
ELITE = 12  # parents of the next generation
SEEDS = 4  # of a task's first round
BREED_SECONDS = 1.5  # for the candidates of one round
MARGIN = 0.01  # a schedule that is not faster than the default by this part is not worth a record
RESUMED = 24  # old measurements of a task that the cost model learns from


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
    tell: Callable[[TuneProgress], None] = ignore_progress
    kernels: int | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.seconds is None:
            raise TuneError("neither a number of trials nor a time ends this search.")

    @property
    def workers(self) -> int:
        """The threads that run a kernel."""
        return self.threads or knobs.num_threads()


@guarded
def tune(  # noqa: PLR0913 - public: keywords of compile and of TuneSettings
    model: Any,
    target: str | Target = "llvm",
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    *,
    records: Records | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    threads: int | None = None,
    timeout: float = 20.0,
    seed: int = 0,
    accuracy: str = "fast",
    measure: Measure = measure,
    executor: Executor | None = None,
    kernels: int | None = None,
    tell: Callable[[TuneProgress], None] = ignore_progress,
) -> TuneProgress:
    """Search for better schedules of a model's kernels, or of one kernel that a user has written
    with open questions (``te.template``), and store what was measured.

    Parameters
    ----------
    model, target, shapes, constants, accuracy : as for ``weft.compile``. A template takes any
        target that this machine (or the executor's) runs, and none of the others.
    records : where measurements go, and what an earlier run left; a template has records of its
        own, in memory, for when there are no others.
    trials, seconds : how many candidates to measure, how long to search; at least one of them.
    threads : of the kernels; the number that programs would use where None.
    timeout : seconds after which a candidate is given up; compiling it counts.
    measure : what a worker process of this machine does with a batch of configurations of a task.
    executor : where candidates are built and measured, for instance on a cluster; this machine
        where None. It stays open.
    kernels : only so many of a model's, those that compute most; all of them where None.
    tell : called after each round and each measurement.

    Raises
    ------
    TuneError : without LightGBM, without an end, for a target that is not this machine.
    """
    settings = TuneSettings(trials, seconds, threads, timeout, seed, tell, kernels)
    with LocalExecutor(measure) as local:
        if isinstance(model, Template):
            goal = resolve(target) if executor is None else executor.resolve(Target.parse(target))
            store = model.records if records is None else records
            return _search([TemplateTask.of(model, goal)], store, settings, executor or local)
        if records is None:
            raise TuneError(
                "a model's measurements are kept for its later compilations.",
                hint="records=weft.Records(path)",
            )
        options = CompileOptions(
            (Target.parse(target),), shapes or {}, constants or {}, accuracy, records=records
        )
        return search(model, options, records, settings, executor or local)


def search(
    model: Any,
    options: CompileOptions,
    records: Records,
    settings: TuneSettings,
    executor: Executor,
) -> TuneProgress:
    """As :func:`tune`, for the one target of ``options``."""
    (target,) = options.targets
    goal = executor.resolve(target)
    tasks = tasks_of(model, goal, options)[: settings.kernels]
    return _search(tasks, records, settings, executor)


def _search(
    tasks: Sequence[AnyTask], records: Records, settings: TuneSettings, executor: Executor
) -> TuneProgress:
    begin = time.monotonic()
    cost, rng = CostModel(settings.seed), random.Random(settings.seed)
    threads = settings.workers if all(has_threads(t.target) for t in tasks) else 1
    states = [TaskState(t, Space(t, rng, threads)) for t in tasks]
    progress = TuneProgress(states, trials=settings.trials, limit=settings.seconds)
    device = executor.device(tasks[0].target) if tasks else ""
    job = _Search(settings, records, progress, executor, device, threads, cost, rng, begin)
    settings.tell(progress)
    while not job.over() and job.round():
        pass
    return progress


@dataclass
class _Search:
    """What the rounds of all tasks share; ``begin`` is when the search began."""

    settings: TuneSettings
    records: Records
    progress: TuneProgress
    executor: Executor
    device: str
    threads: int
    cost: CostModel
    rng: random.Random
    begin: float

    def over(self) -> bool:
        p = self.progress
        p.elapsed = time.monotonic() - self.begin
        done = p.trials is not None and p.measured >= p.trials
        return done or (p.limit is not None and p.elapsed >= p.limit)

    def round(self) -> bool:
        """A batch of the most promising task, or of several tasks where more can be measured at
        once than a batch has; False when there is nothing left to measure."""
        slots = self.executor.slots
        eager = sorted((s for s in self.progress.states if not s.exhausted), key=_by_promise)
        states = eager[: math.ceil(slots / BATCH)]
        size = max(BATCH, math.ceil(slots / max(len(states), 1)))
        batch = [(s, c) for s in states for c in self._batch(s, size)]
        self._try(batch, slots)
        before = [s.champion for s in states]
        self._compete(states, slots)
        for state, champion in zip(states, before):
            state.idle = 0 if state.champion is not champion else state.idle + 1
            p = self.progress
            p.current = state
            p.elapsed = time.monotonic() - self.begin
            p.history.append((p.elapsed, p.gain))
            self.settings.tell(p)
        return bool(states)

    def _batch(self, state: TaskState, size: int) -> list[Candidate]:
        """What a round of a task measures."""
        self.progress.current = state
        fresh: list[Candidate] = []
        if not state.rounds:
            self._resume(state)
            if state.space.default.trace not in state.known:
                fresh.append(state.space.default)
            seeds = [*self._winners(state), *state.space.seeds(SEEDS, BREED_SECONDS)]
            fresh += {c.trace: c for c in seeds if c.trace not in state.known}.values()
        state.rounds += 1
        taken = {state.space.default.trace, *(c.trace for c in fresh)}
        return [*fresh, *self._propose(state, size - len(fresh), taken)]

    def _winners(self, state: TaskState) -> list[Candidate]:
        """What won on other devices: only what all have measured can be best for all of them."""
        task = state.task
        there = self.records.elsewhere(task.key, str(task.target), self.threads, self.device)
        found = [state.space.candidate(r.config) for r in there[:SEEDS]]
        return [c for c in found if c.trace != state.space.default.trace]

    def _resume(self, state: TaskState) -> None:
        """Take over what the records know of a task: nothing is measured twice."""
        task = state.task
        found = self.records.of(task.key, str(task.target), self.threads, self.device)
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
        """What became of candidates that are measured together."""
        # What is much slower than the champion need not be waited for, but compiling takes a while.
        slow = 50 * state.seconds if math.isfinite(state.seconds) else 0.0
        limit = len(candidates) * (self.settings.timeout + min(slow, self.settings.timeout))
        configs = [c.config for c in candidates]
        return self.executor.measure(state.task, configs, self.threads, limit)

    def _try(self, batch: Sequence[tuple[TaskState, Candidate]], slots: int) -> None:
        """Measure each candidate by itself, as long as the search goes on."""
        p = self.progress
        found: dict[int, Record] = {}
        if p.trials is not None:
            batch = batch[: p.trials - p.measured]

        def jobs() -> Iterator[Callable[[], list[Measurement]]]:
            for state, c in batch:
                if self.over():
                    return
                yield partial(self._run, state, [c])

        def done(k: int, answer: list[Measurement]) -> None:
            (m,), (state, c) = answer, batch[k]
            p.current = state
            found[k] = self._put(state, c, m)
            p.measured += 1
            p.states_count[m.state] = p.states_count.get(m.state, 0) + 1
            p.elapsed = time.monotonic() - self.begin
            self.settings.tell(p)

        run_on_slots(jobs(), done, slots, self.executor.cancel)
        for k, record in sorted(found.items()):
            state, c = batch[k]
            state.learn(c, record)
            self.cost.add(state.task.key, c.row, record.seconds)

    def _put(self, state: TaskState, c: Candidate, m: Measurement) -> Record:
        task = state.task
        record = here(Record(
            task.key, str(task.target), self.threads, c.config, m.state, m.seconds,
            False, c.trace, task.name, task.flops, m.message[:500], device=self.device,
        ))  # fmt: skip
        if m.machine:
            record = replace(record, machine=m.machine)
        self.records.put(record)
        return record

    def _compete(self, states: Sequence[TaskState], slots: int) -> None:
        """For each task the default, the champion and the fastest newcomers in turns, on one
        machine."""
        rivals = [(s, r) for s in states if (r := s.rivals())]

        def done(k: int, results: list[Measurement]) -> None:
            self._crown(*rivals[k], results)

        jobs = (partial(self._run, state, candidates) for state, candidates in rivals)
        run_on_slots(jobs, done, slots, self.executor.cancel)

    def _crown(
        self, state: TaskState, candidates: Sequence[Candidate], results: Sequence[Measurement]
    ) -> None:
        """The winner of a comparison. The default keeps the crown unless another is faster by
        ``MARGIN``."""
        default = state.space.default
        times: dict[str, float] = {}
        for c, m in zip(candidates, results):
            if m.state == "ok" and m.seconds is not None:
                times[c.trace] = m.seconds
            if m.state in ("ok", "wrong"):
                state.learn(c, self._put(state, c, m))
        if default.trace not in times:
            return
        winner = min(candidates, key=lambda c: times.get(c.trace, math.inf))
        if times[winner.trace] > times[default.trace] * (1 - MARGIN):
            winner = default
        state.champion = winner
        state.seconds, state.default_seconds = times[winner.trace], times[default.trace]
        self.records.crown(state.known[winner.trace])


def _by_promise(state: TaskState) -> float:
    return -state.promise


def describe(config: Mapping[str, Any]) -> str:
    """A configuration for people."""
    return config_text(config).strip("{}").replace('"', "")


__all__ = ["Measure", "TaskState", "TuneError", "TuneProgress", "WeftError", "describe", "tune"]
