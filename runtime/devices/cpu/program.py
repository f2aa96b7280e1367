"""Runs programs on the CPU: all their kernel calls are one native call.

Everything that does not change from call to call is prepared once: code is loaded, constants and
the arena are placed, and the arguments of all kernel calls are written into one table of addresses.
A call then writes the addresses of its inputs and outputs into the table and enters native code
once. What a call writes is a :class:`Frame`, which it has for itself: a call from inside of another
one, by a signal handler, a finaliser or a hook, finds that taken and has a frame of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...artifact import IN_PLACE, Program
from ...errors import DeviceError
from ...ndarray import (
    ALIGNMENT,
    address,
    aligned_bytes,
    aligned_copy,
    aligned_empty,
    allocate,
    is_ready,
)
from ...sizes import Values, bits_of, known, size_of
from ...storage import Storage
from ...threads import thread_count
from ..program import target_options
from .cpu import CPUDevice
from .flow import FlowRunner
from .in_place import InPlace, Row


class _Result(NamedTuple):
    """A slot that kernels write and callers own: its bytes, its public shape and dtype (empty where
    only a call knows it), where in the argument tables its address stands, and what that must be a
    multiple of."""

    root: int
    nbytes: int
    shape: tuple[int, ...]
    dtype: np.dtype
    places: list[int]
    alignment: int


class Frame:
    """The memory that a call writes: the arena, copies of inputs, and the ``table`` of arguments of
    all kernel calls, one after the other. ``call`` makes them in order, as one native call."""

    __slots__ = ("arena", "call", "entries", "staging", "steps", "table")

    def __init__(self, program: CPUProgram):
        self.arena, base = allocate(program.program.arena)
        self.table = program.arguments + program.in_arena * base
        # Writing a number through a memoryview is a third of the work.
        self.entries: Any = memoryview(self.table)  # type: ignore[arg-type]
        self.staging: list[tuple[np.ndarray, int] | None] = [None] * len(program.program.inputs)
        tables, position = [], address(self.table)
        for step in program.program.steps:
            tables.append(position)
            position += len(step.args) * self.table.itemsize
        self.steps = CPUDevice.steps(program.kernels, tables)
        if program.program.flow:
            self.call = FlowRunner(program.program, program.storage, self.steps, self.arena)
        else:
            self.call = CPUDevice.runner(self.steps)


class CPUProgram:
    """A program on this machine's processor; a :class:`~weft.runtime.runner.Runner`.

    Inputs that are C-contiguous are read in place wherever they lie, others are copied first;
    arrays given for outputs are written in place on the same condition. (``alignments``: what the
    address of each input has to be a multiple of: its elements' bytes, or 64 where the compiler did
    not say :data:`IN_PLACE`.) An input that a kernel
    takes as a number (access ``"s"``) is read by value, and may be given as a Python number. Where
    an extent is only known per call, so is the memory of an output; tensors of the arena have
    theirs already (``Storage.is_planned``).

    ``idle`` is the frame that no call uses just now, if any.

    Raises :class:`DeviceError` when this machine cannot run the code or has too little memory.
    """

    counts: np.ndarray | None = None
    takes_sizes = True  # a program whose sizes are known only per call, as it is

    def __init__(self, program: Program, codes: Mapping[str, bytes], storage: Storage):
        device = CPUDevice()
        _check_processor(program, device)
        self.program, self.storage = program, storage
        used = {k.code: codes[k.code] for k in program.kernels}
        self._library = device.load(used, [k.name for k in program.kernels], _threads(program))
        self.kernels = [self._library.address(step.kernel) for step in program.steps]
        self._device = device
        self._find_arguments()
        self.idle = [Frame(self)]

    def _find_arguments(self) -> None:
        """``arguments``: the addresses of all arguments that never change, those in the arena
        (``in_arena``: 1) as offsets; and the places of the arguments that a call changes."""
        storage, program = self.storage, self.program
        anywhere = program.meta.get(IN_PLACE, False)
        least = [1 if anywhere else ALIGNMENT] * len(storage.slots)
        for k, r in enumerate(storage.roots):
            least[r] = max(least[r], storage.dtypes[k].bytes)
        self.alignments = [least[k] for k in program.inputs.values()]
        arena = {k: s.offset for k, s in enumerate(storage.slots) if s.kind == "arena"}
        fixed = arena | {k: address(c) for k, c in storage.constants.items()}
        kernels = {k.name: k for k in program.kernels}
        roots = [storage.roots[a] for st in program.steps for a in st.args]
        by_value = (p.access == "s" for st in program.steps for p in kernels[st.kernel].params)
        found: dict[tuple[int, bool], list[int]] = {}
        for place, key in enumerate(zip(roots, by_value)):
            found.setdefault(key, []).append(place)

        def places(k: int, value: bool = False) -> list[int]:
            return found.get((k, value), [])

        inputs = list(enumerate(program.inputs.values()))
        self._in = [(n, p) for n, k in inputs if (p := places(k))]
        self._numbers = [
            (n, storage.dtypes[k].numpy, p) for n, k in inputs if (p := places(k, True))
        ]
        self._sizes = [
            (s.source, places(k, True)) for k, s in enumerate(storage.slots) if s.kind == "size"
        ]
        self._results = [
            _Result(
                k,
                s.nbytes,
                () if k in storage.dynamic else known(s.shape),
                storage.dtypes[k].numpy,
                places(k),
                least[k],
            )
            for k, s in enumerate(storage.slots)
            if s.kind == "output"
        ]
        self._plain = self._own_results()
        self.arguments = np.array([fixed.get(r, 0) for r in roots], np.int64)
        self.in_arena = np.array([r in arena for r in roots], np.int64)

    def _own_results(self) -> list[_Result] | None:
        """The result of each output where every one has its own, as is usual: nothing is left to
        decide for a call. None elsewhere."""
        found = {r.root: r for r in self._results}
        roots = [self.storage.roots[k] for k in self.program.outputs.values()]
        if len(roots) != len(found) or set(roots) != set(found) or self.storage.binder is not None:
            return None
        specs = self.storage.outputs.values()
        return [found[r]._replace(shape=s.shape, dtype=s.dtype.numpy) for r, s in zip(roots, specs)]

    # -- calls ------------------------------------------------------------------------------------

    def run(
        self, arrays: Sequence[np.ndarray | int], out: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """The outputs, new arrays or those of ``out``; see :meth:`Runner.run`.

        Raises :class:`InputError` when an output whose size only the caller knows has no array.
        """
        idle, frame = self.idle, self.frame()
        try:
            if out is not None or self._plain is None:
                return self._run(frame, arrays, out)
            keep, table, results = self._enter(frame, arrays, {}), frame.entries, []
            for _, nbytes, shape, dtype, places, _ in self._plain:
                block, place = allocate(nbytes)
                for p in places:
                    table[p] = place
                results.append(np.ndarray(shape, dtype, block))
            frame.call()
            del keep
            return results
        finally:
            if not idle:
                idle.append(frame)

    def in_place(self, names: Sequence[str]) -> InPlace | None:
        """A call with the arrays of all inputs and outputs, ``names`` in any order; None for a
        program whose sizes or results are decided call by call."""
        inputs, outputs, plain = self.storage.inputs, self.storage.outputs, self._plain
        if plain is None or self.storage.dynamic or self._numbers or inputs.keys() & outputs:
            return None
        rows = {}
        read = dict(self._in)
        for n, (name, spec) in enumerate(inputs.items()):
            nbytes = math.prod(spec.shape) * spec.dtype.bytes
            row = Row(spec.dtype.numpy, spec.shape, False, nbytes, tuple(read.get(n, ())))
            rows[name] = row, self.alignments[n]
        for name, r in zip(outputs, plain):
            rows[name] = Row(r.dtype, r.shape, True, r.nbytes, tuple(r.places)), r.alignment
        if any(
            least > row.dtype.itemsize or row.nbytes != math.prod(row.shape) * row.dtype.itemsize
            for row, least in rows.values()
        ):
            return None
        return InPlace(self, [rows[name][0] for name in names])

    def time(
        self,
        arrays: Sequence[np.ndarray | int],
        repeat: int,
        out: Sequence[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Nanoseconds of each step, one row a run; see :meth:`Runner.time`. ``out`` as in
        :meth:`run`."""
        idle, frame = self.idle, self.frame()
        try:
            values = self._values(arrays, out)
            _keep, _blocks = self._enter(frame, arrays, values), self._blocks(frame, out, values)
            frame.call()
            if isinstance(frame.call, FlowRunner):
                rows = np.array([frame.call.time() for _ in range(repeat)])
                self.counts = frame.call.counts
                return rows
            times = np.zeros((repeat, len(frame.steps) + 1), np.int64)
            for row in times:
                self._device.run(frame.steps, row)
            return np.diff(times, axis=1)
        finally:
            if not idle:
                idle.append(frame)

    def frame(self) -> Frame:
        """One that no call uses, which goes back to ``idle``."""
        return self.idle.pop() if self.idle else Frame(self)

    def close(self) -> None:
        """Nothing to do: code and memory go with this object."""

    def _values(self, arrays: Sequence[Any], out: Sequence[Any] | None) -> Values:
        """The value of each size variable in this call."""
        binder = self.storage.binder
        return self.storage.values if binder is None else binder.values(arrays, out)

    def _enter(self, frame: Frame, arrays: Sequence[Any], values: Values) -> list[np.ndarray]:
        """Write the addresses of this call's inputs into the table. What is given back, and the
        arrays, must live until the native call is over."""
        keep, table = [], frame.entries
        for k, places in self._in:
            array = arrays[k]
            place = address(array)
            if place % self.alignments[k] or not array.flags.c_contiguous:
                array, place = self._stage(frame, k, array)
                keep.append(array)
            for p in places:
                table[p] = place
        for k, dtype, places in self._numbers:
            value = bits_of(arrays[k], dtype)
            for p in places:
                table[p] = value
        for name, places in self._sizes:
            for p in places:
                table[p] = values[name]
        return keep

    def _stage(self, frame: Frame, k: int, array: np.ndarray) -> tuple[np.ndarray, int]:
        """An aligned copy of input ``k``, and its address."""
        spec = list(self.storage.inputs.values())[k]
        if spec.shape != array.shape:  # known per call: nothing to keep for the next one
            copy = aligned_copy(array)
            return copy, address(copy)
        kept = frame.staging[k]
        if kept is None:
            made = aligned_empty(spec.shape, spec.dtype)
            kept = frame.staging[k] = made, address(made)
        np.copyto(kept[0], array)
        return kept

    # -- outputs that are given, shared, or elsewhere ---------------------------------------------

    def _run(
        self,
        frame: Frame,
        arrays: Sequence[np.ndarray | int],
        out: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        values = self._values(arrays, out)
        keep, blocks = self._enter(frame, arrays, values), self._blocks(frame, out, values)
        frame.call()
        del keep
        given = dict(zip(self.program.inputs.values(), arrays))
        free, outputs = set(blocks), []
        for n, k in enumerate(self.program.outputs.values()):
            root = self.storage.roots[k]
            found = self._found(frame, k, given, blocks)
            if out is None:
                # The first that lies in a result block is that block.
                outputs.append(found if root in free else aligned_copy(found))
                free.discard(root)
                continue
            if blocks.get(root) is not out[n]:
                out[n][...] = found
            outputs.append(out[n])
        return outputs

    def _blocks(
        self, frame: Frame, out: Sequence[np.ndarray] | None, values: Values
    ) -> dict[int, np.ndarray]:
        """The memory of each result, its address in the table: an array of ``out`` that kernels may
        write in place, or what is copied into it after the call."""
        offered: dict[int, np.ndarray] = {}
        for k, array in zip(self.program.outputs.values(), out or ()):
            root = self.storage.roots[k]
            if k == root or array.nbytes == self.program.slots[root].nbytes:
                offered.setdefault(root, array)
        blocks: dict[int, np.ndarray] = {}
        for root, nbytes, _, _, places, alignment in self._results:
            block = offered.get(root)
            if root in self.storage.dynamic:
                if block is None:
                    made = tuple(size_of(n, values) for n in self.program.slots[root].shape)
                    block = aligned_empty(made, self.storage.dtypes[root])
                block = block if is_ready(block, alignment) else aligned_copy(block)
            elif block is None or not is_ready(block, alignment):
                block = aligned_bytes(nbytes)
            blocks[root], place = block, address(block)
            for p in places:
                frame.entries[p] = place
        return blocks

    def _found(
        self,
        frame: Frame,
        k: int,
        given: Mapping[int, Any],
        blocks: Mapping[int, np.ndarray],
    ) -> np.ndarray:
        """The elements of slot ``k`` after a call, wherever they lie."""
        slot, root, dtype = self.program.slots[k], self.storage.roots[k], self.storage.dtypes[k]
        owner = self.program.slots[root]
        if root in blocks:
            data = blocks[root]
        elif root in self.storage.constants:
            data = self.storage.constants[root]
        elif root in given:
            data = np.asarray(given[root], self.storage.dtypes[root].numpy)
        else:
            data = frame.arena[owner.offset : owner.offset + owner.nbytes]
        if k in self.storage.dynamic:
            return data
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        return flat[: slot.nbytes].view(dtype.numpy).reshape(known(slot.shape))


def _threads(program: Program) -> int:
    """How many threads the program was compiled for at most; 0: any number."""
    text = target_options(program.target).get("num_threads", "0")
    return 0 if text == "0" else thread_count(int(text) if text.isdecimal() else text, program.name)


def _check_processor(program: Program, device: CPUDevice) -> None:
    """Refuse code for processor features that this machine lacks, instead of dying of it."""
    options = target_options(program.target)
    if not device.is_of(options.get("mtriple", "")):
        return  # what loads the code says that it is for another processor
    missing = device.missing_features(options.get("mattr", ""))
    if missing:
        raise DeviceError(
            f"{program.name} was compiled for a processor with {', '.join(missing)}, which this "
            "one does not have.",
            hint="compile it for this machine, or for a common one: llvm -mcpu=x86-64-v3",
        )


__all__ = ["CPUProgram"]
