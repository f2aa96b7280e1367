"""DeformConv with all of its attributes, against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import weft
from node_cases import interpret
from onnx import helper
from weft.runtime.errors import WeftError

RNG = np.random.default_rng(2)


def data(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def model(arrays, opset, **attrs):
    names = ["" if a is None else f"i{k}" for k, a in enumerate(arrays)]
    feed = {n: a for n, a in zip(names, arrays) if n}
    graph = helper.make_graph(
        [helper.make_node("DeformConv", names, ["y"], **attrs)],
        "g",
        [helper.make_tensor_value_info(n, 1, a.shape) for n, a in feed.items()],
        [helper.make_empty_tensor_value_info("y")],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9), feed


@pytest.mark.parametrize("opset", [19, 22])
@pytest.mark.parametrize(
    ("arrays", "attrs"),
    [
        ([data(1, 2, 5, 6), data(3, 2, 2, 3), 2 * data(1, 12, 4, 4)], {}),
        (
            [data(2, 6, 7, 8), data(4, 3, 3, 2), 3 * data(2, 24, 4, 4), data(4), data(2, 12, 4, 4)],
            {"group": 2, "offset_group": 2, "strides": [2, 2], "pads": [1, 0, 2, 1],
             "dilations": [1, 2]},
        ),
        ([data(1, 2, 3, 3), data(1, 2, 1, 1), 9 * data(1, 2, 3, 3), None, data(1, 1, 3, 3)], {}),
    ],
)  # fmt: skip
def test_as_onnx_runtime(arrays, attrs, opset):
    m, feed = model(arrays, opset, **attrs)
    want = onnxruntime.InferenceSession(m.SerializeToString()).run(None, feed)[0]
    np.testing.assert_allclose(interpret(weft.load(m), feed)[0], want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(weft.compile(m)(feed), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arrays", "attrs"),
    [
        ([data(1, 2, 5, 6), data(3, 2, 2, 3), data(1, 12, 4, 5)], {}),
        ([data(1, 2, 5, 6), data(3, 2, 2, 3), data(1, 12, 4, 4)], {"group": 2}),
        ([data(1, 2, 5, 6), data(3, 2, 2, 3), data(1, 12, 4, 4)], {"offset_group": 3}),
        ([data(1, 2, 5, 6), data(3, 2, 2, 3), data(1, 12, 4, 4), None, data(1, 5, 4, 4)], {}),
        ([data(1, 2, 5), data(3, 2, 2), data(1, 2, 4)], {}),
    ],
)
def test_what_does_not_fit_is_reported(arrays, attrs):
    with pytest.raises(WeftError, match="DeformConv"):
        weft.load(model(arrays, 19, **attrs)[0])
