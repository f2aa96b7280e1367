"""The CPU behind the interface that all devices share; its memory is the process's own.

The executor does not go this way on a CPU: it hands whole programs to :class:`CPUDevice` with a
table of addresses. This is for what works on any device alike: measuring kernels, RPC servers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..device import Call, Limits
from ..dtype import DType
from ..errors import DeviceError
from ..ndarray import ALIGNMENT, address, aligned_bytes, aligned_empty
from .cpu import CPUDevice, Library


class HostDevice(CPUDevice):
    """A :class:`~weft.runtime.device.Device`; memories are arrays of bytes."""

    @property
    def limits(self) -> Limits:
        return Limits(ALIGNMENT, np.iinfo(np.intp).max, self.num_threads)

    def allocate(self, nbytes: int) -> np.ndarray:
        return aligned_bytes(nbytes)

    def free(self, memory: np.ndarray) -> None:
        """Nothing to do: the last reference frees it."""

    def upload(self, memory: np.ndarray, array: np.ndarray, offset: int = 0) -> None:
        self._check(memory, array.nbytes, offset)
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        memory[offset : offset + array.nbytes] = flat

    def download(
        self, memory: np.ndarray, dtype: DType, shape: tuple[int, ...], offset: int = 0
    ) -> np.ndarray:
        result = aligned_empty(shape, dtype)
        self._check(memory, result.nbytes, offset)
        result.reshape(-1).view(np.uint8)[:] = memory[offset : offset + result.nbytes]
        return result

    def _check(self, memory: np.ndarray, nbytes: int, offset: int) -> None:
        if not 0 <= offset <= memory.size - nbytes:
            raise DeviceError(
                f"bytes {offset} to {offset + nbytes} lie outside of a memory of {memory.size}.",
                where=self.name,
            )

    def launch(self, module: Library, calls: Sequence[Call]) -> None:
        self._run(module, calls, None)

    def synchronize(self) -> None:
        """Nothing to do: calls have ended when ``launch`` returns."""

    def time(self, module: Library, calls: Sequence[Call]) -> list[float]:
        times = np.zeros(len(calls) + 1, np.int64)
        self._run(module, calls, times)
        return (np.diff(times) * 1e-9).tolist()

    def _run(self, module: Library, calls: Sequence[Call], times: np.ndarray | None) -> None:
        tables = [
            np.array([a if isinstance(a, int) else address(a[0]) + a[1] for a in c.args], np.int64)
            for c in calls
        ]
        addresses = [module.address(c.kernel.name) for c in calls]
        self.run_steps(addresses, [address(t) for t in tables], times)
