"""Outputs whose size only data knows, of bundles in Chromium, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node, make_tensor_value_info
from web.colours import needs_emscripten
from web.test_models import infer
from weft.benchmarks.zoo import judge

pytestmark = needs_emscripten


def model():
    """Slices of ``x`` whose sum is positive, along its first axis and along the one in its middle;
    where ``x`` is positive; and how much of it all there is."""
    nodes = []
    for axis in (0, 1):
        nodes += [
            make_node("ReduceSum", ["x", f"rest{axis}"], [f"sum{axis}"], keepdims=0),
            make_node("Greater", [f"sum{axis}", "zero"], [f"mask{axis}"]),
            make_node("Compress", ["x", f"mask{axis}"], [f"y{axis}"], axis=axis),
        ]
    nodes += [
        make_node("Relu", ["x"], ["positive"]),
        make_node("NonZero", ["positive"], ["where"]),
        make_node("Shape", ["y1"], ["shape"]),
    ]
    kinds = {"y0": TensorProto.FLOAT, "y1": TensorProto.FLOAT, "where": TensorProto.INT64,
             "shape": TensorProto.INT64}  # fmt: skip
    constants = {"rest0": np.array([1, 2]), "rest1": np.array([0, 2]), "zero": np.float32(0)}
    graph = helper.make_graph(
        nodes,
        "sized",
        [make_tensor_value_info("x", TensorProto.FLOAT, [4, 5, 3])],
        [make_tensor_value_info(o, t, None) for o, t in kinds.items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sized") / "bundle"
    made = weft.bundle(model(), path, ["webgpu", "webgl", "wasm"])
    listed = made.manifest["meta"]["model"]["outputs"]
    assert [(o["name"], o.get("bounded", [])) for o in listed] == [
        ("y0", [0]), ("y1", [1]), ("where", [1]), ("shape", []),
    ]  # fmt: skip
    return path


@pytest.mark.parametrize("backend", ["webgpu", "webgl", "wasm"])
@pytest.mark.parametrize("shift", [0.0, 9.0, -9.0])
def test_results_of_a_page_have_their_true_size(page, site, folder, backend, shift):
    x = np.random.default_rng(1).standard_normal((4, 5, 3)).astype(np.float32)
    feed = {"x": x + np.float32(shift)}
    assert infer(page, site, (folder, feed, judge.reference(model(), feed)), backend) == 0
    assert page.evaluate("""async () => {
      const { model } = await open_bundle(location.origin + '/model/', 'wasm', {}, {});
      return model.outputs.map(({ name, shape, bounded }) => [name, shape, bounded ?? []]);
    }""") == [["y0", [4, 5, 3], [0]], ["y1", [4, 5, 3], [1]], ["where", [3, 60], [1]],
              ["shape", [3], []]]  # fmt: skip


def test_the_page_says_what_is_a_bound(visit, served, folder):
    visit.open(f"{served(folder)}?backend=wasm")
    card = visit.page.inner_text("#card")
    assert "where: int64[3, ≤60]" in card and "y0: float32[≤4, 5, 3]" in card
    assert "shape: int64[3]" in card and "x: float32[4, 5, 3]" in card
