"""Data types of elements and of vectors of elements.

A :class:`DType` is a value: two equal descriptions compare equal. ``lanes`` > 1 is a vector, which
occurs only inside a loop nest, never as the element type of a tensor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import ml_dtypes
import numpy as np

from .errors import WeftError

__all__ = [
    "ALL_DTYPES",
    "BFLOAT16",
    "BOOL",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "DType",
    "dtype_of",
]  # fmt: skip


@lru_cache(maxsize=64)
def _numpy(kind: str, bits: int) -> np.dtype:
    if kind == "bfloat":
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype("bool" if kind == "bool" else f"{kind}{bits}")


@dataclass(frozen=True, slots=True)
class DType:
    """One element type, or a vector of it.

    ``kind`` is ``"float"`` (IEEE 754), ``"bfloat"`` (8 exponent, 7 mantissa bits; storage only:
    arithmetic is done in float32), ``"int"`` (two's complement, wraps), ``"uint"`` (wraps) or
    ``"bool"`` (one byte in memory, 0 or 1).
    """

    kind: str
    bits: int
    lanes: int = 1

    def __str__(self) -> str:
        base = {"bool": "bool", "bfloat": "bfloat16"}.get(self.kind, f"{self.kind}{self.bits}")
        return base if self.lanes == 1 else f"{base}x{self.lanes}"

    __repr__ = __str__

    @property
    def is_float(self) -> bool:
        """IEEE 754 or bfloat16."""
        return self.kind in ("float", "bfloat")

    @property
    def is_int(self) -> bool:
        """Signed or unsigned, but not bool."""
        return self.kind in ("int", "uint")

    @property
    def is_bool(self) -> bool:
        """A truth value, scalar or vector."""
        return self.kind == "bool"

    @property
    def bytes(self) -> int:
        """Bytes of one lane in memory."""
        return max(1, self.bits // 8)

    @property
    def element(self) -> DType:
        """The type of one lane; a scalar type is its own."""
        return self if self.lanes == 1 else DType(self.kind, self.bits)

    def with_lanes(self, lanes: int) -> DType:
        """A vector of ``lanes`` elements of this type; 1: the scalar."""
        return self if lanes == self.lanes else DType(self.kind, self.bits, lanes)

    @property
    def min(self) -> int | float:
        """Lowest finite value (``False`` for bool)."""
        if self.is_float:
            return -self.max
        return -(1 << (self.bits - 1)) if self.kind == "int" else 0

    @property
    def max(self) -> int | float:
        """Highest finite value."""
        if self.is_float:
            return float(ml_dtypes.finfo(self.numpy).max)
        if self.kind == "bool":
            return 1
        return (1 << (self.bits - (self.kind == "int"))) - 1

    @property
    def numpy(self) -> np.dtype:
        """The numpy dtype of one lane (``ml_dtypes.bfloat16`` for bfloat16)."""
        return _numpy(self.kind, self.bits)


FLOAT64, FLOAT32, FLOAT16 = (DType("float", b) for b in (64, 32, 16))
BFLOAT16 = DType("bfloat", 16)
INT8, INT16, INT32, INT64 = (DType("int", b) for b in (8, 16, 32, 64))
UINT8, UINT16, UINT32, UINT64 = (DType("uint", b) for b in (8, 16, 32, 64))
BOOL = DType("bool", 1)
ALL_DTYPES = (
    FLOAT64, FLOAT32, FLOAT16, BFLOAT16, INT8, INT16, INT32, INT64,
    UINT8, UINT16, UINT32, UINT64, BOOL,
)  # fmt: skip
_BY_NAME = {str(d): d for d in ALL_DTYPES}


@lru_cache(maxsize=256)
def _parse(text: str) -> DType:
    m = re.fullmatch(r"(.+?)(?:x(\d+))?", text)
    base = _BY_NAME.get(m.group(1)) if m else None
    if m is None or base is None:
        raise WeftError(
            f"there is no dtype {text!r}.",
            hint="dtypes: " + ", ".join(_BY_NAME) + ", with x<lanes>",
        )
    return base.with_lanes(int(m.group(2) or 1))


def dtype_of(spec: DType | str | np.dtype | type) -> DType:
    """The DType for a DType, its name (``"float32"``, ``"int8x4"``) or a numpy dtype.

    >>> dtype_of("float32x4").lanes
    4
    """
    if isinstance(spec, DType):
        return spec
    return _parse(spec if isinstance(spec, str) else np.dtype(spec).name)
