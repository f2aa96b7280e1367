"""Pointwise convolutions see one axis of places, and storage stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.group import Group
from weft.compiler.kernels.flatten import flatten_places
from weft.compiler.passes.fuse import fuse
from weft.compiler.passes.layout import choose_layouts
from weft.ir.layout import Layout
from weft.ir.target import Target

VECTORS = Target.parse("llvm -vector_bits=256 -num_vector_registers=16")


def network(shape, filters=24, residual=None, **attrs):
    """conv + relu, then a pointwise conv + bias + (add +) relu, then a pool: blocked operands."""
    rng = np.random.default_rng(5)
    channels, places = shape[1], shape[2:]
    b = GraphBuilder("net")
    x = b.input("x", "float32", shape)

    def weights(f, c):
        return b.constant(rng.standard_normal((f, c, *(1,) * len(places))).astype(np.float32))

    (y,) = b.add("conv", [x, weights(16, channels)])
    (y,) = b.add("relu", [y])
    bias = b.constant(rng.standard_normal(filters).astype(np.float32))
    (y,) = b.add("conv", [y, weights(filters, 16), bias], attrs)
    if residual is not None:
        (y,) = b.add("add", [y, b.input("r", "float32", residual)])
    (y,) = b.add("relu", [y])
    (y,) = b.add("max_pool", [y], {"kernel": (1,) * len(places)})
    return b.finish([y])


def pointwise(graph):
    """The group of the second convolution, and the graph with layouts."""
    graph = choose_layouts(graph, VECTORS)
    return [g for g in fuse(graph) if any(n.op == "conv" for n in g.nodes)][1], graph


def flat_shape(graph):
    group, graph = pointwise(graph)
    assert isinstance(group, Group)
    types = flatten_places(group, graph.types)
    out = group.outputs[0]
    assert graph.types[out].nbytes == types[out].nbytes
    return types[out].shape


def test_places_are_one_axis():
    assert flat_shape(network((2, 5, 7, 9))) == (2, 24, 1, 63)
    assert flat_shape(network((1, 5, 3, 4, 5))) == (1, 24, 1, 1, 60)


def test_what_is_added_follows():
    whole = network((1, 5, 7, 9), residual=(1, 24, 7, 9))
    assert flat_shape(whole) == (1, 24, 1, 63)
    assert flat_shape(network((1, 5, 7, 9), residual=(24, 7, 9))) == (1, 24, 1, 63)
    assert flat_shape(network((1, 5, 7, 9), residual=(24, 1, 1))) == (1, 24, 1, 63)


@pytest.mark.parametrize(
    "graph",
    [
        network((1, 5, 7, 9), residual=(1, 24, 1, 9)),  # stretched along one of the axes
        network((1, 5, 7, 9), strides=(2, 2)),
        network((1, 5, 7, 9), pads=(1, 1, 1, 1)),
        network((1, 5, 1, 9)),  # nothing to join
        network((1, 5, 9)),
    ],
    ids=["stretched", "strides", "pads", "line", "one axis"],
)
def test_what_stays_as_it_is(graph):
    group, graph = pointwise(graph)
    assert flatten_places(group, graph.types) is graph.types


def test_a_window_is_not_flattened():
    b = GraphBuilder("net")
    x = b.input("x", "float32", (1, 16, 9, 9))
    (y,) = b.add("conv", [x, b.constant(np.ones((16, 16, 3, 1), np.float32))])
    graph = b.finish([y])
    (group,) = fuse(graph)
    assert flatten_places(group, graph.types) is graph.types


def test_places_that_are_not_neighbours():
    """Row major storage flattens; storage whose lines are cut into blocks does not."""
    group, graph = pointwise(network((1, 5, 8, 8)))
    out = group.outputs[0]
    plain = {**graph.types, out: replace(graph.types[out], layout=None)}
    assert flatten_places(group, plain)[out].shape == (1, 24, 1, 64)
    cut = Layout.parse("NCHW4w", graph.types[out].shape)
    assert flatten_places(group, {**plain, out: replace(plain[out], layout=cut)})[out].shape == (
        1, 24, 8, 8
    )  # fmt: skip


@pytest.mark.parametrize("residual", [None, (2, 24, 7, 9), (24, 7, 1)], ids=str)
@pytest.mark.parametrize("strides", [None, (2, 3)], ids=str)
def test_the_results(residual, strides):
    """Against the graph as it is, one kernel a node, whose kernels nobody flattens: strides too."""
    if residual and strides:
        residual = (2, 24, 4, 3)
    graph = network((2, 5, 7, 9), residual=residual, strides=strides)
    rng = np.random.default_rng(0)
    feed = {i: rng.standard_normal(graph.types[i].shape).astype(np.float32) for i in graph.inputs}
    (want,) = weft.compile(graph, "llvm -vector_bits=0", opt_level=0).run(feed).values()
    (got,) = weft.compile(graph).run(feed).values()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
