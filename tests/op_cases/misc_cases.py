"""Quantisation, scans, top_k, einsum, trilu."""

import numpy as np

from op_cases import Case, rand

_NAN = np.array([3.0, np.nan, -np.inf, 3.0, np.inf, np.nan, 0.0], np.float32)

_DIVIDENDS = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2.5, -3e38], np.float32)

_PARAMS = (  # data, parameters, attributes
    ((3, 4, 5), (), {}),
    ((3, 4, 5), (1,), {}),
    ((3, 4, 5), (4,), {"axis": 1}),
    ((3, 4, 5), (5,), {"axis": -1}),
    ((7,), (), {}),
    ((), (), {}),
    ((0, 4), (4,), {"axis": 1}),
    ((3, 7), (3, 3), {"axis": 1, "block_size": 3}),
)

_EQUATIONS = (
    ("ij->ji", (3, 5)),
    ("ij->i", (3, 5)),
    ("ij->", (3, 5)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("...ii ->...i", (2, 3, 3)),
    ("i,j->ij", (3,), (5,)),
    ("i,i", (7,), (7,)),
    ("ij,jk", (3, 4), (4, 5)),
    ("bij, bjk -> bik", (2, 3, 4), (2, 4, 5)),
    ("bhqd,bhkd->bhqk", (1, 2, 3, 4), (1, 2, 5, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)),
    ("Aa,ab,b->A", (2, 3), (3, 4), (4,)),
    ("ij,jk->ik", (3, 0), (0, 5)),
    (",i->i", (), (3,)),
)

_PRODUCT = {"equation": "ij,jk->ik"}

_SUMS = np.array(  # where roundings differ: ties, signs, ends
    [[0, 1, -1, 2, -2], [3, -3, 5, -5, 1 << 27], [-(1 << 27), 12345678, -87654321, 511, -513]],
    np.int32,
)

CASES = [
    *(
        Case(
            "quantize_linear",
            [rand(*x, low=-9, high=9), rand(*p, low=0.02, high=0.1), rand(*p, dtype=d)],
            {**attrs, "to": d},
            int_atol=1,
        )
        for x, p, attrs in _PARAMS
        for d in ("uint8", "int8", "int16", "uint16")
    ),
    Case("quantize_linear", [rand(9, dtype="float16"), rand(dtype="float16", low=0.1)], int_atol=1),
    Case("quantize_linear", [rand(9, dtype="int32"), rand(low=0.5)], {"to": "int8"}, int_atol=1),
    Case("quantize_linear", [_NAN, rand(low=0.5)], note="special"),
    Case(
        "quantize_linear",
        [np.arange(-9, 10, dtype=np.float32) / 2, np.float32(1), np.int8(0)],
        {"to": "int8", "ties": "away"},
        note="halves",
    ),
    *(  # multiplier and shift: one of each, or one an index of the axis
        Case(
            "fixed_point_multiply",
            [_SUMS, np.array(m, np.int32), np.array(s, np.int32)],
            {"axis": 1},
            note=note,
        )
        for note, m, s in (
            ("one", 1518500250, -7),
            ("left", 1073741824, 3),
            ("all", 0x7FFFFFFF, -31),
            ("each", [1 << 30, 0x7FFFFFFF, 1518500250, 0, 1 << 30], [-1, 0, -9, 0, -31]),
        )
    ),
    Case(
        "fixed_point_multiply",
        [_SUMS.astype(np.int64) * 30000, np.int32(1518500250), np.int32(-20)],
        note="int64",
    ),
    *(
        Case(
            "quantize_linear",
            [rand(2, 3, 5), np.float32([0.5, 0.25, 2]), np.zeros(3, np.float32)],
            {"to": "float32", "format": f, "saturate": s},
        )
        for f, s in (("float8e4m3fn", True), ("float8e5m2", False), ("float4e2m1", True))
    ),
    Case("dequantize_linear", [rand(2, 3), rand(3, low=0.1), np.zeros(3, np.float32)], {"axis": 1}),
    Case("dequantize_linear", [rand(2, 3), rand(3, low=0.1, dtype="float16")]),
    *(  # 0 / 0 is the lowest, anything else / 0 saturates
        Case(
            "quantize_linear",
            [_DIVIDENDS, np.array(scale, np.float32), zero],
            {"to": str(zero.dtype)},
            note=f"scale{scale}",
        )
        for scale in (0.0, -0.0, np.inf)
        for zero in (np.array(3, np.uint8), np.array(-3, np.int8))
    ),
    *(
        Case("dequantize_linear", [rand(*x, dtype=d), rand(*p, low=0.1), rand(*p, dtype=d)], attrs)
        for x, p, attrs in _PARAMS
        for d in ("uint8", "int8", "int16")
    ),
    Case("dequantize_linear", [rand(9, dtype="int32", low=-999, high=999), rand(low=0.1)]),
    Case("dequantize_linear", [rand(9, dtype="int8"), rand(dtype="float16")], {"to": "float32"}),
    Case("dequantize_linear", [rand(9, dtype="int8"), rand(dtype="float16")]),
    *(
        Case(
            "dynamic_quantize_linear",
            [rand(*s, low=low, high=high)],
            int_atol=1,
            note=f"{low} to {high}",
        )
        for s, low, high in (
            ((3, 7), -3, 5),
            ((5,), 1, 2),
            ((5,), -2, -1),
            ((0,), 0, 1),
            ((), -1, 1),
            ((3, 301), -4, 9),
        )
    ),
    Case("dynamic_quantize_linear", [np.zeros(4, np.float32)], note="zeros"),
    *(
        Case("compact", [np.arange(n) % k == 0], note=f"every {k} of {n}")
        for n, k in (
            (0, 1),
            (1, 1),
            (1, 2),
            (2, 1),
            (13, 3),
            (16, 1),
            (17, 5),
            (301, 7),
            (301, 400),
        )
    ),
    Case("compact", [np.zeros(30, np.bool_)], note="none of 30"),
    *(
        Case(
            op,
            [rand(*shape, dtype=d, low=1, high=2)],
            {"axis": axis, "exclusive": exclusive, "reverse": reverse},
            **tol,
        )
        for op in ("cumsum", "cumprod")
        for d, tol in (
            ("float32", {"rtol": 1e-4}),
            ("int32", {}),
            ("int64", {}),
            ("float16", {"rtol": 1e-2}),
        )
        for shape, axis in (((7,), 0), ((3, 5), -1), ((2, 67, 2), 1), ((0,), 0), ((2, 0), 1))
        for exclusive in (False, True)
        for reverse in (False, True)
        if not (d == "float16" and (op == "cumprod" or 67 in shape))
    ),
    *(
        Case(
            "top_k",
            [rand(*shape, dtype=d, low=0, high=9)],
            {"k": k, "axis": axis, "largest": largest},
        )
        for d in ("float32", "float16", "int64", "uint8")
        for shape, axis, k in (
            ((11,), 0, 4),
            ((3, 7), -1, 7),
            ((5, 2, 3), 0, 2),
            ((3,), 0, 0),
            ((0, 2), 1, 1),
        )
        for largest in (True, False)
    ),
    *(Case("top_k", [_NAN], {"k": 7, "largest": b}, note="special") for b in (True, False)),
    *(Case("einsum", [rand(*s) for s in shapes], {"equation": e}) for e, *shapes in _EQUATIONS),
    *(
        Case(
            "einsum", [rand(3, 4, dtype=d), rand(4, 2, dtype=d)], {"equation": "ij,jk->ik"}, atol=a
        )
        for d, a in (("float16", 1e-2), ("bfloat16", 1e-1), ("int32", 0), ("float64", 1e-9))
    ),
    *(
        Case("trilu", [rand(*shape, dtype=d)], {"k": k, "upper": upper})
        for d in ("float32", "int64", "bool")
        for shape, k in (((4, 5), 0), ((2, 5, 3), -1), ((3, 3), 2), ((3, 3), -99), ((0, 3), 0))
        for upper in (True, False)
    ),
    Case("bitcast", [rand(5, dtype="bool")], {"to": "uint8"}),
    Case("bitcast", [rand(5, dtype="int8", low=0, high=1)], {"to": "bool"}),
]
