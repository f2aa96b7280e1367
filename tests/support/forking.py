"""What programs do with forks, each in a process of its own: ``python forking.py NAME``.

It ends with an error where a child does not do what it should, or does not come to an end: a child
that has not ended in :data:`PATIENCE` seconds is stuck, and is killed.
"""

from __future__ import annotations

import faulthandler
import multiprocessing as mp
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import weft
from numpy.testing import assert_array_equal
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.tune.records import Record, Records
from weft.ir import te
from weft.runtime.devices.cpu.cpu import CPUDevice
from weft.runtime.executor import Executable, load

PATIENCE = float(os.environ.get("PATIENCE", "60"))
SIZE = 192


def model(depth: int = 3, name: str = "chain"):
    """Products and functions of [SIZE, SIZE]: a call is nearly all of the time in kernels."""
    b = GraphBuilder(name)
    rng = np.random.default_rng(0)
    x = b.input("x", "float32", (SIZE, SIZE))
    for k in range(depth):
        w = b.constant(rng.standard_normal((SIZE, SIZE), dtype=np.float32) / SIZE, f"w{k}")
        (y,) = b.add("matmul", [x, w])
        (x,) = b.add("relu", [y])
    return b.finish([x])


def feed(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((SIZE, SIZE), dtype=np.float32)


def right(exe: Executable, wants: list[np.ndarray], times: int = 3) -> None:
    for n in range(times):
        assert_array_equal(exe(feed(n % len(wants))), wants[n % len(wants)])


def prepared() -> tuple[Executable, list[np.ndarray]]:
    exe = weft.compile(model())
    return exe, [exe(feed(k)) for k in range(3)]


# ---- children -----------------------------------------------------------------------------------


def child(do: Callable[[], None]) -> int:
    """A fork that does ``do`` and ends; its process."""
    process = os.fork()
    if process:
        return process
    code = 1
    faulthandler.dump_traceback_later(PATIENCE / 2)  # where it is stuck
    try:
        do()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(process: int) -> None:
    """Wait for the end of a child, and see that it is a good one."""
    end = time.monotonic() + PATIENCE
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(status)
            assert code == 0, f"a child ended with {code}"
            return
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise AssertionError("a child is stuck")
        time.sleep(0.002)


@contextmanager
def meanwhile(*works: Callable[[], None]) -> Iterator[None]:
    """Threads that do each of ``works`` again and again."""
    stop, errors = threading.Event(), []

    def repeat(work: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=repeat, args=(w,)) for w in works]
    for t in threads:
        t.start()
    try:
        yield
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not errors, errors


# ---- what is done -------------------------------------------------------------------------------


def inside_a_call() -> None:
    """Another thread is inside a call of the executable, as it nearly always is."""
    exe, wants = prepared()
    with meanwhile(lambda: right(exe, wants, 1)):
        for _ in range(12):
            wait(child(lambda: right(exe, wants)))


def inside_a_kernel() -> None:
    """The same for a kernel of ``weft.build``."""
    n = 1 << 16
    a = te.placeholder((n,), name="a")
    b = te.compute((n,), lambda i: te.exp(te.exp(a[i] * 0.001)), name="b")
    s = te.create_schedule(b)
    s[b].parallel(s[b].split(s[b].axes[0], factor=1024)[0])
    kernel = weft.build(s, [a, b])
    x, want = np.linspace(0, 1, n, dtype=np.float32), np.empty(n, np.float32)
    kernel(x, want)

    def call() -> None:
        y = np.empty(n, np.float32)
        kernel(x, y)
        assert_array_equal(y, want)

    with meanwhile(call):
        for _ in range(12):
            wait(child(call))


def preloaded() -> None:
    """gunicorn with --preload: load, call, fork workers; all call."""
    exe, wants = prepared()
    workers = [child(lambda: right(exe, wants, 10)) for _ in range(3)]
    right(exe, wants, 10)
    for w in workers:
        wait(w)


def loaders() -> None:
    """PyTorch's DataLoader: workers call and send what they get, while the parent calls, too."""
    exe, wants = prepared()

    def work(to: int, k: int) -> None:
        with os.fdopen(to, "wb") as file:
            file.write(exe(feed(k)).tobytes())

    with meanwhile(lambda: right(exe, wants), lambda: right(exe, wants)):
        for _ in range(4):
            workers = []
            for k in range(3):
                ours, theirs = os.pipe()
                workers.append((child(lambda to=theirs, k=k: work(to, k)), ours))
                os.close(theirs)
            for k, (worker, ours) in enumerate(workers):
                with os.fdopen(ours, "rb") as file:
                    got = np.frombuffer(file.read(), np.float32)
                wait(worker)
                assert_array_equal(got, wants[k].reshape(-1))


def of_multiprocessing() -> None:
    """Its three ways to start a process, while another thread calls."""
    exe, wants = prepared()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "m.weft")
        exe.save(path)
        for way in ("fork", "forkserver", "spawn"):
            given = exe if way == "fork" else None
            worker = mp.get_context(way).Process(target=_loaded, args=(path, given, wants))
            with meanwhile(lambda: right(exe, wants, 1)):
                worker.start()
            worker.join(PATIENCE)
            stuck = worker.is_alive()
            worker.kill()
            assert not stuck and worker.exitcode == 0, (way, worker.exitcode)


def _loaded(path: str, exe: Executable | None, wants: list[np.ndarray]) -> None:
    right(load(path), wants)
    if exe is not None:
        right(exe, wants)


def while_compiling() -> None:
    """Another thread compiles and builds; the child compiles, and calls what it inherited."""
    exe, wants = prepared()
    count = iter(range(10**6))

    def compile() -> None:
        weft.compile(model(1, f"other{next(count)}"), opt_level=next(count) % 4, cache=False)

    def cached() -> None:
        weft.compile(model(1, f"cached{next(count)}"), opt_level=next(count) % 4)

    def both() -> None:
        made = weft.compile(model(), cache=next(count) % 2 == 0)
        right(made, wants)
        right(exe, wants)

    with meanwhile(compile, cached):
        for _ in range(8):
            wait(child(both))


def with_records() -> None:
    """Another thread reads and writes records; the child, too, and no record is lost."""
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "records.sqlite")
        memory = Records(None)
        names = iter(range(10**6))

        def write(who: str) -> None:
            for store in (records, memory):
                store.put(Record(f"{who}{next(names)}", "llvm", 1, {}, "ok", 1.0))
                assert store.best("none", "llvm", 1) is None

        written = 0
        with meanwhile(lambda: write("a"), lambda: memory.merge(records)):
            for n in range(8):
                for who in (f"p{n}-", f"c{n}-"):
                    if who[0] == "p":
                        write(who)
                    else:
                        wait(child(lambda who=who: write(who)))
                    written += 1
        mine = {r.key.split("-")[0] for r in records if r.key[0] in "pc"}
        assert len(mine) == written, mine
        records.close()
        memory.close()


def while_the_pool_changes() -> None:
    """Another thread ends and starts the threads of parallel loops."""
    exe, wants = prepared()
    device, count = CPUDevice(), iter(range(10**6))
    with meanwhile(lambda: device.set_num_threads(1 + next(count) % 4), lambda: right(exe, wants)):
        for _ in range(12):
            wait(child(lambda: right(exe, wants)))


def by_the_caller() -> None:
    """The thread that forks is itself inside of a call, in a hook: both go on with it."""
    exe, wants = prepared()
    forks: list[int] = []

    def hook(frame, event, _):
        ours = frame.f_globals.get("__name__", "").startswith("weft.")  # wherever the checkout is
        if event == "call" and ours and len(forks) < 8:
            forks.append(os.fork())
            if not forks[-1]:
                sys.setprofile(None)

    def call() -> bool:
        """Whether this is the process that began."""
        sys.setprofile(hook)
        got = exe(feed(1))
        sys.setprofile(None)
        assert_array_equal(got, wants[1])
        right(exe, wants)
        with meanwhile(lambda: right(exe, wants)):  # the lock of the call is nobody's
            right(exe, wants)
        return 0 not in forks

    code = 1
    try:
        first = call()
        code = 0
    finally:
        if 0 in forks:
            os._exit(code)
    assert first and forks
    for process in forks:
        wait(process)


SCENES = (
    inside_a_call, inside_a_kernel, preloaded, loaders, of_multiprocessing, while_compiling,
    with_records, while_the_pool_changes, by_the_caller,
)  # fmt: skip

if __name__ == "__main__":
    {scene.__name__: scene for scene in SCENES}[sys.argv[1]]()
