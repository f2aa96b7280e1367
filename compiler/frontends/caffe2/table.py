"""The shape of a table of converters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .context import C2Context

Converter = Callable[[C2Context], "Sequence[str] | str"]
Table = dict[str, Converter]

__all__ = ["Converter", "Table"]
