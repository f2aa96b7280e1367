"""Measurement functions for tests of the tuner; a worker process imports them by name.

Whatever the candidate is, the default schedule (every answer absent or ``{}``) takes 1 ms.
"""

import os
import signal
import time
from pathlib import Path

from weft.compiler.schedules.choices import Choices
from weft.compiler.tune.measure import Measurement


def is_default(task, config):
    choices = Choices(config)
    task.nests(choices)
    return choices.is_default


def quick(task, configs, threads):
    """Others than the default are a little faster, each by another amount."""
    return [
        Measurement("ok", 1e-3 if is_default(task, c) else 5e-4 + len(str(c)) * 1e-7)
        for c in configs
    ]


def slower(task, configs, threads):
    return [Measurement("ok", 1e-3 if is_default(task, c) else 2e-3) for c in configs]


def crash(task, configs, threads):
    if not all(is_default(task, c) for c in configs):
        os.kill(os.getpid(), signal.SIGSEGV)
    return quick(task, configs, threads)


def hang(task, configs, threads):
    while not all(is_default(task, c) for c in configs):
        pass
    return quick(task, configs, threads)


def raises(task, configs, threads):
    if not all(is_default(task, c) for c in configs):
        raise AssertionError("an invariant")
    return quick(task, configs, threads)


def logged(task, configs, threads):
    """As ``quick``, slowly, and with the process written to a file first."""
    Path(os.environ["TUNE_HOOKS_LOG"]).write_text(str(os.getpid()))
    time.sleep(0.2)
    return quick(task, configs, threads)


def doomed(task, configs, threads):
    """As ``quick``; but the first candidate that is not the default waits for whoever started this
    process to be killed, and says who that is: as a file in the folder ``TUNE_HOOKS_LOG``."""
    if not all(is_default(task, c) for c in configs):
        folder = Path(os.environ["TUNE_HOOKS_LOG"])
        try:
            (folder / "taken").touch(exist_ok=False)
        except FileExistsError:
            return quick(task, configs, threads)
        (folder / "new").write_text(str(os.getppid()))
        (folder / "new").rename(folder / "victim")
        time.sleep(300)  # a process whose parent is gone ends itself
    return quick(task, configs, threads)
