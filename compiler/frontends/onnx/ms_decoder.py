"""GroupQueryAttention and RotaryEmbedding of com.microsoft: what decoders with a cache are made of.

The lengths of a cache are data; its room is static, ``max(past, total_sequence_length)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .attend import Scores, blocked, grouped, heads, lowest, merged, placed, rotated, summed
from .compose import cast, concat, expand, expect, number, op, reshape, row, shape_of
from .context import Converter, NodeContext
from .ops_cut import cut
from .ops_math import scalar

_NEUTRAL = {  # attributes of GroupQueryAttention that are refused at any other value
    "sliding_window_cache": 0,
    "qk_output": 0,
    "k_quant_type": "NONE",
    "v_quant_type": "NONE",
    "kv_cache_bit_width": 0,
}
_REFUSED = {  # inputs
    12: "k_scale", 13: "v_scale", 14: "q_norm_weight", 15: "k_norm_weight", 16: "query_seqlens"
}  # fmt: skip


def _angles(n: NodeContext, caches: Sequence[str], positions: str) -> list[str]:
    """Cosines and sines of ``positions``, ``[batch | 1, length]``, as heads take them."""
    made = []
    for cache in caches:
        rows = n.add("gather", [cache, positions], axis=0)
        batch, length, pairs = n.typeof(rows).shape
        made.append(reshape(n, rows, (batch, 1, length, pairs)))
    return made


class _Group:
    """One GroupQueryAttention while it is converted."""

    def __init__(self, n: NodeContext):
        self.n = n
        self.count, self.kv = n.attr("num_heads"), n.attr("kv_num_heads")
        if min(self.count, self.kv) < 1 or self.count % self.kv:
            n.error(f"{self.count} heads do not share {self.kv} heads of keys and values.")
        for name, value in _NEUTRAL.items():
            if n.attr(name, value) != value:
                n.unsupported(f"{name} = {n.attr(name)}")
        for i, name in _REFUSED.items():
            if n.input(i):
                n.unsupported(f"the input {name}")
        self.q, self.k, self.v = self._operands()
        self.batch, _, self.rows, self.width = n.typeof(self.q).shape
        total = scalar(n, 6)
        if total is None or total < self.rows:
            n.error(f"total_sequence_length is {total} for {self.rows} new positions.")
        self.keys = int(total)
        lengths = cast(n, reshape(n, n.inputs[5], (self.batch, 1, 1, 1)), "int32")
        # Where the new positions start; a first prompt may be shorter than its room.
        start = op(n, "sub", lengths, number(n, self.rows - 1, lengths))
        self.start = op(n, "maximum", start, number(n, 0, start))

    def _operands(self) -> list[str]:
        n, count, kv = self.n, self.count, self.kv
        columns = shape_of(n, 0, 3)[2]
        if n.input(1) and n.input(2):
            return [heads(n, n.inputs[s], c) for s, c in ((0, count), (1, kv), (2, kv))]
        if n.input(1) or n.input(2) or columns % (count + 2 * kv):
            n.error(f"query alone must hold {count + 2 * kv} heads, not {columns} columns.")
        width = columns // (count + 2 * kv)
        parts = ((0, count), (count, kv), (count + kv, kv))
        return [heads(n, cut(n, n.inputs[0], 2, s * width, c * width), c) for s, c in parts]

    def rotate(self) -> None:
        """Turn queries and keys by their positions."""
        n, i32 = self.n, np.int32
        if not n.input(7) or not n.input(8):
            n.error("do_rotary needs cos_cache and sin_cache.")
        if shape_of(n, 7, 2)[0] < self.keys:
            n.error(f"cos_cache has {shape_of(n, 7)[0]} rows for {self.keys} positions.")
        expect(n, 8, shape_of(n, 7), "sin_cache")
        steps = n.constant(np.arange(self.rows, dtype=i32)[None])
        if not n.input(9):
            positions = op(n, "add", reshape(n, self.start, (self.batch, 1)), steps)
        else:
            shape_of(n, 9, 2)
            positions = cast(n, n.input(9), "int32")
            if self.rows == self.keys:  # of a first prompt ONNX Runtime reads the first one
                first = cut(n, cut(n, positions, 0, 0, 1), 1, 0, 1)
                positions = op(n, "add", first, steps)
            else:
                expect(n, 9, (self.batch, self.rows), "position_ids")
        angles = _angles(n, [n.input(7), n.input(8)], positions)
        interleaved = bool(n.attr("rotary_interleaved", 0))
        self.q = rotated(n, self.q, angles[0], angles[1], interleaved)
        self.k = rotated(n, self.k, angles[0], angles[1], interleaved)

    def cached(self, i: int, new: str) -> str:
        """The cache after this step: input ``i`` up to where ``new`` starts, then ``new``."""
        n = self.n
        batch, kv, rows, width = n.typeof(new).shape
        if not n.input(i):
            room, old = 0, ""
        else:
            room, old = shape_of(n, i, 4)[2], n.input(i)
            expect(n, i, (batch, kv, room, width), "a cache")
        length = max(room, self.keys)
        if not room and length == rows:
            return new
        places = n.constant(np.arange(length, dtype=np.int32).reshape(1, 1, length, 1))
        zeros = n.constant(np.zeros((batch, kv, length - room, width), n.typeof(new).dtype.numpy))
        old = concat(n, [old, zeros], 2) if room else zeros
        at = op(n, "sub", places, self.start)
        kept = op(n, "less", at, number(n, 0, at))
        return placed(n, op(n, "where", kept, old, number(n, 0, new)), new, at, 2)

    def mask(self) -> str:
        """What keeps a query from the keys after it, and from those before its window,
        ``[batch, 1, rows, keys]``."""
        n = self.n
        window = n.attr("local_window_size", -1)
        keys = n.constant(np.arange(self.keys, dtype=np.int32).reshape(1, 1, 1, -1))
        steps = np.arange(self.rows, dtype=np.int32).reshape(1, 1, -1, 1)
        own = op(n, "add", self.start, n.constant(steps))
        end = n.constant(np.full_like(steps, self.rows - 1))
        last = own if n.attr("causal", 1) else op(n, "add", self.start, end)
        allowed = op(n, "less_or_equal", keys, last)
        if window > 0:
            first = op(n, "sub", own, number(n, window, own))
            allowed = op(n, "and", allowed, op(n, "greater", keys, first))
        return blocked(n, allowed, lowest(n, self.q), self.q)

    def sink(self) -> str:
        """The score of the one more key of smooth softmax, ``[1, kv, each * rows, 1]``."""
        n = self.n
        if n.input(11):
            expect(n, 11, (self.count,), "head_sink")
            sink = reshape(n, n.input(11), (1, self.count, 1, 1))
            sink = expand(n, sink, (1, self.count, self.rows, 1))
            return grouped(n, sink, self.count, self.kv)
        if n.attr("smooth_softmax", -1) == 1:
            return n.constant(np.zeros((1, 1, 1, 1), n.typeof(self.q).dtype.numpy))
        return ""

    def attend(self, k: str, v: str) -> str:
        n = self.n
        scale = n.attr("scale", 0.0) or 1 / math.sqrt(self.width)
        added = [grouped(n, self.mask(), self.count, self.kv)]
        if n.input(10):
            bias = shape_of(n, 10, 4)
            fit = ((1, self.batch), (1, self.count), (self.rows,), (self.keys,))
            if any(d not in allowed for d, allowed in zip(bias, fit)):
                n.error(f"attention_bias is {list(bias)}, which does not add to the scores.")
            added.append(grouped(n, n.input(10), self.count, self.kv))
        k, v = (cut(n, x, 2, 0, self.keys) for x in (k, v))
        cap = n.attr("softcap", 0.0)
        scores = Scores(n, grouped(n, self.q, self.count, self.kv), k, scale, summed(n, added), cap)
        y = scores.mixed(v, self.sink())
        y = reshape(n, y, (self.batch, self.count, self.rows, n.typeof(v).shape[3]))
        return merged(n, y)


def _group_query_attention(n: NodeContext) -> Sequence[str]:
    g = _Group(n)
    if n.attr("do_rotary", 0):
        g.rotate()
    k, v = g.cached(3, g.k), g.cached(4, g.v)
    return [g.attend(k, v), k, v][: n.n_outputs]


def _rotary_embedding(n: NodeContext) -> str:
    """Data is ``[batch, length, columns]`` or heads; positions are ``[batch, length]``, or the one
    at which every item starts."""
    if n.attr("scale", 1.0) != 1 or n.attr("is_packed_batching", 0):
        n.unsupported("a scale other than 1 or packed batches")
    x, shape = n.inputs[0], shape_of(n, 0, 3, 4)
    pairs, count = shape_of(n, 2, 2)[1], n.attr("num_heads", 0)
    expect(n, 3, shape_of(n, 2), "sin_cache")
    if n.attr("rotary_embedding_dim", 0) not in (0, 2 * pairs):
        n.error(f"rotary_embedding_dim is {n.attr('rotary_embedding_dim')}, the angles {pairs}.")
    if len(shape) == 3:
        if n.attr("rotary_embedding_dim", 0) and not count:
            n.error("rotary_embedding_dim needs num_heads.")
        count = count or shape[2] // (2 * pairs)
        x = heads(n, x, count)
    batch, _, length, _ = n.typeof(x).shape
    positions = n.inputs[1]
    if shape_of(n, 1, 1, 2) == (1,):
        steps = n.constant(np.arange(length, dtype=n.typeof(positions).dtype.numpy)[None])
        positions = op(n, "add", reshape(n, positions, (1, 1)), steps)
    else:
        expect(n, 1, (batch, length), "position_ids")
    cos, sin = _angles(n, n.inputs[2:4], positions)
    y = rotated(n, x, cos, sin, bool(n.attr("interleaved", 0)))
    return merged(n, y) if len(shape) == 3 else y


CONVERTERS: dict[str, Converter] = {
    "GroupQueryAttention": row(
        _group_query_attention,
        "query key? value? past_key? past_value? seqlens_k total_sequence_length cos_cache?"
        " sin_cache? position_ids? attention_bias? head_sink? k_scale? v_scale? q_norm_weight?"
        " k_norm_weight? query_seqlens?",
        **{k: type(v) for k, v in _NEUTRAL.items()},
        num_heads=int,
        kv_num_heads=int,
        do_rotary=int,
        rotary_interleaved=int,
        causal=int,
        local_window_size=int,
        smooth_softmax=int,
        scale=float,
        softcap=float,
        q_norm_epsilon=float,
        k_norm_epsilon=float,
        qk_norm_epsilon=float,
    ),
    "RotaryEmbedding": row(
        _rotary_embedding,
        "input position_ids cos_cache sin_cache",
        num_heads=int,
        rotary_embedding_dim=int,
        interleaved=int,
        is_packed_batching=int,
        scale=float,
    ),
}
