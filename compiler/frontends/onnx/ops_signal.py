"""Discrete Fourier transforms as products with constant matrices, and mel filters.

A long transform is split by its factors (Cooley, Tukey, "An Algorithm for the Machine Calculation
of Complex Fourier Series", 1965), so that no matrix is larger than the largest prime factor or
``DIRECT``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .compose import cast, concat, op, reshape, scaled, shape_of, transpose
from .context import Converter, NodeContext
from .integers import axis_of
from .ops_cut import cut
from .ops_math import scalar
from .tensors import onnx_dtype

DIRECT = 512  # up to here one matrix is better than two and what lies between them
MOST = 4096  # extent of one matrix

Pair = tuple[str, str]  # real and imaginary part; "" for an imaginary part of zeros


def _turn(rows: int, columns: int, length: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of ``sign * 2π j k / length``, ``[rows, columns]``, in float64."""
    turns = np.outer(np.arange(rows), np.arange(columns)) % length
    angle = turns * (sign * 2 * math.pi / length)
    return np.cos(angle), np.sin(angle)


def _times(n: NodeContext, x: Pair, by: tuple[str, str], product: str) -> Pair:
    """``x`` by a complex constant, element by element or as matrices."""
    cos, sin = by
    real, imag = op(n, product, x[0], cos), op(n, product, x[0], sin)
    if x[1]:
        real = op(n, "sub", real, op(n, product, x[1], sin))
        imag = op(n, "add", imag, op(n, product, x[1], cos))
    return real, imag


def _constants(n: NodeContext, x: Pair, parts: Sequence[np.ndarray]) -> tuple[str, str]:
    dtype = n.typeof(x[0]).dtype.numpy
    a, b = (n.constant(p.astype(dtype)) for p in parts)
    return a, b


def _factor(length: int) -> int:
    """The divisor of ``length`` next to its root; 1 of a prime."""
    return max(d for d in range(1, math.isqrt(length) + 1) if length % d == 0)


def _each(n: NodeContext, x: Pair, shape: Sequence[int], perm: Sequence[int] = ()) -> Pair:
    """Both parts reshaped to ``shape``, then transposed by ``perm``."""
    real, imag = (p and reshape(n, p, shape) for p in x)
    if perm:
        real, imag = (p and transpose(n, p, perm) for p in (real, imag))
    return real, imag


def _transform(n: NodeContext, x: Pair, sign: int, bins: int) -> Pair:
    """The first ``bins`` frequencies of ``[rows, length]``, not scaled."""
    rows, length = n.typeof(x[0]).shape
    few = 1 if length <= DIRECT else _factor(length)
    if few == 1:
        if length > MOST:
            n.unsupported(f"a transform of the length {length}, whose prime factors are too large")
        return _times(n, x, _constants(n, x, _turn(length, bins, length, sign)), "matmul")
    many = length // few
    # x[j1 many + j2]: transforms over j1, a turn by j2 k1, transforms over j2; X[k1 + few k2].
    x = _each(n, _each(n, x, (rows, few, many), (0, 2, 1)), (rows * many, few))
    x = _each(n, _transform(n, x, sign, few), (rows, many, few))
    x = _times(n, x, _constants(n, x, _turn(many, few, length, sign)), "mul")
    x = _each(n, _each(n, x, (rows, many, few), (0, 2, 1)), (rows * few, many))
    x = _each(n, _transform(n, x, sign, many), (rows, few, many), (0, 2, 1))
    real, imag = (cut(n, reshape(n, p, (rows, length)), 1, 0, bins) for p in x)
    return real, imag


def _fit(n: NodeContext, x: str, length: int) -> str:
    """``[rows, …]`` cut or filled with zeros to ``length`` columns."""
    have = n.typeof(x).shape[1]
    if have >= length:
        return cut(n, x, 1, 0, length)
    return n.add("pad", [x], pads=(0, 0, 0, length - have))


def forward(n: NodeContext, x: Pair, length: int, onesided: bool) -> Pair:
    """The spectrum of ``[rows, …]``."""
    if length < 1:
        n.error(f"the length of the transform is {length}.")
    fit = (_fit(n, x[0], length), x[1] and _fit(n, x[1], length))
    return _transform(n, fit, -1, length // 2 + 1 if onesided else length)


def backward(n: NodeContext, x: Pair, length: int, onesided: bool) -> Pair:
    """The signal of a spectrum ``[rows, …]``; a real one of the half ``onesided``."""
    if length < 1:
        n.error(f"the length of the transform is {length}.")
    if not onesided:
        fit = (_fit(n, x[0], length), x[1] and _fit(n, x[1], length))
        real, imag = _transform(n, fit, 1, length)
        return scaled(n, real, 1 / length), scaled(n, imag, 1 / length)
    bins = length // 2 + 1
    real, imag = _fit(n, x[0], bins), x[1] and _fit(n, x[1], bins)
    if length > DIRECT:  # the other half mirrors this one, conjugated
        last = (length - 1) // 2
        if last:
            real, imag = (p and _mirrored(n, p, last, s) for p, s in ((real, 1), (imag, -1)))
        return scaled(n, _transform(n, (real, imag), 1, length)[0], 1 / length), ""
    twice = np.full((bins, 1), 2.0)
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    cos, sin = _constants(n, x, [m * twice / length for m in _turn(bins, length, length, 1)])
    y = op(n, "matmul", real, cos)
    return (op(n, "sub", y, op(n, "matmul", imag, sin)) if imag else y), ""


def _mirrored(n: NodeContext, x: str, last: int, sign: int) -> str:
    """``x`` followed by its columns ``last`` to 1, times ``sign``."""
    rows = n.typeof(x).shape[0]
    other = n.add("slice", [x], starts=(0, last), shape=(rows, last), steps=(1, -1))
    return concat(n, [x, scaled(n, other, sign)], 1)


def along(
    n: NodeContext, x: str, axis: int, length: int | None, *, inverse: bool, onesided: bool
) -> str:
    """The transform of ``[…, 1 | 2]``, real and imaginary parts last, along ``axis``."""
    shape, dtype = n.typeof(x).shape, str(n.typeof(x).dtype)
    if shape[-1] not in (1, 2):
        n.error(f"the last axis of {list(shape)} is neither 1 (real) nor 2 (complex).")
    x = cast(n, x, "float64" if dtype == "float64" else "float32")
    ndim = len(shape) - 1
    order = [*(k for k in range(ndim) if k != axis), axis]
    back = [order.index(k) for k in range(ndim)]
    outer = [shape[k] for k in order[:-1]]
    if length is None:
        length = 2 * (shape[axis] - 1) if inverse and onesided else shape[axis]

    def part(k: int) -> str:
        flat = transpose(n, reshape(n, cut(n, x, ndim, k, 1), shape[:-1]), order)
        return reshape(n, flat, (math.prod(outer), shape[axis]))

    pair = (part(0), part(1) if shape[-1] == 2 else "")
    results = (backward if inverse else forward)(n, pair, length, onesided)
    parts = []
    for y in filter(None, results):
        y = transpose(n, reshape(n, y, (*outer, n.typeof(y).shape[1])), back)
        parts.append(reshape(n, y, (*n.typeof(y).shape, 1)))
    return cast(n, concat(n, parts, ndim), dtype)


def _dft(n: NodeContext) -> str:
    """The axis is an attribute before opset 20, then an input."""
    ndim = len(shape_of(n, 0))
    axis = n.attr("axis", 1) if n.opset < 20 else scalar(n, 2)
    axis = axis_of(n, int(-2 if axis is None else axis), ndim)
    if axis == ndim - 1:
        n.error("the last axis holds real and imaginary parts; it cannot be transformed.")
    length = scalar(n, 1)
    return along(
        n,
        n.inputs[0],
        axis,
        None if length is None else int(length),
        inverse=bool(n.attr("inverse", 0)),
        onesided=bool(n.attr("onesided", 0)),
    )


def _stft(n: NodeContext) -> str:
    """Frames of the signal, times the window, transformed: ``[batch, frames, bins, 2]``."""
    shape = shape_of(n, 0, 2, 3)
    batch, total = shape[:2]
    step, given = int(scalar(n, 1) or 0), scalar(n, 3)
    window = n.type(2)
    length = int(given) if given is not None else window.shape[0] if window else total
    if window is not None and window.shape != (length,):
        n.error(f"the window is {window}, the frames have the length {length}.")
    if step < 1 or not 0 < length <= total:
        n.error(f"frames of {length} every {step} samples of {total}.")
    starts = np.arange(0, total - length + 1, step)
    places = n.constant((starts[:, None] + np.arange(length)).astype(np.int64))
    x = n.add(
        "gather", [reshape(n, n.inputs[0], (*shape[:2], *(shape[2:] or (1,)))), places], axis=1
    )
    if window is not None:
        x = op(n, "mul", x, reshape(n, n.input(2), (length, 1)))
    assert n.typeof(x).shape[:3] == (batch, len(starts), length)
    return along(n, x, 2, length, inverse=False, onesided=bool(n.attr("onesided", 1)))


def rfft(n: NodeContext) -> str:
    """Rfft of com.microsoft: the last ``signal_ndim`` axes of a real tensor."""
    ndim, count = len(shape_of(n, 0)), _signal(n, 0)
    onesided = bool(n.attr("onesided", 1))
    x = reshape(n, n.inputs[0], (*shape_of(n, 0), 1))
    x = along(n, x, ndim - 1, None, inverse=False, onesided=onesided)
    for axis in range(ndim - count, ndim - 1):
        x = along(n, x, axis, None, inverse=False, onesided=False)
    return x


def irfft(n: NodeContext) -> str:
    """Irfft of com.microsoft: back to a real tensor from ``[…, 2]``."""
    ndim, count = len(shape_of(n, 0)) - 1, _signal(n, 1)
    x = n.inputs[0]
    for axis in range(ndim - count, ndim - 1):
        x = along(n, x, axis, None, inverse=True, onesided=False)
    x = along(n, x, ndim - 1, None, inverse=True, onesided=bool(n.attr("onesided", 1)))
    x = cut(n, x, ndim, 0, 1)
    return reshape(n, x, n.typeof(x).shape[:-1])


def _signal(n: NodeContext, extra: int) -> int:
    """``signal_ndim``, checked; ``extra`` axes hold no signal."""
    count = n.attr("signal_ndim", 1)
    if n.attr("normalized", 0):
        n.unsupported("normalized = 1")
    if not 1 <= count <= min(3, len(shape_of(n, 0)) - extra):
        n.error(f"signal_ndim is {count} for {list(shape_of(n, 0))}.")
    return count


def _mel_weights(n: NodeContext) -> str:
    """Triangular filters on the mel scale, ``[dft_length // 2 + 1, num_mel_bins]``."""
    found = [scalar(n, k) for k in range(5)]
    bands, length, rate, low, high = (0 if v is None else v for v in found)
    bands, rows = int(bands), int(length) // 2 + 1
    if bands < 0 or length < 1 or rate <= 0 or rows * bands > 1 << 26:
        n.error(f"{bands} bands of a transform of {length} at {rate} Hz.")
    mel_low, mel_high = (2595 * math.log10(1 + v / 700) for v in (low, high))
    mels = np.arange(bands + 2) * ((mel_high - mel_low) / (bands + 2)) + mel_low
    hertz = 700 * (10 ** (mels / 2595) - 1)
    bins = ((int(length) + 1) * hertz // rate).astype(np.int64)
    if bins.min() < 0 or (bands and bins[1:-1].max() >= rows) or bins[-1] > rows:
        n.error(f"the band from {low} to {high} Hz is not in a spectrum of {rate} Hz.")
    weights = np.zeros((rows, bands))
    for k in range(bands):
        left, centre, right = bins[k : k + 3]
        if centre == left:
            weights[centre, k] = 1
        else:
            weights[left : centre + 1, k] = np.arange(centre - left + 1) / (centre - left)
        if right > centre:
            weights[centre:right, k] = np.arange(right - centre, 0, -1) / (right - centre)
    to = onnx_dtype(n.attr("output_datatype", 1), n.where)
    return n.constant(weights.astype(to.numpy))


CONVERTERS: dict[str, Converter] = {"DFT": _dft, "MelWeightMatrix": _mel_weights, "STFT": _stft}
