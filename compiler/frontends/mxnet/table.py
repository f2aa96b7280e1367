"""The shape of a table of converters: names, of which MXNet has several for many operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .context import MxContext

Converter = Callable[[MxContext], "Sequence[str] | str"]
Table = dict[str, Converter]


def named(convert: Converter, *names: str) -> Table:
    """Rows of one converter."""
    return dict.fromkeys(names, convert)


__all__ = ["Converter", "Table", "named"]
