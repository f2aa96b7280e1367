"""Scales and shifts per output channel are folded into the weights before them.

``batch_norm(conv(x, w, b))`` is ``conv(x, w * a, b * a + c)`` with constants ``a`` and ``c`` per
channel; so are multiplications and additions by constants of that shape. The new weights are
computed in float64 and rounded once. A batch normalisation that follows nothing with weights
becomes a multiplication and an addition, which fuse into what is around them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Graph, Node
from .rewrite import Rewrite

_ARITHMETIC = ("add", "sub", "mul", "div")


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
        affine = _batch_norm(r, n) if n.op == "batch_norm" else _arithmetic(r, n)
        if affine is None:
            return None
        with np.errstate(all="ignore"):
            made = _into_weights(r, n, affine) if r.sole(affine.x) else None
            return _as_arithmetic(r, n, affine) if made is None and n.op == "batch_norm" else made

    return Rewrite(graph).run(visit)


def _batch_norm(r: Rewrite, n: Node) -> _Affine | None:
    values = [r.const(i) for i in n.inputs[1:]]
    if any(v is None for v in values):
        return None
    scale, bias, mean, var = (np.asarray(v, np.float64) for v in values)
    with np.errstate(all="ignore"):
        a = scale / np.sqrt(var + n.attrs["epsilon"])
        c = bias - mean * a
    return _Affine(n.inputs[0], a, c) if np.isfinite(a).all() and np.isfinite(c).all() else None


def _arithmetic(r: Rewrite, n: Node) -> _Affine | None:
    """``n`` as an affine map of one input, its other one being constant along a channel axis."""
    if n.op not in _ARITHMETIC:
        return None
    x, other = n.inputs
    value = r.const(other)
    swapped = value is None
    if swapped:
        if n.op == "div":
            return None
        x, other, value = other, x, r.const(x)
    producer = r.producer(x)
    if value is None or producer is None or producer.op not in _FOLDERS:
        return None
    out = r.type(n.outputs[0])
    if r.type(x).shape != out.shape:
        return None
    channel = _channel_axis(producer.op, len(out.shape))
    at = value.ndim - (len(out.shape) - channel)  # the channel's axis in ``value``
    if any(d != 1 for k, d in enumerate(value.shape) if k != at):
        return None
    v = value.reshape(-1).astype(np.float64)
    one, zero = np.ones_like(v), np.zeros_like(v)
    if n.op == "add":
        return _Affine(x, one, v)
    if n.op == "sub":
        return _Affine(x, -one, v) if swapped else _Affine(x, one, -v)
    return _Affine(x, v if n.op == "mul" else one / v, zero)


def _channel_axis(op: str, ndim: int) -> int:
    return 1 if op in ("conv", "conv_transpose") else ndim - 1


def _into_weights(r: Rewrite, n: Node, m: _Affine) -> str | None:
    """A node that computes ``n`` by other weights in the operator that makes its input."""
    p = r.producer(m.x)
    if p is None or p.op not in _FOLDERS:
        return None
    if n.op == "batch_norm" and _channel_axis(p.op, len(r.type(m.x).shape)) != 1:
        return None
    if r.const(p.inputs[1]) is None:
        return None
    made = _FOLDERS[p.op](r, p, m)
    if made is None:
        return None
    arrays, attrs = made
    dtype = r.type(m.x).dtype.numpy
    rounded = [a.astype(dtype) for a in arrays]
    if not all(np.isfinite(a).all() for a in rounded):
        return None  # the weights overflow, or were not finite: keep the order of the operations
    names = [r.constant(a, f"{p.outputs[0]}.{k}") for a, k in zip(rounded, ("weight", "bias"))]
    return r.add(n, p.op, [p.inputs[0], *names], {**p.attrs, **attrs})


def _conv(r: Rewrite, p: Node, m: _Affine):
    w = _array(r, p.inputs[1])
    a, c = _per_channel(m, w.shape[0])
    b = _bias(r, p, w.shape[0])
    if b is None:
        return None
    return [w * a.reshape(-1, *[1] * (w.ndim - 1)), b * a + c], {}


def _conv_transpose(r: Rewrite, p: Node, m: _Affine):
    w, groups = _array(r, p.inputs[1]), p.attrs["groups"]  # [in channels, filters / groups, ...]
    a, c = _per_channel(m, w.shape[1] * groups)
    b = _bias(r, p, w.shape[1] * groups)
    if b is None:
        return None
    split = w.reshape(groups, w.shape[0] // groups, w.shape[1], -1)
    return [(split * a.reshape(groups, 1, -1, 1)).reshape(w.shape), b * a + c], {}


def _matmul(r: Rewrite, p: Node, m: _Affine):
    if m.shift.any() or len(r.type(p.inputs[0]).shape) < 1:
        return None  # it has no bias; an addition fuses into its kernel
    w = _array(r, p.inputs[1])
    if w.ndim < 2:
        return None
    return [w * m.scale], {}


def _gemm(r: Rewrite, p: Node, m: _Affine):
    w = _array(r, p.inputs[1])
    a, c = _per_channel(m, w.shape[0 if p.attrs["trans_b"] else 1])
    third = p.inputs[2] if len(p.inputs) > 2 else ""
    value = r.const(third) if third else np.zeros((), np.float64)
    if value is None:
        return None
    bias = value.astype(np.float64) * (p.attrs["beta"] if third else 1.0) * a + c
    scaled = w * (a[:, None] if p.attrs["trans_b"] else a)
    return [scaled * p.attrs["alpha"], bias], {"alpha": 1.0, "beta": 1.0}


_FOLDERS = {"conv": _conv, "conv_transpose": _conv_transpose, "matmul": _matmul, "gemm": _gemm}


def _array(r: Rewrite, name: str) -> np.ndarray:
    value = r.const(name)
    assert value is not None
    return value.astype(np.float64)


def _bias(r: Rewrite, p: Node, channels: int) -> np.ndarray | None:
    """The bias in float64, zeros where there is none; None when it is not constant."""
    name = p.inputs[2] if len(p.inputs) > 2 else ""
    if not name:
        return np.zeros(channels)
    value = r.const(name)
    return None if value is None else value.astype(np.float64)


def _per_channel(m: _Affine, channels: int) -> tuple[np.ndarray, np.ndarray]:
    return np.broadcast_to(m.scale, (channels,)), np.broadcast_to(m.shift, (channels,))


def _as_arithmetic(r: Rewrite, n: Node, m: _Affine) -> str:
    t = r.type(m.x)
    side = (-1, *[1] * (len(t.shape) - 2)) if len(t.shape) > 1 else (-1,)
    a, c = (v.reshape(side).astype(t.dtype.numpy) for v in (m.scale, m.shift))
    scaled = r.extra(n, "mul", [m.x, r.constant(a, f"{n.outputs[0]}.scale")])
    return r.add(n, "add", [scaled, r.constant(c, f"{n.outputs[0]}.shift")])
