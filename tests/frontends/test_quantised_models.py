"""What onnxruntime.quantization writes, in its variants, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import weft
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from support.against_ort import model, node, ort, value

RNG = np.random.default_rng(7)
SHAPE = (2, 3, 8, 8)


def net() -> onnx.ModelProto:
    """Convolutions with and without bias, a sum, a pool, and a matrix product."""
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Conv", "r v u", "d", pads=[1, 1, 1, 1]),
        node("Add", "d r", "s"),
        node("GlobalAveragePool", "s", "p"),
        node("Flatten", "p", "f"),
        node("MatMul", "f m", "q"),
        node("Add", "q a", "y"),
    ]
    shapes = {"w": (4, 3, 3, 3), "b": (4,), "v": (4, 4, 3, 3), "u": (4,), "m": (4, 5), "a": (5,)}
    known = {k: RNG.normal(size=s).astype(np.float32) / 3 for k, s in shapes.items()}
    return model(nodes, [value("x", SHAPE)], [value("y", [2, 5])], known, opset=21)


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.feeds = iter([{"x": rng.normal(size=SHAPE).astype(np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.feeds, None)


S8, U8, S16, U16 = QuantType.QInt8, QuantType.QUInt8, QuantType.QInt16, QuantType.QUInt16
QDQ = QuantFormat.QDQ
# Of the operators that this format has, those of the standard.
OPERATORS = {"quant_format": QuantFormat.QOperator, "op_types_to_quantize": ["Conv", "MatMul"]}
VARIANTS = {
    "the defaults": {},
    "unsigned": {"quant_format": QDQ, "activation_type": U8, "weight_type": U8},
    "unsigned and signed": {"quant_format": QDQ, "activation_type": U8, "weight_type": S8},
    "per channel": {"quant_format": QDQ, "per_channel": True},
    "symmetric": {"extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True}},
    "asymmetric weights": {
        "activation_type": U8,
        "weight_type": U8,
        "extra_options": {"WeightSymmetric": False},
    },
    "dedicated pairs": {"extra_options": {"DedicatedQDQPair": True}},
    "no input check": {"extra_options": {"ForceQuantizeNoInputCheck": True}},
    "weights in the file": {"extra_options": {"AddQDQPairToWeight": True}},
    "16 bits": {"activation_type": U16, "weight_type": S8},
    "16 bits, signed": {"activation_type": S16, "weight_type": S16},
    "reduced range": {"reduce_range": True, "per_channel": True},
    "operators": {**OPERATORS, "activation_type": U8, "weight_type": U8},
    "operators, signed": {**OPERATORS, "per_channel": True},
    "operators, symmetric": {
        **OPERATORS,
        "activation_type": U8,
        "weight_type": S8,
        "extra_options": {"ActivationSymmetric": True},
    },
}


def near(path, feed) -> None:
    """Equal to ONNX Runtime within a step of the result's quantisation, and mostly equal."""
    proto = onnx.load(path)
    want = ort(proto, feed)[0]
    got = weft.compile(path, records=False).run(feed)["y"]
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_allclose(got, want, atol=np.ptp(want) / 100)
    assert np.mean(np.abs(got - want) < 1e-5) >= 0.7


@pytest.mark.parametrize("name", VARIANTS)
def test_static(name, tmp_path) -> None:
    onnx.save(net(), tmp_path / "float.onnx")
    made = tmp_path / "made.onnx"
    quantize_static(tmp_path / "float.onnx", made, Reader(), **VARIANTS[name])
    near(made, {"x": np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)})


@pytest.mark.parametrize("weight_type", [S8, U8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic(weight_type, per_channel, tmp_path) -> None:
    onnx.save(net(), tmp_path / "float.onnx")
    made = tmp_path / "made.onnx"
    quantize_dynamic(
        tmp_path / "float.onnx", made, weight_type=weight_type, per_channel=per_channel
    )
    near(made, {"x": np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)})


@pytest.mark.parametrize("scale", [(), (1,)])
@pytest.mark.parametrize("zero", [(), (1,), None])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_one_number_for_the_whole_tensor(scale, zero, shape) -> None:
    """It is written with an axis of 1 or without; scale and zero point may differ in that."""
    known = {"s": np.full(scale, 0.25, np.float32)}
    more = ""
    if zero is not None:
        known["z"], more = np.full(zero, 3, np.uint8), " z"
    nodes = [
        node("QuantizeLinear", f"x s{more}", "q", axis=0),
        node("DequantizeLinear", f"q s{more}", "y", axis=0),
    ]
    proto = model(nodes, [value("x", shape)], [value("y")], known, opset=13)
    x = np.asarray(RNG.normal(size=shape) * 8, np.float32)
    found = weft.compile(proto, records=False).run({"x": x})["y"]
    shift = 0 if zero is None else 3
    want = (np.clip(np.rint(x / 0.25) + shift, 0, 255) - shift) * 0.25
    np.testing.assert_array_equal(found, want.astype(np.float32))
