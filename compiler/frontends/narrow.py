"""Element types of a byte and less that weft has no type of its own for: :class:`Narrow`.

Tensors of them hold the same numbers in a wider type: int2 and int4 in int8, uint2 and uint4 in
uint8, small floats in float32. So is what is read from a file, what an input takes and what an
output gives; what a model casts or quantises to such a type is rounded to its numbers. The emitter
remembers which tensors these are (``Emitter.narrow``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from ...runtime.dtype import FLOAT32, INT8, INT32, UINT8, DType
from ..ops.small_float import FORMATS


class Adds(Protocol):
    """What operators are added by: a node that is converted, or what is like one."""

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """Add an operator of one output; returns its name."""
        ...

    def constant(self, array: np.ndarray) -> str:
        """A constant tensor."""
        ...


@dataclass(frozen=True)
class Narrow:
    """One such type: its name, as in ``FORMATS`` where it is a float, the type that holds it, and
    its width."""

    name: str
    held: DType
    bits: int

    def __str__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        """Whether it is a small float."""
        return self.held.is_float

    @property
    def numpy(self) -> np.dtype:
        """Its type in ml_dtypes, where it is a float."""
        if self.name == EXPONENTS.name:
            return np.dtype(ml_dtypes.float8_e8m0fnu)
        return FORMATS[self.name].numpy

    @property
    def min(self) -> int:
        """The lowest integer."""
        return -(1 << (self.bits - 1)) if self.held.min < 0 else 0

    @property
    def max(self) -> int:
        """The highest integer."""
        return self.min + (1 << self.bits) - 1


INTEGERS = tuple(
    Narrow(f"{prefix}int{bits}", held, bits)
    for bits in (2, 4)
    for prefix, held in (("", INT8), ("u", UINT8))
)
FLOATS = tuple(Narrow(name, FLOAT32, int(name[5])) for name in FORMATS)
EXPONENTS = Narrow("float8e8m0", FLOAT32, 8)  # powers of two, which are read and not made


def narrowed(n: Adds, x: str, dtype: DType, to: Narrow, saturate: bool = True) -> str:
    """The tensor ``x`` of ``dtype`` with its elements cast to ``to``, in the type that holds it.

    Floats are rounded, halves to even. Of integers the lowest bits are taken, and so of floats that
    become integers, after what follows their point is cut off.
    """
    if to.is_float:
        wide = x if dtype == FLOAT32 else n.add("cast", [x], to="float32")
        return n.add("round_float", [wide], format=to.name, saturate=saturate)
    if dtype.is_float:
        x, dtype = n.add("cast", [x], to="int32"), INT32
    if to.held != dtype:
        x = n.add("cast", [x], to=str(to.held))
    x = n.add("bitwise_and", [x, _number(n, (1 << to.bits) - 1, to)])
    if to.min < 0:
        half = _number(n, 1 << (to.bits - 1), to)
        x = n.add("sub", [n.add("bitwise_xor", [x, half]), half])
    return x


def _number(n: Adds, value: int, like: Narrow) -> str:
    return n.constant(np.asarray(value, like.held.numpy))
