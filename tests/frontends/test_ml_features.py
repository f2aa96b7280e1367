"""Features, labels and linear models of ai.onnx.ml, beside ONNX Runtime."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest
import weft
from onnx import TensorProto, helper, numpy_helper
from support.against_ort import ort
from support.contrib import Data, Node
from weft.compiler.frontends.onnx.importer import ModelWarning
from weft.runtime.errors import ModelError, UnsupportedError

data = Data(7)
ML = partial(Node, domain="ai.onnx.ml", opset=3)
NAN, INF = float("nan"), float("inf")

X, DOUBLE = data(5, 4), data(5, 4).astype(np.float64) * 1e3
INTS, LONGS = data.ints(-9, 9, 5, 4), data.ints(-9, 9, 5, 4, dtype="int64")
HOLES = np.array([[1, NAN, 3], [NAN, 0, -1]], np.float32)
ROWS = np.array([[0, 0, 0], [NAN, 2, 1], [-3, -2, -1], [INF, 1, 0]], np.float32)
KINDS = (X, DOUBLE, INTS, LONGS, X[0], X[:0])
FOUR = [0.5, -1.0, 2.0, 0.25]
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")

FEATURES = [
    *(ML("Scaler", [x], {"offset": FOUR, "scale": [2.0, 3.0, -1.0, 0.1]}) for x in KINDS),
    ML("Scaler", [X], {"offset": [0.5], "scale": [3.0]}),
    *(ML("Normalizer", [x], {"norm": n}) for x in KINDS for n in ("MAX", "L1", "L2")),
    *(ML("Normalizer", [ROWS], {"norm": n}, note="odd") for n in ("MAX", "L1", "L2")),
    ML("Normalizer", [-np.ones((2, 0), np.float32)], {"norm": "L2"}),
    *(ML("Binarizer", [x], {"threshold": 0.5}) for x in (X, np.float32([0.5, 0.6, INF]))),
    ML("ArrayFeatureExtractor", [X, np.array([3, 0, 0])]),
    ML("ArrayFeatureExtractor", [X, np.array([[3, 1]])], known=(1,)),
    ML("ArrayFeatureExtractor", [X[0], np.array([3, 0])]),
    ML("ArrayFeatureExtractor", [data(2, 3, 4), np.array([3, 0])]),
    ML("ArrayFeatureExtractor", [LONGS, np.array([1])]),
    *(ML("FeatureVectorizer", [x, x, x], {"inputdimensions": [4, 3, 6]}) for x in KINDS[:4]),
    ML("FeatureVectorizer", [data(3)], {"inputdimensions": [5]}),
    ML("Imputer", [HOLES], {"imputed_value_floats": [7.0], "replaced_value_float": NAN}),
    ML("Imputer", [HOLES], {"imputed_value_floats": [7.0, 8.0, 9.0], "replaced_value_float": 0.0}),
    ML("Imputer", [LONGS], {"imputed_value_int64s": [5, 6, 7, 8], "replaced_value_int64": 3}),
    *(
        ML("OneHotEncoder", [x], {"cats_int64s": [2, -3, 0, 7]})
        for x in (LONGS, X * 4, DOUBLE, LONGS[0], LONGS[:0])
    ),
    ML("OneHotEncoder", [LONGS], {"cats_int64s": [2, -3, 2, 7]}, note="twice"),
]

KEYED = [
    ("int64s", LONGS, [3, -2, 5, 3]),
    ("int64s", LONGS, [3, -(10**12), 5, 10**12]),
    ("int64s", LONGS * 0 + np.array([1, 10**12, 2**62, -(2**63)]), [10**12, 2**62, -(2**63), 4]),
    ("floats", np.array([[1, NAN, -0.0], [2, 2.5, INF]], np.float32), [2.0, 0.0, INF, 2.0]),
    ("floats", np.array([NAN, 1, 2], np.float32), [2.0, NAN, 5.0, NAN]),
]
VALUED = [("int64s", [10, -(10**15), 30, 40]), ("floats", [0.1, -INF, NAN, 4.0])]

ENCODED = [
    *(
        ML("LabelEncoder", [x], {f"keys_{k}": keys, f"values_{v}": values, **default}, opset=opset)
        for k, x, keys in KEYED
        for v, values in VALUED
        for opset in (2, 4)
        for default in ({}, {"default_int64": 77, "default_float": 7.5})
    ),
    ML(
        "LabelEncoder",
        [DOUBLE.round()],
        {
            "keys_tensor": numpy_helper.from_array(DOUBLE.round().reshape(-1)[:4], "k"),
            "values_tensor": numpy_helper.from_array(np.array([1.5, 2.5, 3.5, 4.5]), "v"),
            "default_tensor": numpy_helper.from_array(np.array([-7.25]), "d"),
        },
        opset=4,
    ),
]

REGRESSED = [
    *(
        ML("LinearRegressor", [x], {"coefficients": FOUR * t, "targets": t, **rest})
        for x in (X, X[0], X[:0])
        for t in (1, 3)
        for rest in ({}, {"intercepts": [0.5, 2.0, -1.0][:t]})
    ),
    *(
        ML(
            "LinearRegressor",
            [np.abs(X)],
            {"coefficients": [0.1, 0.2, 0.0, 0.3] * t, "targets": t, "post_transform": p},
        )
        for t in (1, 3)
        for p in TRANSFORMS
    ),
]
UNIT = [0.1, 0.0, 0.3, 0.2, 0.2, 0.1, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0]

CLASSIFIED = [
    *(
        ML("LinearClassifier", [x], {"coefficients": list(data(12)), **labels}, outputs=(1, 1))
        for x in (*KINDS[:4], X[0], X[:0])
        for labels in (
            {"classlabels_ints": [4, 0, 7], "intercepts": [0.1, 0.2, 0.3]},
            {"classlabels_ints": [0, 1, 2], "intercepts": [0.1, 0.2, 0.3]},
        )
    ),
    *(
        ML(
            "LinearClassifier",
            [np.abs(X) if p == "PROBIT" else X],
            {
                "coefficients": UNIT if p == "PROBIT" else [*data(8), 0, 0, 0, 0],
                "intercepts": [0.1, 0.2, 0.0],
                "classlabels_ints": [3, 5, 4],
                "post_transform": p,
            },
            outputs=(1, 1),
            atol=1e-4 if p == "PROBIT" else 1e-5,  # its formula cancels near 0
        )
        for p in TRANSFORMS
    ),
    *(
        ML(
            "LinearClassifier",
            [X],
            {"coefficients": FOUR, "intercepts": [0.1], "post_transform": p, **labels},
            outputs=(1, 1),
        )
        for p in TRANSFORMS[:4]
        for labels in ({"classlabels_ints": [8, 3]}, {})
    ),
]


@pytest.mark.parametrize("node", [*FEATURES, *ENCODED, *REGRESSED, *CLASSIFIED], ids=str)
def test_as_onnx_runtime(node: Node) -> None:
    node.check()


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
@pytest.mark.parametrize("threshold", [0.5, -1.0, 3e38, -3e38, NAN, INF])
def test_binarizer_of_other_types(dtype: str, threshold: float) -> None:
    """ONNX Runtime has float32 alone."""
    x = np.array([[-2, -1, 0, 1]], dtype)
    node = ML("Binarizer", [x], {"threshold": threshold})
    node.check([(x > np.float64(np.float32(threshold))).astype(dtype)])


def strings(node: Node, monkeypatch=None) -> tuple[weft.Executable, dict[str, np.ndarray]]:
    with pytest.warns(ModelWarning, match="indices of labels"):
        exe = weft.compile(node.model, target="llvm")
    return exe, exe.run(node.feed)


def text(exe: weft.Executable, output: str, value: np.ndarray) -> np.ndarray:
    return np.array(exe.labels[output], object)[value]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_string_labels_are_indices(count: int) -> None:
    rows = {1: 1, 2: 2, 3: 3}[count]
    labels = ["no", "yes"] if count == 1 else ["b", "a", "c"][:count]
    attrs = {
        "coefficients": list(data(4 * rows)),
        "intercepts": list(data(rows)),
        "classlabels_strings": labels,
    }
    node = ML("LinearClassifier", [X], attrs, outputs=(1, 1))
    exe, got = strings(node)
    want = node.onnx_runtime()
    assert exe.labels == {"y0": tuple(labels)}
    np.testing.assert_array_equal(text(exe, "y0", got["y0"]), want[0])
    np.testing.assert_allclose(got["y1"], want[1], rtol=1e-5)
    packed = weft.Executable.unpacked(exe.packed(), "")
    assert packed.labels == exe.labels


@pytest.mark.parametrize("opset", [1, 2, 4])
def test_labels_encoded_as_strings(opset: int) -> None:
    attrs = (
        {"classes_strings": ["zero", "one", "two"]}
        if opset == 1
        else {"keys_int64s": [4, 2, 1], "values_strings": ["a", "b", "a"]}
    )
    attrs["default_string"] = "other"
    node = ML("LabelEncoder", [data.ints(-1, 6, 3, 4, dtype="int64")], attrs, opset=opset)
    exe, got = strings(node)
    np.testing.assert_array_equal(text(exe, "y0", got["y0"]), node.onnx_runtime()[0])


def pipeline(nodes, outputs, constants=()) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "pipeline",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        outputs,
        [*constants],
    )
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


def ml_node(op: str, inputs: list[str], outputs: list[str], **attrs) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, domain="ai.onnx.ml", **attrs)


CLASSIFIER = ml_node(
    "LinearClassifier", ["x"], ["label", "score"], coefficients=list(data(12)),
    intercepts=[0.0, 0.1, 0.2], classlabels_strings=["b", "a", "c"], post_transform="SOFTMAX",
)  # fmt: skip


def test_strings_pass_through_what_moves_elements() -> None:
    """A constant table of strings, picked from by index, reshaped, and encoded as numbers."""
    table = helper.make_tensor("table", TensorProto.STRING, [3], ["u", "v", "w"])
    known = [table, numpy_helper.from_array(np.array([-1, 1]), "shape")]
    nodes = [
        helper.make_node("ArgMax", ["x"], ["at"], axis=1, keepdims=0),
        helper.make_node("Mod", ["at", "three"], ["index"]),
        ml_node("ArrayFeatureExtractor", ["table", "index"], ["row"]),
        helper.make_node("Cast", ["row"], ["text"], to=TensorProto.STRING),
        helper.make_node("Reshape", ["text", "shape"], ["column"]),
        ml_node("LabelEncoder", ["column"], ["number"], keys_strings=["w", "u"],
                values_floats=[3.0, 1.0], default_float=9.0),
    ]  # fmt: skip
    known.append(numpy_helper.from_array(np.array(3), "three"))
    outputs = [
        helper.make_tensor_value_info("column", TensorProto.STRING, ["N", 1]),
        helper.make_tensor_value_info("number", TensorProto.FLOAT, ["N", 1]),
    ]
    proto = pipeline(nodes, outputs, known)
    x = data(9, 4)
    with pytest.warns(ModelWarning, match="indices of labels"):
        exe = weft.compile(proto, target="llvm", shapes={"x": x.shape})
    got, want = exe.run({"x": x}), ort(proto, {"x": x})
    np.testing.assert_array_equal(text(exe, "column", got["column"]), want[0])
    np.testing.assert_array_equal(got["number"], want[1])


def test_strings_are_not_taken_for_numbers() -> None:
    add = helper.make_node("Add", ["label", "label"], ["y"])
    out = [helper.make_tensor_value_info("y", TensorProto.INT64, None)]
    with pytest.raises(UnsupportedError, match=r"Add.*of strings"):
        weft.load(pipeline([CLASSIFIER, add], out), {"N": 2})
    wrong = helper.make_tensor_value_info("label", TensorProto.INT64, None)
    with pytest.raises(ModelError, match="strings"):
        weft.load(pipeline([CLASSIFIER], [wrong]), {"N": 2})


def test_maps_are_rows_of_a_tensor() -> None:
    zipped = ml_node("ZipMap", ["score"], ["maps"], classlabels_strings=["b", "a", "c"])
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
        onnx.ValueInfoProto(name="maps"),
    ]
    proto = pipeline([CLASSIFIER, zipped], outputs)
    x = data(6, 4)
    with pytest.warns(ModelWarning) as told:
        exe = weft.compile(proto, target="llvm", shapes={"x": x.shape})
    texts = [str(w.message) for w in told]
    assert len(texts) == 2 and "indices" in texts[0] and "sequence of maps" in texts[1]
    got, want = exe.run({"x": x}), ort(proto, {"x": x})
    rows = [[row[key] for key in exe.labels["maps"]] for row in want[1]]
    np.testing.assert_allclose(got["maps"], np.array(rows), rtol=1e-5)
    again = helper.make_node("SequenceLength", ["maps"], ["n"])
    count = [helper.make_tensor_value_info("n", TensorProto.INT64, [])]
    with pytest.raises(UnsupportedError, match="sequence of maps"):
        weft.load(pipeline([CLASSIFIER, zipped, again], count), {"N": 2})


@pytest.mark.parametrize(
    ("node", "error", "message"),
    [
        (ML("Scaler", [X], {"offset": [1.0], "scale": [1.0] * 3}), ModelError, "3 numbers for 4"),
        (
            ML("Scaler", [data(2, 3, 4)], {"offset": [1.0], "scale": [1.0]}),
            UnsupportedError,
            "axes",
        ),
        (ML("Normalizer", [X], {"norm": "L3"}), ModelError, "L3"),
        (ML("OneHotEncoder", [X], {"cats_strings": ["a"]}), UnsupportedError, "strings"),
        (ML("LinearRegressor", [X], {"coefficients": [1.0]}), ModelError, "1 coefficients"),
        (ML("LabelEncoder", [X], {"keys_floats": [1.0]}), ModelError, "list of values"),
        (
            ML("LabelEncoder", [X], {"keys_int64s": [1], "values_floats": [1.0]}),
            ModelError,
            "keys are of type int64",
        ),
        (
            ML("ArrayFeatureExtractor", [X, np.array([4])], known=(1,)),
            ModelError,
            "out of range",
        ),
    ],
    ids=str,
)
def test_refused(node: Node, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        weft.load(node.model)


def test_unknown_categories_are_said_to_give_zeros() -> None:
    node = ML("OneHotEncoder", [LONGS], {"cats_int64s": [1, 2], "zeros": 0})
    with pytest.warns(ModelWarning, match="zeros=0"):
        weft.load(node.model)
