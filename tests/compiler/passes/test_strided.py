"""Pointwise convolutions with strides take their places first."""

import numpy as np
import pytest
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.passes.strided import gather_strided


def network(filters=48, kernel=(1, 1), groups=1, **attrs):
    rng = np.random.default_rng(3)
    b = GraphBuilder("net")
    x = b.input("x", "float32", (2, 8, 7, 10))
    w = rng.standard_normal((filters, 8 // groups, *kernel)).astype(np.float32)
    (y,) = b.add("conv", [x, b.constant(w)], {"groups": groups, **attrs})
    return b.finish([y])


@pytest.mark.parametrize("strides", [(2, 2), (1, 3), (8, 4)], ids=str)
def test_a_slice_stands_in_front(strides):
    graph = network(strides=strides)
    made = gather_strided(graph)
    assert [n.op for n in made.nodes] == ["slice", "conv"]
    assert made.nodes[1].attrs["strides"] is None
    assert made.types[made.outputs[0]] == graph.types[graph.outputs[0]]
    x = np.random.default_rng(1).standard_normal((2, 8, 7, 10)).astype(np.float32)
    (out,) = graph.outputs
    before, after = (evaluate_graph(g, {"x": x})[out] for g in (graph, made))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "graph",
    [
        network(),
        network(strides=(1, 1)),
        network(strides=(2, 2), kernel=(3, 1)),
        network(strides=(2, 2), pads=(0, 0, 1, 0)),
        network(strides=(2, 2), groups=2),
        network(strides=(2, 2), filters=16),
    ],
    ids=["plain", "ones", "window", "pads", "groups", "few filters"],
)
def test_what_stays_as_it_is(graph):
    assert gather_strided(graph) is graph
