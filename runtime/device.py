"""What a device can do: the interface between the executor and hardware.

The CPU is the only device so far whose memory is the process's own. Others (OpenCL, OpenGL, remote
machines) implement the same protocol with handles that are opaque to the executor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .artifact import Kernel
from .dtype import DType

Memory = Any  # a device's handle of a block of memory
Module = Any  # a device's handle of loaded code


@dataclass(frozen=True)
class Limits:
    """``alignment`` of every address a kernel is given and ``max_allocation``, both in bytes;
    ``threads`` that run kernels at the same time on a CPU (1 elsewhere)."""

    alignment: int
    max_allocation: int
    threads: int = 1


@dataclass(frozen=True)
class Call:
    """One kernel call: the kernel and, per parameter, a memory and a byte offset into it, or an
    integer for a scalar."""

    kernel: Kernel
    args: tuple[tuple[Memory, int] | int, ...]


@runtime_checkable
class Device(Protocol):
    """A place where kernels run. Calls are ordered; only ``synchronize`` and ``download`` wait."""

    name: str

    @property
    def limits(self) -> Limits: ...

    def allocate(self, nbytes: int) -> Memory:
        """Uninitialised memory; raises DeviceError when there is too little."""
        ...

    def free(self, memory: Memory) -> None:
        """Give memory back; the handle is dead afterwards."""
        ...

    def upload(self, memory: Memory, array: np.ndarray, offset: int = 0) -> None:
        """Copy the C-contiguous bytes of ``array`` to byte ``offset`` of ``memory``."""
        ...

    def download(
        self, memory: Memory, dtype: DType, shape: tuple[int, ...], offset: int = 0
    ) -> np.ndarray:
        """A new array with what lies at byte ``offset``; waits for the calls before it."""
        ...

    def load(self, objects: Mapping[str, bytes]) -> Module:
        """Make the kernels of code objects callable; raises DeviceError when the device refuses
        them."""
        ...

    def launch(self, module: Module, calls: Sequence[Call]) -> None:
        """Start calls in order."""
        ...

    def synchronize(self) -> None:
        """Wait until all calls have ended; raises DeviceError when one failed."""
        ...

    def time(self, module: Module, calls: Sequence[Call]) -> list[float]:
        """Run the calls one after another and give the seconds that each took."""
        ...
