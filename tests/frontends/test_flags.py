"""Yes-or-no attributes with other numbers than 0 and 1 mean what ONNX Runtime makes of them; and
operators belong to the operator set in which they came."""

import numpy as np
import onnx
import onnxruntime
import pytest
import weft
from onnx import helper, numpy_helper
from weft.compiler.frontends.onnx.flags import FLAGS
from weft.runtime.errors import ModelError, WeftError

RNG = np.random.default_rng(0)
REDUCTIONS = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
              "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare")  # fmt: skip


def data(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def single(op, inputs, attrs, outputs=1, opset=18):
    """A model of one operator, whose first input is the model's, the others constants."""
    names = ["" if v is None else f"i{k}" for k, v in enumerate(inputs)]
    results = [f"o{k}" for k in range(outputs)]
    node = helper.make_node(op, names, results, **attrs)
    given = [(n, np.asarray(v)) for n, v in zip(names, inputs) if n]
    code = helper.np_dtype_to_tensor_dtype(given[0][1].dtype)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("i0", code, given[0][1].shape)],
        [helper.make_empty_tensor_value_info(o) for o in results],
        [numpy_helper.from_array(v, n) for n, v in given[1:]],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


IMAGE, POOL = data(1, 2, 5, 5), {"kernel_shape": [2, 2], "strides": [2, 2]}
ENDS = np.array([np.inf, -np.inf, 1], np.float32)
GATES = [data(3, 2, 4), data(1, 15, 4), data(1, 15, 5), data(1, 30)]
LSTM = [data(3, 2, 4), data(1, 20, 4), data(1, 20, 5)]
CASES = [  # operator, inputs, flag, other attributes, outputs, operator set
    *((op, [np.abs(data(2, 3)), np.array([1])], "keepdims", {}, 1, 18) for op in REDUCTIONS),
    *(
        (op, [np.abs(data(2, 3)), np.array([], np.int64)], "noop_with_empty_axes", {}, 1, 18)
        for op in REDUCTIONS
    ),
    ("ReduceSum", [data(2, 3)], "keepdims", {"axes": [1]}, 1, 11),
    ("ArgMax", [data(2, 3)], "keepdims", {"axis": 1}, 1, 13),
    ("ArgMin", [np.zeros((2, 3), np.float32)], "select_last_index", {"axis": 1}, 1, 13),
    ("AveragePool", [IMAGE], "count_include_pad", {**POOL, "pads": [1, 1, 0, 0]}, 1, 18),
    ("AveragePool", [IMAGE], "ceil_mode", POOL, 1, 18),
    ("MaxPool", [IMAGE], "ceil_mode", POOL, 1, 12),
    ("MaxPool", [IMAGE], "storage_order", POOL, 2, 12),
    ("LpPool", [IMAGE], "ceil_mode", POOL, 1, 18),
    ("CumSum", [data(4), np.array(0)], "exclusive", {}, 1, 14),
    ("CumSum", [data(4), np.array(0)], "reverse", {}, 1, 14),
    ("CumProd", [data(4), np.array(0)], "exclusive", {}, 1, 26),
    ("Gemm", [data(3, 3), data(3, 3)], "transA", {}, 1, 13),
    ("Gemm", [data(3, 3), data(3, 3)], "transB", {}, 1, 13),
    ("GridSample", [IMAGE, data(1, 3, 3, 2)], "align_corners", {}, 1, 16),
    ("IsInf", [ENDS], "detect_negative", {}, 1, 20),
    ("IsInf", [ENDS], "detect_positive", {}, 1, 20),
    ("Mod", [np.int32([5, -5]), np.int32([3, 3])], "fmod", {}, 1, 13),
    ("Reshape", [data(2, 3), np.array([0, 3])], "allowzero", {}, 1, 14),
    ("Resize", [IMAGE, None, np.float32([1, 1, 0.5, 0.5])], "antialias", {"mode": "linear"}, 1, 18),
    (
        "Resize", [IMAGE, None, np.float32([1, 1, 0.7, 0.7])], "exclude_outside",
        {"mode": "cubic"}, 1, 18,
    ),
    ("TopK", [data(5), np.array([3])], "largest", {}, 2, 11),
    ("Trilu", [data(3, 3)], "upper", {}, 1, 14),
    ("GRU", GATES, "linear_before_reset", {"hidden_size": 5}, 2, 14),
    ("LSTM", LSTM, "input_forget", {"hidden_size": 5}, 2, 14),
    ("Attention", [data(1, 1, 3, 4)] * 3, "is_causal", {}, 1, 23),
    (
        "RotaryEmbedding", [data(1, 1, 3, 4), data(3, 2), data(3, 2), np.array([[0, 1, 2]])],
        "interleaved", {}, 1, 23,
    ),
]  # fmt: skip


def runtime(model, x):
    """What ONNX Runtime makes of it; None where it refuses."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"i0": x})
    except Exception:  # of no common kind
        return None


@pytest.mark.parametrize("number", [2, -1, 2**32])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[2]}")
def test_a_flag_of_another_number(case, number):
    op, inputs, flag, attrs, outputs, opset = case
    model = single(op, inputs, {**attrs, flag: number}, outputs, opset)
    want = runtime(model, inputs[0])
    if want is None and number != 2**32:  # a GRU of the runtime's narrows what it then compares
        with pytest.raises(ModelError, match=flag):
            weft.load(model)
    elif want is not None:
        exe = weft.compile(model, records=False)
        found = exe.run({"i0": inputs[0]})
        for name, array in zip(exe.outputs, want):
            assert found[name].shape == array.shape
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_every_flag_of_the_standard_is_known():
    """What is described as a switch, or has such a name, has a reading."""
    words = ("boolean", "whether", "if set to", "if true", "should be transposed", "not, default")
    # Numbers that are described with such words, or switches of what weft has not got.
    others = {"stash_type", "qk_matmul_output_mode", "axis", "seed"}
    unknown = set()
    for schema in onnx.defs.get_all_schemas():
        for name, a in schema.attributes.items():
            said = a.description.lower()
            if schema.domain == "" and a.type == onnx.defs.OpSchema.AttrType.INT:
                unknown |= {name} if any(w in said for w in words) else set()
    assert unknown - FLAGS - others == set()


@pytest.mark.parametrize(
    ("op", "inputs", "opset", "came"),
    [
        ("Gelu", [data(3)], 13, 20),
        ("HardSwish", [data(3)], 13, 14),
        ("Trilu", [data(3, 3)], 13, 14),
        ("Mish", [data(3)], 17, 18),
        ("CumProd", [data(3), np.array(0)], 25, 26),
    ],
)
def test_an_operator_of_a_later_operator_set_is_refused(op, inputs, opset, came):
    assert runtime(single(op, inputs, {}, opset=opset), inputs[0]) is None
    with pytest.raises(ModelError, match=rf"{op} came with the operator set {came} .* {opset}"):
        weft.load(single(op, inputs, {}, opset=opset))
    weft.load(single(op, inputs, {}, opset=came))


def test_layer_normalization_as_the_optimiser_of_onnx_runtime_writes_it():
    x, model = data(2, 3), single("LayerNormalization", [data(2, 3), data(3)], {}, opset=16)
    (found,) = weft.compile(model, records=False).run({"i0": x}).values()
    np.testing.assert_allclose(found, runtime(model, x)[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelError, match="inputs"):
        weft.load(single("LayerNormalization", [x], {}, opset=16))


def test_an_attribute_of_a_later_operator_set_is_refused():
    with pytest.raises(WeftError, match="opset 18 has no attribute 'num_heads'"):
        weft.load(single("Relu", [data(3)], {"num_heads": 1}))
