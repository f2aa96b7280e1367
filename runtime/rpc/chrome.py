"""A Chromium without a window that shows one page, and ends when this process does.

Its profile goes with it. It listens to a pipe (``--remote-debugging-pipe``) of which nothing is
asked: when this process ends, however it ends, the pipe is closed and so is the browser. It is in a
session of its own, so that Ctrl-C is for Python alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress

from ..devices.pages import FLAGS, chromium

_END = 5  # seconds until it has ended by itself
_FLAGS = (
    *FLAGS,
    "--headless=new",
    "--remote-debugging-pipe",
    "--max-active-webgl-contexts=1024",  # one a program; the oldest are taken away beyond 16
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-extensions",
    "--disable-sync",
)
# The pipe is what Chromium has as 3 (and 4, where it would answer); the profile is removed by
# somebody who outlives us.
_COMMAND = 'exec 3<&0 4>&1 </dev/null >/dev/null; dir=$1; shift; "$@"; rm -rf "$dir"'


class Chromium:
    """Raises :class:`~weft.runtime.errors.DeviceError` where there is none on the PATH.

    Parameters
    ----------
    address : what it opens.
    stderr : a file descriptor for what it prints; by default nobody hears that.
    """

    def __init__(self, address: str, stderr: int = subprocess.DEVNULL):
        executable = chromium()
        self._profile = tempfile.mkdtemp(prefix="weft-browser-")
        order, self._order = os.pipe()
        words = [executable, *_FLAGS, f"--user-data-dir={self._profile}", address]
        self._open = True
        try:
            self.process = subprocess.Popen(
                ["sh", "-c", _COMMAND, "sh", self._profile, *words],
                stdin=order, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(order)

    def end(self) -> None:
        """End it, and wait until it has; once more does nothing."""
        if not self._open:
            return
        self._open = False
        os.close(self._order)
        try:
            self.process.wait(_END)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            shutil.rmtree(self._profile, ignore_errors=True)

    def abandon(self) -> None:
        """In a fork: leave it to the parent."""
        if self._open:
            self._open = False
            os.close(self._order)
            self.process.returncode = 0  # it is the parent's to wait for

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


__all__ = ["Chromium"]
