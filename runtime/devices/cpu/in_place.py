"""Calls of a program with arrays that its kernels can work on where they lie.

A small kernel takes less time than it takes to look at its arguments. So each is looked at once:
dtype, shape, flags and address, of which also follows what overlaps. Whatever is not as it should
be is left to the careful way, which copies or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...ndarray import ALIGNED, CONTIGUOUS, WRITEABLE, where

if TYPE_CHECKING:
    from .program import CPUProgram

_ARRAY = np.ndarray
_READ, _WRITE = CONTIGUOUS | ALIGNED, CONTIGUOUS | ALIGNED | WRITEABLE


class Row(NamedTuple):
    """An input or output: what its array has to be, whether it is written, its size, and the places
    of its address in the table of arguments."""

    dtype: np.dtype
    shape: tuple[int, ...]
    written: bool
    nbytes: int
    places: tuple[int, ...]


class InPlace:
    """``call(arrays)``: run the program if the arrays of its inputs and outputs, in the order of
    ``rows``, can be worked on in place, and apart from each other; whether they could."""

    __slots__ = ("_pairs", "_places", "_program", "_rows")

    def __init__(self, program: CPUProgram, rows: Sequence[Row]):
        self._program = program
        self._rows = [(r.dtype, r.shape, _WRITE if r.written else _READ) for r in rows]
        self._places = [(k, p) for k, r in enumerate(rows) for p in r.places]
        # What must lie apart: (number, bytes) of what is written and of another one.
        self._pairs = [
            (k, a.nbytes, j, b.nbytes)
            for k, a in enumerate(rows)
            for j, b in enumerate(rows)
            if a.written and (k < j or not b.written) and k != j and a.nbytes and b.nbytes
        ]

    def __call__(self, arrays: Sequence[Any]) -> bool:
        rows = self._rows
        if len(arrays) != len(rows):
            return False
        at: list[int] = []
        for a, (dtype, shape, wanted) in zip(arrays, rows):
            if type(a) is not _ARRAY or a.shape != shape:
                return False
            found = a.dtype  # most often the very object
            if found is not dtype and found != dtype:
                return False
            place, flags = where(a)
            if flags & wanted != wanted:
                return False
            at.append(place)
        for k, size, j, other in self._pairs:
            if at[k] < at[j] + other and at[j] < at[k] + size:
                return False
        program = self._program
        idle = program.idle
        frame = idle.pop() if idle else program.frame()
        try:
            table = frame.entries
            for k, p in self._places:
                table[p] = at[k]
            frame.call()
        finally:
            if not idle:
                idle.append(frame)
        return True
