"""A headless Chromium of this machine, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...runtime.devices.pages import chromium, playwright
from ...runtime.errors import DeviceError

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


__all__ = ["FLAGS", "browser", "chromium", "playwright"]
