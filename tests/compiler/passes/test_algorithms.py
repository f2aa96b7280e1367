"""Which convolutions are computed by minimal filtering, and how exact that is."""

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.ops import get
from weft.compiler.ops.winograd import TILES, transform_weights, transforms
from weft.compiler.passes.algorithms import choose_algorithms
from weft.ir.target import Target

WIDE = Target.parse("llvm -vector_bits=512 -num_vector_registers=32")
CONV = {"groups": 1, "pads": (1, 1, 1, 1), "strides": None, "dilations": None}


@pytest.mark.parametrize("m", TILES)
def test_minimal_filtering_is_convolution(m):
    rng = np.random.default_rng(m)
    x, w = rng.standard_normal((2, 5, 9, 13)), rng.standard_normal((7, 5, 3, 3))
    (want,) = get("conv").reference([x, w], CONV)
    filtering = {"tile": m, "pads": (1, 1, 1, 1)}
    (got,) = get("winograd_conv").reference([x, transform_weights(w, m)], filtering)
    np.testing.assert_allclose(got, want, atol=1e-11)


def test_the_matrices_are_those_of_the_paper():
    """Lavin & Gray, equations 8 and 9: F(2, 3), up to the sign of a row of B and of G."""
    t = transforms(2)
    np.testing.assert_array_equal(t.a, [[1, 1, 1, 0], [0, 1, -1, 1]])
    np.testing.assert_array_equal(
        np.abs(t.b), [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]]
    )
    np.testing.assert_array_equal(
        np.abs(t.g), [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]]
    )


def network(channels, filters, size, **attrs):
    """1×1 convolution -> the convolution in question -> relu -> pool: it has blocked operands."""
    rng = np.random.default_rng(7)
    b = GraphBuilder("net")
    x = b.input("x", "float32", (1, channels, *size))
    one = b.constant(np.eye(channels, dtype=np.float32).reshape(channels, channels, 1, 1))
    kernel = attrs.pop("kernel", 3)
    w = rng.standard_normal((filters, channels // attrs.get("groups", 1), kernel, kernel))
    bias = b.constant(rng.standard_normal(filters).astype(np.float32))
    (y,) = b.add("conv", [x, one])
    pads = (kernel // 2,) * 4
    (y,) = b.add("conv", [y, b.constant(w.astype(np.float32)), bias], {"pads": pads, **attrs})
    (y,) = b.add("relu", [y])
    (y,) = b.add("max_pool", [y], {"kernel": (1, 1)})
    return b.finish([y])


def chosen(graph):
    return [
        n.attrs["tile"] for n in choose_algorithms(graph, WIDE).nodes if n.op == "winograd_conv"
    ]


def test_large_layers_are_filtered():
    assert chosen(network(64, 64, (56, 56))) == [4]
    assert chosen(network(64, 64, (7, 7), groups=2)) == []


@pytest.mark.parametrize(
    "attrs",
    [{"strides": (2, 2)}, {"dilations": (2, 2)}, {"groups": 2}, {"kernel": 1}, {"kernel": 5}],
    ids=str,
)
def test_other_windows_stay(attrs):
    assert chosen(network(64, 64, (56, 56), **attrs)) == []


def test_few_channels_stay():
    assert chosen(network(3, 64, (56, 56))) == []
    assert chosen(network(64, 3, (56, 56))) == []


def test_results_of_the_graph_stay():
    graph = network(64, 64, (28, 28))
    conv = graph.nodes[1].outputs[0]
    assert chosen(graph.replace(outputs=(*graph.outputs, conv))) == []


def test_accuracy_is_a_choice():
    with pytest.raises(weft.WeftError, match="fast, strict"):
        weft.compile(network(16, 16, (8, 8)), accuracy="exact")


@pytest.mark.parametrize(
    ("channels", "filters", "size"), [(64, 64, (28, 28)), (48, 80, (13, 22)), (256, 32, (14, 14))]
)
def test_error_is_bounded(channels, filters, size):
    """The bound that the pass and ``weft.compile`` state, against float64."""
    graph = network(channels, filters, size)
    x = np.random.default_rng(1).standard_normal((1, channels, *size)).astype(np.float32)
    w, bias = (graph.constants[i].astype(np.float64) for i in graph.nodes[1].inputs[1:])
    (exact,) = get("conv").reference([x.astype(np.float64), w, bias], CONV)
    exact = np.maximum(exact, 0)
    for accuracy, bound in (("strict", 5e-6), ("fast", 1e-4)):
        got = weft.compile(graph, cache=False, accuracy=accuracy).run({"x": x})
        error = np.abs(got[graph.outputs[0]] - exact).max() / exact.max()
        assert error <= bound, (accuracy, error)
