"""The two ends of a session at the hub, and what passes between them.

Pages speak WebSocket. Python upgrades its HTTP request to a bare stream of frames, since the mask
that a WebSocket lays over all that a client sends costs more than sending it. An end hands on what
comes without keeping it; where the other end takes no more, it reads no more.
"""

from __future__ import annotations

import asyncio
import select
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from . import protocol
from .gate import Gate
from .stream import notice_silence

_BUFFER = 1 << 20  # bytes that are read at once
_AHEAD = 4 << 20  # bytes that wait to be sent before an end is full
_LINGER = 5.0  # seconds for what was sent to go before a connection is cut
_LOOK = 1.0  # seconds between looks whether somebody to whom nobody listens is there
_PING = 20.0  # seconds: what is between may drop a WebSocket of which it sees nothing
_HUNG_UP = getattr(select, "POLLRDHUP", 0)  # beside POLLHUP and POLLERR, which are always told

# Returns whether it is done with the bytes, which may then be overwritten.
Receiver = Callable[[memoryview], bool]


class End(ABC):
    """One connection. It reads nothing until it is told to (:meth:`read_on`).

    ``receiver`` gets the bytes that come; ``on_full`` hears when this end takes no more for now
    (``full``), and when it does again. ``closed`` says that nothing more will come, or is wanted.
    What is wrong with the bytes that came is in ``fault``, and the bytes after it go nowhere.
    """

    def __init__(self, transport: Any, limit: int):
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._gate = Gate(limit)
        self._going, self._closing = False, False
        self._look: asyncio.TimerHandle | None = None
        self._cut: asyncio.TimerHandle | None = None
        self.receiver: Receiver = lambda data: True
        self.on_full: Callable[[bool], None] = lambda full: None
        self.full = False
        self.fault = ""
        self.closed = asyncio.Event()
        transport.set_write_buffer_limits(high=_AHEAD)
        notice_silence(transport.get_extra_info("socket"))
        self._watch()

    @abstractmethod
    def send(self, data: Any) -> bool:
        """Hand on bytes, without waiting; whether they are not needed any more."""

    @abstractmethod
    def _read(self, going: bool) -> None:
        """Read, or do not."""

    @abstractmethod
    def _close(self) -> None:
        """Close after what was sent."""

    @property
    def queued(self) -> int:
        """Bytes that wait here to be sent."""
        return int(self._transport.get_write_buffer_size())

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a message of the hub itself."""
        self.send(b"".join(protocol.encode(kind, 0, fields)))

    def received(self, data: memoryview) -> bool:
        """Bytes have come; returns whether they are not needed any more."""
        if self.fault or self._closing:
            return True
        try:
            self._gate.look(data)
        except protocol.ProtocolError as e:
            self.fault = str(e)
            self.read_on(False)
            self.closed.set()
            return True
        return self.receiver(data)

    def read_on(self, going: bool) -> None:
        """Read on, or stop until told otherwise."""
        going = going and not self.fault
        if going == self._going or self._closing:
            return
        self._going = going
        self._read(going)
        if not going:
            self._watch()

    def close(self) -> None:
        """Close after what was sent, or cut the connection when that does not go; once more does
        nothing."""
        if self._closing:
            return
        self._closing = True
        self.closed.set()
        self._cut = self._loop.call_later(_LINGER, self._abort)
        self._close()

    def lost(self) -> None:
        """The connection is no more."""
        self._closing = True
        self.closed.set()
        if self._look is not None:
            self._look.cancel()

    def _watch(self) -> None:
        """Whoever does not read would not hear that the other side is gone: look."""
        if self._look is not None:
            self._look.cancel()
        self._look = None
        if self._going or self._closing:
            return
        if _hung_up(self._transport):
            self._abort()
            self.closed.set()
        else:
            self._look = self._loop.call_later(_LOOK, self._watch)

    def _abort(self) -> None:
        if _fd(self._transport) >= 0:
            self._transport.abort()

    def _set_full(self, full: bool) -> None:
        if full != self.full:
            self.full = full
            self.on_full(full)


class StreamEnd(End, asyncio.BufferedProtocol):
    """A bare stream: the request's connection, taken over from the web server."""

    def __init__(self, request: web.Request, limit: int):
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the connection is gone already")
        self._buffer = memoryview(bytearray(_BUFFER))
        self._server = request.protocol  # counts its connections
        super().__init__(transport, limit)
        transport.pause_reading()
        transport.set_protocol(self)

    @staticmethod
    def wanted(request: web.Request) -> bool:
        """Whether a request asks for it."""
        return request.headers.get("Upgrade", "").lower() == protocol.UPGRADE

    @classmethod
    async def begin(cls, request: web.Request, limit: int) -> tuple[StreamEnd, web.StreamResponse]:
        """The end, and the answer to the request, for which the other side waits."""
        answer = web.StreamResponse(
            status=101, headers={"Upgrade": protocol.UPGRADE, "Connection": "Upgrade"}
        )
        made = cls(request, limit)
        await answer.prepare(request)
        answer.force_close()
        return made, answer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self.received(self._buffer[:nbytes]):
            self._buffer = memoryview(bytearray(_BUFFER))

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()
        if self._cut is not None:
            self._cut.cancel()
        self._server.connection_lost(exc)

    def pause_writing(self) -> None:
        self._set_full(True)

    def resume_writing(self) -> None:
        self._set_full(False)

    def send(self, data: Any) -> bool:
        if self._transport.is_closing():
            return True
        self._transport.write(data)
        return not self._transport.get_write_buffer_size()

    def _read(self, going: bool) -> None:
        if going:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _close(self) -> None:
        self._transport.close()


class SocketEnd(End):
    """A WebSocket. Its messages are pieces of the stream of frames.

    The web server reads its messages and answers pings; messages to it are written here, whole, so
    that bytes go on as they came.
    """

    def __init__(self, request: web.Request, limit: int):
        if request.transport is None:
            raise ConnectionResetError("the connection is gone already")
        self._socket = web.WebSocketResponse(
            compress=False, max_msg_size=2 * protocol.CHUNK, timeout=_LINGER
        )
        self._request = request
        self._go = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(request.transport, limit)

    async def serve(self, ready: Callable[[], None]) -> web.StreamResponse:
        """Until the connection ends; ``ready`` is called when it has begun."""
        pings = self._do(self._ping())
        try:
            await self._socket.prepare(self._request)
            ready()
            while True:
                await self._go.wait()
                message = await self._socket.receive()
                if message.type is WSMsgType.BINARY:
                    self.received(memoryview(message.data))
                elif message.type is not WSMsgType.TEXT:
                    return self._socket
        finally:
            pings.cancel()
            self.close()
            self.lost()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING)
            if not self._transport.is_closing():
                self._transport.write(b"\x89\x00")

    def send(self, data: Any) -> bool:
        view, transport = memoryview(data), self._transport
        for at in range(0, view.nbytes, protocol.CHUNK):
            if transport.is_closing() or self._closing:
                return True
            piece = view[at : at + protocol.CHUNK]
            transport.write(_head(piece.nbytes))
            transport.write(piece)
        waiting = self.queued
        if waiting > _AHEAD and not self.full:
            self._set_full(True)
            self._do(self._drained())
        return not waiting

    async def _drained(self) -> None:
        try:
            await self._request.writer.drain()
        except ConnectionError:
            return
        self._set_full(False)

    def _read(self, going: bool) -> None:
        if going:
            self._go.set()
        else:
            self._go.clear()

    def _close(self) -> None:
        self._go.set()
        self._do(self._say_goodbye())

    async def _say_goodbye(self) -> None:
        try:
            await self._socket.close()
        except (ConnectionError, RuntimeError):  # it is gone, or had not begun
            self._transport.close()

    def lost(self) -> None:
        super().lost()
        self._go.set()

    def _watch(self) -> None:
        super()._watch()
        if self.closed.is_set() and not self.fault:
            self._go.set()

    def _do(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _head(nbytes: int) -> bytes:
    """The head of a message of a server's (RFC 6455, section 5.2): binary, whole, no mask."""
    if nbytes < 126:
        return struct.pack(">BB", 0x82, nbytes)
    if nbytes < 1 << 16:
        return struct.pack(">BBH", 0x82, 126, nbytes)
    return struct.pack(">BBQ", 0x82, 127, nbytes)


def _hung_up(transport: Any) -> bool:
    """Whether the other side has closed or reset a connection, whatever is still to be read."""
    fd = _fd(transport)
    if fd < 0 or not hasattr(select, "poll"):
        return fd < 0
    poll = select.poll()
    poll.register(fd, _HUNG_UP)
    return bool(poll.poll(0))


def _fd(transport: Any) -> int:
    """The file of a connection; -1 when it is no more."""
    return int(transport.get_extra_info("socket").fileno())


__all__ = ["End", "SocketEnd", "StreamEnd"]
