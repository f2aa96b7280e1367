"""Arrays as ``mxnet.nd.save`` writes them: ``PREFIX-0000.params``.

A list file has a mark, the number of arrays, the arrays, and their names. Each array has a mark of
its own, by which its version is known; the oldest has none, and begins with its rank. All numbers
are little endian. (mxnet 1.9.1, ``src/ndarray/ndarray.cc``: ``NDArray::Save`` and ``LegacyLoad``.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import BFLOAT16, DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from .files import HEAD

_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MOST_AXES = 32
_STORAGE = {1: "row_sparse", 2: "csr"}
DTYPES: dict[int, DType] = {
    0: dtype_of("float32"),
    1: dtype_of("float64"),
    2: dtype_of("float16"),
    3: dtype_of("uint8"),
    4: dtype_of("int32"),
    5: dtype_of("int8"),
    6: dtype_of("int64"),
    7: dtype_of("bool"),
    8: dtype_of("int16"),
    9: dtype_of("uint16"),
    10: dtype_of("uint32"),
    11: dtype_of("uint64"),
    12: BFLOAT16,
}


class _Bytes:
    """Numbers from the front of a file on."""

    def __init__(self, data: bytes, file: str):
        self.data, self.file, self.at = memoryview(data), file, 0

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes. Raises :class:`ModelError` where there are fewer."""
        if count > len(self.data) - self.at:
            raise ModelError(
                f"it is cut short: {count} bytes are missing at byte {self.at}.",
                where=self.file, hint="the file is damaged, or not downloaded to its end",
            )  # fmt: skip
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, code: str, count: int = 1) -> Sequence[int]:
        """``count`` integers of a format of ``struct``."""
        if count < 0 or count > len(self.data):
            raise ModelError(f"it states {count} numbers at byte {self.at}.", where=self.file)
        code = f"<{count}{code}"
        return struct.unpack(code, self.take(struct.calcsize(code)))


def read_params(data: bytes, file: str) -> dict[str, np.ndarray]:
    """The arrays of a list file by their names, which keep ``arg:`` and ``aux:``.

    Raises :class:`ModelError` for a damaged file, :class:`UnsupportedError` for sparse arrays."""
    f = _Bytes(data, file)
    if f.take(len(HEAD)) != HEAD:
        raise ModelError("it is no list of MXNet's arrays: its mark is missing.", where=file)
    (count,) = f.numbers("Q")
    if count > len(data):
        raise ModelError(f"it states {count} arrays, more than it has bytes.", where=file)
    arrays = [_array(f) for _ in range(count)]
    (named,) = f.numbers("Q")
    if named != count:
        raise ModelError(f"it has {count} arrays and {named} names.", where=file)
    found: dict[str, np.ndarray] = {}
    for array in arrays:
        (length,) = f.numbers("Q")
        try:
            name = bytes(f.take(length)).decode()
        except UnicodeDecodeError:
            raise ModelError("the name of an array is no UTF-8 text.", where=file) from None
        if array is not None:
            found[name] = array
    return found


def _array(f: _Bytes) -> np.ndarray | None:
    """The next array; None for one that was never given a shape."""
    (mark,) = f.numbers("I")
    start = f.at
    if mark in (_V2, _V3):
        (storage,) = f.numbers("i")
        if storage in _STORAGE:
            raise UnsupportedError(
                f"an array at byte {start} is stored as {_STORAGE[storage]}.", where=f.file,
                hint="save it after tostype('default')",
            )  # fmt: skip
        if storage not in (0, -1):
            raise ModelError(f"there is no storage type {storage}.", where=f.file)
    if mark in (_V1, _V2, _V3):
        (rank,) = f.numbers("i")
        absent = rank == -1 if mark == _V3 else rank == 0
        shape = () if absent else _shape(f, rank, "q")
    else:
        rank, absent = mark, mark == 0
        shape = _shape(f, rank, "I")
    if absent:
        return None
    f.numbers("i", 2)  # the device where the array was
    (code,) = f.numbers("i")
    if code not in DTYPES:
        raise ModelError(f"there is no element type {code}.", where=f.file)
    dtype, size = DTYPES[code], math.prod(shape)
    if size > MAX_ELEMENTS:
        raise UnsupportedError(f"an array has the shape {list(shape)}: too large.", where=f.file)
    raw = f.take(size * dtype.bytes)
    stored = np.dtype("u1") if dtype.is_bool else dtype.numpy
    array = np.frombuffer(raw, stored)
    return (array != 0 if dtype.is_bool else array).reshape(shape)


def _shape(f: _Bytes, rank: int, code: str) -> tuple[int, ...]:
    if not 0 <= rank <= _MOST_AXES:
        raise ModelError(
            f"an array has {rank} axes at byte {f.at}.", where=f.file, hint="the file is damaged"
        )
    shape = tuple(f.numbers(code, rank)) if rank else ()
    if min(shape, default=0) < 0:
        raise ModelError(f"an array has the shape {list(shape)}.", where=f.file)
    return shape


__all__ = ["DTYPES", "read_params"]
