"""``weft.export`` and ``kernel.export``: which file for which target, and what goes into it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ....ir.foreign import PythonFunction
from ....runtime.devices.table import DEVICES
from ....runtime.errors import ExportError
from ....runtime.files import write_file
from ....runtime.guard import guarded
from ..foreign import called
from .header import Entry, description, encoded, header
from .link import native_object, shared_library, wasm_module
from .texts import text_of

if TYPE_CHECKING:
    from ..build import KernelModule

_MODULE, _OBJECT = ".wasm", ".o"
_SHARED = (".so", ".dylib")


@guarded
def export(
    kernels: KernelModule | Sequence[KernelModule],
    path: str | os.PathLike[str],
    *,
    linker: str | None = None,
) -> list[Path]:
    """Write kernels for programs that know nothing of Python or weft; returns the files written.

    Parameters
    ----------
    kernels : one kernel, or several of one target and of different names, for one file.
    path : its suffix says what it becomes. For ``llvm`` ``.o``, an object file, and ``.so`` or
        ``.dylib``, a shared library; for ``wasm`` ``.wasm``, a module that needs no JavaScript of
        its own: each with a C header beside it, ``.h``. For the others the text in their language,
        ``.cl``, ``.wgsl``, ``.glsl``, with a ``.json`` that says how to launch it.
    linker : what links a ``.so``: a C compiler or a linker. By default the compiler of the target's
        triple.

    The functions are C's: pointers and scalars in the order of the kernel's arguments, the answer 0
    where all went well; the header states the rest. The thread pool is part of the library.

    Raises
    ------
    ExportError : a suffix that is not the target's, names twice, a kernel that needs this process
        (``te.call_python``), no linker.

    >>> weft.export([add, scale], "kernels.so")     # doctest: +SKIP
    """
    made = list(kernels) if isinstance(kernels, Sequence) else [kernels]
    place = Path(os.fspath(path))
    _check(made, place)
    target = made[0].target
    if place.suffix not in (_MODULE, _OBJECT, *_SHARED):
        text, launches = text_of(made)
        return _write({place: text, place.with_suffix(".json"): launches})
    stem = "".join(c if c.isascii() and c.isalnum() else "_" for c in place.stem)
    entries = [Entry.of(k.name, k.function, k.array_shapes) for k in made]
    threads = f"{stem}_set_num_threads"
    functions = [k.function for k in made]
    if place.suffix == _MODULE:
        code = wasm_module(functions, entries, target)
        return _write(
            {place: code, place.with_suffix(".h"): header(entries, target.kind, "", stem)}
        )
    triple = target.mtriple
    name = "weft_library" if place.suffix in _SHARED else f"{stem}_description"
    said = encoded(description(entries, triple, threads))
    code = native_object(functions, entries, threads, name, said, target)
    if place.suffix in _SHARED:
        code = shared_library(code, triple, linker)
    return _write({place: code, place.with_suffix(".h"): header(entries, triple, threads, stem)})


def _write(files: dict[Path, bytes | str]) -> list[Path]:
    for path, data in files.items():
        write_file(path, data, error=ExportError, what="the export")
    return list(files)


def _check(kernels: Sequence[KernelModule], place: Path) -> None:
    if not kernels:
        raise ExportError("there is no kernel to export.", where=str(place))
    kinds = {str(k.target) for k in kernels}
    if len(kinds) > 1:
        raise ExportError(
            f"kernels of one file are for one target, not for {' and '.join(sorted(kinds))}.",
            where=str(place),
            hint="export a file for each",
        )
    kind = kernels[0].target.kind
    suits = DEVICES[kind].exports if kind in DEVICES else ()
    if place.suffix not in suits:
        raise ExportError(
            f"a kernel for {kind} cannot become {place.suffix or 'a file without a suffix'!r}.",
            where=str(place),
            hint=f"suffixes for {kind}: {', '.join(suits) or 'none'}",
        )
    for f in called(f.body for k in kernels for f in k.functions):
        if isinstance(f, PythonFunction):
            raise ExportError(
                f"a kernel calls the Python function {f}, which programs without Python lack.",
                where=str(place),
                hint="write it in C, and call it with te.call_c: the linker finds it",
            )
    names = [k.name for k in kernels]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ExportError(
            f"two kernels are called {twice!r}.",
            where=str(place),
            hint="name them: weft.build(s, args, name=…)",
        )


__all__ = ["export"]
