"""Loops and branches on the CPU: ranges of steps are native calls, conditions are read between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...artifact import Program
from ...flow import ranges
from ...storage import Storage
from .cpu import CPUDevice


class FlowRunner:
    """Runs the steps of a frame as the program's flow says. Conditions lie in the ``arena``."""

    def __init__(self, program: Program, storage: Storage, steps: np.ndarray, arena: np.ndarray):
        self._flow, self._steps = program.flow, steps
        self._program, self._storage, self._arena = program, storage, arena
        self._runners: dict[tuple[int, int], Callable[[], None]] = {}
        self._values: dict[int, np.ndarray] = {}
        self.counts = np.zeros(len(steps), np.int64)  # of the last run that was timed, by step

    def __call__(self) -> None:
        runners = self._runners
        for part in ranges(self._flow, self._read):
            run = runners.get(part)
            if run is None:
                run = runners[part] = CPUDevice.runner(self._steps[part[0] : part[1]])
            run()

    def time(self) -> np.ndarray:
        """Nanoseconds of each step, all its calls together; ``counts`` says how many."""
        total = np.zeros(len(self._steps), np.int64)
        self.counts = np.zeros_like(total)
        for begin, end in ranges(self._flow, self._read):
            times = np.zeros(end - begin + 1, np.int64)
            CPUDevice().run(self._steps[begin:end], times)
            total[begin:end] += np.diff(times)
            self.counts[begin:end] += 1
        return total

    def _read(self, k: int) -> int:
        found = self._values.get(k)
        if found is None:
            owner = self._program.slots[self._storage.roots[k]]
            data = self._arena[owner.offset : owner.offset + owner.nbytes]
            found = self._values[k] = data.view(self._storage.dtypes[k].numpy)
        return int(found[0])


__all__ = ["FlowRunner"]
