"""Scales and shifts per output channel are folded into the weights before them.

``batch_norm(conv(x, w, b))`` is ``conv(x, w * a, b * a + c)`` with constants ``a`` and ``c`` per
channel; so are multiplications and additions by constants of that shape. The new weights are
computed in float64 and rounded once. A batch normalisation that follows nothing with weights
becomes a multiplication and an addition, which fuse into what is around them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..graph.graph import Graph, Node
from ..ops import get
from ..ops.facts import Rescale
from .rewrite import Rewrite

# ``x op v`` by operator ("rsub": ``v - x``): the scale and the shift of x, from v, ones and zeros.
_ARITHMETIC: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "add": lambda v, one, zero: (one, v),
    "sub": lambda v, one, zero: (one, -v),
    "rsub": lambda v, one, zero: (-one, v),
    "mul": lambda v, one, zero: (v, zero),
    "div": lambda v, one, zero: (one / v, zero),
}


@dataclass(frozen=True)
class _Affine:
    """``x * scale + shift`` along one axis; both are float64 of one element or one a channel."""

    x: str
    scale: np.ndarray
    shift: np.ndarray


def fold_batch_norm(graph: Graph) -> Graph:
    """``graph`` with constant scales and shifts folded into convolutions and matrix products."""

    def visit(r: Rewrite, n: Node) -> str | None:
        if not r.type(n.outputs[0]).dtype.is_float:
            return None
        stated = get(n.op).facts.affine is not None
        affine = _stated(r, n) if stated else _arithmetic(r, n)
        if affine is None:
            return None
        with np.errstate(all="ignore"):
            made = _into_weights(r, n, affine, stated) if r.sole(affine.x) else None
            return _as_arithmetic(r, n, affine) if made is None and stated else made

    return Rewrite(graph).run(visit)


def _stated(r: Rewrite, n: Node) -> _Affine | None:
    """``n`` as an affine map along axis 1, as its operator says (``Facts.affine``)."""
    affine = get(n.op).facts.affine
    assert affine is not None
    values = [r.const(i) for i in n.inputs[1:]]
    if any(v is None for v in values):
        return None
    with np.errstate(all="ignore"):
        a, c = affine([np.asarray(v, np.float64) for v in values], n.attrs)
    return _Affine(n.inputs[0], a, c) if np.isfinite(a).all() and np.isfinite(c).all() else None


def _arithmetic(r: Rewrite, n: Node) -> _Affine | None:
    """``n`` as an affine map of one input, its other one being constant along a channel axis."""
    if n.op not in _ARITHMETIC:
        return None
    op, (x, other) = n.op, n.inputs
    value = r.const(other)
    if value is None and op != "div":
        op = "rsub" if op == "sub" else op
        x, value = other, r.const(x)
    producer = r.producer(x)
    if value is None or producer is None or _rescaled(producer) is None:
        return None
    out = r.type(n.outputs[0])
    channel = _channel_axis(producer, len(out.shape))
    at = value.ndim - (len(out.shape) - channel)  # the channel's axis in ``value``
    if r.type(x).shape != out.shape or any(d != 1 for k, d in enumerate(value.shape) if k != at):
        return None
    v = value.reshape(-1).astype(np.float64)
    return _Affine(x, *_ARITHMETIC[op](v, np.ones_like(v), np.zeros_like(v)))


def _rescaled(node: Node) -> Rescale | None:
    """How a scale and a shift become part of the weights of ``node``, if they can."""
    c = get(node.op).facts.contraction
    return None if c is None else c.rescale


def _channel_axis(node: Node, ndim: int) -> int:
    c = get(node.op).facts.contraction
    assert c is not None
    return c.channel_axis % ndim


def _into_weights(r: Rewrite, n: Node, m: _Affine, along_1: bool) -> str | None:
    """A node that computes ``n`` by other weights in the operator that makes its input.
    ``along_1``: the map is along axis 1, whatever the channels of that operator are."""
    p = r.producer(m.x)
    rescale = _rescaled(p) if p is not None else None
    if p is None or rescale is None:
        return None
    if along_1 and _channel_axis(p, len(r.type(m.x).shape)) != 1:
        return None
    x, weights, *rest = p.inputs
    w = r.const(weights)
    bias = r.const(rest[0]) if any(rest) else None
    if w is None or (any(rest) and bias is None):
        return None
    wide = None if bias is None else bias.astype(np.float64)
    made = rescale(w.astype(np.float64), wide, p.attrs, m.scale, m.shift)
    if made is None:
        return None
    arrays = [a for a in (made.weights, made.bias) if a is not None]
    dtype = r.type(m.x).dtype.numpy
    rounded = [a.astype(dtype) for a in arrays]
    if not all(np.isfinite(a).all() for a in rounded):
        return None  # the weights overflow, or were not finite: keep the order of the operations
    hints = (f"{p.outputs[0]}.weight", f"{p.outputs[0]}.bias")
    names = [r.constant(a, hint) for a, hint in zip(rounded, hints)]
    return r.add(n, p.op, [x, *names], {**p.attrs, **made.attrs})


def _as_arithmetic(r: Rewrite, n: Node, m: _Affine) -> str:
    t = r.type(m.x)
    side = (-1, *[1] * (len(t.shape) - 2)) if len(t.shape) > 1 else (-1,)
    a, c = (v.reshape(side).astype(t.dtype.numpy) for v in (m.scale, m.shift))
    scaled = r.extra(n, "mul", [m.x, r.constant(a, f"{n.outputs[0]}.scale")])
    return r.add(n, "add", [scaled, r.constant(c, f"{n.outputs[0]}.shift")])
