"""Loop nest in, text or bytes out; a folder per language. Never touches a driver."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from ..ir.stmt import Function
from ..ir.target import Target
from ..runtime.forks import load_module
from .text import Text, TextGenerator


class Code(Protocol):
    """What a generator makes of functions: a text and machine code for people, bytes for the
    device."""

    @property
    def source(self) -> str:
        """The code as the generator wrote it: LLVM IR, OpenCL C, WGSL, GLSL."""
        ...

    @property
    def assembly(self) -> str:
        """The machine code as text; :attr:`source` again where a driver makes the machine code."""
        ...

    @property
    def object(self) -> bytes:
        """What is stored in a package and loaded by the device: an object file, or the source."""
        ...

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a workgroup share; 0 without workgroups."""
        ...


class Generator(Protocol):
    """What the module of a target has."""

    def resolve(self, target: Target) -> Target:
        """``target`` with every capability filled in."""
        ...

    def emit(self, functions: Sequence[Function], target: Target) -> Code:
        """The code of ``functions``; raises :class:`CodegenError` when it cannot be expressed."""
        ...

    def linker(self, target: Target) -> str:
        """What else than its arguments decides what ``link`` makes, as a key for caches; empty
        where nothing is linked. Raises :class:`CodegenError` when the linker is missing."""
        ...

    def link(
        self, codes: Mapping[str, bytes], target: Target
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """The code objects of a program by name, and the name of the one that holds each kernel."""
        ...


_GENERATORS: dict[str, str | Generator] = {
    "llvm": "llvm.generator",
    "wasm": "wasm.generator",
    "opencl": "opencl.generator:OpenCL",
    "webgpu": "wgsl.generator:WGSL",
    "opengl": "glsl.generator:GLSL",
    "webgl": "glsl.generator:GLSL",
}  # kind of target -> module of this folder that is a generator, or module:class of one


def for_target(target: Target) -> Generator:
    """What generates code for ``target``."""
    found = _GENERATORS[target.kind]
    return _load(found) if isinstance(found, str) else found


def resolve(target: str | Target) -> Target:
    """``target``, or the one that a text describes, with every capability filled in.

    Raises :class:`TargetError` for one that does not exist.
    """
    goal = Target.parse(target)
    return for_target(goal).resolve(goal)


@cache
def _load(row: str) -> Generator:
    name, _, kind = row.partition(":")
    module = load_module(f".{name}", __name__)
    return cast(Generator, getattr(module, kind)() if kind else module)


def register_generator(kind: str, generator: Generator) -> None:
    """Let ``generator`` make code for a new kind; see :func:`weft.register_target`."""
    assert kind not in _GENERATORS, kind
    _GENERATORS[kind] = generator


def identity(target: Target) -> str:
    """What tells versions of a registered target apart, as a key for caches: a hash of what it says
    it can do and of the file that its generator stands in. Empty for ours, whose files are in the
    fingerprint of every cache."""
    found = _GENERATORS[target.kind]
    if isinstance(found, str):
        return ""
    if isinstance(found, TextGenerator) and found.writer is not None:
        place: Any = found.writer
    else:
        place = found if inspect.ismodule(found) else type(found)
    try:
        file = inspect.getsourcefile(place)
        text = Path(file).read_bytes() if file else b""
    except (OSError, TypeError):  # typed at a prompt: it lives as long as the process
        text = f"{os.getpid()} {id(found)}".encode()
    said = repr(Target.parse(target.kind)).encode()
    return hashlib.sha256(said + text).hexdigest()


__all__ = [
    "Code",
    "Generator",
    "Text",
    "TextGenerator",
    "for_target",
    "identity",
    "register_generator",
    "resolve",
]
