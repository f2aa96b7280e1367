"""What every device of compute kernels must do, for the tests of each: memory, types, packages,
threads, profiles."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weft.runtime.errors import DeviceError, InputError
from weft.runtime.executor import load

from support import handmade_compute as handmade


def agree(got, want) -> None:
    assert list(got) == list(want)
    for name, array in want.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def everything(target: str) -> None:
    exe, feeds, want = handmade.everything(target)
    for _ in range(2):
        got = exe.run(feeds)
        agree(got, want)
        for array in got.values():  # the caller's own
            array[...] = 0
    agree(exe.run(feeds), want)


def inputs_of_any_kind(target: str) -> None:
    """Read-only, strided and unaligned arrays."""
    b = handmade.Builder(target)
    x, y = b.slot("x", "input", "float32", [9]), b.slot("y", "output", "float32", [9])
    b.step({"x": x}, y, "x[i] + 1.0f")
    exe = b.executable()
    one = handmade.floats(20)
    one.flags.writeable = False
    for array in (one[:9], one[1:10], one[:18:2], one[8::-1]):
        np.testing.assert_array_equal(exe(array), array + 1)


def integers(target: str) -> None:
    b = handmade.Builder(target)
    index = b.slot("index", "input", "int64", [2, 9])
    mask = b.slot("mask", "input", "bool", [2, 9])
    pixels = b.slot("pixels", "input", "uint8", [2, 9])
    table = b.constant("table", np.arange(-5, 5, dtype=np.int64))
    s = b.slot("s", "output", "int64", [2, 9])
    m = b.slot("m", "output", "bool", [2, 9])
    p = b.slot("p", "output", "uint8", [2, 9])
    b.step({"index": index, "table": table}, s, "table[index[i]] * 100000000")
    b.step({"mask": mask}, m, "1 - mask[i]")
    b.step({"pixels": pixels}, p, "255u - pixels[i]" if b.wgsl else "255 - pixels[i]")
    exe, rng = b.executable(), np.random.default_rng(3)
    k, t = rng.integers(0, 10, (2, 9)), rng.integers(0, 2, (2, 9)).astype(bool)
    u = rng.integers(0, 256, (2, 9)).astype(np.uint8)
    got = exe.run({"index": k, "mask": t, "pixels": u})
    for name, want in {"s": (k - 5) * 100000000, "m": ~t, "p": 255 - u}.items():
        assert got[name].dtype == want.dtype
        np.testing.assert_array_equal(got[name], want)


def wide_integers(target: str) -> np.ndarray:
    b = handmade.Builder(target)
    x, y = b.slot("x", "input", "int64", [2]), b.slot("y", "output", "int64", [2])
    b.step({"x": x}, y, "x[i] + 1")
    return b.executable()(np.array([0, 2**31]))


def memory_is_shared(target: str) -> None:
    exe, x, y = handmade.chain(target)
    np.testing.assert_allclose(exe(x), y, rtol=1e-5)
    device = exe.runner
    slots = sum(s.kind == "arena" for s in exe.program.slots)
    assert slots == 12
    assert len(device._buffers) <= 5
    assert sum(b.size for b in device._buffers) <= 5 * 8192


def close_gives_back(target: str) -> None:
    exe, x, _ = handmade.chain(target)
    exe(x)
    device = exe.runner
    exe.close()
    assert not device._buffers
    device.close()  # a second time changes nothing


def several_threads(target: str) -> None:
    made = [handmade.chain(target, length) for length in (3, 8)]
    wrong: list[str] = []

    def work(k: int) -> None:
        exe, x, y = made[k % 2]
        for n in range(10):
            if not np.allclose(exe(x), y, rtol=1e-5):
                wrong.append(f"thread {k}, call {n}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def package_round_trip(target: str, folder: Path) -> None:
    exe, feeds, want = handmade.everything(target)
    exe.save(folder / "e.weft")
    agree(load(folder / "e.weft").run(feeds), want)


def loading_imports_no_compiler(target: str, folder: Path) -> None:
    exe, _feeds, _want = handmade.everything(target)
    exe.save(folder / "e.weft")
    script = (
        "import sys, numpy\n"
        "from weft.runtime import load\n"
        f"load({str(folder / 'e.weft')!r}).run({{'x': numpy.zeros((5, 7), 'float32')}})\n"
        "found = [m for m in sys.modules if m.split('.')[:2] in (['weft', 'compiler'], "
        "['weft', 'codegen'], ['weft', 'ir'])]\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # drivers keep their complaints


def profile(target: str) -> None:
    exe, _x, _y = handmade.chain(target)
    rows = exe.profile(repeat=2).rows
    assert sorted(r.label for r in rows) == sorted(s.label for s in exe.program.steps)
    assert all(r.ms >= 0 for r in rows) and any(r.ms > 0 for r in rows)


def launch_limit(target: str, launch: dict[str, int], match: str) -> None:
    """A kernel that asks for more blocks or threads than the device has."""
    _beyond(target, {"launch": launch}, match)


def shared_limit(target: str, shared_bytes: int, match: str) -> None:
    """A kernel whose workgroups share more memory than the device has."""
    _beyond(target, {"shared_bytes": shared_bytes}, match)


def _beyond(target: str, needs: dict, match: str) -> None:
    b = handmade.Builder(target)
    x, y = b.slot("x", "input", "float32", [8]), b.slot("y", "output", "float32", [8])
    b.step({"x": x}, y, "x[i]")
    b.kernels[0] = replace(b.kernels[0], **needs)
    with pytest.raises(DeviceError, match=match):
        b.executable().prepare()


def refused(target: str, text: str | None, match: str, dtype: str = "float32") -> None:
    """A kernel whose text the device does not take."""
    b = handmade.Builder(target)
    for n in range(2):  # the second of two, so that it is not built alone
        x, y = b.slot(f"x{n}", "input", dtype, [8]), b.slot(f"y{n}", "output", dtype, [8])
        name = b.step({"x": x}, y, "x[i]")
    if text is not None:
        b.codes[name] = text.replace("NAME", name).encode()
    with pytest.raises(DeviceError, match=match):
        b.executable().prepare()


def narrowed(target: str) -> None:
    with pytest.raises(InputError, match=r"x has elements from 0 to 2147483648"):
        wide_integers(target)


def inside_a_call(exe, feeds, want, other=None) -> None:
    """A call from inside of a call, by a hook for example, is refused and disturbs nothing; nor
    does it disturb that the program is closed there, and that ``other`` ones of the device go."""
    runner = exe.runner
    start, told = runner._start, []

    def interrupted(begin, end):
        for inner in (exe, *([other] if other else [])):
            with pytest.raises(DeviceError, match="in the middle of a call of this thread") as e:
                inner.run(feeds)
            told.append(str(e.value))
        if other:
            other.close()
        start(begin, end)

    runner._start = interrupted
    agree(exe.run(feeds), want)
    assert len(told) == (2 if other else 1)

    def closing(begin, end):
        runner.close()
        start(begin, end)

    runner._start = closing
    agree(exe.run(feeds), want)
    assert not runner._open  # after the call


def forked(target: str) -> None:
    """A fork is told that drivers do not work there, for old programs and for new ones."""
    script = (
        f"import os, sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from support import handmade_compute as h\n"
        "from weft.runtime.errors import DeviceError\n"
        f"exe, feeds, want = h.everything({target!r}); exe.run(feeds)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        f"    for e in (exe, h.everything({target!r})[0]):\n"
        "        try:\n"
        "            e.run(feeds); os._exit(1)\n"
        "        except DeviceError as error:\n"
        "            if 'forked' not in str(error): os._exit(2)\n"
        "    del exe, e\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])); exe.run(feeds)\n"
    )
    assert in_a_process(script, {}) == "0\n"


def in_a_process(code: str, environment: dict[str, str]) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout
