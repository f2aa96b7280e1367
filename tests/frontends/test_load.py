"""Loading ONNX models: constants, shapes, subgraphs, functions, names, and what is missing."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from weft.compiler.frontends import bind, load
from weft.compiler.ops import get
from weft.runtime.errors import InputError, ModelError, UnsupportedError, WeftError

F, I64 = TensorProto.FLOAT, TensorProto.INT64


def value(name, shape=None, dtype=F):
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op, inputs, outputs, **attrs):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"n_{op}", **attrs)


def initializer(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def model(nodes, inputs, outputs, initializers=(), opset=17, functions=(), imports=(), **kw):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers, **kw)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in imports)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)


def ops(graph):
    return [n.op for n in graph.nodes]


def run(graph, **feed):
    values = {**feed, **graph.constants}
    for n in graph.nodes:
        made = get(n.op).reference([values[i] if i else None for i in n.inputs], n.attrs)
        values.update(zip(n.outputs, made))
    return [values[o] for o in graph.outputs]


# --- the ways in


def test_path_bytes_and_proto(tmp_path):
    m = model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2])])
    m.metadata_props.add(key="author", value="somebody")
    path = tmp_path / "m.onnx"
    onnx.save(m, path)
    for source in (m, m.SerializeToString(), path, str(path)):
        g = load(source)
        assert ops(g) == ["relu"] and g.inputs == ("x",) and g.outputs == ("y",)
        assert g.meta["author"] == "somebody"
    assert load(path).nodes[0].source.file == "m.onnx"
    assert load(path).nodes[0].source.node == "n_Relu"


def test_no_file(tmp_path):
    for path in (tmp_path / "none.onnx", "a\0b"):
        with pytest.raises(ModelError, match="cannot be read"):
            load(path)
    with pytest.raises(ModelError, match=r"no model in this folder(.|\n)*tflite"):
        load(tmp_path)
    with pytest.raises(ModelError, match="empty"):
        load(b"")


@pytest.mark.parametrize(
    ("ir", "error"), [(0, "IR version is missing"), (2, "is 2"), (99, "is 99")]
)
def test_ir_version(ir, error):
    m = model([node("Relu", "x", "y")], [value("x", [2])], [value("y")])
    m.ir_version = ir
    with pytest.raises(ModelError, match=error):
        load(m)


@pytest.mark.parametrize("opset", [-1, 0, 99])
def test_opset_out_of_range(opset):
    m = model([node("Relu", "x", "y")], [value("x", [2])], [value("y")], opset=opset)
    with pytest.raises(UnsupportedError, match=f"operator set is {opset}"):
        load(m)


# --- constants


def test_shape_arithmetic_folds_away():
    nodes = [
        node("Shape", "x", "s"),
        node("Constant", "", "zero", value_ints=[0]),
        node("Gather", "s zero", "n", axis=0),
        node("Constant", "", "rest", value_ints=[-1]),
        node("Concat", "n rest", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    m = model(nodes, [value("x", ["N", 3, 4], F)], [value("y")])
    g = load(m, {"N": 5})
    assert ops(g) == ["reshape"] and g.types["y"].shape == (5, 12) and not g.constants


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"value": initializer("v", np.float32([1, 2]))}, np.float32([1, 2])),
        ({"value_float": 1.5}, np.float32(1.5)),
        ({"value_floats": [1.5, 2.5]}, np.float32([1.5, 2.5])),
        ({"value_int": 3}, np.int64(3)),
        ({"value_ints": [3, 4]}, np.int64([3, 4])),
    ],
)
def test_constant_forms(attrs, expected):
    g = load(model([node("Constant", "", "y", **attrs)], [], [value("y", None, 0)]))
    (y,) = run(g)
    assert y.dtype == expected.dtype and g.outputs == ("y",)
    np.testing.assert_array_equal(y, expected)


def test_constant_of_strings_is_not_supported():
    m = model([node("Constant", "", "y", value_string="a")], [], [value("y", [], 8)])
    with pytest.raises(UnsupportedError, match="value_string"):
        load(m)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "bool", "uint64", "float64"])
def test_initializer_encodings(dtype, raw):
    data = np.array([[0, 1, 2], [3, 1, 0]]).astype(dtype)
    code = helper.np_dtype_to_tensor_dtype(data.dtype)
    content = data.tobytes() if raw else data.reshape(-1)
    t = helper.make_tensor("w", code, data.shape, content, raw=raw)
    g = load(model([node("Identity", "w", "y")], [], [value("y", None, 0)], [t]))
    np.testing.assert_array_equal(run(g)[0], data)
    assert run(g)[0].dtype == data.dtype


def test_initializer_that_is_an_input_too():
    w = initializer("w", np.float32([2, 3]))
    m = model([node("Mul", "x w", "y")], [value("x", [2]), value("w", [2])], [value("y")], [w])
    assert load(m).inputs == ("x",)
    g = load(m, constants={"w": np.float32([5, 6])})
    np.testing.assert_array_equal(run(g, x=np.float32([1, 1]))[0], [5, 6])
    assert load(m, {"w": [2]}).inputs == ("x", "w")


def test_needed_constant_is_named():
    nodes = [node("Cast", "shape", "s", to=I64), node("Reshape", "x s", "y")]
    m = model(nodes, [value("x", [6]), value("shape", [2], TensorProto.INT32)], [value("y")])
    with pytest.raises(ModelError, match=r"depends on 'shape'(.|\n)*constants=\{'shape': value\}"):
        load(m)
    g = load(m, constants={"shape": np.int32([2, 3])})
    assert g.types["y"].shape == (2, 3) and g.inputs == ("x",)
    with pytest.raises(InputError, match="'shape' has the dtype float32"):
        load(m, constants={"shape": np.float32([2, 3])})


# --- names


def test_outputs_that_no_node_makes():
    w = initializer("w", np.float32([2]))
    outputs = [value("x", [2]), value("w", [1]), value("a"), value("b")]
    nodes = [node("Identity", "x", "a"), node("Identity", "a", "b")]
    g = load(model(nodes, [value("x", [2])], outputs, [w]))
    assert len(set(g.outputs)) == 4 and g.outputs[1:] == ("w", "a", "b")
    x = np.float32([1, 2])
    for got, want in zip(run(g, x=x), (x, np.float32([2]), x, x)):
        np.testing.assert_array_equal(got, want)


def test_inner_names_do_not_meet_names_of_the_file():
    """HardSigmoid by parts: whatever a converter calls its steps, the file's names stay."""
    nodes = [
        node("Softplus", "x", "y"),
        node("Neg", "y", "y/softplus"),
        node("Abs", "y/softplus", "z"),
    ]
    g = load(model(nodes, [value("x", [2])], [value("z"), value("y/softplus"), value("y")]))
    assert g.outputs == ("z", "y/softplus", "y")


@pytest.mark.parametrize(
    ("nodes", "error"),
    [
        ([node("Relu", "x", "y"), node("Neg", "x", "y")], "'y' is made by two nodes"),
        ([node("Relu", "x", "x")], "'x' is defined twice"),
        ([node("Relu", "nowhere", "y")], "'nowhere' is not defined"),
        ([node("Relu", "x", "a")], "'y' is not made by any node"),
        ([node("Add", "x b", "a"), node("Neg", "a", "b"), node("Relu", "b", "y")], "cyclic"),
    ],
)
def test_wrong_names(nodes, error):
    with pytest.raises(ModelError, match=error):
        load(model(nodes, [value("x", [2])], [value("y")]))


def test_nodes_out_of_order_are_sorted():
    nodes = [node("Neg", "a", "y"), node("Relu", "x", "a")]
    assert ops(load(model(nodes, [value("x", [2])], [value("y")]))) == ["relu", "neg"]


def test_optional_inputs():
    g = load(
        helper.make_model(
            helper.make_graph(
                [helper.make_node("Clip", ["x", "", "high"], ["y"])],
                "g",
                [value("x", [2])],
                [value("y")],
                [initializer("high", np.float32(1))],
            ),
            ir_version=9,
            opset_imports=[helper.make_opsetid("", 17)],
        )
    )
    np.testing.assert_array_equal(run(g, x=np.float32([-3, 3]))[0], [-3, 1])


# --- types


def test_declared_output_type():
    with pytest.raises(ModelError, match=r"declared int64\[2\]"):
        load(model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2], I64)]))


def test_declared_intermediate_type():
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "y")]
    m = model(nodes, [value("x", [2])], [value("y")], value_info=[value("a", [2], I64)])
    with pytest.raises(ModelError, match="'a' is declared as int64, but is float32"):
        load(m)


@pytest.mark.parametrize(
    ("nodes", "error"),
    [
        ([node("Add", "x i", "y")], "they must be equal"),
        ([node("Relu", "x i", "y")], "2 inputs"),
        ([node("Relu", "x", "y", alpha=1.0)], "no attribute 'alpha'"),
        ([node("Concat", "x", "y")], "'axis' is missing"),
        ([node("Concat", "x", "y", axis=1.0)], "'axis' is not of type INT"),
        ([node("Sin", "i", "y")], "is int64"),
        ([node("MatMul", "x x", "y")], "do not multiply"),
    ],
)
def test_ill_typed(nodes, error):
    m = model(nodes, [value("x", [2, 3]), value("i", [2, 3], I64)], [value("y", None, 0)])
    with pytest.raises(WeftError, match=error) as e:
        load(m)
    assert "n_" in str(e.value)  # which node


# --- symbolic shapes


def symbolic():
    inputs = [value("x", ["N", 3]), value("y", ["N", "M"])]
    return model([node("Concat", "x y", "z", axis=1)], inputs, [value("z", ["N", None])])


def test_unbound_graph():
    g = load(symbolic())
    assert g.symbols == ("N", "M") and g.nodes == ()
    assert "x: float32[N, 3]" in str(g) and "unbound: N, M" in str(g)
    for bound in (g.bind({"N": 2, "M": 4}), g.bind({"y": (2, 4)}), load(symbolic(), {"y": [2, 4]})):
        assert bound.types["z"].shape == (2, 7)
    half = load(symbolic(), {"N": 2})
    assert half.symbols == ("M",) and half.bind({"M": 1}).types["z"].shape == (2, 4)
    assert bind(half, {"M": 1}).types["z"].shape == (2, 4)


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        ({}, "missing: N, M"),
        ({"N": 2}, "missing: M"),
        ({"K": 2}, "'K' is neither an input nor a dimension"),
        ({"N": 2, "y": [3, 4]}, "'N' is 2, and given as 3"),
        ({"x": [2, 4]}, "axis 1 of 'x' is 3, and given as 4"),
        ({"x": [2]}, "has 2 dimensions"),
        ({"N": -1}, "negative"),
        ({"N": 1.5}, "not an integer"),
        ({"N": 2**40, "M": 1}, "elements"),
    ],
)
def test_wrong_shapes(shapes, error):
    with pytest.raises(InputError, match=error):
        load(symbolic()).bind(shapes)


def test_static_graph_and_shapes():
    g = load(model([node("Relu", "x", "y")], [value("x", [2])], [value("y")]))
    assert bind(g, {"x": [2]}) is g or bind(g, {"x": [2]}).types["x"].shape == (2,)
    with pytest.raises(InputError, match="axis 0 of 'x' is 2, and given as 3"):
        bind(g, {"x": [3]})
    assert bind(g, constants={"x": np.float32([1, 2])}).inputs == ()


def test_unknown_rank_and_anonymous_dimension():
    m = model([node("Relu", "x", "y")], [value("x", [None, 2])], [value("y")])
    assert load(m).symbols == ("x[0]",) and load(m, {"x": [3, 2]}).types["y"].shape == (3, 2)
    m.graph.input[0].type.tensor_type.ClearField("shape")
    assert load(m).symbols == ("x",) and load(m, {"x": [3, 2]}).types["y"].shape == (3, 2)


# --- subgraphs and functions


def branching(condition):
    def branch(op):
        return helper.make_graph([node(op, "x", "r")], op, [], [value("r", [2])])

    n = node("If", "c", "y", then_branch=branch("Neg"), else_branch=branch("NoSuchOperator"))
    inputs = [value("x", [2])]
    extra = [] if condition is None else [initializer("c", np.array(condition))]
    if condition is None:
        inputs.append(value("c", [], TensorProto.BOOL))
    return model([n], inputs, [value("y")], extra)


def test_if_imports_the_taken_branch_only():
    assert ops(load(branching(True))) == ["neg"]
    with pytest.raises(UnsupportedError, match="NoSuchOperator"):
        load(branching(False))
    with pytest.raises(UnsupportedError, match="If whose condition depends on data"):
        load(branching(None))
    assert ops(load(branching(None), constants={"c": True})) == ["neg"]


def test_functions_are_inlined():
    body = helper.make_node("LeakyRelu", ["a"], ["t"])
    ref = body.attribute.add(name="alpha", ref_attr_name="slope")
    ref.type = onnx.AttributeProto.FLOAT
    inner = helper.make_function(
        "d", "Leaky", ["a"], ["t"], [body], [helper.make_opsetid("", 17)], ["slope"]
    )
    outer = helper.make_function(
        "d",
        "Twice",
        ["a"],
        ["u"],
        [
            helper.make_node("Leaky", ["a"], ["t"], domain="d", slope=0.5),
            helper.make_node("Leaky", ["t"], ["u"], domain="d"),
        ],
        [helper.make_opsetid("d", 1)],
    )
    call = helper.make_node("Twice", ["x"], ["y"], domain="d", name="call")
    m = model([call], [value("x", [2])], [value("y")], functions=[inner, outer], imports=["d"])
    g = load(m)
    assert ops(g) == ["leaky_relu", "leaky_relu"] and g.outputs == ("y",)
    assert [n.attrs["alpha"] for n in g.nodes] == [0.5, pytest.approx(0.01)]


def test_functions_that_call_each_other_end():
    def function(name, callee):
        nodes = [helper.make_node(callee, ["a"], ["t"], domain="d")]
        return helper.make_function("d", name, ["a"], ["t"], nodes, [helper.make_opsetid("d", 1)])

    call = helper.make_node("A", ["x"], ["y"], domain="d")
    functions = [function("A", "B"), function("B", "A")]
    m = model([call], [value("x", [2])], [value("y")], functions=functions, imports=["d"])
    with pytest.raises(ModelError, match="nested more than"):
        load(m)


# --- what is missing


def test_everything_missing_is_reported_at_once():
    nodes = [
        node("NoSuchA", "x", "a"),
        node("Relu", "a", "b"),
        node("NoSuchB", "b", "c"),
        helper.make_node("NoSuchA", ["c"], ["d"], name="again"),
        helper.make_node("Foreign", ["d"], ["y"], name="f", domain="com.example"),
    ]
    m = model(nodes, [value("x", [2])], [value("y")], imports=["com.example"])
    with pytest.raises(UnsupportedError) as e:
        load(m)
    text = str(e.value)
    assert "NoSuchA (domain ai.onnx, opset 17): nodes 'n_NoSuchA', 'again'" in text
    assert "NoSuchB (domain ai.onnx, opset 17): nodes 'n_NoSuchB'" in text
    assert "Foreign (domain com.example, opset 1): nodes 'f'" in text


@pytest.mark.parametrize("source", [None, 3, []])
def test_what_is_no_model(source):
    with pytest.raises(ModelError, match=rf"{type(source).__name__} is no model") as e:
        load(source)
    assert "a path, the bytes of a file, or an onnx.ModelProto" in str(e.value)


def test_a_package_is_not_loaded_as_a_model():
    with pytest.raises(ModelError, match=r"a package of weft is opened by weft.runtime.load"):
        load(b"PK\x03\x04" + bytes(40))


def test_shapes_and_constants_are_mappings():
    m = model([node("Relu", "x", "y")], [value("x", ["N"])], [value("y")])
    with pytest.raises(InputError, match=r"shapes is list, not a mapping"):
        load(m, [1])
    with pytest.raises(InputError, match=r"constants is int, not a mapping"):
        load(m, constants=3)
    with pytest.raises(InputError, match=r"--shape N=…"):
        bind(load(m))
