"""Reductions and the index of an extremum."""

import numpy as np

from op_cases import Case, rand

_REDUCE = ["sum", "mean", "prod", "max", "min", "l1", "l2", "sum_square", "log_sum", "log_sum_exp"]
_NAN = np.array([[1, np.nan, 3], [np.inf, 0, -np.inf], [-np.inf] * 3, [np.inf, 1, 2]], np.float32)
_POSITIVE = {"log_sum": 0.1}


def _grid():
    for r in _REDUCE:
        op, low = f"reduce_{r}", _POSITIVE.get(r)
        for shape, attrs in (
            ((3, 5, 7), {}),
            ((3, 5, 7), {"axes": (1,), "keepdims": False}),
            ((3, 5, 7), {"axes": (-1, 0)}),
            ((2, 3, 4, 5), {"axes": (2, 3), "keepdims": False}),
            ((1, 37), {"axes": (1,)}),
            ((6,), {"axes": ()}),
            ((), {}),
            ((0, 3), {"axes": (0,)}),
            ((3, 0), {"axes": (0,)}),
        ):
            yield Case(op, [rand(*shape, low=low)], attrs, rtol=1e-4)
        for d in ("float64", "float16", "bfloat16"):
            yield Case(op, [rand(4, 6, dtype=d, low=low)], {"axes": (1,)}, atol=2e-3)
        for d in ("int32", "int64", "uint32"):
            yield Case(op, [rand(4, 5, dtype=d, low=1)], {"axes": (1,)})
        yield Case(op, [np.abs(_NAN) if low else _NAN], {"axes": (1,)}, note="special")


_ARG = [
    Case(op, [rand(*shape, dtype=d, low=0, high=4)], attrs)
    for op in ("arg_max", "arg_min")
    for d in ("float32", "float16", "int32", "uint8", "int64")
    for shape, attrs in (
        ((3, 7), {"axis": 1}),
        ((3, 7), {"axis": 0, "keepdims": False, "select_last_index": True}),
        ((11,), {"axis": -1, "keepdims": False}),
        ((0, 2), {"axis": 1}),
    )
]

# Longer than what a sum may be in one go: of columns, of rows, of images, of products. Drivers on
# processors leave a shader's loops after 65,536 turns.
_LONG = [
    Case("reduce_sum", [rand(70001, 3, low=0.5, high=1.5)], {"axes": (0,)}),
    Case("reduce_mean", [rand(3000, 40, low=0.5, high=1.5)], {"axes": (0,)}),
    Case("reduce_sum", [rand(2, 70001, low=0.5, high=1.5)], {"axes": (1,)}),
    Case("reduce_mean", [rand(3, 5, 47, 61, low=0.5, high=1.5)], {"axes": (0, 2, 3)}),
    Case("reduce_sum_square", [rand(2, 97, 89, 9, low=0.5, high=1.5)], {"axes": (1, 2)}),
    Case("reduce_max", [rand(700, 131)], {"axes": (0,)}),
    Case("reduce_sum", [rand(9000, 129, low=-9, high=9)], {"axes": (1,)}, atol=1e-3),
    Case("arg_max", [rand(70001, 2)], {"axis": 0}),
    Case("arg_min", [rand(2, 70001)], {"axis": 1}),
    Case("matmul", [rand(2, 70001, low=0.5, high=1.5), rand(70001, 3, low=0.5, high=1.5)]),
]

CASES = [
    *_grid(),
    *_LONG,
    *_ARG,
    *(Case(op, [_NAN], {"axis": 1}, note="special") for op in ("arg_max", "arg_min")),
    *(
        Case(op, [rand(3, 4, dtype=d)], {"axes": (1,)})
        for op in ("reduce_max", "reduce_min")
        for d in ("bool", "int8", "uint8", "uint64")
    ),
]
