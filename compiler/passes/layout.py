"""Choose how tensors lie in storage, for the whole graph.

Channels are blocked by the vector width (``NCHW16c``: Zhang et al. / Georganas et al., SC'18; the
graph-level view is NeoCPU, Liu et al., ATC'19) from a convolution on, through everything that works
channel by channel; constant weights are re-laid here, at compile time. Only types and constants
change: an index map is part of reading a tensor, so every operator is right for every layout and no
transform nodes are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir.layout import Digit, Layout
from ...ir.target import Target
from ..graph import Graph, Node, TensorType
from ..ops import Kind, get

# Convolutions: a result with blocked channels. The number is the axis of the weights (input 1) that
# counts output channels.
CHANNEL_PRODUCERS = {"conv": 0, "conv_transpose": 1, "winograd_conv": 3}
# Operators whose result is blocked as their first input is: they work channel by channel.
CHANNEL_WISE = frozenset(
    {
        "max_pool", "average_pool", "lp_pool", "resample", "upsample", "batch_norm", "pad",
        "identity", "cast", "instance_norm", "lrn", "slice",
    }
)  # fmt: skip


def choose_layouts(graph: Graph, target: Target) -> Graph:
    """``graph`` with blocked layouts where they make vectors along channels contiguous."""
    if target.texture_memory:
        from .texture_layout import choose_texture_layouts

        return choose_texture_layouts(graph, target)
    types = dict(graph.types)
    constants = dict(graph.constants)
    results = set(graph.outputs)
    for node in graph.nodes:
        for at, layout in _constant_layouts(node, graph, target):
            name = node.inputs[at]
            if types[name].layout is None and name not in results:
                types[name] = replace(types[name], layout=layout)
                constants[name] = layout.pack(graph.constants[name])
        layout = _result_layout(node, types, target)
        if layout is None:
            continue
        for o in node.outputs:
            if o and o not in results and types[o].shape == layout.shape:
                types[o] = replace(types[o], layout=layout)
    return graph.replace(types=types, constants=constants)


def worth_blocking(channels: int, lanes: int) -> bool:
    """Blocking pads channels up to a multiple of the lanes: at most half may be padding."""
    return lanes > 1 and 2 * channels >= lanes


def _constant_layouts(node: Node, graph: Graph, target: Target) -> list[tuple[int, Layout]]:
    """(input number, layout) of weights that this node wants packed."""
    if len(node.inputs) < 2 or node.inputs[1] not in graph.constants:
        return []
    w = graph.types[node.inputs[1]]
    lanes = target.lanes(w.dtype)
    if node.op in CHANNEL_PRODUCERS:
        axis = CHANNEL_PRODUCERS[node.op]
    elif node.op == "matmul" and len(w.shape) >= 2:
        axis = len(w.shape) - 1
    elif node.op == "gemm":
        axis = 0 if node.attrs["trans_b"] else 1
    else:
        return []
    readers = {(n.op, n.attrs.get("trans_b")) for n in graph.consumers[node.inputs[1]]}
    if len(readers) > 1 or w.size <= 1 or not worth_blocking(w.shape[axis], lanes):
        return []
    layout = Layout.blocked(w.shape, axis, lanes)
    extents = list(w.shape)
    if node.op == "conv" and extents[1] >= lanes:
        layout = _streamed(w.shape, lanes)
    if node.op in ("winograd_conv", "matmul", "gemm"):
        # A block of columns (filters) is read from its begin to its end, row after row.
        *outer, lane = layout.axes
        layout = replace(layout, axes=(outer.pop(axis), *outer, lane))
    return [(1, layout)]


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


def _result_layout(node: Node, types: dict[str, TensorType], target: Target) -> Layout | None:
    out = types[node.outputs[0]]
    if node.op in CHANNEL_PRODUCERS:
        lanes = target.lanes(out.dtype)
        if not worth_blocking(out.shape[1], lanes):
            return None
        if node.attrs.get("groups", 1) > 1 and types[node.inputs[0]].layout is None:
            return None  # vectors along channels would gather from a row-major operand
        return Layout.blocked(out.shape, 1, lanes)
    first = types[node.inputs[0]] if node.inputs and node.inputs[0] else None
    if node.op in CHANNEL_WISE and first is not None and first.layout is not None:
        same_channels = len(out.shape) == len(first.shape) and out.shape[:2] == first.shape[:2]
        return first.layout.resized(out.shape) if same_channels else None
    if node.op == "concat" and node.attrs["axis"] == 1:
        return _joined(node, types, out)
    if get(node.op).kind <= Kind.BROADCAST:
        for i in node.inputs:
            t = types.get(i)
            if t is not None and t.layout is not None and t.shape == out.shape:
                return t.layout
    return None


def _joined(node: Node, types: dict[str, TensorType], out: TensorType) -> Layout | None:
    """Blocked results of a concatenation along channels stay whole blocks when all do."""
    layouts = [types[i].layout for i in node.inputs]
    first = layouts[0]
    if first is None or first.lane.axis != 1 or any(la is None for la in layouts):
        return None
    block = first.block(1)
    whole = all(
        la is not None and la.block(1) == block and la.shape[1] % block == 0 for la in layouts
    )
    return first.resized(out.shape) if whole and block > 1 else None
