"""A device server: this machine's processor and drivers, for clients of a hub.

Each client has a process of its own, a fork of this one, which ends with its session: what a kernel
does to a process (it crashes, it loops) it does to that one alone. Nothing here compiles; it needs
``weft.runtime`` and its packages.
"""

from __future__ import annotations

import json
import os
import platform
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from ..devices.probe import probe
from ..devices.table import DEVICES, resolve
from ..errors import InputError, RPCError
from .answer import Answering
from .link import LinkLost, LinkTimeout
from .protocol import VERSION, encode
from .stream import Address, StreamLink, until

_AGAIN = (0.25, 0.5, 1.0, 2.0, 5.0)  # seconds until it connects anew
_SEND = 30.0  # seconds for a message to the hub
_FOREVER = 1e6  # ten days

Tell = Callable[[str], None]


def here() -> tuple[str, ...]:
    """The kinds of targets that run in this process's machine, not in a page."""
    return tuple(k for k, row in DEVICES.items() if row.runner is not None and not row.away)


def serve(address: Address, key: str, kinds: Sequence[str], tell: Tell = print) -> None:
    """Be a device of a hub until interrupted; comes back by itself when the hub does.

    Raises :class:`InputError` for a kind that never runs here, and :class:`RPCError` when the first
    connection fails, or the hub refuses.
    """
    wrong = [k for k in kinds if k not in here()]
    if wrong:
        raise InputError(
            f"{wrong[0]} cannot be served from Python.", hint=f"targets: {', '.join(here())}"
        )
    targets = _in_child(lambda: {k: describe(k) for k in kinds})
    for kind, found in targets.items():
        tell(f"{kind}: {found['name']}" if "limits" in found else f"no {kind}: {found['name']}")
    if not any("limits" in found for found in targets.values()):
        raise RPCError.of("connect", f"nothing here runs {' or '.join(targets)}.")
    name = f"{platform.node()}: " + "; ".join(t["name"] for t in targets.values() if "limits" in t)
    attempt, first = 0, True
    while True:
        try:
            link = StreamLink(address, "device")
        except RPCError as e:
            if first or e.step == "refused":
                raise
            tell(f"{e.message} Trying again …")
            time.sleep(_AGAIN[min(attempt, len(_AGAIN) - 1)])
            attempt += 1
            continue
        attempt, first = 0, False
        try:
            _Server(link, address, name, tuple(kinds), tell).run(key, targets)
        except (LinkLost, LinkTimeout) as e:
            tell(f"the hub is gone: {e}. Connecting again …")
        finally:
            link.end()


def describe(kind: str) -> dict[str, Any]:
    """What a kind of target has here: ``name``, and ``limits`` where programs of it can run."""
    found = probe(kind)
    if not found.ok:
        return {"name": found.reason}
    machine = DEVICES[kind].machine
    limits = resolve(machine)() if machine is not None else dict(found.limits)
    return {"name": found.description, "limits": limits}


class _Server:
    """One connection to the hub."""

    def __init__(
        self, link: StreamLink, address: Address, name: str, kinds: tuple[str, ...], tell: Tell
    ):
        self._link, self._address, self._name, self._kinds = link, address, name, kinds
        self._tell = tell
        self._session, self._child = "", 0
        # Two pipes: of one the child holds the end, so that this hears when it ends, however that
        # is; of the other this does, for the child.
        self._watch = self._held = -1

    def run(self, key: str, targets: dict[str, Any]) -> None:
        link = self._link
        link.tell("join", until(_SEND), version=VERSION, key=key, name=self._name, targets=targets)
        try:
            while True:
                watched = [link.fileno()] + ([self._watch] if self._watch >= 0 else [])
                ready, _, _ = select.select(watched, [], [])
                if self._watch in ready:
                    self._end("the process of the session ended with ")
                if link.fileno() in ready:
                    self._hear(link.hear(until(_SEND))[0])
                while link.pending:
                    self._hear(link.hear(until(_SEND))[0])
        except KeyboardInterrupt:
            with suppress(LinkLost, LinkTimeout):
                link.tell("leave", until(1), why=f"{self._name} was stopped")
            raise
        finally:
            if self._child:
                self._kill()

    def _hear(self, said: dict[str, Any]) -> None:
        kind = said["kind"]
        if kind == "joined":
            self._tell(f"ready: device {said['number']} of {self._address}")
        elif kind == "begin":
            self._begin(said["session"], said["client"])
        elif kind == "end" and self._child and said["session"] == self._session:
            self._end("")
        elif kind == "refused":
            raise RPCError.of("refused", said["message"], where=str(self._address))

    def _begin(self, session: str, client: str) -> None:
        if self._child:
            self._kill()
        self._tell(f"a session for {client}")
        self._watch, ours = os.pipe()
        theirs, self._held = os.pipe()
        self._session, self._child = session, os.fork()
        if self._child:
            os.close(ours)
            os.close(theirs)
            return
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._watch)
            os.close(self._held)
            # A kernel may keep the other thread for ever.
            Thread(target=_end_with, args=(theirs,), daemon=True).start()
            self._link.end()
            _answer(self._address, session, self._name, self._kinds)
            code = 0
        except BaseException as e:
            print(f"weft: the session failed: {type(e).__name__}: {e}", file=sys.stderr)
        finally:
            os._exit(code)

    def _end(self, why: str) -> None:
        session, status = self._session, self._kill()
        if not status:
            why = ""  # its connection has ended: the hub knows before it tells
        elif why:
            if status < 0:
                why += f"signal {-status} ({signal.Signals(-status).name})"
            else:
                why += f"exit code {status}"
            self._tell(why)
        self._link.tell("free", until(_SEND), session=session, why=why)

    def _kill(self) -> int:
        """End the session's process, if it has not ended, and those that it has started: its exit
        code, or minus its signal."""
        child, self._child, self._session = self._child, 0, ""
        for kill in (os.killpg, os.kill):  # it is no group yet where it has just begun
            with suppress(ProcessLookupError, PermissionError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(self._watch)
        os.close(self._held)
        self._watch = self._held = -1
        return os.waitstatus_to_exitcode(status)


def _end_with(pipe: int) -> None:
    """End this process when the other end of a pipe is closed."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _answer(address: Address, session: str, name: str, kinds: tuple[str, ...]) -> None:
    """In the session's process: answer until the connection ends."""
    link = StreamLink(address, f"session/{session}")
    answering = Answering(name, kinds)
    with suppress(LinkLost):
        while True:
            header, parts = link.hear(until(_FOREVER))
            said = answering.answer(header, parts)
            if said is not None:
                kind, fields, out = said
                link.send(encode(kind, header["id"], fields, out), until(_FOREVER))


def _in_child(call: Callable[[], Any]) -> Any:
    """What a function returns, as JSON, of a process of its own: drivers that it loads do not stay,
    so that this one can fork."""
    come, go = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(go, json.dumps(call()).encode())
        finally:
            os._exit(0)
    os.close(go)
    with open(come) as file:
        text = file.read()
    os.waitpid(child, 0)
    if not text:
        raise RPCError.of("connect", "a driver of this machine ended the process that asked it.")
    return json.loads(text)


__all__ = ["describe", "here", "serve"]
