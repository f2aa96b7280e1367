"""Results that convolutions make: computed in blocks of channels, then copied."""

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.passes.fuse import fuse
from weft.compiler.passes.layout import choose_layouts
from weft.compiler.passes.results import detach_results
from weft.ir.target import Target

VECTORS = Target.parse("llvm -vector_bits=256 -num_vector_registers=16")


def network(filters=24, channels=16, op="conv", last=(), results=()):
    """Two convolutions; what follows the second one, element by element, is the result."""
    rng = np.random.default_rng(4)
    b = GraphBuilder("net")
    x = b.input("x", "float32", (2, 5, 7, 9))
    w = rng.standard_normal((channels, 5, 1, 1)).astype(np.float32)
    (y,) = b.add("conv", [x, b.constant(w)])
    (y,) = b.add("relu", [y])
    if op == "conv":
        w = rng.standard_normal((filters, channels, 3, 3)).astype(np.float32)
        (y,) = b.add("conv", [y, b.constant(w)], {"pads": (1, 1, 1, 1)})
    elif op:
        (y,) = b.add(op, [y], {"kernel": (2, 2)})
    for k in last:
        (y,) = b.add(k, [y])
    return b.finish([y, *results])


def ops(graph):
    return [n.op for n in graph.nodes]


def test_a_copy_stands_behind():
    graph = network()
    made = detach_results(graph, VECTORS)
    assert ops(made) == ["conv", "relu", "conv", "identity"]
    assert made.outputs == graph.outputs
    blocked = choose_layouts(made, VECTORS)
    assert blocked.types[made.nodes[2].outputs[0]].layout is not None
    assert blocked.types[made.outputs[0]].layout is None
    assert [len(g.nodes) for g in fuse(blocked)] == [2, 1, 1]  # the copy is a kernel of its own


def test_behind_what_follows_element_by_element():
    made = detach_results(network(last=["sigmoid", "neg"]), VECTORS)
    assert ops(made)[2:] == ["conv", "sigmoid", "neg", "identity"]
    assert [len(g.nodes) for g in fuse(choose_layouts(made, VECTORS))] == [2, 3, 1]


@pytest.mark.parametrize(
    "graph",
    [network(filters=2), network(op="max_pool"), network(op=""), network(last=["softmax"])],
    ids=["few channels", "pooling", "short sums", "not element by element"],
)
def test_what_stays_as_it_is(graph):
    assert detach_results(graph, VECTORS) is graph


def test_without_vectors():
    graph = network()
    assert detach_results(graph, Target.parse("llvm -vector_bits=0")) is graph


def test_identities_of_one_layout_still_fuse():
    graph = detach_results(network(last=["identity", "relu"]), VECTORS)
    assert [len(g.nodes) for g in fuse(choose_layouts(graph, VECTORS))] == [2, 3, 1]


@pytest.mark.parametrize("last", [(), ("sigmoid",)], ids=str)
@pytest.mark.parametrize("filters", [8, 21, 56, 232])
def test_the_results(filters, last):
    """Filters that blocks do not divide, and blocks that pairs of them do not."""
    graph = network(filters, last=last)
    x = np.random.default_rng(0).standard_normal((2, 5, 7, 9)).astype(np.float32)
    (want,) = weft.compile(graph, opt_level=0).run({"x": x}).values()
    (got,) = weft.compile(graph).run({"x": x}).values()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)
