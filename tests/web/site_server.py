"""A web server on loopback for the tests: folders, and answers that are wrong on purpose."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
ISOLATED = {  # what shared memory, and so wasm threads, ask for
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


@dataclass
class Answer:
    """What is sent instead of a file. ``length``: a Content-Length that may be a lie."""

    body: bytes = b""
    status: int = 200
    type: str = "application/octet-stream"
    length: int | None = None


@dataclass
class Site:
    """``mounts``: folders by path prefix (``"/m"``). ``answers``: by whole path, before folders.
    ``headers``: sent with everything. ``requests``: the paths asked for so far."""

    mounts: dict[str, Path] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers["/blank.html"] = Answer(
            b"<!doctype html><title>test</title>", 200, "text/html"
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def find(self, path: str) -> Answer:
        if path in self.answers:
            return self.answers[path]
        for prefix, folder in self.mounts.items():
            rest = PurePosixPath(path.removeprefix(prefix).lstrip("/"))
            if not path.startswith(prefix) or ".." in rest.parts:
                continue
            file = folder / rest
            if file.is_dir():
                file /= "index.html"
            if file.is_file():
                return Answer(file.read_bytes(), 200, TYPES.get(file.suffix, Answer.type))
        return Answer(b"not found", 404, "text/plain")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def __init__(self, site: Site, *args: object) -> None:
        self.site = site
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.site.requests.append(path)
        answer = self.site.find(path)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        length = len(answer.body) if answer.length is None else answer.length
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        for name, value in self.site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the page did not want all of it
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test says what it wants to say."""
