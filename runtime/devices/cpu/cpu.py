"""The CPU: loads object code into this process and runs it on a pool of native threads.

Code is linked by LLVM's JIT linker. The pool and the loop over the steps of a program are C
(``threadpool.c``), shipped as LLVM IR (``threadpool.ll``), so that one call of a program is one
native call with the GIL released and no C compiler is needed. The pool is one for the process,
whatever the number of :class:`CPUDevice` objects.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import os
import platform
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from ... import knobs
from ...errors import DeviceError
from ...ndarray import address

_MAX_THREADS = 1024  # of threadpool.h
_RELAX = {
    "x86_64": "declare void @llvm.x86.sse2.pause()",
    "aarch64": "declare void @llvm.aarch64.hint(i32)",
}
_RELAX_CALL = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
}


def processor() -> str:
    """LLVM's name of this machine's processor, and LLVM's version."""
    return f"{llvm.get_host_cpu_name()}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"


def describe() -> tuple[str, dict[str, int]]:
    """The processor, LLVM's version, and how many threads run kernels."""
    return f"{processor()} ({platform.machine()})", {"threads": CPUDevice().num_threads}


class Library:
    """Loaded code objects; they stay in memory as long as this object lives."""

    def __init__(self, tracker: Any):
        self._tracker = tracker  # unloads the code when it is collected

    def address(self, symbol: str) -> int:
        """The address of a kernel that was named when the library was loaded.

        Raises :class:`DeviceError` when there is none of that name.
        """
        try:
            return self._tracker[symbol]
        except KeyError:
            raise DeviceError(f"the loaded code has no kernel {symbol!r}.") from None


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

    def load(self, objects: Mapping[str, bytes], symbols: Sequence[str] | None = None) -> Library:
        """Link object files; ``symbols`` are the kernels wanted (default: every global function).

        Raises :class:`DeviceError` for damaged or foreign objects and for missing symbols.
        """
        native = _native()
        builder = llvm.JITLibraryBuilder()
        names: set[str] = set(symbols or ())
        for name, data in objects.items():
            names.update(_exports(name, data, symbols is None))
            builder.add_object_img(data)
        builder.add_current_process()
        builder.import_symbol("weft_parallel_for", native.parallel_for)
        for n in names:
            builder.export_symbol(n)
        if not objects:
            return Library({})
        try:
            tracker = builder.link(native.jit, f"weft{next(_COUNTER)}")
        except RuntimeError as e:
            raise DeviceError(f"the code cannot be linked: {e}") from None
        return Library(tracker)

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
        """Use ``n`` threads for parallel loops from now on; waits for loops that are running."""
        if not 1 <= n <= _MAX_THREADS:
            raise DeviceError(
                f"{n} threads are not possible.", hint=f"a number from 1 to {_MAX_THREADS}"
            )
        _native().start(n)


_COUNTER = itertools.count()


def set_num_threads(n: int) -> None:
    """Use ``n`` threads for the parallel loops of this process."""
    CPUDevice().set_num_threads(n)


class _Native:
    """The compiled thread pool of this process."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
            opt=2, reloc="pic", codemodel="default"
        )
        module = llvm.parse_assembly(_pool_source())
        module.verify()
        self.jit = llvm.create_lljit_compiler(use_jit_link=True, suppress_errors=True)
        names = (
            "weft_parallel_for", "weft_pool_resize", "weft_pool_forget", "weft_pool_handle",
            "weft_run",
        )  # fmt: skip
        builder = llvm.JITLibraryBuilder()
        builder.add_object_img(machine.emit_object(module)).add_current_process()
        for n in names:
            builder.export_symbol(n)
        self._tracker = builder.link(self.jit, "weft_threadpool")
        self.parallel_for = self._tracker["weft_parallel_for"]
        # CFUNCTYPE functions release the GIL while they run.
        i64, pointer = ctypes.c_int64, ctypes.c_void_p
        self._resize = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(
            self._tracker["weft_pool_resize"]
        )
        self._handle = ctypes.CFUNCTYPE(i64, ctypes.c_int32)(self._tracker["weft_pool_handle"])
        self._forget = ctypes.CFUNCTYPE(None)(self._tracker["weft_pool_forget"])
        self.run = ctypes.CFUNCTYPE(None, pointer, i64, pointer)(self._tracker["weft_run"])
        self.started = False
        self.threads, self.wanted = 1, 0
        self._lock = threading.Lock()
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def start(self, threads: int | None = None) -> None:
        """Have ``threads`` threads (default: as before, or what WEFT_NUM_THREADS says)."""
        with self._lock:
            if threads is None:
                if self.started:
                    return
                threads = self.wanted or min(_MAX_THREADS, knobs.num_threads())
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
        self._lock = threading.Lock()
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


_NATIVE_LOCK = threading.Lock()


def _native() -> _Native:
    with _NATIVE_LOCK:
        return _native_once()


def _pool_source() -> str:
    """``threadpool.ll`` with what differs between processors and systems."""
    assert __package__
    text = resources.files(__package__).joinpath("threadpool.ll").read_text(encoding="utf-8")
    arch = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    clock = 6 if sys.platform == "darwin" else 1  # CLOCK_MONOTONIC
    return "\n".join((
        f'target triple = "{llvm.get_process_triple()}"', text, _RELAX.get(arch, ""),
        f"define internal void @weft_relax() {{\n  {_RELAX_CALL.get(arch, '')}\n  ret void\n}}",
        f"@weft_clock_id = internal constant i32 {clock}\n",
    ))  # fmt: skip


def _exports(name: str, data: bytes, wanted: bool) -> list[str]:
    """The global functions that an ELF object defines (``wanted``), after checking that it is an
    object for this processor at all: LLVM's linker must not see anything else."""
    if data[:4] == b"\0asm":
        raise DeviceError(
            f"the code object {name!r} is WebAssembly, which runs in web pages and under Node.",
            hint="make a bundle for a page, or compile for this machine: target 'llvm'",
        )
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        raise DeviceError(f"the code object {name!r} is damaged: it is no 64-bit ELF object.")
    machine = {"x86_64": 62, "aarch64": 183, "riscv64": 243}.get(platform.machine())
    if machine is not None and int.from_bytes(data[18:20], "little") != machine:
        raise DeviceError(
            f"the code object {name!r} is for another processor than this {platform.machine()}.",
            hint="compile for this machine: target 'llvm'",
        )
    try:
        return _elf_functions(data) if wanted else []
    except ValueError:  # includes UnicodeDecodeError
        raise DeviceError(f"the code object {name!r} is damaged.") from None


def _elf_functions(data: bytes) -> list[str]:
    """Names of the global functions in the symbol tables; ValueError when they are cut short."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    table, size, count = number(40, 8), number(58, 2), number(60, 2)
    found = []
    for k in range(count):
        header = table + k * size
        if number(header + 4, 4) != 2:  # SHT_SYMTAB
            continue
        start, length, link = number(header + 24, 8), number(header + 32, 8), number(header + 40, 4)
        strings = number(table + link * size + 24, 8)
        if max(start + length, strings) > len(data):
            raise ValueError("a table lies outside of the file")
        for at in range(start, start + length, 24):
            info, section = data[at + 4], number(at + 6, 2)
            if info == (1 << 4 | 2) and section:  # STB_GLOBAL, STT_FUNC, defined here
                begin = strings + number(at, 4)
                found.append(data[begin : data.index(b"\0", begin)].decode())
    return found
