"""Runs compiled programs: data types, packages, devices, the executor.

Imports nothing else of weft, so that a machine that only runs models needs only this folder (and
numpy, ml_dtypes, llvmlite). ``weft.runtime.load("m.weft")`` is the entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .forks import load_module

if TYPE_CHECKING:
    from .executor import Executable, load

__all__ = ["Executable", "load"]


def __getattr__(name: str) -> Any:
    # At first use, for start-up time: who imports runtime.errors needs no numpy for that.
    if name in __all__:
        return getattr(load_module(".executor", __name__), name)
    raise AttributeError(f"module 'weft.runtime' has no attribute {name!r}")
