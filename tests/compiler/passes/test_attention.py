"""Where attention is found in a graph, and where it is none."""

import numpy as np
import pytest
import weft
from weft.benchmarks import zoo
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.passes.attention import fuse_attention

FIXED = {"q": (2, 3, 10, 8), "k": (2, 3, 8, 12), "v": (2, 3, 12, 8)}


def graph(change="", mask=(2, 1, 1, 12), scale="div", axis=-1, shapes=FIXED):
    """Scores, scale, mask, softmax, product; ``change`` puts something in the way."""
    b = GraphBuilder("g")
    q, k, v = (b.input(n, "float32", s) for n, s in shapes.items())
    (y,) = b.add("matmul", [q, k])
    outputs = [y] if change == "scores are a result" else []
    if scale:
        factor = np.float32([0.0]) if change == "scale of zero" else np.float32([2.5])
        (y,) = b.add(scale, [y, b.constant(factor)])
    if mask:
        m = b.input("m", "float32", mask)
        (y,) = b.add("add", [m, y] if change == "mask first" else [y, m])
    if change == "activation":
        (y,) = b.add("relu", [y])
    (p,) = b.add("softmax", [y], {"axis": axis})
    if change == "probabilities are a result":
        outputs.append(p)
    (z,) = b.add("matmul", [v, p] if change == "on the right" else [p, v])
    (z,) = b.add("relu", [z])
    return b.finish([z, *outputs])


def found(g):
    return [n for n in fuse_attention(g).nodes if n.op == "attention"]


@pytest.mark.parametrize("change", ["", "mask first"])
@pytest.mark.parametrize("mask", [(2, 1, 1, 12), (10, 12), None], ids=str)
@pytest.mark.parametrize("scale", ["div", "mul", ""])
def test_it_is_found_and_means_the_same(change, mask, scale):
    g = graph(change, mask, scale)
    (node,) = found(g)
    assert node.attrs["scale"] == pytest.approx({"div": 0.4, "mul": 2.5, "": 1.0}[scale])
    rng = np.random.default_rng(0)
    feed = {i: rng.standard_normal(g.types[i].shape).astype(np.float32) for i in g.inputs}
    want = evaluate_graph(g, feed)
    got = evaluate_graph(fuse_attention(g), feed)
    exe = weft.compile(g, cache=False)
    for o in g.outputs:
        np.testing.assert_allclose(got[o], want[o], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(exe.run(feed)[o], want[o], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        {"change": "scores are a result"},
        {"change": "probabilities are a result"},
        {"change": "activation"},
        {"change": "scale of zero"},
        {"change": "on the right", "shapes": {**FIXED, "v": (2, 3, 8, 10)}},
        {"axis": 2},
        {"shapes": {**FIXED, "k": (1, 3, 8, 12)}},  # keys that are stretched
        {"shapes": {**FIXED, "v": (12, 8)}},
    ],
    ids=str,
)
def test_where_it_is_none(other):
    assert found(graph(**other)) == []


@pytest.mark.parametrize("accuracy", ["fast", "strict"])
def test_encoders_have_one_for_each_layer(accuracy):
    model = zoo.random_model("encoder_opset15")
    exe = weft.compile(model, "llvm", zoo.shapes(model), accuracy=accuracy)
    assert sum("softmax" in s.label for s in exe.program.steps) == 0
    assert sum("attention" in s.kernel for s in exe.program.steps) == 2
    grids = weft.compile(model, "opengl", zoo.shapes(model), cache=False)
    assert not any("attention" in s.kernel for s in grids.program.steps)
