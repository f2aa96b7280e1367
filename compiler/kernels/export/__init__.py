"""Kernels for programs without Python: native libraries with a C header, WebAssembly, text."""

from .export import export

__all__ = ["export"]
