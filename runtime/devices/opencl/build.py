"""Builds OpenCL C: all kernels of a program in one go where that is possible.

A driver reads its library of built-in functions anew for every build, which takes PoCL ten times as
long as a usual kernel. Drivers and pyopencl keep what they have built; both keep it where
``WEFT_CACHE_DIR`` says, or not at all.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ... import private
from ...errors import DeviceError
from .cl import CL, module


def build(device: CL, sources: Mapping[str, str]) -> dict[str, Any]:
    """The built program of each source by name.

    Raises :class:`DeviceError` with the words of the driver's compiler and the name of what it
    refused.
    """
    cl = module()
    if len(sources) > 1:
        try:
            whole = _build(device, join(list(sources.values())))
            return dict.fromkeys(sources, whole)
        except cl.Error:
            pass  # one is wrong, or two use a name for different things: each by itself
    built = {}
    for name, text in sources.items():
        try:
            built[name] = _build(device, text)
        except cl.Error as e:
            raise DeviceError(
                f"{device.name} refused the kernel: {_log(str(e))}",
                where=f"kernel {name}",
                hint="this is a fault of weft or of the driver; the llvm target will work",
            ) from None
    return built


def _build(device: CL, text: str) -> Any:
    folder = private.cache_folder("drivers")
    cache = str(folder / "opencl") if folder else False
    cl = module()
    with warnings.catch_warnings():
        # Some drivers greet, others find fault with C that is right.
        warnings.simplefilter("ignore", cl.CompilerWarning)
        return cl.Program(device.context, text).build(cache_dir=cache)


def _log(text: str) -> str:
    """A build's error without what pyopencl puts before and after the compiler's words."""
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [k for k, line in enumerate(lines) if line.startswith("Build on ")]
    lines = lines[starts[0] + 1 :] if starts else lines
    kept = [line for line in lines if not line.startswith(("(options:", "(source saved as"))]
    return "\n".join(kept)[-4000:].strip()


def join(sources: list[str]) -> str:
    """One text of several; what stands in several of them (functions that kernels call) stays
    once. Directives are all kept: what they say is for the lines after them."""
    seen: set[str] = set()
    kept = []
    for text in sources:
        for piece in _pieces(text):
            if piece.startswith("#") or piece not in seen:
                seen.add(piece)
                kept.append(piece)
    return "\n".join(kept) + "\n"


def _pieces(text: str) -> list[str]:
    """The directives, declarations and functions of a text."""
    pieces: list[str] = []
    lines: list[str] = []
    depth = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        lines.append(line)
        directive = line.lstrip().startswith("#")
        depth += 0 if directive else line.count("{") - line.count("}")
        ends = line.rstrip().endswith((";", "}")) or directive
        if depth == 0 and ends and not line.rstrip().endswith("\\"):
            pieces.append("\n".join(lines))
            lines = []
    return [*pieces, "\n".join(lines)] if lines else pieces
