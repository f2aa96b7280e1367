"""The messages of the hub's own that come from one connection."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from . import protocol
from .ends import End

_MOST = 1 << 20  # bytes of one: who a device is, and its limits
_TYPES = {"version": int, "number": int, "targets": dict}  # all others are words


class Messages:
    """Puts them together, as long as they are of :data:`protocol.CONTROL`."""

    def __init__(self, end: End):
        self._end = end
        self._bytes = bytearray()
        self._came = asyncio.Event()
        end.receiver = self._receive
        end.read_on(True)

    def _receive(self, data: memoryview) -> bool:
        self._bytes += data
        if len(self._bytes) > _MOST + protocol.PREFIX.size:
            self._end.read_on(False)
        self._came.set()
        return True

    async def next(self) -> dict[str, Any] | None:
        """The next one; None when the connection has ended. Raises
        :class:`protocol.ProtocolError` for what is none."""
        while True:
            said = self._take()
            if said is not None:
                return said
            if self._end.fault:
                raise protocol.ProtocolError(self._end.fault)
            if self._end.closed.is_set():
                return None
            await first_of(self._came.wait(), self._end.closed.wait())

    def _take(self) -> dict[str, Any] | None:
        self._came.clear()
        start = protocol.PREFIX.size
        if len(self._bytes) < start:
            return None
        length, payload = protocol.sizes(self._bytes[:start])
        if length + payload > _MOST:
            raise protocol.ProtocolError(f"{length + payload} bytes are no message of the hub's")
        if len(self._bytes) < start + length + payload:
            return None
        header = bytes(self._bytes[start : start + length])
        del self._bytes[: start + length + payload]
        said, _ = protocol.decode(header, np.zeros(payload, np.uint8))
        _check(said)
        self._end.read_on(True)
        return said

    def pause(self) -> None:
        """Leave what comes where it is."""
        self._end.read_on(False)

    def rest(self) -> bytes:
        """What has come beyond the messages that were taken. This takes no more."""
        rest = bytes(self._bytes)
        self._bytes.clear()
        self._end.receiver = lambda data: True
        return rest


def _check(said: dict[str, Any]) -> None:
    """That a message is one to the hub, and its fields are what they should be."""
    kind = protocol.CONTROL.get(said["kind"])
    if kind is None:
        raise protocol.ProtocolError(f"'{said['kind']}' is no message to the hub")
    for name in kind.fields:
        if not isinstance(said[name], _TYPES.get(name, str)):
            raise protocol.ProtocolError(f"'{name}' of a message '{kind.name}' is wrong")
    if not all(isinstance(t, dict) for t in said.get("targets", {}).values()):
        raise protocol.ProtocolError("a target of a device is described by its name and limits")


async def first_of(*things: Any) -> None:
    """Until one of them is there; the others are cancelled."""
    tasks = [asyncio.ensure_future(t) for t in things]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for t in tasks:
            t.cancel()


__all__ = ["Messages", "first_of"]
