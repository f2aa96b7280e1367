"""LLVM's JIT linker: object files become code in this process, and leave it again.

A library goes with its :class:`Library`. LLVM keeps a few KiB of what it knew about each (9 of LLVM
22) for as long as the engine lives that linked it, and an engine costs milliseconds and 150 KiB. So
an engine links :data:`LINKS` libraries and then gives way to the next one; it goes with the last of
them that is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import llvmlite.binding as llvm

from ...errors import DeviceError

LINKS = 32


class Engine:
    """One of LLVM's linkers. ``numbers`` are those of the libraries that it may link."""

    __slots__ = ("__weakref__", "jit", "numbers")

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.jit = llvm.create_lljit_compiler(use_jit_link=True, suppress_errors=True)
        self.numbers = iter(range(LINKS))


class Library:
    """Loaded code objects; they stay in memory as long as this object lives."""

    __slots__ = ("__weakref__", "_engine", "_tracker")

    def __init__(self, tracker: Any, engine: Engine | None):
        self._tracker = tracker  # unloads the code when it is collected
        self._engine = engine

    def address(self, symbol: str) -> int:
        """The address of a function that was named when the library was linked.

        Raises :class:`DeviceError` when there is none of that name.
        """
        try:
            return self._tracker[symbol]
        except KeyError:
            raise DeviceError(f"the loaded code has no kernel {symbol!r}.") from None


_current: Engine | None = None


def link(
    objects: Iterable[bytes], exports: Iterable[str], imports: Mapping[str, int] | None = None
) -> Library:
    """The library of object files; ``exports`` are the functions that it is asked for, ``imports``
    the addresses of those that it calls and that are not of the process.

    Raises :class:`DeviceError` when the linker refuses.
    """
    global _current
    builder = llvm.JITLibraryBuilder()
    for data in objects:
        builder.add_object_img(data)
    builder.add_current_process()
    for name, address in (imports or {}).items():
        builder.import_symbol(name, address)
    for name in exports:
        builder.export_symbol(name)
    engine = _current
    number = next(engine.numbers, None) if engine is not None else None
    if engine is None or number is None:
        engine = Engine()  # of two threads that are here at once, each makes one
        number = next(engine.numbers)
        _current = engine
    try:
        tracker = builder.link(engine.jit, f"weft{number}")
    except RuntimeError as e:
        raise DeviceError(f"the code cannot be linked: {e}") from None
    return Library(tracker, engine)


__all__ = ["LINKS", "Engine", "Library", "link"]
