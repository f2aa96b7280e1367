"""ONNX model to graph: the walk over the nodes, and which module converts what."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from .context import Converter

# Each module has a literal CONVERTERS: dict[str, Converter], keyed by the ONNX operator
# ("Conv"), or "domain::Operator" for one outside of the ai.onnx domain.
_MODULES: tuple[str, ...] = ()


@cache
def converters() -> dict[str, Converter]:
    """Every converter by operator."""
    table: dict[str, Converter] = {}
    for m in _MODULES:
        for op, convert in import_module(f".{m}", __package__).CONVERTERS.items():
            assert op not in table, f"two converters for {op}"
            table[op] = convert
    return table
