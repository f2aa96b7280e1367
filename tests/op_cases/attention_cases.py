"""Attention: heads or none, rows and keys that no tile divides, with and without scale and mask."""

from __future__ import annotations

import numpy as np

from . import Case, rand

_TOL = {
    "float32": {"rtol": 1e-4, "atol": 1e-5},
    "float64": {},
    "float16": {"atol": 1e-2},
    "bfloat16": {"atol": 5e-2},
}


def _qkv(batch, rows, depth, keys, columns, dtype):
    return [
        rand(*batch, rows, depth, dtype=dtype),
        rand(*batch, depth, keys, dtype=dtype),
        rand(*batch, keys, columns, dtype=dtype),
    ]


CASES = [
    *(
        Case("attention", [*_qkv(*shape, d), *([rand(*mask, dtype=d)] if mask else [])],
             {"scale": scale}, **_TOL[d])
        for d in _TOL
        for shape, mask, scale in (
            (((2, 3), 7, 5, 9, 4), (2, 1, 1, 9), 0.5),
            (((), 33, 16, 50, 20), None, 1.0),
            (((4,), 1, 8, 17, 8), (17,), 0.25),
            (((1, 2), 40, 32, 64, 32), (1, 1, 40, 64), 0.125),
            (((3,), 5, 1, 1, 1), None, 2.0),
            (((2,), 0, 4, 3, 4), None, 1.0),
        )
    ),
    Case(
        "attention",
        [*_qkv((2,), 4, 3, 6, 5, "float32"),
         np.where(np.arange(6) < 4, 0, -np.inf).astype(np.float32)],
        {"scale": 1.0}, rtol=1e-4, atol=1e-5, note="masked",
    ),
]  # fmt: skip
