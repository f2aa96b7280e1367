"""What converters of MXNet's operators see of a node: attributes are text, with a kind each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..context import REQUIRED
from ..plain import PlainContext
from .attributes import NONE, flag, integer, integers, numbers


class MxContext(PlainContext):
    """One node of a symbol while it is converted."""

    def has(self, name: str) -> bool:
        """Whether the node states the attribute, and not as ``None``."""
        return str(self.node.attrs.get(name, "None")).strip().lower() not in NONE

    def _parsed(self, name: str, default: Any, parse: Callable[[str], Any]) -> Any:
        if not self.has(name):
            if default is REQUIRED:
                self.error(f"the attribute {name!r} is missing.")
            return default
        text = self.node.attrs[name]
        try:
            return parse(text)
        except (ValueError, OverflowError):
            self.error(f"the attribute {name!r} is {text!r}.")

    def text(self, name: str, default: Any = REQUIRED) -> str:
        """A word."""
        return self._parsed(name, default, str.strip)

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        return self._parsed(name, default, flag)

    def number(self, name: str, default: Any = REQUIRED) -> Any:
        """A real number."""
        return self._parsed(name, default, float)

    def reals(self, name: str, default: Any = REQUIRED) -> Any:
        """Real numbers."""
        return self._parsed(name, default, numbers)

    def integer(self, name: str, default: Any = REQUIRED) -> Any:
        """A whole number."""
        return self._parsed(name, default, integer)

    def integers(self, name: str, default: Any = REQUIRED) -> Any:
        """Whole numbers; None where one is ``None``."""
        return self._parsed(name, default, integers)

    def whole(self, name: str, count: int, default: int) -> tuple[int, ...]:
        """``count`` whole numbers, all of them ``default`` where the attribute is absent or ()."""
        found = self.integers(name, ()) or (default,) * count
        if len(found) != count or None in found:
            self.error(f"{name} is {found}; {count} numbers are needed.")
        return found

    def axis(self, name: str, default: Any = REQUIRED, ndim: int | None = None) -> int:
        """An axis of the first input, counted from its front."""
        return self.placed(self.integer(name, default), ndim)


__all__ = ["MxContext"]
