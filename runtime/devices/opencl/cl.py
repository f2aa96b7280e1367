"""OpenCL through pyopencl: the device that programs share, and what it can do."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from ... import forks, knobs, private
from ...errors import DeviceError
from ..program import Driver
from ..table import DEVICES

_ROW = DEVICES["opencl"]
_lock = forks.renewed(sys.modules[__name__], "_lock")
_shared: dict[str, CL] = {}  # by the value of WEFT_OPENCL_DEVICE
_driver = Driver("opencl")


@cache
def module() -> Any:
    """pyopencl; raises :class:`DeviceError` where it is not installed."""
    folder = private.cache_folder("drivers")  # it keeps what it has generated, pickled
    variables = {"XDG_CACHE_HOME": str(folder)} if folder else {"PYOPENCL_NO_CACHE": "1"}
    try:
        with forks.imports, knobs.defaults(variables):
            import pyopencl  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as e:  # OSError: without the loader of OpenCL
        raise DeviceError(
            f"the package pyopencl cannot be imported: {e}.", hint=_ROW.install_package
        ) from None
    return pyopencl


@contextmanager
def errors(where: str | None = None) -> Iterator[None]:
    """What pyopencl raises as :class:`DeviceError`."""
    cl = module()
    try:
        yield
    except cl.MemoryError as e:
        raise DeviceError(
            f"the OpenCL device has too little memory: {e}.",
            where=where,
            hint="a smaller batch needs less",
        ) from None
    except cl.Error as e:
        raise DeviceError(f"OpenCL failed: {e}.", where=where) from None


def devices() -> list[Any]:
    """All devices of all platforms; raises :class:`DeviceError` when there is none."""
    cl = module()
    _driver.claim()
    with knobs.defaults(_pocl_variables()):
        found, reason = [], "no platform is installed"
        try:
            for platform in cl.get_platforms():
                reason = "no platform has a device"
                try:
                    found += platform.get_devices()
                except cl.Error as e:  # this driver is broken, or its hardware has gone
                    reason = f"{platform.name.strip()}: {e}"
        except cl.Error as e:
            reason = str(e)
    if not found:
        raise DeviceError(f"there is no OpenCL device: {reason}.", hint=_ROW.install_driver)
    return found


@cache
def _pocl_variables() -> dict[str, str]:
    """Where PoCL keeps what it builds; it reads this once, when it is loaded."""
    kept = private.cache_folder("drivers")
    if kept:
        return {"POCL_CACHE_DIR": str(kept / "pocl")}
    folder = tempfile.mkdtemp(prefix="weft-pocl-")
    atexit.register(_remove, folder, os.getpid())
    return {"POCL_CACHE_DIR": folder, "POCL_KERNEL_CACHE": "0"}


def _remove(folder: str, process: int) -> None:
    if process == os.getpid():  # the end of a fork is not the end of its parent
        shutil.rmtree(folder, ignore_errors=True)


def title(device: Any) -> str:
    """The names of a device and its platform."""
    return f"{device.name.strip()} ({device.platform.name.strip()})"


def choose(found: list[Any], wanted: str) -> Any:
    """The device that ``WEFT_OPENCL_DEVICE`` names; the first GPU without it."""
    cl = module()
    if not wanted:
        gpus = [d for d in found if d.type & cl.device_type.GPU]
        return (gpus or found)[0]
    numbers = [part.strip() for part in wanted.split(":")]
    if len(numbers) == 2 and all(n.isdecimal() for n in numbers):
        platform, number = map(int, numbers)
        by_platform: dict[int, list[Any]] = {}
        for d in found:
            by_platform.setdefault(d.platform.int_ptr, []).append(d)
        rows = list(by_platform.values())
        if platform < len(rows) and number < len(rows[platform]):
            return rows[platform][number]
    for d in found:
        if wanted.lower() in title(d).lower():
            return d
    raise DeviceError(
        f"there is no OpenCL device {wanted!r} (WEFT_OPENCL_DEVICE).",
        hint="devices: " + "; ".join(map(title, found)),
    )


@dataclass(frozen=True)
class CL:
    """A device with a context and two in-order queues, one of which takes times."""

    device: Any
    context: Any
    queue: Any
    timed: Any

    @property
    def name(self) -> str:
        """See :func:`title`; messages begin with it."""
        return title(self.device)

    @property
    def host_memory(self) -> bool:
        """Whether kernels read the process's memory where it is."""
        return bool(self.device.type & module().device_type.CPU)

    @property
    def limits(self) -> dict[str, int]:
        """What programs may ask for, under the names of a target's options where it has them."""
        d = self.device
        return {
            "max_threads": int(d.max_work_group_size),
            "shared_bytes": int(d.local_mem_size),
            "max_allocation": int(d.max_mem_alloc_size),
            "memory": int(d.global_mem_size),
            "compute_units": int(d.max_compute_units),
            "has_float16": int("cl_khr_fp16" in d.extensions.split()),
            "has_float64": int("cl_khr_fp64" in d.extensions.split()),
        }


def shared() -> CL:
    """The device of this process; raises :class:`DeviceError` when there is none."""
    cl, wanted = module(), knobs.opencl_device()
    with _lock:
        _driver.claim()
        if wanted not in _shared:
            device = choose(devices(), wanted)
            with errors(title(device)):
                context = cl.Context([device])
                timed = cl.CommandQueue(
                    context, properties=cl.command_queue_properties.PROFILING_ENABLE
                )
                _shared[wanted] = CL(device, context, cl.CommandQueue(context), timed)
        return _shared[wanted]


def describe() -> tuple[str, dict[str, int]]:
    """The device that programs get with its versions, and its limits."""
    found = shared()
    d = found.device
    versions = f"{d.version.strip()}, driver {d.driver_version}, pyopencl {module().VERSION_TEXT}"
    return f"{found.name}: {versions}", found.limits
