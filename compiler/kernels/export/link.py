"""Objects, shared libraries and WebAssembly modules of lowered kernels."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ....codegen import for_target
from ....codegen.llvm.library import SUFFIX, Symbols, library_object
from ....codegen.wasm import emscripten
from ....ir.stmt import Function
from ....ir.target import Target
from ....runtime.devices.cpu.cpu import CPUDevice
from ....runtime.devices.cpu.pool import pool_source
from ....runtime.errors import ExportError
from .header import Entry, c_type

_TIMEOUT = 300  # seconds
_LINKERS = ("cc", "gcc", "clang", "ld.lld", "ld")


def native_object(
    functions: Sequence[Function],
    entries: Sequence[Entry],
    threads: str,
    description: str,
    said: bytes,
    target: Target,
) -> bytes:
    """One object of all kernels and their thread pool."""
    symbols = Symbols(tuple(e.name for e in entries), threads, description)
    return library_object(functions, symbols, said, pool_source(target.mtriple), target)


def shared_library(code: bytes, triple: str, linker: str | None) -> bytes:
    """The shared library of an object; raises :class:`ExportError` where nothing can link it."""
    command = linker or _linker(triple)
    if shutil.which(command) is None:
        raise ExportError(
            f"there is no linker {command!r} for {triple}.",
            hint=f"{_install(triple)}, name one (linker=…), or export an object: '.o'",
        )
    bare = Path(command).name.endswith(("ld", "ld.lld"))
    with tempfile.TemporaryDirectory(prefix="weft-export-") as folder:
        place = Path(folder)
        (place / "kernels.o").write_bytes(code)
        words = [command, "-shared", "-o", "out", "kernels.o"]
        if not bare:
            words += ["-lpthread", "-lm"]
        try:
            done = subprocess.run(
                words, cwd=place, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise ExportError(f"{command} cannot be run: {e}.", hint=_install(triple)) from None
        if done.returncode:
            said = done.stderr.strip()[-2000:]
            raise ExportError(
                f"{command} cannot link for {triple}: {said}",
                hint="name a linker for that processor (linker=…), or export an object: '.o'",
            )
        return (place / "out").read_bytes()


def _linker(triple: str) -> str:
    if CPUDevice.is_of(triple):
        return next((c for c in _LINKERS if shutil.which(c)), "cc")
    arch = triple.split("-", maxsplit=1)[0]
    return f"{arch}-linux-gnu-gcc" if "linux" in triple else "ld.lld"


def _install(triple: str) -> str:
    arch = triple.split("-", maxsplit=1)[0].replace("_", "-")
    package = "gcc" if CPUDevice.is_of(triple) else f"gcc-{arch}-linux-gnu"
    return "install Xcode's tools" if sys.platform == "darwin" else f"apt-get install {package}"


def wasm_module(functions: Sequence[Function], entries: Sequence[Entry], target: Target) -> bytes:
    """A WebAssembly module that exports the functions, ``memory``, ``malloc`` and ``free``."""
    renamed = [
        Function(e.name + SUFFIX, f.params, f.body, f.writes, f.attrs)
        for f, e in zip(functions, entries)
    ]
    code = for_target(target).emit(renamed, target).object
    lines = [
        "#include <stdint.h>",
        "#include <string.h>",
        "typedef void body_t(void *closure, int64_t begin, int64_t end);",
        "void weft_parallel_for(body_t *body, void *closure, int64_t begin, int64_t end) {",
        "  if (begin < end) body(closure, begin, end);",
        "}",
    ]
    for e in entries:
        lines += [f"void {e.name}{SUFFIX}(int64_t *);", f"{e.prototype[:-1]} {{"]
        pointers = [a.name for a in e.arguments if a.shape is not None]
        if pointers:
            lines.append(f"  if ({' || '.join(f'!{p}' for p in pointers)}) return 1;")
        lines.append(f"  int64_t table[{max(1, len(e.arguments))}] = {{0}};")
        for k, a in enumerate(e.arguments):
            if a.shape is not None:
                lines.append(f"  table[{k}] = (int64_t)(uintptr_t){a.name};")
            elif c_type(a.numeric) in ("float", "double"):
                lines.append(f"  memcpy(&table[{k}], &{a.name}, sizeof {a.name});")
            else:
                lines.append(f"  table[{k}] = {a.name};")
        lines += [f"  {e.name}{SUFFIX}(table);", "  return 0;", "}"]
    names = [e.name for e in entries]
    return emscripten.library(code, "\n".join([*lines, ""]), names, opt_level=target.opt_level)
