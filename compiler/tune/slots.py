"""Several batches at once: a thread for each slot of an executor, which waits there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def run_on_slots(
    jobs: Iterator[Callable[[], T]],
    done: Callable[[int, T], None],
    slots: int,
    cancel: Callable[[], None],
) -> None:
    """Run jobs, as many at once as there are ``slots``, one after another in this thread where that
    is one. ``done`` is called in this thread with the number of a job and what it returned, as
    jobs end. A job is asked for when a slot is free.

    An error of a job is raised when the others that run have ended. What interrupts this thread
    (Ctrl-C) calls ``cancel``, which lets the others end soon. Either way what they returned is
    told.
    """
    if slots == 1:
        try:
            for k, job in enumerate(jobs):
                done(k, job())
        except BaseException as e:
            if not isinstance(e, Exception):
                cancel()
            raise
        return
    running: dict[Future[T], int] = {}
    numbered = enumerate(jobs)
    with ThreadPoolExecutor(slots, "weft-slot") as pool:
        try:
            while True:
                while len(running) < slots and (item := next(numbered, None)) is not None:
                    running[pool.submit(item[1])] = item[0]
                if not running:
                    return
                _tell_ended(running, done)
        except BaseException as e:
            if not isinstance(e, Exception):
                cancel()
            while running:
                _tell_ended(running, done, quiet=True)
            raise


def _tell_ended(
    running: dict[Future[T], int], done: Callable[[int, T], None], *, quiet: bool = False
) -> None:
    """Wait for at least one of those that run, and tell of all that ended, in order; with ``quiet``
    not of errors, as one is under way already."""
    ended = wait(running, return_when=FIRST_COMPLETED).done
    for future in sorted(ended, key=running.__getitem__):
        number = running.pop(future)
        if quiet and future.exception() is not None:
            continue
        done(number, future.result())
