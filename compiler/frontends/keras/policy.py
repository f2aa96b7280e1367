"""Element types: what a layer keeps its variables in and what it computes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....runtime.errors import ModelError, UnsupportedError

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@dataclass(frozen=True)
class Policy:
    """Names of element types: of variables, and of computing."""

    variable: str
    compute: str


def policy_of(given: Any, where: str) -> Policy:
    """The policy that a config states: a name, or an object of Keras; float32 for None.

    Raises :class:`UnsupportedError` for quantised ones."""
    if isinstance(given, Mapping):
        config = given.get("config")
        kind = given.get("class_name", "")
        name = config.get("name") if isinstance(config, Mapping) else None
        if "Quantized" in str(kind) or "Map" in str(kind):
            raise UnsupportedError(f"the dtype policy {kind}.", where=where)
        given = name
    if given is None:
        given = "float32"
    if not isinstance(given, str):
        raise ModelError(f"the element type of a layer is {given!r}.", where=where)
    if given in _MIXED:
        return Policy("float32", _MIXED[given])
    if given.startswith(("int8_from", "int4_from", "float8_from")):
        raise UnsupportedError(f"the dtype policy {given}.", where=where)
    return Policy(given, given)


__all__ = ["Policy", "policy_of"]
