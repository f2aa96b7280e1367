"""Functions outside of weft that statements call: C's by their symbol, Python's by a callback."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..runtime.dtype import DType
from ..runtime.errors import CodegenError
from ..runtime.foreign import ForeignCalls

# The types of values: what C calls them, and how ctypes gives them.
C_TYPES: dict[str, tuple[str, Any]] = {
    "int32": ("int32_t", ctypes.c_int32),
    "int64": ("int64_t", ctypes.c_int64),
    "float32": ("float", ctypes.c_float),
    "float64": ("double", ctypes.c_double),
}


@dataclass(frozen=True, eq=False)
class Foreign:
    """A function that gets addresses of buffers and numbers, and answers nothing that is used."""

    name: str

    def __str__(self) -> str:
        return self.name

    def bind(self, calls: ForeignCalls) -> int:
        """Its address in this process, valid as long as ``calls`` are. Raises CodegenError where it
        is not to be had."""
        raise NotImplementedError

    def call(self, args: Sequence[np.ndarray | int | float], types: Sequence[str]) -> None:
        """Call it with arrays, whose memory it gets, and with numbers, of ``types``."""
        calls = ForeignCalls()
        kinds = [ctypes.c_void_p if isinstance(a, np.ndarray) else C_TYPES[t][1]
                 for a, t in zip(args, types)]  # fmt: skip
        function = ctypes.CFUNCTYPE(None, *kinds)(self.bind(calls))
        with calls:
            function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in args))


@dataclass(frozen=True, eq=False)
class CFunction(Foreign):
    """The function of a symbol, in the shared library at a path, or in all that this process has
    loaded."""

    library: str | None = None

    def bind(self, calls: ForeignCalls) -> int:
        place = f"the library {self.library}" if self.library else "what this process has loaded"
        try:
            library = ctypes.CDLL(self.library)
            found = ctypes.cast(library[self.name], ctypes.c_void_p).value
        except (OSError, AttributeError) as e:
            raise CodegenError(
                f"there is no C function {self.name!r} in {place}: {e}.",
                hint="name its shared library: te.call_c(symbol, …, library=path); an exported "
                "object leaves it to the linker",
            ) from None
        assert found is not None
        calls.alive.append(library)
        return found


@dataclass(frozen=True, eq=False)
class PythonFunction(Foreign):
    """A function of arrays. To machine code it is one that gets, for each array, its address and
    then its extents as int64; ``arrays`` are their types, their ranks, and whether it may write
    them."""

    function: Callable[..., object]
    arrays: tuple[tuple[DType, int, bool], ...]

    def bind(self, calls: ForeignCalls) -> int:
        kinds: list[Any] = []
        for _, rank, _ in self.arrays:
            kinds += [ctypes.c_void_p, *[ctypes.c_int64] * rank]
        callback = ctypes.CFUNCTYPE(None, *kinds)(calls.kept(self._on_memory))
        calls.alive.append(callback)
        address = ctypes.cast(callback, ctypes.c_void_p).value
        assert address is not None
        return address

    def _on_memory(self, *words: int | None) -> None:
        made, at = [], 0
        for d, rank, writable in self.arrays:
            shape = tuple(n or 0 for n in words[at + 1 : at + 1 + rank])
            nbytes = math.prod(shape) * d.numpy.itemsize
            memory = (ctypes.c_char * max(1, nbytes)).from_address(words[at] or 0)
            array = np.ndarray(shape, d.numpy, memoryview(memory))
            array.flags.writeable = writable
            made.append(array)
            at += 1 + rank
        self.function(*made)
