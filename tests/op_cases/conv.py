"""Convolutions and pools."""

from __future__ import annotations

from itertools import product

from . import Case, rand

CASES = [
    Case("conv", [rand(2, 3, 9, 8), rand(4, 3, 3, 3), rand(4)], {"pads": (1, 1, 1, 1)}),
    Case("conv", [rand(1, 3, 9, 8), rand(4, 3, 1, 1)]),
    Case("conv", [rand(1, 16, 14, 14), rand(32, 16, 3, 3)], {"pads": (1, 1, 1, 1)}, atol=1e-5),
    Case("conv", [rand(1, 3, 9, 8), rand(4, 3, 2, 3)], {"strides": (2, 3), "pads": (0, 1, 2, 3)}),
    Case("conv", [rand(1, 2, 11, 12), rand(5, 2, 3, 3), rand(5)], {"dilations": (2, 3)}),
    Case("conv", [rand(1, 6, 7, 7), rand(9, 2, 3, 3)], {"groups": 3, "pads": (1, 1, 1, 1)}),
    Case("conv", [rand(2, 6, 7, 7), rand(6, 1, 3, 3), rand(6)], {"groups": 6, "strides": (2, 2)}),
    Case("conv", [rand(1, 3, 7, 7), rand(6, 1, 3, 3)], {"groups": 3, "pads": (1, 0, 0, 1)}),
    Case("conv", [rand(2, 3, 20), rand(4, 3, 5), rand(4)], {"pads": (2, 2), "strides": (2,)}),
    Case("conv", [rand(1, 2, 5, 6, 7), rand(3, 2, 3, 2, 3)], {"pads": (1, 0, 1, 1, 1, 1)}),
    Case("conv", [rand(0, 3, 5, 5), rand(4, 3, 3, 3)]),
    Case("conv", [rand(1, 0, 5, 5), rand(4, 0, 3, 3)]),
    *(
        Case("conv", [rand(1, 4, 6, 6, dtype=d), rand(3, 4, 3, 3, dtype=d), rand(3, dtype=d)])
        for d in ("float64", "float16", "bfloat16", "int32")
    ),
    Case("conv_transpose", [rand(1, 3, 4, 5), rand(3, 2, 3, 3), rand(2)]),
    Case("conv_transpose", [rand(1, 4, 4, 5), rand(4, 3, 2, 2)], {"strides": (2, 2)}),
    Case(
        "conv_transpose",
        [rand(2, 4, 4, 5), rand(4, 2, 3, 4), rand(4)],
        {"strides": (2, 3), "pads": (1, 0, 1, 2), "output_padding": (1, 2), "groups": 2},
    ),
    Case("conv_transpose", [rand(1, 2, 4, 5), rand(2, 3, 3, 2)], {"dilations": (2, 3)}),
    Case(
        "conv_transpose",
        [rand(1, 2, 4, 5), rand(2, 3, 3, 2)],
        {"dilations": (2, 3), "strides": (3, 2), "pads": (1, 1, 2, 0)},
    ),
    Case("conv_transpose", [rand(1, 2, 7), rand(2, 3, 4)], {"strides": (3,), "pads": (1, 3)}),
    Case("conv_transpose", [rand(1, 2, 3, 3, 2), rand(2, 2, 2, 3, 2)], {"strides": (1, 2, 2)}),
    Case("conv_transpose", [rand(0, 3, 4, 5), rand(3, 2, 3, 3)]),
    Case("conv_transpose", [rand(1, 3, 4, 5, dtype="float16"), rand(3, 2, 3, 3, dtype="float16")]),
    *(
        Case(op, [rand(2, 3, 9, 10)], {"kernel": (3, 2), "strides": (2, 2), **more})
        for op, more in product(
            ("max_pool", "max_pool_with_indices", "average_pool", "lp_pool"),
            (
                {},
                {"pads": (1, 0, 1, 1)},
                {"pads": (1, 0, 1, 1), "ceil_mode": True},
                {"pads": (2, 1, 0, 1), "dilations": (2, 3)},
            ),
        )
    ),
    Case("max_pool", [rand(1, 1, 8, dtype="int8")], {"kernel": (3,), "pads": (1, 1)}),
    Case("max_pool", [rand(1, 2, 4, 5, 6)], {"kernel": (2, 3, 2)}),
    Case("max_pool", [rand(0, 2, 4, 5)], {"kernel": (2, 3)}),
    Case("max_pool", [rand(1, 2, 4, 5, dtype="float16")], {"kernel": (2, 3)}),
    Case(
        "max_pool_with_indices",
        [rand(2, 2, 6, 7, dtype="uint8", high=3)],
        {"kernel": (3, 3), "pads": (1, 1, 1, 1), "column_major": True},
    ),
    Case("average_pool", [rand(1, 2, 9)], {"kernel": (3,), "strides": (4,), "ceil_mode": True}),
    *(
        Case(
            "average_pool",
            [rand(1, 2, 7, 7)],
            {
                "kernel": (3, 3),
                "strides": (2, 3),
                "pads": (1, 1, 1, 1),
                "dilations": d,
                "ceil_mode": c,
                "count_include_pad": True,
            },
        )
        for d, c in product(((1, 1), (2, 1)), (False, True))
    ),
    Case("average_pool", [rand(1, 2, 6, 6, dtype="float16")], {"kernel": (6, 6)}),
    Case("lp_pool", [rand(1, 2, 6, 6)], {"kernel": (2, 2), "p": 1}),
    Case("lp_pool", [rand(1, 2, 6, 6)], {"kernel": (2, 2), "p": 3}),
]
