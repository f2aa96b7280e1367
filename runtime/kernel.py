"""Native kernels with their tables of arguments: one, or all the calls of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .artifact import Program
from .devices.cpu import CPUDevice
from .errors import DeviceError
from .ndarray import address


class NativeKernel:
    """One kernel; call it with the values of its parameters (addresses, integers)."""

    def __init__(self, name: str, code: bytes, device: CPUDevice | None = None):
        self._device = device or CPUDevice()
        self._library = self._device.load({name: code}, [name])
        self._address = self._library.address(name)

    def __call__(self, values: Sequence[int]) -> None:
        table = np.array(values, np.int64)
        self._device.run(self._device.steps([self._address], [address(table)]))


class NativeProgram:
    """The kernel calls of a program. ``table`` holds the arguments of all calls, one after the
    other; it may be written between runs."""

    def __init__(
        self,
        program: Program,
        codes: Mapping[str, bytes],
        table: np.ndarray,
        device: CPUDevice | None = None,
    ):
        self._device = device or CPUDevice()
        _check_processor(program, self._device)
        used = {k.code: codes[k.code] for k in program.kernels}
        self._library = self._device.load(used, [k.name for k in program.kernels])
        self.table = table
        # Writing a number through a memoryview is a third of the work.
        self.entries: Any = memoryview(table)  # type: ignore[arg-type]
        addresses, tables, position = [], [], address(table)
        for step in program.steps:
            addresses.append(self._library.address(step.kernel))
            tables.append(position)
            position += len(step.args) * table.itemsize
        self._steps = self._device.steps(addresses, tables)
        self.run = self._device.runner(self._steps)  # all calls in order, as one native call

    def time(self) -> np.ndarray:
        """Run and give the nanoseconds that each call took."""
        times = np.zeros(len(self._steps) + 1, np.int64)
        self._device.run(self._steps, times)
        return np.diff(times)


def _check_processor(program: Program, device: CPUDevice) -> None:
    """Refuse code for processor features that this machine lacks, instead of dying of it."""
    attributes = [w.partition("=")[2] for w in program.target.split() if w.startswith("-mattr=")]
    missing = device.missing_features(",".join(attributes))
    if missing:
        raise DeviceError(
            f"{program.name} was compiled for a processor with {', '.join(missing)}, which this "
            "one does not have.",
            hint="compile it for this machine, or for a common one: llvm -mcpu=x86-64-v3",
        )
