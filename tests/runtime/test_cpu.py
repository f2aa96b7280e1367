"""The CPU device: loading, running, the thread pool under stress, fork, the GIL."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from weft.codegen.llvm import generator as llvm
from weft.ir.expr import Const, Load, Var
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, Store, seq
from weft.ir.target import Target
from weft.runtime.devices.cpu.cpu import CPUDevice
from weft.runtime.dtype import INT32
from weft.runtime.errors import DeviceError
from weft.runtime.ndarray import aligned_bytes

SIZE = 4096


def c(n: int) -> Const:
    return Const(n, INT32)


def fill() -> Function:
    """out[i] = i + k for i < n, a parallel loop."""
    out, n, k, i = Buffer("out", INT32, (c(SIZE),)), Var("n"), Var("k"), Var("i")
    loop = For(i, c(0), n, ForKind.PARALLEL, Store(out, (i,), i + k))
    return Function("fill", (out, n, k), loop, frozenset({out}))


def slow() -> Function:
    """A long dependent chain on one thread."""
    out, n, i, j = Buffer("out", INT32, (c(1),)), Var("n"), Var("i"), Var("j")
    step = Store(out, (c(0),), Load(out, (c(0),)) * 1664525 + i + j)
    inner = For(j, c(0), c(100000), ForKind.SERIAL, step)
    return Function("slow", (out, n), For(i, c(0), n, ForKind.SERIAL, inner), frozenset({out}))


@pytest.fixture(scope="module")
def code() -> bytes:
    return llvm.emit([fill(), slow()], Target.parse("llvm")).object


@pytest.fixture
def device():
    d = CPUDevice()
    before = d.num_threads
    yield d
    d.set_num_threads(before)


class KernelCall:
    """One kernel, its arrays and its argument table."""

    def __init__(self, library, name: str, *args: np.ndarray | int):
        self.keep = args
        values = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in args]
        self.table = np.array(values, np.int64)
        self.row = (library.address(name), self.table.ctypes.data)


def run(*calls: KernelCall, times: np.ndarray | None = None) -> None:
    CPUDevice().run(CPUDevice.steps([k.row[0] for k in calls], [k.row[1] for k in calls]), times)


def ints(n: int) -> np.ndarray:
    out = aligned_bytes(4 * n).view(np.int32)
    out[:] = 0
    return out


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_iteration_runs_once(device, code, threads: int):
    device.set_num_threads(threads)
    assert device.num_threads == threads
    library = device.load({"a": code})
    for n in (0, 1, 2, threads - 1, threads, threads + 1, 100, 1001):
        out = ints(SIZE)
        run(KernelCall(library, "fill", out, n, 5))
        np.testing.assert_array_equal(out[:n], np.arange(n) + 5)
        assert not out[n:].any()


def test_many_launches_in_one_call(device, code):
    """Back to back, so that workers are caught spinning, working and just finished."""
    device.set_num_threads(4)
    library = device.load({"a": code})
    outs = [ints(SIZE) for _ in range(8)]
    calls = [KernelCall(library, "fill", outs[k % 8], 1 + k % 37, k) for k in range(4000)]
    times = np.zeros(len(calls) + 1, np.int64)
    run(*calls, times=times)
    assert (np.diff(times) >= 0).all() and times[0] > 0
    for k in range(3992, 4000):
        n = 1 + k % 37
        np.testing.assert_array_equal(outs[k % 8][:n], np.arange(n) + k)


def test_workers_wake_up_after_sleep(device, code):
    device.set_num_threads(3)
    library, out = device.load({"a": code}), ints(SIZE)
    for k in range(20):
        time.sleep(0.005)
        run(KernelCall(library, "fill", out, 500, k))
        np.testing.assert_array_equal(out[:500], np.arange(500) + k)


def test_callers_from_several_threads(device, code):
    device.set_num_threads(3)
    library, wrong = device.load({"a": code}), []

    def work(seed: int) -> None:
        out = ints(SIZE)
        for k in range(300):
            run(KernelCall(library, "fill", out, 200 + seed, k))
            if not np.array_equal(out[: 200 + seed], np.arange(200 + seed) + k):
                wrong.append((seed, k))

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for k in range(10):
        device.set_num_threads(1 + k % 4)  # also while loops are running
    for t in threads:
        t.join()
    assert not wrong


def test_the_gil_is_released(device, code):
    """While a kernel runs that takes long enough for it, this thread counts."""
    library, out = device.load({"a": code}), ints(1)
    # A held lock leaves this thread one step before the kernel and one after, however long it runs.
    counts = []
    for work in (2000 << k for k in range(8)):
        call, count = KernelCall(library, "slow", out, work), 0
        runner = threading.Thread(target=run, args=(call,))
        runner.start()
        while runner.is_alive():
            count += 1
            time.sleep(0.0005)
        runner.join()
        counts.append(count)
        if count > 10:
            break
    assert counts[-1] > 10, counts


def naps() -> dict[int, tuple[str, str]]:
    """For each other thread of this process whether it sleeps, and how often it went to sleep."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) == threading.get_native_id():
            continue
        rows = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())
        found[int(task.name)] = (rows["State"][0], rows["voluntary_ctxt_switches"])
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system has no /proc")
def test_idle_workers_sleep():
    """They come to rest, and are then never woken: neither spinning nor looking now and then."""
    script = (
        "import sys; sys.path[:] = eval(sys.argv[1])\n"
        "import importlib.util as u, time\n"
        "spec = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(t)\n"
        "code = t.llvm.emit([t.fill()], t.Target.parse('llvm')).object\n"
        "device = t.CPUDevice(); device.set_num_threads(4)\n"
        "library = device.load({'a': code})\n"
        "t.run(t.KernelCall(library, 'fill', t.ints(t.SIZE), 100, 1))\n"
        "before = {}\n"
        "while len(before) < 3 or any(state != 'S' for state, _ in before.values()) "
        "or t.naps() != before:\n"
        "    before = t.naps(); time.sleep(0.2)\n"
    )
    command = [sys.executable, "-c", script, repr(sys.path), __file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(device, code):
    device.set_num_threads(3)
    library, out = device.load({"a": code}), ints(SIZE)
    run(KernelCall(library, "fill", out, 500, 1))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(KernelCall(library, "fill", out, 700, 2))
            right = np.array_equal(out[:700], np.arange(700) + 2)
            status = 0 if right and device.num_threads == 3 else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    run(KernelCall(library, "fill", out, 300, 3))
    np.testing.assert_array_equal(out[:300], np.arange(300) + 3)


def test_the_number_of_threads_comes_from_the_environment():
    script = "from weft.runtime.devices.cpu.cpu import CPUDevice; print(CPUDevice().num_threads)"
    for text in ("1", "5"):
        env = {**os.environ, "WEFT_NUM_THREADS": text}
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == text  # and the process ended by itself


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_workers_are_pinned_if_asked():
    script = """
import os
from weft.runtime.devices.cpu.cpu import CPUDevice
before = os.sched_getaffinity(0)
CPUDevice().set_num_threads(3)
tasks = [int(t) for t in os.listdir("/proc/self/task")]
alone = [t for t in tasks if len(os.sched_getaffinity(t)) == 1]
print(len(alone) >= 2 or len(before) == 1, os.sched_getaffinity(0) == before)
"""
    env = {**os.environ, "WEFT_PIN_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]


def test_nested_parallel_loops_inside_a_serial_one(device):
    """Each launch inside one kernel call uses the pool again."""
    device.set_num_threads(2)
    out, s = Buffer("out", INT32, (c(64),)), Buffer("s", INT32, (c(64),))
    i, j, k = Var("i"), Var("j"), Var("k")
    first = For(i, c(0), c(64), ForKind.PARALLEL, Store(s, (i,), i * 2 + k))
    second = For(j, c(0), c(64), ForKind.PARALLEL, Store(out, (j,), Load(s, (c(63) - j,))))
    body = For(k, c(0), c(200), ForKind.SERIAL, seq(first, second))
    f = Function("two", (out,), Alloc(s, body), frozenset({out}))
    library, result = device.load({"a": llvm.emit([f], Target.parse("llvm")).object}), ints(64)
    run(KernelCall(library, "two", result))
    np.testing.assert_array_equal(result, (63 - np.arange(64)) * 2 + 199)


def test_errors(device, code):
    with pytest.raises(DeviceError, match="'a' is damaged: it is no 64-bit ELF object"):
        device.load({"a": b"no object at all"})
    with pytest.raises(DeviceError, match="'a' is WebAssembly, which runs in web pages"):
        device.load({"a": b"\0asm\1\0\0\0"})
    with pytest.raises(DeviceError, match="past the end of the file"):
        device.load({"a": code[: len(code) // 2]})
    other = Target.parse("llvm -mtriple=riscv64-linux-gnu")
    foreign = llvm.emit([fill()], other).object
    with pytest.raises(DeviceError, match="is for another processor"):
        device.load({"a": foreign})
    with pytest.raises(DeviceError, match="has no kernel 'nothing'"):
        device.load({"a": code}).address("nothing")
    with pytest.raises(DeviceError, match="cannot be linked"):
        device.load({"a": code}, ["nothing"])


def test_code_for_features_that_are_missing_here_is_refused():
    import dataclasses

    import weft
    from weft.compiler.graph.builder import GraphBuilder
    from weft.runtime.executor import Executable

    b = GraphBuilder("g")
    x = b.input("x", "float32", (4,))
    exe = weft.compile(b.finish(b.add("relu", [x])), cache=False)
    other = dataclasses.replace(exe.program, target="llvm -mattr=+sse2,+imaginary-feature")
    foreign = Executable(other, exe._codes, {})
    with pytest.raises(DeviceError, match="a processor with imaginary-feature, which this one"):
        foreign.prepare()
