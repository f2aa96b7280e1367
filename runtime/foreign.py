"""Functions of this process that a program's own code calls: what keeps them there, and how an
error of Python's comes out of machine code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from . import forks
from .errors import InputError
from .guard import passed_on


class ForeignCalls:
    """The lock of an executable whose code calls functions of this process.

    The first error that a Python function raises is kept, and raised where the lock is given back;
    functions are not called again until then. A function that runs its own program anew would wait
    for itself, which is refused.
    """

    def __init__(self) -> None:
        self._lock = forks.renewed(self, "_lock")
        self._here = threading.local()  # whether this thread is inside of a function
        self._raised: BaseException | None = None
        self.alive: list[object] = []  # libraries and callbacks that the code has addresses of

    def __enter__(self) -> None:
        if getattr(self._here, "inside", False):
            raise InputError(
                "a Python function calls the kernel that has called it.",
                hint="give it what it needs as arguments, or build a second kernel",
            )
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        raised, self._raised = self._raised, None
        self._lock.release()
        if raised is not None and kind is None:
            raise raised

    def kept(self, function: Callable[..., object]) -> Callable[..., None]:
        """``function`` for machine code, which knows no errors."""
        told = passed_on(function)

        def call(*args: Any) -> None:
            if self._raised is not None:
                return
            self._here.inside = True
            try:
                told(*args)
            except BaseException as e:  # an interrupt, too, belongs to who called the kernel
                self._raised = e
            finally:
                with suppress(AttributeError):
                    del self._here.inside

        return call
