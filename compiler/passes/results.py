"""``detach_results``: results of the graph that convolutions make are computed in blocks, too.

conv(x, w) -> y   ->   conv(x, w) -> t,  identity(t) -> y

Results are row major: a convolution that wrote one would have its vectors along a line of the
image, and read blocked data element by element. The copy is the change of layout, a kernel of its
own: ``fuse`` leaves an ``identity`` between two layouts alone.
"""

from __future__ import annotations

from ...ir.target import Target
from ..graph.graph import Graph, Node
from ..ops import Kind, get
from ..schedules.measured import DETACH_DEPTH
from .layout import worth_blocking
from .rewrite import Rewrite


def detach_results(graph: Graph, target: Target) -> Graph:
    """``graph`` with copies behind results that convolutions make."""
    wanted = {o for o in graph.outputs if _is_convolved(graph, o, target)}

    def visit(r: Rewrite, n: Node) -> str | None:
        if n.outputs[0] not in wanted:
            return None
        return r.add(n, "identity", [r.extra(n, n.op, n.inputs, n.attrs)])

    return Rewrite(graph).run(visit)


def _is_convolved(graph: Graph, name: str, target: Target) -> bool:
    """Whether ``name`` is a convolution's result, but for what followed element by element."""
    shape = graph.types[name].shape
    node = graph.producer.get(name)
    while node is not None and len(node.outputs) == 1:
        c = get(node.op).facts.contraction
        if c is not None and c.has_images:
            w = graph.types[node.inputs[1]]
            depth = w.size // max(1, shape[1])
            lanes = target.lanes(graph.types[name].dtype)
            return depth >= DETACH_DEPTH and worth_blocking(shape[1], lanes)
        if get(node.op).kind > Kind.BROADCAST:
            return False
        same = [i for i in node.inputs if i and graph.types[i].shape == shape]
        node = next((graph.producer[i] for i in same if i in graph.producer), None)
    return False
