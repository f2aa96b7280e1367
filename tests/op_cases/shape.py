"""Operators that move elements, and reading by indices."""

from __future__ import annotations

import numpy as np

from . import Case, rand

_IDS = np.array([[0, -1, 2], [3, -4, 1]])
_WILD = np.array([0, 99, -99, 2**40, -1])  # out of range: clamped, never read outside

CASES = [
    Case("reshape", [rand(2, 3, 4)], {"shape": (2, 12)}),
    Case("reshape", [rand(2, 3, 4)], {"shape": (4, 6)}),
    Case("reshape", [rand(2, 3, 4)], {"shape": (24,)}),
    Case("reshape", [rand(6, 1, 4)], {"shape": (1, 2, 3, 1, 2, 2, 1)}),
    Case("reshape", [rand(1, 1)], {"shape": ()}),
    Case("reshape", [rand()], {"shape": (1, 1)}),
    Case("reshape", [rand(0, 3)], {"shape": (5, 0, 7)}),
    Case("transpose", [rand(2, 3, 4, 5)], {"perm": (0, 2, 3, 1)}),
    Case("transpose", [rand(2, 3, 4)], {"perm": (2, 0, 1)}),
    Case("transpose", [rand()], {"perm": ()}),
    Case("transpose", [rand(0, 3)], {"perm": (1, 0)}),
    Case("concat", [rand(2, 3, 4), rand(2, 1, 4), rand(2, 0, 4), rand(2, 5, 4)], {"axis": 1}),
    Case("concat", [rand(3)], {"axis": 0}),
    Case("concat", [rand(0, 2), rand(0, 3)], {"axis": 1}),
    Case("concat", [rand(2, 3, dtype="bool"), rand(1, 3, dtype="bool")], {"axis": 0}),
    Case("slice", [rand(5, 6, 7)], {"starts": (1, 0, 6), "shape": (3, 2, 4), "steps": (1, 3, -2)}),
    Case("slice", [rand(5, 6)], {"starts": (0, 2), "shape": (5, 0)}),
    Case("slice", [rand()], {"starts": (), "shape": ()}),
    Case("slice_at", [rand(5, 6), np.array([3, 2], "int32")], {"shape": (2, 4)}),
    Case(
        "slice_at",
        [rand(5, 6, 7), np.array([0, 1, 0, 9], "int32")],
        {"shape": (5, 3, 7), "steps": (1, 2, 1)},
    ),
    Case("slice_at", [rand(5, 6), np.array([99, -99], "int32")], {"shape": (2, 4)}, note="clamped"),
    Case("slice_at", [rand(5, 6), np.array([0, 2], "int32")], {"shape": (5, 0)}),
    Case("slice_at", [rand(5), np.array([1, 0], "int32")], {"shape": (3,)}),
    Case("slice_at", [rand(0, 6), np.array([0, 2], "int32")], {"shape": (0, 4)}),
    Case("pad", [rand(3, 4)], {"pads": (1, 0, 2, 3), "value": 1.5}),
    Case("pad", [rand(3, 4)], {"pads": (-1, 2, 1, -2)}),
    Case("pad", [rand(3, 4), rand()], {"pads": (0, 2, 1, 0)}),
    Case("pad", [rand(0, 4)], {"pads": (1, 0, 1, 0), "value": 2}),
    Case("pad", [rand(3, dtype="int64")], {"pads": (1, 1), "value": -7}),
    Case("pad", [rand(3, dtype="bool")], {"pads": (1, 1), "value": True}),
    *(
        Case("pad", [rand(3, 4)], {"pads": p, "mode": m})
        for m in ("edge", "reflect", "wrap")
        for p in ((1, 2, 2, 3), (5, 0, 7, 1), (0, 1, 0, -1))
    ),
    Case("pad", [rand(1, 4)], {"pads": (2, 0, 1, 0), "mode": "reflect"}),
    Case("expand", [rand(3, 1)], {"shape": (2, 3, 4)}),
    Case("expand", [rand()], {"shape": (2, 3)}),
    Case("expand", [rand(1, 3)], {"shape": (0, 3)}),
    Case("tile", [rand(2, 1, 3)], {"repeats": (2, 4, 1)}),
    Case("tile", [rand(2, 3)], {"repeats": (0, 2)}),
    Case("gather", [rand(4, 5), _IDS], {"axis": 0}),
    Case("gather", [rand(3, 4, 5), _IDS.astype("int32")], {"axis": 1}),
    Case("gather", [rand(4, 5), np.array(2)], {"axis": 0}),
    Case("gather", [rand(4, 5), np.zeros((0,), np.int64)], {"axis": 1}),
    Case("gather", [rand(4, 1), np.array([0, -1])], {"axis": 1}),
    Case("gather_elements", [rand(4, 5), rand(3, 7, dtype="int64", low=-4, high=3)], {"axis": 1}),
    Case("gather_elements", [rand(4, 5), rand(6, 5, dtype="int32", low=-4, high=3)], {"axis": 0}),
    Case("gather_nd", [rand(4, 5, 3), rand(2, 6, 2, dtype="int64", low=-4, high=3)]),
    Case("gather_nd", [rand(4, 5), rand(3, 2, dtype="int64", low=-4, high=3)]),
    Case(
        "gather_nd", [rand(2, 5, 3), rand(2, 4, 1, dtype="int64", high=4, low=0)], {"batch_dims": 1}
    ),
    Case("gather", [rand(4, 5), np.array([0, 99, -99, 3])], {"axis": 0}, note="clamped"),
    Case("gather_nd", [rand(4, 5), np.array([[9, -9], [1, 77]])], note="clamped"),
    Case("one_hot", [np.array([1, -1, 7, -8, 2]), rand(2)], {"axis": 1, "depth": 7}),
    Case("one_hot", [np.array([[1.0, 2.5]], "float32"), rand(2)], {"axis": 0, "depth": 4}),
    Case(
        "one_hot",
        [np.array([1, 255, 200], "uint8"), rand(2, dtype="int32")],
        {"axis": 0, "depth": 300},
    ),
    Case("one_hot", [np.array([1, 127, -128], "int8"), rand(2)], {"axis": 1, "depth": 300}),
    Case("one_hot", [_WILD, rand(2)], {"axis": 0, "depth": 5}),
    Case(
        "reverse_sequence",
        [rand(4, 3, 2), np.array([4, 0, 2])],
        {"batch_axis": 1, "time_axis": 0},
    ),
    Case("reverse_sequence", [rand(2, 5), np.array([9, 3])], {"batch_axis": 0, "time_axis": 1}),
]
