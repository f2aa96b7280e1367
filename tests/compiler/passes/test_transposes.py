"""Transposes move to where they cost least, and nothing else changes."""

import numpy as np
import onnx
import pytest
import weft
from onnx import TensorProto, helper, numpy_helper
from op_cases import all_cases
from support.random_axes import random_graph
from weft.benchmarks import zoo
from weft.benchmarks.zoo.channels_last import channels_last
from weft.compiler.driver import resolved
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.graph.graph import Graph
from weft.compiler.ops import get
from weft.compiler.ops.axes import axes_in
from weft.compiler.passes import eliminate_dead, fold_constants
from weft.compiler.passes.pipeline import GraphPipeline
from weft.compiler.passes.transposes import move_transposes

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
CARRYING = [c for c in all_cases() if get(c.op).facts.carries is not None]


def transposed_bytes(graph: Graph) -> int:
    """Of tensors whose elements change places."""
    total = 0
    for n in graph.nodes:
        if n.op == "transpose":
            t = graph.types[n.inputs[0]]
            long = [p for p in n.attrs["perm"] if t.shape[p] != 1]
            total += t.nbytes if long != sorted(long) else 0
    return total


def outputs(graph: Graph, seed: int = 0):
    rng = np.random.default_rng(seed)
    given = {i: rng.standard_normal(graph.types[i].shape, np.float32) for i in graph.inputs}
    values = {**given, **graph.constants, **evaluate_graph(graph, given)}
    return [values[o] for o in graph.outputs]


def check_same(before: Graph, after: Graph, seed: int = 0):
    after.verify()
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    for name in (*before.inputs, *before.outputs):
        assert after.types[name] == before.types[name]
    for y, x in zip(outputs(after, seed), outputs(before, seed), strict=True):
        size = np.abs(np.nan_to_num(x.astype(float))).max(initial=1)
        np.testing.assert_allclose(y, x, rtol=2e-4, atol=2e-4 * size)


@pytest.mark.parametrize("name", sorted({c.op for c in CARRYING}))
def test_operators_carry_their_axes_as_they_say(name):
    """In any order of the slots an operator makes the same elements."""
    for case in CARRYING:
        if case.op == name:
            check_carried(case)


def check_carried(case):
    op = get(case.op)
    attrs = op.check_attrs(case.attrs)
    arrays = case.arrays()
    with np.errstate(all="ignore"):
        want = op.reference(arrays, attrs)
    shapes = [None if a is None else a.shape for a in arrays]
    c = op.facts.carries(shapes, [w.shape for w in want], attrs)
    rng = np.random.default_rng(0)
    for _ in range(4 if c is not None else 0):
        slots = tuple(map(int, rng.permutation(c.count)))
        changed = c.attrs(slots)
        if changed is None:
            continue
        moved = []
        for a, axes in zip(arrays, c.inputs, strict=True):
            if a is not None and axes is not None:
                extents = dict(zip(axes, a.shape))
                a = a.transpose(axes_in(axes, slots))
                if c.stretches:
                    a = a.reshape([extents.get(s, 1) for s in slots])
            moved.append(a)
        with np.errstate(all="ignore"):
            got = op.reference(moved, op.check_attrs(changed))
        for g, w, axes in zip(got, want, c.results, strict=True):
            w = w.transpose(axes_in(axes, slots)).astype(np.float64)
            np.testing.assert_allclose(g.astype(np.float64), w, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("share", range(4))
def test_random_graphs_compute_the_same_with_fewer_bytes_transposed(share):
    changed = 0
    for seed in range(share * 50, share * 50 + 50):
        before = eliminate_dead(random_graph(seed))
        after = move_transposes(before)
        if after is not before:
            changed += 1
            check_same(before, after, seed)
        assert transposed_bytes(after) <= transposed_bytes(before)
    assert changed > 25


NETWORKS = ("mnist_cnn", "mobilenet_v2", "mobilenet_v3", "efficientnet_b0", "resnet18", "unet")
NETWORKS += ("densenet121", "yolo", "shufflenet_v2", "squeezenet", "inception")


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_with_channels_last_become_those_with_channels_first(name):
    first = weft.load(zoo.random_model(name))
    last = channels_last(first)
    assert sum(n.op == "transpose" for n in last.nodes) > 8
    a, b = GraphPipeline(first).simplified, GraphPipeline(last).simplified

    def count(graph):
        return sorted(n.op for n in graph.nodes if n.op not in ("transpose", "reshape"))

    assert count(a) == count(b)
    own = transposed_bytes(a)  # channels that are shuffled
    ends = [i for i in (*last.inputs, *last.outputs) if len(last.types[i].shape) > 2]
    assert transposed_bytes(b) <= own + sum(last.types[i].nbytes for i in ends)


def simplified(b: GraphBuilder, *names: str) -> tuple[Graph, Graph]:
    before = b.finish(names)
    return before, move_transposes(eliminate_dead(fold_constants(before)))


def image(*shape: int) -> GraphBuilder:
    b = GraphBuilder()
    b.input("x", "float32", shape)
    return b


def random(b: GraphBuilder, *shape: int) -> str:
    rng = np.random.default_rng(len(b.constants))
    return b.constant(rng.standard_normal(shape).astype(np.float32), "w")


def one(b: GraphBuilder, op: str, *inputs: str, **attrs) -> str:
    return b.add(op, inputs, attrs)[0]


def conv_last(b: GraphBuilder, x: str, filters: int) -> str:
    x = one(b, "transpose", x, perm=FIRST)
    w = random(b, filters, b.types[x].shape[1], 1, 1)
    return one(b, "transpose", one(b, "conv", x, w), perm=LAST)


@pytest.mark.parametrize("activation", [True, False])
def test_what_is_flattened_for_a_matrix_has_the_rows_of_the_matrix_moved(activation):
    b = image(2, 4, 3, 5)
    x = one(b, "transpose", one(b, "conv", "x", random(b, 6, 4, 1, 1)), perm=LAST)
    x = one(b, "reshape", x, shape=(2, 3 * 5 * 6))
    x = one(b, "relu", x) if activation else x
    before, after = simplified(b, one(b, "gemm", x, random(b, 7, 90), random(b, 7), trans_b=True))
    assert transposed_bytes(after) == 0
    check_same(before, after)


def test_what_others_read_too_is_flattened_as_it_was():
    b = image(2, 4, 3, 5)
    x = one(b, "transpose", one(b, "conv", "x", random(b, 6, 4, 1, 1)), perm=LAST)
    flat = one(b, "reshape", x, shape=(2, 3 * 5 * 6))
    y = one(b, "matmul", flat, random(b, 90, 7))
    before, after = simplified(b, y, one(b, "relu", flat))
    assert transposed_bytes(after) > 0
    check_same(before, after)


def test_squeeze_and_excite_is_without_transposes_and_reshapes():
    b = image(1, 8, 6, 6)
    x = one(b, "transpose", one(b, "conv", "x", random(b, 8, 8, 1, 1)), perm=LAST)
    s = one(b, "reduce_mean", x, axes=(1, 2), keepdims=True)
    s = one(b, "relu", one(b, "add", conv_last(b, s, 4), random(b, 4)))
    s = one(b, "sigmoid", conv_last(b, s, 8))
    y = conv_last(b, one(b, "mul", x, s), 8)
    y = one(b, "reduce_mean", y, axes=(1, 2), keepdims=False)
    before, after = simplified(b, y)
    assert not {"transpose", "reshape"} & {n.op for n in after.nodes}
    check_same(before, after)


def test_an_image_that_several_convolutions_read_is_transposed_once():
    b = image(1, 5, 5, 3)
    parts = [conv_last(b, "x", 4) for _ in range(3)]
    before, after = simplified(b, one(b, "concat", *parts, axis=3))
    moved = [n for n in after.nodes if n.op == "transpose"]
    assert [n.inputs[0] for n in moved][:1] == ["x"] and len(moved) == 2
    assert moved[1].outputs == after.outputs  # there is no copy behind it
    check_same(before, after)


def test_the_smaller_tensor_is_transposed():
    b = image(1, 8, 8, 3)
    (y,) = b.add("cast", ["x"], {"to": "float64"})
    y = one(b, "transpose", one(b, "tanh", y), perm=FIRST)
    before, after = simplified(
        b, one(b, "max_pool", one(b, "cast", y, to="float32"), kernel=(2, 2))
    )
    (moved,) = (n for n in after.nodes if n.op == "transpose")
    assert after.types[moved.inputs[0]].nbytes == 8 * 8 * 3 * 4
    check_same(before, after)


def test_what_follows_a_convolution_stays_with_it():
    """A bias in front of the transpose becomes one of the convolution, at no more bytes."""
    b = image(1, 4, 6, 6)
    y = one(b, "conv", "x", random(b, 8, 4, 1, 1))
    y = one(b, "add", one(b, "transpose", y, perm=LAST), random(b, 8))
    before, after = simplified(b, one(b, "reshape", one(b, "relu", y), shape=(1, 36, 8)))
    assert [n.op for n in after.nodes] == ["conv", "add", "relu", "transpose", "reshape"]
    check_same(before, after)


def test_a_graph_without_gain_stays_the_same_object():
    b = image(2, 3, 4, 5)
    y = one(b, "transpose", one(b, "relu", "x"), perm=LAST)
    g = b.finish([y])
    assert move_transposes(g) is g


def test_attention_keeps_its_transposes():
    model = zoo.random_model("encoder")
    graph = eliminate_dead(fold_constants(weft.load(model, shapes=zoo.shapes(model))))
    assert move_transposes(graph) is graph


def test_an_onnx_model_as_tf2onnx_writes_it():
    """Transposes around convolutions, biases and activations on [N, H, W, C], a flattened end."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((8, 3, 3, 3)),
        "b1": rng.standard_normal(8),
        "w2": rng.standard_normal((8, 1, 3, 3)),
        "s2": rng.standard_normal((1, 1, 1, 8)),
        "w3": rng.standard_normal((4 * 4 * 8, 10)),
        "b3": rng.standard_normal(10),
    }
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    tensors.append(numpy_helper.from_array(np.int64([-1, 128]), "shape"))
    node = helper.make_node
    nodes = [
        node("Transpose", ["image"], ["t1"], perm=FIRST),
        node("Conv", ["t1", "w1"], ["c1"], pads=[0, 0, 1, 1], strides=[2, 2]),
        node("Transpose", ["c1"], ["t2"], perm=LAST),
        node("Add", ["t2", "b1"], ["a1"]),
        node("Clip", ["a1", "zero", "six"], ["r1"]),
        node("Transpose", ["r1"], ["t3"], perm=FIRST),
        node("Conv", ["t3", "w2"], ["c2"], pads=[1, 1, 1, 1], group=8),
        node("Transpose", ["c2"], ["t4"], perm=LAST),
        node("Mul", ["t4", "s2"], ["m2"]),
        node("Add", ["m2", "r1"], ["a2"]),
        node("Transpose", ["a2"], ["t5"], perm=FIRST),
        node("MaxPool", ["t5"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", ["p"], ["t6"], perm=LAST),
        node("Reshape", ["t6", "shape"], ["flat"]),
        node("MatMul", ["flat", "w3"], ["d"]),
        node("Add", ["d", "b3"], ["e"]),
        node("Softmax", ["e"], ["y"]),
    ]
    tensors += [numpy_helper.from_array(np.float32(v), k) for k, v in (("zero", 0), ("six", 6))]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("image", TensorProto.FLOAT, [1, 16, 16, 3])],
        [value("y", TensorProto.FLOAT, [1, 10])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    before = weft.load(model)
    after = GraphPipeline(before).simplified
    assert [n.inputs[0] for n in after.nodes if n.op == "transpose"] == ["image"]
    check_same(before, after)


def test_an_image_with_its_channels_last_is_read_as_it_is_given():
    """The first convolution reads it so: there is no kernel in front, and no copy."""
    b = image(1, 20, 20, 3)
    x = one(b, "transpose", "x", perm=FIRST)
    y = one(b, "conv", x, random(b, 16, 3, 3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
    z = one(b, "conv", x, random(b, 8, 3, 5, 5))
    graph = b.finish([one(b, "relu", y), z])
    x = np.random.default_rng(0).standard_normal((1, 20, 20, 3), np.float32)
    want = [evaluate_graph(graph, {"x": x})[o] for o in graph.outputs]
    exe = weft.compile(graph, "llvm")
    for got, w in zip(exe(x=x), want, strict=True):
        np.testing.assert_allclose(got, w, rtol=1e-4, atol=1e-4)
    assert not [r.kernel for r in exe.profile(x=x).rows if "transpose" in r.kernel]


def test_an_image_of_many_channels_is_transposed():
    b = image(1, 8, 8, 32)
    y = one(b, "conv", one(b, "transpose", "x", perm=FIRST), random(b, 8, 32, 3, 3))
    graph, _ = GraphPipeline(b.finish([y])).cut(resolved("llvm"))
    assert all(graph.types[n.outputs[0]].layout is None for n in graph.nodes if n.op == "transpose")
