"""Where resized axes read: every rule at all small sizes and scales, against ONNX Runtime.

Numbers from ONNX Runtime come from models whose extents are inputs: one session a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import onnxruntime
import pytest
import weft
from node_cases import interpret
from onnx import TensorProto, helper, numpy_helper
from weft.compiler.frontends import resizing
from weft.compiler.frontends.onnx import load
from weft.compiler.frontends.resizing import ROUNDINGS, RULES, Axis

SIZES = range(1, 65)
SCALES = [np.float32(k * 0.05) for k in range(1, 81)]
CROP = "tf_crop_and_resize"
RNG = np.random.default_rng(0)


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Table:
    """ONNX Runtime's resize of the last axis of a matrix, once for each of ``variants``."""

    def __init__(self, by: str, rule: str, mode: str, variants: list[dict[str, Any]]):
        self.by = by
        read = ["x", "", "s"] if by == "scales" else ["x", "", "", "s"]
        if rule == CROP:
            read[1] = "roi"
        outs = [f"y{k}" for k in range(len(variants))]
        nodes = [
            helper.make_node(
                "Resize", read, [o], mode=mode, coordinate_transformation_mode=rule, **v
            )
            for o, v in zip(outs, variants)
        ]
        kind = TensorProto.FLOAT if by == "scales" else TensorProto.INT64
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "resize",
            [value("x", TensorProto.FLOAT, ["rows", "n"]), value("s", kind, [2])],
            [value(o, TensorProto.FLOAT, ["rows", "m"]) for o in outs],
            [numpy_helper.from_array(np.float32([0, 0, 1, 1]), "roi")],
        )
        opsets = [helper.make_opsetid("", 19)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        self.session = session(made.SerializeToString())

    def __call__(self, x: np.ndarray, axis: Axis) -> list[np.ndarray]:
        if self.by == "scales":
            s = np.array([1, axis.scale], np.float32)
        else:
            s = np.array([len(x), axis.out], np.int64)
        return self.session.run(None, {"x": x, "s": s})


def by_scales() -> Iterator[Axis]:
    """Where the extent stays ONNX Runtime copies: :func:`test_the_same_extents_are_a_copy`."""
    for n in SIZES:
        for s in SCALES:
            a = Axis(n, resizing.scaled_extent(n, s), s)
            if a.out not in (0, n):
                yield a


def by_sizes() -> Iterator[Axis]:
    return (Axis(n, m, Fraction(m, n)) for n in SIZES for m in SIZES)


# --- nearest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [r for r in RULES if r != "align_corners"])
def test_nearest_by_scales_reads_what_onnx_runtime_reads(rule: str) -> None:
    table = Table("scales", rule, "nearest", [{"nearest_mode": r} for r in ROUNDINGS])
    for a in by_scales():
        x = np.arange(a.size, dtype=np.float32)[None]
        inside = resizing.inside(a, resizing.positions(a, rule)) | (rule != CROP)
        for rounding, want in zip(ROUNDINGS, table(x, a)):
            index = resizing.nearest(a, rule, rounding)
            np.testing.assert_array_equal(want[0], index * inside, f"{a} {rounding}")


def exact(a: Axis, rule: str) -> tuple[np.ndarray, int]:
    """The positions of a resize by sizes, as numerators and one denominator."""
    o, n, m = np.arange(a.out), a.size, a.out
    match rule:
        case "asymmetric":
            return o * n, m
        case "tf_half_pixel_for_nn":
            return (2 * o + 1) * n, 2 * m
        case "align_corners":
            return o * (n - 1), max(m - 1, 1)
        case "tf_crop_and_resize":
            return (o * (n - 1), m - 1) if m > 1 else (o + n - 1, 2)
        case "pytorch_half_pixel" if m == 1:
            return o * 0, 1
    return (2 * o + 1) * n - m, 2 * m


@pytest.mark.parametrize("rule", RULES)
def test_nearest_by_sizes_is_integer_arithmetic(rule: str) -> None:
    """And differs from ONNX Runtime only by one element, where the exact position is whole or a
    tie, and its float32 is not."""
    table = Table("sizes", rule, "nearest", [{"nearest_mode": r} for r in ROUNDINGS])
    missed = 0
    for a in by_sizes():
        p, q = exact(a, rule)
        wanted = {
            "round_prefer_floor": -((q - 2 * p) // (2 * q)),
            "round_prefer_ceil": (2 * p + q) // (2 * q),
            "floor": p // q,
            "ceil": -(-p // q),
        }
        x = np.arange(a.size, dtype=np.float32)[None]
        theirs = table(x, a) if a.out != a.size else [None] * 4
        for rounding, other in zip(ROUNDINGS, theirs):
            index = resizing.nearest(a, rule, rounding)
            np.testing.assert_array_equal(index, wanted[rounding].clip(0, a.size - 1), f"{a}")
            if other is not None:
                apart = index != other[0]
                missed += int(apart.sum())
                assert (np.abs(index - other[0]) <= 1).all()
                assert ((2 * p) % q == 0)[apart].all(), f"{a} {rounding}"
    assert (missed > 0) == (rule not in ("align_corners", CROP))


@pytest.mark.parametrize("size, out", [(14, 18), (40, 88), (58, 10), (198, 199), (14, 2), (3, 77)])
def test_torch_by_size(size: int, out: int) -> None:
    """What ``torch.nn.functional.interpolate(size=...)`` reads, exported as asymmetric floor."""
    a = Axis(size, out, Fraction(out, size))
    index = resizing.nearest(a, "asymmetric", "floor")
    np.testing.assert_array_equal(index, np.arange(out) * size // out)


def test_long_axes_stay_exact() -> None:
    n, m = 1 << 23, (1 << 23) + 1
    index = resizing.nearest(Axis(n, m, Fraction(m, n)), "asymmetric", "floor")
    np.testing.assert_array_equal(index, np.arange(m) * n // m)


def test_extents_are_those_of_float32() -> None:
    for n, s, out in [(10, 1.3, 13), (10, 0.7, 7), (30, 1.4, 42), (45, 1.4, 63), (60, 2.1, 125)]:
        assert resizing.scaled_extent(n, np.float32(s)) == out


# --- linear and cubic -------------------------------------------------------------------------

VARIANTS = [{"antialias": a, "exclude_outside": e} for a in (0, 1) for e in (0, 1)]


@pytest.mark.parametrize("by", ["scales", "sizes"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("rule", RULES)
def test_weights_are_onnx_runtimes(rule: str, mode: str, by: str) -> None:
    if rule == "align_corners" and by == "scales":
        axes = [a for a in by_scales() if np.float32(a.size) * a.scale == a.out]
    else:
        axes = list(by_scales() if by == "scales" else by_sizes())
    cubic = mode == "cubic"
    variants = (
        VARIANTS if cubic else [v for v in VARIANTS if v["antialias"] >= v["exclude_outside"]]
    )
    kernel = resizing.cubic_kernel(-0.75) if cubic else resizing.linear_kernel
    table = Table(by, rule, mode, variants)
    for a in axes[:: max(1, len(axes) // 150)]:
        if a.out == a.size:
            continue
        at = resizing.positions(a, rule)
        inside = resizing.inside(a, at) | (rule != CROP)
        for v, want in zip(variants, table(np.eye(a.size, dtype=np.float32), a)):
            index, weight = resizing.weighted(
                a, at, kernel, 1 + cubic,
                antialias=bool(v["antialias"]), exclude=bool(v["exclude_outside"]),
            )  # fmt: skip
            dense = np.zeros((a.out, a.size))
            np.add.at(dense, (np.arange(a.out)[:, None], index), weight)
            dense *= inside[:, None]
            np.testing.assert_allclose(dense.T, want, rtol=0, atol=5e-5, err_msg=f"{a} {v}")


def test_align_corners_of_a_fractional_extent() -> None:
    """ONNX's reference: the last corner is that of 12.5 elements; ONNX Runtime's of 12."""
    a = Axis(10, 12, np.float32(1.25))
    at = resizing.positions(a, "align_corners")
    np.testing.assert_allclose(at, np.arange(12) * 9 / 11.5, rtol=1e-12)


# --- whole nodes ------------------------------------------------------------------------------


def node(op: str, opset: int, x: np.ndarray, read: list[str], given: dict, **attrs: Any) -> bytes:
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *read], ["y"], **attrs)],
        "g",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, [None] * x.ndim)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in given.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    version = 4 if opset < 11 else 9
    return helper.make_model(graph, opset_imports=opsets, ir_version=version).SerializeToString()


def ours(model: bytes, x: np.ndarray) -> np.ndarray:
    return interpret(load(model), {"x": x})[0]


def theirs(model: bytes, x: np.ndarray) -> np.ndarray:
    return session(model).run(None, {"x": x})[0]


def same(model: bytes, x: np.ndarray) -> None:
    np.testing.assert_allclose(ours(model, x), theirs(model, x), rtol=0, atol=1e-4)


def matrix(rows: int, columns: int) -> np.ndarray:
    return RNG.standard_normal((rows, columns), dtype=np.float32)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_before_opset_11(mode: str) -> None:
    """Resize-10 rounds up where it shrinks; Upsample never shrinks."""
    for n, scale in [(10, 0.45), (7, 0.7), (33, 0.35), (11, 1.3), (9, 1.05), (16, 2.0), (5, 1.15)]:
        x, s = matrix(2, n), np.float32([1, scale])
        same(node("Resize", 10, x, ["s"], {"s": s}, mode=mode), x)
        if scale > 1:
            same(node("Upsample", 9, x, ["s"], {"s": s}, mode=mode), x)
            same(node("Upsample", 7, x, [], {}, mode=mode, scales=s.tolist()), x)


def test_the_same_extents_are_a_copy() -> None:
    x, s = matrix(9, 9), np.float32([1.05, 1.1])
    for mode in ("nearest", "linear", "cubic"):
        model = node("Resize", 19, x, ["", "s"], {"s": s}, mode=mode)
        np.testing.assert_array_equal(ours(model, x), x)
        same(model, x)


@pytest.mark.parametrize("region", [(0.25, 0.75), (0.1, 0.9), (-0.2, 1.3), (0.9, 0.1), (0.7, 0.7)])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_regions(mode: str, region: tuple[float, float]) -> None:
    low, high = region
    roi = np.float32([low, 0, high, 1])
    how = {"mode": mode, "coordinate_transformation_mode": CROP, "extrapolation_value": 7.5}
    for n, m in [(10, 1), (11, 7), (16, 20), (5, 33), (1, 4)]:
        x = matrix(n, 3)
        same(node("Resize", 19, x, ["roi", "", "s"], {"roi": roi, "s": [m, 3]}, **how), x)
        s = np.float32([1.7, 1])
        same(node("Resize", 19, x, ["roi", "s"], {"roi": roi, "s": s}, **how), x) if n > 1 else None
    x = matrix(11, 3)  # ONNX Runtime ignores the region where no extent changes
    crop = node("Resize", 19, x, ["roi", "", "s"], {"roi": roi, "s": [11, 3]}, **how)
    assert np.abs(ours(crop, x) - x).max() > 0.1


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller", "stretch"])
@pytest.mark.parametrize("rule", ["half_pixel", "half_pixel_symmetric", "asymmetric"])
def test_aspect_ratios_and_axes(policy: str, rule: str) -> None:
    how = {"keep_aspect_ratio_policy": policy, "coordinate_transformation_mode": rule}
    for (h, w), sizes in [((3, 4), [5, 5]), ((16, 9), [9, 2]), ((13, 64), [20, 33])]:
        for mode in ("nearest", "linear", "cubic"):
            x = matrix(h, w)
            given = {"s": np.int64(sizes)}
            for axes in ([0, 1], [1, 0]):
                same(node("Resize", 19, x, ["", "", "s"], given, mode=mode, axes=axes, **how), x)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32"])
def test_integers_between_pixels_truncate(dtype: str) -> None:
    """As ONNX Runtime; where the exact value is whole it may miss it by one, and weft does not."""
    info = np.iinfo(dtype)
    low, high = max(info.min, -1000), min(info.max, 1000)
    for n, m in [(8, 13), (9, 4), (16, 37), (5, 10)]:
        x = RNG.integers(low, high, (1, 1, n, n), dtype, endpoint=True)
        s = np.int64([1, 1, m, m])
        model = node("Resize", 19, x, ["", "", "s"], {"s": s}, mode="linear")
        at = resizing.positions(Axis(n, m, Fraction(m, n)), "half_pixel").clip(0, n - 1)
        w = np.maximum(1 - np.abs(at[:, None] - np.arange(n)), 0)
        value = w @ x[0, 0].astype(np.float64) @ w.T
        np.testing.assert_array_equal(ours(model, x)[0, 0], np.trunc(np.round(value, 6)))
        clear = np.abs(value - np.round(value)) > 1e-2
        np.testing.assert_array_equal(ours(model, x)[0, 0][clear], theirs(model, x)[0, 0][clear])
        one = np.full_like(x, high)
        assert (ours(model, one) == high).all()


def test_integers_beyond_their_neighbours_saturate() -> None:
    x = np.where(RNG.random((1, 1, 12, 12)) < 0.5, 0, 255).astype(np.uint8)
    model = node("Resize", 19, x, ["", "", "s"], {"s": [1, 1, 29, 29]}, mode="cubic")
    real = node(
        "Resize", 19, x.astype(np.float32), ["", "", "s"], {"s": [1, 1, 29, 29]}, mode="cubic"
    )
    value = theirs(real, x.astype(np.float32))
    assert value.min() < -1 and value.max() > 256
    assert np.abs(ours(model, x) - value.clip(0, 255)).max() < 0.501


@pytest.mark.parametrize("how", [
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"mode": "linear"}, {"mode": "cubic"}, {"mode": "linear", "antialias": 1},
])  # fmt: skip
def test_compiled(how: dict[str, Any]) -> None:
    x = RNG.standard_normal((1, 3, 14, 40), dtype=np.float32)
    for read, s in ((["", "s"], np.float32([1, 1, 1.6, 0.7])), (["", "", "s"], [1, 3, 18, 88])):
        model = node("Resize", 18, x, read, {"s": s}, **how)
        got = weft.compile(model).run({"x": x})["y"]
        np.testing.assert_allclose(got, theirs(model, x), rtol=0, atol=1e-4)
