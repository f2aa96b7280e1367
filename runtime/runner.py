"""What runs a program: the interface between the executable and devices.

A device is one class like :class:`Runner` and one row of ``devices/table.py``. The CPU is one of
them; a machine at the other end of a wire would be another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from .artifact import Program
from .storage import Storage


@runtime_checkable
class Runner(Protocol):
    """A program that a device holds: its code, its memory, its calls.

    Calls come one at a time: the executable has a lock. Arrays have the dtypes and shapes of the
    program's inputs and outputs, in order; whoever calls has checked that. A runner may be closed
    at any time between calls, and once more.
    """

    def run(
        self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """The program's outputs for its inputs.

        Without ``out``, in new arrays that the caller owns. With it, in the arrays given, which are
        also what is returned: a device whose memory is the process's own writes those that are
        C-contiguous in place, all else is copied (see :func:`deliver`). They
        must not overlap each other or the inputs.

        Raises :class:`DeviceError` when the device fails.
        """
        ...

    def time(self, arrays: Sequence[np.ndarray], repeat: int) -> np.ndarray:
        """Nanoseconds of each step, ``[repeat, steps]``; a run before them does not count.

        Of a program with control flow, those of all times that a run comes to a step; how many
        those were in the last run, ``[steps]``, is then the attribute ``counts``.
        """
        ...

    def close(self) -> None:
        """Give memory and code back. The runner is not used again."""
        ...


# Makes the runner of a program: called with the program, its code objects by name and its storage.
# Raises DeviceError when this machine cannot run it.
RunnerFactory = Callable[[Program, Mapping[str, bytes], Storage], Runner]


def deliver(results: list[np.ndarray], out: Sequence[np.ndarray] | None) -> list[np.ndarray]:
    """What ``run(arrays, out)`` returns on a device that makes new arrays: ``results`` themselves,
    or ``out`` after a copy."""
    if out is None:
        return results
    for array, result in zip(out, results, strict=True):
        array[...] = result
    return list(out)


__all__ = ["Runner", "RunnerFactory", "deliver"]
