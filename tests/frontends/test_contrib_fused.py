"""Operators that ONNX Runtime's optimiser fuses, beside ONNX Runtime; numpy judges those that its
CPU provider has not got."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from support.contrib import Data, Node
from weft.runtime.errors import ModelError, UnsupportedError

data = Data(16)

IMAGE, WEIGHT = data(2, 4, 7, 6), data(6, 2, 3, 3)
A, B = data(3, 5), data(5, 4)

FUSED = [
    *(
        Node(
            "FusedConv",
            [IMAGE, WEIGHT, data(6), data(2, 6, 7, 6) if z else None],
            {"group": 2, "pads": [1] * 4, "activation": name, "activation_params": list(values)},
            known=(1, 2),
        )
        for z in (False, True)
        for name, values in (
            ("Relu", ()),
            ("Tanh", ()),
            ("Sigmoid", ()),
            ("LeakyRelu", (0.2,)),
            ("Clip", (-0.3, 0.4)),
            ("HardSigmoid", (0.3, 0.4)),
        )
    ),
    *(
        Node("FusedMatMul", [a, b], {"transA": ta, "transB": tb, "alpha": 0.5})
        for (a, ta) in ((data(2, 3, 5), 0), (data(2, 5, 3), 1))
        for (b, tb) in ((data(2, 5, 4), 0), (data(4, 5), 1))
    ),
    Node("FusedMatMul", [data(5), data(2, 5, 4)], {"alpha": 2.0, "transA": 1}),
    Node("FusedMatMul", [data(3, 2, 5), data(2, 5, 4)], {"transBatchA": 1}),
    Node("FusedMatMul", [data(5, 2, 3), data(2, 5, 4)], {"transBatchA": 1, "transA": 1}),
    Node("FusedMatMul", [data(2, 7, 3, 5), data(4, 2, 7, 5)], {"transBatchB": 1, "transB": 1}),
    Node("TransposeMatMul", [A.T.copy(), B], {"transA": 1}),
    *(
        Node(
            "FusedGemm",
            [A, B.T.copy(), data(4)],
            {"transB": 1, "alpha": 0.5, "beta": 2.0, "activation": name, **attrs},
        )
        for name, attrs in (
            ("Relu", {}),
            ("Tanh", {}),
            ("LeakyRelu", {"activation_alpha": 0.2}),
            ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
            ("Elu", {"activation_alpha": 0.7}),
            ("Softplus", {}),
        )
    ),
    Node("Gelu", [data(3, 7)]),
    Node("FastGelu", [data(3, 7), data(7)]),
    Node("FastGelu", [data(3, 7)]),
    Node("BiasGelu", [data(2, 3, 7), data(7)]),
    Node("QuickGelu", [data(3, 7)], {"alpha": 1.3}),
    Node("QuickGelu", [data(3, 7)]),
    Node("Inverse", [data(2, 3, 5, 5)], rtol=1e-3, atol=1e-3),
    Node("Inverse", [np.array([[0, 2], [4, 1]], np.float32)], note="pivots"),
    *(
        Node(
            "NhwcMaxPool",
            [data.ints(0, 256, 2, 7, 6, 3, dtype="uint8")],
            {"kernel_shape": [3, 2], "strides": [2, 2], **attrs},
        )
        for attrs in ({}, {"pads": [1, 1, 0, 0]}, {"auto_pad": "SAME_UPPER"}, {"dilations": [2, 2]})
    ),
]

S, SKIP, GAMMA, BETA, BIAS = data(2, 3, 8), data(2, 3, 8), data(8), data(8), data(8)
WORDS, PLACES, KINDS = data(11, 8), data(6, 8), data(2, 8)
IDS, SEGMENTS = data.ints(0, 11, 2, 5), data.ints(0, 2, 2, 5)
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)

NORMS = [
    Node("SkipLayerNormalization", [S, SKIP, GAMMA], {"epsilon": 1e-3}),
    Node("SkipLayerNormalization", [S, SKIP, GAMMA, BETA, BIAS], outputs=(1, 0, 0, 1)),
    Node("SkipLayerNormalization", [S, SKIP[:1], GAMMA, BETA]),
    Node("SkipLayerNormalization", [S, SKIP[0], GAMMA, BETA]),
    Node("SkipLayerNormalization", [S[0], SKIP[0], GAMMA, None, BIAS]),
    Node("SkipSimplifiedLayerNormalization", [S, SKIP, GAMMA], outputs=(1, 0, 0, 1)),
    Node("SkipSimplifiedLayerNormalization", [S, SKIP, GAMMA, BIAS], {"epsilon": 1e-3}),
    Node("SimplifiedLayerNormalization", [S, GAMMA], {"axis": -1}, domain="", opset=17),
    Node(
        "SimplifiedLayerNormalization",
        [S, data(3, 8)],
        {"axis": 1, "epsilon": 1e-3},
        domain="",
        opset=17,
    ),
    Node(
        "EmbedLayerNormalization",
        [IDS, SEGMENTS, WORDS, PLACES, KINDS, GAMMA, BETA],
        outputs=(1, 1),
    ),
    Node(
        "EmbedLayerNormalization",
        [IDS, SEGMENTS, WORDS, PLACES, KINDS, GAMMA, BETA, MASK],
        {"epsilon": 1e-3},
        outputs=(1, 1, 1),
    ),
    Node(
        "EmbedLayerNormalization",
        [IDS, None, WORDS, PLACES, None, GAMMA, BETA, None, data.ints(0, 6, 2, 5)],
        outputs=(1, 1),
    ),
]


@pytest.mark.parametrize("node", FUSED + NORMS, ids=str)
def test_beside_onnx_runtime(node: Node) -> None:
    node.check()


def test_statistics_of_skip_layer_normalisation() -> None:
    x = (S + SKIP).astype(np.float64)
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    y = (x - mean) / np.sqrt(var + 1e-3) * GAMMA
    wanted = [v.astype(np.float32) for v in (y, mean, 1 / np.sqrt(var + 1e-3))]
    attrs = {"epsilon": 1e-3}
    Node("SkipLayerNormalization", [S, SKIP, GAMMA], attrs, outputs=(1, 1, 1)).check(wanted)
    root = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3)
    wanted = [v.astype(np.float32) for v in (x * root * GAMMA, root)]
    node = Node("SkipSimplifiedLayerNormalization", [S, SKIP, GAMMA], attrs, outputs=(1, 0, 1))
    node.check(wanted)


def _gelu(x: np.ndarray) -> np.ndarray:
    from math import erf

    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def test_what_the_cpu_provider_has_not_got() -> None:
    x, bias, skip = data(2, 3, 8), data(8), data(2, 3, 8)
    both = x + bias
    wanted = both[..., :4] * _gelu(both[..., 4:])
    Node("BiasSplitGelu", [x, bias]).check([wanted.astype(np.float32)])
    Node("BiasAdd", [x, bias, skip]).check([x + bias + skip])
    e = np.exp(x + skip[:, :1])
    Node("BiasSoftmax", [x, skip[:, :1]], {"axis": 2, "is_inner_broadcast": 1}).check(
        [e / e.sum(-1, keepdims=True)]
    )


@pytest.mark.parametrize("last", [0, 1])
def test_group_norm(last: int) -> None:
    x, gamma, beta, skip, bias = data(2, 6, 3, 4), data(6), data(6), data(2, 6, 3, 4), data(6)
    total = x + skip + bias.reshape(6, 1, 1)
    grouped = total.reshape(2, 3, -1).astype(np.float64)
    centred = grouped - grouped.mean(-1, keepdims=True)
    y = (centred / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)).reshape(x.shape)
    y = y * gamma.reshape(6, 1, 1) + beta.reshape(6, 1, 1)
    y = (y / (1 + np.exp(-y))).astype(np.float32)
    if last:
        x, skip, y, total = (
            np.ascontiguousarray(np.moveaxis(v, 1, 3)) for v in (x, skip, y, total)
        )
    attrs = {"groups": 3, "activation": 1, "channels_last": last}
    node = Node("SkipGroupNorm", [x, gamma, beta, skip, bias], attrs, outputs=(1, 1), rtol=1e-3)
    node.check([y, total])


@pytest.mark.parametrize(
    ("node", "error", "words"),
    [
        (
            Node("FusedConv", [IMAGE, data(6, 4, 3, 3)], {"activation": "Mish"}),
            UnsupportedError,
            "Mish",
        ),
        (
            Node("FusedConv", [IMAGE, data(6, 4, 3, 3)], {"activation": "Clip"}),
            ModelError,
            "takes 2",
        ),
        (Node("Gelu", [A, A]), ModelError, "2 inputs; 1 to 1"),
        (Node("Gelu", [A], {"approximate": "tanh"}), UnsupportedError, "does not know"),
        (Node("QuickGelu", [A], {"alpha": 1}), ModelError, "not of type float"),
        (Node("SkipLayerNormalization", [S, SKIP, None]), ModelError, "2 .gamma. is absent"),
        (Node("SkipLayerNormalization", [S, SKIP, data(7)]), ModelError, "not .8."),
        (Node("BiasDropout", [A, A]), UnsupportedError, "BiasDropout"),
        (Node("Inverse", [data(65, 65)]), UnsupportedError, "64 is the most"),
    ],
    ids=str,
)
def test_refusals(node: Node, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        weft.load(node.model)
