"""Layers of windows and products: convolutions, pools, inner products, embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..images import same_pads
from .layer_context import LayerContext, LayerConverter

_TOP_LEFT_HEAVY = 1
_POOLS = ("max_pool", "average_pool", "lp_pool")


def _pair(values: Sequence[int], default: int) -> tuple[int, int]:
    found = tuple(int(v) for v in values) or (default, default)
    if len(found) != 2 or min(found) < 1:
        raise ValueError(f"two positive numbers are needed, not {found}")
    return found[0], found[1]


def borders(amounts: Any, rank: int = 2) -> tuple[int, ...]:
    """Of ``BorderAmounts``, all befores, then all afters."""
    edges = amounts.borderAmounts
    if not edges:
        return (0,) * (2 * rank)
    if len(edges) != rank:
        raise ValueError(f"borders of {len(edges)} axes, not {rank}")
    return (*(e.startEdgeSize for e in edges), *(e.endEdgeSize for e in edges))


def _turned(pads: Sequence[int], heavy: int) -> tuple[int, ...]:
    half = len(pads) // 2
    return (*pads[half:], *pads[:half]) if heavy == _TOP_LEFT_HEAVY else tuple(pads)


def _pads(
    n: LayerContext,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] = (1, 1),
) -> tuple[int, ...]:
    if n.p.HasField("same"):
        return _turned(same_pads(size, kernel, strides, dilations), n.p.same.asymmetryMode)
    return borders(n.p.valid.paddingAmounts)


def _convolution(n: LayerContext) -> str:
    p, size = n.p, n.least(4)[-2:]
    kernel, strides = _pair(p.kernelSize, 3), _pair(p.stride, 1)
    groups, filters = p.nGroups or 1, p.outputChannels
    bias = [n.weights(p.bias, filters)] if p.hasBias else []
    x = n.batched()
    if p.isDeconvolution:
        shape = (p.kernelChannels, filters // groups, *kernel)
        w = n.weights(p.weights, *shape, axis=1)
        where = _transposed(n, size, kernel, strides)
        y = n.add("conv_transpose", [x, w, *bias], strides=strides, groups=groups, **where)
    else:
        dilations = _pair(p.dilationFactor, 1)
        w = n.weights(p.weights, filters, p.kernelChannels, *kernel)
        y = n.add(
            "conv", [x, w, *bias], strides=strides, dilations=dilations, groups=groups,
            pads=_pads(n, size, kernel, strides, dilations),
        )  # fmt: skip
    return n.restored(y)


def _transposed(
    n: LayerContext, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """What is cut off of a deconvolution, or put behind it."""
    whole = [(m - 1) * s + k for m, s, k in zip(size, strides, kernel, strict=True)]
    wanted: Sequence[int] = n.p.outputShape
    if not wanted and n.p.HasField("same"):
        wanted = [m * s for m, s in zip(size, strides)]
    if not wanted:
        return {"pads": borders(n.p.valid.paddingAmounts)}
    over = [w - o for w, o in zip(whole, wanted, strict=True)]
    before = [max(o, 0) // 2 for o in over]
    pads = (*before, *(max(o, 0) - b for o, b in zip(over, before)))
    heavy = n.p.same.asymmetryMode if n.p.HasField("same") else 0
    extra = tuple(max(-o, 0) for o in over)
    return {"pads": _turned(pads, heavy), "output_padding": extra}


def _convolution3d(n: LayerContext) -> str:
    p, size = n.p, n.least(5)[-3:]
    kernel = _three(p, "kernel")
    strides, dilations = _three(p, "stride"), _three(p, "dilation")
    groups, filters = p.nGroups or 1, p.outputChannels
    bias = [n.weights(p.bias, filters)] if p.hasBias else []
    if p.isDeconvolution:
        if p.outputShape:
            n.unsupported("a deconvolution in three dimensions that states its output's shape")
        w = n.weights(p.weights, p.inputChannels, filters // groups, *kernel)
        if p.paddingType == 2:  # SAME
            total = [k - s for k, s in zip(kernel, strides)]
            before = [max(t, 0) // 2 for t in total]
            pads = (*before, *(max(t, 0) - b for t, b in zip(total, before)))
            extra = tuple(max(-t, 0) for t in total)
        else:
            pads, extra = _pads3d(p, size, kernel, strides, dilations), (0, 0, 0)
        return n.add(
            "conv_transpose", [n.x, w, *bias], strides=strides, groups=groups, pads=pads,
            output_padding=extra,
        )  # fmt: skip
    w = n.weights(p.weights, filters, p.inputChannels // groups, *kernel)
    pads = _pads3d(p, size, kernel, strides, dilations)
    return n.add(
        "conv", [n.x, w, *bias], strides=strides, dilations=dilations, groups=groups, pads=pads
    )


def _three(p: Any, what: str) -> tuple[int, ...]:
    found = tuple(getattr(p, f"{what}{axis}") or 1 for axis in ("Depth", "Height", "Width"))
    if min(found) < 1:
        raise ValueError(f"{what} is {found}")
    return found


def _pads3d(
    p: Any,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] = (1, 1, 1),
) -> tuple[int, ...]:
    """CUSTOM, VALID or SAME."""
    if p.paddingType == 2:
        return same_pads(size, kernel, strides, dilations)
    if p.paddingType == 1:
        return (0,) * 6
    sides = ("Front", "Top", "Left", "Back", "Bottom", "Right")
    return tuple(getattr(p, f"customPadding{side}") for side in sides)


def _pooling(n: LayerContext) -> str:
    p, size = n.p, n.least(4)[-2:]
    if p.type >= len(_POOLS):
        n.error(f"there is no pool of type {p.type}.")
    op, x = _POOLS[p.type], n.batched()
    if p.globalPooling:
        ops = ("reduce_max", "reduce_mean", "reduce_l2")
        return n.restored(n.add(ops[p.type], [x], axes=(2, 3), keepdims=True))
    kernel, strides, ceil = _pair(p.kernelSize, 3), _pair(p.stride, 1), False
    if p.HasField("includeLastPixel"):
        amounts = tuple(p.includeLastPixel.paddingAmounts) or (0, 0)
        pads, ceil = (*amounts, *amounts), True
    else:
        pads = _pads(n, size, kernel, strides)
    more = {"count_include_pad": not p.avgPoolExcludePadding} if op == "average_pool" else {}
    y = n.add(op, [x], kernel=kernel, strides=strides, pads=pads, ceil_mode=ceil, **more)
    return n.restored(y)


def _pooling3d(n: LayerContext) -> str:
    p, size = n.p, n.least(5)[-3:]
    kernel, strides = _three(p, "kernel"), _three(p, "stride")
    more = {"count_include_pad": not p.countExcludePadding} if p.type else {}
    pads = _pads3d(p, size, kernel, strides)
    return n.add(_POOLS[p.type], [n.x], kernel=kernel, strides=strides, pads=pads, **more)


def _global_pooling3d(n: LayerContext) -> str:
    n.least(5)
    return n.add(("reduce_max", "reduce_mean")[n.p.type], [n.x], axes=(2, 3, 4), keepdims=True)


# --- products ---------------------------------------------------------------------------------


def _inner_product(n: LayerContext) -> str:
    p, shape = n.p, n.shape
    if p.int8DynamicQuantize:
        n.unsupported("weights that make data int8 while it runs")
    ins, outs, rank = p.inputChannels, p.outputChannels, len(shape)
    lead = shape[:-3] if rank >= 4 else shape[:-1]
    x = n.reshaped(n.x, (math.prod(lead), ins))
    w = n.weights(p.weights, outs, ins)
    bias = [n.weights(p.bias, outs)] if p.hasBias else []
    y = n.add("gemm", [x, w, *bias], trans_b=True)
    return n.reshaped(y, (*lead, outs, 1, 1) if rank >= 4 else (*lead, outs))


def _batched_matmul(n: LayerContext) -> str:
    p = n.p
    if p.int8DynamicQuantize:
        n.unsupported("weights that make data int8 while it runs")
    if len(n) > 1:
        operands = []
        for t, turn, axis in ((n.x, p.transposeA, 0), (n.y, p.transposeB, 1)):
            shape = n.shaped(t)
            if len(shape) == 1:
                t = n.reshaped(t, (1, *shape) if axis == 0 else (*shape, 1))
            rank = len(n.shaped(t))
            operands.append(n.moved(t, (*range(rank - 2), rank - 1, rank - 2)) if turn else t)
        return n.add("matmul", operands)
    ins, outs = p.weightMatrixFirstDimension, p.weightMatrixSecondDimension
    w = n.constant(np.ascontiguousarray(n.array(p.weights, outs, ins).T))  # stored by columns
    lead = n.shape[:-1]
    y = n.add("matmul", [n.reshaped(n.x, (math.prod(lead), ins)), w])
    y = n.reshaped(y, (*lead, outs))
    return n.add("add", [y, n.weights(p.bias, outs)]) if p.hasBias else y


def _looked_up(n: LayerContext, count: int, width: int, at: str) -> str:
    table = n.constant(np.ascontiguousarray(n.array(n.p.weights, width, count).T))
    y = n.add("gather", [table, n.integers(at)], axis=0, wrap=False)
    return n.add("add", [y, n.weights(n.p.bias, width)]) if n.p.hasBias else y


def _embedding(n: LayerContext) -> str:
    shape, width = n.least(4), n.p.outputChannels
    if shape[-3:] != (1, 1, 1):
        n.error(f"its last three axes are {shape[-3:]}, not 1.")
    y = _looked_up(n, n.p.inputDim, width, n.reshaped(n.x, shape[:-3]))
    return n.reshaped(y, (*shape[:-3], width, 1, 1))


def _embedding_nd(n: LayerContext) -> str:
    shape = n.least(2)
    if shape[-1] != 1:
        n.error(f"its last axis is {shape[-1]}, not 1.")
    return _looked_up(n, n.p.vocabSize, n.p.embeddingSize, n.reshaped(n.x, shape[:-1]))


CONVERTERS: dict[str, LayerConverter] = {
    "batchedMatmul": _batched_matmul,
    "convolution": _convolution,
    "convolution3d": _convolution3d,
    "embedding": _embedding,
    "embeddingND": _embedding_nd,
    "globalPooling3d": _global_pooling3d,
    "innerProduct": _inner_product,
    "pooling": _pooling,
    "pooling3d": _pooling3d,
}
