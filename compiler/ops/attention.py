"""Scaled dot-product attention: a matrix product, softmax along its rows, another matrix product.

Vaswani et al., "Attention Is All You Need" (NIPS 2017), §3.2.1. No front-end makes this operator;
``compiler/passes/attention.py`` finds it in a graph where one kernel is better than three: the
matrix between the products need never exist as a whole (Dao et al., "FlashAttention", NeurIPS 2022,
§3.1; rows are kept whole here, so that softmax is the usual one).
"""

from __future__ import annotations

import numpy as np

from ...ir import intrin as te
from ...ir import reducers
from ...ir.expr import Expr, cast
from ...ir.tensor import reduce_axis
from ...runtime.dtype import dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .common import (
    broadcast_shapes,
    check_domain,
    convert_array,
    ints,
    make,
    same_dtype,
    some,
    stretch,
    wide,
)
from .matmul import product, wide_operand
from .opdef import Attr, Kind, OpDef, Types


def _facts(part: str) -> dict[str, object]:
    """What marks a stage for the schedule."""
    return {"kind": "attention", "part": part}


def _infer(types: Types, a) -> list[TensorType]:
    dtype = same_dtype("attention", types)
    for k, t in enumerate(types):
        if t is not None:
            check_domain("attention", "float", t, k)
    q, k, v = (some(t).shape for t in types[:3])
    mask = types[3] if len(types) > 3 else None
    fit = len(q) == len(k) == len(v) >= 2 and q[:-2] == k[:-2] == v[:-2]
    if not fit or q[-1] != k[-2] or k[-1] != v[-2] or not k[-1]:
        raise GraphError(
            "attention takes [..., rows, depth], [..., depth, keys] and [..., keys, columns],"
            f" not {list(q)}, {list(k)} and {list(v)}."
        )
    scores = (*q[:-1], k[-1])
    if mask is not None and broadcast_shapes("attention", [scores, mask.shape]) != scores:
        raise GraphError(f"attention: the mask {mask} does not broadcast to {list(scores)}.")
    return [TensorType(dtype, (*q[:-1], v[-1]))]


def _compute(inputs, a, out):
    q, k, v = inputs[:3]
    mask = inputs[3] if len(inputs) > 3 else None
    d, scale = wide(out[0].dtype), a["scale"]
    keys = ints(k.shape)[-1]
    scores_shape = (*ints(q.shape)[:-1], keys)

    scores = product(
        q, k, scores_shape, wide_operand, wide_operand, "attention.scores", _facts("scores")
    )

    def logit(*i) -> Expr:
        value = scores[i] if scale == 1 else scores[i] * scale
        if mask is None:
            return value
        at = i[len(i) - mask.ndim :]
        return value + cast(stretch(mask, at, scores_shape[len(i) - mask.ndim :]), d)

    logits = make(scores_shape, logit, "attention.logits", _facts("logits"))

    def over_keys(fn, reducer):
        def body(*i):
            r = reduce_axis(keys, "j")
            return reducer(fn(*i, r), axis=r)

        return body

    rows = scores_shape[:-1]
    top = make(rows, over_keys(lambda *i: logits[i], reducers.max), "attention.max", _facts("max"))
    e = make(
        scores_shape, lambda *i: te.exp(logits[i] - top[i[:-1]]), "attention.exp", _facts("exp")
    )
    total = make(rows, over_keys(lambda *i: e[i], reducers.sum), "attention.sum", _facts("sum"))

    mixed = product(
        e, v, out[0].shape, wide_operand, wide_operand, "attention.product", _facts("product")
    )
    return [
        make(
            out[0].shape,
            lambda *i: cast(mixed[i] * (1.0 / total[i[:-1]]), out[0].dtype),
            "attention",
        )
    ]


def _reference(arrays, a):
    q, k, v = (some(x).astype(np.float64) for x in arrays[:3])
    with np.errstate(all="ignore"):
        logits = np.matmul(q, k) * a["scale"]
        if len(arrays) > 3 and arrays[3] is not None:
            logits = logits + arrays[3].astype(np.float64)
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        y = np.matmul(e, v) / e.sum(axis=-1, keepdims=True)
    return [convert_array(y, dtype_of(arrays[0].dtype))]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "attention",
        Kind.COMPLEX,
        _infer,
        _compute,
        _reference,
        {"scale": Attr(float, 1.0, "of the scores, before the mask is added")},
        3,
        4,
        doc="softmax(scale * Q @ K + mask) @ V; K is [..., depth, keys], as Q @ K takes it",
    ),
)
