"""Programs whose constructor fails half way: one error, nothing kept, nothing said afterwards."""

import gc
import subprocess
import sys

import numpy as np
import pytest
from weft.runtime.artifact import Program
from weft.runtime.devices.program import DeviceProgram
from weft.runtime.errors import DeviceError
from weft.runtime.storage import Storage

_WITHOUT = """
import gc, sys
sys.modules[sys.argv[2]] = None  # as if it were not installed
from weft.runtime.artifact import Program
from weft.runtime.errors import DeviceError
from weft.runtime.executor import Executable
program = Program("p", sys.argv[1], (), (), (), {}, {}, 0)
for _ in range(2):
    try:
        Executable(program, {}, {}).prepare()
    except DeviceError as e:
        print(e)
    gc.collect()
"""


@pytest.mark.parametrize(
    ("kind", "package"), [("opencl", "pyopencl"), ("opengl", "glcontext"), ("webgpu", "wgpu")]
)
def test_a_missing_package_is_one_error(kind, package):
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, kind, package],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.count(f"the package {package} ") == 2
    assert done.stdout.count(f"pip install 'weft[{kind}]'") == 2
    assert not done.stderr


class Half(DeviceProgram):
    """Fails where it is told to."""

    fails, freed = "", 0

    def _clear(self):
        pass

    def _find(self):
        self._reach("find")

    def _load(self):
        self._reach("load")

    def _reach(self, point):
        if self.fails == point:
            raise DeviceError(f"no {point}")

    def _free(self):
        type(self).freed += 1
        self._reach("free")

    def _send(self, root: int, flat: np.ndarray):
        raise AssertionError

    def _pass_numbers(self):
        raise AssertionError

    def _start(self, begin, end):
        raise AssertionError

    def _fetch(self, roots):
        raise AssertionError

    def _measure(self, begin, end, repeat):
        raise AssertionError


@pytest.mark.parametrize(("point", "frees"), [("find", 0), ("load", 1), ("free", 1)])
def test_it_dies_quietly(monkeypatch, point, frees):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    monkeypatch.setattr(Half, "fails", point)
    monkeypatch.setattr(Half, "freed", 0)
    program = Program("p", "half", (), (), (), {}, {}, 0)
    if point == "free":
        Half(program, {}, Storage(program, {}))
    else:
        with pytest.raises(DeviceError, match=f"no {point}"):
            Half(program, {}, Storage(program, {}))
        assert Half.freed == frees  # at once, and not again
    gc.collect()
    assert Half.freed == frees and not said
