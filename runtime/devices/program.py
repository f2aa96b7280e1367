"""What programs have in common on devices with a memory of their own."""

from __future__ import annotations

import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from ..artifact import Kernel, Param, Program, Slot
from ..dtype import DType
from ..errors import DeviceError, InputError
from ..flow import ranges
from ..runner import deliver
from ..sizes import known, size_of
from ..storage import Storage
from ..texture import texel_dtype
from .memory import BlockPlan

AXES = ("x", "y", "z")


class DeviceProgram(ABC):
    """A program that a device holds: its code, its memory, its calls; a
    :class:`~weft.runtime.runner.Runner`.

    ``plan`` says which block of memory each tensor lies in. A constructor that fails half way has
    given everything back before the error leaves it.

    Raises :class:`DeviceError` when there is no device, when it has less than the kernels need,
    and when it refuses one.
    """

    plan: BlockPlan
    counts: np.ndarray | None = None
    _open = False  # whether there may be something to give back
    _passed = False  # whether the kernels that are loaded were given numbers
    _running = _ending = False  # whether it is inside of a run, and is to be closed after it

    def __init__(
        self,
        program: Program,
        codes: Mapping[str, bytes],
        storage: Storage,
        like: DeviceProgram | None = None,
    ):
        assert not storage.dynamic, "sizes are known here: see runtime/sized.py"
        self.program, self.storage, self._codes = program, storage, codes
        self.like = like  # one of the same code for other sizes
        self.options = target_options(program.target)
        self.kernels = {k.name: k for k in program.kernels}
        self.numbers: dict[int, Any] = {  # what kernels take by value, by slot
            k: storage.values[s.source] for k, s in enumerate(program.slots) if s.kind == "size"
        }
        for step in program.steps:
            if step.device:
                raise DeviceError(
                    f"the kernel {step.kernel} runs on {step.device}, which is only in web pages "
                    f"beside {self.kind}.",
                    where=program.name,
                    hint=f"compile for '{self.kind} -fallback=none', or for llvm",
                )
        self._process = os.getpid()
        self._clear()
        self._find()
        self._open = True
        try:
            with self._entered():
                self._load()
        except BaseException:
            self.close()
            raise

    def again(self, program: Program, storage: Storage) -> DeviceProgram:
        """A program of the same code for other sizes; see :mod:`weft.runtime.sized`."""
        return type(self)(program, self._codes, storage, self)

    @property
    def kind(self) -> str:
        """The kind of target."""
        return self.program.target.split(maxsplit=1)[0]

    # -- what devices do --------------------------------------------------------------------------

    @abstractmethod
    def _clear(self) -> None:
        """Hold nothing: no memory, no code."""

    @abstractmethod
    def _find(self) -> None:
        """Find the device, or raise :class:`DeviceError`; nothing that must be given back."""

    @abstractmethod
    def _load(self) -> None:
        """Check what the device has, make code and memory of the program."""

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """The device is ours; its errors are :class:`DeviceError`."""
        yield

    @abstractmethod
    def _send(self, root: int, flat: np.ndarray) -> None:
        """Start to write the elements of a tensor. ``flat`` may be the caller's memory; it stays
        unchanged until the run has ended."""

    @abstractmethod
    def _pass_numbers(self) -> None:
        """Let the kernels of the next run have :attr:`numbers`; asked for where some changed."""

    @abstractmethod
    def _start(self, begin: int, end: int) -> None:
        """Start the kernels of the steps [begin, end) in order."""

    @abstractmethod
    def _fetch(self, roots: Sequence[int]) -> list[np.ndarray]:
        """The elements of tensors after all that was started, in arrays of their own."""

    @abstractmethod
    def _measure(self, begin: int, end: int, repeat: int) -> np.ndarray:
        """Run the steps [begin, end) after all that was started; the nanoseconds of each, one row
        a run."""

    @abstractmethod
    def _free(self) -> None:
        """Give all memory and code back, and hold nothing; also after a :meth:`_load` that failed
        half way."""

    # -- what the executor calls ------------------------------------------------------------------

    def run(
        self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """The program's outputs for its inputs, both in order; see :meth:`Runner.run`."""
        given = dict(zip(self.program.inputs.values(), arrays))
        roots = [self.storage.roots[k] for k in self.program.outputs.values()]
        made = [r for r in dict.fromkeys(roots) if r in self.plan.block_of and r not in given]
        made = [r for r in made if r not in self.storage.constants]
        with self._run():
            keep = self._enter(arrays)
            self._start_all()
            flats = dict(zip(made, self._fetch(made)))
            del keep
        outputs, seen = [], set()
        for k, root in zip(self.program.outputs.values(), roots):
            flat = self._flat(k, given, flats)
            own = root in flats and root not in seen
            seen.add(root)
            slot, dtype = self.program.slots[k], self.storage.dtypes[k].numpy
            shape = known(slot.shape)
            flat = flat[: math.prod(shape)].astype(dtype, copy=not own)
            outputs.append(flat.reshape(shape))
        return deliver(outputs, out)

    def time(self, arrays: Sequence[np.ndarray], repeat: int) -> np.ndarray:
        """Nanoseconds of each step, one row a run; see :meth:`Runner.time`."""
        with self._run():
            keep, flow = self._enter(arrays), self.program.flow
            if not flow:
                rows = self._measure(0, len(self.program.steps), repeat + 1)
            else:
                rows = np.zeros((repeat + 1, len(self.program.steps)))
                for row in rows:
                    self.counts = np.zeros(row.size, np.int64)
                    for begin, end in ranges(flow, self._value):
                        row[begin:end] += self._measure(begin, end, 1)[0]
                        self.counts[begin:end] += 1
            del keep
        return rows[1:]

    def _start_all(self) -> None:
        """Start all that a run does."""
        if not self.program.flow:
            self._start(0, len(self.program.steps))
            return
        for begin, end in ranges(self.program.flow, self._value):
            self._start(begin, end)

    def _value(self, k: int) -> int:
        """The value of a slot of one element, after all that was started."""
        root = self.storage.roots[k]
        (flat,) = self._fetch([root])
        return int(flat[0])

    @contextmanager
    def _run(self) -> Iterator[None]:
        """A run, from its first step on the device to the last."""
        self._check_process()
        if self._running:
            raise inside(self.program.name)
        self._running = True
        try:
            with self._entered():
                yield
        finally:
            self._running = False
            if self._ending:
                self.close()

    def close(self) -> None:
        """Give memory and code back; where a signal handler or a finaliser asks for it in the
        middle of a run, after that."""
        self._ending = self._running
        if self._open and not self._running:
            self._open = False
            if self._process == os.getpid():  # what a fork inherited is not its own to free
                self._give_back()

    def _give_back(self) -> None:
        with self._entered():
            self._free()

    def __del__(self) -> None:
        if self._open and not sys.is_finalizing():
            with suppress(DeviceError):  # nobody is there to be told
                self.close()

    def _check_process(self) -> None:
        check_process(self._process, self.program.name)

    # -- shared steps -----------------------------------------------------------------------------

    def _enter(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send the inputs; what they are read from must live until the run has ended."""
        keep, changed = [], self.numbers and not self._passed
        for k, array in zip(self.program.inputs.values(), arrays):
            if k in self.plan.block_of:
                keep.append(np.ascontiguousarray(array).reshape(-1))
                self._send(k, keep[-1])
            elif not self.program.slots[k].shape:
                number = np.asarray(array, self.storage.dtypes[k].numpy)[()]
                changed = changed or k not in self.numbers or self.numbers[k] != number
                self.numbers[k] = number
        if changed:
            self._pass_numbers()
            self._passed = True
        return keep

    def number(self, k: int) -> np.ndarray:
        """The number in slot ``k`` as an array of one element."""
        return np.asarray([self.numbers[k]], self.storage.dtypes[k].numpy)

    def _constants(self) -> Iterator[tuple[int, np.ndarray]]:
        """The constants that kernels read, flat."""
        for k, array in self.storage.constants.items():
            if k in self.plan.block_of:
                yield k, array.reshape(-1).view(self.storage.dtypes[k].numpy)

    def _flat(
        self, k: int, given: Mapping[int, np.ndarray], flats: Mapping[int, np.ndarray]
    ) -> np.ndarray:
        """The elements of a slot wherever its tensor is."""
        slot, root = self.program.slots[k], self.storage.roots[k]
        dtype = self.storage.dtypes[k].numpy
        if root in given:
            return given[root].reshape(-1)
        if root in self.storage.constants:
            data = np.ascontiguousarray(self.storage.constants[root]).reshape(-1)
            return data.view(np.uint8)[: slot.nbytes].view(dtype)
        if root in flats:
            return flats[root]
        return np.empty(0, dtype)  # nothing computes a tensor without elements

    def _need(self, what: str, have: int, need: int, device: str, where: str, option: str) -> None:
        """Raises :class:`DeviceError` where a device has too little of something; ``option`` is
        the target's word for it, where it has one."""
        if need > have:
            hint = f"compile for '{self.kind} -{option}={have}'" if option else "try target 'llvm'"
            raise DeviceError(
                f"{device} allows {have} {what}; {need} are needed.", where=where, hint=hint
            )


class Driver:
    """The driver of a kind of devices, which one process has: the first that starts it."""

    def __init__(self, kind: str):
        self._kind, self._process = kind, 0

    def claim(self) -> None:
        """Call this before the driver is started or used; raises :class:`DeviceError` where this
        process is a fork of one that did."""
        if self._process:
            check_process(self._process, self._kind)
        self._process = os.getpid()


def inside(where: str) -> DeviceError:
    """What is raised for a call from inside of another one that it would disturb."""
    return DeviceError(
        "the device is in the middle of a call of this thread, which a signal handler, a finaliser "
        "or a hook has interrupted for another one.",
        where=where,
        hint="do that after the call, or compile for llvm, which can do it there",
    )


def check_process(process: int, where: str) -> None:
    """Raises :class:`DeviceError` in a fork of ``process``: threads of drivers stay behind there,
    and calls would wait for them forever."""
    if process != os.getpid():
        raise DeviceError(
            "the driver was started before this process was forked, and works only in the other.",
            where=where,
            hint="start processes with the method 'spawn' or 'forkserver' of multiprocessing",
        )


def target_options(target: str) -> dict[str, str]:
    """The options of a target's text; flags are ``"True"``."""
    words = (w.lstrip("-").partition("=") for w in target.split()[1:])
    return {key: value if eq else "True" for key, eq, value in words}


def flag(options: Mapping[str, str], name: str) -> bool:
    """Whether an option of :func:`target_options` is on; it is off where it is missing."""
    return options.get(name, "False").lower() in ("true", "1")


def launch(kernel: Kernel) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Workgroups and threads of each along x, y, z."""

    def extents(tag: str) -> tuple[int, int, int]:
        x, y, z = (size_of(kernel.launch.get(f"{tag}.{axis}", 1), {}) for axis in AXES)
        return x, y, z

    return extents("blockIdx"), extents("threadIdx")


def buffers_of(kernel: Kernel) -> list[Param]:
    """The parameters that are not numbers."""
    return [p for p in kernel.params if p.access != "s"]


def dtypes_of(kernels: Iterable[Kernel]) -> set[str]:
    """The dtypes of all parameters."""
    return {p.dtype for k in kernels for p in k.params}


def narrow(flat: np.ndarray, d: DType, slot: Slot) -> np.ndarray:
    """64-bit integers in 32 bits; raises :class:`InputError` for one that does not fit."""
    if not d.is_int or d.bits != 64 or not flat.size:
        return flat
    kind = texel_dtype(d)
    limits = np.iinfo(kind)
    low, high = int(flat.min()), int(flat.max())
    if low < limits.min or high > limits.max:
        raise InputError(
            f"{slot.name} has elements from {low} to {high}; this target keeps {d} in 32 bits.",
            hint="the llvm target has all 64",
        )
    return flat.astype(kind)
