"""Resampling of an axis as TensorFlow's image operators do it: tables of elements and weights."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..resizing import (
    Axis,
    Kernel,
    cubic_kernel,
    linear_kernel,
    nearest,
    positions,
    weighted,
)
from .context import KerasContext

MAX_TABLE = 1 << 24  # elements of a table
_STEPS = 1024  # between two elements, of the table that ResizeBicubic reads its weights from


def _lanczos(reach: int) -> Kernel:
    def kernel(d: np.ndarray) -> np.ndarray:
        return np.where(np.abs(d) < reach, np.sinc(d) * np.sinc(d / reach), 0)

    return kernel


_KERNELS: dict[str, tuple[Kernel, int]] = {
    "bilinear": (linear_kernel, 1),
    "bicubic": (cubic_kernel(-0.5), 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
}


def table(
    n: KerasContext, size: int, out: int, how: str, antialias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``out`` elements, which of ``size`` it is a sum of, and their weights:
    ``[out, taps]``, int32 and float32."""
    axis = Axis(size, out, Fraction(out, size))
    if how == "nearest":
        index = nearest(axis, "tf_half_pixel_for_nn", "floor")[:, None]
        return index, np.ones(index.shape, np.float32)
    if how not in _KERNELS:
        n.unsupported(f"the interpolation {how!r}")
    kernel, reach = _KERNELS[how]
    stretch = max(size / out, 1) if antialias else 1
    if out * (2 * reach * stretch + 2) > MAX_TABLE:
        n.unsupported(f"an axis of {size} elements resized to {out}")
    at = positions(axis, "half_pixel")
    if how == "bicubic" and not antialias:
        low = np.floor(at)
        at = low + np.rint((at - low) * _STEPS) / _STEPS
    # The outermost elements stand for those outside only in ResizeBilinear.
    exclude = how != "bilinear" or antialias
    return weighted(axis, at, kernel, reach, antialias=antialias, exclude=exclude)


__all__ = ["table"]
