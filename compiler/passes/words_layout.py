"""Layouts for devices whose neighbouring threads are to read neighbouring words: channels last.

Neighbouring threads compute neighbouring channels (``compiler/schedules/gpu/words.py``), so
channels are what lies side by side: results are ``NHWC``. A thread has several filters in its
registers; its weights are stored in the order in which a run of threads reads them::

    filter = (block · THREADS + thread) · OWN + own       stored as [block, …, own, thread]

Everything else follows: an index map is part of reading a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir.layout import Digit, Layout
from ..graph import Graph, Node, TensorType
from .layout import CHANNEL_PRODUCERS, result_layout

OWN = 4  # filters of a thread
THREADS = 16  # that share a run of filters


def choose_word_layouts(graph: Graph) -> Graph:
    """``graph`` with channels last from the first convolution on, and packed constant weights."""
    types, constants, results = dict(graph.types), dict(graph.constants), set(graph.outputs)
    for node in graph.nodes:
        packed = _weights(node, graph)
        if packed is not None:
            name = node.inputs[1]
            if types[name].layout is None and name not in results:
                types[name] = replace(types[name], layout=packed)
                constants[name] = packed.pack(graph.constants[name])
        layout = _result(node, types)
        if layout is None:
            continue
        for o in node.outputs:
            if o and o not in results and types[o].shape == layout.shape:
                types[o] = replace(types[o], layout=layout)
    return graph.replace(types=types, constants=constants)


def _result(node: Node, types: dict[str, TensorType]) -> Layout | None:
    out = types[node.outputs[0]]
    if node.op == "concat" and node.attrs["axis"] == 1:
        same = all(types[i].layout is not None for i in node.inputs)
        return _channels_last(out) if same else None
    return result_layout(node, types, _channels_last)


def _channels_last(out: TensorType) -> Layout | None:
    channels = out.shape[1]
    return Layout.blocked(out.shape, 1, channels) if channels > 1 else None


def _weights(node: Node, graph: Graph) -> Layout | None:
    """How the constant weights of a node are packed."""
    if len(node.inputs) < 2 or node.inputs[1] not in graph.constants:
        return None
    shape: tuple[int, ...] = graph.types[node.inputs[1]].shape
    if node.op in CHANNEL_PRODUCERS:
        axis = CHANNEL_PRODUCERS[node.op]
    elif node.op == "matmul" and len(shape) >= 2:
        axis = len(shape) - 1
    elif node.op == "gemm":
        axis = 0 if node.attrs["trans_b"] else 1
    else:
        return None
    readers = {(n.op, n.attrs.get("trans_b")) for n in graph.consumers[node.inputs[1]]}
    if len(readers) > 1 or 0 in shape or shape[axis] == 1:
        return None
    # Where a filter has one channel, data and weights are read side by side.
    deep = node.op != "conv" or (len(shape) > 1 and shape[1] > 1)
    return filters_last(shape, axis, interleaved=deep)


def filters_last(shape: Sequence[int], axis: int, interleaved: bool) -> Layout:
    """A layout with ``axis`` innermost; the channels of a convolution follow its window."""
    n = shape[axis]
    rest = [k for k in range(len(shape)) if k != axis]
    if axis == 0 and len(shape) > 2:
        rest = [*rest[1:], rest[0]]
    outer = tuple((Digit(k, 1, shape[k]),) for k in rest)
    if not interleaved or n < OWN:
        return Layout(tuple(shape), (*outer, (Digit(axis, 1, n),)))
    threads = min(THREADS, -(-n // OWN))
    run = OWN * threads
    return Layout(
        tuple(shape),
        (
            (Digit(axis, run, -(-n // run)),),
            *outer,
            (Digit(axis, 1, OWN),),
            (Digit(axis, OWN, threads),),
        ),
    )
