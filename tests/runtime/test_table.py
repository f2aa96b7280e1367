"""The table of devices: one row each, and a new one by a row."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weft.runtime.artifact import Kernel, Param, Program, Slot, Step
from weft.runtime.devices.probe import kinds, probe
from weft.runtime.devices.table import DEVICES, Device, code_kind, register_device, resolve
from weft.runtime.errors import DeviceError
from weft.runtime.executor import Executable, load
from weft.runtime.runner import Runner, deliver

ROOT = Path(__file__).parents[2]


def slot(name, kind):
    return Slot(name, kind, "float32", (4,), (4,), 16)


PROGRAM = Program(
    "doubles", "abacus -beads=10", (slot("x", "input"), slot("y", "output")),
    (Kernel("f", tuple(Param(n, "float32", (4,), n) for n in "rw"), "f"),),
    (Step("f", (0, 1), "node"),), {"x": 0}, {"y": 1}, 0,
)  # fmt: skip
X = np.arange(4, dtype=np.float32)


class Abacus:
    """A whole device: its code is the text of a Python function."""

    def __init__(self, program, codes, storage):
        self.steps = [eval(codes[k.code]) for k in program.kernels]
        self.open = True

    def run(self, arrays, out=None):
        return deliver([f(*arrays) for f in self.steps], out)

    def time(self, arrays, repeat):
        return np.ones((repeat, len(self.steps)))

    def close(self):
        self.open = False


@pytest.fixture
def abacus(monkeypatch):
    monkeypatch.setitem(DEVICES, "abacus", None)
    del DEVICES["abacus"]  # the fixture removes what the test registers
    register_device(Device("abacus", runner=Abacus, probe=lambda: ("ten beads", {"beads": 10})))
    return Executable(PROGRAM, {"f": b"lambda x: x * 2"}, {})


def test_a_device_is_one_row(abacus, tmp_path):
    assert isinstance(abacus.runner, Runner)
    assert abacus(X).tolist() == [0, 2, 4, 6]
    out = np.zeros(4, np.float32)
    abacus.call([X], [out])
    assert out.tolist() == [0, 2, 4, 6]
    (row,) = abacus.profile(X).rows
    assert row.label == "node" and row.ms == 1e-6
    abacus.save(tmp_path / "a.weft")
    with load(tmp_path / "a.weft") as again:
        assert again(x=X).tolist() == [0, 2, 4, 6]
        runner = again.runner
    assert isinstance(runner, Abacus) and not runner.open
    assert "abacus" in kinds() and probe("abacus").description == "ten beads"


def test_a_kind_without_a_runner_says_so():
    exe = Executable(replace(PROGRAM, target="abacus"), {"f": b"code"}, {})
    words = r"programs for abacus have no runner in this process\.(.|\n)*register_target"
    with pytest.raises(DeviceError, match=words) as e:
        exe(X)
    assert e.value.where == "doubles" and "ELF" not in str(e.value)


def test_code_objects_are_modules_or_texts():
    assert code_kind("kernels.wasm") == "wasm"
    assert code_kind("f") == code_kind("wasm") == ""


@pytest.mark.parametrize("row", DEVICES.values(), ids=list(DEVICES))
def test_rows(row):
    """What they name is there, and what they tell to install is what weft's own files list."""
    assert row.code and callable(resolve(row.probe)) and issubclass(resolve(row.runner), Runner)
    assert not row.away or row.away in row.hosts
    if row.package:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        (needs,) = extras["optional-dependencies"][row.extra]
        assert needs.startswith(f"{row.package}>=")
        assert row.install_package == f"pip install 'weft[{row.extra}]'"
    listed = (ROOT / "tools" / "debian-packages.txt").read_text().split()
    assert set(row.debian) <= set(listed)
    assert row.install_driver.endswith(" ".join(row.debian))
