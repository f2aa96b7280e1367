"""``weft serve``: shows a bundle on this machine, as a good web server would.

Pages get COOP and COEP, so that threads (shared memory) work; types are right whatever the system
says; nothing is cached without asking again, so that a new bundle is seen at once.
"""

from __future__ import annotations

import errno
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

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


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder; no listings."""

    protocol_version = "HTTP/1.1"
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        self.send_error(404, "there is no such page")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: str | Path, port: int = 0) -> Iterator[str]:
    """Serve ``folder`` on loopback while the context lasts; yields the address.

    Raises :class:`InputError` when there is no such folder, :class:`WeftError` when the port is
    taken.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError("there is no such folder.", where=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", port), partial(Handler, directory=str(place))
        )
    except (OSError, OverflowError) as e:
        taken = getattr(e, "errno", None) == errno.EADDRINUSE
        raise WeftError(
            f"port {port} cannot be used: {'it is taken' if taken else e}.",
            where="weft serve", hint="choose another one with --port, or leave it out",
        ) from None  # fmt: skip
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serve(folder: str | Path, port: int) -> None:
    """Serve until interrupted, printing the address. The port is any free one where 0."""
    with serving(folder, port) as address:
        if not (Path(folder) / "index.html").is_file():
            print(f"there is no index.html in {folder}")
        print(f"{address}  (Ctrl-C ends)", flush=True)
        threading.Event().wait()
