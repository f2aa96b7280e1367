"""Images: resampling, sampling, scattering."""

from __future__ import annotations

from itertools import product

import numpy as np

from . import Case, rand

_GRID = rand(2, 3, 4, 2, low=-1.6, high=1.6)
_BOXES = np.array([[0, 0, 6, 6], [2, 1, 9, 4], [-3, -3, 2, 12]], np.float32)
# Empty, turned round, a thin one, a wide one, one outside, one of whole pixels.
_ODD_BOXES = np.array(
    [[1, 1, 1, 1], [3, 2, 1, 0], [1, 0.2, 1.01, 0.7], [-70, -9, 80, 12], [9, 9, 12, 12],
     [0, 0, 14, 3]], np.float32
)  # fmt: skip
_WHICH = np.array([0, 1, -1])

CASES = [
    Case("depth_to_space", [rand(2, 12, 3, 4)], {"block": 2}),
    Case("depth_to_space", [rand(1, 18, 2, 2)], {"block": 3, "depth_first": False}),
    Case("space_to_depth", [rand(2, 3, 4, 6)], {"block": 2}),
    Case("space_to_depth", [rand(2, 3, 4, 6)], {"block": 2, "depth_first": False}),
    Case("upsample", [rand(1, 2, 3, 4)], {"factors": (1, 1, 2, 3)}),
    Case(
        "resample",
        [rand(2, 5, 3), rand(7, 4, dtype="int32", low=0, high=4), rand(7, 4)],
        {"axis": 1},
    ),
    Case(
        "resample",
        [rand(5, dtype="float16"), rand(7, 2, dtype="int32", low=0, high=4), rand(7, 2)],
        {"axis": 0},
    ),
    Case(
        "resample_sum",
        [rand(2, 5), rand(3, 9, dtype="int32", low=0, high=4), rand(3, 9)],
        {"axis": 1},
    ),
    Case("col2im", [rand(1, 4, 6)], {"image": (3, 4), "block": (2, 2)}),
    Case(
        "col2im",
        [rand(2, 12, 9)],
        {
            "image": (5, 6),
            "block": (2, 3),
            "strides": (2, 3),
            "dilations": (2, 1),
            "pads": (1, 0, 1, 3),
        },
    ),
    *(
        Case(
            "grid_sample",
            [rand(2, 2, 5, 6), _GRID],
            {"mode": m, "padding": p, "align_corners": a},
            atol=1e-5,
        )
        for m, p, a in product(
            ("linear", "nearest", "cubic"), ("zeros", "border", "reflection"), (False, True)
        )
    ),
    Case("grid_sample", [rand(1, 2, 3, 4, 5), rand(1, 2, 2, 2, 3, low=-1.2, high=1.2)]),
    *(
        Case(
            "roi_align",
            [rand(2, 3, 8, 9), _BOXES, _WHICH],
            {"size": (2, 3), "samples": 2, "scale": s, "mode": m, "half_pixel": h},
        )
        for s, m, h in product((1.0, 0.5), ("avg", "max"), (True, False))
    ),
    *(
        Case(
            "roi_align_adaptive",
            [rand(2, 3, 8, 9), _BOXES, _WHICH],
            {"size": (2, 3), "scale": s, "half_pixel": h},
            atol=1e-5,
        )
        for s, h in product((1.0, 0.5, 3.7), (True, False))
    ),
    Case("deform_columns", [rand(1, 2, 4, 5), rand(1, 12, 3, 3)], {"kernel": (2, 3)}, atol=1e-5),
    Case(
        "deform_columns",
        [rand(2, 6, 7, 5), rand(2, 24, 4, 3, low=-9, high=9), rand(2, 12, 4, 3)],
        {
            "kernel": (2, 2),
            "groups": 3,
            "strides": (2, 2),
            "pads": (1, 0, 2, 2),
            "dilations": (3, 2),
        },
        atol=1e-5,
    ),
    Case(
        "roi_align_adaptive",
        [rand(1, 1, 1, 5), _ODD_BOXES, np.zeros(6, np.int64)],
        {"size": (3, 1)},
        note="odd",
        atol=1e-5,
    ),
    *(
        Case(
            "scatter_elements",
            [rand(4, 5), rand(3, 7, dtype="int64", low=-5, high=4), rand(3, 7)],
            {"axis": 1, "reduction": r},
            atol=1e-5,
        )
        for r in ("none", "add", "mul", "min", "max")
    ),
    Case(
        "scatter_elements",
        [rand(6, dtype="int32"), np.array([0, -1, 0, 99], "int32"), rand(4, dtype="int32")],
        {"axis": 0},
    ),
    Case("scatter_elements", [rand(3, 2), np.zeros((0, 2), np.int64), rand(0, 2)], {"axis": 0}),
    *(
        Case(
            "scatter_nd",
            [rand(4, 5, 2), rand(3, 2, 2, dtype="int64", low=-4, high=3), rand(3, 2, 2)],
            {"reduction": r},
            atol=1e-5,
        )
        for r in ("none", "add", "mul", "min", "max")
    ),
    Case("scatter_nd", [rand(8), np.array([[4], [3], [1], [7], [3]]), rand(5)]),
]
