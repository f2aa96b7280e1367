"""Converters of convolutions, pools, movement and images where the backend's cases do not reach:
older opsets, whose inputs were attributes, auto_pad, and errors. ONNX Runtime is the judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import weft
from node_cases import interpret
from onnx import TensorProto, helper
from weft.runtime.errors import ModelError, UnsupportedError

RNG = np.random.default_rng(7)


def data(*shape: int) -> np.ndarray:
    return RNG.uniform(-2, 2, shape).astype(np.float32)


def model(
    op: str, opset: int, x: np.ndarray, consts: Mapping[str, np.ndarray], n_out: int, **attrs: Any
) -> onnx.ModelProto:
    """One node; ``consts`` follow ``x`` as initializers, an empty name for an absent one."""
    names = [k if v.size or k else "" for k, v in consts.items()]
    node = helper.make_node(op, ["x", *names], [f"y{k}" for k in range(n_out)], **attrs)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info(f"y{k}", TensorProto.UNDEFINED, None) for k in range(n_out)],
        [onnx.numpy_helper.from_array(v, k) for k, v in consts.items() if k],
    )
    for o in graph.output:
        o.ClearField("type")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


INT = np.int64
CASES: list[tuple[str, int, np.ndarray, dict[str, np.ndarray], int, dict[str, Any]]] = [
    ("Slice", 9, data(5, 6), {}, 1, {"starts": [1, -3], "ends": [99, -1]}),
    ("Slice", 9, data(5, 6), {}, 1, {"starts": [1], "ends": [3], "axes": [1]}),
    ("Pad", 10, data(3, 4), {}, 1, {"pads": [1, 0, 0, 2], "value": 1.5}),
    ("Pad", 10, data(3, 4), {}, 1, {"pads": [1, 0, 0, 2], "mode": "reflect"}),
    ("Squeeze", 11, data(1, 3, 1), {}, 1, {"axes": [0]}),
    ("Squeeze", 11, data(1, 3, 1), {}, 1, {}),
    ("Unsqueeze", 11, data(3), {}, 1, {"axes": [0, -1]}),
    ("Split", 11, data(7, 2), {}, 2, {"split": [3, 4]}),
    ("Split", 11, data(6, 2), {}, 3, {}),
    ("Split", 18, data(7, 2), {}, 3, {"num_outputs": 3}),
    ("Upsample", 7, data(1, 2, 3, 4), {}, 1, {"scales": [1.0, 1.0, 2.0, 3.0]}),
    ("Upsample", 9, data(1, 2, 3, 4), {"s": np.array([1, 1, 2, 2], "float32")}, 1, {}),
    (
        "Upsample",
        9,
        data(1, 2, 3, 4),
        {"s": np.array([1, 1, 2, 2], "float32")},
        1,
        {"mode": "linear"},
    ),
    ("Resize", 10, data(1, 2, 6, 4), {"s": np.array([1, 1, 0.5, 2], "float32")}, 1, {}),
    (
        "Resize",
        13,
        data(1, 2, 5, 7),
        {"": np.zeros(0), "s": np.array([1, 1, 1.7, 0.6], "float32")},
        1,
        {"mode": "linear"},
    ),
    ("Flatten", 9, data(2, 3, 4), {}, 1, {"axis": 2}),
    ("Flatten", 13, data(2, 3, 4), {}, 1, {"axis": -1}),
    ("Flatten", 13, data(2, 3, 4), {}, 1, {"axis": 0}),
    *(
        (
            "Conv",
            11,
            data(1, 4, 9, 8),
            {"w": data(6, 2, 3, 4)},
            1,
            {"auto_pad": mode, "strides": [2, 3], "group": 2},
        )
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    *(
        (
            op,
            11,
            data(1, 2, 9, 8),
            {},
            1,
            {"auto_pad": mode, "kernel_shape": [3, 2], "strides": [2, 3]},
        )
        for op in ("MaxPool", "AveragePool", "LpPool")
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    (
        "AveragePool",
        19,
        data(1, 2, 9, 8),
        {},
        1,
        {
            "kernel_shape": [3, 3],
            "strides": [2, 2],
            "pads": [1, 1, 1, 1],
            "ceil_mode": 1,
            "count_include_pad": 1,
        },
    ),
    ("MaxPool", 12, data(2, 2, 7, 8), {}, 2, {"kernel_shape": [3, 2], "dilations": [2, 3]}),
    (
        "ConvTranspose",
        11,
        data(1, 2, 5, 6),
        {"w": data(2, 3, 3, 3), "b": data(3)},
        1,
        {"strides": [2, 3], "pads": [1, 0, 1, 2], "output_padding": [1, 1]},
    ),
    (
        "ConvTranspose",
        11,
        data(1, 2, 5, 6),
        {"w": data(2, 3, 3, 3)},
        1,
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ),
    ("GlobalLpPool", 9, data(2, 3, 4, 5), {}, 1, {"p": 3}),
    ("Gather", 11, data(5, 3), {"i": np.array([[0, -1]], INT)}, 1, {"axis": 1}),
    (
        "Scatter",
        9,
        data(3, 3),
        {"i": np.array([[1, 0, 2]], INT), "u": data(1, 3)},
        1,
        {"axis": 0},
    ),
    ("Reshape", 13, data(2, 3, 4), {"s": np.array([0, -1], INT)}, 1, {}),
    ("Expand", 13, data(3, 1), {"s": np.array([2, 1, 4], INT)}, 1, {}),
    ("Transpose", 9, data(2, 3, 4), {}, 1, {}),
    (
        "LSTM",
        7,
        data(4, 2, 3),
        {
            "w": data(2, 20, 3),
            "r": data(2, 20, 5),
            "b": data(2, 40),
            "l": np.array([2, 4], "int32"),
        },
        3,
        {"hidden_size": 5, "direction": "bidirectional"},
    ),
    (
        "GRU",
        14,
        data(4, 2, 3),
        {"w": data(1, 15, 3), "r": data(1, 15, 5), "b": data(1, 30)},
        2,
        {"hidden_size": 5, "direction": "reverse", "linear_before_reset": 1, "clip": 0.5},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[1]}")
def test_against_onnx_runtime(case) -> None:
    op, opset, x, consts, n_out, attrs = case
    proto = model(op, opset, x, consts, n_out, **attrs)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, {"x": x})
    graph = weft.load(proto)
    for got in (
        interpret(graph, {"x": x}),
        list(weft.compile(graph, target="llvm").run({"x": x}).values()),
    ):
        assert len(got) == len(expected)
        for g, e in zip(got, expected):
            assert (g.dtype, g.shape) == (np.asarray(e).dtype, np.asarray(e).shape)
            np.testing.assert_allclose(g, np.asarray(e), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "opset", "x", "consts", "attrs", "words"),
    [
        ("Reshape", 13, data(2, 3), {"s": np.array([4, -1], INT)}, {}, "cannot become"),
        ("Reshape", 13, data(2, 3), {"s": np.array([-1, -1], INT)}, {}, "more than one extent"),
        ("Squeeze", 11, data(2, 3), {}, {"axes": [0]}, "is not 1 and cannot be dropped"),
        ("Slice", 9, data(5), {}, {"starts": [1], "ends": [3], "axes": [4]}, "out of range"),
        ("Split", 11, data(7), {}, {"split": [3, 3]}, "do not make up 7"),
        ("Pad", 10, data(3), {}, {"pads": [1]}, "need 2"),
        ("Conv", 11, data(1, 3, 5, 5), {"w": data(2, 3, 3, 3)}, {"pads": [1, 1]}, "4 values"),
        (
            "Conv",
            11,
            data(1, 3, 5, 5),
            {"w": data(2, 3, 3, 3)},
            {"kernel_shape": [2, 2]},
            "kernel_shape is",
        ),
    ],
)
def test_errors_say_what_is_wrong(op, opset, x, consts, attrs, words) -> None:
    with pytest.raises(ModelError, match=words):
        weft.load(model(op, opset, x, consts, 1, **attrs))


def test_unknown_mode_is_unsupported() -> None:
    proto = model("Pad", 10, data(3), {}, 1, pads=[1, 1], mode="mirror")
    with pytest.raises(UnsupportedError, match="mirror"):
        weft.load(proto)


def test_what_must_be_known_is_named() -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [6]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(ModelError, match=r"bind it: constants=.'shape': value"):
        weft.load(proto)
    x = data(6)
    exe = weft.compile(proto, constants={"shape": np.array([2, 3])})
    np.testing.assert_array_equal(exe(x), x.reshape(2, 3))


def test_a_window_of_padding_alone_is_bounded() -> None:
    far = 2**30
    attrs = {"kernel_shape": [far], "pads": [far - 1, far - 1], "strides": [far]}
    with pytest.raises(weft.WeftError, match="more than 1048576"):
        weft.load(model("AveragePool", 19, data(1, 1, 4), {}, 1, **attrs))
