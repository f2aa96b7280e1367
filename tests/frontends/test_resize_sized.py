"""Resizes whose sizes, scales or region only data knows, against ONNX Runtime."""

import numpy as np
import pytest
import weft
from onnx import TensorProto
from support.against_ort import model, node, ort, same_on, value
from weft.compiler.frontends.resizing import ROUNDINGS, RULES
from weft.runtime.errors import WeftError

TARGETS = ("llvm", "opencl", "webgpu", "wasm")
LONG, FLOAT = TensorProto.INT64, TensorProto.FLOAT
X = np.random.default_rng(5).standard_normal((1, 2, 5, 6)).astype(np.float32)
CASES = [  # mode and what else is said; sizes are exact in weft, so ties are not compared
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"mode": "linear"},
    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    {"mode": "cubic"},
    {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel", "exclude_outside": 1},
]


def by_sizes(*cases, opset=19, x=X, **more):
    """Height and width are clipped to 1 … 9."""
    nodes = [node("Clip", "s one nine", "c")]
    for k, case in enumerate(cases):
        nodes.append(node("Resize", "x _ _ c", f"y{k}", axes=[2, 3], **case, **more))
    outputs = [value(f"y{k}", [None] * 4) for k in range(len(cases))]
    inputs = [value("x", x.shape), value("s", [2], LONG)]
    return model(nodes, inputs, outputs, {"one": np.int64(1), "nine": np.int64(9)}, opset)


def sizes(*pairs):
    return [{"x": X, "s": np.array(pair)} for pair in pairs]


@pytest.mark.parametrize("target", TARGETS)
def test_sizes_that_data_compute(target):
    exe = same_on(
        target, by_sizes(*CASES), *sizes((5, 6), (9, 1), (1, 9), (7, 4), (3, 8)), atol=5e-6
    )
    assert str(exe.outputs["y0"]) == "y0: float32[1, 2, ≤9, ≤9]"


@pytest.mark.parametrize("target", TARGETS)
def test_scales_that_data_compute_and_axes_of_open_sizes(target):
    """Scales by their bound; constant ones of an axis that data shorten; then a sum over it."""
    nodes = [
        node("Clip", "s least most", "c"),
        node("Concat", "ones c", "scales", axis=0),
        node("Resize", "x _ scales", "a", mode="linear"),
        node("Resize", "x _ scales", "b", mode="nearest"),
        node("Greater", "m zero", "mask"),
        node("Compress", "x mask", "part", axis=3),
        node("Resize", "part _ fixed", "d", mode="linear"),
        node("Resize", "part _ fixed", "e", mode="nearest", nearest_mode="ceil"),
        node("Resize", "part _ _ whole", "f", mode="cubic"),
        node("ReduceSum", "d last", "g", keepdims=0),
        node("Relu", "e", "h"),
    ]
    names = "abdefgh"
    constants = {
        "ones": np.ones(3, np.float32), "least": np.float32(0.5), "most": np.float32(2.25),
        "zero": np.float32(0), "fixed": np.float32([1, 1, 1, 1.6]), "whole": np.array([1, 2, 5, 8]),
        "last": np.array([3]),
    }  # fmt: skip
    inputs = [value("x", X.shape), value("s", [1]), value("m", [6])]
    proto = model(nodes, inputs, [value(n) for n in names], constants)
    masks = np.float32([[1, -1, 1, 1, -1, 1], [1] * 6, [-1, 1] * 3])
    feeds = [{"x": X, "s": np.float32([s]), "m": m} for s, m in zip((0.7, 1.6, 9), masks)]
    exe = same_on(target, proto, *feeds, atol=5e-6)
    assert exe.outputs["a"].shape == (1, 2, 5, 13) and exe.outputs["a"].bounded == (3,)
    assert exe.outputs["d"].shape == (1, 2, 5, 9)


def constant_twin(case, pair, opset=19):
    """The same Resize with its sizes known: the tables of the compiler, which are compared with
    ONNX Runtime elsewhere."""
    nodes = [node("Resize", "x _ _ s", "y", axes=[2, 3], **case)]
    proto = model(nodes, [value("x", X.shape)], [value("y")], {"s": np.array(pair)}, opset)
    return weft.compile(proto)(X)


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_is_that_of_constant_sizes(rule):
    """Also at ties, where ONNX Runtime's rounded ratio misses them."""
    base = {"coordinate_transformation_mode": rule}
    cases = [{"mode": "nearest", "nearest_mode": r, **base} for r in ROUNDINGS]
    cases += [{"mode": "linear", **base}, {"mode": "cubic", "exclude_outside": 1, **base}]
    exe = weft.compile(by_sizes(*cases))
    for pair in ((5, 6), (1, 9), (4, 2), (9, 3), (8, 7)):
        got = exe.run({"x": X, "s": np.array(pair)})
        for k, case in enumerate(cases):
            want = constant_twin(case, pair)
            np.testing.assert_allclose(got[f"y{k}"], want, atol=3e-6, err_msg=f"{case} {pair}")


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_one_ratio_for_all_axes(policy):
    case = {"mode": "linear", "keep_aspect_ratio_policy": policy}
    exe = weft.compile(by_sizes(case))
    for pair in ((5, 6), (2, 9), (9, 4), (8, 7)):
        got = exe.run({"x": X, "s": np.array(pair)})["y0"]
        np.testing.assert_allclose(got, constant_twin(case, pair), atol=3e-6, err_msg=str(pair))


def test_a_region_that_data_say():
    how = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize",
           "extrapolation_value": 2.5}  # fmt: skip
    nodes = [node("Resize", "x r _ s", "y", **how)]
    inputs = [value("x", X.shape), value("r", [8])]
    proto = model(nodes, inputs, [value("y")], {"s": np.array([1, 2, 4, 7])})
    regions = ((0, 0), (1, 1)), ((0.1, -0.2), (0.8, 1.3)), ((1, 0.5), (0, 0.5))
    feeds = [{"x": X, "r": np.float32([0, 0, *a, 1, 1, *b])} for a, b in regions]
    same_on("llvm", proto, *feeds, atol=5e-6)


def test_whole_numbers_and_the_operator_sets_before():
    """uint8 is truncated as ONNX Runtime does; Resize-10 and Upsample-9 know scales alone."""
    x = np.random.default_rng(1).integers(0, 255, X.shape, dtype=np.uint8)
    nodes = [node("Clip", "s one nine", "c"), node("Resize", "x _ _ c", "y", axes=[2, 3],
             mode="linear")]  # fmt: skip
    inputs = [value("x", X.shape, TensorProto.UINT8), value("s", [2], LONG)]
    outputs = [value("y", None, TensorProto.UINT8)]
    proto = model(nodes, inputs, outputs, {"one": np.int64(1), "nine": np.int64(9)}, 19)
    same_on("llvm", proto, *({"x": x, "s": np.array(p)} for p in ((5, 6), (9, 8), (3, 2))), atol=1)
    for op, opset, bounds in (("Resize", 10, (0.5, 2)), ("Upsample", 9, (1, 2))):
        nodes = [node("Min", "s most", "low"), node("Max", "low least", "c"),
                 node("Concat", "ones c", "scales", axis=0),
                 node(op, "x scales", "y", mode="nearest")]  # fmt: skip
        constants = {"ones": np.ones(3, np.float32)}
        constants |= {k: np.float32(v) for k, v in zip(("least", "most"), bounds)}
        proto = model(nodes, [value("x", X.shape), value("s", [1])], [value("y")], constants, opset)
        feeds = [{"x": X, "s": np.float32([s])} for s in (1, 1.2, 1.5, 2)]
        same_on("llvm", proto, *feeds)


def test_nothing_is_resampled_where_no_extent_changes():
    """6 × 1.1 is 6: a copy, as in ONNX Runtime; 6 × 1.2 is 7."""
    nodes = [node("Min", "s most", "c"), node("Concat", "ones c", "scales", axis=0),
             node("Resize", "x _ scales", "y", mode="linear")]  # fmt: skip
    constants = {"ones": np.ones(3, np.float32), "most": np.float32(2)}
    proto = model(nodes, [value("x", X.shape), value("s", [1])], [value("y")], constants)
    exe = weft.compile(proto)
    np.testing.assert_array_equal(exe(X, np.float32([1.1])), X)
    feed = {"x": X, "s": np.float32([1.2])}
    np.testing.assert_allclose(exe.run(feed)["y"], ort(proto, feed)[0], atol=3e-6)


def test_what_has_no_bound_is_asked_for():
    nodes = [node("Resize", "x _ _ s", "y", axes=[2, 3])]
    proto = model(nodes, [value("x", X.shape), value("s", [2], LONG)], [value("y")], opset=19)
    with pytest.raises(WeftError, match="must be known") as told:
        weft.compile(proto)
    assert "constants={'s': value}" in str(told.value) and "Clip" in str(told.value)
    assert weft.compile(proto, constants={"s": np.array([3, 3])})(X).shape == (1, 2, 3, 3)
    with pytest.raises(WeftError, match="antialiasing by a scale that only data knows"):
        weft.compile(by_sizes({"mode": "linear", "antialias": 1}))
