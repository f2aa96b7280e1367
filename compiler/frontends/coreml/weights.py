"""Weights of neural networks: floats, halves, and integers of 1 to 8 bits that a line or a table
makes floats of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS


def stored(w: Any) -> np.ndarray:
    """The numbers of a ``WeightParams`` as the file has them: float32, float16, or bytes."""
    if w.floatValue:
        return np.array(w.floatValue, np.float32)
    if w.float16Value:
        return np.frombuffer(w.float16Value[: len(w.float16Value) // 2 * 2], "<f2")
    if w.int8RawValue:
        return np.frombuffer(w.int8RawValue, np.int8)
    return np.frombuffer(w.rawValue, np.uint8)


def weights(w: Any, shape: Sequence[int], where: str, axis: int = 0) -> np.ndarray:
    """The float32 array that a ``WeightParams`` is. ``axis`` is that of output channels, of which
    each may have a scale of its own. Raises :class:`ModelError` where the size is another one."""
    shape, size = tuple(shape), math.prod(shape)
    if size > MAX_ELEMENTS:
        raise ModelError(f"weights of {list(shape)} have {size} elements.", where=where)
    if w.int8RawValue:
        raise UnsupportedError("weights that make data int8 while it runs", where=where)
    if w.HasField("quantization") and w.rawValue:
        return _dequantised(w, shape, size, where, axis)
    found = stored(w).astype(np.float32)
    if w.rawValue or found.size != size or len(w.float16Value) % 2:
        raise ModelError(
            f"weights of {list(shape)} need {size} numbers, the file has {found.size}.",
            where=where,
        )
    return found.reshape(shape)


def _dequantised(w: Any, shape: tuple[int, ...], size: int, where: str, axis: int) -> np.ndarray:
    bits = w.quantization.numberOfBits
    if not 1 <= bits <= 8:
        raise ModelError(f"weights of {bits} bits are none.", where=where)
    if len(w.rawValue) != -(-size * bits // 8):
        raise ModelError(
            f"{size} numbers of {bits} bits do not lie in {len(w.rawValue)} bytes.", where=where
        )
    data = np.frombuffer(w.rawValue, np.uint8)
    if bits < 8:  # from the highest bits of each byte on
        stream = np.unpackbits(data)[: size * bits].reshape(size, bits)
        data = np.packbits(stream, axis=1).reshape(-1) >> (8 - bits)
    if w.quantization.HasField("lookupTableQuantization"):
        table = np.array(w.quantization.lookupTableQuantization.floatValue, np.float32)
        if table.size != 1 << bits:
            raise ModelError(f"a table of {table.size} for {bits} bits is none.", where=where)
        return table[data].reshape(shape)
    line = w.quantization.linearQuantization
    parts = []
    for values, default in ((line.scale, 1.0), (line.bias, 0.0)):
        part = np.array(values or [default], np.float32)
        if part.size != 1:
            if not shape or part.size != shape[axis]:
                raise ModelError(f"{part.size} scales do not fit {list(shape)}.", where=where)
            part = part.reshape([-1 if k == axis else 1 for k in range(len(shape))])
        parts.append(part)
    return data.reshape(shape).astype(np.float32) * parts[0] + parts[1]


class StoredWeights(Mapping[str, np.ndarray]):
    """Every ``WeightParams`` in layers, by the layer's name and the field's, as it is stored."""

    def __init__(self, layers: Sequence[tuple[str, Any]]):
        self.found: dict[str, Any] = {}
        for name, parameters in layers:
            self._walk(parameters, name)

    def _walk(self, message: Any, name: str) -> None:
        stack = [(message, name)]
        while stack:
            m, path = stack.pop()
            for field, value in m.ListFields():
                if field.message_type is None or field.message_type.name == "NeuralNetwork":
                    continue
                many = [value] if hasattr(value, "ListFields") else value
                for k, part in enumerate(many):
                    inner = f"{path}\0{field.name}{k}"
                    if field.message_type.name == "WeightParams":
                        self.found[inner] = part
                    else:
                        stack.append((part, inner))

    def __getitem__(self, name: str) -> np.ndarray:
        return stored(self.found[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


__all__ = ["StoredWeights", "stored", "weights"]
