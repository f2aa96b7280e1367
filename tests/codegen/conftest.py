"""Run a hand-built kernel on this machine's processor."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from weft.codegen.llvm import generator as llvm
from weft.ir.stmt import Buffer, Function
from weft.ir.target import Target
from weft.runtime.devices.cpu.cpu import CPUDevice
from weft.runtime.ndarray import aligned_bytes

Arg = np.ndarray | int


def run(f: Function, args: Sequence[Arg], target: str = "llvm") -> list[Arg]:
    """Compile ``f`` and call it on aligned copies of ``args``, which are given back."""
    module = llvm.emit([f], Target.parse(target))
    device = CPUDevice()
    library = device.load({"kernel": module.object})
    copies: list[Arg] = []
    for p, a in zip(f.params, args, strict=True):
        if isinstance(p, Buffer):
            assert isinstance(a, np.ndarray) and a.dtype == p.dtype.numpy
            copy = aligned_bytes(a.nbytes).view(a.dtype).reshape(a.shape)
            copy[...] = a
            copies.append(copy)
        else:
            copies.append(a)
    table = np.array([a.ctypes.data if isinstance(a, np.ndarray) else a for a in copies], np.int64)
    device.run(device.steps([library.address(f.name)], [table.ctypes.data]))
    return copies


@pytest.fixture(scope="session")
def llvm_run() -> Callable[..., list[Arg]]:
    return run
