"""``read_as_given``: an image that is given with its channels last is read so by the convolutions.

x [N, H, W, C] -> transpose -> t [N, C, H, W]        t lies in the bytes of x: there is no kernel

An index map is part of reading a tensor: the transposed tensor has the layout in which its elements
lie as they do in the input, and so it is an alias of it (``memory.py``), as a reshape is. Few
channels are read element by element anyway, one for all filters; many are worth a copy.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph.graph import Graph, Node
from ..ops import get
from ..schedules.measured import GIVEN_CHANNELS


def read_as_given(graph: Graph) -> Graph:
    """``graph`` with layouts of inputs' transposes that convolutions of few channels read."""
    types = dict(graph.types)
    for n in graph.nodes:
        relaid = get(n.op).facts.reinterprets
        if relaid is None or n.inputs[0] not in graph.inputs or not _is_convolved(graph, n):
            continue
        (o,) = n.outputs
        layout = relaid(types[n.inputs[0]].shape, n.attrs)
        if types[o].layout is None and not layout.is_row_major:
            types[o] = replace(types[o], layout=layout)
    return graph if types == graph.types else graph.replace(types=types)


def _is_convolved(graph: Graph, n: Node) -> bool:
    """Whether none but convolutions of few channels read what ``n`` makes."""
    (o,) = n.outputs
    t, readers = graph.types[o], graph.consumers.get(o, ())
    if o in graph.results or not readers or len(t.shape) < 3:
        return False
    if t.shape[1] > GIVEN_CHANNELS:
        return False
    for r in readers:
        c = get(r.op).facts.contraction
        if c is None or not c.has_images or c.groups(r.attrs) > 1 or r.inputs.count(o) != 1:
            return False
        if r.inputs[0] != o:
            return False
    return True
