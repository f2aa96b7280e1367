"""What runs programs of pages here: Emscripten and Node, a browser and its driver."""

from __future__ import annotations

import re
import shutil
import subprocess

from .. import knobs
from ..errors import DeviceError
from .table import DEVICES

# Software WebGL and WebGPU that are the same on every machine; nothing that the browser does on
# its own.
FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-dev-shm-usage",  # where /dev/shm is small, as in containers, pages crash
)
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The browser's executable on the PATH; raises :class:`DeviceError` where there is none."""
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        raise DeviceError("there is no Chromium on the PATH.", hint=DEVICES["webgl"].install_driver)
    return found


def node() -> str:
    """Node's executable on the PATH; raises :class:`DeviceError` where there is none."""
    found = shutil.which("node")
    if found is None:
        raise DeviceError(
            "there is no Node on the PATH.", hint=f"apt-get install {DEVICES['wasm'].debian[1]}"
        )
    return found


def describe_browser() -> tuple[str, dict[str, int]]:
    """Any browser shows a bundle; a Chromium runs one from here."""
    executable = chromium()
    return f"Chromium {_version_of(executable, DEVICES['webgl'].install_driver)}", {}


def describe_wasm() -> tuple[str, dict[str, int]]:
    """Modules are linked by Emscripten and run in pages and under Node."""
    emscripten, nodejs = DEVICES["wasm"].debian
    hint = f"apt-get install {emscripten}, or name its emcc in WEFT_EMCC"
    emcc = shutil.which(knobs.emcc())
    if emcc is None:
        raise DeviceError(f"the program {knobs.emcc()!r} cannot be found.", hint=hint)
    versions = _version_of(emcc, hint), _version_of(node(), f"apt-get install {nodejs}")
    return f"Emscripten {versions[0]}, Node {versions[1]}", {}


def _version_of(path: str, hint: str) -> str:
    """The version of a program, and where it is."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise DeviceError(f"{path} cannot be run: {e}.", hint=hint) from None
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return f"{found.group() if found else '?'} ({path})"


__all__ = ["FLAGS", "chromium", "describe_browser", "describe_wasm", "node"]
