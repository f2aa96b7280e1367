"""What of this machine can run which kind of target: drivers, versions, limits, what is missing.

>>> probe("llvm").ok
True
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .. import knobs
from ..errors import DeviceError


@dataclass(frozen=True)
class Probe:
    """Whether programs of a target's kind can run here.

    ``description`` names device, driver and versions; ``reason`` says why it is not usable and
    ``hint`` what to install then; ``limits`` are the device's, under the names of the target's
    options where it has them.
    """

    kind: str
    ok: bool
    description: str = ""
    reason: str = ""
    hint: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)


def probe(kind: str) -> Probe:
    """Look for what runs ``kind``, one of :data:`KINDS`. Never raises for what is missing."""
    if kind not in _PROBES:
        raise DeviceError(f"there is nothing to look for {kind!r}.", hint=", ".join(_PROBES))
    try:
        description, limits = _PROBES[kind]()
    except DeviceError as e:
        return Probe(kind, False, reason=e.message, hint=e.hint or "")
    return Probe(kind, True, description, limits=limits)


def _llvm() -> tuple[str, dict[str, int]]:
    from .cpu import CPUDevice, processor

    device = CPUDevice()
    return f"{processor()} ({platform.machine()})", {"threads": device.num_threads}


def _opencl() -> tuple[str, dict[str, int]]:
    from . import cl

    found = cl.shared()
    d = found.device
    package = cl.module().VERSION_TEXT
    return (
        f"{found.name}: {d.version.strip()}, driver {d.driver_version}, pyopencl {package}",
        found.limits,
    )


def _opengl() -> tuple[str, dict[str, int]]:
    from . import gl

    context = gl.shared()
    context.enter()
    try:
        limits = {
            "max_texture_size": context.integer(gl.MAX_TEXTURE_SIZE),
            "max_draw_buffers": context.integer(gl.MAX_DRAW_BUFFERS),
            "texture_units": context.integer(gl.MAX_TEXTURE_UNITS),
        }
        return f"{context.renderer}: OpenGL {context.version}", limits
    finally:
        context.leave()


def _webgpu() -> tuple[str, dict[str, int]]:
    from . import adapter

    found = adapter.shared()
    return f"{found.name}: wgpu {adapter.module().__version__}", found.limits


def _wasm() -> tuple[str, dict[str, int]]:
    """Modules are linked by Emscripten and run in pages and under Node."""
    emcc = _tool(knobs.emcc(), "apt-get install emscripten, or name its emcc in WEFT_EMCC")
    node = _tool("node", "apt-get install nodejs")
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


_PROBES: dict[str, Callable[[], tuple[str, dict[str, int]]]] = {
    "llvm": _llvm,
    "opencl": _opencl,
    "opengl": _opengl,
    "webgpu": _webgpu,
    "wasm": _wasm,
}
KINDS = tuple(_PROBES)

__all__ = ["KINDS", "Probe", "probe"]
