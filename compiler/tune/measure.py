"""Compiling and timing candidates; runs in a worker process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...runtime.devices.cpu.cpu import CPUDevice
from ...runtime.devices.cpu.engine import Library
from ...runtime.dtype import DType
from ...runtime.errors import WeftError
from ...runtime.ndarray import address, aligned_empty
from ..graph.group import is_literal
from ..kernels.kernel import compile_kernel, physical_shape
from ..schedules.choices import Config, config_text
from ..types import TensorType
from .task import Task

SHORT = 0.05  # seconds of calls to time a candidate with
ROUNDS = 6  # of a comparison; each times every candidate in turn
KEPT = 16  # compiled candidates kept for comparisons


@dataclass(frozen=True)
class Measurement:
    """What became of a candidate: ``state`` as in a record, the seconds of one call, and which
    machine measured it, as records name it; empty: this one."""

    state: str
    seconds: float | None = None
    message: str = ""
    machine: str = ""


def measure(task: Task, configs: Sequence[Config], threads: int) -> list[Measurement]:
    """Compile candidates, check that each computes what the default schedule does, and time them.

    Several are timed in turns, so that whatever else the machine does hits all of them. The time of
    a call is the lower decile of all its calls: what interrupts a call only ever makes it longer.
    """
    CPUDevice().set_num_threads(threads)
    bench = _Bench(task)
    results: list[Measurement | None] = [None] * len(configs)
    runs: dict[int, _Run] = {}
    for k, config in enumerate(configs):
        try:
            runs[k] = _Run(_compiled(task, config), bench)
        except WeftError as e:
            results[k] = Measurement("failed", None, str(e))
            continue
        runs[k].call(1)
        if not bench.agrees():
            results[k] = Measurement("wrong", None, "the results differ from the default's")
            del runs[k]
    for k, m in in_turns(runs, len(configs)).items():
        results[k] = m
    return [r for r in results if r is not None]


class Timed(Protocol):
    """A candidate that is ready to run."""

    def call(self, n: int) -> np.ndarray:
        """The nanoseconds of each of ``n`` calls."""
        ...


def in_turns(runs: Mapping[int, Timed], candidates: int) -> dict[int, Measurement]:
    """The time of each of ``runs``, which are what is right of so many ``candidates``."""
    times: dict[int, list[np.ndarray]] = {k: [] for k in runs}
    rounds = 2 if candidates == 1 else ROUNDS
    counts = {k: _calls_for(r, SHORT / rounds) for k, r in runs.items()}
    for _ in range(rounds):
        for k, r in runs.items():
            times[k].append(r.call(counts[k]))
    return {
        k: Measurement("ok", float(np.quantile(np.concatenate(t), 0.1)) * 1e-9)
        for k, t in times.items()
    }


def _calls_for(run: Timed, seconds: float) -> int:
    begin = time.perf_counter()
    once = float(run.call(2).min()) * 1e-9
    spent = time.perf_counter() - begin
    once = max(once, spent / 8, 1e-9)  # a coarse clock may see nothing; a message takes longer
    return int(np.clip(seconds / once, 3, 10_000)) if spent < 1 else 1


def close_enough(got: np.ndarray, want: np.ndarray, dtype: DType) -> bool:
    """Whether two results are the same but for the order of sums."""
    if not dtype.is_float:
        return np.array_equal(got, want)
    a, b = got.astype(np.float64), want.astype(np.float64)
    scale = np.abs(b[np.isfinite(b)]).max(initial=1e-30)
    atol = scale * (2e-2 if dtype.bits < 32 else 1e-4)
    return np.allclose(a, b, rtol=0, atol=atol, equal_nan=True)


class _Bench:
    """The arguments of a task's kernels, and the results of its default schedule."""

    def __init__(self, task: Task):
        rng = np.random.default_rng(0)
        names = [n for n in task.group.inputs if not is_literal(n, task.constants)]
        self.inputs = [_random(task.types[n], rng) for n in names]
        self.types = [task.types[o] for o in task.group.outputs]
        self.results = [aligned_empty(physical_shape(t), t.dtype) for t in self.types]
        self.table = np.array([address(a) for a in (*self.inputs, *self.results)], np.int64)
        _Run(_compiled(task, {}), self).call(1)
        self.wanted = [a.copy() for a in self.results]

    def agrees(self) -> bool:
        """Whether the results are those of the default schedule, but for the order of sums."""
        for got, want, t in zip(self.results, self.wanted, self.types):
            a, b = got, want
            if t.layout is not None:  # what lies in the padding is nobody's business
                a, b = t.layout.unpack(got), t.layout.unpack(want)
            if not close_enough(a, b, t.dtype):
                return False
        for a in self.results:
            a.view(np.uint8)[...] = 0xA5  # a candidate that writes too little must not pass
        return True


class _Run:
    """A loaded kernel with its arguments."""

    def __init__(self, loaded: tuple[Library, str], bench: _Bench):
        self._library, symbol = loaded
        self._address, self._bench = self._library.address(symbol), bench

    def call(self, n: int) -> np.ndarray:
        """The nanoseconds of each of ``n`` calls."""
        steps = CPUDevice.steps([self._address] * n, [address(self._bench.table)] * n)
        times = np.zeros(n + 1, np.int64)
        CPUDevice().run(steps, times)
        return np.diff(times)


_loaded: OrderedDict[tuple[str, str, str], tuple[Library, str]] = OrderedDict()


def _compiled(task: Task, config: Config) -> tuple[Library, str]:
    place = (task.key, str(task.target), config_text(config))
    if place not in _loaded:
        made = compile_kernel(
            task.group, task.types, task.constants, task.target, task.name, config
        )
        _loaded[place] = CPUDevice().load(made.codes, [made.symbol]), made.symbol
        while len(_loaded) > KEPT:
            _loaded.popitem(last=False)
    _loaded.move_to_end(place)
    return _loaded[place]


def sample(shape: tuple[int, ...], dtype: DType, rng: np.random.Generator) -> np.ndarray:
    """Values that any kernel can take: indices, which are wide integers, are zero."""
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    if dtype.bits == 8 and dtype.kind != "bool":
        return rng.integers(0, 4, shape).astype(dtype.numpy)
    return np.zeros(shape, dtype.numpy)


def _random(t: TensorType, rng: np.random.Generator) -> np.ndarray:
    values = sample(t.shape, t.dtype, rng)
    stored = values if t.layout is None else t.layout.pack(values)
    array = aligned_empty(stored.shape, t.dtype)
    array[...] = stored
    return array
