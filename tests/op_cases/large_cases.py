"""Extents that are prime and longer than any tile: what a schedule vectorises, splits and peels."""

from op_cases import Case, rand

CASES = [
    Case("relu", [rand(100_003)]),
    Case("gelu", [rand(7, 1009)]),
    Case("add", [rand(257, 129), rand(129)]),
    Case("mul", [rand(3, 61, 67), rand(61, 1)]),
    Case("where", [rand(1, 263, dtype="bool"), rand(131, 1), rand(131, 263)]),
    Case("cast", [rand(10_007, low=-300, high=300)], {"to": "int8"}),
    *(
        Case(f"reduce_{r}", [rand(37, 1013)], {"axes": axes}, rtol=1e-4, atol=1e-3)
        for r in ("sum", "mean", "max", "l2", "log_sum_exp")
        for axes in ((0,), (1,), (0, 1))
    ),
    Case("reduce_sum", [rand(11, 13, 17, 19)], {"axes": (1, 3)}, rtol=1e-4, atol=1e-4),
    *(
        Case(op, [rand(53, 211, dtype=d, low=0, high=99)], {"axis": axis})
        for op in ("arg_max", "arg_min")
        for d in ("float32", "uint8")
        for axis in (0, 1)
    ),
    *(
        Case("matmul", [rand(*a), rand(*b)], rtol=1e-3, atol=1e-3)
        for a, b in (
            ((127, 257), (257, 131)),
            ((1, 509), (509, 257)),
            ((61, 509), (509, 1)),
            ((5, 67, 31), (5, 31, 71)),
        )
    ),
    Case("matmul", [rand(67, 97, dtype="float16"), rand(97, 71, dtype="float16")], atol=5e-2),
    Case("gemm", [rand(67, 131), rand(257, 131), rand(257)], {"trans_b": True}, atol=1e-3),
    Case("matmul_integer", [rand(37, 131, dtype="uint8", high=255), rand(131, 67, dtype="int8")]),
    Case("einsum", [rand(2, 3, 67, 31), rand(2, 3, 71, 31)], {"equation": "bhqd,bhkd->bhqk"},
         atol=1e-4),
    *(
        Case(op, [rand(*shape, low=-9, high=9)], {"axis": axis}, rtol=1e-4)
        for op in ("softmax", "log_softmax", "hardmax")
        for shape, axis in (((17, 1009), 1), ((1009, 17), 0), ((3, 101, 37), 1))
    ),
    Case("layer_norm", [rand(13, 521), rand(521), rand(521)], rtol=1e-4, atol=1e-5),
    Case("rms_norm", [rand(13, 521), rand(521)], rtol=1e-4, atol=1e-5),
    Case("batch_norm", [rand(2, 19, 31, 37), *[rand(19, low=0.5) for _ in range(4)]], atol=1e-5),
    Case("instance_norm", [rand(1, 19, 31, 37), rand(19), rand(19)], atol=1e-4),
    Case("group_norm", [rand(1, 18, 31, 37), rand(18), rand(18)], {"num_groups": 3}, atol=1e-4),
    Case("lrn", [rand(1, 67, 13, 11)], {"size": 5}),
    Case("quantize_linear", [rand(2, 67, 101), rand(67, low=0.02, high=0.1)], int_atol=1),
    Case("cumsum", [rand(3, 1009)], {"axis": 1}, rtol=1e-4, atol=1e-3),
    Case("top_k", [rand(2, 1009)], {"k": 17}),
]  # fmt: skip
