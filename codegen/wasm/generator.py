"""The ``wasm`` target: kernels as WebAssembly with 128-bit vectors, one module for a whole program.

Loop nests go through the emitter of the ``llvm`` target; Emscripten's linker joins the objects with
the C host runtime (``templates/host.c``). With ``-threads`` the module has shared memory and a
thread pool that runs on workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...ir.stmt import Function
from ...ir.target import Target
from ..llvm import generator as llvm
from . import emscripten

TRIPLE = "wasm32-unknown-emscripten"
MODULE = "kernels.wasm"  # the name of a program's one code object


def resolve(target: Target) -> Target:
    """``target`` with all capabilities; there is one WebAssembly, so nothing is asked of LLVM."""
    return target


def emit(functions: Sequence[Function], target: Target) -> llvm.LLVMModule:
    """One relocatable object with all ``functions``; see ``llvm/generator.py``."""
    features = llvm.baseline(TRIPLE) + (llvm.THREADS if target.threads else "")
    native = replace(
        Target.parse("llvm"), mtriple=TRIPLE, mattr=features, opt_level=target.opt_level
    )
    return llvm.emit(functions, native)


def linker(target: Target) -> str:
    """Which Emscripten links: the path of ``emcc`` and when it was installed.

    Raises :class:`CodegenError` when there is none.
    """
    return emscripten.identity()


def link(codes: Mapping[str, bytes], target: Target) -> tuple[dict[str, bytes], dict[str, str]]:
    """One module of all objects: the code objects by name, and the name of the one that holds each
    kernel.

    Raises :class:`CodegenError` when Emscripten is missing, too old, or fails.
    """
    wasm = emscripten.link(codes, threads=target.threads, opt_level=target.opt_level)
    return {MODULE: wasm}, dict.fromkeys(codes, MODULE)
