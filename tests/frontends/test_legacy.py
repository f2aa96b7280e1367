"""Operators as the operator sets 1 to 6 had them.

Each case is a node of an old operator set beside the node of a newer one that says the same, which
ONNX Runtime runs; what the version converter of the onnx library upgrades is judged by that, too.
"""

import numpy as np
import onnxruntime
import pytest
import weft
from node_cases import interpret
from onnx import helper, numpy_helper, version_converter
from weft.runtime.errors import ModelError, UnsupportedError

RNG = np.random.default_rng(3)


def data(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def model(op, opset, inputs, attrs, outputs=1):
    """A model of one node; its first input is the model's, the others are constants."""
    names = [f"i{k}" if v is not None else "" for k, v in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{k}" for k in range(outputs)], **attrs)
    given = {n: np.asarray(v) for n, v in zip(names, inputs) if n}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in given.items()
        ],
        [helper.make_empty_tensor_value_info(o) for o in node.output],
        [numpy_helper.from_array(v, n) for n, v in given.items() if n != "i0"],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


def got(op, opset, inputs, attrs, outputs=1):
    x = np.asarray(inputs[0])
    return interpret(weft.load(model(op, opset, inputs, attrs, outputs)), {"i0": x})


def judged(m, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it promises nothing for operator sets before 7
    session = onnxruntime.InferenceSession(m.SerializeToString(), options)
    return session.run(None, {"i0": x})


def assert_same(have, want):
    assert len(have) == len(want)
    for a, b in zip(have, want):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


X, CHANNELS, PART = data(2, 3, 4, 5), data(3), data(3, 4)
BITS = X > 0
WHOLE = RNG.integers(-4, 5, (2, 3, 4)).astype(np.int64)
STATS = [data(3), data(3), data(3), np.abs(data(3))]
EACH = [data(3, 4, 5), data(3, 4, 5), data(3, 4, 5), np.abs(data(3, 4, 5))]
IMAGE = data(1, 2, 4, 5)
MATRICES = [data(2, 3), data(3, 4)]
RECURRENT = {g: [data(3, 2, 4), data(1, g * 5, 4), data(1, g * 5, 5)] for g in (1, 3, 4)}
BACK = {"broadcast": 1, "axis": 1}
COLUMN = CHANNELS.reshape(3, 1, 1)

# Old: operator, operator set, inputs, attributes; new: the same, None where it is as the old;
# how many outputs.
CASES = [
    *(
        (("Add", v, [X, b], attrs), ("Add", 13, [X, c], {}), 1)
        for v in (1, 6)
        for b, attrs, c in (
            (CHANNELS, BACK, COLUMN),
            (CHANNELS, {"broadcast": 1, "axis": -3}, COLUMN),
            (PART, {"broadcast": 7, "axis": 1}, PART.reshape(3, 4, 1)),
            (data(5), {"broadcast": 1}, None),
            (data(4, 5), {"broadcast": 1, "axis": 2}, None),
            (data(1, 1), {"broadcast": 1, "axis": 3}, None),
            (np.float32(2), {"broadcast": 1}, None),
            (np.full((1,) * 5, 3, np.float32), {"broadcast": 1}, np.float32(3)),
            (data(2, 3, 4, 5), {"consumed_inputs": [0, 0]} if v == 1 else {}, None),
        )
    ),
    *(
        ((op, 6, [X, CHANNELS], BACK), (op, 13, [X, COLUMN], {}), 1)
        for op in ("Sub", "Mul", "Div")
    ),
    (("Pow", 1, [np.abs(X), CHANNELS], BACK), ("Pow", 13, [np.abs(X), COLUMN], {}), 1),
    *(
        ((op, 1, [BITS, BITS[0, :, 0, 0]], BACK), (op, 7, [BITS, BITS[0, :, :1, :1]], {}), 1)
        for op in ("And", "Or", "Xor")
    ),
    (("Equal", 1, [WHOLE, WHOLE[0, :, 0]], BACK), ("Equal", 11, [WHOLE, WHOLE[0, :, :1]], {}), 1),
    *(
        ((op, 1, [X, CHANNELS], BACK), (op, 13, [X, COLUMN], {}), 1)
        for op in ("Greater", "Less")
    ),
    (("Gemm", 1, [*MATRICES, data(2, 4)], {"alpha": 0.5}), None, 1),
    (("Gemm", 6, [*MATRICES, data(4)], {"broadcast": 1, "beta": 2.0}), None, 1),
    (("Gemm", 6, [data(3, 2), MATRICES[1], data(1)], {"broadcast": 1, "transA": 1}), None, 1),
    (("PRelu", 1, [X, CHANNELS], {"consumed_inputs": [0, 0]}), ("PRelu", 9, [X, COLUMN], {}), 1),
    (("PRelu", 6, [data(2, 3, 3), CHANNELS], {}), ("PRelu", 9, [None, CHANNELS[:, None]], {}), 1),
    (("PRelu", 6, [X, data(1)], {}), None, 1),
    (("PRelu", 6, [data(3), CHANNELS], {}), None, 1),
    (("Max", 1, [X, data(2, 3, 4, 5)], {"consumed_inputs": [0, 0]}), None, 1),
    (("Mean", 6, [X, data(2, 3, 4, 5)], {}), None, 1),
    (("BatchNormalization", 1, [X, *STATS], {"is_test": 1, "consumed_inputs": [0] * 5}), None, 1),
    (("BatchNormalization", 6, [X, *STATS], {"is_test": 2, "epsilon": 0.1}), None, 1),
    (("BatchNormalization", 6, [X, *STATS], {}), None, 1),
    (
        ("BatchNormalization", 6, [X, *EACH], {"is_test": 1, "spatial": 0}),
        ("BatchNormalization", 7, None, {"spatial": 0}),
        1,
    ),
    (
        ("BatchNormalization", 1, [X, *(e.reshape(-1) for e in EACH)],
         {"is_test": 1, "spatial": 0, "consumed_inputs": [0] * 5}),
        ("BatchNormalization", 7, [X, *EACH], {"spatial": 0}),
        1,
    ),
    (("Dropout", 1, [X], {"is_test": 1, "ratio": 0.9}), ("Identity", 13, None, {}), 1),
    (("Dropout", 6, [X], {}), ("Identity", 13, None, {}), 1),
    *(
        (("Cast", 1, [3 * X], {"to": name}), ("Cast", 13, None, {"to": code}), 1)
        for name, code in (("INT32", 6), ("DOUBLE", 11), ("bool", 9))
    ),
    (("Selu", 1, [X], {}), ("Selu", 6, None, {"alpha": 1.6732, "gamma": 1.0507}), 1),
    (("Selu", 1, [X], {"alpha": 2.0, "gamma": 0.5}), None, 1),
    (("Reshape", 1, [X], {"shape": [0, -1, 5]}), ("Reshape", 13, [X, ints(0, -1, 5)], {}), 1),
    (("Reshape", 5, [X, ints(6, 20)], {}), None, 1),
    (("Tile", 1, [X, np.float32(3), np.float32(1)], {}),
     ("Tile", 13, [X, ints(1, 3, 1, 1)], {}), 1),
    (("Tile", 6, [X, ints(1, 2, 1, 3)], {}), None, 1),
    (("Pad", 1, [PART], {"paddings": [0, 1, 2, 0], "value": 1.5}),
     ("Pad", 13, [PART, ints(0, 1, 2, 0), np.float32(1.5)], {}), 1),
    (("Pad", 2, [PART], {"pads": [1, 1, 2, 0], "mode": "reflect"}),
     ("Pad", 13, [PART, ints(1, 1, 2, 0)], {"mode": "reflect"}), 1),
    (("Split", 1, [X, np.float32([1, 2])], {"axis": 1}), ("Split", 13, [X, ints(1, 2)],
     {"axis": 1}), 2),
    (("Split", 1, [X], {"axis": 1, "split": [2, 1]}), ("Split", 13, [X, ints(2, 1)],
     {"axis": 1}), 2),
    (("Split", 2, [X], {}), ("Split", 13, None, {}), 2),
    (("Concat", 1, [X, X], {}), ("Concat", 13, None, {"axis": 1}), 1),
    (("Concat", 3, [X, X], {"axis": 2}), None, 1),
    (("Squeeze", 1, [data(1, 2, 1)], {}), None, 1),
    (("Unsqueeze", 1, [X], {"axes": [0, 3]}), ("Unsqueeze", 13, [X, ints(0, 3)], {}), 1),
    (("Slice", 1, [X], {"starts": [1, -2], "ends": [9, -1], "axes": [2, 3]}),
     ("Slice", 13, [X, ints(1, -2), ints(9, -1), ints(2, 3)], {}), 1),
    *(
        ((op, 1, [X], attrs), (op, 11, None, attrs), 1)
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for attrs in ({}, {"axis": 2})
    ),
    (("TopK", 1, [X], {"k": 2, "axis": 1}), ("TopK", 11, [X, ints(2)], {"axis": 1}), 2),
    (("Clip", 1, [X], {"min": -0.5, "consumed_inputs": [0]}),
     ("Clip", 13, [X, np.float32(-0.5)], {}), 1),
    (("Clip", 6, [np.float32([np.inf, -np.inf, 1])], {}), ("Clip", 6, None, {}), 1),
    (("Clip", 10, [np.float32([np.inf, -np.inf, 1])], {"max": 2.0}), None, 1),
    (("LpPool", 1, [IMAGE], {"kernel_shape": [2, 3], "p": 3.0}),
     ("LpPool", 11, None, {"kernel_shape": [2, 3], "p": 3}), 1),
    (("GlobalLpPool", 1, [IMAGE], {"p": 1.0}), ("GlobalLpPool", 2, None, {"p": 1}), 1),
    (("MaxPool", 1, [IMAGE], {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"}), None, 1),
    (("AveragePool", 1, [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 0, 1, 0]}), None, 1),
    (("LRN", 1, [X], {"size": 3}), None, 1),
    (("InstanceNormalization", 1, [X, *STATS[:2]], {"consumed_inputs": [0] * 3}), None, 1),
    (("Upsample", 1, [IMAGE], {"height_scale": 2.0, "width_scale": 1.5}),
     ("Upsample", 9, [IMAGE, np.float32([1, 1, 2, 1.5])], {}), 1),
    (("Upsample", 1, [IMAGE], {"height_scale": 2.0, "width_scale": 3.0, "mode": "bilinear"}),
     ("Upsample", 9, [IMAGE, np.float32([1, 1, 2, 3])], {"mode": "linear"}), 1),
    *(
        ((op, v, RECURRENT[gates], {"hidden_size": 5, "output_sequence": 1}),
         (op, 14, None, {"hidden_size": 5}), outputs)
        for op, v, gates, outputs in (("RNN", 1, 1, 2), ("GRU", 1, 3, 2), ("LSTM", 1, 4, 3),
                                      ("GRU", 3, 3, 2))
    ),
    (("ReduceSum", 1, [X], {"axes": [1], "keepdims": 0}), ("ReduceSum", 11, None,
     {"axes": [1], "keepdims": 0}), 1),
]  # fmt: skip


def newer(old, new):
    """The node for ONNX Runtime: what ``new`` leaves open is as ``old`` has it."""
    op, _, inputs, attrs = old
    if new is None:
        gone = ("broadcast", "axis", "consumed_inputs", "is_test")
        keeps = {k: v for k, v in attrs.items() if k not in gone or (op, k) == ("Concat", "axis")}
        return op, 10 if op in ("Clip", "Squeeze", "Unsqueeze", "Slice") else 12, inputs, keeps
    op, opset, given, attrs = new
    given = inputs if given is None else list(given)
    return (
        op,
        opset,
        [a if b is None else b for a, b in zip(inputs, given)] + given[len(inputs) :],
        attrs,
    )


@pytest.mark.parametrize(
    ("old", "new", "outputs"), CASES, ids=[f"{c[0][0]}_{c[0][1]}_{k}" for k, c in enumerate(CASES)]
)
def test_as_the_newer_form(old, new, outputs):
    op, opset, inputs, attrs = newer(old, new)
    x = np.asarray(inputs[0])
    want = judged(model(op, opset, inputs, attrs, outputs), x)
    assert_same(got(*old, outputs), want)


@pytest.mark.parametrize("b", [data(5), data(4, 5)])
def test_as_the_version_converter_reads_it(b):
    old = model("Mul", 6, [X, b], {"broadcast": 1})
    old.graph.output[0].type.CopyFrom(old.graph.input[0].type)
    want = judged(version_converter.convert_version(old, 8), X)
    assert_same(interpret(weft.load(old), {"i0": X}), want)


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attrs", "message"),
    [
        ("Add", 6, [X, data(5)], {}, "broadcast"),
        ("Add", 6, [X, data(1)], {}, "broadcast"),
        ("Add", 6, [X, CHANNELS], {"broadcast": 1}, "does not fit"),
        ("Add", 6, [CHANNELS, X], {"broadcast": 1}, "does not fit"),
        ("Add", 6, [X, PART], {"broadcast": 1, "axis": 3}, "from axis 3"),
        ("Add", 6, [X, PART], {"broadcast": 1, "axis": -1}, "from axis -1"),
        ("Gemm", 6, [*MATRICES, data(4)], {}, "broadcast"),
        ("PRelu", 6, [X, data(5)], {}, "each channel"),
        ("Sum", 6, [X, data(5)], {}, "one shape"),
        ("Cast", 1, [X], {"to": "NUMBER"}, "no element type"),
        ("Reshape", 1, [X], {}, "missing"),
        ("Split", 1, [X], {}, "missing"),
        ("LpPool", 1, [IMAGE], {}, "missing"),
        ("Tile", 1, [X, np.float32(1.5), np.float32(1)], {}, "whole"),
        ("Tile", 1, [X, np.float32(2), np.float32(4)], {}, "out of range"),
        ("Add", 7, [X, CHANNELS], BACK, "no attribute"),
    ],
)
def test_wrong_nodes_are_reported(op, opset, inputs, attrs, message):
    with pytest.raises(ModelError, match=message) as e:
        weft.load(model(op, opset, inputs, attrs))
    assert op in str(e.value) or e.value.hint


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "message"),
    [
        ("BatchNormalization", [X, *STATS], {"is_test": 0}, "training"),
        ("Dropout", [X], {"is_test": 0}, "training"),
        ("LpPool", [IMAGE], {"kernel_shape": [2, 2], "p": 2.5}, "order 2.5"),
    ],
)
def test_what_is_refused(op, inputs, attrs, message):
    attrs = {**attrs, "consumed_inputs": [0] * 5} if op == "BatchNormalization" else attrs
    with pytest.raises(UnsupportedError, match=message):
        weft.load(model(op, 1, inputs, attrs))
