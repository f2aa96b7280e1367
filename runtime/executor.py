"""A compiled program, ready to run.

It checks what it is given, and hands it to the runner that the table of devices has for its target.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from . import forks, package
from .artifact import Program
from .crops import crop, numbers_of
from .devices.table import runner_of
from .errors import ClosedError, InputError, PackageError, WeftError
from .foreign import ForeignCalls
from .guard import guarded, retold
from .inputs import TensorSpec, bind, check_out
from .labels import labels_of
from .ndarray import aligned, aligned_empty
from .profile import Benchmark, Profile, ProfileRow
from .runner import Runner, RunnerFactory
from .sized import Sized, takes_sizes
from .storage import MemoryReport, Storage
from .uncopied import Uncopied

__all__ = ["Executable", "TensorSpec", "load", "opened"]


@guarded
def load(path: str | os.PathLike[str]) -> Executable:
    """The executable in a package that :meth:`Executable.save` wrote.

    **A package is code.** One for a processor holds machine code that runs in this process with all
    of its rights, others hold programs for drivers: load only packages whose origin you trust. All
    parts are checked for damage (hashes, sizes, the object files, the memory plan), which tells
    nothing about what the code does.

    Raises :class:`PackageError` when the file is damaged, foreign or of another version, and
    :class:`DeviceError` when this machine cannot run its code.
    """
    return opened(path).prepare()


@guarded
def opened(path: str | os.PathLike[str]) -> Executable:
    """As :func:`load`, for who may run it elsewhere: its code is not loaded here yet."""
    p = package.load(path)
    return Executable(p.program, p.codes, p.params)


class Executable(Uncopied):
    """A compiled model, ready to run.

    Safe to call from several threads: calls on one executable run one after another, since they
    share its arena. Inputs that are C-contiguous are read in place, others are copied first.
    Outputs are new arrays that the caller owns. A call from inside of a call, by
    a signal handler, a finaliser or a hook of the same thread, has memory of its own on a processor
    and is a :class:`DeviceError` elsewhere. In a fork, programs of processors can be called,
    whatever other threads were doing; those of other devices say that they cannot.

    Inputs are given alike to all that runs it: arrays by position, by name, or one mapping of names
    to arrays, for names that Python cannot spell.

    Code, constants and memory go with the last name of the executable, at :meth:`close`, or at the
    end of a ``with`` block; what uses them then raises :class:`ClosedError`.
    """

    reason = "holds machine code and memory of its process"
    instead = "save it, and weft.runtime.load the package there; threads may share an executable"

    def __init__(
        self,
        program: Program,
        codes: Mapping[str, bytes],
        params: Mapping[str, np.ndarray],
        foreign: ForeignCalls | None = None,
        make: RunnerFactory | None = None,
    ):
        self.program, self._make = program, make
        # Aligned once, for kernels to read and for packages: what was copied is not held, too.
        self._codes, self._params = dict(codes), {k: aligned(v) for k, v in params.items()}
        self._storage = Storage(program, self._params)
        self._foreign = foreign
        self._lock = forks.renewed(self, "_lock") if foreign is None else foreign
        self._runner: Runner | None = None
        self._in_place: dict[tuple[str, ...], Callable[[Sequence[Any]], bool] | None] = {}
        self._closed = False
        self._numbers = numbers_of(program.cropped)

    def at(self, make: RunnerFactory) -> Executable:
        """The same program, run by runners of ``make``; it shares the code and the constants.

        Raises :class:`PackageError` as :meth:`save` does."""
        return Executable(self.program, self.codes, self._params, None, make)

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
        """Name, dtype and shape of each output, in order. Where only data knows how long one is,
        the shape is its bound, and ``bounded`` names the axes."""
        hidden = self._numbers
        specs = self._storage.outputs
        return MappingProxyType({k: s for k, s in specs.items() if k not in hidden})

    @property
    def labels(self) -> Mapping[str, tuple[str | int, ...]]:
        """What the numbers of some outputs stand for: the labels of classes.

        An output that is of strings in the model holds indices (int64) of them; one that is a
        sequence of maps is a tensor, whose columns they name. Other outputs are not listed.
        """
        return labels_of(self.program)

    @property
    def codes(self) -> Mapping[str, bytes]:
        """The code objects of the program by name. Raises :class:`PackageError` as :meth:`save`
        does."""
        self._check_open()
        self._check_movable()
        return MappingProxyType(self._codes)

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        """The constants of the program by name."""
        self._check_open()
        return MappingProxyType(self._params)

    @property
    def memory(self) -> MemoryReport:
        """Bytes of arena, constants, inputs and outputs."""
        return self._storage.report()

    @guarded
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
            self._check_open()
            if self._runner is None:
                make = self._make or runner_of(self.kind, self.name)
                if self._storage.binder is not None and not takes_sizes(make, self._storage):
                    make = Sized.of(make, self._params)
                self._runner = make(self.program, self._codes, self._storage)
            return self._runner

    def close(self) -> None:
        """Give code, constants and memory back, the device's, too, after the call that another
        thread is in. Name, signature and sizes stay known. Closing it again does nothing."""
        with self._lock:
            runner, self._runner = self._runner, None
            self._closed = True
            self._in_place = {}
            # A call that was interrupted for this (by a signal) goes on with what its runner holds.
            self._codes, self._params, self._storage = {}, {}, self._storage.without_constants()
            if runner is not None:
                runner.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(
                "the executable was closed.", where=self.name, hint="load or compile it again"
            )

    def _check_movable(self) -> None:
        if self._foreign is not None:
            raise PackageError(
                "its code calls functions of this process, by their addresses.",
                where=self.name,
                hint="export it with the C functions as symbols: kernel.export('kernel.o')",
            )

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, /, *arrays: Any, **by_name: Any) -> Any:
        """Run on inputs; returns the array of the only output, or a tuple.

        Raises :class:`InputError` on wrong names, number, shapes or dtypes.
        """
        try:
            given = bind(self._storage.inputs, arrays, by_name, self.program.name)
            self._check_sizes(given, None)
            with self._lock:
                results = (self._runner or self.runner).run(given)
            if self._numbers:
                results = list(self.cropped(results).values())
        except WeftError:
            raise
        except Exception as e:
            retold(e)
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, /, *arrays: Any, **by_name: Any) -> dict[str, np.ndarray]:
        """Run on inputs; returns outputs by name.

        Raises :class:`InputError` on wrong names, number, shapes or dtypes.
        """
        try:
            given = bind(self._storage.inputs, arrays, by_name, self.name)
            self._check_sizes(given, None)
            results = self.run_checked(given)
        except WeftError:
            raise
        except Exception as e:
            retold(e)
        return self.cropped(results)

    def cropped(self, results: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The results by name, each of its true size, out of what a runner gives: all outputs of
        the program, at their bounds."""
        outputs = dict(zip(self._storage.outputs, results))
        return crop(self.program.cropped, outputs) if self._numbers else outputs

    def call(
        self,
        arrays: Sequence[np.ndarray | int] | Mapping[str, np.ndarray | int],
        out: Sequence[np.ndarray],
    ) -> None:
        """Run on inputs in order, or by name in a mapping, and write the outputs, in order, into
        arrays of the caller.

        On a CPU, inputs are read and outputs written in place where they are C-contiguous; others
        are copied in and out. Elsewhere the results are copied into
        ``out``. An input that kernels take as a number (access ``"s"``, of shape ()) may be a
        Python number. Where extents are known only per call, those of all arrays must fit together.

        Raises :class:`InputError` on a wrong number, dtype or shape, on arrays of ``out`` that are
        read-only or overlap others, :class:`DeviceError` as :attr:`runner` does.
        """
        try:
            if self._numbers:
                raise InputError(
                    "only data knows how long its outputs are, so they cannot be written to arrays "
                    "of the caller.",
                    where=self.name,
                    hint="take new arrays: results = exe.run(inputs)",
                )
            if not isinstance(arrays, Mapping):
                names = (*self._storage.inputs, *self._storage.outputs)
                if self.run_in_place((*arrays, *out), names):
                    return
            positional = (arrays,) if isinstance(arrays, Mapping) else arrays
            given = bind(self._storage.inputs, positional, {}, self.name)
            check_out(self._storage.outputs, out, given, self.name)
            self._check_sizes(given, out)
            self.run_checked(given, out)
        except WeftError:
            raise
        except Exception as e:
            retold(e)

    def run_checked(
        self, arrays: Sequence[Any], out: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """As :meth:`call`, for who has checked what it gives; the outputs, new arrays without
        ``out``. Raises :class:`DeviceError` as :attr:`runner` does."""
        with self._lock:
            return (self._runner or self.runner).run(arrays, out)

    def run_in_place(self, arrays: Sequence[Any], names: tuple[str, ...]) -> bool:
        """Run on the arrays of all inputs and outputs, ``names`` in that order, if the device can
        work on them where they lie, and tell whether it did: a small kernel takes less time than it
        takes to look at arrays twice. Nothing was done where not, and :meth:`call` says why."""
        with self._lock:
            try:
                run = self._in_place[names]
            except KeyError:
                if self._runner is None:
                    return False
                make = getattr(self._runner, "in_place", None)
                run = self._in_place[names] = make(names) if make is not None else None
            return run is not None and run(arrays)

    def _check_sizes(self, arrays: Sequence[Any], out: Sequence[Any] | None) -> None:
        if self._storage.binder is not None:
            self._storage.binder.bind(arrays, out)

    @guarded
    def profile(self, /, *arrays: Any, repeat: int = 10, **by_name: Any) -> Profile:
        """The time of each kernel call: the median of ``repeat`` runs, after one to warm up. What
        loops call again counts again.

        Without inputs, floats are random and everything else is zero. An input that is called as a
        parameter of this method is given by position or in a mapping.
        """
        feed = self.feed(arrays, by_name)
        with self._lock:
            times = self.runner.time(feed, max(1, repeat))
            counts = getattr(self.runner, "counts", None)
        median = np.median(times, axis=0) * 1e-6
        if counts is None:
            counts = np.ones(median.size, np.int64)
        rows = tuple(
            ProfileRow(step.label, step.kernel, float(ms), int(n))
            for step, ms, n in zip(self.program.steps, median, counts, strict=True)
        )
        return Profile(self.name, rows)

    @guarded
    def benchmark(
        self, /, *arrays: Any, repeat: int = 10, number: int = 1, **by_name: Any
    ) -> Benchmark:
        """Times of whole calls: ``repeat`` measurements of ``number`` calls each, after one that
        does not count. Inputs as in :meth:`profile`."""
        feed = self.feed(arrays, by_name)
        self.run_checked(feed)
        times = []
        for _ in range(max(1, repeat)):
            begin = time.perf_counter()
            for _ in range(max(1, number)):
                self.run_checked(feed)
            times.append((time.perf_counter() - begin) * 1e3 / max(1, number))
        return Benchmark(tuple(times))

    def feed(self, arrays: Sequence[Any], by_name: Mapping[str, Any]) -> list[np.ndarray]:
        """Inputs to measure with, in order: those given, else made up as :meth:`profile` says."""
        if arrays or by_name:
            given = bind(self._storage.inputs, arrays, by_name, self.name)
            self._check_sizes(given, None)
            return given
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

    @guarded
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a package that :func:`weft.runtime.load` reads; it needs no compiler to run.

        Raises :class:`PackageError` for code that calls functions of this process
        (``te.call_c``, ``te.call_python``), and when the file cannot be written."""
        self._check_open()
        self._check_movable()
        package.save(path, self.program, self._codes, self._params)

    def packed(self) -> bytes:
        """The package as bytes, for another process; errors as :meth:`save`."""
        self._check_open()
        self._check_movable()
        return package.packed(self.program, self._codes, self._params)

    @classmethod
    def unpacked(cls, data: bytes, where: str) -> Executable:
        """The executable of a package's bytes, not prepared yet; ``where`` is for errors, which
        are those of :func:`load`, as is the warning."""
        p = package.unpacked(data, where)
        return cls(p.program, p.codes, p.params)

    def __repr__(self) -> str:
        ins = ", ".join(map(str, self.inputs.values()))
        outs = ", ".join(map(str, self.outputs.values()))
        return (
            f"<Executable {self.name!r} for {self.kind}\n"
            f"  ({ins}) -> ({outs})\n"
            f"  {len(self.program.steps)} kernel calls of {len(self.program.kernels)} kernels\n"
            f"  {self.memory}>"
        )
