"""The other side of this process: one for each host, started when first needed and kept.

What goes wrong in the middle of a message (the other side dies, takes too long, Ctrl-C) ends it;
the next call starts a new one, and programs are loaded there again. A fork has none, and starts its
own.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from .. import forks, knobs
from ..devices.program import inside
from ..devices.table import BROWSER, NODE
from ..errors import DeviceError, RPCError
from . import protocol
from .browser import BrowserLink
from .link import Link, LinkLost, LinkTimeout
from .node import NodeLink

_AGAIN = "call again, which starts a new one"
_STEPS = {"hello": "connect", "load": "compile", "put": "upload"}  # of what runs there: "run"


class Peer:
    """Safe to use from several threads, which take turns.

    Parameters
    ----------
    start : makes the link.
    timeout : seconds for each message; None: those of ``WEFT_RPC_TIMEOUT``.
    remote : whether it is on the other side of a hub: what goes wrong is then a
        :class:`~weft.runtime.errors.RPCError`, which says at which step.
    """

    def __init__(
        self, start: Callable[[], Link], timeout: float | None = None, remote: bool = False
    ):
        self._start, self._seconds, self.remote = start, timeout, remote
        self._link: Link | None = None
        self._lock = forks.renewed(self, "_lock")
        self._busy = False  # whether the thread that has the lock is in the middle of a message
        forks.in_child(self, Peer._forget)

    @contextmanager
    def session(self, where: str) -> Iterator[Session]:
        """The other side for the messages of one call, started if there is none.

        Raises :class:`DeviceError` in the middle of another call of the same thread, where the
        other side cannot be started, and for what goes wrong with it in the context.
        """
        with self._lock:
            if self._busy:
                raise inside(where)
            self._busy = True
            try:
                yield Session(self._ready(where), where, self.timeout, self.remote)
            except LinkLost as e:
                raise self._failed(f"{e}", where, step=e.step) from None
            except LinkTimeout:
                raise self._failed(
                    f"it did not answer within {self.timeout:g} seconds", where,
                    "timeout=SECONDS (--timeout) waits longer" if self.remote
                    else "WEFT_RPC_TIMEOUT=SECONDS waits longer", "timeout",
                ) from None  # fmt: skip
            finally:
                self._busy = False

    def _ready(self, where: str) -> Link:
        if self._link is not None and not self._link.alive:
            self.end()
        if self._link is None:
            made = self._start()
            self._link = made
            session = Session(made, where, self.timeout, self.remote)
            welcome, _ = session.ask("hello", {"version": protocol.VERSION})
            if not self.remote:
                made.name = welcome["platform"]
        return self._link

    @property
    def timeout(self) -> float:
        """Seconds for each message."""
        return self._seconds if self._seconds is not None else knobs.rpc_timeout()

    def _failed(
        self, why: str, where: str, hint: str = _AGAIN, step: str = "peer gone"
    ) -> DeviceError:
        link = self._link
        name, words = (link.name, link.last_words) if link else ("the other side", "")
        self.end()
        said = f"; its last words:\n{words}" if words else ""
        text = f"{name} does not serve any more: {why}{said}"
        if self.remote:
            return RPCError.of(step, text, where=where, hint=hint)
        return DeviceError(text, where=where, hint=hint)

    def drop(self, link: Link, handle: int) -> None:
        """Free a program there, now or before the next message. Never raises."""
        link.unwanted.append(handle)
        if link is not self._link or not self._lock.acquire(blocking=False):
            return
        try:
            if not self._busy and link.alive:
                with suppress(LinkLost, LinkTimeout):
                    link.tell_unwanted(time.monotonic() + 1)
        finally:
            self._lock.release()

    @property
    def started(self) -> bool:
        """Whether the other side is there."""
        return self._link is not None and self._link.alive

    def state(self) -> Mapping[str, int]:
        """How many ``programs``, ``buffers`` and ``bytes`` the other side holds."""
        with self.session("state") as session:
            said, _ = session.ask("state", {})
        return {k: int(said[k]) for k in protocol.KINDS["stated"].fields}

    def end(self) -> None:
        """End the other side; the next call starts a new one."""
        link, self._link = self._link, None
        if link is not None:
            link.end()

    def _forget(self) -> None:
        link, self._link, self._busy = self._link, None, False
        if link is not None:
            link.abandon()


class Session:
    """The messages of one call."""

    def __init__(self, link: Link, where: str, timeout: float, remote: bool):
        self.link, self._where, self._timeout, self._remote = link, where, timeout, remote

    def ask(
        self, kind: str, fields: dict[str, Any], parts: protocol.Parts = ()
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The answer to a message. Raises what an ``error`` says, and as :meth:`Link.ask` does."""
        done = False
        try:
            answer = self.link.ask(kind, fields, parts, self._timeout)
            done = True
        finally:
            if not done:
                self.link.end()  # Ctrl-C, too: the answer would come to the next question
        if answer[0]["kind"] == "error":
            step = _STEPS.get(kind, "run") if self._remote else ""
            raise protocol.error_of(answer[0], self._where, step)
        return answer


PEERS = {NODE: Peer(NodeLink), BROWSER: Peer(BrowserLink)}


@atexit.register
def end_all() -> None:
    """End what this process has started."""
    for peer in PEERS.values():
        peer.end()


__all__ = ["PEERS", "Peer", "Session", "end_all"]
