"""A headless Chromium of this machine, driven by Playwright: pages that are looked at, not merely
run, for benchmarks, the demonstration and tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..runtime.devices.pages import FLAGS, chromium
from ..runtime.errors import DeviceError


def playwright() -> Any:
    """The module that drives browsers; raises :class:`DeviceError` where it is missing."""
    try:
        from playwright import sync_api
    except ImportError:
        raise DeviceError(
            "driving a browser needs Playwright, which is not installed.",
            hint="pip install playwright",
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


__all__ = ["browser", "playwright"]
