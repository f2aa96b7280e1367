"""Checking and timing kernels that were built elsewhere; runs in a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.devices.cpu.cpu import CPUDevice
from ...runtime.errors import WeftError
from ...runtime.executor import Executable
from .built import Built
from .measure import Measurement, close_enough, in_turns, sample


def measure_packages(judge: Built, candidates: Sequence[Built], threads: int) -> list[Measurement]:
    """Time packages of one kernel in turns, as :func:`~.measure.measure` does.

    Parameters
    ----------
    judge : the package of the default schedule, whose results are the right ones.
    candidates : theirs, or why there is none.
    """
    CPUDevice().set_num_threads(threads)
    if not judge.package:
        why = f"the default schedule: {judge.message}"
        return [Measurement("failed", None, why) for _ in candidates]
    right = judge.executable().prepare()
    rng = np.random.default_rng(0)
    arrays = [sample(t.shape, t.dtype, rng) for t in right.inputs.values()]
    want = right.run_checked(arrays)
    types = [t.dtype for t in right.outputs.values()]
    results: list[Measurement | None] = [None] * len(candidates)
    runs: dict[int, _Loaded] = {}
    for k, made in enumerate(candidates):
        try:
            exe = made.executable()
            got = exe.run_checked(arrays)
        except WeftError as e:
            results[k] = Measurement("failed", None, str(e))
            continue
        if all(map(close_enough, got, want, types)):
            runs[k] = _Loaded(exe, arrays)
        else:
            results[k] = Measurement("wrong", None, "the results differ from the default's")
    for k, m in in_turns(runs, len(candidates)).items():
        results[k] = m
        runs[k].exe.close()
    return [r for r in results if r is not None]


@dataclass(frozen=True)
class _Loaded:
    """A package with its arguments."""

    exe: Executable
    arrays: Sequence[np.ndarray]

    def call(self, n: int) -> np.ndarray:
        """The nanoseconds of each of ``n`` calls."""
        return self.exe.runner.time(self.arrays, n).sum(axis=1)
