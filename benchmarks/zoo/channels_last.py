"""Any network as front-ends import it from a format whose images have their channels last: images
are [N, H, W, C], and there are transposes around what takes [N, C, H, W] alone."""

from __future__ import annotations

from ...compiler.graph.builder import GraphBuilder
from ...compiler.graph.graph import Graph, Node
from ...compiler.ops import get
from ...compiler.ops.axes import Order, axes_in, order_of


def channels_last(graph: Graph) -> Graph:
    """``graph`` with each image, inputs and outputs too, as [N, spatial…, C]; the names stay."""
    b = GraphBuilder(graph.name)
    for i in graph.inputs:
        t = graph.types[i]
        b.input(i, t.dtype, tuple(t.shape[a] for a in _last(len(t.shape))))
    for name, value in graph.constants.items():
        b.constants[name], b.types[name] = value, graph.types[name]
    for n in graph.nodes:
        _ = _carried(b, graph, n) or _wrapped(b, graph, n)
    for o in set(graph.outputs) & graph.constants.keys():
        b.constants[o] = graph.constants[o].transpose(_last(graph.constants[o].ndim))
    return b.finish(graph.outputs)


def _last(rank: int) -> Order:
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def _first(rank: int) -> Order:
    return (0, rank - 1, *range(1, rank - 1)) if rank > 2 else tuple(range(rank))


def _carried(b: GraphBuilder, graph: Graph, n: Node) -> bool:
    """Whether the operator could be added as one of images with their channels last."""
    rule = get(n.op).facts.carries
    shapes = [graph.types[i].shape if i else None for i in n.inputs]
    c = rule and rule(shapes, [graph.types[o].shape for o in n.outputs], n.attrs)
    if not c or not all(n.outputs):
        return False
    rank = len(graph.types[n.outputs[0]].shape)
    slots = order_of(c.results[0], _last(rank), c.count)
    if slots is None or axes_in(c.results[0], slots) != _last(rank):
        return False
    attrs = c.attrs(slots)
    inputs = []
    for i, axes in zip(n.inputs, c.inputs):
        at = len(shapes[len(inputs)] or ())
        order = axes_in(axes, slots) if axes is not None else tuple(range(at))
        if i in graph.constants:
            value = graph.constants[i].transpose(order)
            if c.stretches and axes is not None:
                extents = dict(zip(axes, graph.types[i].shape))
                value = value.reshape([extents.get(s, 1) for s in slots])
            inputs.append(b.constant(value, i))
        elif i and order != _last(at):
            return False
        else:
            inputs.append(i)
    if attrs is None:
        return False
    b.add(n.op, inputs, attrs, outputs=n.outputs, source=n.source)
    return True


def _wrapped(b: GraphBuilder, graph: Graph, n: Node) -> bool:
    inputs = []
    for i in n.inputs:
        rank = len(graph.types[i].shape) if i else 0
        if rank > 2 and i not in graph.constants:
            (i,) = b.add("transpose", [i], {"perm": _first(rank)}, source=n.source)
        inputs.append(i)
    made = b.add(n.op, inputs, n.attrs, source=n.source)
    for o, name in zip(n.outputs, made):
        if o:
            perm = _last(len(graph.types[o].shape))
            op = "transpose" if len(perm) > 2 else "identity"
            b.add(op, [name], {"perm": perm} if len(perm) > 2 else {}, outputs=[o])
    return True
