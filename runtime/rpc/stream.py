"""A stream of frames to a hub, over a socket of this process."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from .. import knobs
from ..errors import RPCError
from .link import Link, LinkLost, LinkTimeout, left
from .protocol import DEFAULT_KEY, UPGRADE

_CONNECT = 10.0  # seconds for a connection and its first answer
_FATE = 2.0  # seconds for the hub to say why a session ended
# Seconds, or milliseconds for what was sent and never arrived; what the system does not have stays.
_SILENCE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 60_000}
_SCHEMES = {"ws": False, "http": False, "wss": True, "https": True}


@dataclass(frozen=True)
class Address:
    """Where a hub is, and what it wants to hear.

    Parameters
    ----------
    certificate : a file with the certificates to trust, instead of the system's.
    """

    host: str
    port: int
    token: str
    secure: bool = False
    certificate: str | None = None

    @classmethod
    def parse(cls, url: str, token: str | None = None, certificate: str | None = None) -> Address:
        """Of ``"ws://host:port"``, or of the link that the hub printed, which has the token;
        ``WEFT_RPC_TOKEN`` has it for an address that has none.

        Raises :class:`RPCError`, step ``"connect"``, for what is none, or has no token.
        """
        hint = "give the link that weft rpc hub printed, or the token beside: --token-file, token="
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as e:
            raise RPCError.of("connect", f"{url!r} is no address: {e}.", hint=hint) from None
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise RPCError.of("connect", f"{url!r} is no address of a hub.", hint=hint)
        token = token or parts.path.strip("/").partition("/")[0] or knobs.rpc_token()
        if not token:
            raise RPCError.of("connect", f"the token of the hub at {url} is missing.", hint=hint)
        secure = _SCHEMES[parts.scheme]
        return cls(parts.hostname, port or (443 if secure else 80), token, secure, certificate)

    @property
    def authority(self) -> str:
        """Host and port, as requests name them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'wss' if self.secure else 'ws'}://{self.authority}"

    def request(self, path: str, upgrade: bool, timeout: float) -> tuple[socket.socket, bytes]:
        """A connection after the answer to ``GET /token/path``, and that answer's head; raises
        :class:`RPCError`, steps ``"connect"`` and ``"refused"``."""
        sock = self._connect(timeout)
        try:
            lines = [
                f"GET /{quote(self.token, safe='')}/{path} HTTP/1.1",
                f"Host: {self.authority}",
                f"Connection: {'Upgrade' if upgrade else 'close'}",
                *([f"Upgrade: {UPGRADE}"] if upgrade else []),
            ]
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            head, deadline = b"", time.monotonic() + timeout
            while b"\r\n\r\n" not in head:
                # Bytes after the head are ours, so it is read to its end and no further.
                sock.settimeout(max(deadline - time.monotonic(), 1e-3))
                got = sock.recv(1) if upgrade else sock.recv(65536)
                if not got or len(head) > 65536:
                    raise OSError("it closed the connection")
                head += got
        except OSError as e:
            sock.close()
            raise RPCError.of("connect", f"{self} does not answer: {e}.") from None
        status = head.split(None, 2)[1:2]
        if status == ([b"101"] if upgrade else [b"200"]):
            return sock, head
        why = self._words(sock, head)
        sock.close()
        raise RPCError.of(
            "refused", f"{self} says: {why}.",
            hint="the token is in the link that weft rpc hub printed" if "token" in why else None,
        )  # fmt: skip

    def _words(self, sock: socket.socket, head: bytes) -> str:
        body = head.partition(b"\r\n\r\n")[2]
        with suppress(OSError):
            while len(body) < 1000 and (got := sock.recv(1000)):
                body += got
                if got.endswith(b"\n"):
                    break
        line = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")[2]
        return (body.decode("utf-8", "replace").strip() or line)[:500]

    def _connect(self, timeout: float) -> socket.socket:
        try:
            secure = self.secure
            context = ssl.create_default_context(cafile=self.certificate) if secure else None
            sock = socket.create_connection((self.host, self.port), timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            notice_silence(sock)
            if context is not None:
                sock = context.wrap_socket(sock, server_hostname=self.host)
        except OSError as e:
            raise RPCError.of(
                "connect", f"{self} cannot be reached: {e}.",
                hint="start a hub there: weft rpc hub",
            ) from None  # fmt: skip
        return sock

    def json(self, path: str, timeout: float = _CONNECT) -> Any:
        """What ``GET /token/path`` says; raises :class:`RPCError` as :meth:`request` does."""
        sock, answer = self.request(path, False, timeout)
        with sock:
            try:
                while got := sock.recv(65536):
                    answer += got
                return json.loads(answer.partition(b"\r\n\r\n")[2])
            except (OSError, ValueError) as e:
                raise RPCError.of("connect", f"{self} cannot be understood: {e}.") from None

    def fate(self, session: str) -> tuple[str, str]:
        """The step at which a session ended, and why, if the hub is there and knows."""
        with suppress(RPCError, AttributeError):
            said = self.json(f"fate/{quote(session, safe='')}", _FATE)
            return str(said.get("step", "peer gone")), str(said.get("fate", ""))
        return "peer gone", "the hub is gone"


class StreamLink(Link):
    """Messages over a connection of :meth:`Address.request`."""

    def __init__(self, address: Address, path: str):
        super().__init__()
        self.name = str(address)
        self.address = address
        self.session = ""  # the hub's name for it, once there is one
        self._socket, _ = address.request(path, True, _CONNECT)
        self._open = True

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def send(self, chunks: Sequence[Any], deadline: float) -> None:
        """See :meth:`Link.send`."""
        views = [memoryview(c) for c in chunks]
        many = not isinstance(self._socket, ssl.SSLSocket)
        while views:
            sock = self._socket
            call = partial(sock.sendmsg, views[:64]) if many else partial(sock.send, views[0])
            sent = self._try(call, deadline)
            while views and sent >= views[0].nbytes:
                sent -= views.pop(0).nbytes
            if views and sent:
                views[0] = views[0][sent:]

    def receive(self, into: memoryview, deadline: float) -> None:
        """See :meth:`Link.receive`."""
        while into.nbytes:
            got = self._try(partial(self._socket.recv_into, into), deadline)
            if not got:
                raise self._lost("the connection was closed")
            into = into[got:]

    def _try(self, call: Callable[[], int], deadline: float) -> int:
        if not self._open:
            raise self._lost("the connection was closed")
        self._socket.settimeout(left(deadline))
        try:
            return call()
        except TimeoutError:
            raise LinkTimeout from None
        except OSError as e:
            raise self._lost(str(e)) from None

    def _lost(self, why: str) -> LinkLost:
        step, fate = self.address.fate(self.session) if self.session else ("peer gone", "")
        return LinkLost(fate or why, step)

    def leave_nothing(self) -> None:
        """Have what was sent and not taken go with this process, however it ends: the end would
        come after it, to a hub that does not read on since the device is slow."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @property
    def pending(self) -> bool:
        """Whether bytes have come of which ``select`` does not know."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    @property
    def alive(self) -> bool:
        """See :meth:`Link.alive`."""
        if not self._open:
            return False
        self._socket.settimeout(0)
        try:
            # Nobody speaks without being asked: what is there is the end.
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def end(self) -> None:
        """See :meth:`Link.end`."""
        if self._open:
            self._open = False
            self._socket.close()

    def abandon(self) -> None:
        """See :meth:`Link.abandon`."""
        self.end()


def notice_silence(sock: Any) -> None:
    """Have the system end a connection of which nothing is heard for half a minute: the other
    machine was switched off, or its network went."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        if hasattr(socket, name):
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def key_of(url: str) -> str:
    """The key in a link for a browser, ``…/?key=chrome``; the default one where there is none."""
    with suppress(ValueError):
        return parse_qs(urlsplit(url).query).get("key", [DEFAULT_KEY])[0]
    return DEFAULT_KEY


def until(seconds: float) -> float:
    """The clock in so many seconds."""
    return time.monotonic() + seconds


__all__ = ["Address", "StreamLink", "key_of", "notice_silence", "until"]
