"""How a flat tensor lies in a texture array; ``runtime_js/texture.js`` is the same in JavaScript.

A tensor is ``ceil(size / 4)`` RGBA texels. Texel t lies in layer ``t % layers`` at
``x = t // layers % width``, ``y = t // layers // width``: a fragment at (x, y) that writes all
layers writes ``4 * layers`` neighbouring elements. The code of kernels and the runtime agree on
the shape because both ask :func:`texture_shape`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .dtype import DType
from .errors import DeviceError


class TextureShape(NamedTuple):
    """``width`` is a power of two."""

    width: int
    height: int
    layers: int


def texture_shape(size: int, layers: int, max_texture_size: int) -> TextureShape:
    """The shape of the texture of a tensor of ``size`` elements: about square, so that neither side
    meets the limit before the other.

    Raises :class:`DeviceError` when no shape fits.
    """
    fragments = max(1, -(-size // (4 * layers)))
    width = 1
    while width * width < fragments and 2 * width <= max_texture_size:
        width *= 2
    height = -(-fragments // width)
    if height > max_texture_size:
        raise DeviceError(
            f"a tensor of {size} elements does not fit a texture of {layers} layers of "
            f"{max_texture_size} by {max_texture_size}.",
            hint="compile for a larger -max_texture_size, or for the wasm target",
        )
    return TextureShape(width, height, layers)


def texel_dtype(dtype: DType) -> np.dtype:
    """What a texture holds for elements of ``dtype``: float32, int32 or uint32."""
    if dtype.is_float:
        return np.dtype(np.float32)
    return np.dtype(np.uint32 if dtype.kind == "uint" else np.int32)


def to_texels(flat: np.ndarray, shape: TextureShape, dtype: np.dtype) -> np.ndarray:
    """Flat elements as ``[layer, y, x, RGBA]``; what they do not fill is zero."""
    grid = np.zeros(shape.height * shape.width * shape.layers * 4, dtype)
    grid[: flat.size] = flat
    grid = grid.reshape(shape.height * shape.width, shape.layers, 4).transpose(1, 0, 2)
    return np.ascontiguousarray(grid).reshape(shape.layers, shape.height, shape.width, 4)


def from_texels(texels: np.ndarray, size: int) -> np.ndarray:
    """The flat elements of ``[layer, y, x, RGBA]``; the inverse of :func:`to_texels`."""
    layers = texels.shape[0]
    return texels.reshape(layers, -1, 4).transpose(1, 0, 2).reshape(-1)[:size]
