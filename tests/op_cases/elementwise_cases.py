"""Operators of one input, casts included."""

import numpy as np
from weft.compiler.ops.small_float import FORMATS

from op_cases import Case, rand

# Between two numbers of a format, when scaled by a power of two or its greatest number.
_HALVES = np.arange(-72, 73, dtype=np.float32) / 8
_SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 0.5, 3.0], np.float32)
_FLOATS = ("float64", "float16", "bfloat16")

# operator: attributes, range of the data
_TABLE = {
    **{
        n: ({}, -2, 2)
        for n in [
            "exp",
            "erf",
            "sin",
            "cos",
            "tan",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "floor",
            "ceil",
        ]
    },
    **{n: ({}, 0.1, 9) for n in ("log", "sqrt", "reciprocal")},
    **{n: ({}, -0.95, 0.95) for n in ("asin", "acos", "atanh")},
    "acosh": ({}, 1.1, 9),
    "round": ({}, -9, 9),
    **{
        n: ({}, -9, 9)
        for n in ["identity", "neg", "abs", "sign", "relu", "sigmoid", "softplus", "softsign"]
    },
    **{n: ({}, -4, 4) for n in ["mish", "is_nan", "is_inf", "hard_swish"]},
    "elu": ({"alpha": 1.5}, -3, 3),
    "celu": ({"alpha": 2.0}, -3, 3),
    "selu": ({}, -3, 3),
    "gelu": ({"approximate": "tanh"}, -4, 4),
    "hard_sigmoid": ({"alpha": 0.3, "beta": 0.4}, -4, 4),
    "swish": ({"alpha": 0.7}, -4, 4),
    "leaky_relu": ({"alpha": 0.2}, -3, 3),
    "thresholded_relu": ({"alpha": 0.5}, -3, 3),
    "shrink": ({"lambd": 1.0, "bias": 0.25}, -3, 3),
    "clip": ({"min": -0.5, "max": 1.0}, -3, 3),
}


_ANGLES = np.array(
    [8191.5, -8192.25, 65536, 1e7, 1e8, 1.7e9, -3e9, 1e15, 1e30, -3.4e38, 5.3e9, np.inf, -np.inf,
     np.nan, 0.5, 16777216, -16777218], np.float32,
)  # fmt: skip


def _grid():
    for op, (attrs, low, high) in _TABLE.items():
        yield Case(op, [rand(3, 5, 7, low=low, high=high)], attrs)
        yield Case(op, [rand(0, 4, low=low, high=high)], attrs)
        yield Case(op, [rand(low=low, high=high)], attrs)
        yield Case(op, [rand(13, dtype="float64", low=low, high=high)], attrs, rtol=1e-6)
        for d in _FLOATS[1:]:
            yield Case(op, [rand(2, 11, dtype=d, low=low, high=high)], attrs, atol=1e-3)
        yield Case(op, [_SPECIAL], attrs, note="special")
    for op in ("sin", "cos", "tan"):
        yield Case(op, [_ANGLES], rtol=1e-6, note="large")
        yield Case(op, [_ANGLES.reshape(17, 1)], rtol=1e-6, note="large")
        yield Case(op, [_ANGLES.astype(np.float64) * 0.75], rtol=1e-13, note="large")
        yield Case(op, [np.array([8192, 10000, 60000, -65504], np.float16)], note="large")


_INTS = [
    Case(op, [rand(17, dtype=d)], attrs)
    for op, attrs in (
        ("neg", {}),
        ("abs", {}),
        ("sign", {}),
        ("relu", {}),
        ("identity", {}),
        ("shrink", {"lambd": 2.5, "bias": 1.5}),
        ("clip", {"min": 2, "max": 5}),
    )
    for d in ("int8", "int32", "int64", "uint8")
    if not (op == "neg" and d == "uint8")
]

_PAIRS = [
    (a, b)
    for a in ("float32", "float16", "bfloat16", "int8", "int32", "int64", "uint8", "uint16", "bool")
    for b in ("float32", "float64", "float16", "bfloat16", "int8", "int64", "uint8", "bool")
]

CASES = [
    *_grid(),
    *_INTS,
    Case("gelu", [rand(31, low=-4, high=4)]),
    Case("swish", [rand(31, low=-4, high=4)]),
    Case("clip", [rand(9)], {"min": 0.0}),
    Case("clip", [rand(9)], {"max": 0.0}),
    Case("clip", [rand(9)]),
    Case("clip", [rand(9)], {"min": 1.0, "max": -1.0}),
    Case("is_inf", [_SPECIAL], {"positive": False}, note="special"),
    Case("is_inf", [_SPECIAL], {"negative": False}, note="special"),
    Case("is_inf", [_SPECIAL], {"positive": False, "negative": False}, note="special"),
    *(Case("identity", [rand(5, dtype=d)]) for d in ("bool", "uint64", "int16")),
    Case("not", [rand(3, 7, dtype="bool")]),
    Case("not", [rand(dtype="bool")]),
    *(
        Case("bitwise_not", [rand(2, 9, dtype=d)])
        for d in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    ),
    *(Case("cast", [rand(3, 7, dtype=a)], {"to": b}) for a, b in _PAIRS),
    *(
        Case(
            "cast",
            [np.array([np.nan, np.inf, -np.inf, 1e20, -1e20, 2.9, -2.9], np.float32)],
            {"to": d},
            note="limits",
        )
        for d in ("int8", "int32", "int64", "uint8", "uint32", "float16", "bfloat16", "bool")
    ),
    Case("cast", [rand(dtype="int64")], {"to": "float32"}),
    Case("cast", [rand(0, 3)], {"to": "int32"}),
    *(
        Case("round_float", [x], {"format": f, "saturate": s}, note=note)
        for f in FORMATS
        for note, x, s in (
            ("", rand(3, 7), True),
            ("wide", rand(41, low=-600, high=600), True),
            ("wide", rand(41, low=-600, high=600), False),
            ("special", _SPECIAL, f == "float8e5m2"),
            ("edges", _HALVES * np.float32(FORMATS[f].max / 8), False),
        )
    ),
    Case("round_float", [rand(0, 3)], {"format": "float8e5m2"}),
    Case("round_float", [rand()], {"format": "float8e5m2"}),
    Case("bitcast", [rand(2, 5)], {"to": "int32"}),
    Case("bitcast", [rand(2, 5, dtype="int64", low=0)], {"to": "float64"}, atol=0),
    Case("bitcast", [rand(7, dtype="float16")], {"to": "uint16"}),
    Case("bitcast", [rand(7, dtype="int8")], {"to": "uint8"}),
    Case("bitcast", [rand(dtype="float32")], {"to": "float32"}),
]
