"""Layouts of tensors in texture memory.

The register tile of a fragment is as many texels as a fragment can write, so the tensor that it
writes has one layer for each: for a convolution ``blocks`` channel blocks of four times ``columns``
neighbouring columns,

    [N, C, H, W]  ->  (N) (C / 4b) (H) (W / c) | C / 4 % b, W % c: the layers | C % 4: the lane

and for a matrix product rows times blocks of four columns. The layout is a function of the shape
alone: tensors of one shape that meet in an element-wise operator lie alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from ...ir.layout import Digit, Layout
from ...ir.target import Target
from ..graph.graph import Graph, Node
from ..ops import Kind, get
from ..schedules.measured import TEXEL_FETCH
from ..types import TensorType
from .layout_cost import weight_columns

LANES = 4


def choose_texture_layouts(graph: Graph, target: Target) -> Graph:
    """``graph`` with tensors laid out for fragments; constant weights are packed here."""
    types = dict(graph.types)
    constants = dict(graph.constants)
    for name, axis in weight_columns(graph).items():
        w = types[name]
        if w.layout is None and name not in graph.results and w.size > 1 and w.shape[axis] > 1:
            layout = Layout.blocked(w.shape, axis, LANES)  # output channels as lane
            types[name] = replace(w, layout=layout)
            constants[name] = layout.pack(graph.constants[name])
    for node in graph.nodes:
        layout = _result(node, types, target)
        for o in node.outputs if layout is not None else ():
            public = not o or o in graph.results
            if not public and layout is not None and types[o].shape == layout.shape:
                types[o] = replace(types[o], layout=layout)
    return graph.replace(types=types, constants=constants)


def tiled(shape: Sequence[int], lane: int, row: int, target: Target) -> Layout:
    """``lane`` in blocks of four, and as layers some neighbouring blocks and rows.

    The number of each is chosen for the least work of all tiles of a contraction: four fetches a
    block and one a row serve four multiply-adds for each pair of them.
    """

    def cost(tile: tuple[int, int]) -> float:
        blocks, rows = tile
        tiles = -(-shape[lane] // (LANES * blocks)) * -(-shape[row] // rows)
        return tiles * (TEXEL_FETCH * (LANES * blocks + rows) + LANES * blocks * rows)

    counts = [1 << k for k in range(target.max_draw_buffers.bit_length())]
    fits = [t for t in product(counts, counts) if t[0] * t[1] <= target.max_draw_buffers]
    blocks, rows = min(fits, key=cost)
    outer = []
    for a, n in enumerate(shape):
        step = LANES * blocks if a == lane else rows if a == row else 1
        outer.append((Digit(a, step, -(-n // step)),))
    inner = [(Digit(lane, LANES, blocks),), (Digit(row, 1, rows),), (Digit(lane, 1, LANES),)]
    inner = [(d,) for (d,) in inner if d.extent > 1]
    return Layout(tuple(shape), (*outer, *inner), blocks * rows)


def _result(node: Node, types: dict[str, TensorType], target: Target) -> Layout | None:
    out = types[node.outputs[0]]
    shape = out.shape
    if out.size == 0 or len(shape) < 2:
        return None
    op, images = get(node.op), len(shape) >= 3
    c = op.facts.contraction
    if c is not None and c.has_images and images:
        return _channels_tiled(shape, target)
    if c is not None and not c.has_images:
        return tiled(shape, len(shape) - 1, len(shape) - 2, target) if shape[-1] > 1 else None
    first = types[node.inputs[0]] if node.inputs and node.inputs[0] else None
    joins = op.facts.joins
    if op.facts.channel_wise or (joins is not None and joins(node.attrs) == 1):
        layout = None if first is None or not images else first.layout
        by_channel = layout is not None and layout.lane.axis == 1
        return _channels_tiled(shape, target) if by_channel else None
    if op.kind > Kind.BROADCAST:
        return None
    operands = (types[i] for i in node.inputs if i in types)
    return next((t.layout for t in operands if t.layout is not None and t.shape == shape), None)


def _channels_tiled(shape: Sequence[int], target: Target) -> Layout | None:
    """Blocks of channels (axis 1) and neighbouring columns; None where there is one channel."""
    return tiled(shape, 1, len(shape) - 1, target) if shape[1] > 1 else None
