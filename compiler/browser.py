"""A headless Chromium of this machine, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..runtime.errors import DeviceError

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
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The browser's executable on the PATH; raises :class:`DeviceError` where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise DeviceError("there is no Chromium on the PATH.", hint="apt-get install chromium")
    return found


def playwright() -> Any:
    """The module that drives the browser; raises :class:`DeviceError` where it is missing."""
    try:
        from playwright import sync_api
    except ImportError:
        raise DeviceError(
            "driving a browser needs Playwright, which is not installed.",
            hint="pip install 'weft[browser]'",
        ) from None
    return sync_api


@contextmanager
def browser(flags: tuple[str, ...] = FLAGS) -> Iterator[Any]:
    """A Chromium without a window; raises :class:`DeviceError` with what is missing."""
    api, executable = playwright(), chromium()
    with api.sync_playwright() as p:
        try:
            instance = p.chromium.launch(executable_path=executable, args=list(flags))
        except api.Error as e:
            raise DeviceError(f"{executable} does not start: {e}.") from None
        try:
            yield instance
        finally:
            instance.close()
