"""A compiled program, ready to run.

It checks what it is given, and hands it to the runner that the table of devices has for its target.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from . import package
from .artifact import Program
from .devices.table import runner_of
from .errors import InputError
from .inputs import TensorSpec, bind, check_out
from .ndarray import aligned_empty
from .profile import Benchmark, Profile, ProfileRow
from .runner import Runner
from .storage import MemoryReport, Storage

__all__ = ["Executable", "TensorSpec", "load"]


def load(path: str | os.PathLike[str]) -> Executable:
    """The executable in a package that :meth:`Executable.save` wrote.

    Raises :class:`PackageError` when the file is damaged, foreign or of another version, and
    :class:`DeviceError` when this machine cannot run its code.
    """
    p = package.load(path)
    return Executable(p.program, p.codes, p.params).prepare()


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
    ):
        self.program = program
        self._codes, self._params = dict(codes), dict(params)
        self._storage = Storage(program, self._params)
        self._lock = threading.RLock()
        self._runner: Runner | None = None

    @property
    def name(self) -> str:
        """The name of the program: the model's."""
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
        """Load the code and take the memory now, instead of at the first call; returns self.

        Raises :class:`DeviceError` as :attr:`runner` does.
        """
        _ = self.runner
        return self

    @property
    def kind(self) -> str:
        """The kind of target: ``"llvm"``, ``"opengl"``, …"""
        return self.program.target.split(maxsplit=1)[0]

    @property
    def runner(self) -> Runner:
        """What runs the program on its device; made when it is first asked for. It checks nothing,
        and takes one call at a time: :meth:`call` is the safe way to it.

        Raises :class:`DeviceError` when this machine cannot run the code, has too little memory, or
        has no runner for the target.
        """
        with self._lock:
            if self._runner is None:
                make = runner_of(self.kind, self.name)
                self._runner = make(self.program, self._codes, self._storage)
            return self._runner

    def close(self) -> None:
        """Give the device's memory back; a later call takes it anew."""
        with self._lock:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, *arrays: Any, **by_name: Any) -> Any:
        """Run on inputs by position or by name; returns the array of the only output, or a tuple.

        Raises :class:`InputError` on wrong names, number, shapes or dtypes.
        """
        given = bind(self._storage.inputs, arrays, by_name, self.program.name)
        results = self._run(given)
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run on inputs by name; returns outputs by name. For names that Python cannot spell."""
        if not isinstance(inputs, Mapping):
            raise InputError(
                f"run takes a mapping of names to arrays, not {type(inputs).__name__}.",
                where=self.name,
                hint=f"run({{{', '.join(f'{n!r}: …' for n in self._storage.inputs)}}}), or call "
                "the executable itself with arrays in order",
            )
        results = self._run(bind(self._storage.inputs, (), inputs, self.name))
        return dict(zip(self._storage.outputs, results))

    def call(self, arrays: Sequence[np.ndarray | int], out: Sequence[np.ndarray]) -> None:
        """Run on inputs in order and write the outputs, in order, into arrays of the caller.

        On a CPU, inputs are read and outputs written in place where they are C-contiguous and
        64-byte aligned; others are copied in and out. Elsewhere the results are copied into
        ``out``. An input that kernels take as a number (access ``"s"``: an integer of shape ()) may
        be an int. An extent of -1 in the signature may be any, and whoever made the program
        answers for extents that fit together: only its kernels know how they do.

        Raises :class:`InputError` on a wrong number, dtype or shape, on arrays of ``out`` that are
        read-only or overlap others, :class:`DeviceError` as :attr:`runner` does.
        """
        given = bind(self._storage.inputs, arrays, {}, self.name)
        check_out(self._storage.outputs, out, given, self.name)
        with self._lock:
            (self._runner or self.runner).run(given, out)

    def _run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock:
            return (self._runner or self.runner).run(arrays)

    def profile(self, *arrays: Any, repeat: int = 10, **by_name: Any) -> Profile:
        """The time of each kernel call: the median of ``repeat`` runs, after one to warm up.

        Without inputs, floats are random and everything else is zero.
        """
        feed = self._feed(arrays, by_name)
        with self._lock:
            times = self.runner.time(feed, max(1, repeat))
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
        if self._storage.dynamic:
            raise InputError(
                "sizes that are only known per call cannot be made up.",
                where=self.name,
                hint="give the inputs",
            )
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
            f"<Executable {self.name!r} for {self.kind}\n"
            f"  ({ins}) -> ({outs})\n"
            f"  {len(self.program.steps)} kernel calls of {len(self.program.kernels)} kernels\n"
            f"  {self.memory}>"
        )
