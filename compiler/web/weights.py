"""Coding of parameters for the way over a network: ``f32`` (as they are), ``f16``, ``int8``.

Only float32 tensors of some size are coded; all else, and what a code would destroy, stays as it
is. The file says by itself what it holds. A tensor of a program's slot, float32, may be stored as

- ``F32``: the numbers;
- ``F16``: the numbers, rounded to half precision;
- ``I8``: integers -127 … 127 beside an ``F32`` tensor ``NAME#scale`` of the same rank whose extents
  are 1 but on one axis; a number is ``integer * scale`` by broadcasting. The scale is that of one
  output channel; its axis is the one by which the least is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...runtime.errors import InputError

CODES = ("f32", "f16", "int8")
SCALE = "#scale"  # what the name of a tensor of scales ends with
_SMALL = 1024  # elements; below it coding gains nothing


def check_code(code: str) -> None:
    """Raises :class:`InputError` for an unknown code."""
    if code not in CODES:
        raise InputError(f"there is no coding {code!r} of weights.", hint=", ".join(CODES))


def encode(params: Mapping[str, np.ndarray], code: str) -> dict[str, np.ndarray]:
    """The tensors to store for ``params``. Raises :class:`InputError` for an unknown code."""
    check_code(code)
    stored: dict[str, np.ndarray] = {}
    for name, array in params.items():
        done = code == "f32" or array.dtype != np.float32 or array.size < _SMALL
        if not done and code == "f16":
            half = _half(array)
            done = half is None
            if half is not None:
                stored[name] = half
        elif not done:
            coded = _bytes(array)
            done = coded is None
            if coded is not None:
                stored[name], stored[name + SCALE] = coded
        if done:
            stored[name] = array
    return stored


def _half(array: np.ndarray) -> np.ndarray | None:
    """Half precision, unless a number is too large for it."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(np.isfinite(half), np.isfinite(array)) else None


def _bytes(array: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers and scales; None when there is no axis of channels or a number is not finite."""
    if array.ndim < 2 or not np.isfinite(array).all():
        return None
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for axis in range(array.ndim):
        if array.shape[axis] * 8 > array.size:  # scales would take as much as they save
            continue
        others = tuple(k for k in range(array.ndim) if k != axis)
        peak = np.abs(array).max(axis=others, keepdims=True)
        scale = (peak / 127).astype(np.float32)
        scale[scale == 0] = 1
        code = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
        loss = float(np.square(array - code * scale, dtype=np.float64).sum())
        if best is None or loss < best[0]:
            best = loss, code, scale
    return best[1:] if best else None
