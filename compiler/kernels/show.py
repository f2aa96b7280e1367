"""A kernel to look at: its schedule, its loop nest and its code, in a terminal or a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

_CELL = "vertical-align: top; text-align: left; border-left: 1px solid #ccc; padding: 0 1em"


@dataclass(frozen=True)
class KernelText:
    """``parts`` are pairs of a title and a text. A terminal shows one below the other, a notebook
    beside each other."""

    parts: Sequence[tuple[str, str]]

    def __str__(self) -> str:
        return "\n\n".join(f"## {title}\n\n{text.rstrip()}" for title, text in self.parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(
            f'<td style="{_CELL}"><b>{html.escape(title)}</b><pre>{html.escape(text)}</pre></td>'
            for title, text in self.parts
        )
        return f"<table><tr>{cells}</tr></table>"
