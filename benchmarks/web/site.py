"""A static site on loopback made of several folders, for a headless Chromium to visit."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class Handler(SimpleHTTPRequestHandler):
    """Files of several folders, each under a prefix of the path."""

    protocol_version = "HTTP/1.1"

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".json": "application/json",
    }

    def __init__(self, *args: Any, roots: Mapping[str, Path], isolated: bool, **kw: Any):
        self.roots, self.isolated = roots, isolated
        super().__init__(*args, **kw)

    def translate_path(self, path: str) -> str:
        path = unquote(urlsplit(path).path)
        for prefix in sorted(self.roots, key=len, reverse=True):
            if path.startswith(prefix):
                root = self.roots[prefix].resolve()
                found = (root / path[len(prefix) :].lstrip("/")).resolve()
                if found.is_relative_to(root):
                    return str(found / "index.html" if found.is_dir() else found)
        return os.devnull + "/nothing"

    def end_headers(self) -> None:
        if self.isolated:  # what a page needs for shared memory, and so for threads
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def site(roots: Mapping[str, Path], isolated: bool = False) -> Iterator[str]:
    """Serve ``roots`` (URL prefix -> folder); yields the address."""
    handler = partial(Handler, roots=roots, isolated=isolated)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
