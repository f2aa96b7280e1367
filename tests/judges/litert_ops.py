"""Models of one operator each, for LiteRT to say what it makes of them.

A case lists what an operator reads (``X``: an input of the model, drawn from a seed; ``K``: a
constant), what it makes, and its options by the names of the schema.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

TYPES = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7,
    "int8": 9,
}  # fmt: skip


@dataclass(frozen=True)
class X:
    """An input of the model: uniform from ``low`` to ``high``; ``q`` is (scale, zero point)."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float = -2
    high: float = 2
    q: Any = None


@dataclass(frozen=True)
class K:
    """A constant; ``q`` is (scale or scales, zero point, axis)."""

    value: Any
    dtype: str = "int32"
    q: Any = None


@dataclass(frozen=True)
class O:
    """A result."""

    dtype: str = "float32"
    q: Any = None


@dataclass(frozen=True)
class Case:
    """One operator; None among the inputs is one that is left out."""

    name: str
    op: str
    reads: tuple[Any, ...]
    makes: tuple[O, ...] = (O(),)
    options: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


def feed(case: Case, k: int, x: X) -> np.ndarray:
    """What input ``k`` of a case is given."""
    rng = np.random.default_rng(zlib.crc32(f"{case.name}.{k}".encode()))
    if x.dtype == "bool":
        return rng.integers(0, 2, x.shape).astype(bool)
    if x.dtype.startswith("float"):
        return rng.uniform(x.low, x.high, x.shape).astype(x.dtype)
    low, high = x.low, x.high
    if x.q is not None:
        low, high = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
    return rng.integers(int(low), int(high), x.shape, np.int64, endpoint=True).astype(x.dtype)


def model(case: Case, version: int) -> bytes:
    """The file of a case."""
    m, g = schema.ModelT(), schema.SubGraphT()
    m.version, m.buffers = 3, [schema.BufferT()]
    g.tensors, g.inputs, g.outputs = [], [], []

    def tensor(name: str, dtype: str, shape: Any, q: Any, data: Any = None) -> int:
        t = schema.TensorT()
        t.name, t.type, t.shape = name.encode(), TYPES[dtype], [int(d) for d in shape]
        t.hasRank = data is not None or bool(t.shape)
        if data is not None:
            b = schema.BufferT()
            b.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            t.buffer = len(m.buffers)
            m.buffers.append(b)
        if q is not None:
            scale, zero, *axis = q
            p = schema.QuantizationParametersT()
            p.scale = np.atleast_1d(np.asarray(scale, np.float32)).tolist()
            p.zeroPoint = np.broadcast_to(zero, len(p.scale)).tolist()
            p.quantizedDimension = axis[0] if axis else 0
            t.quantization = p
        g.tensors.append(t)
        return len(g.tensors) - 1

    op, code = schema.OperatorT(), schema.OperatorCodeT()
    op.inputs, op.outputs = [], []
    for k, r in enumerate(case.reads):
        if r is None:
            op.inputs.append(-1)
        elif isinstance(r, K):
            value = np.asarray(r.value, r.dtype)
            op.inputs.append(tensor(f"k{k}", r.dtype, value.shape, r.q, value))
        else:
            op.inputs.append(tensor(f"x{k}", r.dtype, r.shape, r.q))
            g.inputs.append(op.inputs[-1])
    for k, o in enumerate(case.makes):
        op.outputs.append(tensor(f"y{k}", o.dtype, (), o.q))
    g.outputs = list(op.outputs)
    number = getattr(schema.BuiltinOperator, case.op)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = version
    if case.options:
        op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{case.options}Options")
        op.builtinOptions = getattr(schema, f"{case.options}OptionsT")()
        for k, v in case.fields.items():
            assert hasattr(op.builtinOptions, k), k
            setattr(op.builtinOptions, k, v)
    g.operators, m.operatorCodes, m.subgraphs = [op], [code], [g]
    b = Builder(1024)
    b.Finish(m.Pack(b), b"TFL3")
    return bytes(b.Output())


def _unary() -> list[Case]:
    ops = {
        "ABS": {}, "CEIL": {}, "COS": {}, "ELU": {}, "EXP": {}, "FLOOR": {}, "HARD_SWISH": {},
        "LOG": {"low": 0.1}, "LOGISTIC": {}, "NEG": {}, "RELU": {}, "RELU6": {"high": 9},
        "RELU_N1_TO_1": {}, "RELU_0_TO_1": {}, "ROUND": {}, "RSQRT": {"low": 0.1}, "SIGN": {},
        "SIN": {}, "SQRT": {"low": 0}, "SQUARE": {}, "TANH": {}, "ZEROS_LIKE": {},
    }  # fmt: skip
    found = [Case(op.lower(), op, (X((2, 3, 5), **kw),)) for op, kw in ops.items()]
    found += [Case("gelu", "GELU", (X((3, 7)),), options="Gelu")]
    found += [Case("gelu_tanh", "GELU", (X((3, 7)),), (O(),), "Gelu", {"approximate": True})]
    found += [Case("leaky_relu", "LEAKY_RELU", (X((3, 7)),), (O(),), "LeakyRelu", {"alpha": 0.3})]
    found += [Case("logical_not", "LOGICAL_NOT", (X((9,), "bool"),), (O("bool"),))]
    found += [Case("abs_int32", "ABS", (X((9,), "int32", -9, 9),), (O("int32"),))]
    return found


def _binary() -> list[Case]:
    found = []
    for op in ("ADD", "SUB", "MUL", "DIV"):
        for act in range(4):
            found.append(
                Case(f"{op.lower()}_{act}", op, (X((2, 1, 5)), X((3, 1), low=0.5)), (O(),),
                     op.capitalize(), {"fusedActivationFunction": act})
            )  # fmt: skip
    for op in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "ATAN2"):
        two = (X((2, 4, 5)), X((2, 4, 5)) if op == "ATAN2" else X((5,)))
        found.append(Case(op.lower(), op, two))
    found.append(Case("pow", "POW", (X((4, 5), low=0.1), X((5,)))))
    for op in ("FLOOR_DIV", "FLOOR_MOD"):
        found.append(Case(op.lower(), op, (X((4, 5), low=-9, high=9), X((5,), low=1, high=4))))
        ints = (X((4, 50), "int32", -90, 90), X((50,), "int32", 1, 9))
        found.append(Case(f"{op.lower()}_int32", op, ints, (O("int32"),)))
        ints = (X((4, 50), "int32", -90, 90), X((50,), "int32", -9, -1))
        found.append(Case(f"{op.lower()}_negative", op, ints, (O("int32"),)))
    for op in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"):
        ints = (X((4, 9), "int32"), X((9,), "int32"))
        found.append(Case(op.lower(), op, ints, (O("bool"),)))
    for op in ("LOGICAL_AND", "LOGICAL_OR"):
        found.append(Case(op.lower(), op, (X((3, 4), "bool"), X((3, 4), "bool")), (O("bool"),)))
    for op in ("BITWISE_XOR", "RIGHT_SHIFT"):
        ints = (X((20,), "int32", -99, 99), X((20,), "int32", 0, 7))
        found.append(Case(op.lower(), op, ints, (O("int32"),)))
    found.append(Case("prelu", "PRELU", (X((1, 3, 4, 5)), K(np.linspace(-1, 1, 5), "float32"))))
    found.append(Case("add_n", "ADD_N", (X((3, 4)), X((3, 4)), X((3, 4)))))
    found.append(Case("select", "SELECT", (X((3,), "bool"), X((3, 4)), X((3, 4)))))
    found.append(Case("select_v2", "SELECT_V2", (X((3, 1), "bool"), X((3, 4)), X((1, 4)))))
    for to in ("int32", "int64", "bool", "uint8", "int16"):
        low = 0 if to == "uint8" else -9
        found.append(Case(f"cast_{to}", "CAST", (X((20,), low=low, high=9),), (O(to),), "Cast",
                          {"inDataType": 0, "outDataType": TYPES[to]}))  # fmt: skip
    found.append(Case("bitcast", "BITCAST", (X((20,)),), (O("int32"),)))
    return found


def _reduce() -> list[Case]:
    found = []
    for op in ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"):
        for axes, keep in (((1,), True), ((0, -1), False)):
            found.append(Case(f"{op.lower()}_{keep}", op, (X((2, 3, 4)), K(axes)), (O(),),
                              "Reducer", {"keepDims": keep}))  # fmt: skip
    for op in ("REDUCE_ANY", "REDUCE_ALL"):
        found.append(Case(op.lower(), op, (X((5, 3), "bool"), K((1,))), (O("bool"),), "Reducer",
                          {"keepDims": False}))  # fmt: skip
    for op, options in (("ARG_MAX", "ArgMax"), ("ARG_MIN", "ArgMin")):
        for to in ("int32", "int64"):
            found.append(Case(f"{op.lower()}_{to}", op, (X((3, 4, 5)), K(1)), (O(to),), options,
                              {"outputType": TYPES[to]}))  # fmt: skip
    for exclusive in (False, True):
        for reverse in (False, True):
            found.append(
                Case(f"cumsum_{exclusive}_{reverse}", "CUMSUM", (X((3, 5)), K(1)), (O(),), "Cumsum",
                     {"exclusive": exclusive, "reverse": reverse})
            )  # fmt: skip
    found.append(Case("bucketize", "BUCKETIZE", (X((3, 8)),), (O("int32"),), "Bucketize",
                      {"boundaries": [-1.0, 0.0, 0.5, 1.5]}))  # fmt: skip
    return found


def _shape() -> list[Case]:
    x, y = X((2, 3, 4)), X((1, 4, 6, 8))
    masks = {"beginMask": 0, "endMask": 0, "ellipsisMask": 0, "newAxisMask": 0, "shrinkAxisMask": 0}

    def strided(name: str, begin, end, strides, shape=(3, 4, 5), **bits) -> Case:
        return Case(f"strided_{name}", "STRIDED_SLICE", (X(shape), K(begin), K(end), K(strides)),
                    (O(),), "StridedSlice", {**masks, **bits})  # fmt: skip

    return [
        Case("reshape", "RESHAPE", (x, K((4, -1))), (O(),), "Reshape", {"newShape": [4, -1]}),
        Case("reshape_attr", "RESHAPE", (x,), (O(),), "Reshape", {"newShape": [6, 4]}),
        Case("squeeze", "SQUEEZE", (X((1, 3, 1, 4)),), (O(),), "Squeeze", {"squeezeDims": [0]}),
        Case("squeeze_all", "SQUEEZE", (X((1, 3, 1, 4)),), (O(),), "Squeeze", {"squeezeDims": []}),
        Case("expand_dims", "EXPAND_DIMS", (x, K(-2))),
        Case("transpose", "TRANSPOSE", (x, K((2, 0, 1)))),
        Case("concatenation", "CONCATENATION", (x, X((2, 1, 4))), (O(),), "Concatenation",
             {"axis": 1}),
        Case("pack", "PACK", (x, x), (O(),), "Pack", {"axis": -1, "valuesCount": 2}),
        Case("unpack", "UNPACK", (x,), (O(), O(), O()), "Unpack", {"axis": 1, "num": 3}),
        Case("split", "SPLIT", (K(2), x), (O(), O()), "Split", {"numSplits": 2}),
        Case("split_v", "SPLIT_V", (X((7, 2)), K((2, -1, 4)), K(0)), (O(), O(), O()), "SplitV",
             {"numSplits": 3}),
        Case("slice", "SLICE", (x, K((0, 1, 1)), K((2, -1, 2)))),
        strided("plain", (0, 1, 1), (3, 4, 5), (1, 2, 3)),
        strided("back", (2, -1, 4), (0, 0, -6), (-1, -2, -1)),
        strided("masks", (1, 1, 1), (2, 2, 2), (1, 1, -1), beginMask=5, endMask=6),
        strided("ellipsis", (1, 0, 2), (2, 0, 4), (1, 1, 1), ellipsisMask=2),
        strided("axis", (1, 0, 0), (3, 0, 2), (1, 1, 1), newAxisMask=2),
        strided("index", (-1, 0, 2), (0, 4, 3), (1, 1, 1), shrinkAxisMask=5),
        strided("short", (1,), (3,), (1,)),
        strided("empty", (2,), (1,), (1,), shape=(4,)),
        strided("offset", (1, 1), (2, 3), (1, 1), offset=True),
        Case("tile", "TILE", (x, K((1, 2, 3)))),
        Case("pad", "PAD", (x, K(((0, 0), (1, 2), (0, 3))))),
        Case("padv2", "PADV2", (x, K(((0, 0), (1, 2), (0, 3))), K(1.5, "float32"))),
        Case("mirror_reflect", "MIRROR_PAD", (x, K(((0, 0), (1, 2), (3, 2)))), (O(),), "MirrorPad",
             {"mode": 0}),
        Case("mirror_symmetric", "MIRROR_PAD", (x, K(((1, 0), (3, 2), (4, 2)))), (O(),),
             "MirrorPad", {"mode": 1}),
        Case("reverse", "REVERSE_V2", (x, K((1,)))),
        Case("reverse_sequence", "REVERSE_SEQUENCE", (X((3, 4)), K((1, 4, 2))), (O(),),
             "ReverseSequence", {"seqDim": 1, "batchDim": 0}),
        Case("broadcast_to", "BROADCAST_TO", (X((3, 1)), K((2, 3, 4)))),
        Case("broadcast_args", "BROADCAST_ARGS", (K((3, 1)), K((2, 1, 4))), (O("int32"),)),
        Case("gather", "GATHER", (x, K(((2, 0), (1, 1)))), (O(),), "Gather",
             {"axis": 1, "batchDims": 0}),
        Case("gather_batch", "GATHER", (X((2, 3, 4, 5)), X((2, 6), "int32", 0, 3)), (O(),),
             "Gather", {"axis": 2, "batchDims": 1}),
        Case("gather_nd", "GATHER_ND", (x, K(((1, 2), (0, 1))))),
        Case("scatter_nd", "SCATTER_ND", (K(((1,), (3,), (1,))), X((3, 4)), K((5, 4)))),
        Case("sparse_to_dense", "SPARSE_TO_DENSE", (K(((0, 1), (2, 3))), K((3, 4)), X((2,)),
             K(-1.0, "float32")), (O(),), "SparseToDense", {"validateIndices": True}),
        Case("one_hot", "ONE_HOT", (X((2, 5), "int32", -1, 4), K(4), K(2.0, "float32"),
             K(-1.0, "float32")), (O(),), "OneHot", {"axis": -1}),
        Case("one_hot_1", "ONE_HOT", (X((2, 5), "int32", -1, 4), K(4), K(2.0, "float32"),
             K(-1.0, "float32")), (O(),), "OneHot", {"axis": 1}),
        Case("top_k", "TOPK_V2", (X((3, 9)), K(4)), (O(), O("int32"))),
        Case("space_to_depth", "SPACE_TO_DEPTH", (y,), (O(),), "SpaceToDepth", {"blockSize": 2}),
        Case("depth_to_space", "DEPTH_TO_SPACE", (y,), (O(),), "DepthToSpace", {"blockSize": 2}),
        Case("space_to_batch", "SPACE_TO_BATCH_ND", (X((2, 5, 4, 3)), K((3, 2)),
             K(((0, 1), (2, 2))))),
        Case("batch_to_space", "BATCH_TO_SPACE_ND", (X((12, 2, 4, 3)), K((3, 2)),
             K(((0, 1), (2, 1))))),
        Case("shape", "SHAPE", (x,), (O("int32"),), "Shape", {"outType": 2}),
        Case("rank", "RANK", (x,), (O("int32"),)),
        Case("fill", "FILL", (K((2, 3)), X(()))),
        Case("range", "RANGE", (K(3), K(18), K(4)), (O("int32"),)),
        Case("range_float", "RANGE", (K(0.1, "float32"), K(2, "float32"), K(0.3, "float32"))),
        Case("matrix_diag", "MATRIX_DIAG", (X((2, 3)),)),
        Case("matrix_set_diag", "MATRIX_SET_DIAG", (X((2, 3, 4)), X((2, 3)))),
        Case("dynamic_update_slice", "DYNAMIC_UPDATE_SLICE", (X((4, 5)), X((2, 3)),
             X((2,), "int32", -1, 4))),
        Case("embedding_lookup", "EMBEDDING_LOOKUP", (X((6,), "int32", 0, 4), X((5, 3)))),
        Case("segment_sum", "SEGMENT_SUM", (X((5, 3)), K((0, 0, 2, 2, 3)))),
        *(Case(f"segment_{k.lower()}", f"UNSORTED_SEGMENT_{k}", (X((5, 3)), K((2, 0, 2, 1, 0)),
               K(4))) for k in ("SUM", "PROD", "MIN", "MAX")),
        Case("dilate", "DILATE", (X((2, 3)), K((2, 3)), K(0.5, "float32"))),
    ]  # fmt: skip


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
                Case(f"conv_{name}", "CONV_2D", (x, w(6, 3, 2, 4), w(6)), (O(),), "Conv2D",
                     {**conv, **both}),
                Case(f"depthwise_{name}", "DEPTHWISE_CONV_2D", (x, w(1, 3, 2, 8), w(8)), (O(),),
                     "DepthwiseConv2D", {**conv, **both, "depthMultiplier": 2}),
                *(Case(f"{op.lower()}_{name}", op, (x,), (O(),), "Pool2D",
                       {"strideH": 2, "strideW": 3, "filterHeight": 3, "filterWidth": 2, **both})
                  for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")),
            ]  # fmt: skip
        for shape, size, stride in (((1, 3, 2, 4), (3, 3), 2), ((1, 4, 4, 4), (2, 2), 2),
                                    ((1, 3, 3, 4), (2, 3), 3)):  # fmt: skip
            _, h, wd, c = shape
            out = [h * stride, wd * stride] if padding == 0 else [
                (h - 1) * stride + max(size[0], stride), (wd - 1) * stride + max(size[1], stride)
            ]
            found.append(
                Case(f"transpose_conv_{padding}_{size[0]}{size[1]}{stride}", "TRANSPOSE_CONV",
                     (K((1, *out, 5)), w(5, *size, c), X(shape), w(5)), (O(),), "TransposeConv",
                     {"padding": padding, "strideH": stride, "strideW": stride})
            )  # fmt: skip
        found.append(
            Case(f"conv_3d_{padding}", "CONV_3D", (X((1, 4, 5, 6, 2)), w(2, 3, 2, 2, 3), w(3)),
                 (O(),), "Conv3D", {"padding": padding, "strideD": 1, "strideH": 2, "strideW": 1})
        )  # fmt: skip
    found += [
        Case("conv_groups", "CONV_2D", (X((1, 5, 5, 4)), w(6, 3, 3, 2), w(6)), (O(),), "Conv2D",
             {"padding": 0, "strideH": 1, "strideW": 1}),
        Case("conv_3d_transpose", "CONV_3D_TRANSPOSE", (K((1, 4, 4, 6, 3)), w(2, 3, 2, 3, 2),
             X((1, 2, 2, 3, 2))), (O(),), "Conv3D",
             {"padding": 0, "strideD": 2, "strideH": 2, "strideW": 2}),
        Case("fully_connected", "FULLY_CONNECTED", (X((2, 3, 4)), w(5, 12), w(5)), (O(),),
             "FullyConnected", {"fusedActivationFunction": 1}),
        Case("fully_connected_keep", "FULLY_CONNECTED", (X((2, 3, 4)), w(5, 4), None), (O(),),
             "FullyConnected", {"keepNumDims": True}),
        *(Case(f"batch_matmul_{a}_{b}", "BATCH_MATMUL",
               (X((2, 4, 3) if a else (2, 3, 4)), X((1, 5, 4) if b else (1, 4, 5))), (O(),),
               "BatchMatMul", {"adjX": a, "adjY": b}) for a in (False, True) for b in (False, True)),
        Case("softmax", "SOFTMAX", (X((2, 3, 7)),), (O(),), "Softmax", {"beta": 1.0}),
        Case("softmax_beta", "SOFTMAX", (X((2, 7)),), (O(),), "Softmax", {"beta": 2.5}),
        Case("log_softmax", "LOG_SOFTMAX", (X((2, 7)),)),
        Case("l2_normalization", "L2_NORMALIZATION", (X((2, 3, 4, 7)),), (O(),), "L2Norm",
             {"fusedActivationFunction": 0}),
        Case("lrn", "LOCAL_RESPONSE_NORMALIZATION", (X((1, 2, 3, 9)),), (O(),),
             "LocalResponseNormalization", {"radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.6}),
        Case("fake_quant", "FAKE_QUANT", (X((30,)),), (O(),), "FakeQuant",
             {"min": -1.1, "max": 1.3, "numBits": 4, "narrowRange": False}),
    ]  # fmt: skip
    for op, options in (("RESIZE_BILINEAR", "ResizeBilinear"),
                        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor")):  # fmt: skip
        for corners, half in ((False, False), (True, False), (False, True)):
            for size in ((7, 9), (3, 2), (8, 10)):
                found.append(
                    Case(f"{op.lower()}_{corners}_{half}_{size[0]}", op,
                         (X((1, 4, 5, 3)), K(size)), (O(),), options,
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
        o = (O(dtype, (0.11, 2 if zero else 0)),)
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
                   (O(dtype, (0.047, zero and zero + 1)),), op.capitalize(),
                   {"fusedActivationFunction": 0, **({} if op == "MUL" else {"potScaleInt16": False})})
              for op in ("ADD", "SUB", "MUL")),
            *(Case(f"{dtype}_{op.lower()}_{p}", op, (x,), (O(dtype, (0.02, zero)),), "Pool2D",
                   {"padding": p, "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2})
              for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D") for p in (0, 1)),
            Case(f"{dtype}_quantize", "QUANTIZE", (X((50,)),), (O(dtype, (0.03, zero)),)),
            Case(f"{dtype}_dequantize", "DEQUANTIZE", (X((50,), dtype, q=(0.03, zero)),)),
            Case(f"{dtype}_softmax", "SOFTMAX", (X((3, 9), dtype, q=(0.1, zero)),),
                 (O(dtype, {"int8": (1 / 256, -128), "uint8": (1 / 256, 0),
                            "int16": (1 / 32768, 0)}[dtype]),), "Softmax", {"beta": 1.0}),
            *(Case(f"{dtype}_{op.lower()}", op, (X((200,), dtype, q=(s, zero)),),
                   (O(dtype, {"int8": q8, "uint8": qu, "int16": (1 / 32768, 0)}[dtype]),))
              for op, s, q8, qu in (
                  ("LOGISTIC", 1 / 4096 if dtype == "int16" else 0.05, (1 / 256, -128),
                   (1 / 256, 0)),
                  ("TANH", 1 / 4096 if dtype == "int16" else 0.02, (1 / 128, 0), (1 / 128, 128)))),
            Case(f"{dtype}_mean", "MEAN", (x, K((1, 2))), (O(dtype, (0.017, zero)),), "Reducer",
                 {"keepDims": True}),
            Case(f"{dtype}_concat", "CONCATENATION", (X((2, 3), dtype, q=(0.02, zero)),
                 X((2, 4), dtype, q=(0.02, zero))), (O(dtype, (0.02, zero)),), "Concatenation",
                 {"axis": 1}),
            Case(f"{dtype}_pad", "PAD", (X((2, 3), dtype, q=(0.02, zero)), K(((1, 1), (0, 2)))),
                 (O(dtype, (0.02, zero)),)),
        ]  # fmt: skip
    x = X((2, 5, 6, 4), "int8", q=(0.02, -3))
    signed = (O("int8", (0.11, 2)),)
    found += [
        Case("int8_conv_each", "CONV_2D", (x, ints(6, 3, 3, 4, q=per), bias(6, per)), signed,
             "Conv2D", conv),
        Case("int8_depthwise_each", "DEPTHWISE_CONV_2D", (X((2, 5, 6, 3), "int8", q=(0.02, -3)),
             ints(1, 3, 3, 6, q=(per[0], 0, 3)), bias(6, per)), signed, "DepthwiseConv2D",
             {**conv, "depthMultiplier": 2}),
        Case("int8_fully_each", "FULLY_CONNECTED", (X((3, 12), "int8", q=(0.02, -3)),
             ints(6, 12, q=per), bias(6, per)), signed, "FullyConnected", {}),
        Case("int16_conv_each", "CONV_2D", (X((2, 5, 6, 4), "int16", q=(0.002, 0)),
             ints(6, 3, 3, 4, q=per), bias(6, per, "int64")), (O("int16", (0.01, 0)),), "Conv2D",
             conv),
        Case("int8_transpose_conv", "TRANSPOSE_CONV", (K((1, 6, 8, 6)), ints(6, 3, 3, 4, q=per),
             X((1, 3, 4, 4), "int8", q=(0.02, -3)), bias(6, per)), signed, "TransposeConv",
             {"padding": 0, "strideH": 2, "strideW": 2}),
        Case("int8_batch_matmul", "BATCH_MATMUL", (X((2, 3, 8), "int8", q=(0.02, -3)),
             X((2, 8, 4), "int8", q=(0.03, 4))), signed, "BatchMatMul", {}),
        *(Case(f"int8_{op.lower()}", op, (X((60,), "int8", q=(0.05, 3)),),
               (O("int8", (0.04, -100)),)) for op in ("RELU", "RELU6")),
        *(Case(f"int8_{op.lower()}", op, (X((200,), "int8", q=(0.05, 3)),),
               (O("int8", (0.04, -100 if op == "EXP" else 7)),), options, fields)
          for op, options, fields in (
              ("HARD_SWISH", "", {}), ("ELU", "", {}), ("LEAKY_RELU", "LeakyRelu", {"alpha": 0.2}),
              ("EXP", "", {}), ("GELU", "Gelu", {}))),
        *(Case(f"int8_{op.lower()}", op, (X((60,), "int8", q=(0.05, 3)),
               X((60,), "int8", q=(0.02, -3))), (O("bool"),))
          for op in ("EQUAL", "LESS", "GREATER_EQUAL")),
        *(Case(f"int8_{op.lower()}", op, (X((60,), "int8", q=(0.05, 3)),
               X((60,), "int8", q=(0.05, 3))), (O("int8", (0.05, 3)),))
          for op in ("MAXIMUM", "MINIMUM")),
        Case("int8_resize", "RESIZE_BILINEAR", (X((1, 4, 5, 3), "int8", q=(0.05, 3)), K((7, 9))),
             (O("int8", (0.05, 3)),), "ResizeBilinear", {"halfPixelCenters": True}),
        Case("int8_requantize", "QUANTIZE", (X((99,), "int8", q=(0.05, 3)),),
             (O("int8", (0.031, -9)),)),
        Case("int8_to_uint8", "QUANTIZE", (X((99,), "int8", q=(0.05, 3)),),
             (O("uint8", (0.05, 131)),)),
        Case("int8_l2_normalization", "L2_NORMALIZATION", (X((2, 1, 1, 9), "int8", q=(0.05, 3)),),
             (O("int8", (1 / 128, 0)),), "L2Norm", {}),
        Case("int8_sum", "SUM", (X((2, 9), "int8", q=(0.05, 3)), K((1,))),
             (O("int8", (0.2, 3)),), "Reducer", {"keepDims": False}),
        Case("int8_prelu", "PRELU", (X((1, 3, 4, 5), "int8", q=(0.05, 3)),
             ints(1, 1, 5, q=(0.01, 4))), (O("int8", (0.04, -5)),)),
        Case("float16_dequantize", "DEQUANTIZE", (X((30,), "float16"),)),
        Case("hybrid_fully", "FULLY_CONNECTED", (X((3, 12)), ints(5, 12, q=(0.015, 0, 0)),
             K(np.linspace(-1, 1, 5), "float32")), (O(),), "FullyConnected", {}),
        Case("hybrid_fully_asymmetric", "FULLY_CONNECTED", (X((3, 12), low=-1, high=3),
             ints(5, 12, q=(0.015, 0, 0)), K(np.linspace(-1, 1, 5), "float32")), (O(),),
             "FullyConnected", {"asymmetricQuantizeInputs": True}),
        Case("hybrid_conv", "CONV_2D", (X((2, 5, 6, 4)), ints(6, 3, 3, 4, q=(0.015, 0, 0)),
             K(np.linspace(-1, 1, 6), "float32")), (O(),), "Conv2D", conv),
        Case("hybrid_conv_each", "CONV_2D", (X((2, 5, 6, 4), low=-1, high=3),
             ints(6, 3, 3, 4, q=per), K(np.linspace(-1, 1, 6), "float32")), (O(),), "Conv2D",
             conv),
        Case("hybrid_depthwise", "DEPTHWISE_CONV_2D", (X((2, 5, 6, 3), low=-1, high=3),
             ints(1, 3, 3, 6, q=(per[0], 0, 3)), K(np.linspace(-1, 1, 6), "float32")), (O(),),
             "DepthwiseConv2D", {**conv, "depthMultiplier": 2}),
    ]  # fmt: skip
    return found


CASES = (*_unary(), *_binary(), *_reduce(), *_shape(), *_nn(), *_quantised())
