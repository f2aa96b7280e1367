"""What a terminal shows while a model is compiled."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime.files import is_stdout
from .streams import say

if TYPE_CHECKING:
    from ..options import ProgressCallback


@contextmanager
def progress() -> Iterator[ProgressCallback]:
    """A callback for a compilation: a bar on a terminal, a line per stage elsewhere."""
    if not sys.stderr.isatty():
        yield _ProgressLines()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=max(total, 1))
            bar.update(tasks[stage], completed=done if total else 1, total=max(total, 1))

        yield tell


@contextmanager
def messages_beside(*outputs: str | Path | None) -> Iterator[None]:
    """What is printed goes to standard error where standard output takes one of the files."""
    if any(p is not None and is_stdout(p) for p in outputs):
        with redirect_stdout(sys.stderr):
            yield
    else:
        yield


class _ProgressLines:
    """One line when a stage begins and, for the long one, one a few seconds."""

    def __init__(self) -> None:
        self.stage, self.last = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self.stage or (done < total and now - self.last > 5):
            count = f" {done}/{total}" if done else ""
            say(f"{stage}{count} …")
            self.stage, self.last = stage, now
