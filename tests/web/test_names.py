"""A model's names are any texts: also those that mean something else to JavaScript."""

from __future__ import annotations

import numpy as np
import onnx.helper as oh
import pytest
import weft
from onnx import TensorProto
from web.colours import needs_emscripten
from weft.compiler.web.remote import Job, run_away
from weft.runtime.devices.table import BROWSER, NODE

NAMES = ("__proto__", "constructor", "hasOwnProperty", "../x", "<b>", "a\nb", "π")


@pytest.mark.parametrize(
    "target, place",
    [
        ("webgpu", BROWSER), ("webgl", BROWSER),
        pytest.param("wasm", NODE, marks=needs_emscripten),
    ],
)  # fmt: skip
def test_names_come_through(target, place):
    shape = [2, 3]
    given = [f"{n} in" for n in NAMES[:2]] + [*NAMES[2:]]
    results = [*NAMES[:2]] + [f"{n} out" for n in NAMES[2:]]
    nodes = [oh.make_node("Add", [n, n], [f"twice {n}"]) for n in given]
    nodes += [oh.make_node("Neg", [f"twice {n}"], [r]) for n, r in zip(given, results)]
    values = [oh.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in given]
    outputs = [oh.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in results]
    model = oh.make_model(
        oh.make_graph(nodes, "g", values, outputs), opset_imports=[oh.make_opsetid("", 17)]
    )
    feeds = {n: np.full(shape, k + 1, np.float32) for k, n in enumerate(given)}
    exe = weft.compile(model, target)
    (result,) = run_away([Job(exe, feeds)], place)
    assert list(result.outputs) == results
    for k, array in enumerate(result.outputs.values()):
        np.testing.assert_array_equal(array, np.full(shape, -2.0 * (k + 1), np.float32))
