"""Libraries of exported kernels, loaded and called from Python: ``weft.load_library``.

A library is what ``weft.export`` writes as ``.so``: functions of C, and a description of them in
its data. Only the runtime is needed to call them, no compiler.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from .dtype import DType, dtype_of
from .errors import ExportError, InputError, WeftError
from .guard import guarded
from .ndarray import host_array
from .sizes import Size, bits_of, read_size, size_of, size_text
from .uncopied import Uncopied

VERSION = 1
_SYMBOL = "weft_library"
_MOST = 1 << 24  # bytes of a description
_SCALARS = {"float32": ctypes.c_float, "float64": ctypes.c_double, "bool": ctypes.c_uint8}


@dataclass(frozen=True)
class LibraryArgument:
    """A parameter of a function: an array, or where ``shape`` is None a number. Extents may be
    sizes of parameters that are numbers (:mod:`weft.runtime.sizes`)."""

    name: str
    dtype: DType
    shape: tuple[Size, ...] | None
    written: bool

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name}: {self.dtype}"
        return f"{self.name}: {self.dtype}[{', '.join(map(size_text, self.shape))}]"


class LibraryFunction(Uncopied):
    """One function of a library. Call it with arrays and numbers in order; what it writes are
    arrays of the caller."""

    reason = "is code of this process"
    instead = "load the library there"

    def __init__(self, library: Library, name: str, arguments: Sequence[LibraryArgument]):
        self.library, self.name, self.arguments = library, name, tuple(arguments)
        self._call = getattr(library._handle, name)
        self._call.restype = ctypes.c_int32
        self._call.argtypes = [_c_type(a) for a in arguments]

    def __call__(self, *values: Any) -> None:
        """Run. Arrays are numpy's or what gives one without a copy (DLPack, ``__array__``), of the
        dtypes and shapes that :attr:`arguments` says, C-contiguous. Numbers at the end that are the
        extent of an array may be left out.

        Raises :class:`InputError` for anything else.
        """
        given = [self._given(a, v) for a, v in zip(self.arguments, values)]
        given += self._left_out(given)
        if not len(values) <= len(given) == len(self.arguments):
            raise self._wrong(f"{len(values)} arguments for {len(self.arguments)} parameters")
        self._check_sizes(given)
        arrays = [(a, g) for a, g in zip(self.arguments, given) if isinstance(g, np.ndarray)]
        for k, (a, one) in enumerate(arrays):
            for j, (_, other) in enumerate(arrays):
                if a.written and j != k and np.may_share_memory(one, other):
                    raise self._wrong(f"the array of {a.name}, which is written, overlaps another")
        words = [g.ctypes.data if isinstance(g, np.ndarray) else g for g in given]
        state = self._call(*words)
        if state:
            raise InputError(f"it answered {state}.", where=self.name)

    def _left_out(self, given: Sequence[Any]) -> list[int]:
        """The sizes at the end that arrays say, as far as they do."""
        arrays = [(a, g) for a, g in zip(self.arguments, given) if isinstance(g, np.ndarray)]
        found = {n: m for a, g in arrays for n, m in zip(a.shape or (), g.shape)}
        made: list[int] = []
        for a in self.arguments[len(given) :]:
            if a.shape is not None or a.name not in found:
                break
            made.append(found[a.name])
        return made

    def _check_sizes(self, given: Sequence[Any]) -> None:
        numbers = {a.name: g for a, g in zip(self.arguments, given) if isinstance(g, int)}
        for a, g in zip(self.arguments, given):
            for axis, size in enumerate(a.shape or ()):
                if g.shape[axis] != size_of(size, numbers):
                    known = "" if isinstance(size, int) else f" ({size_text(size)}, {numbers})"
                    want = f"not {size_of(size, numbers)}{known}"
                    raise self._wrong(
                        f"axis {axis} of {a.name} has {g.shape[axis]} elements, {want}"
                    )

    def _given(self, a: LibraryArgument, value: Any) -> Any:
        if a.shape is None:
            return self._number(a, value)
        array = host_array(value)
        if array is None:
            raise self._wrong(f"{a.name} is {type(value).__name__}, not an array")
        if array.dtype != a.dtype.numpy or array.ndim != len(a.shape):
            raise self._wrong(f"{a.name} is {array.dtype}{list(array.shape)}")
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise self._wrong(f"{a.name} has gaps, or does not begin where an element may")
        if a.written and not array.flags.writeable:
            raise self._wrong(f"{a.name} is written and its array is read-only")
        return array

    def _number(self, a: LibraryArgument, value: Any) -> Any:
        try:
            number = a.dtype.numpy.type(value)
            fits = bool(number == value) or a.dtype.is_float
        except (TypeError, ValueError, OverflowError):
            fits, number = False, None
        if not fits or isinstance(value, np.ndarray) or number is None:
            raise self._wrong(f"{a.name} is {value!r}")
        return number.item() if _by_value(a) else bits_of(number, a.dtype.numpy)

    def _wrong(self, message: str) -> InputError:
        parameters = ", ".join(map(str, self.arguments))
        return InputError(f"{message}.\n  parameters: {parameters}", where=self.name)

    def __repr__(self) -> str:
        return f"<LibraryFunction {self.name}({', '.join(map(str, self.arguments))})>"


class Library(Uncopied):
    """A loaded library: its ``functions`` by name are attributes, too.

    >>> library = weft.load_library("kernels.so")       # doctest: +SKIP
    >>> library.add(a, b, out)                          # doctest: +SKIP
    """

    reason = "is code of this process"
    instead = "load the library there"

    def __init__(self, path: str, handle: ctypes.CDLL, said: Mapping[str, Any]):
        self.path, self._handle, self.target = path, handle, str(said["target"])
        self._threads = getattr(handle, str(said["threads"]))
        self._threads.argtypes, self._threads.restype = [ctypes.c_int32], ctypes.c_int32
        made: dict[str, LibraryFunction] = {}
        for f in said["functions"]:
            name = str(f["name"])
            made[name] = LibraryFunction(self, name, list(map(_argument, f["arguments"])))
        self.functions: Mapping[str, LibraryFunction] = MappingProxyType(made)

    def __getattr__(self, name: str) -> LibraryFunction:
        functions = vars(self).get("functions", {})
        if name not in functions:
            raise AttributeError(f"{vars(self).get('path')} has no function {name!r}")
        return functions[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.functions})

    def set_num_threads(self, n: int) -> int:
        """Have ``n`` threads run its parallel loops; returns how many the system gave."""
        if not isinstance(n, int) or not 1 <= n <= 1024:
            raise InputError(f"{n!r} is no number of threads from 1 to 1024.", where=self.path)
        return self._threads(n)

    def __repr__(self) -> str:
        return f"<Library {self.path}: {', '.join(self.functions)}>"


@guarded
def load_library(path: str | os.PathLike[str]) -> Library:
    """The functions of a shared library that ``weft.export`` wrote.

    It is machine code: load only what you trust.

    Raises :class:`ExportError` for a file that cannot be loaded here or is none of weft's.
    """
    name = os.path.abspath(os.fspath(path))
    try:
        handle = ctypes.CDLL(name)
    except OSError as e:
        raise ExportError(
            f"the library cannot be loaded: {e}.", where=name, hint="check path and processor"
        ) from None
    try:
        symbol = ctypes.c_char.in_dll(handle, _SYMBOL)
    except ValueError:
        raise ExportError(
            "this library was not written by weft.export.", where=name, hint="use ctypes.CDLL"
        ) from None
    text = ctypes.string_at(ctypes.addressof(symbol))
    try:
        said = json.loads(text) if len(text) < _MOST else {}
        if said["format"] != "weft-library" or said["version"] != VERSION:
            raise ValueError(f"version {said.get('version')}")
        return Library(name, handle, said)
    except (KeyError, TypeError, ValueError, AttributeError, WeftError) as e:
        raise ExportError(
            f"the library's description is not what this weft reads: {e}.",
            where=name,
            hint="export the kernels again",
        ) from None


def _argument(said: Mapping[str, Any]) -> LibraryArgument:
    shape = said["shape"]
    extents = None if shape is None else tuple(map(read_size, shape))
    dtype = dtype_of(str(said["dtype"]))
    return LibraryArgument(str(said["name"]), dtype, extents, bool(said["written"]))


def _c_type(a: LibraryArgument) -> Any:
    if a.shape is not None:
        return ctypes.c_void_p
    if not _by_value(a):
        return getattr(ctypes, f"c_uint{a.dtype.bits}")
    return _SCALARS.get(str(a.dtype)) or getattr(ctypes, f"c_{a.dtype.kind}{a.dtype.bits}")


def _by_value(a: LibraryArgument) -> bool:
    """Whether C has the type of a number; floats of 16 bits are passed as their bits."""
    return not a.dtype.is_float or a.dtype.bits >= 32


__all__ = ["Library", "LibraryArgument", "LibraryFunction", "load_library"]
