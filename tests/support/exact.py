"""Values at the edges of a type, and comparison bit for bit."""

from __future__ import annotations

import numpy as np
from weft.runtime.dtype import DType


def same(a, b) -> bool:
    """Whether two scalars or arrays are equal: floats bit for bit, all NaNs being one."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind != "f":
        return a.shape == b.shape and bool((a == b).all())
    # IEEE leaves sign and payload of a NaN open.
    bits = f"u{a.itemsize}"
    return bool(((a.view(bits) == b.view(bits)) | (np.isnan(a) & np.isnan(b))).all())


def edge_values(d: DType) -> list:
    """Small numbers, the limits of ``d`` and their neighbours, zeros, infinities, NaN."""
    if d.is_bool:
        return [False, True]
    if d.is_float:
        inf, nan = float("inf"), float("nan")
        return [0.0, -0.0, 1.0, -1.5, 3.0, float(d.max), -float(d.max), inf, -inf, nan]
    near = [0, 1, 2, 3, 7, 100]
    low = [-1, -2, -7] if d.kind == "int" else []
    return [*near, *low, int(d.min), int(d.min) + 1, int(d.max), int(d.max) - 1]
