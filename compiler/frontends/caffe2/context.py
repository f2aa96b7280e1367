"""What converters of Caffe2's operators see of a node: arguments have a field for each type."""

from __future__ import annotations

from typing import Any

from ..context import REQUIRED
from ..plain import PlainContext
from .schema import DTYPES

_WORDS = {"float": "float32", "double": "float64", "byte": "uint8"}  # of old nets


class C2Context(PlainContext):
    """One operator of a net while it is converted."""

    def _argument(self, name: str, default: Any, *fields: str) -> Any:
        found = self.node.attrs.get(name)
        if found is None:
            if default is REQUIRED:
                self.error(f"the argument {name!r} is missing.")
            return default
        for field in fields:
            if field.endswith("s") and field != "s":
                if len(getattr(found, field)):
                    return tuple(getattr(found, field))
            elif found.HasField(field):
                return getattr(found, field)
        return () if default is REQUIRED else default

    def integer(self, name: str, default: Any = REQUIRED) -> Any:
        """A whole number."""
        value = self._argument(name, default, "i", "f")
        if value == ():
            self.error(f"the argument {name!r} is no number.")
        return int(value) if isinstance(value, float) else value

    def number(self, name: str, default: Any = REQUIRED) -> Any:
        """A real number."""
        value = self._argument(name, default, "f", "i")
        if value == ():
            self.error(f"the argument {name!r} is no number.")
        return value

    def integers(self, name: str, default: Any = REQUIRED) -> Any:
        """Whole numbers."""
        return self._argument(name, default, "ints")

    def text(self, name: str, default: str) -> str:
        """A word."""
        value = self._argument(name, default, "s")
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value: a whole number."""
        return bool(self.integer(name, int(default)))

    def dtype(self, name: str) -> str:
        """An element type, by its number or, in old nets, by its name."""
        word = self.text(name, "").lower()
        if not word:
            code = self.integer(name)
            word = DTYPES.get(code, f"number {code}")
        word = _WORDS.get(word, word)
        if word not in DTYPES.values():
            self.unsupported(f"the element type is {word}")
        return word

    @property
    def channels_last(self) -> bool:
        """Whether images end with their channels."""
        order = self.text("order", "NCHW")
        if order not in ("NCHW", "NHWC"):
            self.unsupported(f"the order is {order!r}")
        return order == "NHWC"

    def values(self, i: int) -> list[int]:
        """The whole numbers of input ``i``, which must be known."""
        found = self.const(i)
        if found is None:
            self.error(f"its input {i} is absent.")
        return [int(v) for v in found.reshape(-1)]


__all__ = ["C2Context"]
