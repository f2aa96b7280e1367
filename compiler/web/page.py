"""The files of a bundle that do not depend on its kernels: the page and the runtime modules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

RUNTIME = Path(__file__).resolve().parents[2] / "runtime_js"
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

_MODULES = ("*.js", "devices/**/*.js", "page/*.js")

# Comments that have lines of their own; one that begins a line of code, such as a cast, is not.
# Beside those of the devices.
INSIDE = frozenset(
    {"crop.js", "flow.js", "flowrun.js", "layout.js", "loader.js", "params.js", "plan.js",
     "program.js", "queue.js", "sha256.js", "texture.js"}
)  # fmt: skip
_DOC = re.compile(rb"^[ \t]*/\*\*(?:(?!\*/).)*\*/\n", re.DOTALL | re.MULTILINE)


def modules() -> dict[str, bytes]:
    """The runtime's modules by path in ``runtime_js``, those of the page too.

    What a page's author may import is as it is there, with the comments that are its types. The
    modules that only the runtime imports come without: a third of their bytes.
    """
    found = {}
    for file in sorted(f for p in _MODULES for f in RUNTIME.glob(p)):
        name, data = file.relative_to(RUNTIME), file.read_bytes()
        inside = len(name.parts) > 2 or name.as_posix() in INSIDE
        found[name.as_posix()] = _DOC.sub(b"", data) if inside else data
    return found


def _is_loaded_at_once(name: str) -> bool:
    """Whether a page loads a module before it has chosen a device."""
    return not name.startswith("devices/") or name == "devices/table.js"


def files(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Page and runtime of a bundle, by name: all but the page itself and ``weft.js`` in a folder
    whose name is of their content, so that those of two versions lie side by side."""
    runtime = modules() | {f"page/{f}": (_PAGE / f).read_bytes() for f in ("icon.svg", "page.css")}
    digest = hashlib.sha256()
    for name in sorted(runtime):
        digest.update(f"{name}\0{len(runtime[name])}\0".encode() + runtime[name])
    folder = f"runtime/{digest.hexdigest()[:12]}"
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    html = environment.get_template("index.html.jinja").render(
        title=manifest["meta"]["title"],
        policy=POLICY,
        folder=folder,
        modules=[f"{folder}/{n}" for n in runtime if n.endswith(".js") and _is_loaded_at_once(n)],
    )
    return {
        "index.html": html.encode(),
        "weft.js": f"export * from './{folder}/index.js';\n".encode(),
        **{f"{folder}/{name}": data for name, data in runtime.items()},
    }
