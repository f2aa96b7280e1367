"""Links wasm objects and the C host runtime with Emscripten into one WebAssembly module.

The module needs no JavaScript of Emscripten's: ``runtime_js/devices/wasm/`` instantiates it. It
imports nothing, with threads its shared memory, and exports what ``templates/host.c`` says. The
thread pool is the one of native code, ``runtime/devices/cpu/threadpool.h``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from ...runtime import knobs
from ...runtime.errors import CodegenError

OLDEST = (3, 1, 6)  # the version of Debian 12; older ones do not know our features
_SOURCES = (Path(__file__).parent / "templates" / "host.c",
            resources.files("weft.runtime").joinpath("devices/cpu/threadpool.h"))  # fmt: skip
_STACK = 1 << 20  # bytes; local buffers of a kernel are at most 64 KiB each
_TIMEOUT = 900  # seconds
_INSTALL = (
    "install Emscripten ('apt-get install emscripten' on Debian and Ubuntu, 'brew install"
    " emscripten' on macOS, else https://emscripten.org/docs/getting_started), or name its emcc"
    " in WEFT_EMCC"
)
# Emscripten must not look for the features in the objects: its own library is built without them.
_FEATURES = ("-msimd128", "-mnontrapping-fptoint", "-msign-ext", "-mbulk-memory",
             "-mmutable-globals")  # fmt: skip


def find() -> str:
    """The path of ``emcc``; raises :class:`CodegenError` that says how to get it."""
    name = knobs.emcc()
    path = shutil.which(name)
    if path is None:
        raise CodegenError(
            f"the target wasm is linked by Emscripten, and {name!r} cannot be found.",
            hint=_INSTALL,
        )
    return path


def identity() -> str:
    """A key for caches that changes when another Emscripten is installed."""
    path = Path(find()).resolve()
    return f"{path} {path.stat().st_mtime_ns}"


def version() -> tuple[int, int, int]:
    """The version of Emscripten; raises :class:`CodegenError` when it is missing or too old."""
    path = find()
    found = _version(path)
    if found < OLDEST:
        raise CodegenError(
            f"{path} is Emscripten {_dotted(found)}; {_dotted(OLDEST)} or newer is needed.",
            hint=_INSTALL,
        )
    return found


def link(codes: Mapping[str, bytes], *, threads: bool = False, opt_level: int = 3) -> bytes:
    """The module of all kernels in ``codes`` (objects by kernel name).

    The same objects give the same bytes. Raises :class:`CodegenError` when Emscripten is missing,
    too old, or fails.
    """
    release = version()
    names = list(codes)
    with tempfile.TemporaryDirectory(prefix="weft-link-") as folder:
        place = Path(folder)
        for k, code in enumerate(codes.values()):
            (place / f"k{k}.o").write_bytes(code)
        (place / "kernels.c").write_text(_table(names), encoding="ascii")
        for source in _SOURCES:
            (place / source.name).write_bytes(source.read_bytes())
        # Objects through a file: a large model has more than a command line takes.
        (place / "objects").write_text("\n".join(f"k{k}.o" for k in range(len(names))))
        _run([find(), *_flags(release, threads, opt_level), "-o", "out.wasm"], place)
        return (place / "out.wasm").read_bytes()


def library(code: bytes, source: str, exports: Sequence[str], *, opt_level: int = 3) -> bytes:
    """A module of its own from an object and C that calls it: it exports ``exports``, ``memory``,
    ``malloc`` and ``free``, and imports nothing but what a C program for WASI may.

    Raises :class:`CodegenError` as :func:`link` does.
    """
    release = version()
    with tempfile.TemporaryDirectory(prefix="weft-link-") as folder:
        place = Path(folder)
        (place / "kernels.o").write_bytes(code)
        (place / "entries.c").write_text(source, encoding="ascii")
        names = ",".join(f"_{n}" for n in (*exports, "malloc", "free"))
        flags = ["entries.c", "kernels.o", *_settings(release, opt_level)]
        command = [find(), *flags, f"-sEXPORTED_FUNCTIONS={names}", "-o", "out.wasm"]
        _run(command, place)
        return (place / "out.wasm").read_bytes()


def _table(names: Sequence[str]) -> str:
    """C: the kernels in order, and their names for the one who calls them."""
    lines = ["#include <stdint.h>"]
    lines += [f"void {n}(int64_t*);" for n in names]
    lines += ["void (*const weft_kernels[])(int64_t*) = {", *(f"  {n}," for n in names), "  0,"]
    lines += ["};", "const char weft_kernel_names[] ="]
    lines += [*(f'  "{n}\\0"' for n in names), '  "";', ""]
    return "\n".join(lines)


def _settings(release: tuple[int, int, int], opt_level: int) -> list[str]:
    stack = "STACK_SIZE" if release >= (3, 1, 25) else "TOTAL_STACK"
    return [
        f"-O{max(1, opt_level)}", "-g0", "-ffreestanding", *_FEATURES,
        "-sSTANDALONE_WASM", "--no-entry", "-sFILESYSTEM=0",
        "-sALLOW_MEMORY_GROWTH", "-sMAXIMUM_MEMORY=4GB", f"-s{stack}={_STACK}",
        "-sINITIAL_MEMORY=2MB",
    ]  # fmt: skip


def _flags(release: tuple[int, int, int], threads: bool, opt_level: int) -> list[str]:
    flags = ["host.c", "kernels.c", "@objects", *_settings(release, opt_level)]
    if threads:
        flags += ["-matomics", "-DWEFT_THREADS"]
        flags.append("-Wl,--shared-memory,--import-memory,--no-check-features,"
                     "--export=__stack_pointer")  # fmt: skip
    return flags


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise CodegenError(f"Emscripten cannot be run: {e}.", hint=_INSTALL) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CodegenError(f"Emscripten failed ({done.returncode}): {said}", where=command[0])
    return done.stdout


@lru_cache(maxsize=8)
def _version(path: str) -> tuple[int, int, int]:
    text = _run([path, "--version"], Path(path).resolve().parent)
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    if found is None:
        raise CodegenError(f"{path} does not say its version: {text[:200]!r}.", hint=_INSTALL)
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def _dotted(release: tuple[int, int, int]) -> str:
    return ".".join(map(str, release))
