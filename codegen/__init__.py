"""Loop nest in, text or bytes out; one file per target. Never touches a driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from ..ir.stmt import Function
from ..ir.target import Target


class Generator(Protocol):
    """What the module of a target has."""

    def resolve(self, target: Target) -> Target:
        """``target`` with every capability filled in."""
        ...

    def emit(self, functions: Sequence[Function], target: Target) -> Any:
        """An object whose ``object`` is the code of ``functions``."""
        ...

    def linker(self, target: Target) -> str:
        """What else than its arguments decides what ``link`` gives, as a key for caches; empty
        where nothing is linked. Raises :class:`CodegenError` when the linker is missing."""
        ...

    def link(
        self, codes: Mapping[str, bytes], target: Target
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """The code objects of a program by name, and the name of the one that holds each kernel."""
        ...


_GENERATORS = {
    "llvm": "llvm",
    "wasm": "wasm",
    "opencl": "opencl",
    "webgpu": "wgsl",
    "opengl": "glsl",
    "webgl": "glsl",
}  # kind of target -> module of this folder


def for_target(target: Target) -> Generator:
    """The module that generates code for ``target``."""
    return cast(Generator, import_module(f".{_GENERATORS[target.kind]}", __name__))
