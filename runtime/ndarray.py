"""Aligned numpy arrays: what kernels may be given."""

from __future__ import annotations

import ctypes
import math

import numpy as np

from .dtype import DType
from .errors import DeviceError

ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register


def address(array: np.ndarray) -> int:
    """The address of the first element."""
    try:  # takes a third of the time, but read-only and scattered arrays refuse
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        pass
    return array.__array_interface__["data"][0]


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
