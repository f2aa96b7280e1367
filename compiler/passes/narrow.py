"""``narrow_concats``: no concatenation reads more tensors than a kernel can be given.

concat(a, b, c, d, e)   ->   concat(concat(a, b, c), concat(d, e))        4 buffers at most
"""

from __future__ import annotations

from ...ir.target import Target
from ..graph.graph import Graph, Node
from ..ops import get
from ..schedules.measured import JOINED
from .rewrite import Rewrite


def narrow_concats(graph: Graph, target: Target) -> Graph:
    """``graph`` with wide concatenations as trees of narrow ones: of as many tensors as the target
    can give to a kernel, and as are compiled in a reasonable time."""
    most = JOINED
    if target.max_buffers:
        most = min(most, target.max_buffers - 1)  # one is the result
    if target.texture_memory:
        most = min(most, target.texture_units)

    def visit(r: Rewrite, n: Node) -> str | None:
        if get(n.op).facts.joins is None or len(n.inputs) <= most:
            return None
        parts = list(n.inputs)
        while len(parts) > most:
            groups = [parts[k : k + most] for k in range(0, len(parts), most)]
            parts = [r.extra(n, n.op, g, n.attrs) if len(g) > 1 else g[0] for g in groups]
        return r.add(n, n.op, parts, n.attrs)

    return Rewrite(graph).run(visit) if most > 1 else graph
