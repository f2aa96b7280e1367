"""Scaled dot-product attention, as the products and the softmax that one kernel is made of."""

# Converters have the parameters of their operators' schemas.
# ruff: noqa: PLR0913

from __future__ import annotations

import math

import numpy as np

from .context import Row, Tensor, TorchContext, aten


def _attention(
    n: TorchContext, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, *, scale: float | None = None,
    enable_gqa: bool = False,
) -> str:  # fmt: skip
    """A row of which no key counts is 0, as PyTorch has it since 2.5."""
    if dropout_p:
        n.unsupported("dropout draws random numbers")
    if min(map(n.rank, (query, key, value))) < 2:
        n.error("it takes [..., length, width] tensors.")
    q, d = query, n.dtype(query)
    if enable_gqa and n.rank(q) > 2:
        key, value = (_shared(n, x, n.shape(q)[-3]) for x in (key, value))
    lead = tuple(int(e) for e in np.broadcast_shapes(*(n.shape(x)[:-2] for x in (q, key, value))))
    q, key, value = (n.expand(x, (*lead, *n.shape(x)[-2:])) for x in (q, key, value))
    rows, width = n.shape(q)[-2:]
    keys, rank = n.shape(key)[-2], len(lead) + 2
    scale = 1 / math.sqrt(width) if scale is None else scale
    scores = n.do("matmul", q, n.transpose(key, (*range(rank - 2), rank - 1, rank - 2)))
    scores = n.do("mul", scores, n.number(scale, d))
    added, empty = "", ""
    if attn_mask:
        added, whole = attn_mask, n.dtype(attn_mask).is_bool
        if whole:
            added = n.do("where", attn_mask, n.number(0, d), n.number(-math.inf, d))
        added = n.cast(added, d)
        empty = n.do("reduce_max", added, axes=(n.rank(added) - 1,), keepdims=True)
        empty = n.do("equal", empty, n.number(-math.inf, d))
        added = n.do("maximum", added, n.number(float(d.min), d))
    if is_causal:
        late = np.arange(keys)[None] > np.arange(rows)[:, None]
        causal = n.constant(np.where(late, d.min, 0).astype(d.numpy))
        added = n.do("maximum", n.do("add", added, causal), n.number(float(d.min), d)) \
            if added else causal  # fmt: skip
    if added:
        scores = n.do("add", scores, added)
    made = n.do("matmul", n.do("softmax", scores, axis=-1), value)
    known = n.value_of(empty) if empty else np.zeros((), bool)
    if known is not None and not known.any():
        return made
    return n.do("where", empty, n.number(0, d), made)


def _shared(n: TorchContext, x: str, heads: int) -> str:
    """Heads of keys or values for groups of heads of queries."""
    shape = n.shape(x)
    if len(shape) < 3 or not shape[-3] or heads % shape[-3]:
        n.error(f"{heads} heads do not share those of {list(shape)}.")
    times = heads // shape[-3]
    if times == 1:
        return x
    wide = n.reshape(x, (*shape[:-2], 1, *shape[-2:]))
    wide = n.expand(wide, (*shape[:-2], times, *shape[-2:]))
    return n.reshape(wide, (*shape[:-3], heads, *shape[-2:]))


def _flash_cpu(
    n: TorchContext, query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0,
    is_causal: bool = False, *, attn_mask: Tensor | None = None, scale: float | None = None,
) -> list[str]:  # fmt: skip
    if n.output_wanted(1):
        n.unsupported("the logarithms of its sums")
    made = _attention(n, query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
    return [made, ""][: n.n_outputs]


def _math_attention(
    n: TorchContext, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, dropout_mask: Tensor | None = None, *,
    scale: float | None = None, enable_gqa: bool = False,
) -> list[str]:  # fmt: skip
    if n.output_wanted(1):
        n.unsupported("the shares of its keys")
    made = _attention(n, query, key, value, attn_mask, dropout_p, is_causal, scale=scale,
                      enable_gqa=enable_gqa)  # fmt: skip
    return [made, ""][: n.n_outputs]


CONVERTERS: dict[str, Row] = {
    **aten("scaled_dot_product_attention.default", _attention),
    **aten("_scaled_dot_product_flash_attention_for_cpu.default", _flash_cpu),
    **aten("_scaled_dot_product_attention_math.default", _math_attention),
}
