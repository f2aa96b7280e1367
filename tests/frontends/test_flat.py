"""The importer that all formats but ONNX share: a flat list of nodes and a table of converters."""

import numpy as np
import pytest
import weft
from weft.compiler.frontends import messages
from weft.compiler.frontends.context import Context
from weft.compiler.frontends.describe import described
from weft.compiler.frontends.flat import import_model
from weft.compiler.frontends.model import FileModel, FileNode
from weft.compiler.frontends.signature import SymbolicType, UnboundGraph
from weft.runtime.dtype import FLOAT32
from weft.runtime.errors import InputError, ModelError, UnsupportedError

TABLE = {
    "Twice": lambda n: n.add("add", [n.inputs[0], n.inputs[0]]),
    "Plus": lambda n: n.add("add", n.inputs[:2]),
    "Shift": lambda n: n.add("add", [n.inputs[0], n.constant(np.float32(n.attr("by")))]),
    "Positive": lambda n: n.add("compact", [n.inputs[0]]),
}


def node(op, inputs, output, **attrs):
    return FileNode(op, f"the {output}", tuple(inputs.split()), (output,), attrs)


def model(nodes, outputs, dims=("n", 3)):
    inputs = {"x": SymbolicType(FLOAT32, dims)}
    w = {"w": np.arange(3, dtype=np.float32), "unused": np.ones(5, np.float32)}
    return FileModel("toy 1", "m.toy", "toy", inputs, outputs, nodes, w, producer="a test")


CHAIN = model(
    [node("Plus", "twice w", "y"), node("Twice", "x", "twice"), node("Odd", "x", "dead")],
    {"result": "y", "again": "y", "same": "x", "weights": "w"},
)


def test_nodes_in_any_order_and_outputs_by_their_names():
    graph = import_model(CHAIN, TABLE, {"n": 2}, {})
    assert graph.outputs == ("result", "again", "same", "weights") and "unused" not in graph.types
    x = np.random.default_rng(0).random((2, 3), np.float32)
    result, again, same, weights = weft.compile(graph)(x)
    np.testing.assert_allclose(result, 2 * x + np.arange(3), rtol=1e-6)
    np.testing.assert_array_equal(again, result)
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(weights, np.arange(3))


def test_open_shapes_are_bound_later():
    graph = import_model(CHAIN, TABLE, {}, {})
    assert isinstance(graph, UnboundGraph) and graph.symbols == ("n",)
    assert graph.bind({"n": 4}).types["result"].shape == (4, 3)
    with pytest.raises(InputError, match="missing: n"):
        graph.verify()


def test_all_that_is_missing_is_said_at_once():
    broken = model(
        [node("Odd", "x", "a"), node("Even", "x", "b"), node("Plus", "a b", "y")], {"y": "y"}
    )
    with pytest.raises(UnsupportedError, match=r"Odd: nodes 'the a'(.|\n)*Even: nodes 'the b'"):
        import_model(broken, TABLE, {"n": 1}, {})
    text = str(described(broken, TABLE))
    assert "operator Odd: nodes 'the a'" in text and "Plus" in text and "a test" in text


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ([node("Plus", "x y", "y")], {"y": "y"}, "cyclic"),
        ([node("Twice", "x", "y"), node("Twice", "x", "y")], {"y": "y"}, "made twice"),
        ([node("Plus", "x nothing", "y")], {"y": "y"}, "'nothing' is not defined"),
        ([node("Twice", "x", "y")], {"y": "z"}, "'z' is not defined"),
        ([node("Shift", "x", "y")], {"y": "y"}, "'by' is missing"),
        ([node("Shift", "x", "y", by="much")], {"y": "y"}, "could not read this node"),
        ([], {}, "no outputs"),
    ],
)
def test_unsound_models(nodes, outputs, message):
    with pytest.raises(ModelError, match=message):
        import_model(model(nodes, outputs), TABLE, {"n": 1}, {})


def test_a_converter_sees_types_and_values():
    def look(n):
        assert isinstance(n, Context) and n.values == ("w", "x")
        assert n.is_const(0) and not n.is_const(1) and str(n.type(1)) == "float32[1, 3]"
        return n.add("add", [n.inputs[1], n.constant(n.const(int(n.attr("which"))))])

    def graph(which):
        nodes = [node("Look", "w x", "y", which=which)]
        return import_model(model(nodes, {"y": "y"}), {"Look": look}, {"n": 1}, {})

    assert weft.compile(graph(0))(np.ones((1, 3), np.float32)).tolist() == [[1, 2, 3]]
    with pytest.raises(ModelError, match=r"constants=\{'x': value\}"):
        graph(1)


def test_declared_messages_read_what_was_declared():
    classes = messages.declare(
        "weft_test",
        """
        Node
          1 name string
          2 sizes int64*
          5 attr map Value
          9 inner Node*
        Value
          3 i int64
          4 f float
        """,
    )
    n = classes["Node"](name="a", sizes=[1, 2])
    n.attr["k"].i = 7
    n.inner.add(name="b")
    got = messages.parse(classes["Node"], n.SerializeToString(), "f", "toy")
    assert got.name == "a" and list(got.sizes) == [1, 2] and got.attr["k"].i == 7
    assert got.attr["k"].HasField("i") and not got.attr["k"].HasField("f")
    assert [i.name for i in got.inner] == ["b"]
    with pytest.raises(ModelError, match="not readable as toy"):
        messages.parse(classes["Node"], b"\x0a\xff", "f", "toy")
