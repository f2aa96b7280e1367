"""Bundles of models with loops and branches, in Chromium, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from onnx import TensorProto, helper
from onnx.helper import make_graph, make_node, make_tensor_value_info
from web.colours import needs_emscripten
from web.test_models import infer
from weft.benchmarks.zoo import judge
from weft.compiler.frontends.onnx import control

pytestmark = needs_emscripten
FLOAT, LONG, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name, kind, *shape):
    return make_tensor_value_info(name, kind, shape)


def model():
    """A state that weights multiply until its sum is large; then one of two ways on, both with the
    same weights."""
    body = make_graph(
        [
            make_node("MatMul", ["h", "W"], ["hw"]),
            make_node("Add", ["hw", "x"], ["sum"]),
            make_node("Relu", ["sum"], ["next"]),
            make_node("ReduceSum", ["next"], ["total"], keepdims=0),
            make_node("Less", ["total", "limit"], ["go"]),
        ],
        "body",
        [value("k", LONG), value("on", BOOL), value("h", FLOAT, 4, 8)],
        [value("go", BOOL), value("next", FLOAT, 4, 8)],
    )
    ways = [
        make_graph([make_node("MatMul", ["end", "W"], [out]), make_node(op, [out], [f"{out}2"])],
                   name, [], [value(f"{out}2", FLOAT, 4, 8)])
        for name, op, out in (("then", "Tanh", "a"), ("other", "Neg", "b"))
    ]  # fmt: skip
    graph = make_graph(
        [
            make_node("Loop", ["", "yes", "x"], ["end"], body=body),
            make_node("ReduceMax", ["end"], ["most"], keepdims=0),
            make_node("Less", ["most", "border"], ["small"]),
            make_node("If", ["small"], ["y"], then_branch=ways[0], else_branch=ways[1]),
        ],
        "g",
        [value("x", FLOAT, 4, 8), value("limit", FLOAT), value("border", FLOAT)],
        [value("end", FLOAT, 4, 8), value("y", FLOAT, 4, 8)],
        [
            helper.make_tensor("yes", BOOL, [], [True]),
            helper.make_tensor("W", FLOAT, [8, 8], (np.arange(64) % 7 * 0.05).tolist()),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "MAX_EXTRA_WORK", 0)
        path = tmp_path_factory.mktemp("flow") / "bundle"
        made = weft.bundle(model(), path, ["webgpu", "webgl", "wasm"])
    (parameters,) = {n for p in made.manifest["programs"] for n in p["params"]}
    assert made.files[parameters] < 2 * 8 * 8 * 4 + 2000  # the weights are there once
    return path


@pytest.mark.parametrize("backend", ["webgpu", "webgl", "wasm"])
@pytest.mark.parametrize("limit, border", [(30.0, 1e9), (3000.0, 1e9), (-1.0, 0.0)])
def test_loops_and_branches_of_a_page(page, site, folder, backend, limit, border):
    feed = {
        "x": np.random.default_rng(0).random((4, 8), np.float32),
        "limit": np.asarray(limit, np.float32),
        "border": np.asarray(border, np.float32),
    }
    made = folder, feed, judge.reference(model(), feed)
    assert infer(page, site, made, backend) < 1e-5
