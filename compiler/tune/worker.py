"""A process that may die: candidates are compiled and run in it, never in the tuner itself.

The parent sends a function and its arguments, the child answers with its result. A child that is
silent for too long is killed, one that dies is replaced at the next call; both are answers, too.
A child whose parent is gone ends itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from ...runtime.errors import TuneError, WeftError

START_TIMEOUT = 120.0  # seconds to import weft on a busy machine


@dataclass(frozen=True)
class Answer:
    """``state`` is ``"ok"`` (with ``value``), ``"failed"`` (the function raised), ``"timeout"`` or
    ``"crashed"``; ``message`` says what happened."""

    state: str
    value: Any = None
    message: str = ""


class Worker:
    """A child process, started when it is needed; a context manager that ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._errors: Any = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Answer:
        """``function(*args)`` in the child, within ``timeout`` seconds. The function must be one
        that the child can import.

        Raises :class:`TuneError` when no child can be started.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        pipe = self._pipe
        assert pipe is not None
        try:
            pipe.send((function, args))
            if not pipe.poll(timeout):
                self.stop()
                return Answer("timeout", None, f"no answer within {timeout:.0f} s")
            state, value, message = pipe.recv()
        except (EOFError, OSError):
            return Answer("crashed", None, self._epitaph())
        return Answer(state, value, message)

    def kill(self) -> None:
        """End the child from another thread: what :meth:`run` waits for has then crashed."""
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the child, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _start(self) -> None:
        self.stop()
        ours, theirs = Pipe()
        code = (
            "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
            "import weft.compiler.tune.measure;"  # slow, and not the first candidate's fault
            "from weft.compiler.tune.worker import serve; serve(int(sys.argv[2]))"
        )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(sys.path), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
        )
        theirs.close()
        self._pipe = ours
        try:
            ready = ours.poll(START_TIMEOUT) and ours.recv() == "ready"
        except (EOFError, OSError):
            ready = False
        if not ready:
            raise TuneError(f"no worker process can be started: {self._epitaph()}.")

    def _epitaph(self) -> str:
        """How the child ended, with the last line that it wrote."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode or 0
        try:
            how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        except ValueError:
            how = f"signal {-code}"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self.stop()
        return f"{how}: {lines[-1]}" if lines else how


def serve(descriptor: int) -> None:
    """The child's loop."""
    pipe = Connection(descriptor)
    threading.Thread(target=_outlive_nobody, args=(os.getppid(),), daemon=True).start()
    pipe.send("ready")
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(("ok", function(*args), ""))
        except (WeftError, AssertionError, ArithmeticError, LookupError, MemoryError) as e:
            pipe.send(("failed", None, f"{type(e).__name__}: {e}"))


def _outlive_nobody(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
