"""Attention and MultiHeadAttention of com.microsoft, and QAttention, their quantised form.

Masks are what ONNX Runtime's CPU provider takes: lengths, ends and starts, two axes, three axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .attend import Scores, causal, heads, key_padding, merged, summed, with_past
from .compose import cast, concat, expect, op, reshape, row, shape_of, typed
from .context import Converter, NodeContext
from .ops_conv import per_axis
from .ops_cut import cut

_FILTER = -10000.0  # the default of mask_filter_value


def _refuse(n: NodeContext, inputs: dict[int, str], *attributes: str) -> None:
    """Refuse what no attention here takes: inputs that are there, attributes that are not 0."""
    for name in attributes:
        if n.attr(name, 0):
            n.unsupported(f"{name} = {n.attr(name)}")
    for i, name in inputs.items():
        if n.input(i):
            n.unsupported(f"the input {name}")


def _bias(n: NodeContext, i: int, batch: int, count: int, rows: int, keys: int) -> str:
    """Input ``i``, which is added to the scores and broadcasts to them."""
    t = n.type(i)
    if t is None:
        return ""
    if len(t.shape) != 4 or any(
        d not in allowed for d, allowed in zip(t.shape, ((1, batch), (1, count), (rows,), (keys,)))
    ):
        n.error(f"attention_bias is {t}, which does not add to {[batch, count, rows, keys]}.")
    return n.input(i)


def _scale(n: NodeContext, width: int) -> float:
    """The attribute; by default (0 means it, too) one over the root of a head's width."""
    return n.attr("scale", 0.0) or 1 / math.sqrt(width)


def _self_attention(
    n: NodeContext, projected: str, widths: Sequence[int], mask: int, past: int, bias: int
) -> list[str]:
    """Output and present of ``projected``, ``[batch, length, sum(widths)]``: queries, keys and
    values side by side. ``mask``, ``past`` and ``bias`` are positions of inputs (-1: none)."""
    count = n.attr("num_heads")
    batch, rows, _ = n.typeof(projected).shape
    starts = (0, widths[0], widths[0] + widths[1])
    q, k, v = (
        heads(n, cut(n, projected, 2, start, width), count) for start, width in zip(starts, widths)
    )
    width = widths[0] // count
    if past >= 0 and n.input(past):
        shape = shape_of(n, past, 5)
        if widths[2] != widths[1]:
            n.unsupported("a past where values are not as wide as keys")
        expect(n, past, (2, batch, count, shape[3], width), "past")
        old = [reshape(n, cut(n, n.input(past), 0, s, 1), shape[1:]) for s in (0, 1)]
        k, v = with_past(n, old[0], k), with_past(n, old[1], v)
    keys = n.typeof(k).shape[2]
    value = n.attr("mask_filter_value", _FILTER)
    added = [
        key_padding(n, mask, batch, rows, keys, value, q),
        causal(n, rows, keys, q) if n.attr("unidirectional", 0) else "",
        _bias(n, bias, batch, count, rows, keys) if bias >= 0 else "",
    ]
    y = merged(n, Scores(n, q, k, _scale(n, width), summed(n, added)).mixed(v))
    present = ""
    if n.output_wanted(1):
        if widths[2] != widths[1]:
            n.unsupported("a present where values are not as wide as keys")
        parts = [reshape(n, x, (1, *n.typeof(x).shape)) for x in (k, v)]
        present = concat(n, parts, 0)
    return [y, present][: n.n_outputs]


def _attention(n: NodeContext) -> Sequence[str]:
    """Queries, keys and values by one product with the weights."""
    _refuse(n, {6: "past_sequence_length"}, "do_rotary", "past_present_share_buffer")
    _, _, inner = shape_of(n, 0, 3)
    total = shape_of(n, 1, 2)[1]
    widths = n.attr("qkv_hidden_sizes", None) or (total // 3,) * 3
    if len(widths) != 3 or sum(widths) != total or widths[0] != widths[1] or min(widths) < 1:
        n.error(f"the widths {tuple(widths)} of queries, keys and values do not make up {total}.")
    expect(n, 1, (inner, total), "weights")
    expect(n, 2, (total,), "bias")
    projected = op(n, "matmul", *n.inputs[:2])
    projected = op(n, "add", projected, n.input(2)) if n.input(2) else projected
    return _self_attention(n, projected, widths, mask=3, past=4, bias=5)


def _qattention(n: NodeContext) -> Sequence[str]:
    """The product in integers, then scales and bias."""
    _refuse(n, {}, "do_rotary", "past_present_share_buffer")
    _, _, inner = shape_of(n, 0, 3)
    total = shape_of(n, 1, 2)[1]
    if total % 3:
        n.error(f"the {total} columns of the weights are not three times as many as anything.")
    expect(n, 1, (inner, total), "weight")
    expect(n, 2, (total,), "bias")
    zeros = [n.input(6), n.input(7)]
    if zeros[0]:
        zeros[0] = reshape(n, zeros[0], ())
    product = cast(n, n.add("matmul_integer", [*n.inputs[:2], *zeros]), "float32")
    scale = op(n, "mul", *(per_axis(n, n.inputs[k], 2, 3) for k in (3, 4)))
    projected = op(n, "add", op(n, "mul", product, scale), n.inputs[2])
    return _self_attention(n, projected, (total // 3,) * 3, mask=5, past=8, bias=-1)


class _Operands:
    """Queries, keys and values of a MultiHeadAttention as heads, from any of its layouts."""

    def __init__(self, n: NodeContext):
        self.n, self.count = n, n.attr("num_heads")
        dims = shape_of(n, 0, 3, 5)
        if len(dims) == 5:  # [batch, length, heads, 3, width]
            q, k, v = self._packed(0, 3)
        elif len(shape_of(n, 1)) == 5:  # keys and values together
            q, (k, v) = n.inputs[0], self._packed(1, 2)
        elif not n.input(2):
            n.error("key comes without value.")
        else:
            q, k, v = n.inputs[:3]
        inner = n.typeof(q).shape[2]
        ready = len(n.typeof(k).shape) == 4  # heads already, of the past of a cross attention
        columns = [inner, inner if ready else n.typeof(k).shape[2]]
        columns.append(
            n.typeof(v).shape[1] * n.typeof(v).shape[3] if ready else n.typeof(v).shape[2]
        )
        expect(n, 3, (sum(columns),), "bias")
        parts = [q, k, v]
        if n.input(3):
            for s in range(1 if ready else 3):
                part = cut(n, n.input(3), 0, sum(columns[:s]), columns[s])
                parts[s] = op(n, "add", parts[s], part)
        q, k, v = (x if ready and s else heads(n, x, self.count) for s, x in enumerate(parts))
        self.q, self.k, self.v = q, k, v
        for s, name in ((6, "past_key"), (7, "past_value")):
            if bool(n.input(s)) != bool(n.input(6)):
                n.error("past_key and past_value come together, but one is absent.")
            if n.input(s):
                have, new = shape_of(n, s, 4), n.typeof(self.k if s == 6 else self.v).shape
                expect(n, s, (new[0], new[1], have[2], new[3]), name)
        self.k, self.v = with_past(n, n.input(6), self.k), with_past(n, n.input(7), self.v)

    def _packed(self, i: int, many: int) -> list[str]:
        """The ``many`` tensors of input ``i``, ``[batch, length, heads, many, width]``."""
        n, (batch, length, count, parts, width) = self.n, shape_of(self.n, i, 5)
        if parts != many or count != self.count:
            n.error(
                f"its input {i} is {typed(n, i)}, not [batch, length, {self.count}, {many}, …]."
            )
        flat = (batch, length, count * width)
        return [reshape(n, cut(n, n.inputs[i], 3, s, 1), flat) for s in range(many)]


def _multi_head_attention(n: NodeContext) -> Sequence[str]:
    _refuse(n, {8: "past_sequence_length", 9: "cache_indirection"})
    o = _Operands(n)
    batch, count, rows, width = n.typeof(o.q).shape
    keys = n.typeof(o.k).shape[2]
    value = n.attr("mask_filter_value", _FILTER)
    added = [
        key_padding(n, 4, batch, rows, keys, value, o.q),
        causal(n, rows, keys, o.q) if n.attr("unidirectional", 0) else "",
        _bias(n, 5, batch, count, rows, keys),
    ]
    scores = Scores(n, o.q, o.k, _scale(n, width), summed(n, added))
    y = merged(n, scores.mixed(o.v))
    return [y, o.k, o.v, scores.masked][: n.n_outputs]


_ATTENTION: dict[str, type] = {
    "num_heads": int,
    "unidirectional": int,
    "scale": float,
    "mask_filter_value": float,
}
_SELF = _ATTENTION | {"do_rotary": int, "past_present_share_buffer": int}

CONVERTERS: dict[str, Converter] = {
    "Attention": row(
        _attention,
        "input weights bias? mask_index? past? attention_bias? past_sequence_length?",
        **_SELF,
        qkv_hidden_sizes=tuple,
        rotary_embedding_dim=int,
    ),
    "MultiHeadAttention": row(
        _multi_head_attention,
        "query key? value? bias? key_padding_mask? attention_bias? past_key? past_value?"
        " past_sequence_length? cache_indirection?",
        **_ATTENTION,
    ),
    "QAttention": row(
        _qattention,
        "input weight bias input_scale weight_scale mask_index? input_zero_point?"
        " weight_zero_point? past?",
        **_SELF,
    ),
}
