"""The page that runs programs, and its WebSocket: a server on loopback in a thread of its own.

It answers one page, which it knows by a random token in the address; who does not name loopback as
the host, or comes from elsewhere, gets nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import queue
import secrets
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from aiohttp import WSMsgType, web

from .pages import HEADERS, module
from .protocol import CHUNK

_PAGE = (
    '<!doctype html><meta charset="utf-8"><title>weft</title><link rel="icon" href="data:,">'
    '<script type="module" src="runtime/rpc/page.js"></script>'
)
GONE = None  # in the inbox: the page has closed its socket


class PageServer:
    """Serves the page at ``address``; bytes of the page come into ``inbox``."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.connected = threading.Event()
        self._socket: web.WebSocketResponse | None = None
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.address = f"{self._origin}/{self.token}/"
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="weft-page", daemon=True
        )
        self._thread.start()
        self.loop = ready.result()

    @property
    def alive(self) -> bool:
        """Whether a page is there."""
        return self._socket is not None and not self._socket.closed

    def send(self, chunks: Sequence[Any]) -> Future[None]:
        """Send buffers, which must stay as they are until the result is there."""
        return asyncio.run_coroutine_threadsafe(self._send(chunks), self.loop)

    def stop(self) -> None:
        """Close the socket and end the thread."""
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(5)

    async def _serve(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        self._stopped = asyncio.Event()
        runner = None
        try:
            app = web.Application(middlewares=[self._guard])
            app.router.add_get("/{token}/", self._page)
            app.router.add_get("/{token}/socket", self._connect)
            app.router.add_get("/{token}/runtime/{path:.+}", module)
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
            await runner.setup()
            await web.SockSite(runner, self._listener).start()
        except BaseException as e:
            ready.set_exception(e)
            raise
        ready.set_result(asyncio.get_running_loop())
        await self._stopped.wait()
        if self._socket is not None:
            await self._socket.close()
        await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        token = request.match_info.get("token", "").encode()
        origin = request.headers.get("Origin", self._origin)
        known = hmac.compare_digest(token, self.token.encode())
        if not known or f"http://{request.host}" != self._origin or origin != self._origin:
            return web.Response(status=403, text="403: this page is for somebody else\n")
        return await handler(request)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=_PAGE, content_type="text/html", headers=HEADERS)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        if self._socket is not None:
            return web.Response(status=409, text="409: there is a page already\n")
        made = self._socket = web.WebSocketResponse(compress=False, max_msg_size=2 * CHUNK)
        await made.prepare(request)
        self.connected.set()
        try:
            async for message in made:
                if message.type == WSMsgType.BINARY:
                    self.inbox.put(message.data)
        finally:
            self.inbox.put(GONE)
        return made

    async def _send(self, chunks: Sequence[Any]) -> None:
        assert self._socket is not None
        for chunk in chunks:
            view = memoryview(chunk)
            for at in range(0, view.nbytes, CHUNK):
                await self._socket.send_bytes(bytes(view[at : at + CHUNK]))


__all__ = ["GONE", "PageServer"]
