"""Broadcasting operators of two inputs, and ``where``."""

import numpy as np

from op_cases import Case, rand

_SHAPES = (
    ((3, 5), (3, 5)),
    ((2, 3, 5), (5,)),
    ((3, 1, 4), (2, 1)),
    ((7,), ()),
    ((), ()),
    ((0, 3), (1, 3)),
    ((1, 13, 1), (4, 1, 1)),
)
_SPECIAL = (
    np.array([np.nan, np.inf, -np.inf, 0.0, 1.0, np.nan, 5.0, -5.0, 3.0], np.float32),
    np.array([1.0, np.inf, 2.0, 0.0, np.nan, np.nan, -3.0, 3.0, -np.inf], np.float32),
)
# Multiples of the divisor, as they are rounded, and their neighbours; and quotients past 2^24.
_TIMES = (np.arange(1, 64) * np.float32([[0.1], [-0.7], [29.3]])).astype(np.float32).reshape(-1)
_TIES = (
    np.concatenate([np.nextafter(_TIMES, np.float32(s)) for s in (-np.inf, 0, np.inf)] + [_TIMES])[
        :, None
    ],
    np.float32([0.1, 0.7, -29.3]),
)
_FAR = (np.float32([1e30, -3e37, 16777217e3, 12345678e9]), np.float32([3.0, 0.7, 1e-3, 7e5]))
_ARITHMETIC = ["add", "sub", "mul", "div", "minimum", "maximum", "prelu"]
_COMPARE = ["equal", "not_equal", "less", "less_or_equal", "greater", "greater_or_equal"]
_INTS = ("int8", "int32", "int64", "uint8", "uint32")


def _pairs(op, dtype, attrs=None, low=None, high=None):
    for a, b in _SHAPES:
        if op == "prelu" and np.broadcast_shapes(a, b) != a:
            continue
        inputs = [
            rand(*a, dtype=dtype, low=low, high=high),
            rand(*b, dtype=dtype, low=low, high=high),
        ]
        yield Case(op, inputs, attrs or {}, atol=1e-6)


CASES = [
    *(c for op in (*_ARITHMETIC, *_COMPARE) for c in _pairs(op, "float32")),
    *(Case(op, _SPECIAL, note="special") for op in (*_ARITHMETIC, *_COMPARE, "pow")),
    *(
        Case(op, [rand(4, 7, dtype=d), rand(7, dtype=d)])
        for op in _ARITHMETIC
        for d in ("float64", "float16", "bfloat16", *_INTS)
    ),
    *(
        Case(op, [rand(23, dtype=d, low=0, high=3), rand(23, dtype=d, low=0, high=3)])
        for op in _COMPARE
        for d in ("float64", "float16", *_INTS)
    ),
    *(Case(op, [rand(9, dtype="bool"), rand(9, dtype="bool")]) for op in ("equal", "not_equal")),
    *(c for op in ("and", "or", "xor") for c in _pairs(op, "bool")),
    *(
        c
        for op in ("bitwise_and", "bitwise_or", "bitwise_xor")
        for d in ("int32", "uint8", "int64")
        for c in _pairs(op, d)
    ),
    *(
        Case(
            "bit_shift", [rand(19, dtype=d), rand(19, dtype=d, low=low, high=70)], {"direction": s}
        )
        for d, low in (("uint8", 0), ("uint64", 0), ("int8", -3), ("int32", -3))
        for s in ("left", "right")
    ),
    *(c for c in _pairs("pow", "float32", low=0.1, high=3)),
    Case("pow", [rand(5, dtype="int32", low=-4, high=4), rand(5, dtype="int32", low=0, high=6)]),
    Case("pow", [rand(5, dtype="int64", low=-9, high=9), rand(5, dtype="int64", low=0, high=9)]),
    Case(
        "pow", [np.array([-2.0, -3.0, 0.0, 2.0], np.float32), np.array([3, 2, 0, -1], np.float32)]
    ),
    *(
        c
        for f in (False, True)
        for d in ("int32", "float32")
        for c in _pairs("mod", d, {"fmod": f})
    ),
    *(
        Case("mod", [rand(29, dtype=d, low=low), rand(29, dtype=d, low=low)], {"fmod": f})
        for f in (False, True)
        for d, low in (("int8", -9), ("int64", -9), ("uint8", 0), ("float64", -2), ("float16", -2))
    ),
    Case("mod", _SPECIAL, {"fmod": False}, note="special"),
    Case("mod", _SPECIAL, {"fmod": True}, note="special"),
    *(
        Case("mod", pair, {"fmod": f}, note=note)
        for f in (False, True)
        for note, pair in (("near a multiple", _TIES), ("far", _FAR))
    ),
    Case("div", [np.array([-128, 7, -7, 7, -7], np.int8), np.array([-1, -2, 2, 0, 0], np.int8)]),
    *(
        Case("where", [rand(*c, dtype="bool"), rand(*x, dtype=d), rand(*y, dtype=d)])
        for d in ("float32", "int64", "bool", "bfloat16")
        for c, x, y in (
            ((3, 5), (3, 5), (3, 5)),
            ((5,), (3, 1), ()),
            ((), (4, 2), (1, 2)),
            ((0,), (), ()),
        )
    ),
]
