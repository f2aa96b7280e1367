"""Resizes of a model, on every target: tables through all modes, in shaders without branches."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import weft
from node_cases import interpret
from onnx import TensorProto, helper, numpy_helper
from weft.compiler.frontends.onnx import load

from conformance.columns import COLUMNS, Column

X = np.random.default_rng(3).standard_normal((1, 2, 14, 25), dtype=np.float32)
ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
CROP = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 2.5}
RESIZES = [
    ("sizes", [18, 40], {"mode": "nearest", **ASYMMETRIC}),
    ("scales", [1.6, 0.7], {"mode": "nearest"}),
    ("scales", [2, 3], {"mode": "nearest", **ASYMMETRIC}),
    ("scales", [0.7, 1.3], {"mode": "linear"}),
    ("sizes", [9, 30], {"mode": "cubic", "exclude_outside": 1}),
    ("scales", [0.3, 0.2], {"mode": "linear", "antialias": 1}),
    ("sizes", [3, 11], {"mode": "cubic", "antialias": 1}),
    ("sizes", [10, 12], {"mode": "linear", **CROP}),
]


@cache
def model() -> bytes:
    nodes, constants = [], [numpy_helper.from_array(np.float32([-0.2, 0.1, 1, 1.2]), "roi")]
    for k, (by, value, how) in enumerate(RESIZES):
        array = np.array(value, np.float32 if by == "scales" else np.int64)
        constants.append(numpy_helper.from_array(array, f"s{k}"))
        read = ["x", "roi", f"s{k}"] if by == "scales" else ["x", "roi", "", f"s{k}"]
        nodes.append(helper.make_node("Resize", read, [f"y{k}"], axes=[2, 3], **how))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "resizes",
        [value("x", TensorProto.FLOAT, X.shape)],
        [value(f"y{k}", TensorProto.FLOAT, [None] * 4) for k in range(len(nodes))],
        constants,
    )
    opsets = [helper.make_opsetid("", 19)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def run(column: Column) -> dict[str, np.ndarray]:
    """Without another target to fall back to: what is meant runs the tables, all of them."""
    text = column.target
    if column.target in ("opengl", "webgl"):
        text += " -fallback=none"
    exe = weft.compile(model(), target=text)
    if not column.target.startswith(("webgl", "wasm")):
        return exe.run({"x": X})
    from weft.compiler.web.remote import Job, run_away

    place = "browser" if column.target == "webgl" else "node"
    flags = {"threads": 3} if "-threads" in text else {}
    (result,) = run_away([Job(exe, {"x": X}, flags)], place)
    return dict(result.outputs)


@pytest.mark.parametrize("name", [n for n in COLUMNS if n != "interp"])
def test_resizes(name: str) -> None:
    column = COLUMNS[name]
    why = column.missing()
    if why:
        pytest.skip(why)
    got = run(column)
    for k, want in enumerate(interpret(load(model()), {"x": X})):
        np.testing.assert_allclose(got[f"y{k}"], want, rtol=0, atol=1e-4, err_msg=str(RESIZES[k]))
