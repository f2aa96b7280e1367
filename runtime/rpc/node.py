"""A Node of our own, over pipes: the first program for ``wasm`` starts it, and it stays.

It is in a session of its own, so that Ctrl-C is for Python alone, and ends when its pipes do:
however this process ends, nothing is left running.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..devices.pages import node
from ..errors import DeviceError
from .link import Link, LinkLost, left

RUNTIME = Path(__file__).resolve().parents[2] / "runtime_js"
_SCRIPT = RUNTIME / "rpc" / "node.mjs"
_PIPE = 1 << 20  # bytes that a pipe may hold, where the system grants it
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux, which Python's fcntl knows by name there only


class NodeLink(Link):
    """Raises :class:`DeviceError` where there is no Node, or it does not start."""

    name = "Node"

    def __init__(self) -> None:
        super().__init__()
        executable = node()
        watched, self._lifeline = os.pipe()
        try:
            self._child = subprocess.Popen(
                [executable, str(_SCRIPT), str(watched)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                pass_fds=[watched], start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as e:
            os.close(self._lifeline)
            raise DeviceError(f"{executable} cannot be run: {e}.") from None
        finally:
            os.close(watched)
        assert self._child.stdin and self._child.stdout and self._child.stderr
        self._in, self._out, self._err = (
            self._child.stdin.fileno(), self._child.stdout.fileno(), self._child.stderr.fileno(),
        )  # fmt: skip
        for fd in (self._in, self._out, self._err):
            os.set_blocking(fd, False)
            _widen(fd)
        self._open = True

    def send(self, chunks: Sequence[Any], deadline: float) -> None:
        """See :meth:`Link.send`."""
        views = [memoryview(c) for c in chunks]
        while views:
            try:
                sent = os.writev(self._in, views[:64])
            except BlockingIOError:
                sent = 0
            except OSError:
                raise self._lost() from None
            while views and sent >= views[0].nbytes:
                sent -= views.pop(0).nbytes
            if views:
                views[0] = views[0][sent:]
                self._wait([], [self._in], deadline)

    def receive(self, into: memoryview, deadline: float) -> None:
        """See :meth:`Link.receive`."""
        while into.nbytes:
            try:
                got = os.readv(self._out, [into])
            except BlockingIOError:
                self._wait([self._out], [], deadline)
                continue
            if not got:
                raise self._lost()
            into = into[got:]

    def _wait(self, read: list[int], write: list[int], deadline: float) -> None:
        """Until one of our pipes is ready; what is printed meanwhile is heard."""
        while True:
            ready, free, _ = select.select([*read, self._err], write, [], left(deadline))
            if self._err in ready and not self._listen():
                ready, free, _ = select.select(read, write, [], left(deadline))
            if free or set(ready) & set(read):
                return

    def _listen(self) -> bool:
        """Hear what was printed; whether more may come."""
        with suppress(BlockingIOError):
            while text := os.read(self._err, 65536):
                self.keep_words(text)
            return False
        return True

    def _lost(self) -> LinkLost:
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)  # for its last words and its exit code
        self._listen()
        code = self._child.poll()
        how = f"signal {-code}" if code and code < 0 else f"exit code {code}"
        return LinkLost(f"it ended with {how}" if code is not None else "it closed its pipes")

    @property
    def alive(self) -> bool:
        """See :meth:`Link.alive`."""
        return self._open and self._child.poll() is None

    def end(self) -> None:
        """See :meth:`Link.end`."""
        if self._open:
            self._listen()
            self._close()
            self._child.kill()
            self._child.wait()

    def abandon(self) -> None:
        """See :meth:`Link.abandon`."""
        if self._open:
            self._close()
            self._child.returncode = 0  # it is the parent's to wait for

    def _close(self) -> None:
        self._open = False
        os.close(self._lifeline)
        for file in (self._child.stdin, self._child.stdout, self._child.stderr):
            if file is not None:
                with suppress(OSError):
                    file.close()


def _widen(fd: int) -> None:
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(fd, _SET_PIPE_SIZE, _PIPE)


__all__ = ["RUNTIME", "NodeLink"]
