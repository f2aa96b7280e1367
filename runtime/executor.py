"""Runs a compiled program, on the CPU or on the device of its target.

Everything that does not change from call to call is prepared once: code is loaded, constants and
the arena are placed, and the arguments of all kernel calls are written into one table of addresses.
A call then writes the addresses of its inputs and outputs into the table and enters native code
once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from . import package
from .artifact import Program
from .errors import InputError
from .inputs import TensorSpec, bind
from .kernel import NativeProgram
from .ndarray import ALIGNMENT, address, aligned_bytes, aligned_empty, allocate
from .profile import Benchmark, Profile, ProfileRow
from .storage import MemoryReport, Storage

if TYPE_CHECKING:
    from .devices.cpu import CPUDevice

__all__ = ["Executable", "TensorSpec", "load"]

# Kinds of targets whose memory is not the process's own: where their programs are run.
_DEVICES: dict[str, tuple[str, str] | Callable[..., Any]] = {
    "opengl": (".devices.opengl", "GLProgram"),
    "opencl": (".devices.opencl", "CLProgram"),
    "webgpu": (".devices.webgpu", "WebGPUProgram"),
}


def register_device(kind: str, program: Callable[..., Any]) -> None:
    """Let ``program`` run what is compiled for a new kind; see :func:`weft.register_target`."""
    assert kind not in _DEVICES, kind
    _DEVICES[kind] = program


def load(path: str | os.PathLike[str], device: CPUDevice | None = None) -> Executable:
    """The executable in a package that :meth:`Executable.save` wrote.

    Raises :class:`PackageError` when the file is damaged, foreign or of another version, and
    :class:`DeviceError` when this machine cannot run its code.
    """
    p = package.load(path)
    return Executable(p.program, p.codes, p.params, device).prepare()


class Executable:
    """A compiled model, ready to run.

    Safe to call from several threads: calls on one executable run one after another, since they
    share its arena. Inputs that are C-contiguous and 64-byte aligned are read in place, others
    are copied first. Outputs are new arrays that the caller owns.
    """

    def __init__(
        self,
        program: Program,
        codes: Mapping[str, bytes],
        params: Mapping[str, np.ndarray],
        device: CPUDevice | None = None,
    ):
        self.program = program
        self._codes, self._params = dict(codes), dict(params)
        self._storage = Storage(program, self._params)
        self._lock = threading.RLock()
        self._device = device
        self._native: NativeProgram | None = None
        self._kind = program.target.split(maxsplit=1)[0]
        self._remote: Any = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Name, dtype and shape of each input, in order."""
        return MappingProxyType(self._storage.inputs)

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Name, dtype and shape of each output, in order."""
        return MappingProxyType(self._storage.outputs)

    @property
    def codes(self) -> Mapping[str, bytes]:
        """The code objects of the program by name."""
        return MappingProxyType(self._codes)

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        """The constants of the program by name."""
        return MappingProxyType(self._params)

    @property
    def memory(self) -> MemoryReport:
        """Bytes of arena, constants, inputs and outputs."""
        return self._storage.report()

    def prepare(self) -> Executable:
        """Load the code and take the memory now, instead of at the first call; gives itself.

        Raises :class:`DeviceError` when this machine cannot run the code or has too little memory.
        """
        with self._lock:
            self._on_device() if self.kind in _DEVICES else self._ready()
        return self

    @property
    def kind(self) -> str:
        """The kind of target: ``"llvm"``, ``"opengl"``, …"""
        return self._kind

    def _on_device(self) -> Any:
        if self._remote is None:
            made = _DEVICES[self.kind]
            if isinstance(made, tuple):
                made = getattr(import_module(made[0], __package__), made[1])
            self._remote = made(self.program, self._codes, self._storage)
        return self._remote

    def _ready(self) -> NativeProgram:
        if self._native is None:
            storage, program = self._storage, self.program
            self._arena = aligned_bytes(program.arena)
            base = address(self._arena)
            fixed = {k: address(c) for k, c in storage.constants.items()}
            fixed |= {k: base + s.offset for k, s in enumerate(storage.slots) if s.kind == "arena"}
            roots = np.array([storage.roots[a] for st in program.steps for a in st.args], np.int64)
            table = np.array([fixed.get(int(r), 0) for r in roots], np.int64)
            self._in = [_places(roots, k) for k in program.inputs.values()]
            self._staging: list[tuple[np.ndarray, int] | None] = [None] * len(self._in)
            made = [k for k, s in enumerate(storage.slots) if s.kind == "output"]
            self._out = [(k, program.slots[k].nbytes, _places(roots, k)) for k in made]
            self._plain = self._own_buffers()
            self._native = NativeProgram(program, self._codes, table, self._device)
        return self._native

    def __call__(self, *arrays: Any, **by_name: Any) -> Any:
        """Run on inputs by position or by name; gives the array of the only output, or a tuple.

        Raises :class:`InputError` on wrong names, number, shapes or dtypes.
        """
        given = bind(self._storage.inputs, arrays, by_name, self.program.name)
        results = self._run(given)
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run on inputs by name; gives outputs by name. For names that Python cannot spell."""
        if not isinstance(inputs, Mapping):
            raise InputError(
                f"run takes a mapping of names to arrays, not {type(inputs).__name__}.",
                where=self.name,
                hint=f"run({{{', '.join(f'{n!r}: …' for n in self._storage.inputs)}}}), or call "
                "the executable itself with arrays in order",
            )
        results = self._run(bind(self._storage.inputs, (), inputs, self.name))
        return dict(zip(self._storage.outputs, results))

    def _run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock:
            if self._kind in _DEVICES:
                return self._on_device().run(arrays)
            native = self._native or self._ready()
            results, keep = self._enter(native.entries, arrays)
            native.run()
            del keep
            return self._leave(arrays, results)

    def _own_buffers(self) -> list[tuple[int, tuple[int, ...], np.dtype]] | None:
        """(result buffer, shape, dtype) of each output where every one has a buffer of its own, as
        is usual: nothing is left to decide for a call. None elsewhere."""
        storage, own = self._storage, {k for k, _, _ in self._out}
        roots = [storage.roots[k] for k in self.program.outputs.values()]
        if len(set(roots)) != len(roots) or not own.issuperset(roots):
            return None
        return [(r, s.shape, s.dtype.numpy) for r, s in zip(roots, storage.outputs.values())]

    def _enter(
        self, table: Any, arrays: Sequence[np.ndarray]
    ) -> tuple[dict[int, np.ndarray], list[np.ndarray]]:
        """Write this call's addresses into the table. The arrays given back must live until the
        native call is over."""
        keep: list[np.ndarray] = []
        for k, (array, places) in enumerate(zip(arrays, self._in)):
            place = address(array)
            if place % ALIGNMENT or not array.flags.c_contiguous:
                array, place = self._stage(k, array)
            for p in places:
                table[p] = place
            keep.append(array)
        results: dict[int, np.ndarray] = {}  # the bytes of each
        for k, nbytes, places in self._out:
            results[k], place = allocate(nbytes)
            for p in places:
                table[p] = place
        return results, keep

    def _stage(self, k: int, array: np.ndarray) -> tuple[np.ndarray, int]:
        """An aligned copy of input ``k``, and its address."""
        kept = self._staging[k]
        if kept is None:
            spec = list(self._storage.inputs.values())[k]
            made = aligned_empty(spec.shape, spec.dtype)
            kept = self._staging[k] = made, address(made)
        np.copyto(kept[0], array)
        return kept

    def _leave(
        self, arrays: Sequence[np.ndarray], results: dict[int, np.ndarray]
    ) -> list[np.ndarray]:
        """The public outputs. The first that lies in a result buffer is that buffer; whatever else
        lies there, in the arena, in a constant or in an input, is copied."""
        if self._plain is not None:
            return [np.ndarray(shape, dtype, results[k]) for k, shape, dtype in self._plain]
        storage, given = self._storage, dict(zip(self.program.inputs.values(), arrays))
        free, outputs = set(results), []
        for spec, k in zip(storage.outputs.values(), self.program.outputs.values()):
            root = storage.roots[k]
            slot = self.program.slots[root]
            if root in results:
                data = results[root]
            elif root in storage.constants:
                data = storage.constants[root]
            elif root in given:
                data = given[root]
            else:
                data = self._arena[slot.offset : slot.offset + slot.nbytes]
            own = root in free
            free.discard(root)
            count = self.program.slots[k].nbytes
            if own:
                flat = data
            else:
                flat = aligned_bytes(count)
                flat[:] = np.ascontiguousarray(data).reshape(-1).view(np.uint8)[:count]
            outputs.append(flat[:count].view(spec.dtype.numpy).reshape(spec.shape))
        return outputs

    def profile(self, *arrays: Any, repeat: int = 10, **by_name: Any) -> Profile:
        """The time of each kernel call: the median of ``repeat`` runs, after one to warm up.

        Without inputs, floats are random and everything else is zero.
        """
        feed = self._feed(arrays, by_name)
        with self._lock:
            if self.kind in _DEVICES:
                times = self._on_device().time(feed, max(1, repeat))
            else:
                native = self._ready()
                _results, _keep = self._enter(native.entries, feed)
                native.run()
                times = [native.time() for _ in range(max(1, repeat))]
        median = np.median(times, axis=0) * 1e-6
        rows = tuple(
            ProfileRow(step.label, step.kernel, float(ms))
            for step, ms in zip(self.program.steps, median)
        )
        return Profile(self.name, rows)

    def benchmark(
        self, *arrays: Any, repeat: int = 10, number: int = 1, **by_name: Any
    ) -> Benchmark:
        """Times of whole calls: ``repeat`` measurements of ``number`` calls each, after one that
        does not count. Inputs as in :meth:`profile`."""
        feed = self._feed(arrays, by_name)
        self._run(feed)
        times = []
        for _ in range(max(1, repeat)):
            begin = time.perf_counter()
            for _ in range(max(1, number)):
                self._run(feed)
            times.append((time.perf_counter() - begin) * 1e3 / max(1, number))
        return Benchmark(tuple(times))

    def _feed(self, arrays: Sequence[Any], by_name: Mapping[str, Any]) -> list[np.ndarray]:
        if arrays or by_name:
            return bind(self._storage.inputs, arrays, by_name, self.name)
        rng = np.random.default_rng(0)
        feed = []
        for spec in self._storage.inputs.values():
            array = aligned_empty(spec.shape, spec.dtype)
            array[...] = rng.standard_normal(spec.shape) if spec.dtype.is_float else 0
            feed.append(array)
        return feed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a package that :func:`weft.runtime.load` reads; it needs no compiler to run."""
        package.save(path, self.program, self._codes, self._params)

    def __repr__(self) -> str:
        ins = ", ".join(map(str, self.inputs.values()))
        outs = ", ".join(map(str, self.outputs.values()))
        return (
            f"<Executable {self.name!r} for {self.program.target.split(maxsplit=1)[0]}\n"
            f"  ({ins}) -> ({outs})\n"
            f"  {len(self.program.steps)} kernel calls of {len(self.program.kernels)} kernels\n"
            f"  {self.memory}>"
        )


def _places(roots: np.ndarray, k: int) -> list[int]:
    """Where in the argument tables the address of slot ``k`` stands."""
    return np.flatnonzero(roots == k).tolist()
