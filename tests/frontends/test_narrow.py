"""Element types that weft holds in wider ones: small floats in float32, integers of 2 and 4 bits in
those of 8. ONNX Runtime and ml_dtypes are the judges."""

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
import weft
from node_cases import interpret
from onnx import TensorProto, helper, numpy_helper
from weft.runtime.errors import ModelError, UnsupportedError

RNG = np.random.default_rng(5)
FLOATS = {
    "FLOAT8E4M3FN": ml_dtypes.float8_e4m3fn,
    "FLOAT8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "FLOAT8E5M2": ml_dtypes.float8_e5m2,
    "FLOAT8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "FLOAT4E2M1": ml_dtypes.float4_e2m1fn,
}
INTEGERS = {
    "INT4": ml_dtypes.int4,
    "UINT4": ml_dtypes.uint4,
    "INT2": ml_dtypes.int2,
    "UINT2": ml_dtypes.uint2,
}
CONSTANTS = {
    **FLOATS,
    **INTEGERS,
    "FLOAT8E8M0": ml_dtypes.float8_e8m0fnu,
    "FLOAT6E2M3": ml_dtypes.float6_e2m3fn,
    "FLOAT6E3M2": ml_dtypes.float6_e3m2fn,
}
WILD = np.float32([0.3, -0.0, 1e-9, 17, -17, 448, 463, 465, 6e4, 7e4, -1e30, np.inf, -np.inf])


def code(name):
    return TensorProto.DataType.Value(name)


def model(nodes, inputs, outputs, constants=(), opset=25):
    def values(pairs):
        return [helper.make_tensor_value_info(n, t, s) for n, t, s in pairs]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), list(constants))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11)


def there_and_back(name, shape, opset=25, move="Transpose", **attrs):
    """x cast to a type, moved, and cast to float32."""
    return model(
        [
            helper.make_node("Cast", ["x"], ["a"], to=code(name), **attrs),
            helper.make_node(move, ["a"], ["b"]),
            helper.make_node("Cast", ["b"], ["y"], to=1),
        ],
        [("x", 1, shape)],
        [("y", 1, None)],
        opset=opset,
    )


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_read(name, raw):
    values = RNG.uniform(0.5, 3, (3, 3)).astype(np.float32).astype(CONSTANTS[name])
    tensor = numpy_helper.from_array(values, "c")
    if not raw:
        bits = values.reshape(-1).view(np.uint8)
        width = {"FLOAT4E2M1": 4, "INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2}.get(name, 8)
        fill = np.concatenate([bits, np.zeros(-len(bits) % (8 // width), np.uint8)])
        mask = np.uint8((1 << width) - 1)
        each = (fill.reshape(-1, 8 // width) & mask).astype(np.int64)
        packed = (each << np.arange(0, 8, width)).sum(axis=1)
        tensor.ClearField("raw_data")
        tensor.int32_data.extend(packed.tolist())
    np.testing.assert_array_equal(numpy_helper.to_array(tensor).view(np.uint8),
                                  values.view(np.uint8))  # fmt: skip
    m = model([helper.make_node("Cast", ["c"], ["y"], to=1)], [], [("y", 1, None)], [tensor], 28)
    graph = weft.load(m)
    assert not graph.nodes, "it is a constant"
    np.testing.assert_array_equal(graph.constants["y"], values.astype(np.float32))


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("name", [n for n in FLOATS if n.startswith("FLOAT8")])
def test_casts_are_those_of_onnx_runtime(name, saturate):
    x = np.concatenate([WILD, [np.nan], RNG.standard_normal(86) * 40]).astype(np.float32)
    m = there_and_back(name, [10, 10], opset=19, move="Identity", saturate=saturate)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(m.SerializeToString(), options)
    x = x.reshape(10, 10)
    (want,) = session.run(None, {"x": x})
    np.testing.assert_array_equal(weft.compile(m)(x), want)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_take_the_lowest_bits(name):
    x = np.arange(-40, 41, dtype=np.float32).reshape(9, 9) * 0.75
    got = weft.compile(there_and_back(name, [9, 9]))(x)
    want = np.trunc(x).astype(np.int32).astype(INTEGERS[name]).astype(np.float32).T
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS])
def test_inputs_and_outputs_hold_the_numbers(name):
    """What an input is given is rounded to its type."""
    m = model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", code(name), [7])],
        [("y", code(name), [7])],
    )
    own = {**FLOATS, **INTEGERS}[name]
    held = np.float32 if name in FLOATS else np.int8 if name[0] == "I" else np.uint8
    x = np.array([0, 1, 3, 5, 7, 9, 100], held)
    y = weft.compile(m)(x)
    assert y.dtype == held
    np.testing.assert_array_equal(y, x.astype(own).astype(held))


@pytest.mark.parametrize("block", [0, 2])
@pytest.mark.parametrize("name", ["FLOAT8E4M3FN", "FLOAT4E2M1", "INT4", "UINT2"])
def test_quantised_and_back(name, block):
    """A weight that is quantised, of which one axis has scales, or blocks of it."""
    own = {**FLOATS, **INTEGERS}[name]
    x = RNG.uniform(-9, 9, (3, 4)).astype(np.float32)
    scale = RNG.uniform(0.5, 2, (3, 2) if block else (4,)).astype(np.float32)
    zero = numpy_helper.from_array(np.zeros(scale.shape, np.float32).astype(own), "z")
    attrs = {"axis": 1, "block_size": block} if block else {"axis": 1}
    m = model(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attrs),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attrs),
        ],
        [("x", 1, [3, 4])],
        [("y", 1, None), ("q", code(name), None)],
        [numpy_helper.from_array(scale, "s"), zero],
    )
    full = np.repeat(scale, 2, axis=1) if block else scale
    if name in FLOATS:
        top = float(ml_dtypes.finfo(own).max)
        q = np.clip(x / full, -top, top).astype(own).astype(np.float32)
    else:
        info = ml_dtypes.iinfo(own)
        q = np.clip(np.rint(x / full), int(info.min), int(info.max)).astype(np.float32)
    y, held = interpret(weft.load(m), {"x": x})
    np.testing.assert_array_equal(held.astype(np.float32), q)
    np.testing.assert_array_equal(y, q * full)


def test_what_takes_no_small_floats_is_given_none():
    m = model(
        [
            helper.make_node("Cast", ["x"], ["a"], to=code("FLOAT8E5M2")),
            helper.make_node("Add", ["a", "x"], ["y"]),
        ],
        [("x", 1, [2])],
        [("y", 1, None)],
    )
    with pytest.raises(ModelError, match="float8e5m2"):
        weft.load(m)


def test_an_output_has_the_type_that_it_is_declared_with():
    node = helper.make_node("Relu", ["x"], ["y"])
    m = model([node], [("x", 1, [2])], [("y", code("FLOAT8E5M2"), [2])])
    with pytest.raises(ModelError, match="declared float8e5m2"):
        weft.load(m)


def test_casting_back_makes_floats_that_may_be_added():
    m = model(
        [
            helper.make_node("Cast", ["x"], ["a"], to=code("FLOAT8E5M2")),
            helper.make_node("Cast", ["a"], ["b"], to=1),
            helper.make_node("Add", ["b", "x"], ["y"]),
            helper.make_node("CastLike", ["x", "a"], ["c"]),
        ],
        [("x", 1, [2])],
        [("y", 1, None), ("c", code("FLOAT8E5M2"), None)],
    )
    y, c = interpret(weft.load(m), {"x": np.float32([1.1, -300])})
    np.testing.assert_array_equal(c, np.float32([1, -320]))
    np.testing.assert_array_equal(y, np.float32([1, -320]) + np.float32([1.1, -300]))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Cast", ["x"], ["y"], to=code("FLOAT8E8M0")), "float8e8m0"),
        (helper.make_node("BitCast", ["x"], ["y"], to=code("UINT4")), "bits of uint4"),
    ],
)
def test_what_is_refused(node, message):
    m = model([node], [("x", 1, [2])], [("y", 0, None)], opset=28)
    with pytest.raises(UnsupportedError, match=message):
        weft.load(m)
