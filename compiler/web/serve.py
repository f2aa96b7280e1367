"""``weft serve``: shows a bundle on this machine, as a good web server would.

Pages get COOP and COEP, so that threads (shared memory) work; types are right whatever the system
says; nothing is cached without asking again, so that a new bundle is seen at once.

Nothing that comes over the network is trusted. The server listens on loopback, and answers only
requests that name loopback as their host: a page elsewhere whose name was pointed at this machine
(DNS rebinding) gets nothing. A path leads to a regular file inside of the folder, with all links
followed, or to a 404. A connection on which nothing is being answered ends after ``PATIENCE``
seconds, however slowly its request comes in.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from ...runtime.errors import InputError, WeftError

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".safetensors": "application/octet-stream",
}
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
PATIENCE = 20.0  # seconds without an answer under way, after which a connection ends
CONNECTIONS = 256  # at a time; browsers take six
_ENCODED = (".gz", ".br")  # aiohttp sends these in place of a file to who accepts them


class _Site(web.Server):
    """The files of one folder; no listings. Ends connections that ask for nothing whole."""

    def __init__(self, folder: Path, patience: float):
        super().__init__(self._answer, access_log=None, lingering_time=2.0)
        self._folder, self._patience = folder.resolve(), patience
        self._idle: dict[asyncio.BaseTransport, asyncio.TimerHandle | None] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._idle) >= CONNECTIONS:
            transport.abort()
        else:
            self._await_request(transport)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        for transport in [t for t in self._idle if t.is_closing()]:
            self._forget(transport)

    def _await_request(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._idle[transport] = loop.call_later(self._patience, transport.abort)

    def _forget(self, transport: asyncio.BaseTransport) -> None:
        timer = self._idle.pop(transport, None)
        if timer:
            timer.cancel()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport:
            self._forget(transport)
            self._idle[transport] = None
        try:
            response = self._find(request)
            await response.prepare(request)
            await response.write_eof()
            return response
        finally:
            if transport and not transport.is_closing():
                self._await_request(transport)

    def _find(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request: a file, or what is wrong with it in words."""
        if not _asks_loopback(request):
            return _words(403, "this server answers to localhost only")
        if request.method not in ("GET", "HEAD"):
            return _words(405, "this server has files only", Allow="GET, HEAD")
        file = self._file(request.path)
        if file is None:
            return _words(404, "there is no such page")
        kind = TYPES.get(file.suffix.lower())
        return _File(file, headers=HEADERS | ({"Content-Type": kind} if kind else {}))

    def _file(self, path: str) -> Path | None:
        """The regular file inside of the folder that a path names, all links followed."""
        try:
            file = (self._folder / path.lstrip("/")).resolve(strict=True)
            if file.is_dir():
                file = (file / "index.html").resolve(strict=True)
            siblings = [file.with_name(file.name + suffix) for suffix in _ENCODED]
            inside = all(p.resolve().is_relative_to(self._folder) for p in (file, *siblings))
            return file if inside and file.is_file() else None
        except (OSError, ValueError, RuntimeError):  # none, too long, zero bytes, links in a circle
            return None


class _File(web.FileResponse):
    """A file that is sent once: aiohttp asks for what a handler has sent itself again."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None if self.prepared else await super().prepare(request)


def _asks_loopback(request: web.BaseRequest) -> bool:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname in HOSTS
    except ValueError:
        return False


def _words(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=f"{status}: {text}\n", headers=HEADERS | headers)


@contextmanager
def serving(folder: str | Path, port: int = 0, patience: float = PATIENCE) -> Iterator[str]:
    """Serve ``folder`` on loopback while the context lasts; yields the address.

    ``patience`` (seconds): how long a connection may stay open without a whole request.

    Raises :class:`InputError` when there is no such folder, :class:`WeftError` when the port is
    taken.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError("there is no such folder.", where=str(folder))
    listener = _listener(port)
    ready: Future[Callable[[], object]] = Future()
    with listener:
        thread = threading.Thread(
            target=lambda: asyncio.run(_until_stopped(place, listener, patience, ready)),
            name="weft-serve", daemon=True,
        )  # fmt: skip
        thread.start()
        stop = ready.result()
        try:
            yield f"http://localhost:{listener.getsockname()[1]}/"
        finally:
            stop()
            thread.join()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
    except (OSError, OverflowError) as e:
        listener.close()
        taken = getattr(e, "errno", None) == errno.EADDRINUSE
        raise WeftError(
            f"port {port} cannot be used: {'it is taken' if taken else e}.",
            where="weft serve", hint="choose another one with --port, or leave it out",
        ) from None  # fmt: skip
    return listener


async def _until_stopped(
    folder: Path, listener: socket.socket, patience: float, ready: Future[Callable[[], object]]
) -> None:
    """Serve until what ``ready`` receives is called, from any thread."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    try:
        site = _Site(folder, patience)
        server = await loop.create_server(site, sock=listener)
    except BaseException as e:
        ready.set_exception(e)
        raise
    ready.set_result(lambda: loop.call_soon_threadsafe(stopped.set))
    await stopped.wait()
    server.close()
    with suppress(TimeoutError):
        await site.shutdown(timeout=1.0)


def serve(folder: str | Path, port: int) -> None:
    """Serve until interrupted, printing the address. The port is any free one where 0."""
    with serving(folder, port) as address:
        if not (Path(folder) / "index.html").is_file():
            print(f"there is no index.html in {folder}")
        print(f"{address}  (Ctrl-C ends)", flush=True)
        threading.Event().wait()
