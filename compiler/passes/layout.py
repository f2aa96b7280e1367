"""Choose how tensors lie in storage, for the whole graph.

Results of convolutions, and what is made of them place by place, may have their channels in blocks
of the vector width (``NCHW16c``: Zhang et al. / Georganas et al., SC'18). Which ones do is what
costs least over the whole graph (NeoCPU: Liu et al., ATC'19); constant weights are re-laid here, at
compile time. Only types and constants change: an index map is part of reading a tensor, so every
operator is right for every layout and no transform nodes are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...ir.layout import Digit, Layout
from ...ir.target import Target
from ..graph.graph import Graph, Node
from ..ops import Kind, Stream, get
from ..types import TensorType
from .assign import Table, minimise
from .layout_cost import read_cost, weight_columns
from .texture_layout import choose_texture_layouts


def choose_layouts(graph: Graph, target: Target) -> Graph:
    """``graph`` with blocked layouts where they make vectors along channels contiguous."""
    if target.texture_memory:
        return choose_texture_layouts(graph, target)
    types = dict(graph.types)
    constants = dict(graph.constants)
    columns = weight_columns(graph)
    for node in graph.nodes:
        name = node.inputs[1] if len(node.inputs) > 1 else ""
        if name not in columns or types[name].layout is not None or name in graph.results:
            continue
        layout = _weight_layout(node, types[name], columns[name], target)
        if layout is not None:
            types[name] = replace(types[name], layout=layout)
            constants[name] = layout.pack(graph.constants[name])
    for name, layout in _blocked(graph, target).items():
        types[name] = replace(types[name], layout=layout)
    return graph.replace(types=types, constants=constants)


def _blocked(graph: Graph, target: Target) -> dict[str, Layout]:
    """The tensors that are best stored in blocks of channels: the choice with the least cost in sum
    over the graph (Liu et al., "NeoCPU", ATC'19, §3.3)."""
    candidates = _candidates(graph, target)
    tables: list[Table[str]] = []
    for node in graph.nodes:
        out = node.outputs[0]
        for at, name in enumerate(node.inputs):
            if not name or name in graph.constants:
                continue
            scope = tuple(n for n in (name, out) if n in candidates)
            if not scope:
                continue
            ways = [(True, False) if n in candidates else (False,) for n in (name, out)]
            cost = [
                [read_cost(node, at, graph.types, target, b, m) for m in ways[1]] for b in ways[0]
            ]
            tables.append((scope, np.array(cost).reshape([2] * len(scope))))
    chosen = minimise(dict.fromkeys(candidates, 2), tables)
    return {name: layout for name, layout in candidates.items() if chosen[name] == 0}


def _candidates(graph: Graph, target: Target) -> dict[str, Layout]:
    """Tensors that may have blocks of channels: results of convolutions, and what is made of them
    or for them place by place."""
    results = set(graph.outputs)
    found: dict[str, Layout] = {}
    near: set[str] = set()
    for node in graph.nodes:
        if _makes_images(node):
            near.update((*node.inputs[:1], *node.outputs))
        elif _follows(node) and any(i in near for i in node.inputs):
            near.update(node.outputs)
    for node in reversed(graph.nodes):
        if get(node.op).kind <= Kind.INJECTIVE and any(o in near for o in node.outputs):
            near.update(i for i in node.inputs if i)
    for node in graph.nodes:
        for o in node.outputs if _follows(node) or _makes_images(node) else ():
            if not o or o not in near or o in results or graph.types[o].layout is not None:
                continue
            t = graph.types[o]
            lanes = target.lanes(t.dtype)
            if len(t.shape) > 2 and worth_blocking(t.shape[1], lanes):
                found[o] = Layout.blocked(t.shape, 1, lanes)
    return found


def _makes_images(node: Node) -> bool:
    """Whether results [N, C, …] are sums of products over channels."""
    c = get(node.op).facts.contraction
    return c is not None and c.has_images


def _follows(node: Node) -> bool:
    """Whether elements are made of few elements of an operand, which may lie in blocks, too."""
    op = get(node.op)
    return op.kind <= Kind.INJECTIVE or op.facts.channel_wise


def worth_blocking(channels: int, lanes: int) -> bool:
    """Blocking pads channels up to a multiple of the lanes: at most half may be padding."""
    return lanes > 1 and 2 * channels >= lanes


def _weight_layout(node: Node, w: TensorType, axis: int, target: Target) -> Layout | None:
    """How this node wants its weights ``w`` packed, whose columns ``axis`` counts."""
    lanes = target.lanes(w.dtype)
    if w.size <= 1 or not worth_blocking(w.shape[axis], lanes):
        return None
    layout = Layout.blocked(w.shape, axis, lanes)
    c = get(node.op).facts.contraction
    assert c is not None
    if c.stream is Stream.WINDOW and w.shape[1] >= lanes:
        layout = _streamed(w.shape, lanes)
    if c.stream is Stream.PANELS:
        # A block of columns (filters) is read from its begin to its end, row after row.
        *outer, lane = layout.axes
        layout = replace(layout, axes=(outer.pop(axis), *outer, lane))
    return layout


def _streamed(shape: Sequence[int], block: int) -> Layout:
    """Weights in the order in which a convolution with blocked data reads them (channel block,
    window, channel, filter), so that a block of filters is one sequential stream."""
    filters, channels, *window = shape
    return Layout(
        tuple(shape),
        (
            (Digit(0, block, -(-filters // block)),),
            (Digit(1, block, -(-channels // block)),),
            *((Digit(2 + k, 1, n),) for k, n in enumerate(window)),
            (Digit(1, 1, block),),
            (Digit(0, 1, block),),
        ),
    )
