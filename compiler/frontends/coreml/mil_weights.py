"""Compressed weights, which are decompressed when a model is read; quantisation of data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...types import MAX_ELEMENTS
from .mil_context import MilContext, MilConverter


def _need(n: MilContext, key: str) -> np.ndarray:
    value = n.value(key)
    if value is None:
        n.error(f"its argument {key!r} is missing.")
    return value


def along(n: MilContext, value: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """A scalar or a vector so that it lies along an axis."""
    if value.size == 1:
        return value.reshape(())
    if value.ndim != 1:
        n.error(f"a scale or an offset is {list(value.shape)}, not a vector.")
    return value.reshape([-1 if k == axis else 1 for k in range(rank)])


def _affine(n: MilContext) -> str:
    data, scale, zero = (_need(n, k) for k in ("quantized_data", "scale", "zero_point"))
    axis = n.counted(int(n.number("axis", 0)), max(data.ndim, 1))
    scale, zero = (along(n, v, data.ndim, axis).astype(np.float32) for v in (scale, zero))
    return n.constant((data.astype(np.float32) - zero) * scale)


def _size(n: MilContext, shape: Sequence[int]) -> int:
    size = math.prod(shape)
    if min(shape, default=1) < 0 or size > MAX_ELEMENTS:
        n.error(f"the shape {list(shape)} is none of a tensor.")
    return size


def _bits(n: MilContext, data: np.ndarray, bits: int, size: int) -> np.ndarray:
    """Integers of a few bits, from the lowest bits of each byte on."""
    if data.dtype != np.uint8 or data.size != -(-size * bits // 8):
        n.error(f"{size} numbers of {bits} bits do not lie in {data.size} bytes.")
    stream = np.unpackbits(data.reshape(-1), bitorder="little")[: size * bits]
    return np.packbits(stream.reshape(size, bits), axis=1, bitorder="little").reshape(-1)


def _palette(n: MilContext) -> str:
    lut, indices = _need(n, "lut"), _need(n, "indices")
    if n.has("shape"):  # iOS 16: packed indices of one table
        shape = n.ints("shape")
        bits = (lut.size - 1).bit_length()
        if lut.ndim != 1 or not 1 <= bits <= 8 or lut.size != 1 << bits:
            n.error(f"a palette of {lut.size} values is none.")
        return n.constant(lut[_bits(n, indices, bits, _size(n, shape))].reshape(shape))
    if lut.ndim != indices.ndim + 2 or any(
        not t or i % t for i, t in zip(indices.shape, lut.shape)
    ):
        n.error(f"tables {list(lut.shape)} do not fit indices {list(indices.shape)}.")
    if indices.size and int(indices.max()) >= lut.shape[-2]:
        n.error(f"an index is beyond the {lut.shape[-2]} values of a table.")
    groups = [i // t for i, t in zip(indices.shape, lut.shape)]
    which = np.ix_(*(np.arange(i) // g for i, g in zip(indices.shape, groups)))
    found = lut[(*which, indices.astype(np.int64))]  # [indices, vector]
    length = lut.shape[-1]
    if length == 1:
        return n.constant(found[..., 0])
    axis = n.counted(int(n.number("vector_axis")), indices.ndim)
    _size(n, found.shape)
    shape = [d * length if k == axis else d for k, d in enumerate(indices.shape)]
    return n.constant(np.moveaxis(found, -1, axis + 1).reshape(shape))


def _blockwise(n: MilContext, data: np.ndarray) -> np.ndarray:
    scale, offset = _need(n, "scale"), n.value("offset")
    if scale.ndim != data.ndim or any(not s or d % s for d, s in zip(data.shape, scale.shape)):
        n.error(f"scales {list(scale.shape)} do not fit data {list(data.shape)}.")
    if offset is not None and offset.shape != scale.shape:
        n.error(f"offsets {list(offset.shape)} do not fit scales {list(scale.shape)}.")

    def spread(values: np.ndarray) -> np.ndarray:
        for axis, (d, s) in enumerate(zip(data.shape, scale.shape)):
            values = np.repeat(values, d // s, axis) if d != s else values
        return values.astype(np.float32)

    shifted = data.astype(np.float32) - (0 if offset is None else spread(offset))
    return spread(scale) * shifted


def _shift_scale(n: MilContext) -> str:
    return n.constant(_blockwise(n, _need(n, "data")))


def _dense(n: MilContext, mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values where a mask has bits, else zeros."""
    places = mask.reshape(-1) != 0
    if int(places.sum()) != values.size:
        n.error(f"{values.size} values do not fit a mask with {int(places.sum())} bits.")
    made = np.zeros(places.size, values.dtype)
    made[places] = values.reshape(-1)
    return made.reshape(mask.shape)


def _sparse(n: MilContext) -> str:
    mask, values = _need(n, "mask"), _need(n, "nonzero_data")
    if n.has("shape"):
        shape = n.ints("shape")
        mask = _bits(n, mask, 1, _size(n, shape)).reshape(shape)
    return n.constant(_dense(n, mask, values))


def _lut_to_sparse(n: MilContext) -> list[str]:
    """Values of a palette, without the zeros between them, and the mask of where they are."""
    mask, data, lut = (_need(n, k) for k in ("indices_mask", "indices_nonzero_data", "lut"))
    if lut.shape[-1] != 1:
        n.unsupported("a sparse palette of vectors")
    if lut.ndim != mask.ndim + 2 or any(not t or d % t for d, t in zip(mask.shape, lut.shape)):
        n.error(f"tables {list(lut.shape)} do not fit a mask {list(mask.shape)}.")
    indices = _dense(n, mask, data).astype(np.int64)
    if indices.size and int(indices.max()) >= lut.shape[-2]:
        n.error(f"an index is beyond the {lut.shape[-2]} values of a table.")
    which = np.ix_(*(np.arange(d) // (d // t) for d, t in zip(mask.shape, lut.shape)))
    found = lut[(*which, indices)][..., 0]
    return [n.constant(mask), n.constant(found[mask != 0])]


def _sparse_shift_scale(n: MilContext) -> list[str]:
    mask, data = _need(n, "data_mask"), _need(n, "nonzero_data")
    found = _blockwise(n, _dense(n, mask, data))
    return [n.constant(mask), n.constant(found[mask != 0])]


def _constexpr_cast(n: MilContext) -> str:
    return n.constant(_need(n, "source_val").astype(np.float32))


# --- data -------------------------------------------------------------------------------------


def _scales(n: MilContext) -> tuple[list[str], int]:
    """Scale and zero point, and their axis."""
    axis = n.axis("axis", 0, of="input") if n.has("axis") else 0
    return [n.arg("scale"), *n.args("zero_point")], axis


def _quantize(n: MilContext) -> str:
    more, axis = _scales(n)
    return n.add("quantize_linear", [n.arg("input"), *more], axis=axis, to=n.text("output_dtype"))


def _dequantize(n: MilContext) -> str:
    more, axis = _scales(n)
    return n.add("dequantize_linear", [n.arg("input"), *more], axis=axis)


CONVERTERS: dict[str, MilConverter] = {
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _shift_scale,
    "constexpr_cast": _constexpr_cast,
    "constexpr_lut_to_dense": _palette,
    "constexpr_lut_to_sparse": _lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": _sparse_shift_scale,
    "constexpr_sparse_to_dense": _sparse,
    "dequantize": _dequantize,
    "quantize": _quantize,
}
