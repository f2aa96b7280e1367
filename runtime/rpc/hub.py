"""The hub: brings clients and devices together.

One process, on loopback unless told otherwise. Devices (pages, machines with ``weft rpc serve``)
say who they are under a key; a client asks for a key, waits for its turn, and gets a *session* with
one device, which is its own until it goes. The hub passes the session's bytes on and reads only how
long each message is. Between sessions a device has freed all that the one before it left there: a
handle means nothing in another's session.

Who does not know the token gets nothing, and so does a page of another origin, or whoever names the
hub by a host that it does not have (a name that was rebound to it).
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from . import protocol
from .ends import End, SocketEnd, StreamEnd
from .messages import Messages, first_of
from .pages import HEADERS, device_page, module, status_page

DEFAULT_LIMIT = 1 << 30  # bytes of one message
_FREE_WITHIN = 3.0  # seconds that a device has to free itself
_TELL_WITHIN = 2.0  # seconds that a device has to say why a session of it ended
_JOIN_WITHIN = 20.0  # seconds from `begin` to the device's own connection for the session
_SPEAK_WITHIN = 10.0  # seconds from a connection to its first message
_SLOW_DOWN = 0.25  # seconds until who is wrong hears so
_FATES = 1000  # ended sessions that are remembered


@dataclass(eq=False)
class Device:
    """Somebody who runs programs. ``session`` is None while it is free."""

    number: int
    end: End
    key: str
    name: str
    targets: Mapping[str, Any]
    session: Session | None = None
    sessions: int = 0
    since: float = field(default_factory=time.time)
    freeing: asyncio.TimerHandle | None = None  # what ends it unless it frees itself

    def free(self) -> None:
        """Its session has ended there."""
        self.session = None
        if self.freeing is not None:
            self.freeing.cancel()


@dataclass(eq=False)
class Session:
    """A client on a device."""

    id: str
    device: Device
    client: End
    name: str  # of the client
    said: Messages  # what the client says before the device's connection is there
    data: End | None = None  # the device's connection for it
    over: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = field(default_factory=time.time)

    @property
    def queued(self) -> int:
        """Bytes that wait at the hub."""
        return self.client.queued + (self.data.queued if self.data is not None else 0)


@dataclass(eq=False)
class _Waiting:
    end: End
    said: Messages
    key: str
    name: str
    found: asyncio.Future[Session]
    told: tuple[int, int] = (-1, -1)  # how many are before it, and how many devices there are


class Hub:
    """The hub's state and its web application.

    Parameters
    ----------
    hosts : the names and ports that requests may name as their host, ``"127.0.0.1:9190"``.
    scheme : ``"http"`` or ``"https"``.
    token : what everybody has to know; random by default.
    limit : the most bytes of one message.
    """

    def __init__(
        self,
        hosts: set[str] | None = None,
        scheme: str = "http",
        token: str | None = None,
        limit: int = DEFAULT_LIMIT,
    ):
        self.hosts = hosts if hosts is not None else set()
        self.scheme, self.limit = scheme, limit
        self.token = token or secrets.token_urlsafe(24)
        self.devices: dict[int, Device] = {}
        self.sessions: dict[str, Session] = {}
        self.fates: OrderedDict[str, tuple[str, str]] = OrderedDict()  # step and why
        self.refusals = 0  # requests without the right token, host and origin
        self._queue: deque[_Waiting] = deque()
        self._numbers = 0

    def app(self) -> web.Application:
        """What serves all this."""
        app = web.Application(middlewares=[self._guard])
        get = app.router.add_get
        get("/{token}/", self._page)
        get("/{token}/status", self._status_page)
        get("/{token}/list", self._list)
        get("/{token}/fate/{session}", self._fate)
        get("/{token}/runtime/{path:.+}", module)
        get("/{token}/device", self._connection(self._device))
        get("/{token}/client", self._connection(self._client))
        get("/{token}/session/{session}", self._data)
        return app

    async def close(self) -> None:
        """Close every connection."""
        ends = [d.end for d in self.devices.values()] + [w.end for w in self._queue]
        for session in self.sessions.values():
            ends += [session.client, *([session.data] if session.data else [])]
        for end in ends:
            end.close()

    # -- who may come in ----------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        token = request.match_info.get("token", "").encode()
        if not hmac.compare_digest(token, self.token.encode()):
            return await self._refuse("the token is wrong")
        if request.host not in self.hosts:
            return await self._refuse("the hub is not called so: see weft rpc hub --name")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"{self.scheme}://{h}" for h in self.hosts}:
            return await self._refuse("pages of other origins have no business here")
        return await handler(request)

    async def _refuse(self, why: str) -> web.Response:
        self.refusals += 1
        await asyncio.sleep(_SLOW_DOWN)
        return web.Response(status=403, text=f"403: {why}\n")

    # -- pages --------------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return device_page()

    async def _status_page(self, request: web.Request) -> web.StreamResponse:
        return status_page()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.listing(), headers=HEADERS)

    async def _fate(self, request: web.Request) -> web.StreamResponse:
        session = request.match_info["session"]
        unknown = "" if session in self.sessions else "the hub has begun anew since"
        step, fate = self.fates.get(session, ("peer gone", unknown))
        return web.json_response({"step": step, "fate": fate})

    def listing(self) -> dict[str, Any]:
        """Who is there: what ``weft rpc list`` and the status page show."""
        now = time.time()
        devices = []
        for d in self.devices.values():
            busy = d.session
            devices.append({
                "number": d.number, "key": d.key, "name": d.name,
                "targets": {
                    k: str(t.get("name", "")) for k, t in d.targets.items() if "limits" in t
                },
                "client": busy.name if busy else "", "sessions": d.sessions,
                "seconds": round(now - (busy.since if busy else d.since), 1),
                "queued": busy.queued if busy else 0,
            })  # fmt: skip
        waiting = [{"key": w.key, "client": w.name} for w in self._queue]
        return {"devices": devices, "waiting": waiting, "refusals": self.refusals}

    # -- connections --------------------------------------------------------------------------

    def _connection(
        self, serve: Callable[[End, Messages], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that has ``serve`` speak with whoever connects."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._speak(request, lambda end: serve(end, Messages(end)))

        return handler

    async def _speak(
        self, request: web.Request, serve: Callable[[End], Awaitable[None]]
    ) -> web.StreamResponse:
        """Have ``serve`` speak over a connection, and close it after that."""
        if StreamEnd.wanted(request):
            stream, answer = await StreamEnd.begin(request, self.limit)
            await self._until_done(stream, serve)
            return answer
        end = SocketEnd(request, self.limit)
        started: list[asyncio.Task[None]] = []
        try:
            return await end.serve(
                lambda: started.append(asyncio.create_task(self._until_done(end, serve)))
            )
        finally:
            if started:
                await started[0]

    async def _until_done(self, end: End, serve: Callable[[End], Awaitable[None]]) -> None:
        try:
            await serve(end)
        except (_Gone, protocol.ProtocolError) as e:
            if str(e):
                end.tell("refused", step="refused", message=str(e), hint="")
        finally:
            end.close()

    async def _first(self, messages: Messages, kind: str) -> dict[str, Any]:
        """The first message of a connection."""
        try:
            said = await asyncio.wait_for(messages.next(), _SPEAK_WITHIN)
        except TimeoutError:
            raise _Gone(f"nothing was said in {_SPEAK_WITHIN:g} seconds") from None
        if said is None:
            raise _Gone("")
        if said["kind"] != kind:
            raise _Gone(f"'{kind}' was expected, and '{said['kind']}' came")
        if said["version"] != protocol.VERSION:
            raise _Gone(
                f"version {said['version']} is spoken there, and {protocol.VERSION} here: "
                "install the same version of weft on both sides"
            )
        return said

    # -- devices ------------------------------------------------------------------------------

    async def _device(self, end: End, messages: Messages) -> None:
        said = await self._first(messages, "join")
        self._numbers += 1
        device = Device(self._numbers, end, said["key"], said["name"][:300], said["targets"])
        self.devices[device.number] = device
        end.tell("joined", number=device.number)
        self._assign()
        left = ""
        try:
            while (said := await messages.next()) is not None:
                session = device.session
                if said["kind"] == "free" and session and said["session"] == session.id:
                    self._over(session, said["why"] or f"{device.name} ended the session")
                    device.free()
                    self._assign()
                elif said["kind"] == "leave":
                    left = said["why"]
                    break
        finally:
            del self.devices[device.number]
            if device.session is not None:
                self._over(device.session, left or f"{device.name} is gone")
            device.free()
            self._assign()

    # -- clients ------------------------------------------------------------------------------

    async def _client(self, end: End, messages: Messages) -> None:
        said = await self._first(messages, "want")
        name = said["client"][:100]
        session = await self._turn(
            _Waiting(end, messages, said["key"], name, asyncio.get_running_loop().create_future())
        )
        if session is None:
            return
        device = session.device
        joining = asyncio.get_running_loop().call_later(_JOIN_WITHIN, self._unjoined, session)
        end.tell("assigned", session=session.id, name=device.name, targets=dict(device.targets))
        try:
            await first_of(session.over.wait(), end.closed.wait())
        finally:
            joining.cancel()
            self._end(session, end.fault)

    async def _turn(self, waiting: _Waiting) -> Session | None:
        """A session with a device of the key, once there is a free one; None when the client goes
        before that."""
        self._queue.append(waiting)
        self._assign()
        try:
            await first_of(asyncio.shield(waiting.found), waiting.end.closed.wait())
        finally:
            if waiting in self._queue:
                self._queue.remove(waiting)
                self._assign()
        return waiting.found.result() if waiting.found.done() else None

    def _assign(self) -> None:
        """Give free devices to those that wait for them, in turn, and tell the others."""
        for waiting in list(self._queue):
            device = next((d for d in self.devices.values() if _is_free(d, waiting.key)), None)
            if device is None or waiting.end.closed.is_set():
                continue
            session = Session(
                secrets.token_urlsafe(12), device, waiting.end, waiting.name, waiting.said
            )
            session.said.pause()
            device.session = self.sessions[session.id] = session
            device.sessions += 1
            device.end.tell("begin", session=session.id, client=session.name)
            self._queue.remove(waiting)
            waiting.found.set_result(session)
        devices = Counter(d.key for d in self.devices.values())
        ahead: Counter[str] = Counter()
        for waiting in self._queue:
            place = ahead[waiting.key], devices[waiting.key]
            if place != waiting.told:
                waiting.told = place
                waiting.end.tell("queued", ahead=place[0], devices=place[1])
            ahead[waiting.key] += 1

    # -- sessions -----------------------------------------------------------------------------

    def _unjoined(self, session: Session) -> None:
        if session.data is None:
            name = session.device.name
            self._over(session, f"{name} did not begin within {_JOIN_WITHIN:g} seconds")

    async def _data(self, request: web.Request) -> web.StreamResponse:
        session = self.sessions.get(request.match_info["session"])
        if session is None or session.data is not None or session.over.is_set():
            return web.Response(status=404, text="404: there is no such session\n")
        return await self._speak(request, lambda end: self._pass(session, end))

    async def _pass(self, session: Session, data: End) -> None:
        """Pass on what a client and its device say."""
        if session.data is not None or session.over.is_set():
            return
        client, session.data = session.client, data
        rest = session.said.rest()
        data.receiver, client.receiver = client.send, data.send
        data.on_full = lambda full: client.read_on(not full)
        client.on_full = lambda full: data.read_on(not full)
        data.send(rest)
        data.read_on(not client.full)
        client.read_on(not data.full)
        await first_of(session.over.wait(), data.closed.wait())
        if data.fault:
            self._over(session, data.fault, "refused")
        with suppress(TimeoutError):  # the device may know more
            await asyncio.wait_for(session.over.wait(), _TELL_WITHIN)
        self._over(session, f"{session.device.name} closed the session")

    def _over(self, session: Session, why: str, step: str = "peer gone") -> None:
        """The device's side has ended."""
        self.fates.setdefault(session.id, (step, why))
        while len(self.fates) > _FATES:
            self.fates.popitem(last=False)
        session.over.set()

    def _end(self, session: Session, fault: str) -> None:
        """The client's side has ended: the device frees itself, or it goes."""
        self._over(session, fault or "the client is gone", "refused" if fault else "peer gone")
        del self.sessions[session.id]
        if session.data is not None:
            session.data.close()
        device = session.device
        if device.number in self.devices and device.session is session:
            device.end.tell("end", session=session.id)
            loop = asyncio.get_running_loop()
            # One that does not come free comes back when it can.
            device.freeing = loop.call_later(_FREE_WITHIN, device.end.close)


class _Gone(Exception):
    """A connection ends; what is said to it, if it is there."""


def _is_free(device: Device, key: str) -> bool:
    return device.session is None and device.key == key and not device.end.closed.is_set()


__all__ = ["DEFAULT_LIMIT", "Device", "Hub", "Session"]
