"""Loop nest in, text or bytes out; one file per target. Never touches a driver.

The module of a target has ``resolve(target) -> Target`` (every capability filled in),
``emit(functions, target)`` (an object whose ``object`` is the code of the functions), ``link(codes,
target)`` (the code objects of a whole program) and ``linker(target)`` (what else than its arguments
decides what ``link`` gives: a key for caches; empty where nothing is linked).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..ir.target import Target

_GENERATORS = {
    "llvm": "llvm",
    "wasm": "wasm",
    "opengl": "glsl",
    "webgl": "glsl",
}  # kind of target -> module of this folder


def for_target(target: Target) -> Any:
    """The module that generates code for ``target``."""
    return import_module(f".{_GENERATORS[target.kind]}", __name__)
