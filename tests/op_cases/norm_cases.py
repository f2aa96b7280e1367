"""Normalisations and softmax."""

import numpy as np

from op_cases import Case, rand

_HALVES = ("float16", "bfloat16")
_BIG = np.array([[1000.0, 1001.0, -np.inf], [np.nan, 0, 1], [-5, -5, -5]], np.float32)


def _channels(op, shapes, params, **attrs):
    for shape in shapes:
        c = shape[1] if len(shape) > 1 else 1
        for d in ("float32", "float64", *_HALVES):
            loose = {"atol": 2e-2} if d in _HALVES else {"rtol": 1e-4, "atol": 1e-5}
            sides = [rand(c, dtype=d, low=0.5, high=2) for _ in range(params)]
            yield Case(op, [rand(*shape, dtype=d), *sides], attrs, **loose)


CASES = [
    *(
        Case(op, [rand(*shape, dtype=d, low=-5, high=5)], {"axis": axis}, **tol)
        for op in ("softmax", "log_softmax", "hardmax")
        for d, tol in (
            ("float32", {}),
            ("float64", {"rtol": 1e-6}),
            ("float16", {"atol": 2e-3}),
            ("bfloat16", {"atol": 1e-2}),
        )
        for shape, axis in (
            ((3, 7), -1),
            ((2, 5, 3), 1),
            ((4, 1), 0),
            ((13,), 0),
            ((0, 3), 1),
            ((3, 0), 1),
        )
    ),
    *(
        Case(op, [_BIG], {"axis": 1}, note="special")
        for op in ("softmax", "log_softmax", "hardmax")
    ),
    *_channels("batch_norm", [(2, 3, 4, 5), (1, 7), (3, 2, 5), (4,), (0, 3, 2)], 4, epsilon=1e-3),
    *_channels("instance_norm", [(2, 3, 4, 5), (1, 2, 7), (0, 3, 2)], 2, epsilon=1e-2),
    *_channels("group_norm", [(2, 6, 4, 5), (1, 4, 7), (3, 2), (0, 2, 3)], 2, num_groups=2),
    *(
        Case(
            op, [rand(2, 3, 5, dtype=d), *(rand(*s, dtype=d) for s in sides)], {"axis": axis}, **tol
        )
        for op, more in (("layer_norm", True), ("rms_norm", False))
        for d, tol in (
            ("float32", {"rtol": 1e-4, "atol": 1e-5}),
            ("float64", {}),
            ("float16", {"atol": 1e-2}),
            ("bfloat16", {"atol": 5e-2}),
        )
        for axis, sides in (
            (-1, ((5,), (5,))),
            (1, ((3, 5), (3, 5))),
            (0, ((2, 3, 5), (1, 5))),
            (-1, ((),)),
        )
        for sides in ([sides] if more else [sides[:1]])
    ),
    *(  # a mean that is large beside what the data is spread
        Case(op, [rand(*shape, low=9998, high=10002), *sides], attrs, 1e-5, 1e-5, note="offset")
        for op, shape, sides, attrs in (
            ("instance_norm", (2, 3, 16, 16), [rand(3), rand(3)], {}),
            ("layer_norm", (4, 300), [rand(300), rand(300)], {}),
            ("group_norm", (2, 6, 9, 9), [rand(6), rand(6)], {"num_groups": 2}),
            ("mean_variance_norm", (3, 2, 8, 8), [], {}),
        )
    ),
    Case("layer_norm", [rand(0, 5), rand(5), rand(5)]),
    Case("layer_norm", [rand(3, 384), rand(384), rand(384)], {"epsilon": 1e-12}, atol=1e-5),
    Case("mean_variance_norm", [rand(2, 3, 4, 5)], rtol=1e-4, atol=1e-5),
    Case("mean_variance_norm", [rand(3, 7)], {"axes": (-1,)}, rtol=1e-4, atol=1e-5),
    Case("lrn", [rand(2, 7, 3, 4)], {"size": 3, "alpha": 0.1}),
    Case("lrn", [rand(2, 7, 3)], {"size": 6, "before": 3, "alpha": 0.3}),
    Case("lrn", [rand(2, 7, 3)], {"size": 4, "bias": 2.0, "beta": 0.5}),
    Case("lrn", [rand(1, 3)], {"size": 9, "alpha": 1.0}),
    Case("lrn", [rand(1, 5, 2, dtype="float16")], {"size": 3}, atol=1e-2),
]
