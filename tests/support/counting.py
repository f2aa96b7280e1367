"""Work counted in Python calls: as a clock on an idle machine, but the same on every one."""

import sys
from collections.abc import Callable
from typing import Any


def calls(function: Callable[..., Any], *args: Any) -> tuple[Any, int]:
    """What ``function(*args)`` gives, and how many Python functions were called for it."""
    count, before = 0, sys.getprofile()

    def hear(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(hear)
    try:
        return function(*args), count
    finally:
        sys.setprofile(before)


def lines(function: Callable[..., Any], *args: Any) -> tuple[Any, int]:
    """What ``function(*args)`` gives, and how many lines of Python were run for it: each round of a
    loop and of a comprehension counts, what is written in C does not."""
    count, before = 0, sys.gettrace()

    def hear(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return hear

    sys.settrace(hear)
    try:
        return function(*args), count
    finally:
        sys.settrace(before)
