"""Damaged object files never reach LLVM's linker, which would end the process over them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.objects import Object, damages, generator, handmade, scale
from weft.ir.target import Target
from weft.runtime.devices.cpu import elf
from weft.runtime.devices.cpu.cpu import CPUDevice
from weft.runtime.errors import DeviceError


@pytest.fixture(scope="module")
def objects():
    return {"kernel": generator.emit([scale()], Target.parse("llvm")).object, "other": handmade()}


def test_sound_objects_are_loaded(objects):
    library = CPUDevice().load({"a": objects["kernel"], "b": objects["other"]})
    x, y = np.arange(64, dtype=np.float32), np.empty(64, np.float32)
    table = np.array([x.ctypes.data, y.ctypes.data], np.int64)
    CPUDevice().run(CPUDevice.steps([library.address("scale")], [table.ctypes.data]))
    np.testing.assert_array_equal(y, x * 1.5 + 0.25)
    assert library.address("f") and library.address("g")


def test_tables_for_unwinding_are_left_out(objects):
    assert ".eh_frame" in Object(objects["other"]).names
    checked = elf.check_object("b", objects["other"])
    assert checked.functions == ("f", "g")
    assert ".eh_frame" not in Object(checked.data).names
    assert elf.check_object("a", objects["kernel"]).data is objects["kernel"]


@pytest.mark.parametrize("which", ["kernel", "other"])
def test_every_kind_of_damage_is_named(objects, which):
    cases = damages(objects[which])
    assert len(cases) > 200
    taken = []
    for name, data in cases.items():
        try:
            elf.check_object("k", data)
        except DeviceError as e:
            assert "the code object 'k' is " in e.message, name
        else:
            taken.append(name)
    assert not taken


def test_a_function_that_kernels_do_not_call_is_refused(objects):
    data = objects["other"].replace(b"\0free\0", b"\0fred\0")
    with pytest.raises(DeviceError, match="calls 'fred', which kernels do not"):
        CPUDevice().load({"b": data})


def test_two_objects_with_one_kernel(objects):
    with pytest.raises(DeviceError, match="cannot be linked"):
        CPUDevice().load({"a": objects["kernel"], "b": objects["kernel"]})
    with pytest.raises(DeviceError, match="cannot be linked: it has no kernel 'another'"):
        CPUDevice().load({"a": objects["kernel"]}, ["another"])


@pytest.mark.parametrize(
    "triple, machine",
    [("x86_64-linux-gnu", "x86_64"), ("aarch64-linux-gnu", "aarch64"),
     ("riscv64-linux-gnu", "riscv64")],
)  # fmt: skip
def test_objects_for_every_processor_are_known(triple, machine, monkeypatch):
    data = generator.emit([scale()], Target.parse(f"llvm -mtriple={triple}")).object
    monkeypatch.setattr(elf.platform, "machine", lambda: machine)
    assert elf.check_object("k", data).functions == ("scale",)
    taken = []
    for name, wrong in damages(data).items():
        try:
            elf.check_object("k", wrong)
        except DeviceError:
            continue
        taken.append(name)
    assert not taken


def test_instructions_that_are_not_what_a_relocation_says(monkeypatch):
    """The linker asserts that it patches a branch, an adrp, an addition, a load."""
    data = generator.emit([scale()], Target.parse("llvm -mtriple=aarch64-linux-gnu")).object
    monkeypatch.setattr(elf.platform, "machine", lambda: "aarch64")
    o = Object(data)
    text = o.row("offset", o.names.index(".text"))
    rows = o.rows(".rela.text")
    assert {o.get(at + 8, 4) for at in rows} >= {275, 277, 283}
    for at in rows:
        broken = Object(data)
        place = text + o.get(at, 8)
        broken.put(place, 4, o.get(place, 4) ^ 1 << 28)
        with pytest.raises(DeviceError, match=r"a relocation of '.text'"):
            elf.check_object("k", bytes(broken.data))


_CHILD = """
import random, sys
sys.path.insert(0, {folder!r})
from support.objects import damages, generator, handmade, mutant, scale
from weft.ir.target import Target
from weft.runtime.devices.cpu.cpu import CPUDevice
from weft.runtime.errors import DeviceError

device = CPUDevice()
kept, counts = [], {{True: 0, False: 0}}

def load(data):
    try:
        kept.append(device.load({{"k": data}}))
    except DeviceError:
        return False
    del kept[:-8]
    return True

for data in (generator.emit([scale()], Target.parse("llvm")).object, handmade()):
    assert load(data)
    assert not any([load(d) for d in damages(data).values()])
    for seed in range(1500):
        counts[load(mutant(data, random.Random(seed)))] += 1
print("survived", counts[False] > 1500, counts[True] > 100)
"""


def test_no_damage_ends_the_process():
    """Every named damage and three thousand mutants, in a process of their own."""
    script = _CHILD.format(folder=str(Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "survived True True\n", done.stderr[-2000:]
