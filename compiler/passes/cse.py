"""Common subexpressions: equal operators on equal inputs, and equal constants, are made once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..graph.graph import Graph, Node
from ..graph.group import attrs_key
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
        if get(n.op).facts.commutative:
            inputs.sort()
        key = (n.op, tuple(inputs), attrs_key(n.attrs))
        known = seen.setdefault(key, n.outputs[0])
        return None if known == n.outputs[0] else known

    return Rewrite(graph).run(visit)
