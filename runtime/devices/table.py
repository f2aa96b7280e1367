"""The kinds of targets and what runs their programs: one row each.

Modules are named, not imported: a process loads the one driver that it uses. To run a new kind of
target takes a module with a class like :class:`~weft.runtime.runner.Runner`, and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..errors import DeviceError
from ..forks import load_module
from ..runner import RunnerFactory

# Names of device, driver and versions, and the limits; raises DeviceError with what is missing.
ProbeFunction = Callable[[], tuple[str, dict[str, int]]]

NODE, BROWSER = "node", "browser"


@dataclass(frozen=True)
class Device:
    """What runs programs of a ``kind``.

    Places in modules are ``"module:attribute"``, relative to this folder.

    Parameters
    ----------
    code : what programs consist of, for ``weft targets``.
    runner : what makes a :class:`~weft.runtime.runner.Runner`; None where nothing here can.
    away : where the runner has them run, :data:`NODE` or :data:`BROWSER`; empty: in this process.
    hosts : all but this process that run them.
    exports : the endings of the files that ``weft.export`` makes of its kernels.
    module : the ending of the one file that holds all kernels of a program; empty where each kernel
        is a text.
    threads : whether kernels share the threads of this process among them.
    processors : options that name processors of this kind, as examples for ``weft targets``.
    probe : whether this machine can; None where there is no way to know.
    machine : what gives the options of a target that has all that this machine has, where those are
        not the limits of its probe.
    package : the Python package of the driver, and ``extra`` the extra of weft that installs it.
    driver : where else drivers come from; ``debian`` are the packages that bring one that works on
        any machine, on the processor.
    """

    kind: str
    _: KW_ONLY
    code: str = ""
    runner: str | RunnerFactory | None = None
    away: str = ""
    hosts: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    module: str = ""
    threads: bool = False
    processors: tuple[str, ...] = ()
    probe: str | ProbeFunction | None = None
    machine: str | Callable[[], dict[str, str]] | None = None
    package: str = ""
    extra: str = ""
    driver: str = ""
    debian: tuple[str, ...] = ()

    @property
    def install_package(self) -> str:
        """What to do where :attr:`package` is missing."""
        return f"pip install 'weft[{self.extra}]'"

    @property
    def install_driver(self) -> str:
        """What to do where Python has its package and no driver is found."""
        command = f"apt-get install {' '.join(self.debian)}"
        return f"{self.driver}: {command}" if self.driver else command


# Of those that pages run, a page tries the first ones first.
_ROWS = (
    Device(
        "llvm",
        code="native code through LLVM",
        exports=(".o", ".so", ".dylib"),
        runner=".cpu.program:CPUProgram",
        probe=".cpu.cpu:describe",
        machine=".cpu.cpu:options",
        threads=True,
        processors=(
            "",
            "-mtriple=x86_64-linux-gnu",
            "-mtriple=aarch64-linux-gnu",
            "-mtriple=riscv64-linux-gnu",
        ),
    ),
    Device(
        "opencl",
        code="OpenCL C",
        exports=(".cl",),
        runner=".opencl.program:CLProgram",
        probe=".opencl.cl:describe",
        package="pyopencl",
        extra="opencl",
        driver="install the driver of your device, or for OpenCL on the processor",
        debian=("pocl-opencl-icd",),
    ),
    Device(
        "webgpu",
        code="compute shaders, WGSL",
        exports=(".wgsl",),
        runner=".webgpu.program:WebGPUProgram",
        hosts=(BROWSER,),
        probe=".webgpu.adapter:describe",
        package="wgpu",
        extra="webgpu",
        driver="install the Vulkan driver of your device, or for Vulkan on the processor",
        debian=("mesa-vulkan-drivers", "libvulkan1"),
    ),
    Device(
        "opengl",
        code="fragment shaders, GLSL 3.30",
        exports=(".glsl",),
        runner=".opengl.program:GLProgram",
        probe=".opengl.gl:describe",
        package="glcontext",
        extra="opengl",
        driver="install the driver of your device, or for OpenGL on the processor",
        debian=("libegl1", "libgl1-mesa-dri"),
    ),
    Device(
        "webgl",
        code="fragment shaders, GLSL ES 3.00",
        exports=(".glsl",),
        runner="..rpc.program:BrowserProgram",
        away=BROWSER,
        hosts=(BROWSER,),
        probe=".pages:describe_browser",
        debian=("chromium",),
    ),
    Device(
        "wasm",
        code="WebAssembly through LLVM and Emscripten",
        exports=(".wasm",),
        runner="..rpc.program:NodeProgram",
        away=NODE,
        hosts=(NODE, BROWSER),
        module="wasm",
        probe=".pages:describe_wasm",
        processors=("", "-threads"),
        debian=("emscripten", "nodejs"),
    ),
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
    if row.runner is not None:
        return resolve(row.runner)
    raise DeviceError(
        f"programs for {kind} have no runner in this process.",
        where=where,
        hint="give weft.register_target the class that runs them",
    )


def code_kind(name: str) -> str:
    """The kind of device whose module a code object of this name is; empty for a kernel's text."""
    _, dot, ending = name.rpartition(".")
    kinds = (row.kind for row in DEVICES.values() if dot and row.module and row.module == ending)
    return next(kinds, "")


def resolve(place: Any) -> Any:
    """What ``"module:attribute"`` names; anything else is itself."""
    if not isinstance(place, str):
        return place
    module, _, attribute = place.partition(":")
    return getattr(load_module(module, __package__), attribute)


__all__ = [
    "BROWSER",
    "DEVICES",
    "NODE",
    "Device",
    "ProbeFunction",
    "code_kind",
    "register_device",
    "resolve",
    "runner_of",
]
