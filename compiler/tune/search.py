"""The configurations of a task: where a search begins and how it moves."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...runtime.errors import CodegenError, LoweringError, ScheduleError, WeftError
from ..kernels.facts import trace_hash
from ..schedules.choices import Choice, Choices, Config, Value, config_text
from .estimate import cycles
from .features import NAMES, features
from .task import AnyTask

_UNKNOWN = (0.0,) * len(NAMES)  # features
SAMPLES = 200  # random candidates that seeds are chosen from


@dataclass(frozen=True)
class Candidate:
    """A configuration with every answer written out, the hash of the schedule that it leads to, the
    features of its loop nest, the questions that have more than one answer, and the cycles that
    the analytical model estimates."""

    config: Config
    trace: str
    features: tuple[float, ...]
    open: tuple[Choice, ...] = ()
    cycles: float = math.inf

    @property
    def row(self) -> tuple[float, ...]:
        """What the learned model sees, ``model.COLUMNS``."""
        return (*self.features, math.log2(self.cycles) if math.isfinite(self.cycles) else 0.0)


class Space:
    """All schedules of a task that its rules allow."""

    def __init__(self, task: AnyTask, rng: random.Random, threads: int = 1):
        self.task, self._rng, self._threads = task, rng, threads
        self._known: dict[str, Candidate] = {}  # by trace
        self.default = self.candidate({})
        self.size = math.prod(len(c.options) for c in self.default.open)

    def candidate(self, config: Config, pick: Callable[[Choice], Value] | None = None) -> Candidate:
        """The candidate of a configuration; ``pick`` answers what it leaves open. Configurations
        that lead to one schedule are one candidate. A schedule that cannot be lowered has features
        of zero: measuring it says why. So has one that a template's answers make impossible.

        Raises the error of the task's own schedule, for an empty configuration.
        """
        choices = Choices(config, pick)
        try:
            nests = self.task.nests(choices)
        except (ScheduleError, LoweringError, CodegenError):
            if not config and pick is None:
                raise
            return Candidate(dict(choices.taken), config_text(choices.taken), _UNKNOWN)
        trace = trace_hash(*(n.schedule for n in nests))
        if trace not in self._known:
            try:
                values = features(nests)
            except WeftError:
                values = _UNKNOWN
            asked = tuple(c for c in choices.asked.values() if len(c.options) > 1)
            guess = cycles(values, self.task.target, self._threads)
            self._known[trace] = Candidate(dict(choices.taken), trace, values, asked, guess)
        return self._known[trace]

    def seeds(self, n: int, seconds: float) -> list[Candidate]:
        """The ``n`` candidates that the analytical model likes best, of as many random ones as can
        be made in so many ``seconds``, at most ``SAMPLES``; never the default."""
        end = time.monotonic() + seconds
        found: dict[str, Candidate] = {}
        for _ in range(SAMPLES):
            if time.monotonic() > end and len(found) >= n:
                break
            c = self.random()
            found[c.trace] = c
        found.pop(self.default.trace, None)
        return sorted(found.values(), key=lambda c: c.cycles)[:n]

    def random(self) -> Candidate:
        """Any configuration of the space."""
        return self.candidate({}, self._any)

    def mutate(self, parent: Candidate) -> Candidate:
        """``parent`` with one or two answers changed, half of the time to a neighbouring option."""
        config = dict(parent.config)
        count = min(len(parent.open), self._rng.choice((1, 1, 2)))
        for c in self._rng.sample(parent.open, count):
            config[c.name] = self._other(c, config[c.name])
        return self.candidate(config, self._any)

    def cross(self, a: Candidate, b: Candidate) -> Candidate:
        """Each answer from one of two parents."""
        names = sorted({*a.config, *b.config})
        mixed: dict[str, Value] = {}
        for n in names:
            first, second = (a, b) if self._rng.random() < 0.5 else (b, a)
            mixed[n] = first.config[n] if n in first.config else second.config[n]
        return self.candidate(mixed)

    def _any(self, c: Choice) -> Value:
        return self._rng.choice(c.options)

    def _other(self, c: Choice, value: Value) -> Value:
        at = c.options.index(value)
        if self._rng.random() < 0.5:
            near = [k for k in (at - 2, at - 1, at + 1, at + 2) if 0 <= k < len(c.options)]
            return c.options[self._rng.choice(near)]
        return self._rng.choice([o for k, o in enumerate(c.options) if k != at])
