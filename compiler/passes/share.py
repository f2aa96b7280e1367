"""``share_slices``: where many slices of one tensor begin is data, not a part of their code.

slice(x, starts (7, 0))   ->   slice_at(x, [7, 0, 0])        many of one shape

A slice has its starts in its kernel, so that a split into two thousand parts would be as many
kernels to compile. With the starts in a constant, all parts are computed by one.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..graph.graph import Graph, Node
from ..schedules.measured import SHARED_SLICES
from .rewrite import Rewrite


def share_slices(graph: Graph) -> Graph:
    """``graph`` with ``slice_at`` in the place of slices of one tensor where there are many that
    differ in their starts alone."""
    alike = Counter(_kind(n) for n in graph.nodes if n.op == "slice")

    def visit(r: Rewrite, n: Node) -> str | None:
        if n.op != "slice" or alike[_kind(n)] < SHARED_SLICES:
            return None
        if any(s < 0 for s in n.attrs["steps"] or ()):
            return None
        # One more than there are axes: a constant of one element would be part of the kernel.
        starts = np.array([*n.attrs["starts"], 0], np.int32)
        at = r.constant(starts, f"{n.outputs[0]}.starts")
        attrs = {"shape": n.attrs["shape"], "steps": n.attrs["steps"]}
        return r.add(n, "slice_at", [n.inputs[0], at], attrs)

    return Rewrite(graph).run(visit)


def _kind(n: Node) -> tuple[object, ...]:
    return n.inputs[0], n.attrs["shape"], n.attrs["steps"]
