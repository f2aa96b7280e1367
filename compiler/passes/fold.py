"""Constant folding: what depends on constants alone is computed now, by the numpy reference."""

from __future__ import annotations

from ..graph import folding
from ..graph.graph import Graph, Node
from ..ops import get
from .rewrite import Rewrite

BUDGET = 1 << 30  # bytes of results in one run


def fold_constants(graph: Graph) -> Graph:
    """``graph`` with nodes of constant inputs replaced by their results, where these are not so
    large that computing them at run time is better."""
    left = BUDGET

    def visit(r: Rewrite, n: Node) -> str | None:
        nonlocal left
        if len(n.outputs) != 1 or any(i and r.const(i) is None for i in n.inputs):
            return None
        op, types = get(n.op), [r.type(n.outputs[0])]
        values = [r.const(i) if i else None for i in n.inputs]
        if types[0].nbytes > left or not folding.affordable(op, values, types, n.attrs):
            return None
        left -= types[0].nbytes
        (value,) = folding.evaluate(op, values, n.attrs, types, str(n.source))
        return r.constant(value, f"{n.outputs[0]}.folded")

    return Rewrite(graph).run(visit)
