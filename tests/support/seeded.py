"""Inputs that tests and other frameworks make alike, by numpy alone."""

from __future__ import annotations

import numpy as np


def seeded(name: str, shape: tuple[int, ...], kind: str = "normal") -> np.ndarray:
    """An array by its name: ``"normal"`` (float32), ``"uniform"`` in [0, 1), ``"int:N"`` below N
    (int32), ``"bool"``."""
    rng = np.random.default_rng(list(name.encode()))
    if kind == "normal":
        return rng.standard_normal(shape).astype(np.float32)
    if kind == "uniform":
        return rng.random(shape, np.float32)
    if kind == "bool":
        return rng.random(shape) < 0.6
    if kind.startswith("int:"):
        return rng.integers(0, int(kind[4:]), shape).astype(np.int32)
    raise ValueError(kind)
