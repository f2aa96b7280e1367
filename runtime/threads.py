"""How many threads: the one check of numbers that users give."""

from __future__ import annotations

import operator
from typing import Any

from .errors import InputError

MOST = 1024  # of threadpool.h


def thread_count(n: Any, where: str) -> int:
    """``n``, if it is a number of threads; raises :class:`InputError` for anything but an integer
    from 1 to :data:`MOST`."""
    try:
        count = 0 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        count = 0
    if not 1 <= count <= MOST:
        raise InputError(
            f"{n!r} is no number of threads.", where=where, hint=f"an integer from 1 to {MOST}"
        )
    return count


__all__ = ["MOST", "thread_count"]
