"""What runs programs of pages here: Emscripten and Node, a browser and its driver."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import knobs
from ..errors import DeviceError
from .table import DEVICES

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The browser's executable on the PATH; raises :class:`DeviceError` where there is none."""
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        raise DeviceError("there is no Chromium on the PATH.", hint=DEVICES["webgl"].install_driver)
    return found


def playwright() -> Any:
    """The module that drives the browser; raises :class:`DeviceError` where it is missing."""
    try:
        from playwright import sync_api
    except ImportError:
        raise DeviceError(
            "driving a browser needs Playwright, which is not installed.",
            hint=DEVICES["webgl"].install_package,
        ) from None
    return sync_api


def describe_browser() -> tuple[str, dict[str, int]]:
    """Any browser shows a bundle; to run one from here takes a Chromium and its driver."""
    executable = chromium()
    playwright()
    try:
        release = version("playwright")
    except PackageNotFoundError:
        release = "of unknown version"
    return f"Chromium ({executable}), Playwright {release}", {}


def describe_wasm() -> tuple[str, dict[str, int]]:
    """Modules are linked by Emscripten and run in pages and under Node."""
    emscripten, nodejs = DEVICES["wasm"].debian
    emcc = _tool(knobs.emcc(), f"apt-get install {emscripten}, or name its emcc in WEFT_EMCC")
    node = _tool("node", f"apt-get install {nodejs}")
    return f"Emscripten {emcc}, Node {node}", {}


def _tool(name: str, hint: str) -> str:
    """The version of a program on the PATH."""
    path = shutil.which(name)
    if path is None:
        raise DeviceError(f"the program {name!r} cannot be found.", hint=hint)
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise DeviceError(f"{path} cannot be run: {e}.", hint=hint) from None
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return f"{found.group() if found else '?'} ({path})"


__all__ = ["chromium", "describe_browser", "describe_wasm", "playwright"]
