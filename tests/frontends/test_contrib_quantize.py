"""Quantised operators of com.microsoft, beside ONNX Runtime; its own rounding of ties may differ by
one step."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from support.contrib import Data, Node
from weft.runtime.errors import ModelError, UnsupportedError

data = Data(31)
F = np.float32


def q(*shape: int, signed: bool = False) -> np.ndarray:
    low = -128 if signed else 0
    return data.ints(low, low + 256, *shape, dtype="int8" if signed else "uint8")


def params(scale: float, zero: int, signed: bool = False) -> list[np.ndarray]:
    return [np.asarray(scale, F), np.asarray(zero, np.int8 if signed else np.uint8)]


X, Y, Z = params(0.02, 120), params(0.03, 99), params(0.05, 128)
IMAGE = q(2, 3, 6, 7)
ONE = (1, 2, 3, 4)
POOL = {"kernel_shape": [3, 2], "strides": [2, 2]}

LINEAR = [
    *(
        Node(o, [q(2, 3, 5), *X, q(*s), *Y, *Z], known=(1, 2, 4, 5, 6, 7), int_atol=1)
        for o in ("QLinearAdd", "QLinearMul")
        for s in ((2, 3, 5), (5,))
    ),
    Node(
        "QLinearMul",
        [q(9, signed=True), *params(0.1, -3, True), q(9, signed=True), *params(0.2, 5, True)]
        + params(1.1, 1, True),
        int_atol=1,
    ),
    *(
        Node(
            "QLinearSigmoid",
            [q(3, 50, signed=s), *params(0.05, z, s), *params(1 / 256, 0, s)],
            known=ONE,
            int_atol=1,
        )
        for s, z in ((False, 128), (True, 3))
    ),
    Node("QLinearLeakyRelu", [q(3, 50), *X, *Y], {"alpha": 0.3}, known=ONE, int_atol=1),
    *(
        Node("QLinearAveragePool", [IMAGE, *X, *Y], {**POOL, **attrs}, known=ONE, int_atol=1)
        for attrs in (
            {},
            {"pads": [1, 1, 1, 0]},
            {"pads": [1, 1, 1, 0], "count_include_pad": 1},
            {"channels_last": 1},
            {"auto_pad": "SAME_UPPER", "ceil_mode": 1},
        )
    ),
    *(
        Node("QLinearGlobalAveragePool", [IMAGE, *X, *Y], {"channels_last": c}, int_atol=1)
        for c in (0, 1)
    ),
    Node(
        "QLinearConcat",
        [*Z, q(2, 3), *X, q(2, 4), *Y],
        {"axis": 1},
        known=(0, 1, 3, 4, 6, 7),
        int_atol=1,
    ),
    *(
        Node(
            "QLinearSoftmax",
            [q(2, 3, 8), *X, *params(1 / 256, 0)],
            {"axis": a, "opset": o},
            known=ONE,
            int_atol=1,
        )
        for a, o in ((-1, 13), (1, 13), (1, 12))
    ),
    Node(
        "QLinearWhere",
        [data.ints(0, 2, 3, 5, dtype="bool"), q(3, 5), *X, q(3, 5), *Y, *Z],
        known=(2, 3, 5, 6, 7, 8),
        int_atol=1,
    ),
    Node("DequantizeLinear", [data.ints(-9000, 9000, 3, 5, dtype="int16"), F(0.1), np.int16(7)]),
    Node("QuantizeLinear", [data(3, 5), F(1e-4), np.uint16(30000)], int_atol=1),
]

W = q(6, 4, signed=True)
COLUMNS = np.abs(data(4)) * F(0.01) + F(0.01)
ZEROS = data.ints(-9, 9, 4, dtype="int8")

PRODUCTS = [
    Node("DynamicQuantizeMatMul", [data(3, 6), W, F(0.02)]),
    Node("DynamicQuantizeMatMul", [data(2, 3, 6), W, COLUMNS, ZEROS, data(4)], known=(1, 2, 3)),
    Node("DynamicQuantizeMatMul", [data(3, 6), q(6, 4), F(0.02), np.uint8(120)]),
    Node("MatMulIntegerToFloat", [q(3, 6), W, F(0.1), COLUMNS, np.uint8(3), ZEROS, data(4)]),
    Node("MatMulIntegerToFloat", [q(2, 3, 6), q(6, 4), F(0.1), F(0.2)]),
    *(
        Node(
            "QGemm",
            [q(*((6, 3) if ta else (3, 6))), *X, q(*((4, 6) if tb else (6, 4))), scale, zero]
            + [c, *out],
            {"transA": ta, "transB": tb, "alpha": 0.5},
            known=(1, 2, 3, 4, 5, 7, 8),
            int_atol=1,
        )
        for ta, tb, scale, zero, c, out in (
            (0, 0, F(0.03), np.uint8(99), None, []),
            (1, 1, F(0.03), np.uint8(99), data.ints(-999, 999, 4), [F(0.5), np.uint8(100)]),
            (0, 1, COLUMNS, np.full(4, 130, np.uint8), data.ints(-99, 99, 1, 4), []),
        )
    ),
]


def nbits(rows: int, depth: int, size: int, bits: int, zeros: str, *, bias: bool = False) -> Node:
    blocks = -(-depth // size)
    zero = {
        "none": None,
        "packed": q(rows * -(-blocks * bits // 8)),
        "float": data(rows, blocks) + F(7),
    }[zeros]
    inputs = [data(2, 3, depth), q(rows, blocks, size * bits // 8), data(rows * blocks), zero]
    inputs += [None, data(rows)] if bias else []
    attrs = {"N": rows, "K": depth, "block_size": size, "bits": bits}
    known = tuple(range(1, 6))
    return Node("MatMulNBits", inputs, attrs, known=known, rtol=1e-3, atol=1e-3, note=zeros)


NBITS = [
    nbits(5, 48, 16, 4, "none"),
    nbits(5, 40, 16, 4, "packed", bias=True),
    nbits(8, 64, 32, 8, "none"),
    nbits(8, 64, 32, 8, "packed"),
    nbits(8, 64, 32, 4, "float"),
]


@pytest.mark.parametrize("node", LINEAR + PRODUCTS + NBITS, ids=str)
def test_beside_onnx_runtime(node: Node) -> None:
    node.check()


def test_zero_points_that_are_absent() -> None:
    """They are 0; ONNX Runtime's own inference of types wants them to be there."""
    a, b, zero = q(4), q(4), np.uint8(0)
    expected = Node("QLinearAdd", [a, X[0], zero, b, Y[0], zero, Z[0], zero]).onnx_runtime()
    Node("QLinearAdd", [a, X[0], None, b, Y[0], None, Z[0]], int_atol=1).check(expected)


def test_weights_that_are_data() -> None:
    node = nbits(5, 40, 16, 4, "packed")
    Node("MatMulNBits", node.inputs, node.attrs, rtol=1e-3, atol=1e-3).check()


@pytest.mark.parametrize(
    ("direction", "count", "columns"), [("forward", 1, False), ("bidirectional", 2, True)]
)
def test_dynamic_quantize_lstm(direction: str, count: int, columns: bool) -> None:
    hidden, inner = 4, 3
    many = (count, 4 * hidden) if columns else (count,)
    inputs = [
        data(5, 2, inner),
        q(count, inner, 4 * hidden, signed=True),
        q(count, hidden, 4 * hidden, signed=True),
        data(count, 8 * hidden),
        None,
        data(count, 2, hidden),
        data(count, 2, hidden),
        None,
        np.full(many, 0.002, F),
        np.zeros(many, np.int8),
        np.full(many, 0.003, F),
        np.zeros(many, np.int8),
    ]
    attrs = {"hidden_size": hidden, "direction": direction}
    known = (1, 2, 3, 8, 9, 10, 11)
    # A step of the quantised state may fall to the other side of a tie.
    Node("DynamicQuantizeLSTM", inputs, attrs, known, (1, 1, 1), rtol=1e-3, atol=1e-3).check()


@pytest.mark.parametrize(
    ("node", "error", "words"),
    [
        (nbits(5, 48, 16, 3, "none"), UnsupportedError, "3 bits"),
        (nbits(5, 48, 8, 4, "none"), ModelError, "blocks of 8"),
        (Node("QLinearConcat", [*Z, q(2), *X, q(2)], {"axis": 0}), ModelError, "6 inputs"),
        (Node("QLinearAdd", [q(2), *X, q(2), *Y]), ModelError, "7 to 8 are allowed"),
    ],
    ids=str,
)
def test_refusals(node: Node, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        weft.load(node.model)
