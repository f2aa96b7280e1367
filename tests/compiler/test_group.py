"""Groups: their tensor expressions mean what the nodes mean, their keys what the kernels are."""

import numpy as np
import pytest
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Node, Source
from weft.compiler.graph.group import Group, express, kernel_name, structural_key
from weft.compiler.ops import get
from weft.ir.layout import Layout
from weft.ir.meaning.evaluate import evaluate
from weft.ir.tensor import PlaceholderOp
from weft.runtime.errors import GraphError

RNG = np.random.default_rng(1)


def block(prefix="", low=-0.5, high=0.5, shape=(4, 6), swap=False, names=("x", "y")):
    """min(max(x @ w + y, low), high) with all tensors called prefix + something."""
    b = GraphBuilder("g")
    x = b.input(prefix + names[0], "float32", shape)
    y = b.input(prefix + names[1], "float32", (shape[0], 5))
    w = b.constant(RNG.standard_normal((shape[1], 5)).astype(np.float32), prefix + "w")
    low_name = b.constant(np.float32(low), prefix + "low")
    high_name = b.constant(np.full((1, 1), high, np.float32), prefix + "high")
    (p,) = b.add("matmul", [x, w], outputs=[prefix + "p"])
    (s,) = b.add("add", [y, p] if swap else [p, y], outputs=[prefix + "s"])
    (m,) = b.add("maximum", [s, low_name], outputs=[prefix + "m"])
    (r,) = b.add("minimum", [m, high_name], outputs=[prefix + "r"])
    return b.finish([r])


def whole(graph):
    return Group.of(graph, graph.nodes)


def key(graph):
    return structural_key(whole(graph), graph.types, graph.constants)


def test_inputs_and_outputs_of_a_part():
    g = block()
    part = Group.of(g, g.nodes[1:3])
    assert part.inputs == ("p", "y", "low")
    assert part.outputs == ("m",)
    assert Group.of(g, g.nodes[:1]).outputs == ("p",)


def test_a_result_that_is_used_inside_and_outside_is_an_output():
    b = GraphBuilder("g")
    x = b.input("x", "float32", (3,))
    (a,) = b.add("relu", [x], outputs=["a"])
    (c,) = b.add("neg", [a], outputs=["c"])
    g = b.finish([c, a])
    assert Group.of(g, g.nodes).outputs == ("a", "c")
    assert Group.of(g, g.nodes).inputs == ("x",)


def test_expressions_mean_what_the_references_compute():
    g = block()
    e = express(whole(g), g.types, g.constants)
    assert e.inputs == ("x", "w", "y")  # the size-1 constants are literals
    x, y = (RNG.standard_normal(s).astype(np.float32) for s in ((4, 6), (4, 5)))
    feed = dict(zip(e.placeholders, (x, g.constants["w"], y)))
    (got,) = evaluate(list(e.outputs), feed)
    want = np.clip(x @ g.constants["w"] + y, -0.5, 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_an_output_that_is_its_input_is_copied():
    b = GraphBuilder("g")
    x = b.input("x", "float32", (3,))
    (a,) = b.add("identity", [x], outputs=["a"])
    (c,) = b.add("identity", [a], outputs=["c"])
    g = b.finish([a, c])
    e = express(whole(g), g.types, g.constants)
    assert not any(isinstance(t.op, PlaceholderOp) for t in e.outputs)
    assert e.outputs[0] is not e.outputs[1]
    value = np.arange(3, dtype=np.float32)
    for got in evaluate(list(e.outputs), {e.placeholders[0]: value}):
        np.testing.assert_array_equal(got, value)


def test_keys_do_not_depend_on_names_and_weights():
    assert key(block()) == key(block("other/", names=("a", "b")))


@pytest.mark.parametrize(
    "change",
    [
        {"low": -0.25},
        {"high": float("nan")},
        {"low": -0.0, "high": 0.0},
        {"shape": (4, 7)},
        {"shape": (5, 6)},
        {"swap": True},
    ],
)
def test_keys_differ_when_kernels_do(change):
    assert key(block()) != key(block(**change))


def test_keys_tell_types_layouts_connections_and_outputs_apart():
    def pair(dtype="float32", second="y", outputs=("a",), shape=(4, 8), layout=None):
        b = GraphBuilder("g")
        b.input("x", dtype, shape)
        b.input("y", dtype, shape)
        b.add("add", ["x", second], outputs=["s"])
        b.add("neg", ["s"], outputs=["a"])
        g = b.finish(outputs)
        types = dict(g.types)
        if layout:
            types["x"] = type(types["x"])(types["x"].dtype, shape, Layout.parse(layout, shape))
        group = Group(g.nodes, ("x", "y"), outputs)
        return structural_key(group, types, g.constants)

    keys = [
        pair(), pair("float64"), pair(second="x"), pair(outputs=("s", "a")),
        pair(outputs=("a", "s")), pair(layout="AB8b"), pair(shape=(8, 4)),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.0, True, "1", None, (1,), (1, 1), (1.0,), "(1,)"],
        [0.0, -0.0, float("nan"), float("inf"), 0.1, np.nextafter(0.1, 1).item()],
        [np.arange(3), np.arange(3.0), np.arange(3).reshape(3, 1), np.arange(1, 4), (0, 1, 2)],
        [{"a": 1}, {"a": 2}, {"b": 1}, {}],
    ],
)
def test_attributes_of_different_value_or_type_have_different_keys(values):
    b = GraphBuilder("g")
    b.input("x", "float32", (3,))
    b.add("neg", ["x"], outputs=["a"])
    g = b.finish(["a"])
    keys = {
        structural_key(Group((Node("neg", ("x",), ("a",), {"k": v}),), ("x",), ("a",)), g.types, {})
        for v in values
    }
    assert len(keys) == len(values)


def test_kernel_names_are_readable_symbols():
    g = block()
    k = key(g)
    assert kernel_name(whole(g), k) == f"matmul_add_maximum_minimum_{k[:8]}"
    long = Group(tuple(Node("relu", ("x",), (f"a{i}",)) for i in range(9)), ("x",), ("a8",))
    assert kernel_name(long, k) == f"relu_relu_relu_and_6_more_{k[:8]}"


def test_labels_and_places_name_the_nodes_of_the_model():
    node = Node("relu", ("x",), ("a",), {}, Source("m.onnx", "act1", "Relu"))
    other = Node("neg", ("a",), ("b",))
    group = Group((node, other), ("x",), ("b",))
    assert group.label == "act1 + b"
    assert group.where == "m.onnx, nodes act1 (relu), b (neg)"
    assert str(group).splitlines()[0] == "group(x) -> b"


def test_an_error_of_compute_names_the_node(monkeypatch):
    def refuse(*_):
        raise GraphError("no.")

    b = GraphBuilder("g")
    b.input("x", "float32", (3,))
    b.add("neg", ["x"], outputs=["a"], source=Source("m.onnx", "n7", "Neg"))
    g = b.finish(["a"])
    opdef = get("neg")
    original = opdef.compute
    object.__setattr__(opdef, "compute", refuse)
    try:
        with pytest.raises(GraphError, match=r"m.onnx, node 'n7' \(Neg\): no\."):
            express(whole(g), g.types, g.constants)
    finally:
        object.__setattr__(opdef, "compute", original)
