"""What it costs to read a tensor in one layout for a result in another: the weights of the choice
in ``layout.py``.

A tensor is row major or has blocks of channels. Cycles are counted for a processor that starts two
multiply-adds of a vector in a cycle. What matters is their order of magnitude: a read in vectors,
or element by element.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...ir.target import Target
from ..graph import Node
from ..ops import Kind, get
from ..types import TensorType

# Convolutions: a result with blocked channels. The number is the axis of the weights (input 1) that
# counts output channels.
CHANNEL_PRODUCERS = {"conv": 0, "conv_transpose": 1, "winograd_conv": 3}
# Operators that work channel by channel.
CHANNEL_WISE = frozenset(
    {
        "max_pool", "average_pool", "lp_pool", "resample", "upsample", "batch_norm", "pad",
        "identity", "cast", "instance_norm", "lrn", "slice",
    }
)  # fmt: skip

CROSS = 0.75  # cycles of an element that lies in vectors of another axis
# An operator of elements is part of the kernel of its operand, which then has two layouts.
FUSED = 16.0
STRIDED = 4.0  # how much dearer every second place of a line is than all
# How much dearer a convolution is that writes lines of a picture, from blocks and from lines; and
# one that reads lines, shorter than half a line of the cache, and others.
LINES_FROM_BLOCKS, LINES_FROM_LINES = 10.0, 2.0
SHORT_LINES, LONG_LINES = 1.5, 1.05
HALF_LINE = 32  # bytes


def read_cost(
    node: Node, at: int, types: Mapping[str, TensorType], target: Target, blocks: bool, made: bool
) -> float:
    """Cycles of ``node`` for its input number ``at``, which has blocks of channels if ``blocks``,
    while its result has them if ``made``."""
    x, out = types[node.inputs[at]], types[node.outputs[0]]
    lanes = max(1, target.lanes(out.dtype))
    if node.op in CHANNEL_PRODUCERS:
        if at > 0:
            return 0.0
        return _convolution(node, x, out, types[node.inputs[1]], lanes, blocks, made)
    kind = get(node.op).kind
    if node.op in CHANNEL_WISE and x.shape[:2] == out.shape[:2]:
        work = out.size * math.prod(node.attrs.get("kernel") or ())
        return _elements(work, lanes, blocks, made, _steps(node))
    if kind <= Kind.BROADCAST:
        if x.shape != out.shape:
            return 0.0
        return _elements(out.size, lanes, blocks, made) * (1.0 if blocks == made else FUSED)
    if node.op == "concat":
        along = node.attrs["axis"] == 1
        before = sum(types[i].shape[1] for i in node.inputs[:at]) if along else 0
        read = _elements if along and before % lanes == 0 else _moved
        return read(x.size, lanes, blocks, made)
    if kind is Kind.INJECTIVE:
        return _moved(out.size, lanes, blocks, made)
    beside = kind is Kind.REDUCTION and 1 not in _axes(node, len(x.shape))
    return x.size * CROSS if blocks and not beside else x.size / lanes


def _axes(node: Node, rank: int) -> set[int]:
    """The axes of a reduction."""
    axes = node.attrs.get("axes")
    return {a % rank for a in (axes if axes is not None else range(rank))}


def _convolution(
    node: Node, x: TensorType, out: TensorType, w: TensorType, lanes: int, blocks: bool, made: bool
) -> float:
    channels = out.shape[1]
    products = out.size * w.size / max(1, channels)
    if node.op == "conv_transpose":
        products = x.size * w.size / max(1, x.shape[1])
    if node.attrs.get("groups", 1) > 1:
        return _elements(products, lanes, blocks, made, _steps(node))
    if made:
        short = x.shape[-1] * x.dtype.bytes < HALF_LINE
        factor = 1.0 if blocks else SHORT_LINES if short else LONG_LINES
    else:
        factor = LINES_FROM_BLOCKS if blocks else LINES_FROM_LINES
    return factor * products / (2 * lanes)


def _steps(node: Node) -> bool:
    """Whether places are left out between those that are read."""
    return any(s > 1 for name in ("strides", "steps") for s in node.attrs.get(name) or ())


def _elements(work: float, lanes: int, blocks: bool, made: bool, strided: bool = False) -> float:
    """Of operands that are read at the places of the result."""
    if blocks != made:
        return work * CROSS
    return work / lanes * (STRIDED if strided and not blocks else 1.0)


def _moved(work: float, lanes: int, blocks: bool, made: bool) -> float:
    """Of operands that are read at other places: only whole lines move in vectors."""
    return work * CROSS if blocks or made else work / lanes
