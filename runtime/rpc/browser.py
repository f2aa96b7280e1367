"""A Chromium of our own, with one page: the first program for ``webgl`` starts it, and it stays."""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..devices.pages import chromium
from ..errors import DeviceError
from ..forks import load_module
from .chrome import Chromium
from .link import Link, LinkLost, LinkTimeout, left

if TYPE_CHECKING:
    from .server import PageServer

_START = 120  # seconds until the page is there, on a busy machine


class BrowserLink(Link):
    """Raises :class:`DeviceError` where there is no Chromium, or it does not start."""

    name = "Chromium"

    def __init__(self) -> None:
        super().__init__()
        chromium()  # where there is none, nothing is started
        self._server: PageServer = load_module("..server", __name__).PageServer()
        self._rest = memoryview(b"")  # of what has come
        self._err, err = os.pipe()
        self._open = True
        try:
            self._chromium = Chromium(self._server.address, err)
        finally:
            os.close(err)
        self._child = self._chromium.process
        os.set_blocking(self._err, False)
        self._server.loop.call_soon_threadsafe(
            self._server.loop.add_reader, self._err, self._listen
        )
        try:
            self._await_page(time.monotonic() + _START)
        except BaseException:
            self.end()
            raise

    def _await_page(self, deadline: float) -> None:
        while not self._server.connected.wait(0.05):
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise DeviceError(
                    f"Chromium does not start; its last words:\n{self.last_words}",
                    hint="see that this runs: chromium --headless=new --no-sandbox about:blank",
                )

    def _listen(self) -> None:
        """In the thread of the server: hear what was printed."""
        try:
            text = os.read(self._err, 65536)
        except BlockingIOError:
            return
        self.keep_words(text)
        if not text:
            self._server.loop.remove_reader(self._err)

    def send(self, chunks: Sequence[Any], deadline: float) -> None:
        """See :meth:`Link.send`."""
        if not self.alive:
            raise self._lost()
        sent = self._server.send(chunks)
        try:
            sent.result(left(deadline))
        except TimeoutError:
            raise LinkTimeout from None
        except (ConnectionError, asyncio.CancelledError, RuntimeError):
            raise self._lost() from None
        finally:
            sent.cancel()  # Ctrl-C, too: nobody reads the caller's arrays after this

    def receive(self, into: memoryview, deadline: float) -> None:
        """See :meth:`Link.receive`."""
        while into.nbytes:
            if not self._rest.nbytes:
                self._rest = self._next(deadline)
            n = min(into.nbytes, self._rest.nbytes)
            into[:n] = self._rest[:n]
            into, self._rest = into[n:], self._rest[n:]

    def _next(self, deadline: float) -> memoryview:
        try:
            chunk = self._server.inbox.get(timeout=left(deadline))
        except queue.Empty:
            raise LinkTimeout from None
        if chunk is None:
            raise self._lost()
        return memoryview(chunk)

    def _lost(self) -> LinkLost:
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(0.5)
        code = self._child.poll()
        return LinkLost("its page is gone" if code is None else f"it ended with exit code {code}")

    @property
    def alive(self) -> bool:
        """See :meth:`Link.alive`."""
        return self._open and self._server.alive and self._child.poll() is None

    def end(self) -> None:
        """See :meth:`Link.end`."""
        if not self._open:
            return
        self._open = False
        self._chromium.end()
        self._server.stop()
        os.close(self._err)

    def abandon(self) -> None:
        """See :meth:`Link.abandon`. The sockets go with what holds them."""
        if self._open:
            self._open = False
            self._chromium.abandon()
            os.close(self._err)


__all__ = ["BrowserLink"]
