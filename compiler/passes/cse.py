"""Common subexpressions: equal operators on equal inputs, and equal constants, are made once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ..graph import Graph, Node
from ..ops import get
from .rewrite import Rewrite

_COMPARED = 1 << 16  # bytes up to which constants are compared


def eliminate_common(graph: Graph) -> Graph:
    """``graph`` with nodes merged that compute the same."""
    constants: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for name, value in graph.constants.items():
        if value.nbytes <= _COMPARED:
            key = (graph.types[name], value.tobytes())
            constants[name] = first.setdefault(key, name)
    seen: dict[Hashable, str] = {}

    def visit(r: Rewrite, n: Node) -> str | None:
        if len(n.outputs) != 1:
            return None
        inputs: Any = [constants.get(i, i) for i in n.inputs]
        if "commutative" in get(n.op).facts:
            inputs.sort()
        attrs = tuple((k, _frozen(v)) for k, v in sorted(n.attrs.items()))
        key = (n.op, tuple(inputs), attrs)
        known = seen.setdefault(key, n.outputs[0])
        return None if known == n.outputs[0] else known

    return Rewrite(graph).run(visit)


def _frozen(value: Any) -> Hashable:
    """An attribute as a key. The type belongs to it: 1, 1.0 and True are equal; so is -0.0 to 0."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    return (type(value).__name__, repr(value))
