"""The CPU: loads object code into this process and runs it on a pool of native threads.

Code is linked by LLVM's JIT linker. The pool and the loop over the steps of a program are C
(``threadpool.c``), shipped as LLVM IR (``threadpool.ll``), so that one call of a program is one
native call with the GIL released and no C compiler is needed. The pool is one for the process,
whatever the number of :class:`CPUDevice` objects.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import llvmlite.binding as llvm
import numpy as np

from ... import forks, knobs
from ...errors import DeviceError
from ...ndarray import address
from ...threads import MOST, thread_count
from .elf import check_object
from .engine import Library, link
from .pool import pool_source

_AT_MOST = """
target triple = "{}"
declare void @weft_limit(ptr, ptr, i64, i64, i64)
define void @weft_limited(ptr %body, ptr %closure, i64 %begin, i64 %end) {{
  tail call void @weft_limit(ptr %body, ptr %closure, i64 %begin, i64 %end, i64 {})
  ret void
}}
"""


def processor() -> str:
    """LLVM's name of this machine's processor, and LLVM's version."""
    return f"{llvm.get_host_cpu_name()}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"


def describe() -> tuple[str, dict[str, int]]:
    """The processor, LLVM's version, and how many threads run kernels."""
    return f"{processor()} ({platform.machine()})", {"threads": CPUDevice().num_threads}


def options() -> dict[str, str]:
    """The options of a target that is this machine's processor."""
    features = sorted(llvm.get_host_cpu_features().items())
    return {
        "mtriple": llvm.get_process_triple(),
        "mcpu": llvm.get_host_cpu_name(),
        "mattr": ",".join(f"{'+' if on else '-'}{name}" for name, on in features),
    }


class CPUDevice:
    """This machine's processor.

    >>> library = CPUDevice().load({"kernels": object_bytes})          # doctest: +SKIP
    >>> steps = CPUDevice.steps([library.address("f")], [table_address])  # doctest: +SKIP
    >>> CPUDevice().run(steps)                                         # doctest: +SKIP
    """

    name = "cpu"

    @staticmethod
    def is_of(triple: str) -> bool:
        """Whether this machine has the architecture of a triple, such as ``"x86_64-linux-gnu"``."""
        return triple.partition("-")[0] in ("", llvm.get_process_triple().partition("-")[0])

    @staticmethod
    def missing_features(attributes: str) -> list[str]:
        """The processor features of an LLVM attribute list (``"+avx2,-fma4"``) that this machine
        lacks: code compiled with them may use instructions that end the process here."""
        have = llvm.get_host_cpu_features()
        wanted = (a[1:] for a in attributes.split(",") if a.startswith("+"))
        return [f for f in wanted if not have.get(f, False)]

    def load(
        self,
        objects: Mapping[str, bytes],
        symbols: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Library:
        """Link object files; ``symbols`` are the kernels wanted (default: every global function).
        Their parallel loops run on at most ``threads`` threads; 0: on all that there are.

        Raises :class:`DeviceError` for damaged or foreign objects and for missing symbols.
        """
        if not objects:
            return Library({}, None)
        checked = [check_object(name, data) for name, data in objects.items()]
        defined = dict.fromkeys(n for o in checked for n in o.functions)
        missing = [n for n in symbols or () if n not in defined]
        if missing:
            raise DeviceError(f"the code cannot be linked: it has no kernel {missing[0]!r}.")
        names = defined if symbols is None else dict.fromkeys(symbols)
        imports = {"weft_parallel_for": _native().parallel_for_at_most(threads)}
        return link([o.data for o in checked], names, imports)

    @staticmethod
    def steps(addresses: Sequence[int], tables: Sequence[int]) -> np.ndarray:
        """The list of kernel calls that :meth:`run` takes: per row the address of a kernel and of
        its argument table (``int64``: pointers, or values of scalars). Tables may change between
        runs; their owner must live as long as they are used."""
        assert len(addresses) == len(tables)
        rows = np.empty((len(addresses), 2), np.uint64)
        rows[:, 0], rows[:, 1] = addresses, tables
        return rows

    def run(self, steps: np.ndarray, times: np.ndarray | None = None) -> None:
        """Run the steps in order, in one native call without the GIL.

        ``times`` (int64, one more than there are steps) receives the nanosecond before each step
        and the one after the last.
        """
        if times is not None:
            assert times.dtype == np.int64 and times.size == len(steps) + 1
            assert times.flags.c_contiguous
        run = self.runner(steps)
        run() if times is None else run(address(times))

    @staticmethod
    def runner(steps: np.ndarray) -> Callable[..., None]:
        """A function that does what :meth:`run` does with the same steps, and asks for nothing
        again; its argument is the address of ``times``. It keeps the steps alive."""
        native = _native()
        place, count = address(steps), len(steps)

        def run(times: int | None = None, steps: np.ndarray = steps) -> None:
            if not native.started:
                native.start()
            native.run(place, count, times)

        return run

    @property
    def num_threads(self) -> int:
        """Threads that parallel loops use, the caller included."""
        native = _native()
        if not native.started:
            native.start()
        return native.threads

    def set_num_threads(self, n: int) -> None:
        """As the function of that name."""
        _native().start(thread_count(n, "set_num_threads"))


def set_num_threads(n: int) -> None:
    """Have ``n`` threads run the parallel loops of this process's programs from now on, the calling
    one among them. Waits for loops that are running.

    Without it there are as many as ``WEFT_NUM_THREADS`` says, by default one for each core that the
    process may use. ``weft.compile(…, threads=n)`` is a limit for one program.

    Raises :class:`InputError` for anything but an integer from 1 to 1024, :class:`DeviceError` when
    the system gives fewer.
    """
    CPUDevice().set_num_threads(n)


def get_num_threads() -> int:
    """How many threads run the parallel loops of this process's programs, the caller among them."""
    return CPUDevice().num_threads


class _Native:
    """The compiled thread pool of this process."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
            opt=2, reloc="pic", codemodel="default"
        )
        module = llvm.parse_assembly(pool_source(llvm.get_process_triple()))
        module.verify()
        names = (
            "weft_parallel_for", "weft_parallel_for_at_most", "weft_pool_resize",
            "weft_pool_forget", "weft_pool_handle", "weft_run",
        )  # fmt: skip
        self._pool = link([machine.emit_object(module)], names)
        self._limits: dict[int, Library] = {}
        self._machine = machine
        # CFUNCTYPE functions release the GIL while they run.
        i64, pointer = ctypes.c_int64, ctypes.c_void_p
        self._resize = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(
            self._pool.address("weft_pool_resize")
        )
        self._handle = ctypes.CFUNCTYPE(i64, ctypes.c_int32)(self._pool.address("weft_pool_handle"))
        self._forget = ctypes.CFUNCTYPE(None)(self._pool.address("weft_pool_forget"))
        self.run = ctypes.CFUNCTYPE(None, pointer, i64, pointer)(self._pool.address("weft_run"))
        self.started = False
        self.threads, self.wanted = 1, 0
        self._lock = forks.renewed(self, "_lock")
        atexit.register(self.stop)
        forks.in_child(self, _Native._after_fork)

    def parallel_for_at_most(self, threads: int) -> int:
        """The address of what programs call for their parallel loops, which then run on no more
        than ``threads`` threads; 0: on all."""
        if not threads:
            return self._pool.address("weft_parallel_for")
        if threads not in self._limits:
            module = llvm.parse_assembly(_AT_MOST.format(llvm.get_process_triple(), threads))
            imports = {"weft_limit": self._pool.address("weft_parallel_for_at_most")}
            made = link([self._machine.emit_object(module)], ["weft_limited"], imports)
            self._limits[threads] = made  # for ever: programs hold no more than the address
        return self._limits[threads].address("weft_limited")

    def start(self, threads: int | None = None) -> None:
        """Have ``threads`` threads (default: as before, or what WEFT_NUM_THREADS says)."""
        with self._lock:
            if threads is None:
                if self.started:
                    return
                threads = self.wanted or min(MOST, knobs.num_threads())
            self.wanted = threads
            have = 1 + self._resize(threads - 1)
            self.threads, self.started = have, True
            if knobs.pin_threads():
                _pin([self._handle(k) for k in range(have - 1)])
        if have < threads:
            raise DeviceError(f"the system gave only {have} of {threads} threads.")

    def stop(self) -> None:
        """End the workers: none may run code that the interpreter's end frees."""
        with self._lock:
            if self.started:
                self._resize(0)
                self.started = False

    def _after_fork(self) -> None:
        # The workers stayed in the parent. The same number is started at the next run.
        self._forget()
        self.started = False


def _pin(workers: Sequence[int]) -> None:
    """Bind threads (``pthread_t``) to cores of this process, from its second one on and round
    again. Raises :class:`DeviceError` where the system has no way to do that."""
    bind = getattr(ctypes.CDLL(None), "pthread_setaffinity_np", None)
    if bind is None or not hasattr(os, "sched_getaffinity"):
        raise DeviceError(
            "threads cannot be pinned to cores on this system.", hint="unset WEFT_PIN_THREADS"
        )
    bind.argtypes = (ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p)
    cores = sorted(os.sched_getaffinity(0))
    for k, thread in enumerate(workers, start=1):
        core = cores[k % len(cores)]
        mask = (1 << core).to_bytes(128, "little")  # a cpu_set_t has 1024 bits
        error = bind(thread, len(mask), mask)
        if error:
            raise DeviceError(f"a thread cannot be pinned to core {core}: {os.strerror(error)}.")


@lru_cache(maxsize=1)
def _native_once() -> _Native:
    return _Native()


forks.awaited(llvm.ffi.lib._lock._lock)  # of llvmlite: who is inside of LLVM
_lock = forks.renewed(sys.modules[__name__], "_lock")


def _native() -> _Native:
    with _lock:
        return _native_once()
