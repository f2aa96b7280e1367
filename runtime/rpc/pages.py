"""What hubs and servers of pages give to browsers: the runtime's modules, and pages."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

RUNTIME = Path(__file__).resolve().parents[2] / "runtime_js"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}
# Isolated, so that threads of wasm work; nothing but its own modules.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "connect-src 'self'; worker-src 'self'; style-src 'self'; img-src data:",
}


async def module(request: web.Request) -> web.StreamResponse:
    """A module of the runtime, or a style sheet: ``{path}`` of the request."""
    return _file(request.match_info["path"], (".js", ".css"))


def device_page() -> web.StreamResponse:
    """The page that is a device."""
    return _file("rpc/device.html", (".html",))


def status_page() -> web.StreamResponse:
    """The page that shows who is there."""
    return _file("rpc/status.html", (".html",))


def _file(path: str, endings: tuple[str, ...]) -> web.StreamResponse:
    file = (RUNTIME / path).resolve()
    if not file.is_relative_to(RUNTIME) or file.suffix not in endings or not file.is_file():
        return web.Response(status=404, text="404: there is no such file\n")
    kind = {"Content-Type": _TYPES[file.suffix]}
    return web.Response(body=file.read_bytes(), headers={**HEADERS, **kind})


__all__ = ["HEADERS", "RUNTIME", "device_page", "module", "status_page"]
