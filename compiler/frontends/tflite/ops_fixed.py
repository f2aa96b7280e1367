"""Functions that the reference kernels of TensorFlow Lite compute in fixed-point numbers of their
own: hard swish by a table of what they make of each number, and images that are resized."""

from __future__ import annotations

import numpy as np

from ..images import channels_first, channels_last
from . import ops_math
from .context import Converter, TfliteContext
from .quantised import alike, multipliers, per_tensor, table_of, through_floats
from .tensors import Quant

_ONE = 1 << 10  # of the positions in a resized image


def _int16_multiplier(real: np.float32) -> tuple[int, int]:
    """A multiplier of 16 bits and its exponent."""
    fixed, shift = multipliers(np.asarray(np.float64(real)))
    return min((int(fixed) + (1 << 15)) >> 16, (1 << 15) - 1), int(shift)


def _high(x: np.ndarray, y: np.ndarray | int, *, rounds: bool) -> np.ndarray:
    """The high half of the doubled product of 16-bit numbers, which saturates."""
    product = x * y
    if rounds:
        product = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    high = np.sign(product) * (np.abs(product) >> 15)
    return np.minimum(high, (1 << 15) - 1)


def _divided(x: np.ndarray, exponent: int) -> np.ndarray:
    """x / 2^exponent to the nearest, halves away from 0."""
    if exponent <= 0:
        return x
    return np.sign(x) * ((np.abs(x) + (1 << (exponent - 1))) >> exponent)


def _saturated(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def hard_swish(x: np.ndarray, given: Quant, made: Quant) -> np.ndarray:
    """x * relu6(x + 3) / 6 of 8-bit numbers, int64; the results still have to be cut to 8 bits
    (``reference_ops::HardSwish``)."""
    (scale, zero), (out, shift) = given.one, made.one
    fine = np.float32(1 / 128) * scale
    m, e = _int16_multiplier(fine / out)
    relu_m, relu_e = _int16_multiplier(fine / np.float32(3 / 32768))
    value = (x.astype(np.int64) - zero) * 128
    onto = _high(value, m, rounds=True)
    share = value
    if relu_e > 0:
        share = _saturated(share << (relu_e - 1))
    share = _high(share, relu_m, rounds=True)
    if relu_e > 0:
        share = _saturated(share << 1)
    if relu_e < 0:
        share = _divided(share, -relu_e)
    share = (share + (1 << 15)) >> 1
    return _divided(_high(share, onto, rounds=False), -e) + shift


def _hard_swish(n: TfliteContext) -> str:
    dtype = n.required(0).dtype
    given, made = n.quant(0), n.out_quant()
    scale, _ = per_tensor(n, given, "its input")
    out, _ = per_tensor(n, made, "its result")
    assert given is not None and made is not None
    if dtype.bits != 8 or n.out_dtype() != dtype or scale / 128 > out:
        return through_floats(n, ops_math.CONVERTERS[n.op])[0]
    every = np.arange(dtype.min, dtype.max + 1)
    found = np.clip(hard_swish(every, given, made), dtype.min, dtype.max)
    return table_of(n, n.constant(found.astype(dtype.numpy)))


def _position(size: int, out: int, corners: bool, half: bool) -> tuple[np.ndarray, ...]:
    """For each output: the elements on both sides, and the weight of the second, of 1024."""
    if corners and out > 1:
        step = (_ONE * (size - 1) + (out - 1) // 2) // (out - 1)
    else:
        step = (_ONE * size + out // 2) // out
    at = np.arange(out, dtype=np.int64) * step
    if half:
        at = at + step // 2 - _ONE // 2
    low = np.maximum(at, 0) // _ONE
    high = np.minimum(np.maximum(at + _ONE - 1, 0) // _ONE, size - 1)
    return np.minimum(low, size - 1), high, at - _ONE * low


def _resize_bilinear(n: TfliteContext) -> str:
    """``reference_ops::ResizeBilinearInteger``: weights of ten bits along each axis, one rounding
    at the end, halves away from 0."""
    t, size = n.required(0), n.ints(1)
    if len(t.shape) != 4 or len(size) != 2 or min(size) < 1 or not t.size:
        n.error(f"it resizes {t} to {size}.")
    if not alike(n):
        n.unsupported("an image that is resized to another scale")
    n.checked([t.shape[0], *size, t.shape[3]])
    corners, half = (bool(n.attr(k, False)) for k in ("align_corners", "half_pixel_centers"))
    wide = "int32" if t.dtype.bits == 8 else "int64"
    y = channels_first(n, n.add("cast", n.inputs[:1], to=wide))
    for axis, out in ((2, size[0]), (3, size[1])):
        low, high, weight = _position(t.shape[axis - 1], out, corners, half)
        shape = [-1 if k == axis else 1 for k in range(4)]
        parts = []
        for index, share in ((low, _ONE - weight), (high, weight)):
            part = n.add("gather", [y, n.constant(index.astype(np.int32))], axis=axis, wrap=False)
            parts.append(n.add("mul", [part, n.constant(share.astype(wide).reshape(shape))]))
        y = n.add("add", parts)
    more = n.add("where", [n.add("greater", [y, n.full(0, y)]), n.full(1 << 19, y),
                           n.full(-(1 << 19), y)])  # fmt: skip
    y = n.add("div", [n.add("add", [y, more]), n.full(1 << 20, y)])
    return channels_last(n, n.add("cast", [y], to=str(t.dtype)))


CONVERTERS: dict[str, Converter] = {
    "HARD_SWISH": _hard_swish,
    "RESIZE_BILINEAR": _resize_bilinear,
}
