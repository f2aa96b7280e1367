"""Convolutions, pools, products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..images import same_pads, window_pads
from .mil_context import MilContext, MilConverter


def _each(n: MilContext, key: str, count: int) -> tuple[int, ...]:
    values = n.ints(key, None) or (1,) * count
    if len(values) != count or min(values) < 1:
        n.error(f"its argument {key!r} is {values}; {count} positive numbers are needed.")
    return values


def _pads(
    n: MilContext,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[int, ...]:
    """Pads as weft has them, all befores first; MIL's are a pair for each axis."""
    kind = n.text("pad_type", "valid").lower()
    if kind == "custom":
        given = n.ints("pad", (0,) * (2 * len(kernel)))
        if len(given) != 2 * len(kernel):
            n.error(f"pad is {given}; {2 * len(kernel)} numbers are needed.")
        return (*given[::2], *given[1::2])
    if kind == "same_lower":
        pads = same_pads(size, kernel, strides, dilations)
        return (*pads[len(kernel) :], *pads[: len(kernel)])
    return window_pads(kind, size, kernel, strides, dilations)


def _spatial(n: MilContext, kernel: Sequence[int]) -> tuple[int, ...]:
    x = n.typed()
    if len(x.shape) < 3 or len(kernel) != len(x.shape) - 2:
        n.error(f"a window {tuple(kernel)} does not fit data {x}.")
    return x.shape[2:]


def _conv(n: MilContext) -> str:
    kernel = n.typed("weight").shape[2:]
    size = _spatial(n, kernel)
    strides, dilations = (_each(n, k, len(kernel)) for k in ("strides", "dilations"))
    return n.add(
        "conv",
        [n.arg("x"), n.arg("weight"), *n.args("bias")],
        strides=strides,
        dilations=dilations,
        pads=_pads(n, size, kernel, strides, dilations),
        groups=n.number("groups", 1),
    )


def _conv_transpose(n: MilContext) -> str:
    kernel = n.typed("weight").shape[2:]
    size, count = _spatial(n, kernel), len(kernel)
    strides, dilations = (_each(n, k, count) for k in ("strides", "dilations"))
    kind = n.text("pad_type", "valid").lower()
    wanted = n.ints("output_shape", None)
    whole = [(m - 1) * s + (k - 1) * d + 1 for m, s, k, d in zip(size, strides, kernel, dilations)]
    if wanted is not None:
        if len(wanted) != count + 2:
            n.error(f"the output's shape {wanted} does not fit {n.typed()}.")
        wanted = wanted[2:]
    elif kind == "same":
        wanted = tuple(m * s for m, s in zip(size, strides))
    if kind == "same":
        assert wanted is not None
        over = [w - o for w, o in zip(whole, wanted)]
        before = [max(o, 0) // 2 for o in over]
        after = [o - b for o, b in zip(over, before)]
    else:
        pads = _pads(n, size, kernel, strides, dilations)
        before, after = list(pads[:count]), list(pads[count:])
        if wanted is not None:
            after = [w - b - o for w, b, o in zip(whole, before, wanted)]
    return n.add(
        "conv_transpose",
        [n.arg("x"), n.arg("weight"), *n.args("bias")],
        strides=strides,
        dilations=dilations,
        pads=(*before, *(max(a, 0) for a in after)),
        output_padding=tuple(max(-a, 0) for a in after),
        groups=n.number("groups", 1),
    )


def _pool(op: str, **attrs: Any) -> MilConverter:
    def convert(n: MilContext) -> str:
        kernel = n.ints("kernel_sizes")
        size, strides = _spatial(n, kernel), _each(n, "strides", len(kernel))
        more = dict(attrs)
        if op == "average_pool":
            more["count_include_pad"] = not n.flag("exclude_padding_from_average")
        return n.add(
            op,
            [n.arg("x")],
            kernel=kernel,
            strides=strides,
            pads=_pads(n, size, kernel, strides, (1,) * len(kernel)),
            ceil_mode=n.flag("ceil_mode"),
            **more,
        )

    return convert


def _linear(n: MilContext) -> str:
    weight = n.typed("weight")
    if len(weight.shape) != 2:
        n.error(f"its weights are {weight}, not a matrix.")
    x = n.arg("x")
    if len(n.typeof(x).shape) == 2:
        return n.add("gemm", [x, n.arg("weight"), *n.args("bias")], trans_b=True)
    y = n.add("matmul", [x, n.moved(n.arg("weight"), (1, 0))])
    return n.add("add", [y, n.arg("bias")]) if n.has("bias") else y


def _matmul(n: MilContext) -> str:
    operands = []
    for key in ("x", "y"):
        t = n.arg(key)
        rank = len(n.typeof(t).shape)
        if n.flag(f"transpose_{key}") and rank > 1:
            t = n.moved(t, (*range(rank - 2), rank - 1, rank - 2))
        operands.append(t)
    return n.add("matmul", operands)


def _einsum(n: MilContext) -> str:
    return n.add("einsum", n.args("values"), equation=n.text("equation").replace(" ", ""))


def _attention(n: MilContext) -> str:
    query, key, value = (n.arg(k) for k in ("query", "key", "value"))
    rank, depth = len(n.typeof(query).shape), n.typeof(query).shape[-1]
    inputs = [query, n.moved(key, (*range(rank - 2), rank - 1, rank - 2)), value]
    if n.has("attn_mask"):
        mask = n.arg("attn_mask")
        if n.typeof(mask).dtype.is_bool:
            mask = n.add("where", [mask, n.like(0, query), n.like(-np.inf, query)])
        inputs.append(mask)
    return n.add("attention", inputs, scale=float(depth) ** -0.5)


CONVERTERS: dict[str, MilConverter] = {
    "avg_pool": _pool("average_pool"),
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "einsum": _einsum,
    "l2_pool": _pool("lp_pool", p=2),
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _pool("max_pool"),
    "scaled_dot_product_attention": _attention,
}
