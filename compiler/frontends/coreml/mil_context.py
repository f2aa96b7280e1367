"""What a converter of one MIL operation sees: its arguments by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...types import TensorType
from ..context import REQUIRED
from .context import CoreContext


class MilContext(CoreContext):
    """One operation; ``x`` is its most common argument.

    Arguments are tensors (:meth:`arg`, :meth:`args`), values that must be known at compile time
    (:meth:`value`, :meth:`number`, :meth:`ints`, :meth:`flag`), or texts (:meth:`text`).
    """

    def has(self, key: str) -> bool:
        """Whether the argument is given."""
        return bool(self.node.attrs["args"].get(key)) or key in self.node.attrs["texts"]

    def args(self, key: str) -> list[str]:
        """The tensors of an argument, which may be several."""
        return [self.inputs[k] for k in self.node.attrs["args"].get(key, ())]

    def arg(self, key: str, default: Any = REQUIRED) -> str:
        """The one tensor of an argument. Raises :class:`ModelError` where there is not one."""
        found = self.args(key)
        if not found and default is not REQUIRED:
            return default
        if len(found) != 1:
            self.error(f"its argument {key!r} is {len(found)} values, not one.")
        return found[0]

    def typed(self, key: str = "x") -> TensorType:
        """The type of the one tensor of an argument."""
        return self.typeof(self.arg(key))

    def axis(self, key: str = "axis", default: Any = REQUIRED, of: str = "x") -> int:
        """An axis of a tensor, counted from the front."""
        return self.counted(int(self.number(key, default)), len(self.typed(of).shape))

    def value(self, key: str) -> np.ndarray | None:
        """The value of an argument, which must be known at compile time; None where it is absent.
        Raises :class:`UnknownValueError`."""
        positions = self.node.attrs["args"].get(key, ())
        if not positions:
            return None
        if len(positions) == 1:
            return self.const(positions[0])
        return np.array([_single(self, key, self.const(k)) for k in positions])

    def number(self, key: str, default: Any = REQUIRED) -> Any:
        """An argument that is one number, as Python has it."""
        value = self.value(key)
        if value is None:
            return self._missing(key, default)
        return _single(self, key, value)

    def flag(self, key: str, default: bool = False) -> bool:
        """An argument that is true or false."""
        return bool(self.number(key, default))

    def ints(self, key: str, default: Any = REQUIRED) -> tuple[int, ...]:
        """An argument that is a list of integers."""
        value = self.value(key)
        if value is None:
            return self._missing(key, default)
        return tuple(int(v) for v in value.reshape(-1))

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        """An argument that is a string."""
        found = self.node.attrs["texts"].get(key)
        if found is None and self.has(key):
            self.error(f"its argument {key!r} is no text.")
        if found is None:
            return self._missing(key, default)
        if not isinstance(found, str):
            self.error(f"its argument {key!r} is {found!r:.80}, not a text.")
        return found

    def _missing(self, key: str, default: Any) -> Any:
        if default is REQUIRED:
            self.error(f"its argument {key!r} is missing.")
        return default


def _single(n: MilContext, key: str, value: np.ndarray | None) -> Any:
    if value is None or value.size != 1:
        n.error(f"its argument {key!r} is {0 if value is None else value.size} numbers, not one.")
    return value.reshape(-1)[0].item()


MilConverter = Callable[[MilContext], "Sequence[str] | str"]

__all__ = ["MilContext", "MilConverter"]
