"""The kinds of targets and what runs their programs: one row each.

Modules are named, not imported: a process loads the one driver that it uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import DeviceError
from ..runner import RunnerFactory


@dataclass(frozen=True)
class Device:
    """What runs programs of a ``kind``.

    ``runner`` makes a :class:`~weft.runtime.runner.Runner`: a class, or ``"module:class"`` relative
    to this folder; None where nothing in this process can, and ``place`` then says what does.
    """

    kind: str
    runner: str | RunnerFactory | None = None
    place: str = ""


_ROWS = (
    Device("llvm", "..kernel:CPUProgram"),
    Device("opencl", ".opencl:CLProgram"),
    Device("opengl", ".opengl:GLProgram"),
    Device("webgpu", ".webgpu:WebGPUProgram"),
    Device("wasm", place="in pages and under Node"),
    Device("webgl", place="in pages"),
)
DEVICES: dict[str, Device] = {row.kind: row for row in _ROWS}


def register_device(row: Device) -> None:
    """Add a row; see :func:`weft.register_target`."""
    assert row.kind not in DEVICES, row.kind
    DEVICES[row.kind] = row


def runner_of(kind: str, where: str) -> RunnerFactory:
    """What makes the runners of a kind; raises :class:`DeviceError`, for the program ``where``,
    when nothing in this process does."""
    row = DEVICES.get(kind, Device(kind))
    if row.runner is None:
        raise DeviceError(
            f"programs for {kind} have no runner in this process"
            + (f": they run {row.place}." if row.place else "."),
            where=where,
            hint="weft.bundle makes a folder that a page loads, and weft.check runs one there; "
            "for this process, compile for 'llvm'"
            if row.place
            else "give weft.register_target the class that runs them",
        )
    return named(row.runner) if isinstance(row.runner, str) else row.runner


def named(place: str) -> Any:
    """What ``"module:attribute"`` relative to this folder names."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module, __package__), attribute)


__all__ = ["DEVICES", "Device", "register_device", "runner_of"]
