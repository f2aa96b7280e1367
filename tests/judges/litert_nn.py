"""Operators of TensorFlow Lite of networks, in floats and in integers; see ``litert_ops``."""

from __future__ import annotations

from typing import Any

import numpy as np
from litert_ops import Case, K, X, Y

_EITHER = (False, True)


def _nn() -> list[Case]:
    rng = np.random.default_rng(5)

    def w(*shape: int) -> K:
        return K(rng.uniform(-1, 1, shape), "float32")

    conv = {"strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 2}
    found = []
    for padding in (0, 1):
        for act in (0, 3):
            both = {"padding": padding, "fusedActivationFunction": act}
            name = f"{padding}_{act}"
            x = X((2, 8, 9, 4))
            found += [
                Case(f"conv_{name}", "CONV_2D", (x, w(6, 3, 2, 4), w(6)), (Y(),), "Conv2D",
                     {**conv, **both}),
                Case(f"depthwise_{name}", "DEPTHWISE_CONV_2D", (x, w(1, 3, 2, 8), w(8)), (Y(),),
                     "DepthwiseConv2D", {**conv, **both, "depthMultiplier": 2}),
                *(Case(f"{op.lower()}_{name}", op, (x,), (Y(),), "Pool2D",
                       {"strideH": 2, "strideW": 3, "filterHeight": 3, "filterWidth": 2, **both})
                  for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")),
            ]  # fmt: skip
        for shape, size, stride in (((1, 3, 2, 4), (3, 3), 2), ((1, 4, 4, 4), (2, 2), 2),
                                    ((1, 3, 3, 4), (2, 3), 3)):  # fmt: skip
            _, h, wd, c = shape
            out = (
                [h * stride, wd * stride]
                if padding == 0
                else [
                    (h - 1) * stride + max(size[0], stride),
                    (wd - 1) * stride + max(size[1], stride),
                ]
            )
            found.append(
                Case(f"transpose_conv_{padding}_{size[0]}{size[1]}{stride}", "TRANSPOSE_CONV",
                     (K((1, *out, 5)), w(5, *size, c), X(shape), w(5)), (Y(),), "TransposeConv",
                     {"padding": padding, "strideH": stride, "strideW": stride})
            )  # fmt: skip
        found.append(
            Case(f"conv_3d_{padding}", "CONV_3D", (X((1, 4, 5, 6, 2)), w(2, 3, 2, 2, 3), w(3)),
                 (Y(),), "Conv3D", {"padding": padding, "strideD": 1, "strideH": 2, "strideW": 1})
        )  # fmt: skip
    found += [
        Case("conv_groups", "CONV_2D", (X((1, 5, 5, 4)), w(6, 3, 3, 2), w(6)), (Y(),), "Conv2D",
             {"padding": 0, "strideH": 1, "strideW": 1}),
        Case("conv_3d_transpose", "CONV_3D_TRANSPOSE", (K((1, 4, 4, 6, 3)), w(2, 3, 2, 3, 2),
             X((1, 2, 2, 3, 2))), (Y(),), "Conv3D",
             {"padding": 0, "strideD": 2, "strideH": 2, "strideW": 2}),
        Case("fully_connected", "FULLY_CONNECTED", (X((2, 3, 4)), w(5, 12), w(5)), (Y(),),
             "FullyConnected", {"fusedActivationFunction": 1}),
        Case("fully_connected_keep", "FULLY_CONNECTED", (X((2, 3, 4)), w(5, 4), None), (Y(),),
             "FullyConnected", {"keepNumDims": True}),
        *(Case(f"batch_matmul_{a}_{b}", "BATCH_MATMUL",
               (X((2, 4, 3) if a else (2, 3, 4)), X((1, 5, 4) if b else (1, 4, 5))), (Y(),),
               "BatchMatMul", {"adjX": a, "adjY": b}) for a in _EITHER for b in _EITHER),
        Case("softmax", "SOFTMAX", (X((2, 3, 7)),), (Y(),), "Softmax", {"beta": 1.0}),
        Case("softmax_beta", "SOFTMAX", (X((2, 7)),), (Y(),), "Softmax", {"beta": 2.5}),
        Case("log_softmax", "LOG_SOFTMAX", (X((2, 7)),)),
        Case("l2_normalization", "L2_NORMALIZATION", (X((2, 3, 4, 7)),), (Y(),), "L2Norm",
             {"fusedActivationFunction": 0}),
        Case("lrn", "LOCAL_RESPONSE_NORMALIZATION", (X((1, 2, 3, 9)),), (Y(),),
             "LocalResponseNormalization", {"radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.6}),
        Case("fake_quant", "FAKE_QUANT", (X((30,)),), (Y(),), "FakeQuant",
             {"min": -1.1, "max": 1.3, "numBits": 4, "narrowRange": False}),
    ]  # fmt: skip
    for op, options in (("RESIZE_BILINEAR", "ResizeBilinear"),
                        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor")):  # fmt: skip
        for corners, half in ((False, False), (True, False), (False, True)):
            for size in ((7, 9), (3, 2), (8, 10)):
                found.append(
                    Case(f"{op.lower()}_{corners}_{half}_{size[0]}", op,
                         (X((1, 4, 5, 3)), K(size)), (Y(),), options,
                         {"alignCorners": corners, "halfPixelCenters": half})
                )  # fmt: skip
    return found


def _quantised() -> list[Case]:
    rng = np.random.default_rng(6)
    found = []

    def ints(*shape: int, q: Any, dtype: str = "int8") -> K:
        low = 0 if dtype == "uint8" else -127
        return K(rng.integers(low, 127, shape), dtype, q)

    def bias(n: int, q: Any, dtype: str = "int32") -> K:
        return K(rng.integers(-900, 900, n), dtype, q)

    per = (np.linspace(0.01, 0.03, 6), 0, 0)
    conv = {"padding": 0, "strideH": 1, "strideW": 2}
    for dtype, zero in (("int8", -3), ("uint8", 131), ("int16", 0)):
        x = X((2, 5, 6, 4), dtype, q=(0.02, zero))
        o = (Y(dtype, (0.11, 2 if zero else 0)),)
        wide = "int64" if dtype == "int16" else "int32"
        w8 = "uint8" if dtype == "uint8" else "int8"
        one = (0.015, 120 if dtype == "uint8" else 0, 0)
        found += [
            Case(f"{dtype}_conv", "CONV_2D", (x, ints(6, 3, 3, 4, q=one, dtype=w8),
                 bias(6, (0.0003, 0, 0), wide)), o, "Conv2D",
                 {**conv, "fusedActivationFunction": 1}),
            Case(f"{dtype}_depthwise", "DEPTHWISE_CONV_2D",
                 (x, ints(1, 3, 3, 8, q=one, dtype=w8), bias(8, (0.0003, 0, 0), wide)), o,
                 "DepthwiseConv2D", {**conv, "depthMultiplier": 2}),
            Case(f"{dtype}_fully", "FULLY_CONNECTED", (X((3, 12), dtype, q=(0.02, zero)),
                 ints(5, 12, q=one, dtype=w8), bias(5, (0.0003, 0, 0), wide)), o, "FullyConnected",
                 {"fusedActivationFunction": 3}),
            *(Case(f"{dtype}_{op.lower()}", op, (X((2, 30), dtype, q=(0.02, zero)),
                   X((2, 30), dtype, q=(0.033, zero and zero + 5))),
                   (Y(dtype, (0.047, zero and zero + 1)),), op.capitalize(),
                   {} if op == "MUL" else {"potScaleInt16": False})
              for op in ("ADD", "SUB", "MUL")),
            *(Case(f"{dtype}_{op.lower()}_{p}", op, (x,), (Y(dtype, (0.02, zero)),), "Pool2D",
                   {"padding": p, "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2})
              for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D") for p in (0, 1)),
            Case(f"{dtype}_quantize", "QUANTIZE", (X((50,)),), (Y(dtype, (0.03, zero)),)),
            Case(f"{dtype}_dequantize", "DEQUANTIZE", (X((50,), dtype, q=(0.03, zero)),)),
            Case(f"{dtype}_softmax", "SOFTMAX", (X((3, 9), dtype, q=(0.1, zero)),),
                 (Y(dtype, {"int8": (1 / 256, -128), "uint8": (1 / 256, 0),
                            "int16": (1 / 32768, 0)}[dtype]),), "Softmax", {"beta": 1.0}),
            *(Case(f"{dtype}_{op.lower()}", op, (X((200,), dtype, q=(s, zero)),),
                   (Y(dtype, {"int8": q8, "uint8": qu, "int16": (1 / 32768, 0)}[dtype]),))
              for op, s, q8, qu in (
                  ("LOGISTIC", 1 / 4096 if dtype == "int16" else 0.05, (1 / 256, -128),
                   (1 / 256, 0)),
                  ("TANH", 1 / 4096 if dtype == "int16" else 0.02, (1 / 128, 0), (1 / 128, 128)))),
            Case(f"{dtype}_mean", "MEAN", (x, K((1, 2))), (Y(dtype, (0.017, zero)),), "Reducer",
                 {"keepDims": True}),
            Case(f"{dtype}_mean_last", "MEAN", (x, K((3,))), (Y(dtype, (0.017, zero)),), "Reducer",
                 {"keepDims": False}),
            Case(f"{dtype}_mean_alike", "MEAN", (x, K((1, 2))), (Y(dtype, (0.02, zero)),),
                 "Reducer", {"keepDims": False}),
            # Sums of int8 and int16 wrap there, without a scale.
            *([Case("uint8_sum", "SUM", (x, K((3,))), (Y(dtype, (0.07, zero)),), "Reducer",
                    {"keepDims": False})] if dtype == "uint8" else []),
            Case(f"{dtype}_concat", "CONCATENATION", (X((2, 3), dtype, q=(0.02, zero)),
                 X((2, 4), dtype, q=(0.02, zero))), (Y(dtype, (0.02, zero)),), "Concatenation",
                 {"axis": 1}),
            Case(f"{dtype}_pad", "PAD", (X((2, 3), dtype, q=(0.02, zero)), K(((1, 1), (0, 2)))),
                 (Y(dtype, (0.02, zero)),)),
        ]  # fmt: skip
    x = X((2, 5, 6, 4), "int8", q=(0.02, -3))
    signed = (Y("int8", (0.11, 2)),)
    found += [
        Case("int8_conv_each", "CONV_2D", (x, ints(6, 3, 3, 4, q=per), bias(6, per)), signed,
             "Conv2D", conv),
        Case("int8_depthwise_each", "DEPTHWISE_CONV_2D", (X((2, 5, 6, 3), "int8", q=(0.02, -3)),
             ints(1, 3, 3, 6, q=(per[0], 0, 3)), bias(6, per)), signed, "DepthwiseConv2D",
             {**conv, "depthMultiplier": 2}),
        Case("int8_fully_each", "FULLY_CONNECTED", (X((3, 12), "int8", q=(0.02, -3)),
             ints(6, 12, q=per), bias(6, per)), signed, "FullyConnected", {}),
        Case("int16_conv_each", "CONV_2D", (X((2, 5, 6, 4), "int16", q=(0.002, 0)),
             ints(6, 3, 3, 4, q=per), bias(6, per, "int64")), (Y("int16", (0.01, 0)),), "Conv2D",
             conv),
        Case("int8_transpose_conv", "TRANSPOSE_CONV", (K((1, 6, 8, 6)), ints(6, 3, 3, 4, q=per),
             X((1, 3, 4, 4), "int8", q=(0.02, -3)), bias(6, per)), signed, "TransposeConv",
             {"padding": 0, "strideH": 2, "strideW": 2}),
        Case("int8_batch_matmul", "BATCH_MATMUL", (X((2, 3, 8), "int8", q=(0.02, -3)),
             X((2, 8, 4), "int8", q=(0.03, 4))), signed, "BatchMatMul", {}),
        *(Case(f"int8_{op.lower()}", op, (X((60,), "int8", q=(0.05, 3)),),
               (Y("int8", (0.04, -100)),)) for op in ("RELU", "RELU6")),
        *(Case(f"int8_{op.lower()}", op, (X((200,), "int8", q=(0.05, 3)),),
               (Y("int8", (0.04, -100 if op == "EXP" else 7)),), options, fields)
          for op, options, fields in (
              ("HARD_SWISH", "", {}), ("ELU", "", {}), ("LEAKY_RELU", "LeakyRelu", {"alpha": 0.2}),
              ("EXP", "", {}), ("GELU", "Gelu", {}))),
        *(Case(f"int8_{op.lower()}", op, (X((60,), "int8", q=(0.05, 3)),
               X((60,), "int8", q=(0.02, -3))), (Y("bool"),))
          for op in ("EQUAL", "LESS", "GREATER_EQUAL")),
        *(Case(f"int8_{op.lower()}", op, (X((60,), "int8", q=(0.05, 3)),
               X((60,), "int8", q=(0.05, 3))), (Y("int8", (0.05, 3)),))
          for op in ("MAXIMUM", "MINIMUM")),
        *(Case(f"int16_softmax_{k}", "SOFTMAX", (X((4, n), "int16", q=(s, 0)),),
               (Y("int16", (1 / 32768, 0)),), "Softmax", {"beta": b})
          for k, (n, s, b) in enumerate(((9, 1e-4, 1.0), (200, 5e-5, 1.0), (33, 2e-4, 0.7)))),
        *(Case(f"{d}_softmax_many", "SOFTMAX", (X((4, 90), d, q=(0.03, z)),),
               (Y(d, (1 / 256, -128 if d == "int8" else 0)),), "Softmax", {"beta": 1.0})
          for d, z in (("int8", 3), ("uint8", 99))),
        *(Case(f"{d}_resize_{corners}_{half}_{size[0]}", "RESIZE_BILINEAR",
               (X((1, 4, 5, 3), d, q=(0.05, z)), K(size)), (Y(d, (0.05, z)),), "ResizeBilinear",
               {"alignCorners": corners, "halfPixelCenters": half})
          for d, z, corners, half, size in (
              ("int8", 3, False, True, (7, 9)), ("int8", 3, False, False, (3, 9)),
              ("int8", 3, True, False, (7, 2)), ("int16", 0, False, True, (7, 3)),
              ("uint8", 131, False, False, (8, 10)))),
        *(Case(f"{d}_hard_swish_{k}", "HARD_SWISH", (X((300,), d, q=(a, z)),), (Y(d, (b, z + 4)),))
          for k, (d, z, a, b) in enumerate((
              ("int8", 3, 0.05, 0.031), ("uint8", 120, 0.02, 0.05), ("int8", -9, 0.2, 0.11)))),
        Case("int8_requantize", "QUANTIZE", (X((99,), "int8", q=(0.05, 3)),),
             (Y("int8", (0.031, -9)),)),
        Case("int8_to_uint8", "QUANTIZE", (X((99,), "int8", q=(0.05, 3)),),
             (Y("uint8", (0.05, 131)),)),
        Case("int8_l2_normalization", "L2_NORMALIZATION", (X((2, 1, 1, 9), "int8", q=(0.05, 3)),),
             (Y("int8", (1 / 128, 0)),), "L2Norm", {}),
        Case("int8_prelu", "PRELU", (X((1, 9, 9, 5), "int8", q=(0.05, 3)),
             ints(1, 1, 5, q=(0.01, 4))), (Y("int8", (0.04, -5)),)),
        Case("float16_dequantize", "DEQUANTIZE", (X((30,), "float16"),)),
        Case("hybrid_fully", "FULLY_CONNECTED", (X((3, 12)), ints(5, 12, q=(0.015, 0, 0)),
             K(np.linspace(-1, 1, 5), "float32")), (Y(),), "FullyConnected", {}),
        Case("hybrid_fully_asymmetric", "FULLY_CONNECTED", (X((3, 12), low=-1, high=3),
             ints(5, 12, q=(0.015, 0, 0)), K(np.linspace(-1, 1, 5), "float32")), (Y(),),
             "FullyConnected", {"asymmetricQuantizeInputs": True}),
        Case("hybrid_conv", "CONV_2D", (X((2, 5, 6, 4)), ints(6, 3, 3, 4, q=(0.015, 0, 0)),
             K(np.linspace(-1, 1, 6), "float32")), (Y(),), "Conv2D", conv),
        Case("hybrid_conv_each", "CONV_2D", (X((2, 5, 6, 4), low=-1, high=3),
             ints(6, 3, 3, 4, q=per), K(np.linspace(-1, 1, 6), "float32")), (Y(),), "Conv2D",
             conv),
        Case("hybrid_depthwise", "DEPTHWISE_CONV_2D", (X((2, 5, 6, 3), low=-1, high=3),
             ints(1, 3, 3, 6, q=(per[0], 0, 3)), K(np.linspace(-1, 1, 6), "float32")), (Y(),),
             "DepthwiseConv2D", {**conv, "depthMultiplier": 2}),
    ]  # fmt: skip
    return found


CASES = (*_nn(), *_quantised())
