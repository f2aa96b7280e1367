"""Dilations that are written as blocks in the batch."""

from types import SimpleNamespace

import numpy as np
import pytest
from weft.compiler.frontends.blocks import batch_to_space, space_to_batch
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.graph.graph import Graph
from weft.compiler.passes.dilate import dilate
from weft.compiler.passes.pipeline import GraphPipeline

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def dilated(
    shape=(2, 9, 7, 3),
    block=(2, 2),
    pads=((2, 3), (2, 3)),
    crops=((0, 1), (0, 1)),
    back=None,
    strides=None,
    bias=True,
    groups=1,
) -> Graph:
    b, rng = GraphBuilder(), np.random.default_rng(0)
    b.input("x", "float32", shape)

    def add(op, inputs, **attrs):
        return b.add(op, inputs, attrs)[0]

    n = SimpleNamespace(add=add, typeof=lambda name: b.types[name])
    x = space_to_batch(n, "x", block, pads)
    channels = shape[-1]
    w = rng.standard_normal((4 * groups, channels // groups, 3, 3)).astype(np.float32)
    x = add(
        "conv", [add("transpose", [x], perm=FIRST), b.constant(w)], strides=strides, groups=groups
    )
    x = add("transpose", [x], perm=LAST)
    if bias:
        x = add("add", [x, b.constant(rng.standard_normal(4 * groups).astype(np.float32))])
        x = add("clip", [x], min=0.0, max=6.0)
    return b.finish([batch_to_space(n, x, back or block, crops)])


def check_same(before: Graph, after: Graph):
    assert after.types[after.outputs[0]] == before.types[before.outputs[0]]
    x = np.random.default_rng(1).standard_normal(before.types["x"].shape, np.float32)
    want = evaluate_graph(before, {"x": x})[before.outputs[0]]
    got = evaluate_graph(after, {"x": x})[after.outputs[0]]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"bias": False, "groups": 3},
        {"pads": ((0, 0), (0, 0)), "shape": (1, 12, 9, 3), "block": (4, 3), "crops": ((0, 0),) * 2},
        {"pads": ((1, 2), (3, 2)), "crops": ((1, 0), (2, 1)), "shape": (1, 9, 9, 3)},
        {"block": (2, 1), "pads": ((2, 3), (1, 1)), "crops": ((0, 1), (0, 0))},
    ],
)
def test_blocks_in_the_batch_become_dilations(case):
    before = dilated(**case)
    after = GraphPipeline(before).simplified
    (conv,) = (n for n in after.nodes if n.op == "conv")
    assert conv.attrs["dilations"] == case.get("block", (2, 2))
    assert not {"reshape", "slice", "pad"} & {n.op for n in after.nodes}
    check_same(before, after)


def test_what_is_cut_off_beyond_what_was_added_stays_cut_off():
    before = dilated(pads=((0, 1), (0, 1)), crops=((1, 1), (2, 1)))
    after = GraphPipeline(before).simplified
    (conv,) = (n for n in after.nodes if n.op == "conv")
    assert conv.attrs["dilations"] == (2, 2) and conv.attrs["pads"] == (0, 0, 1, 1)
    check_same(before, after)


@pytest.mark.parametrize(
    "case",
    [
        {"strides": (2, 2), "pads": ((2, 3), (2, 3)), "crops": ((0, 0), (0, 0))},
        {"back": (1, 4), "crops": ((0, 0), (0, 0))},
    ],
)
def test_other_blocks_and_strides_stay(case):
    before = dilated(**case)
    assert dilate(before) is before
