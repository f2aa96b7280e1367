"""Matrix products."""

from op_cases import Case, rand

_SHAPES = (
    ((3, 4), (4, 5)),
    ((7, 13), (13, 1)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((4,), (4,)),
    ((3, 0), (0, 5)),
    ((0, 4), (4, 5)),
)

CASES = [
    *(Case("matmul", [rand(*a), rand(*b)], rtol=1e-4) for a, b in _SHAPES),
    *(
        Case("matmul", [rand(3, 9, dtype=d), rand(9, 5, dtype=d)])
        for d in ("float64", "int32", "int64", "uint32")
    ),
    *(
        Case("matmul", [rand(3, 9, dtype=d), rand(9, 5, dtype=d)], atol=1e-2)
        for d in ("float16", "bfloat16")
    ),
    *(
        Case("gemm", [rand(*a), rand(*b), *([rand(*c)] if c is not None else [])], attrs, rtol=1e-4)
        for a, b, c, attrs in (
            ((3, 4), (4, 5), (3, 5), {}),
            ((4, 3), (4, 5), (5,), {"trans_a": True, "alpha": 0.5}),
            ((3, 4), (5, 4), (3, 1), {"trans_b": True, "beta": 2.0}),
            ((4, 3), (5, 4), (), {"trans_a": True, "trans_b": True, "alpha": 0.25, "beta": 0.5}),
            ((3, 4), (4, 5), None, {}),
            ((3, 4), (4, 5), None, {"alpha": 2.0}),
            ((1, 7), (7, 1), (1, 1), {"beta": 0.0}),
            ((3, 0), (0, 5), (5,), {}),
        )
    ),
    Case(
        "gemm",
        [rand(3, 4, dtype="int32"), rand(4, 5, dtype="int32"), rand(5, dtype="int32")],
        {"alpha": 0.5, "beta": 2.0},
    ),
    Case(
        "gemm",
        [rand(3, 4, dtype="float16"), rand(4, 5, dtype="float16"), rand(5, dtype="float16")],
        atol=1e-2,
    ),
    Case(
        "matmul_integer", [rand(3, 4, dtype="uint8", high=255), rand(4, 5, dtype="uint8", high=255)]
    ),
    *(
        Case(
            "matmul_integer",
            [
                rand(*a, dtype=t),
                rand(*b, dtype=s),
                rand(*za, dtype=t),
                None if zb is None else rand(*zb, dtype=s),
            ],
        )
        for t, s in (("uint8", "uint8"), ("int8", "int8"), ("uint8", "int8"))
        for a, b, za, zb in (
            ((3, 4), (4, 5), (), ()),
            ((3, 4), (4, 5), (1,), None),
            ((3, 4), (4, 5), (3,), (5,)),
            ((2, 3, 4), (2, 4, 5), (2, 3, 1), (2, 1, 5)),
            ((2, 3, 4), (4, 5), (3,), (5,)),
            ((4,), (4, 5), (), (5,)),
        )
    ),
]
