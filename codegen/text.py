"""Generators of source text: what the device compiles itself, so that nothing is linked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..ir.stmt import Function
from ..ir.target import Target


@dataclass(frozen=True)
class Text:
    """The code of one function: ``source`` for people, ``object`` for its device. ``shared_bytes``
    is the memory that the threads of a workgroup share in it."""

    source: str
    shared_bytes: int = 0

    @property
    def object(self) -> bytes:
        """What the device is given."""
        return self.source.encode()

    @property
    def assembly(self) -> str:
        """The text nearest to the machine that there is: the source."""
        return self.source


class TextGenerator:
    """A generator of source text: every kernel is a code object of its own, and nothing is linked.

    Subclasses override :meth:`write`; a function may be given in its place. A language with C's
    syntax is a subclass of :class:`weft.codegen.clike.statements.CLike` (and of ``Workgroup`` where
    kernels run in workgroups), whose ``text()`` is what :meth:`write` returns.
    """

    def __init__(self, write: Callable[[Function, Target], str | Text] | None = None):
        self.writer = write

    def write(self, f: Function, target: Target) -> str | Text:
        """The text of a function; raises :class:`CodegenError` with the reason why it cannot be
        computed."""
        assert self.writer is not None, f"{type(self).__name__} writes nothing"
        return self.writer(f, target)

    def resolve(self, target: Target) -> Target:
        """``target`` itself: its limits are given, not asked of a device."""
        return target

    def emit(self, functions: Sequence[Function], target: Target) -> Text:
        """The code of the one function of ``functions``; raises as :meth:`write`."""
        assert len(functions) == 1, "a text is one function"
        made = self.write(functions[0], target)
        return made if isinstance(made, Text) else Text(made)

    def linker(self, target: Target) -> str:
        """Nothing is linked: the device compiles the text."""
        return ""

    def link(
        self, codes: Mapping[str, bytes], target: Target
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """``codes`` themselves: every kernel is in the text of its own name."""
        return dict(codes), {name: name for name in codes}


__all__ = ["Text", "TextGenerator"]
