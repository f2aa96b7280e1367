"""Aligned numpy arrays: what kernels may be given."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .dtype import DType
from .errors import DeviceError

ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register


class _Fields(ctypes.Structure):
    """The beginning of an array object, as numpy's C headers publish it (``PyArrayObject_fields``):
    to ask for address and flags as attributes takes three times as long as a small kernel."""

    _fields_ = (
        ("data", ctypes.c_size_t), ("ndim", ctypes.c_int), ("dimensions", ctypes.c_void_p),
        ("strides", ctypes.c_void_p), ("base", ctypes.c_void_p), ("descr", ctypes.c_void_p),
        ("flags", ctypes.c_int),
    )  # fmt: skip


_HEAD = object.__basicsize__
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # NPY_ARRAY_C_CONTIGUOUS, …


def where(
    array: np.ndarray, at: Callable[[int], _Fields] = _Fields.from_address
) -> tuple[int, int]:
    """The address of the first element, and numpy's flags, of which CONTIGUOUS, ALIGNED (to
    elements) and WRITEABLE are as the constants of these names."""
    found = at(id(array) + _HEAD)
    return found.data, found.flags


def _where(array: np.ndarray) -> tuple[int, int]:
    """The same as numpy itself says it."""
    have, place = array.flags, array.__array_interface__["data"][0]
    flags = CONTIGUOUS * have.c_contiguous | ALIGNED * have.aligned | WRITEABLE * have.writeable
    return place, flags


def _are_fields() -> bool:
    """Whether the arrays of this interpreter and this numpy are as the headers say."""
    if sys.implementation.name != "cpython":
        return False
    block = np.arange(48, dtype=np.uint8)
    fixed = block[8:40].view(np.float32)
    fixed.flags.writeable = False
    mask = CONTIGUOUS | ALIGNED | WRITEABLE
    for a in (block, block[1:], block[::2], fixed, block[1:33].view(np.float32)):
        place, flags = where(a)
        if (place, flags & mask) != _where(a):
            return False
    return True


if not _are_fields():
    globals()["where"] = _where


def address(array: np.ndarray) -> int:
    """The address of the first element."""
    return where(array)[0]


def host_array(value: Any) -> np.ndarray | None:
    """The array that ``value`` is or gives without a copy, by ``__array_interface__``, DLPack or
    ``__array__``; None where it gives none, as what lies in a device's memory does.

    Whoever writes to it writes to ``value``.
    """
    if isinstance(value, np.ndarray):
        return value
    ways = (
        ("__array_interface__", np.asarray),
        ("__dlpack__", np.from_dlpack),
        ("__array__", lambda v: np.asarray(v, copy=False)),
    )
    for attribute, make in ways:
        if hasattr(value, attribute):
            try:
                return make(value)
            except Exception:
                continue  # another package's code, which may refuse in any way
    return None


def allocate(nbytes: int, alignment: int = ALIGNMENT) -> tuple[np.ndarray, int]:
    """``nbytes`` uninitialised bytes and their address, a multiple of ``alignment``. (To ask an
    array for its address costs as much as to make one.)

    Raises :class:`DeviceError` when there is too little memory.
    """
    try:
        block = np.empty(nbytes + alignment, np.uint8)
    except (MemoryError, ValueError, OverflowError):  # numpy's words for too much
        raise DeviceError(
            f"there is no memory for {nbytes} bytes.", hint="a smaller batch needs less"
        ) from None
    base = address(block)
    start = -base % alignment
    return block[start : start + nbytes], base + start


def aligned_bytes(nbytes: int, alignment: int = ALIGNMENT) -> np.ndarray:
    """The bytes of :func:`allocate`."""
    return allocate(nbytes, alignment)[0]


def aligned_empty(shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    """An uninitialised C-contiguous array at an aligned address."""
    return aligned_bytes(math.prod(shape) * dtype.bytes).view(dtype.numpy).reshape(shape)


def is_ready(array: np.ndarray, alignment: int = ALIGNMENT) -> bool:
    """Whether a kernel may read ``array`` in place: C-contiguous and aligned, or empty."""
    return array.flags.c_contiguous and (address(array) % alignment == 0 or not array.size)


def aligned(array: np.ndarray) -> np.ndarray:
    """``array`` itself when it is ready for a kernel, else an aligned copy."""
    return array if is_ready(array) else aligned_copy(array)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A new C-contiguous array at an aligned address, with the elements of ``array``."""
    copy = aligned_bytes(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
