"""``gather_strided``: a pointwise convolution with strides takes the places it reads first.

conv(x, 1×1 weights, strides 2)   ->   conv(slice(x, steps 2), 1×1 weights)

The places are then neighbours, and the convolution is a plain matrix product over all of them
(``kernels/flatten.py``), for which the copy of every fourth place is a small price: each of its
elements is used for every filter.
"""

from __future__ import annotations

from ..graph.graph import Graph, Node
from ..schedules.measured import GATHER_FILTERS
from .rewrite import Rewrite


def gather_strided(graph: Graph) -> Graph:
    """``graph`` with slices in front of pointwise convolutions that have strides."""

    def visit(r: Rewrite, n: Node) -> str | None:
        if n.op != "conv" or n.attrs["groups"] != 1 or any(n.attrs["pads"] or ()):
            return None
        strides = tuple(n.attrs["strides"] or ())
        filters, _, *window = r.type(n.inputs[1]).shape
        if set(strides) <= {1} or set(window) != {1} or filters < GATHER_FILTERS:
            return None
        batch, channels = r.type(n.inputs[0]).shape[:2]
        places = r.type(n.outputs[0]).shape[2:]
        attrs = {
            "starts": (0,) * (2 + len(places)),
            "shape": (batch, channels, *places),
            "steps": (1, 1, *strides),
        }
        taken = r.extra(n, "slice", [n.inputs[0]], attrs)
        return r.add(n, "conv", [taken, *n.inputs[1:]], {**n.attrs, "strides": None})

    return Rewrite(graph).run(visit)
