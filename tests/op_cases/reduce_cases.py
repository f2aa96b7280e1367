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

CASES = [
    *_grid(),
    *_ARG,
    *(Case(op, [_NAN], {"axis": 1}, note="special") for op in ("arg_max", "arg_min")),
    *(
        Case(op, [rand(3, 4, dtype=d)], {"axes": (1,)})
        for op in ("reduce_max", "reduce_min")
        for d in ("bool", "int8", "uint8", "uint64")
    ),
]
