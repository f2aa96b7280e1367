"""Where the elements of a resized axis come from: extents, positions, and tables of both.

Everything here is numpy at compile time. A resize whose arguments are known reads through tables
``[out, taps]``; no kernel computes a position, so that all targets read the same elements.

The rules, where ONNX's text, its reference, ONNX Runtime and torch do not agree:

- **By sizes**, positions are those of the exact ratio ``out / size``: nearest with ``asymmetric``
  and ``floor`` is ``o * size // out``, and a tie is a tie. (ONNX Runtime divides by that ratio
  rounded to float32, torch multiplies by its inverse rounded to float32; each misses some.)
- **By scales**, positions are computed in float32, in the order of ONNX Runtime's formulas. (torch
  multiplies by the inverse of the scale, rounded to float32, which a model does not hold; the two
  differ by one element for 7 % of the axes up to 64 and scales 0.05 … 4.)
  A position within 1e-6 of a tie is one, as there. (ONNX's reference computes in float64.)
- The extent of a result is ``floor(size * scale)`` in float32, whatever the region is, as ONNX's
  shape inference and ONNX Runtime have it. (torch multiplies in float64: 45 * 1.4 is 62 there.)
- ``align_corners`` by scales has the corners of the whole resized image, whose extent
  ``size * scale`` may be fractional, as in ONNX's reference. (ONNX Runtime and torch use the extent
  of the result.) Where the product is whole in float32 they agree.
- ``pytorch_half_pixel`` and ``tf_crop_and_resize`` use the extent of the result, which is whole.
  Positions of a region are computed in float32 as ONNX Runtime does.
- Where no extent changes nothing is resampled, whatever the scales are, as in ONNX Runtime and for
  most modes in torch (ONNX's reference resamples). Not so for ``align_corners`` and for a region,
  whose axis is cropped even by the scale one (ONNX Runtime copies).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

MAX_TABLE = 1 << 24  # elements of a table of positions or weights
TIE = 1e-6  # how far from the middle between two elements a float32 position still is a tie
_EXACT = 1 << 53  # integers up to here are float64

Kernel = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Axis:
    """How an axis of ``size`` elements is resized to ``out``.

    ``scale`` is a Fraction where extents were asked for, and else the float32 that the model
    states, which ``out / size`` may miss. ``roi`` is the region that is resized, of which 0 and 1
    are the first and the last element.
    """

    size: int
    out: int
    scale: Fraction | np.float32
    roi: tuple[float, float] = (0.0, 1.0)

    @property
    def is_whole(self) -> bool:
        """Whether the region is the whole axis."""
        return self.roi == (0.0, 1.0)

    @property
    def ratio(self) -> Fraction:
        """The scale, exactly."""
        return self.scale if isinstance(self.scale, Fraction) else Fraction(float(self.scale))


def scaled_extent(size: int, scale: np.float32) -> int:
    """The extent of ``size`` elements times ``scale``: 10 times 1.3 is 13, as in float32."""
    return math.floor(np.float32(size) * scale)


# --- positions by sizes: exact --------------------------------------------------------------------

_Line = tuple[Fraction, Fraction]  # slope and shift: o -> slope * o + shift

_HALF = Fraction(1, 2)
_ORIGIN: _Line = Fraction(0), Fraction(0)


def _corners(size: int, length: Fraction) -> _Line:
    """The first and the last of ``length`` are the first and the last of ``size``."""
    return _ORIGIN if length == 1 else ((size - 1) / (length - 1), Fraction(0))


def _crop_line(a: Axis, step: Fraction) -> _Line:
    """Of the whole axis; a single element reads the middle."""
    if a.out == 1:
        return Fraction(0), Fraction(a.size - 1, 2)
    return _corners(a.size, Fraction(a.out))


def _symmetric_line(a: Axis, step: Fraction) -> _Line:
    """The output is cut from a resized image of fractional extent, at its middle."""
    margin = (a.size - a.out * step) / 2
    return step, margin + step / 2 - _HALF


# rule -> (axis, elements of the input per one of the output) -> where the outputs lie
_LINES: dict[str, Callable[[Axis, Fraction], _Line]] = {
    "half_pixel": lambda _, step: (step, step / 2 - _HALF),
    "half_pixel_symmetric": _symmetric_line,
    "pytorch_half_pixel": lambda a, step: (step, step / 2 - _HALF) if a.out > 1 else _ORIGIN,
    "align_corners": lambda a, step: _corners(a.size, a.size / step),
    "asymmetric": lambda _, step: (step, Fraction(0)),
    "tf_half_pixel_for_nn": lambda _, step: (step, step / 2),
    "tf_crop_and_resize": _crop_line,
}


def _on_line(line: _Line, out: int) -> np.ndarray:
    """The line at 0 … out - 1, each value rounded once: whole numbers and halves are exact."""
    slope, shift = line
    below = math.lcm(slope.denominator, shift.denominator)
    rise, start = int(slope * below), int(shift * below)
    if below < _EXACT and abs(rise) * out + abs(start) < _EXACT:
        return (np.arange(out) * rise + start) / below
    return np.array([(o * rise + start) / below for o in range(out)], np.float64)


# --- positions by scales: float32 -----------------------------------------------------------------

_half, _one = np.float32(0.5), np.float32(1)


def _half_pixel(a: Axis, o: np.ndarray, s: np.float32) -> np.ndarray:
    return (o + _half) / s - _half


def _half_pixel_symmetric(a: Axis, o: np.ndarray, s: np.float32) -> np.ndarray:
    n = np.float32(a.size)
    margin = np.float64(n / 2 * (_one - np.float32(a.out) / (s * n)))
    return (margin + (o + np.float64(0.5)) / np.float64(s) - 0.5).astype(np.float32)


def _crop_and_resize(a: Axis, o: np.ndarray, s: np.float32) -> np.ndarray:
    (low, high), last = map(np.float32, a.roi), np.float32(a.size - 1)
    if a.out <= 1:
        return np.float32(0.5 * np.float64(low + high) * np.float64(last)) + o
    return low * last + o * (high - low) * last / np.float32(a.out - 1)


# rule -> (axis, float32 indices of the output, scale) -> float32 positions in the input
_FORMULAS: dict[str, Callable[[Axis, np.ndarray, np.float32], np.ndarray]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda a, o, s: _half_pixel(a, o, s) if a.out > 1 else o,
    "asymmetric": lambda _, o, s: o / s,
    "tf_half_pixel_for_nn": lambda _, o, s: (o + _half) / s,
    "tf_crop_and_resize": _crop_and_resize,
}


RULES = tuple(_LINES)  # ONNX's coordinate_transformation_mode


def _exact(a: Axis, rule: str) -> bool:
    """Whether positions come from whole extents, rather than a float32 scale or region."""
    if rule == "align_corners":
        return isinstance(a.scale, Fraction) or np.float32(a.size) * a.scale == a.out
    return isinstance(a.scale, Fraction) and (rule != "tf_crop_and_resize" or a.is_whole)


def positions(a: Axis, rule: str) -> np.ndarray:
    """The position in the input, a real number, of each output: float64 ``[out]``.

    ``rule`` is one of ``RULES``.
    """
    if not a.out:
        return np.zeros(0)
    if rule == "align_corners":
        length = a.size * a.ratio if isinstance(a.scale, Fraction) or not _exact(a, rule) else a.out
        return _on_line(_corners(a.size, Fraction(length)), a.out)
    if _exact(a, rule):
        return _on_line(_LINES[rule](a, 1 / a.ratio), a.out)
    o, s = np.arange(a.out, dtype=np.float32), np.float32(float(a.scale))
    return _FORMULAS[rule](a, o, s).astype(np.float64)


# --- tables ---------------------------------------------------------------------------------------

ROUNDINGS: dict[str, Kernel] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def nearest(a: Axis, rule: str, rounding: str) -> np.ndarray:
    """The element that each output reads: int32 ``[out]`` in ``[0, size)``.

    ``rounding`` is one of ``ROUNDINGS``, ONNX's nearest_mode.
    """
    at = positions(a, rule)
    if rounding.startswith("round") and not _exact(a, rule):
        low = np.floor(at)
        at = np.where(np.abs(at - low - 0.5) <= TIE, low + 0.5, at)
    return np.clip(ROUNDINGS[rounding](at), 0, a.size - 1).astype(np.int32)


def linear_kernel(d: np.ndarray) -> np.ndarray:
    """The weight of an element at distance ``d``; zero from 1 on."""
    return np.maximum(1 - np.abs(d), 0)


def cubic_kernel(a: float) -> Kernel:
    """The weights of Keys, "Cubic convolution interpolation for digital image processing", 1981;
    zero from 2 on."""

    def kernel(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((d - 5) * d + 8) * d * a - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return kernel


def tap_count(a: Axis, reach: int, antialias: bool) -> int:
    """How many taps the tables of :func:`weighted` have."""
    return 2 - 2 * _first_tap(a, reach, antialias)


def _first_tap(a: Axis, reach: int, antialias: bool) -> int:
    return math.floor(-reach / _stretch(a, antialias)) + 1


def _stretch(a: Axis, antialias: bool) -> Fraction:
    """How much of a kernel's width is left of a distance: less than all where it is stretched."""
    return min(a.ratio, Fraction(1)) if antialias else Fraction(1)


def weighted(
    a: Axis, at: np.ndarray, kernel: Kernel, reach: int, *, antialias: bool, exclude: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices int32 and weights float32, each ``[out, taps]``, of a kernel that is zero from
    ``reach`` on.

    With ``antialias`` the kernel is stretched when the image shrinks, so that every element counts.
    With ``exclude`` elements outside have no weight; without, the outermost stand for them.
    """
    start = _first_tap(a, reach, antialias)
    left = np.ceil(at).astype(np.int64) - 1  # at is in (left, left + 1]
    taps = np.arange(start, 2 - start)
    weight = kernel((taps[None, :] - (at - left)[:, None]) * float(_stretch(a, antialias)))
    index = left[:, None] + taps[None, :]
    if exclude:
        weight = np.where((index < 0) | (index >= a.size), 0, weight)
    if antialias or exclude:
        total = weight.sum(axis=1, keepdims=True)
        weight = weight / np.where(total == 0, 1, total)
    return np.clip(index, 0, a.size - 1).astype(np.int32), weight.astype(np.float32)


def inside(a: Axis, at: np.ndarray) -> np.ndarray:
    """Which positions lie on the axis; ``tf_crop_and_resize`` extrapolates at the others."""
    return (at >= 0) & (at <= a.size - 1)
