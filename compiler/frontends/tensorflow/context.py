"""One node of TensorFlow's while it is converted: :class:`TFContext`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....runtime.dtype import DType
from ...types import TensorType
from ..context import REQUIRED
from ..flat import FlatContext
from .values import TypeCode


class TFContext(FlatContext):
    """One node; attributes as :mod:`.values` reads them. See :class:`Context`."""

    def text(self, name: str, default: Any = REQUIRED) -> str:
        """An attribute that is a string."""
        value = self.attr(name, default)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str):
            self.error(f"the attribute {name!r} is {value!r}, no text.")
        return value

    def texts(self, name: str) -> list[str]:
        """An attribute that is a list of strings."""
        value = self.attr(name, ())
        if not isinstance(value, Sequence) or not all(isinstance(v, bytes) for v in value):
            self.error(f"the attribute {name!r} is {value!r}, no list of texts.")
        return [v.decode("utf-8", "replace") for v in value]

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is true or false."""
        return bool(self.attr(name, default))

    def integer(self, name: str, default: Any = REQUIRED) -> int:
        """An attribute that is an integer."""
        value = self.attr(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.error(f"the attribute {name!r} is {value!r}, no integer.")
        return value

    def real(self, name: str, default: Any = REQUIRED) -> float:
        """An attribute that is a number."""
        value = self.attr(name, default)
        if not isinstance(value, int | float):
            self.error(f"the attribute {name!r} is {value!r}, no number.")
        return float(value)

    def integers(self, name: str, default: Any = ()) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        value = self.attr(name, default)
        if not isinstance(value, Sequence) or not all(type(v) is int for v in value):
            self.error(f"the attribute {name!r} is {value!r}, no list of integers.")
        return tuple(value)

    def dtype(self, name: str, default: Any = REQUIRED) -> DType:
        """An attribute that is a type. Raises :class:`UnsupportedError` for one that weft has
        not."""
        value = self.attr(name, default)
        if isinstance(value, DType):
            return value
        if not isinstance(value, TypeCode):
            self.error(f"the attribute {name!r} is {value!r}, no type.")
        return value.known(self.where)

    def tensor_type(self, i: int) -> TensorType:
        """The type of input ``i``, which must be there."""
        t = self.type(i)
        if t is None:
            self.error(f"its input {i} is absent.")
        return t

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape of input ``i``."""
        return self.tensor_type(i).shape

    def array(self, i: int) -> np.ndarray:
        """The value of input ``i``, which must be known at compile time."""
        value = self.const(i)
        if value is None:
            self.error(f"its input {i} is absent.")
        return value

    def ints(self, i: int) -> list[int]:
        """The integers of input ``i``, which must be known at compile time."""
        return [int(v) for v in self.array(i).reshape(-1)]

    def number(self, i: int) -> int | float:
        """The one number of input ``i``, known at compile time."""
        value = self.array(i)
        if value.size != 1:
            self.error(f"input {i} must hold one number, but has the shape {list(value.shape)}.")
        return value.reshape(()).item()

    def axis(self, value: int, ndim: int) -> int:
        """An axis counted from the front."""
        if not -ndim <= value < ndim:
            self.error(f"the axis {value} is out of range for {ndim} axes.")
        return value % ndim

    def axes(self, values: Sequence[int], ndim: int) -> tuple[int, ...]:
        """Axes counted from the front, each once."""
        found = tuple(dict.fromkeys(self.axis(int(v), ndim) for v in values))
        if len(found) != len(values):
            self.error(f"the axes {list(values)} name one axis twice.")
        return found

    def as_type(self, name: str, dtype: DType) -> str:
        """A tensor cast to a type, itself where it has it."""
        return name if self.typeof(name).dtype == dtype else self.add("cast", [name], to=str(dtype))

    def like(self, value: float, name: str) -> str:
        """A constant number of the type of a tensor."""
        return self.constant(np.asarray(value).astype(self.typeof(name).dtype.numpy))


Converter = Callable[[TFContext], "Sequence[str] | str"]

__all__ = ["Converter", "TFContext"]
