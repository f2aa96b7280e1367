"""The files of a bundle that do not depend on its kernels: the page and the runtime modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

RUNTIME = Path(__file__).resolve().parents[1] / "runtime_js"
_PAGE = RUNTIME / "page"

# Scripts, styles and data from the page's own host only; WebAssembly, but no eval.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)


def modules() -> dict[str, bytes]:
    """The runtime's modules by path, as they are in ``runtime_js``, those of the page too."""
    found = sorted(f for d in ("", "devices", "page") for f in (RUNTIME / d).glob("*.js"))
    return {f.relative_to(RUNTIME).as_posix(): f.read_bytes() for f in found}


def files(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Page and runtime of a bundle, by name."""
    runtime = modules()
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    html = environment.get_template("index.html.jinja").render(
        title=manifest["meta"]["title"],
        policy=POLICY,
        modules=[f"runtime/{name}" for name in runtime if not name.startswith("devices/")],
    )
    return {
        "index.html": html.encode(),
        "weft.js": b"export * from './runtime/index.js';\n",
        **{f"runtime/page/{f}": (_PAGE / f).read_bytes() for f in ("icon.svg", "page.css")},
        **{f"runtime/{name}": data for name, data in runtime.items()},
    }
