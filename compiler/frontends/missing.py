"""What a model needs and weft has not got: collected, so that one error can name all of it."""

from __future__ import annotations

from collections.abc import Mapping

from ...runtime.errors import UnsupportedError

_NAMED = 8  # nodes of one kind that the error names


class Missing:
    """Needs of nodes: ``needs`` maps each to those that have it, ``hints`` to what would help."""

    def __init__(self) -> None:
        self.needs: dict[str, list[str]] = {}
        self.hints: dict[str, str] = {}

    def add(self, what: str, node: str, hint: str = "") -> None:
        """Note that ``node`` needs ``what``."""
        self.needs.setdefault(what, []).append(node)
        if hint:
            self.hints.setdefault(what, hint)

    def report(self, file: str) -> None:
        """Raises :class:`UnsupportedError` with all that was missing, if anything was."""
        if not self.needs:
            return
        text = "the model needs what weft does not support:\n" + "\n".join(lines(self.needs))
        hint = "; ".join(dict.fromkeys(self.hints[w] for w in self.needs if w in self.hints))
        raise UnsupportedError(text, where=file, hint=hint or None)


def lines(needs: Mapping[str, list[str]]) -> list[str]:
    """A line for each need, with the nodes that have it."""
    made = []
    for what, nodes in needs.items():
        names = ", ".join(map(repr, nodes[:_NAMED]))
        more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
        made.append(f"  {what}: nodes {names}{more}")
    return made
