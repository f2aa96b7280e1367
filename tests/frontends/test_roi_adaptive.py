"""RoiAlign that takes as many samples as a region is large, against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import weft
from node_cases import interpret
from onnx import helper, numpy_helper
from weft.runtime.errors import UnsupportedError

RNG = np.random.default_rng(11)
X = RNG.standard_normal((2, 3, 13, 17)).astype(np.float32)
WHICH = np.array([0, 1, 1, 0, 1], np.int64)
SPREAD = np.float32(
    [[0, 0, 5, 4], [2.3, 1.1, 9.7, 12.4], [-6, -3, 30, 20], [4, 4, 4.1, 12], [8, 9, 16, 13]]
)


def model(rois, constant, opset=16, **attrs):
    arrays = {"x": X, "rois": rois, "which": WHICH[: len(rois)]}
    bound = ("rois", "which") if constant else ()
    graph = helper.make_graph(
        [helper.make_node("RoiAlign", list(arrays), ["y"], **attrs)],
        "g",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in arrays.items()
            if k not in bound
        ],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(arrays[k], k) for k in bound],
    )
    opsets = [helper.make_opsetid("", opset)]
    feed = {k: v for k, v in arrays.items() if k not in bound}
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), feed


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("opset", "attrs"),
    [
        (10, {"output_height": 2, "output_width": 3}),
        (16, {"output_height": 7, "output_width": 7, "spatial_scale": 0.5}),
        (16, {"output_height": 3, "spatial_scale": 1.7}),
        (16, {"output_width": 4, "coordinate_transformation_mode": "output_half_pixel"}),
    ],
)
def test_as_onnx_runtime(opset, attrs, constant):
    m, feed = model(SPREAD, constant, opset, sampling_ratio=0, **attrs)
    want = onnxruntime.InferenceSession(m.SerializeToString()).run(None, feed)[0]
    np.testing.assert_allclose(interpret(weft.load(m), feed)[0], want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(weft.compile(m)(feed), want, rtol=1e-5, atol=1e-5)


def test_what_is_not_sampled_has_no_part():
    """A map with a NaN beside the regions."""
    x = X.copy()
    x[:, :, 12, :] = np.nan
    m, feed = model(np.float32([[0, 0, 6, 6], [1, 2, 11, 9]]), False, output_height=2)
    got = weft.compile(m)({**feed, "x": x})
    np.testing.assert_array_equal(got, weft.compile(m)(feed))


def test_the_maximum_is_refused():
    with pytest.raises(UnsupportedError, match="'max'"):
        weft.load(model(SPREAD, False, mode="max")[0])
