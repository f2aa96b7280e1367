"""WebGPU without a page, through wgpu-py: the device that programs share, and what it can do."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ... import forks, knobs
from ...errors import DeviceError
from ..program import Driver
from ..software import unasked_limits
from ..table import DEVICES

_ROW = DEVICES["webgpu"]
_TYPES = ("DiscreteGPU", "IntegratedGPU", "VirtualGPU", "Unknown", "CPU")  # best first
_FEATURES = ("shader-f16", "timestamp-query")  # used where they are offered
_lock = forks.renewed(sys.modules[__name__], "_lock")
_shared: dict[str, WebGPU] = {}  # by the value of WEFT_WEBGPU_ADAPTER
_driver = Driver("webgpu")


class DeviceLost(DeviceError):
    """The device is gone with all that it held."""


def module() -> Any:
    """wgpu; raises :class:`DeviceError` where it is not installed."""
    try:
        with forks.imports:
            import wgpu  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError, RuntimeError) as e:  # the latter: its library does not load
        raise DeviceError(
            f"the package wgpu cannot be imported: {e}.", hint=_ROW.install_package
        ) from None
    return wgpu


@contextmanager
def errors(where: str | None = None) -> Iterator[None]:
    """What wgpu raises as :class:`DeviceError`."""
    wgpu = module()
    try:
        yield
    except wgpu.GPUOutOfMemoryError as e:
        raise DeviceError(
            f"the WebGPU device has too little memory: {_said(e)}",
            where=where,
            hint="a smaller batch needs less",
        ) from None
    except (wgpu.GPUError, RuntimeError) as e:  # RuntimeError: mapping failed
        if is_lost(e):
            raise DeviceLost(
                f"the WebGPU device was lost: {_said(e)}",
                where=where,
                hint="the next call takes a new one; a kernel that runs for seconds may be the "
                "cause, drivers end such",
            ) from None
        raise DeviceError(f"WebGPU failed: {_said(e)}", where=where) from None


def is_lost(e: Exception) -> bool:
    """Whether an error says that the device is gone, as after a reset of the driver."""
    return "device is lost" in str(e)


def _said(e: Exception) -> str:
    return str(e).strip() or type(e).__name__


def adapters() -> list[Any]:
    """All adapters, best first; raises :class:`DeviceError` when there is none."""
    wgpu = module()
    _driver.claim()
    # Drivers of OpenGL complain on stderr when they look for a desktop's sockets and have no
    # folder to look in. They find none in this one, which nobody else can put any in, either.
    with (
        tempfile.TemporaryDirectory(prefix="weft-") as empty,
        knobs.defaults({"XDG_RUNTIME_DIR": empty}),
        errors(),
    ):
        found = wgpu.gpu.enumerate_adapters_sync()
    found = [a for a in found if a.info["backend_type"] != "Null"]
    if not found:
        raise DeviceError("there is no WebGPU adapter.", hint=_ROW.install_driver)
    return sorted(found, key=rank)


def rank(adapter: Any) -> tuple[int, bool]:
    """The place of an adapter among others, the best first."""
    kind = adapter.info["adapter_type"]
    place = _TYPES.index(kind) if kind in _TYPES else _TYPES.index("Unknown")
    return place, "opengl" in adapter.info["backend_type"].lower()


def title(adapter: Any) -> str:
    """Name, type, backend and driver of an adapter."""
    i = adapter.info
    driver = f", {i['description']}" if i["description"] else ""
    return f"{i['device'] or i['vendor']} ({i['adapter_type']}, {i['backend_type']}{driver})"


def choose(found: list[Any], wanted: str) -> Any:
    """The adapter that ``WEFT_WEBGPU_ADAPTER`` names; the best without it."""
    for a in found:
        if wanted.lower() in title(a).lower():
            return a
    raise DeviceError(
        f"there is no WebGPU adapter {wanted!r} (WEFT_WEBGPU_ADAPTER).",
        hint="adapters: " + "; ".join(map(title, found)),
    )


def _limits(raw: Any) -> dict[str, int]:
    """Limits under WebGPU's own names, which releases of wgpu write in different ways."""

    def camel(name: str) -> str:
        first, *rest = name.replace("_", "-").split("-")
        return first + "".join(w[:1].upper() + w[1:] for w in rest)

    return {camel(name): int(value) for name, value in raw.items()}


@dataclass(frozen=True)
class WebGPU:
    """An adapter with a device that has all of its limits."""

    adapter: Any
    device: Any

    @property
    def name(self) -> str:
        """See :func:`title`; messages begin with it."""
        return title(self.adapter)

    @property
    def limits(self) -> dict[str, int]:
        """What programs may ask for, under the names of a target's options where it has them."""
        return _named(_limits(self.device.limits), self.device.features)

    @property
    def has_timestamps(self) -> bool:
        """Whether kernels can be timed on the device; else they are timed on the host."""
        return "timestamp-query" in self.device.features

    def nanoseconds(self, ticks: Any) -> Any:
        """The time of a number of ticks of a timestamp query."""
        from wgpu.backends import wgpu_native  # pyright: ignore[reportMissingImports]

        # The package has no name of its own for this.
        period = getattr(wgpu_native.lib, "wgpuQueueGetTimestampPeriod", None)
        return ticks * (float(period(self.device.queue._internal)) if period else 1.0)


def _named(limits: dict[str, int], features: Any) -> dict[str, int]:
    return {
        "max_threads": limits["maxComputeInvocationsPerWorkgroup"],
        "max_threads_x": limits["maxComputeWorkgroupSizeX"],
        "max_threads_y": limits["maxComputeWorkgroupSizeY"],
        "max_threads_z": limits["maxComputeWorkgroupSizeZ"],
        "max_blocks": limits["maxComputeWorkgroupsPerDimension"],
        "shared_bytes": limits["maxComputeWorkgroupStorageSize"],
        "max_buffers": limits["maxStorageBuffersPerShaderStage"],
        "max_allocation": min(limits["maxBufferSize"], limits["maxStorageBufferBindingSize"]),
        "has_float16": int("shader-f16" in features),
    }


def shared() -> WebGPU:
    """The device of this process; raises :class:`DeviceError` when there is none."""
    wanted = knobs.webgpu_adapter()
    with _lock:
        _driver.claim()
        if wanted not in _shared:
            adapter = choose(adapters(), wanted)
            features = [f for f in _FEATURES if f in adapter.features]
            with errors(title(adapter)):
                # Without limits of our own, other releases give the defaults of the standard.
                device = adapter.request_device_sync(
                    required_features=features, required_limits=dict(adapter.limits)
                )
            _shared[wanted] = WebGPU(adapter, device)
        return _shared[wanted]


def forget(lost: WebGPU | None) -> None:
    """The next program asks for a device anew instead of this one."""
    with _lock:
        for wanted in [w for w, found in _shared.items() if found is lost]:
            del _shared[wanted]


def describe() -> tuple[str, dict[str, int]]:
    """The adapter that programs get with its driver, and its limits."""
    found = shared()
    return f"{found.name}: wgpu {module().__version__}", found.limits | unasked_limits(found.name)
