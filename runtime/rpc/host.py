"""Runs a hub: in this thread until it is stopped, or in a thread of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from aiohttp import web

from ..errors import RPCError
from .hub import DEFAULT_LIMIT, Hub
from .protocol import DEFAULT_PORT


class HubServer:
    """A hub and where it listens.

    Parameters
    ----------
    host, port : where to listen; port 0 takes any that is free.
    public : whether a host beyond loopback is meant: whoever reaches it and has the token can have
        programs run on all devices.
    names : further names by which browsers may call it (that of a proxy, ``"lab.example:443"``).
    certificate, private_key : files for TLS.
    token : what everybody has to know; random by default.
    limit : the most bytes of one message.

    Raises :class:`RPCError`, step ``"connect"``, where that cannot be.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        public: bool = False,
        names: tuple[str, ...] = (),
        certificate: str | None = None,
        private_key: str | None = None,
        token: str | None = None,
        limit: int = DEFAULT_LIMIT,
    ):
        if not public and not _is_loopback(host):
            raise RPCError.of(
                "connect",
                f"{host} is reached by other machines: whoever has the token could then have "
                "programs run on every device of the hub, machine code among them.",
                hint="say so with --public, and use --certificate beyond a network that you trust",
            )
        self._tls = _tls(certificate, private_key)
        self._listener = _listen(host, port)
        self.port = int(self._listener.getsockname()[1])
        self.secure = self._tls is not None
        self.public = not _is_loopback(host)
        anywhere = host in ("0.0.0.0", "::", "")
        # As others find this machine; loopback where it has no network.
        shown = (_own_addresses(host) or ["127.0.0.1"]) if anywhere else [_shown(host)]
        known = set(shown)
        if anywhere or not self.public:
            known |= {"127.0.0.1", "localhost", "[::1]"}
        if anywhere:
            known.add(socket.gethostname())
        hosts = {f"{h}:{self.port}" for h in known} | set(names)
        if self.port == (443 if self.secure else 80):
            hosts |= known
        self.hub = Hub(hosts, "https" if self.secure else "http", token, limit)
        self._shown = tuple([f"{h}:{self.port}" for h in shown] + list(names))

    @property
    def url(self) -> str:
        """What clients connect to, without the token."""
        return f"{'wss' if self.secure else 'ws'}://{self._shown[0]}"

    def links(self) -> tuple[str, ...]:
        """What browsers open, with the token: one for each address by which they may find it."""
        scheme = "https" if self.secure else "http"
        return tuple(f"{scheme}://{shown}/{self.hub.token}/" for shown in self._shown)

    def link(self) -> str:
        """The first of them."""
        return self.links()[0]

    async def run(
        self, ready: Future[Any] | None = None, stop: asyncio.Event | None = None
    ) -> None:
        """Serve until cancelled, or ``stop`` is set."""
        self.runner = runner = web.AppRunner(
            self.hub.app(), access_log=None, handle_signals=False, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener, ssl_context=self._tls).start()
            if ready is not None:
                ready.set_result(asyncio.get_running_loop())
            await (stop or asyncio.Event()).wait()
        finally:
            await self.hub.close()
            await runner.cleanup()


class LocalHub:
    """A hub in a thread of this process: ``with LocalHub() as hub: connect(hub.url, …)``."""

    def __init__(self, **options: Any):
        self.server = HubServer(**{"port": 0, **options})
        self.hub, self.url, self.token = self.server.hub, self.server.url, self.server.hub.token
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="weft-hub", daemon=True)
        self._thread.start()
        self._loop = self._ready.result()

    def _main(self) -> None:
        asyncio.run(self.server.run(self._ready, self._stop))

    @property
    def link(self) -> str:
        """What a browser opens."""
        return self.server.link()

    def close(self) -> None:
        """End it, and every connection."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def __enter__(self) -> LocalHub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_addresses(host: str) -> list[str]:
    """The addresses by which other machines find this one, that of its way out first."""
    found: dict[str, None] = {}
    # Nothing is sent: a socket of datagrams that is connected has the address of the way there.
    ways = [(socket.AF_INET, "192.0.2.1")]
    if host != "0.0.0.0":
        ways.append((socket.AF_INET6, "2001:db8::1"))
    for family, far in ways:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            found[probe.getsockname()[0]] = None
    with suppress(OSError):
        for row in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            if row[0] in {family for family, _ in ways}:
                found[str(row[4][0])] = None
    return [_shown(a) for a in found if not (a.startswith("fe80:") or _is_loopback(a))]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # from now on: whoever is told the link may come
    except (OSError, OverflowError) as e:
        listener.close()
        raise RPCError.of(
            "connect", f"nothing can listen at {host}, port {port}: {e}.",
            hint="--port 0 takes any that is free",
        ) from None  # fmt: skip
    return listener


def _tls(certificate: str | None, private_key: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key)
    except OSError as e:
        raise RPCError.of(
            "connect", f"the certificate {certificate} cannot be used: {e}.",
            hint="--certificate and --private-key name files in PEM form",
        ) from None  # fmt: skip
    return context


__all__ = ["HubServer", "LocalHub"]
