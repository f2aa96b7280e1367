"""Attention, multi-head and grouped-query attention, rotary embedding: beside ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import weft
from support.contrib import Data, Node
from weft.compiler.passes.attention import fuse_attention
from weft.runtime.errors import ModelError, UnsupportedError

data = Data(23)

B, S, P, N, D = 2, 3, 4, 2, 4
H = N * D
X, W, BIAS = data(B, S, 5), data(5, 3 * H), data(3 * H)
LENGTHS = np.array([2, 3], np.int32)
ENDS = np.array([3, 2, 1, 0], np.int32)  # of both items, then where they start
MASK2 = np.array([[1, 1, 0], [0, 1, 1]], np.int32)
MASK3 = data.ints(0, 2, B, S, S)
MASK3[:, :, 0] = 1
PAST = data(2, B, N, P, D)
WITH_PAST = np.concatenate([data.ints(0, 2, B, P), np.ones((B, S), np.int32)], axis=1)
HEADS = {"num_heads": N}

ATTENTION = [
    *(
        Node("Attention", [X, W, BIAS, mask, None, bias], {**HEADS, "unidirectional": u}, note=note)
        for u in (0, 1)
        for note, mask in (
            ("free", None),
            ("lengths", LENGTHS),
            ("ends", ENDS if not u else None),
            ("mask2", MASK2 if not u else MASK2[::-1] | MASK2),
            ("mask3", MASK3),
        )
        for bias in (None, data(1, N, S, S))
    ),
    Node("Attention", [X, W], {**HEADS, "scale": 0.3}),
    Node(
        "Attention",
        [X, data(5, 2 * H + 6), data(2 * H + 6)],
        {**HEADS, "qkv_hidden_sizes": [H, H, 6]},
    ),
    *(
        Node("Attention", [X, W, BIAS, mask, PAST], {**HEADS, "unidirectional": u}, outputs=(1, 1))
        for u in (0, 1)
        for mask in (None, WITH_PAST)
    ),
    Node("Attention", [X, W, BIAS], HEADS, outputs=(1, 1)),
    *(
        Node(
            "QAttention",
            [
                data.ints(0, 256, B, S, 5, dtype="uint8"),
                data.ints(-128, 128, 5, 3 * H, dtype="int8"),
                BIAS,
                np.float32(0.01),
                scale,
                mask,
                np.uint8(120),
                zero,
                past,
            ],
            {**HEADS, "unidirectional": u},
            known=(1, 2, 3, 4, 6, 7),
            outputs=(1, 1) if past is not None else (1,),
        )
        for scale, zero in (
            (np.float32(0.02), np.int8(3)),
            (data(3 * H) * np.float32(0.01) + np.float32(0.02), np.zeros(3 * H, np.int8)),
        )
        for u, mask, past in ((0, LENGTHS, None), (1, None, None), (1, None, PAST))
    ),
]

Q, K, V = data(B, S, H), data(B, 5, H), data(B, 5, H + 4)
KEYS2 = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 0, 0]], np.int32)

MULTI = [
    Node("MultiHeadAttention", [Q, K, V], HEADS),
    Node("MultiHeadAttention", [Q, K, V, data(3 * H + 4)], {**HEADS, "scale": 0.2}),
    Node("MultiHeadAttention", [Q, K, V, None, np.array([2, 5], np.int32)], HEADS, note="lengths"),
    Node("MultiHeadAttention", [Q, K, V, None, KEYS2, data(B, 1, S, 5)], HEADS),
    Node("MultiHeadAttention", [Q, K, V, None, None, data(1, N, S, 5)], HEADS),
    Node("MultiHeadAttention", [Q, K[:, :S], V[:, :S]], {**HEADS, "unidirectional": 1}),
    Node("MultiHeadAttention", [Q, K[:, :S], V[:, :S, :H]], HEADS, outputs=(1, 1, 1)),
    Node(
        "MultiHeadAttention",
        [Q, K[:, :S], V[:, :S, :H]],
        HEADS,
        outputs=(1, 0, 0, 1),
        result="float32",
    ),
    Node(
        "MultiHeadAttention",
        [Q, K[:, :S], V[:, :S, :H], None, WITH_PAST, None, PAST[0], PAST[1]],
        HEADS,
        outputs=(1, 1, 1),
    ),
    Node(
        "MultiHeadAttention",
        [Q, K[:, :S], V[:, :S, :H], BIAS, None, data(1, 1, S, P + S), PAST[0], PAST[1]],
        {**HEADS, "unidirectional": 1},
        outputs=(1, 1, 1),
    ),
    Node("MultiHeadAttention", [Q, PAST[0], PAST[1]], HEADS, note="cross"),
]


def _turns(rows: int, pairs: int) -> list[np.ndarray]:
    angles = np.arange(rows)[:, None] / 10.0 ** (np.arange(pairs) / pairs)
    return [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]


ROTARY = [
    *(
        Node("RotaryEmbedding", [x, positions, *_turns(9, 2)], {"interleaved": i})
        for i in (0, 1)
        for x in (data(B, S, H), data(B, N, S, D))
        for positions in (np.array([4], np.int64), data.ints(0, 9, B, S, dtype="int64"))
    ),
    *(
        Node(
            "RotaryEmbedding",
            [data(B, S, 12), np.array([1], np.int64), *_turns(9, 2)],
            {"interleaved": i, "num_heads": 2, "rotary_embedding_dim": 4},
        )
        for i in (0, 1)
    ),
]

G, KV = 4, 2
GROUPS = {"num_heads": G, "kv_num_heads": KV}


def group(
    rows: int,
    past: int,
    lengths: list[int],
    *,
    packed: bool = False,
    turns: bool = True,
    **attrs: Any,
) -> Node:
    """Grouped-query attention of ``rows`` new positions, at ``lengths`` with them."""
    batch, width, total = len(lengths), 16, max(lengths)
    extra = {k: attrs.pop(k) for k in ("bias", "sink", "positions") if k in attrs}
    q, k, v = (data(batch, rows, c * width) for c in (G, KV, KV))
    packs = [np.concatenate([q, k, v], axis=2), None, None]
    caches = [data(batch, KV, past, width) for _ in range(2)]
    inputs = [
        *(packs if packed else [q, k, v]),
        *caches,
        np.array(lengths, np.int32) - 1,
        np.array(total, np.int32),
        *(_turns(32, width // 2) if turns else [None, None]),
        extra.get("positions"),
        extra.get("bias"),
        extra.get("sink"),
    ]
    while inputs[-1] is None:
        inputs.pop()
    full = {**GROUPS, "do_rotary": int(turns), **attrs}
    return Node("GroupQueryAttention", inputs, full, known=(6,), outputs=(1, 1, 1))


GROUPED = [
    group(5, 0, [5, 5]),
    group(5, 0, [5, 5], packed=True, rotary_interleaved=1),
    group(5, 0, [5], turns=False, scale=0.2),
    group(1, 6, [7, 7]),
    group(1, 6, [7, 4]),
    group(1, 9, [7, 4]),
    group(3, 0, [3, 3], turns=False, causal=0),
    group(3, 6, [9]),
    group(3, 6, [9], packed=True, local_window_size=4),
    group(6, 0, [6, 6], local_window_size=2),
    group(1, 6, [7, 7], softcap=0.5),
    group(5, 0, [5, 5], softcap=0.5, bias=data(1, G, 5, 5)),
    group(5, 0, [5, 5], bias=data(2, 1, 5, 5), turns=False),
    group(1, 6, [7, 7], smooth_softmax=1),
    group(5, 0, [5, 5], sink=data(G)),
    group(1, 6, [7, 7], positions=np.array([[3], [6]], np.int64)),
    group(5, 0, [5, 5], positions=np.arange(2, 7, dtype=np.int64)[None].repeat(2, 0)),
]


@pytest.mark.parametrize("node", ATTENTION + MULTI + ROTARY + GROUPED, ids=str)
def test_beside_onnx_runtime(node: Node) -> None:
    node.check()


def test_a_ragged_prompt() -> None:
    """Items that are shorter than the room: their own rows, and what they leave in the cache."""
    node, lengths = group(5, 0, [5, 3]), (5, 3)
    expected = node.onnx_runtime()
    results = weft.compile(node.model, target="llvm").run(node.feed)
    for got, want, axis in zip(results.values(), expected, (1, 2, 2)):
        for b, n in enumerate(lengths):
            g, w = (np.take(x[b], range(n), axis - 1) for x in (got, want))
            np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-5)


def test_packed_operands_are_those_side_by_side() -> None:
    q, k, v = (data(B, S, N, D) for _ in range(3))
    wanted = Node("MultiHeadAttention", [x.reshape(B, S, H) for x in (q, k, v)], HEADS)
    expected = wanted.onnx_runtime()
    Node("MultiHeadAttention", [np.stack([q, k, v], 3)], HEADS).check(expected)
    pair = [q.reshape(B, S, H), np.stack([k, v], 3)]
    Node("MultiHeadAttention", pair, HEADS).check(expected)


STANDARD = Node(
    "Attention",
    [data(B, 4, S, D), data(B, 2, 5, D), data(B, 2, 5, D)],
    {"is_causal": 1, "softcap": 0.0},
    domain="",
    opset=23,
)


@pytest.mark.parametrize(
    "node", [ATTENTION[0], MULTI[3], GROUPED[0], GROUPED[3], STANDARD], ids=str
)
def test_it_becomes_the_operator_attention(node: Node) -> None:
    ops = [n.op for n in fuse_attention(weft.load(node.model)).nodes]
    assert "attention" in ops


REFUSED = [
    (Node("Attention", [X, W, BIAS], {**HEADS, "do_rotary": 1}), UnsupportedError, "do_rotary"),
    (
        Node("Attention", [X, W, BIAS, np.zeros(3 * B + 2, np.int32)], HEADS),
        UnsupportedError,
        "cumulated lengths",
    ),
    (
        Node("Attention", [X, W, BIAS, np.zeros((B, 1, 9, 9), np.int32)], HEADS),
        UnsupportedError,
        "Megatron",
    ),
    (Node("Attention", [X, W, BIAS, np.zeros((B, 9), np.int32)], HEADS), ModelError, "3 keys"),
    (Node("Attention", [X, W, data(7)], HEADS), ModelError, "bias"),
    (Node("Attention", [X, W, BIAS], {"num_heads": 3}), ModelError, "into 3 heads"),
    (Node("MultiHeadAttention", [Q, K], HEADS), ModelError, "key comes without value"),
    (Node("MultiHeadAttention", [Q, K, V, None, None, K], HEADS), ModelError, "attention_bias"),
    (group(1, 6, [7], sliding_window_cache=1), UnsupportedError, "sliding_window_cache"),
    (group(1, 6, [7], k_quant_type="PER_TENSOR"), UnsupportedError, "PER_TENSOR"),
    (group(1, 40, [41]), ModelError, "32 rows for 41"),
    (
        Node("RotaryEmbedding", [data(B, S, H), np.array([1]), *_turns(9, 3)], HEADS),
        ModelError,
        "turn 6 columns",
    ),
]


@pytest.mark.parametrize(("node", "error", "words"), REFUSED, ids=str)
def test_refusals(node: Node, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        weft.load(node.model)


def test_the_total_length_must_be_known() -> None:
    node = replace(group(1, 6, [7]), known=())
    with pytest.raises(ModelError, match=r"constants=.'x6'"):
        weft.load(node.model)
