"""``dilate``: a convolution of blocks that are dealt out over the batch is one with dilations.

    space_to_batch(x, 2) -> conv -> batch_to_space(2)     =     conv(x, dilations 2)

TensorFlow writes dilations so. Each block of the batch has every second place of the image, and the
window moves over places of one block; the windows of all blocks together are those of the image,
their places two apart. Both moves are a reshape, a transpose and a reshape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..graph.graph import Graph, Node
from ..ops import Kind, get
from .rewrite import Rewrite


def dilate(graph: Graph) -> Graph:
    """``graph`` with dilations in the place of blocks in the batch, around convolutions of images
    with their channels last."""
    return Rewrite(graph).run(_visit) if any(n.op == "conv" for n in graph.nodes) else graph


@dataclass(frozen=True)
class _Moved:
    """A tensor whose blocks were moved between batch and space: what it was, and the blocks."""

    x: str
    block: tuple[int, ...]


@dataclass(frozen=True)
class _Convolved:
    """An image with its channels last, convolved: what is done at every place after it, the last
    first; the transpose back, the convolution, the transpose in front."""

    chain: tuple[Node, ...]
    last: Node
    conv: Node
    first: Node

    def again(self, r: Rewrite, x: str, **attrs: Any) -> str:
        """The same of ``x``, with other attributes of the convolution."""
        x = r.extra(self.first, "transpose", [x], self.first.attrs)
        x = r.extra(self.conv, "conv", [x, *self.conv.inputs[1:]], {**self.conv.attrs, **attrs})
        x = r.extra(self.last, "transpose", [x], self.last.attrs)
        for p in reversed(self.chain):
            x = r.extra(p, p.op, [x, *p.inputs[1:]], p.attrs)
        return x


def _visit(r: Rewrite, n: Node) -> str | None:
    return _dilated(r, n) if n.op == "reshape" else _cropped(r, n)


def _dilated(r: Rewrite, n: Node) -> str | None:
    back = _moves(r, n, to_batch=False)
    found = None if back is None else _convolved(r, back.x)
    start = r.producer(found.first.inputs[0]) if found is not None else None
    there = _moves(r, start, to_batch=True) if start is not None else None
    if back is None or found is None or there is None or there.block != back.block:
        return None
    steps = (*(found.conv.attrs["strides"] or ()), *(found.conv.attrs["dilations"] or ()))
    if not set(steps) <= {1} or any(found.conv.attrs["pads"] or ()):
        return None
    x = found.again(r, there.x, dilations=back.block)
    return x if r.type(x) == r.type(n.outputs[0]) else None


def _cropped(r: Rewrite, n: Node) -> str | None:
    """What is cut off again, as it was only there for the blocks to be whole, is not added."""
    cut = _cut(r, n)
    found = None if cut is None else _convolved(r, n.inputs[0])
    pad = r.producer(found.first.inputs[0], "pad") if found is not None else None
    if cut is None or found is None or pad is None or pad.attrs["mode"] != "constant":
        return None
    rank = len(cut) // 2
    beside = (cut[0], cut[rank - 1], cut[rank], cut[-1])  # batch and channels
    pads = tuple(p - c for p, c in zip(pad.attrs["pads"], cut))
    if not set(found.conv.attrs["strides"] or ()) <= {1} or min(pads) < 0 or any(beside):
        return None
    x = r.extra(pad, "pad", pad.inputs, {**pad.attrs, "pads": pads})
    return found.again(r, x)


def _cut(r: Rewrite, n: Node) -> tuple[int, ...] | None:
    """What ``n`` cuts off before and after each axis, if that is all it does."""
    shape = r.type(n.outputs[0]).shape if n.outputs[0] else ()
    if n.op == "pad" and not any(n.inputs[1:]) and max(n.attrs["pads"], default=0) <= 0:
        return tuple(-p for p in n.attrs["pads"])
    if n.op != "slice" or 0 in shape or not set(n.attrs["steps"] or ()) <= {1}:
        return None
    starts, whole = n.attrs["starts"], r.type(n.inputs[0]).shape
    return (*starts, *(w - b - k for w, b, k in zip(whole, starts, shape)))


def _convolved(r: Rewrite, name: str) -> _Convolved | None:
    """How ``name`` is a convolution of an image with its channels last, if it is."""
    chain: list[Node] = []
    while (p := r.producer(name)) is not None and _by_channel(r, p, name):
        chain.append(p)
        name = p.inputs[0]
    last = r.producer(name, "transpose")
    conv = r.producer(last.inputs[0], "conv") if last is not None else None
    first = r.producer(conv.inputs[0], "transpose") if conv is not None else None
    if last is None or conv is None or first is None:
        return None
    rank = len(r.type(name).shape)
    ends = (first.attrs["perm"], last.attrs["perm"])
    if ends != ((0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)):
        return None
    return _Convolved(tuple(chain), last, conv, first)


def _by_channel(r: Rewrite, n: Node, name: str) -> bool:
    """Whether ``n`` does the same at every place: an activation, a constant for each channel."""
    op = get(n.op)
    if op.facts.carries is None or op.kind > Kind.BROADCAST or len(n.outputs) != 1:
        return False
    x, *others = n.inputs
    if r.type(x) != r.type(name) or len(others) > 1:
        return False
    if not others:
        return op.kind is Kind.ELEMENTWISE
    value = r.const(others[0])
    return value is not None and math.prod(value.shape[:-1]) == 1 and n.op in _STRETCHING


_STRETCHING = ("add", "sub", "mul", "div", "minimum", "maximum", "prelu")


def _moves(r: Rewrite, n: Node, to_batch: bool) -> _Moved | None:
    """``n`` as the last step of a move of blocks between batch and space."""
    if n.op != "reshape":
        return None
    middle = r.producer(n.inputs[0], "transpose")
    begin = r.producer(middle.inputs[0], "reshape") if middle is not None else None
    if middle is None or begin is None:
        return None
    small = r.type(n.outputs[0] if to_batch else begin.inputs[0]).shape
    large = r.type(begin.inputs[0] if to_batch else n.outputs[0]).shape
    if len(small) != len(large) or len(small) < 3 or 0 in large or small[-1] != large[-1]:
        return None
    block = tuple(a // b for a, b in zip(large[1:-1], small[1:-1]))
    m, batch = len(block), large[0]
    fits = all(a == b * k for a, b, k in zip(large[1:-1], small[1:-1], block))
    if not fits or small[0] != batch * math.prod(block):
        return None
    woven = [v for pair in zip(small[1:-1], block) for v in pair]
    apart: Sequence[int] = (batch, *woven, large[-1])
    dealt: Sequence[int] = (*block, batch, *small[1:-1], large[-1])
    perm = (*(2 + 2 * k for k in range(m)), 0, *(1 + 2 * k for k in range(m)), 1 + 2 * m)
    if not to_batch:
        perm = (m, *(v for k in range(m) for v in (m + 1 + k, k)), 2 * m + 1)
    shapes = r.type(middle.inputs[0]).shape, r.type(middle.outputs[0]).shape
    want = (tuple(apart), tuple(dealt))
    if middle.attrs["perm"] != perm or shapes != (want if to_batch else want[::-1]):
        return None
    return _Moved(begin.inputs[0], block)
