"""All fuzzers by name, in the order of reports."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from fuzz.fuzzer import Fuzzer

# Each module has a literal FUZZERS tuple.
MODULES = (
    "onnx_bytes",
    "onnx_structure",
    "operators",
    "packages",
    "bundles",
    "te_programs",
    "graphs",
    "sized",
)


@cache
def fuzzers(modules: tuple[str, ...] = MODULES) -> dict[str, Fuzzer]:
    """The fuzzers of some modules, by name."""
    found = [f for m in modules for f in import_module(f"fuzz.{m}").FUZZERS]
    assert len({f.name for f in found}) == len(found)
    return {f.name: f for f in found}
