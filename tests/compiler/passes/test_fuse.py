"""Fusion: which groups come out, that they are sound, and that they compute the same."""

import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.graph.graph import Graph
from weft.compiler.ops import Kind, get
from weft.compiler.passes.fuse import MAX_BUFFERS, MAX_NODES, fuse
from weft.compiler.passes.pipeline import GraphPipeline
from weft.ir.target import Target


def ops(graph: Graph) -> list[list[str]]:
    return [[n.op for n in g.nodes] for g in fuse(graph)]


def builder(*shapes) -> GraphBuilder:
    b = GraphBuilder()
    for k, shape in enumerate(shapes):
        b.input(f"x{k}", "float32", shape)
    return b


def weights(b: GraphBuilder, *shape) -> str:
    return b.constant(np.ones(shape, np.float32), "w")


def conv(b: GraphBuilder, x: str, c: int) -> str:
    w = weights(b, c, b.types[x].shape[1], 3, 3)
    (y,) = b.add("conv", [x, w], {"pads": (1, 1, 1, 1)})
    return y


def one(b: GraphBuilder, op: str, *inputs: str, **attrs) -> str:
    (y,) = b.add(op, inputs, attrs)
    return y


def test_convolution_takes_bias_and_relu():
    b = builder((1, 3, 8, 8))
    y = one(b, "relu", one(b, "add", conv(b, "x0", 4), weights(b, 4, 1, 1)))
    assert ops(b.finish([y])) == [["conv", "add", "relu"]]


def test_residual_block():
    b = builder((1, 4, 8, 8))
    x = one(b, "relu", "x0")
    y = one(b, "relu", conv(b, x, 4))
    y = one(b, "relu", one(b, "add", conv(b, y, 4), x))
    assert ops(b.finish([y])) == [["relu"], ["conv", "relu"], ["conv", "add", "relu"]]


def test_two_convolutions_into_one_sum_are_two_kernels():
    b = builder((1, 4, 8, 8))
    y = one(b, "add", conv(b, "x0", 4), conv(b, "x0", 4))
    groups = ops(b.finish([y]))
    assert sorted(groups) == [["conv"], ["conv", "add"]]


def test_epilogue_that_reads_the_result_twice():
    b = builder((1, 4, 8, 8))
    y = conv(b, "x0", 4)
    y = one(b, "mul", y, one(b, "sigmoid", y))
    assert ops(b.finish([y])) == [["conv", "sigmoid", "mul"]]


def test_epilogue_that_changes_the_shape_stays_out():
    b = builder((1, 8), (5, 1))
    y = one(b, "matmul", "x0", weights(b, 8, 4))
    y = one(b, "add", y, "x1")
    assert ops(b.finish([y])) == [["matmul"], ["add"]]


def test_transpose_of_equal_shape_is_no_epilogue():
    b = builder((4, 8))
    y = one(b, "transpose", one(b, "matmul", "x0", weights(b, 8, 4)), perm=(1, 0))
    assert ops(b.finish([y])) == [["matmul"], ["transpose"]]


def test_reduction_takes_producers_and_nothing_after():
    b = builder((4, 8))
    y = one(b, "reduce_sum", one(b, "exp", one(b, "neg", "x0")), axes=(1,))
    y = one(b, "sqrt", y)
    assert ops(b.finish([y])) == [["neg", "exp", "reduce_sum"], ["sqrt"]]


def test_result_of_several_readers_is_computed_once():
    b = builder((4, 8))
    x = one(b, "exp", "x0")
    y, z = one(b, "reduce_sum", x, axes=(0,)), one(b, "reduce_max", x, axes=(1,))
    assert ops(b.finish([y, z])) == [["exp"], ["reduce_sum"], ["reduce_max"]]


def test_output_in_the_middle_of_a_chain():
    b = builder((4, 8))
    x = one(b, "exp", "x0")
    y = one(b, "neg", x)
    assert ops(b.finish([x, y])) == [["exp"], ["neg"]]


def test_dear_computation_is_not_repeated_by_a_broadcast():
    b = builder((1, 8, 1, 1), (1, 8, 16, 16))
    gate = one(b, "mul", one(b, "sigmoid", "x0"), "x1")
    scale = one(b, "mul", one(b, "neg", "x0"), "x1")
    assert ops(b.finish([gate, scale])) == [["sigmoid"], ["mul"], ["neg", "mul"]]


def test_injective_chain():
    b = builder((4, 8))
    y = one(b, "relu", one(b, "transpose", one(b, "reshape", "x0", shape=(8, 4)), perm=(1, 0)))
    assert ops(b.finish([y])) == [["reshape", "transpose", "relu"]]


def test_limits():
    b = builder((4, 8))
    y = "x0"
    for _ in range(2 * MAX_NODES):
        y = one(b, "neg", y)
    sizes = [len(g) for g in ops(b.finish([y]))]
    assert sum(sizes) == 2 * MAX_NODES and max(sizes) <= MAX_NODES and len(sizes) <= 4
    b = builder(*[(4,)] * 40)
    y = "x0"
    for k in range(1, 40):
        y = one(b, "add", y, f"x{k}")
    groups = fuse(b.finish([y]))
    assert all(len(g.inputs) + 1 <= MAX_BUFFERS for g in groups) and len(groups) <= 4


def test_shared_terms_do_not_explode():
    b = builder((4, 8))
    y = "x0"
    for _ in range(20):  # inlined as a tree this would have 2**20 leaves
        y = one(b, "add", y, y)
    assert all(len(g.nodes) <= 7 for g in fuse(b.finish([y])))


def test_nothing_and_dead_nodes():
    b = builder((4,))
    assert fuse(b.finish(["x0"])) == []
    one(b, "neg", "x0")
    assert ops(b.finish(["x0"])) == [["neg"]]


# --- random graphs


@st.composite
def graphs(draw) -> Graph:
    """A directed acyclic graph of small tensors with operators of every kind."""
    b = builder((2, 3), (1, 3))
    names = ["x0", "x1", b.constant(np.float32([[2], [3]]))]
    for _ in range(draw(st.integers(1, 24))):
        op = draw(
            st.sampled_from(
                ["neg", "tanh", "relu", "add", "mul", "reduce", "transpose", "reshape"]
                + ["matmul", "concat", "pool"]
            )
        )
        x = names[-1 - draw(st.integers(0, min(5, len(names) - 1)))]
        shape = b.types[x].shape
        if op in ("neg", "tanh", "relu"):
            y = one(b, op, x)
        elif op in ("add", "mul"):
            fits = [n for n in names if _fit(b.types[n].shape, shape)]
            y = one(b, op, x, draw(st.sampled_from(fits)))
        elif op == "reduce":
            y = one(b, "reduce_sum", x, axes=(draw(st.integers(0, 1)),))
        elif op == "transpose":
            y = one(b, "transpose", x, perm=(1, 0))
        elif op == "reshape":
            y = one(b, "reshape", x, shape=(shape[1], shape[0]))
        elif op == "concat":
            y = one(b, "concat", x, x, axis=0)
        elif op == "pool":
            y = one(b, "reshape", x, shape=(1, 1, *shape))
            y = one(b, "max_pool", y, kernel=(1, 1))
            y = one(b, "reshape", y, shape=shape)
        else:
            y = one(b, "matmul", x, b.constant(np.ones((shape[1], 3), np.float32)))
        if b.types[y].size > 200:
            y = one(b, "reduce_max", y, axes=(0,))
        names.append(y)
    made = [n.outputs[0] for n in b.nodes]
    outputs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    return b.finish(outputs)


def _fit(a, b) -> bool:
    return all(x == y or 1 in (x, y) for x, y in zip(a, b))


def run(nodes, values):
    for n in nodes:
        made = get(n.op).reference([values[i] for i in n.inputs], n.attrs)
        values.update(zip(n.outputs, made))
    return values


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_groups_partition_are_acyclic_and_compute_the_same(graph: Graph):
    groups = fuse(graph)
    assert sorted(id(n) for g in groups for n in g.nodes) == sorted(map(id, graph.nodes))
    where = {o: k for k, g in enumerate(groups) for n in g.nodes for o in n.outputs}
    quotient = nx.DiGraph(
        (where[i], k) for k, g in enumerate(groups) for i in g.inputs if i in where
    )
    assert nx.is_directed_acyclic_graph(quotient)
    rng = np.random.default_rng(0)
    feed = {i: rng.random(graph.types[i].shape, np.float32) for i in graph.inputs}
    expected = run(graph.nodes, {**feed, **graph.constants})
    values = {**feed, **graph.constants}
    for g in groups:
        kinds = [get(n.op).kind for n in g.nodes]
        assert sum(k >= Kind.REDUCTION for k in kinds) <= 1
        inside = run(g.nodes, {i: values[i] for i in g.inputs})  # in order: all inputs are there
        assert len(g.outputs) <= 1
        values.update((o, inside[o]) for o in g.outputs)
    for o in graph.outputs:
        np.testing.assert_array_equal(values[o], expected[o])


@pytest.mark.parametrize("terms", [3, 8, 60])
def test_targets_with_few_buffers(terms):
    """Neither a group nor a concatenation asks a kernel for more buffers than there are."""
    target = Target.parse("webgpu -max_buffers=4")
    b = GraphBuilder("wide")
    shape = (2, 3)
    xs = [b.input(f"x{k}", "float32", shape) for k in range(terms)]
    total = xs[0]
    for x in xs[1:]:
        (total,) = b.add("add", [total, x])
    (joined,) = b.add("concat", [*xs, total], {"axis": 1})
    graph, groups = GraphPipeline(b.finish([joined])).cut(target)
    for group in groups:
        assert len(group.inputs) + len(group.outputs) <= target.max_buffers
    feed = {f"x{k}": np.full(shape, k, np.float32) for k in range(terms)}
    found = evaluate_graph(graph, feed)[graph.outputs[0]]
    want = [*feed.values(), sum(feed.values())]
    np.testing.assert_array_equal(found, np.concatenate(want, 1))
