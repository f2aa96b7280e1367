"""Checking and timing candidates as programs of one kernel each, wherever a runner has them run.

What ``measure.py`` does for kernels of this process's own processor, for every other kind of
target: here through its driver, in a page, at the other end of a hub.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.tensor import compute, placeholder
from ...runtime import forks
from ...runtime.devices.probe import probe
from ...runtime.devices.table import DEVICES, runner_of
from ...runtime.errors import RPCError, WeftError
from ...runtime.executor import Executable
from ...runtime.rpc.program import AwayProgram
from ...runtime.runner import RunnerFactory
from ..kernels.build import build
from ..schedules.auto import auto_schedule
from ..schedules.choices import Config, config_text
from .built import Built
from .measure import Measurement, close_enough, in_turns, sample
from .task import AnyTask

KEPT = 16  # candidates that were built, for comparisons
JUDGED = 4  # tasks of which arrays are kept
COARSE = 5e6  # nanoseconds: clocks of pages tick in steps of up to 0.1 ms
_LOST = ("connect", "queue", "timeout", "peer gone")  # steps of errors after which it is not there


class Lost(Exception):
    """The device went away, or did not answer, at a candidate of a batch; ``candidate`` is None
    where none was at work yet."""

    def __init__(self, candidate: int | None, error: RPCError):
        super().__init__(str(error))
        self.candidate, self.error = candidate, error


def _plain(array: np.ndarray) -> Any:
    return array


@dataclass(frozen=True)
class Place:
    """Where programs run: what makes their runners (None: whatever this process has for their
    kind), and what brings an array there that several of them read."""

    make: RunnerFactory | None = None
    put: Callable[[np.ndarray], Any] = _plain

    def load(self, exe: Executable) -> Executable:
        """The program as one that runs there; it is loaded at its first call."""
        return exe.at(self.make or runner_of(exe.kind, exe.name))


@dataclass(frozen=True)
class _Judge:
    """The arguments of a task's kernels and the results of its default schedule."""

    inputs: Sequence[np.ndarray]
    wanted: Sequence[np.ndarray]


Build = Callable[[AnyTask, Sequence[Config]], Sequence[Built]]


class NotBuilt(WeftError):
    """There is no program of a candidate; ``state`` says what became of it, as in a record."""

    state = "failed"

    @classmethod
    def of(cls, made: Built) -> NotBuilt:
        """What a builder says that has no package."""
        error = cls(made.message)
        error.state = made.state
        return error


class Workbench:
    """What is kept between the batches of a search. Safe to use from several threads. ``build``
    makes candidates elsewhere; without it they are built here."""

    def __init__(self, build: Build | None = None) -> None:
        self._build = build
        self._built: OrderedDict[tuple[str, str, str], Executable | NotBuilt] = OrderedDict()
        self._judges: OrderedDict[tuple[str, str], _Judge] = OrderedDict()
        self._lock = forks.renewed(self, "_lock")

    def prepare(self, task: AnyTask, configs: Sequence[Config]) -> None:
        """Have candidates built elsewhere, together, with what judges them; nothing happens where
        they are built here. Those that cannot be built say so when they are measured."""
        if self._build is None:
            return
        wanted = {self._key(task, c): c for c in configs}
        with self._lock:
            if (task.key, str(task.target)) not in self._judges:
                wanted[self._key(task, {})] = {}
            missing = {k: c for k, c in wanted.items() if k not in self._built}
        if not missing:
            return
        for key, made in zip(missing, self._build(task, list(missing.values()))):
            self._keep(key, _unpacked(made))

    def measure(self, task: AnyTask, configs: Sequence[Config], place: Place) -> list[Measurement]:
        """Build candidates, check that each computes what the default schedule does there, and time
        them: in turns, by the device's own clock where it has one.

        Raises :class:`Lost`, and the error of a default schedule that cannot run.
        """
        judge = self._judge(task, place)
        given = _asked(None, lambda: [place.put(a) for a in judge.inputs])
        results: dict[int, Measurement] = {}
        runs: dict[int, _Ready] = {}
        try:
            for k, config in enumerate(configs):
                try:
                    ready = _Ready(k, place.load(self._executable(task, config)), given)
                    runs[k] = ready
                    right = _agree(task, ready.run(), judge.wanted)
                except NotBuilt as e:
                    results[k] = Measurement(e.state, None, str(e))
                except WeftError as e:
                    results[k] = Measurement("failed", None, str(e))
                else:
                    if right:
                        continue
                    why = "the results differ from the default's"
                    results[k] = Measurement("wrong", None, why)
                if k in runs:
                    runs.pop(k).exe.close()
            while runs:
                try:
                    results |= in_turns(runs, len(configs))
                    break
                except _Failed as e:
                    results[e.candidate] = Measurement("failed", None, str(e.error))
                    runs.pop(e.candidate).exe.close()
        finally:
            for ready in runs.values():
                ready.exe.close()
        return [results[k] for k in range(len(configs))]

    def _judge(self, task: AnyTask, place: Place) -> _Judge:
        key = (task.key, str(task.target))
        with self._lock:
            found = self._judges.get(key)
        if found is not None:
            return found
        rng = np.random.default_rng(0)
        exe = self._executable(task, {})
        inputs = []
        for t, _ in zip(task.parameters, exe.inputs):
            values = sample(t.shape, t.dtype, rng)
            inputs.append(values if t.layout is None else t.layout.pack(values))
        with place.load(exe) as there:
            wanted = _asked(None, lambda: there.run_checked(inputs))
        with self._lock:
            found = self._judges[key] = _Judge(inputs, wanted)
            while len(self._judges) > JUDGED:
                self._judges.popitem(last=False)
        return found

    def _key(self, task: AnyTask, config: Config) -> tuple[str, str, str]:
        return task.key, str(task.target), config_text(config)

    def _executable(self, task: AnyTask, config: Config) -> Executable:
        key = self._key(task, config)
        with self._lock:
            found = self._built.get(key)
            if found is not None:
                self._built.move_to_end(key)
        if found is None:
            found = self._keep(key, self._made(task, config))
        if isinstance(found, NotBuilt):
            raise found
        return found

    def _made(self, task: AnyTask, config: Config) -> Executable | NotBuilt:
        if self._build is None:
            return task.build(config)
        (made,) = self._build(task, [config])
        return _unpacked(made)

    def _keep(
        self, key: tuple[str, str, str], made: Executable | NotBuilt
    ) -> Executable | NotBuilt:
        with self._lock:
            self._built[key] = made
            while len(self._built) > KEPT:
                self._built.popitem(last=False)
        return made


def _unpacked(made: Built) -> Executable | NotBuilt:
    return made.executable() if made.package else NotBuilt.of(made)


class _Failed(Exception):
    """A candidate that did run does not any more."""

    def __init__(self, candidate: int, error: WeftError):
        super().__init__(str(error))
        self.candidate, self.error = candidate, error


def _asked(candidate: int | None, call: Callable[[], Any]) -> Any:
    """What a device answers; raises :class:`Lost` where it is not there."""
    try:
        return call()
    except RPCError as e:
        if e.step in _LOST:
            raise Lost(candidate, e) from None
        raise


@dataclass(frozen=True)
class _Ready:
    """The program of a candidate where it runs, with its arguments."""

    candidate: int
    exe: Executable
    arrays: Sequence[Any]

    def run(self) -> list[np.ndarray]:
        return _asked(self.candidate, lambda: self.exe.run_checked(self.arrays))

    def call(self, n: int) -> np.ndarray:
        """The nanoseconds of each of ``n`` calls; of the mean of several together, where they are
        short beside the steps of a coarse clock."""
        try:
            times = _asked(self.candidate, lambda: self.exe.runner.time(self.arrays, n))
        except WeftError as e:
            raise _Failed(self.candidate, e) from None
        calls = times.sum(axis=1)
        together = min(n, math.ceil(COARSE / max(float(calls.mean()), 1.0)))
        return calls[: n // together * together].reshape(-1, together).mean(axis=1)


def _agree(task: AnyTask, got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> bool:
    """Whether results are those of the default schedule, but for the order of sums. What lies in
    the padding is nobody's business."""
    for t, a, b in zip(task.parameters[-len(wanted) :], got, wanted):
        if t.layout is not None:
            a, b = t.layout.unpack(a), t.layout.unpack(b)
        if not close_enough(a, b, t.dtype):
            return False
    return True


_here = Workbench()


def measure_programs(task: AnyTask, configs: Sequence[Config], threads: int) -> list[Measurement]:
    """As :meth:`Workbench.measure`, with what this process has for the task's kind of target; in a
    worker process. Programs of these kinds have threads of their own."""
    return _here.measure(task, configs, Place())


def device_name(target: str) -> str:
    """What runs programs of ``target`` here, in words; in a worker process."""
    kind = target.split(maxsplit=1)[0]
    if not DEVICES[kind].away:
        return probe(kind).description
    a = placeholder((4,), "float32", name="a")
    b = compute((4,), lambda i: a[i] + 1, name="b")
    with build(auto_schedule([b], target), [a, b], target).executable as exe:
        runner = exe.prepare().runner
        assert isinstance(runner, AwayProgram)
        return "; ".join(map(renderer, runner.devices))


def renderer(text: str) -> str:
    """What a page says of its device, without the API: WebGL's and WebGPU's have names of their
    own."""
    return re.sub(r"^web(gl2?|gpu), ", "", text, flags=re.IGNORECASE)


__all__ = [
    "Build",
    "Lost",
    "NotBuilt",
    "Place",
    "Workbench",
    "device_name",
    "measure_programs",
    "renderer",
]
