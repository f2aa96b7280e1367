"""Runs programs on the CPU: all their kernel calls are one native call.

Everything that does not change from call to call is prepared once: code is loaded, constants and
the arena are placed, and the arguments of all kernel calls are written into one table of addresses.
A call then writes the addresses of its inputs and outputs into the table and enters native code
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...artifact import Program
from ...errors import DeviceError, InputError
from ...ndarray import (
    ALIGNMENT,
    address,
    aligned,
    aligned_bytes,
    aligned_copy,
    aligned_empty,
    allocate,
    is_ready,
)
from ...storage import Storage
from .cpu import CPUDevice


class _Result(NamedTuple):
    """A slot that kernels write and callers own: its bytes, its public shape and dtype, and where
    in the argument tables its address stands."""

    root: int
    nbytes: int
    shape: tuple[int, ...]
    dtype: np.dtype
    places: list[int]


class CPUProgram:
    """A program on this machine's processor; a :class:`~weft.runtime.runner.Runner`.

    Inputs that are C-contiguous and 64-byte aligned are read in place, others are copied first;
    arrays given for outputs are written in place on the same condition. An input that a kernel
    takes as a number (access ``"s"``) is read by value, and may be given as an int. Where a slot's
    extents are only known per call (-1), memory is what the caller brings: an output of that kind
    needs an array in ``out``.

    Raises :class:`DeviceError` when this machine cannot run the code or has too little memory.
    """

    def __init__(self, program: Program, codes: Mapping[str, bytes], storage: Storage):
        device = CPUDevice()
        _check_processor(program, device)
        self.program, self.storage = program, storage
        self._arena, base = allocate(program.arena)
        used = {k.code: codes[k.code] for k in program.kernels}
        self._library = device.load(used, [k.name for k in program.kernels])
        self.table = self._constant_addresses(base)
        # Writing a number through a memoryview is a third of the work.
        self._entries: Any = memoryview(self.table)  # type: ignore[arg-type]
        addresses, tables, position = [], [], address(self.table)
        for step in program.steps:
            addresses.append(self._library.address(step.kernel))
            tables.append(position)
            position += len(step.args) * self.table.itemsize
        self._device, self._steps = device, device.steps(addresses, tables)
        self._call = device.runner(self._steps)  # all calls in order, as one native call

    def _constant_addresses(self, arena: int) -> np.ndarray:
        """The table of the arguments of all calls, one after the other, with the addresses that
        never change; and the places in it of those that do."""
        storage, program = self.storage, self.program
        fixed = {k: address(c) for k, c in storage.constants.items()}
        fixed |= {k: arena + s.offset for k, s in enumerate(storage.slots) if s.kind == "arena"}
        kernels = {k.name: k for k in program.kernels}
        roots = np.array([storage.roots[a] for st in program.steps for a in st.args], np.int64)
        by_value = np.array(
            [p.access == "s" for st in program.steps for p in kernels[st.kernel].params], bool
        )

        def places(k: int, value: bool = False) -> list[int]:
            return np.flatnonzero((roots == k) & (by_value == value)).tolist()

        inputs = list(enumerate(program.inputs.values()))
        self._in = [(n, p) for n, k in inputs if (p := places(k))]
        self._numbers = [(n, p) for n, k in inputs if (p := places(k, True))]
        self._staging: list[tuple[np.ndarray, int] | None] = [None] * len(inputs)
        self._results = [
            _Result(k, s.nbytes, s.shape, storage.dtypes[k].numpy, places(k))
            for k, s in enumerate(storage.slots)
            if s.kind == "output"
        ]
        self._plain = self._own_results()
        return np.array([fixed.get(int(r), 0) for r in roots], np.int64)

    def _own_results(self) -> list[_Result] | None:
        """The result of each output where every one has its own, as is usual: nothing is left to
        decide for a call. None elsewhere."""
        found = {r.root: r for r in self._results}
        roots = [self.storage.roots[k] for k in self.program.outputs.values()]
        if (
            len(roots) != len(found)
            or set(roots) != set(found)
            or self.storage.dynamic & set(found)
        ):
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
        if out is not None or self._plain is None:
            return self._run(arrays, out)
        keep, table, results = self._enter(arrays), self._entries, []
        for _, nbytes, shape, dtype, places in self._plain:
            block, place = allocate(nbytes)
            for p in places:
                table[p] = place
            results.append(np.ndarray(shape, dtype, block))
        self._call()
        del keep
        return results

    def time(self, arrays: Sequence[np.ndarray | int], repeat: int) -> np.ndarray:
        """Nanoseconds of each step, one row a run; a run before them does not count."""
        _keep, _blocks = self._enter(arrays), self._blocks(None)
        self._call()
        times = np.zeros((repeat, len(self._steps) + 1), np.int64)
        for row in times:
            self._device.run(self._steps, row)
        return np.diff(times, axis=1)

    def close(self) -> None:
        """Nothing to do: code and memory go with this object."""

    def _enter(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Write the addresses of this call's inputs into the table. What is given back, and the
        arrays, must live until the native call is over."""
        keep, table = [], self._entries
        for k, places in self._in:
            array = arrays[k]
            place = address(array)
            if place % ALIGNMENT or not array.flags.c_contiguous:
                array, place = self._stage(k, array)
                keep.append(array)
            for p in places:
                table[p] = place
        for k, places in self._numbers:
            value = int(arrays[k])
            for p in places:
                table[p] = value
        return keep

    def _stage(self, k: int, array: np.ndarray) -> tuple[np.ndarray, int]:
        """An aligned copy of input ``k``, and its address."""
        spec = list(self.storage.inputs.values())[k]
        if spec.shape != array.shape:  # known per call: nothing to keep for the next one
            copy = aligned(array)
            return copy, address(copy)
        kept = self._staging[k]
        if kept is None:
            made = aligned_empty(spec.shape, spec.dtype)
            kept = self._staging[k] = made, address(made)
        np.copyto(kept[0], array)
        return kept

    # -- outputs that are given, shared, or elsewhere ---------------------------------------------

    def _run(
        self, arrays: Sequence[np.ndarray | int], out: Sequence[np.ndarray] | None
    ) -> list[np.ndarray]:
        keep, blocks = self._enter(arrays), self._blocks(out)
        self._call()
        del keep
        given = dict(zip(self.program.inputs.values(), arrays))
        free, outputs = set(blocks), []
        for n, k in enumerate(self.program.outputs.values()):
            root = self.storage.roots[k]
            found = self._found(k, given, blocks)
            if out is None:
                # The first that lies in a result block is that block.
                outputs.append(found if root in free else aligned_copy(found))
                free.discard(root)
                continue
            if blocks.get(root) is not out[n]:
                out[n][...] = found
            outputs.append(out[n])
        return outputs

    def _blocks(self, out: Sequence[np.ndarray] | None) -> dict[int, np.ndarray]:
        """The memory of each result, its address in the table: an array of ``out`` that kernels may
        write in place, or what is copied into it after the call."""
        offered: dict[int, np.ndarray] = {}
        for k, array in zip(self.program.outputs.values(), out or ()):
            root = self.storage.roots[k]
            if k == root or array.nbytes == self.program.slots[root].nbytes:
                offered.setdefault(root, array)
        blocks: dict[int, np.ndarray] = {}
        for root, nbytes, _, _, places in self._results:
            block = offered.get(root)
            if root in self.storage.dynamic:
                if block is None:
                    raise InputError(
                        f"the size of {self.program.slots[root].name!r} is only known per call: "
                        "it needs an array that it is written to.",
                        where=self.program.name,
                        hint="exe.call(inputs, out=[…])",
                    )
                block = aligned(block)
            elif block is None or not is_ready(block):
                block = aligned_bytes(nbytes)
            blocks[root], place = block, address(block)
            for p in places:
                self._entries[p] = place
        return blocks

    def _found(
        self, k: int, given: Mapping[int, Any], blocks: Mapping[int, np.ndarray]
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
            data = self._arena[owner.offset : owner.offset + owner.nbytes]
        if k in self.storage.dynamic:
            return data
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        return flat[: slot.nbytes].view(dtype.numpy).reshape(slot.shape)


def _check_processor(program: Program, device: CPUDevice) -> None:
    """Refuse code for processor features that this machine lacks, instead of dying of it."""
    options = dict(w.split("=", 1) for w in program.target.split() if w.startswith("-m"))
    if not device.is_of(options.get("-mtriple", "")):
        return  # what loads the code says that it is for another processor
    missing = device.missing_features(options.get("-mattr", ""))
    if missing:
        raise DeviceError(
            f"{program.name} was compiled for a processor with {', '.join(missing)}, which this "
            "one does not have.",
            hint="compile it for this machine, or for a common one: llvm -mcpu=x86-64-v3",
        )


__all__ = ["CPUProgram"]
