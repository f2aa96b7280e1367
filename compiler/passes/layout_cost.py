"""What it costs to read a tensor in one layout for a result in another: the weights of the choice
in ``layout.py``.

A tensor is row major or has blocks of channels. Cycles are counted for a processor that starts two
multiply-adds of a vector in a cycle. What matters is their order of magnitude: a read in vectors,
or element by element.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...ir.target import Target
from ..graph.graph import Graph, Node
from ..ops import Kind, get
from ..schedules.measured import (
    CROSS,
    FUSED,
    HALF_LINE,
    LINES_FROM_BLOCKS,
    LINES_FROM_LINES,
    LONG_LINES,
    SHORT_LINES,
    STRIDED,
)
from ..types import TensorType


def weight_columns(graph: Graph) -> dict[str, int]:
    """By name, the axis that counts columns of each constant that is a contraction's weights; those
    that others read for other columns are left out."""
    weights = {n.inputs[1] for n in graph.nodes if len(n.inputs) > 1}
    table: dict[str, int] = {}
    for name in weights & graph.constants.keys():
        shape, readers = graph.types[name].shape, graph.consumers[name]
        if len({n.op for n in readers}) > 1:
            continue
        axes = {_columns(n, shape) for n in readers}
        axis = axes.pop()
        if axis is not None and not axes:
            table[name] = axis
    return table


def _columns(node: Node, weights: Sequence[int]) -> int | None:
    c = get(node.op).facts.contraction
    return None if c is None else c.columns(weights, node.attrs)


def read_cost(
    node: Node, at: int, types: Mapping[str, TensorType], target: Target, blocks: bool, made: bool
) -> float:
    """Cycles of ``node`` for its input number ``at``, which has blocks of channels if ``blocks``,
    while its result has them if ``made``."""
    x, out = types[node.inputs[at]], types[node.outputs[0]]
    lanes = max(1, target.lanes(out.dtype))
    kind, facts = get(node.op).kind, get(node.op).facts
    if facts.contraction is not None and facts.contraction.has_images:
        return 0.0 if at > 0 else _convolution(node, types, lanes, blocks, made)
    if facts.channel_wise and x.shape[:2] == out.shape[:2]:
        work = out.size * math.prod(facts.window(node.attrs))
        return _elements(work, lanes, blocks, made, _steps(node))
    if kind <= Kind.BROADCAST:
        cycles = _elements(out.size, lanes, blocks, made) * (1.0 if blocks == made else FUSED)
        return cycles if x.shape == out.shape else 0.0
    if facts.joins is not None:
        along = facts.joins(node.attrs) == 1
        before = sum(types[i].shape[1] for i in node.inputs[:at]) if along else 0
        read = _elements if along and before % lanes == 0 else _moved
        return read(x.size, lanes, blocks, made)
    if kind is Kind.INJECTIVE:
        return _moved(out.size, lanes, blocks, made)
    beside = kind is Kind.REDUCTION and 1 not in _axes(node, len(x.shape))
    return x.size * CROSS if blocks and not beside else x.size / lanes


def _axes(node: Node, rank: int) -> set[int]:
    """The axes of a reduction."""
    axes = get(node.op).facts.reduced(node.attrs)
    return {a % rank for a in (axes if axes is not None else range(rank))}


def _convolution(
    node: Node, types: Mapping[str, TensorType], lanes: int, blocks: bool, made: bool
) -> float:
    """Of the data of a convolution."""
    c = get(node.op).facts.contraction
    assert c is not None
    x, w, out = (types[t] for t in (*node.inputs[:2], node.outputs[0]))
    products = c.products(x.shape, w.shape, out.shape, 1)
    if c.groups(node.attrs) > 1:  # the results are made element by element
        return _elements(products, lanes, blocks, made, _steps(node))
    return _times_blocked(x, blocks, made) * products / (2 * lanes)


def _times_blocked(x: TensorType, blocks: bool, made: bool) -> float:
    """How many times as long as from blocks to blocks a convolution of one group takes."""
    if made:
        short = x.shape[-1] * x.dtype.bytes < HALF_LINE
        return 1.0 if blocks else SHORT_LINES if short else LONG_LINES
    return LINES_FROM_BLOCKS if blocks else LINES_FROM_LINES


def _steps(node: Node) -> bool:
    """Whether places are left out between those that are read."""
    return any(s > 1 for s in get(node.op).facts.steps(node.attrs))


def _elements(work: float, lanes: int, blocks: bool, made: bool, strided: bool = False) -> float:
    """Of operands that are read at the places of the result."""
    if blocks != made:
        return work * CROSS
    return work / lanes * (STRIDED if strided and not blocks else 1.0)


def _moved(work: float, lanes: int, blocks: bool, made: bool) -> float:
    """Of operands that are read at other places: only whole lines move in vectors."""
    return work * CROSS if blocks or made else work / lanes
