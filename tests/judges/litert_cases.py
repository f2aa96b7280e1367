"""Operators of TensorFlow Lite on each element, on shapes, and reductions; see ``litert_ops``."""

from __future__ import annotations

import numpy as np
from litert_ops import TYPES, Case, K, X, Y


def _unary() -> list[Case]:
    ops = {
        "ABS": {}, "CEIL": {}, "COS": {}, "ELU": {}, "EXP": {}, "FLOOR": {}, "HARD_SWISH": {},
        "LOG": {"low": 0.1}, "LOGISTIC": {}, "NEG": {}, "RELU": {}, "RELU6": {"high": 9},
        "RELU_N1_TO_1": {}, "RELU_0_TO_1": {}, "ROUND": {}, "RSQRT": {"low": 0.1}, "SIGN": {},
        "SIN": {}, "SQRT": {"low": 0}, "SQUARE": {}, "TANH": {}, "ZEROS_LIKE": {},
    }  # fmt: skip
    found = [Case(op.lower(), op, (X((2, 3, 5), **kw),)) for op, kw in ops.items()]
    found += [Case("gelu", "GELU", (X((3, 7)),), options="Gelu")]
    found += [Case("gelu_tanh", "GELU", (X((3, 7)),), (Y(),), "Gelu", {"approximate": True})]
    found += [Case("leaky_relu", "LEAKY_RELU", (X((3, 7)),), (Y(),), "LeakyRelu", {"alpha": 0.3})]
    found += [Case("logical_not", "LOGICAL_NOT", (X((9,), "bool"),), (Y("bool"),))]
    found += [Case("abs_int32", "ABS", (X((9,), "int32", -9, 9),), (Y("int32"),))]
    return found


def _binary() -> list[Case]:
    found = []
    for op in ("ADD", "SUB", "MUL", "DIV"):
        for act in range(4):
            found.append(
                Case(f"{op.lower()}_{act}", op, (X((2, 1, 5)), X((3, 1), low=0.5)), (Y(),),
                     op.capitalize(), {"fusedActivationFunction": act})
            )  # fmt: skip
    for op in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "ATAN2"):
        two = (X((2, 4, 5)), X((2, 4, 5)) if op == "ATAN2" else X((5,)))
        found.append(Case(op.lower(), op, two))
    found.append(Case("pow", "POW", (X((4, 5), low=0.1), X((5,)))))
    for op in ("FLOOR_DIV", "FLOOR_MOD"):
        found.append(Case(op.lower(), op, (X((4, 5), low=-9, high=9), X((5,), low=1, high=4))))
        ints = (X((4, 50), "int32", -90, 90), X((50,), "int32", 1, 9))
        found.append(Case(f"{op.lower()}_int32", op, ints, (Y("int32"),)))
        ints = (X((4, 50), "int32", -90, 90), X((50,), "int32", -9, -1))
        found.append(Case(f"{op.lower()}_negative", op, ints, (Y("int32"),)))
    for op in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"):
        ints = (X((4, 9), "int32"), X((9,), "int32"))
        found.append(Case(op.lower(), op, ints, (Y("bool"),)))
    for op in ("LOGICAL_AND", "LOGICAL_OR"):
        found.append(Case(op.lower(), op, (X((3, 4), "bool"), X((3, 4), "bool")), (Y("bool"),)))
    for op in ("BITWISE_XOR", "RIGHT_SHIFT"):
        ints = (X((20,), "int32", -99, 99), X((20,), "int32", 0, 7))
        found.append(Case(op.lower(), op, ints, (Y("int32"),)))
    found.append(Case("prelu", "PRELU", (X((1, 3, 4, 5)), K(np.linspace(-1, 1, 5), "float32"))))
    found.append(Case("add_n", "ADD_N", (X((3, 4)), X((3, 4)), X((3, 4)))))
    found.append(Case("select", "SELECT", (X((3,), "bool"), X((3, 4)), X((3, 4)))))
    found.append(Case("select_v2", "SELECT_V2", (X((3, 1), "bool"), X((3, 4)), X((1, 4)))))
    for to in ("int32", "int64", "bool", "uint8", "int16"):
        low = 0 if to == "uint8" else -9
        found.append(Case(f"cast_{to}", "CAST", (X((20,), low=low, high=9),), (Y(to),), "Cast",
                          {"inDataType": 0, "outDataType": TYPES[to]}))  # fmt: skip
    found.append(Case("bitcast", "BITCAST", (X((20,)),), (Y("int32"),)))
    return found


def _reduce() -> list[Case]:
    found = []
    for op in ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"):
        for axes, keep in (((1,), True), ((0, -1), False)):
            found.append(Case(f"{op.lower()}_{keep}", op, (X((2, 3, 4)), K(axes)), (Y(),),
                              "Reducer", {"keepDims": keep}))  # fmt: skip
    for op in ("REDUCE_ANY", "REDUCE_ALL"):
        found.append(Case(op.lower(), op, (X((5, 3), "bool"), K((1,))), (Y("bool"),), "Reducer",
                          {"keepDims": False}))  # fmt: skip
    for op, options in (("ARG_MAX", "ArgMax"), ("ARG_MIN", "ArgMin")):
        for to in ("int32", "int64"):
            found.append(Case(f"{op.lower()}_{to}", op, (X((3, 4, 5)), K(1)), (Y(to),), options,
                              {"outputType": TYPES[to]}))  # fmt: skip
    for exclusive in (False, True):
        for reverse in (False, True):
            found.append(
                Case(f"cumsum_{exclusive}_{reverse}", "CUMSUM", (X((3, 5)), K(1)), (Y(),), "Cumsum",
                     {"exclusive": exclusive, "reverse": reverse})
            )  # fmt: skip
    found.append(Case("bucketize", "BUCKETIZE", (X((3, 8)),), (Y("int32"),), "Bucketize",
                      {"boundaries": [-1.0, 0.0, 0.5, 1.5]}))  # fmt: skip
    return found


def _shape() -> list[Case]:
    x, y = X((2, 3, 4)), X((1, 4, 6, 8))
    masks = {"beginMask": 0, "endMask": 0, "ellipsisMask": 0, "newAxisMask": 0, "shrinkAxisMask": 0}

    def strided(name: str, begin, end, strides, shape=(3, 4, 5), **bits) -> Case:
        return Case(f"strided_{name}", "STRIDED_SLICE", (X(shape), K(begin), K(end), K(strides)),
                    (Y(),), "StridedSlice", {**masks, **bits})  # fmt: skip

    return [
        Case("reshape", "RESHAPE", (x, K((4, -1))), (Y(),), "Reshape", {"newShape": [4, -1]}),
        Case("reshape_attr", "RESHAPE", (x,), (Y(),), "Reshape", {"newShape": [6, 4]}),
        Case("squeeze", "SQUEEZE", (X((1, 3, 1, 4)),), (Y(),), "Squeeze", {"squeezeDims": [0]}),
        Case("squeeze_all", "SQUEEZE", (X((1, 3, 1, 4)),), (Y(),), "Squeeze", {"squeezeDims": []}),
        Case("expand_dims", "EXPAND_DIMS", (x, K(-2))),
        Case("transpose", "TRANSPOSE", (x, K((2, 0, 1)))),
        Case("concatenation", "CONCATENATION", (x, X((2, 1, 4))), (Y(),), "Concatenation",
             {"axis": 1}),
        Case("pack", "PACK", (x, x), (Y(),), "Pack", {"axis": -1, "valuesCount": 2}),
        Case("unpack", "UNPACK", (x,), (Y(), Y(), Y()), "Unpack", {"axis": 1, "num": 3}),
        Case("split", "SPLIT", (K(2), x), (Y(), Y()), "Split", {"numSplits": 2}),
        Case("split_v", "SPLIT_V", (X((7, 2)), K((2, -1, 4)), K(0)), (Y(), Y(), Y()), "SplitV",
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
        strided("offset", (1, 1, 0), (2, 3, 4), (1, 1, 1), offset=True),
        Case("tile", "TILE", (x, K((1, 2, 3)))),
        Case("pad", "PAD", (x, K(((0, 0), (1, 2), (0, 3))))),
        Case("padv2", "PADV2", (x, K(((0, 0), (1, 2), (0, 3))), K(1.5, "float32"))),
        Case("mirror_reflect", "MIRROR_PAD", (x, K(((0, 0), (1, 2), (3, 2)))), (Y(),), "MirrorPad",
             {"mode": 0}),
        Case("mirror_symmetric", "MIRROR_PAD", (x, K(((1, 0), (3, 2), (4, 2)))), (Y(),),
             "MirrorPad", {"mode": 1}),
        Case("reverse", "REVERSE_V2", (x, K((1,)))),
        Case("reverse_sequence", "REVERSE_SEQUENCE", (X((3, 4)), K((1, 4, 2))), (Y(),),
             "ReverseSequence", {"seqDim": 1, "batchDim": 0}),
        Case("broadcast_to", "BROADCAST_TO", (X((3, 1)), K((2, 3, 4)))),
        Case("broadcast_args", "BROADCAST_ARGS", (K((3, 1)), K((2, 1, 4))), (Y("int32"),)),
        Case("gather", "GATHER", (x, K(((2, 0), (1, 1)))), (Y(),), "Gather",
             {"axis": 1, "batchDims": 0}),
        Case("gather_batch", "GATHER", (X((2, 3, 4, 5)), X((2, 6), "int32", 0, 3)), (Y(),),
             "Gather", {"axis": 2, "batchDims": 1}),
        Case("gather_nd", "GATHER_ND", (x, K(((1, 2), (0, 1))))),
        Case("scatter_nd", "SCATTER_ND", (K(((1,), (3,), (1,))), X((3, 4)), K((5, 4)))),
        Case("sparse_to_dense", "SPARSE_TO_DENSE", (K(((0, 1), (2, 3))), K((3, 4)), X((2,)),
             K(-1.0, "float32")), (Y(),), "SparseToDense", {"validateIndices": True}),
        Case("one_hot", "ONE_HOT", (X((2, 5), "int32", -1, 4), K(4), K(2.0, "float32"),
             K(-1.0, "float32")), (Y(),), "OneHot", {"axis": -1}),
        Case("one_hot_1", "ONE_HOT", (X((2, 5), "int32", -1, 4), K(4), K(2.0, "float32"),
             K(-1.0, "float32")), (Y(),), "OneHot", {"axis": 1}),
        Case("top_k", "TOPK_V2", (X((3, 9)), K(4)), (Y(), Y("int32"))),
        Case("space_to_depth", "SPACE_TO_DEPTH", (y,), (Y(),), "SpaceToDepth", {"blockSize": 2}),
        Case("depth_to_space", "DEPTH_TO_SPACE", (y,), (Y(),), "DepthToSpace", {"blockSize": 2}),
        Case("space_to_batch", "SPACE_TO_BATCH_ND", (X((2, 5, 4, 3)), K((3, 2)),
             K(((0, 1), (2, 2))))),
        Case("batch_to_space", "BATCH_TO_SPACE_ND", (X((12, 2, 4, 3)), K((3, 2)),
             K(((0, 1), (2, 1))))),
        Case("shape", "SHAPE", (x,), (Y("int32"),), "Shape", {"outType": 2}),
        Case("rank", "RANK", (x,), (Y("int32"),)),
        Case("fill", "FILL", (K((2, 3)), X(()))),
        Case("range", "RANGE", (K(3), K(18), K(4)), (Y("int32"),)),
        Case("range_float", "RANGE", (K(0.1, "float32"), K(2, "float32"), K(0.3, "float32"))),
        Case("matrix_diag", "MATRIX_DIAG", (X((2, 3)),)),
        Case("matrix_set_diag", "MATRIX_SET_DIAG", (X((2, 3, 4)), X((2, 3)))),
        Case("dynamic_update_slice", "DYNAMIC_UPDATE_SLICE", (X((4, 5)), X((2, 3)),
             X((2,), "int32", -1, 4))),
        Case("embedding_lookup", "EMBEDDING_LOOKUP", (X((6,), "int32", 0, 4), X((5, 3)))),
        Case("segment_sum_sorted", "SEGMENT_SUM", (X((5, 3)), K((0, 0, 1, 1, 2)))),
        *(Case(f"segment_{k.lower()}", f"UNSORTED_SEGMENT_{k}", (X((5, 3)), K((2, 0, 2, 1, 0)),
               K(4))) for k in ("SUM", "PROD", "MIN", "MAX")),
        Case("dilate", "DILATE", (X((2, 3)), K((2, 3)), K(0.5, "float32"))),
    ]  # fmt: skip


CASES = (*_unary(), *_binary(), *_reduce(), *_shape())
