"""Tensors of a file: element types, what their buffers hold, and how they are quantised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....runtime.dtype import DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from .flatbuffer import Flat, Table
from .schema import TABLES
from .sparse import densified

TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64",
    "int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4",
    "bfloat16", "int2", "uint4", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip
_PACKED = {"int4": 4, "int2": 2, "uint4": 4}  # bits; held as int8 or uint8


def type_name(code: int, where: str) -> str:
    """The name of an element type. Raises :class:`ModelError` for one that there is not."""
    if not 0 <= code < len(TYPES):
        raise ModelError(f"there is no element type {code}.", where=where)
    return TYPES[code]


def held(code: int, where: str) -> DType:
    """weft's type for an element type. Raises :class:`UnsupportedError` for one it has not."""
    name = type_name(code, where)
    if name in _PACKED:
        return dtype_of("uint8" if name[0] == "u" else "int8")
    if name in ("string", "complex64", "complex128", "resource", "variant") or "float8" in name:
        raise UnsupportedError(f"weft has no tensors of {name}.", where=where)
    return dtype_of(name)


@dataclass(frozen=True)
class Quant:
    """real = scale * (stored - zero): one scale and zero point, or one an index of ``axis``."""

    scale: np.ndarray  # float32 [n]
    zero: np.ndarray  # int64 [n]
    axis: int = 0

    @property
    def is_scalar(self) -> bool:
        """Whether there is one scale for all."""
        return self.scale.size == 1

    @property
    def one(self) -> tuple[np.float32, int]:
        """The scale and the zero point of a tensor that has one of each."""
        return self.scale[0], int(self.zero[0])


@dataclass(frozen=True)
class Info:
    """What the file says of a tensor: its element type as weft holds it (None: one it has not),
    its shape (None: none is stated), how it is quantised."""

    dtype: DType | None
    shape: tuple[int, ...] | None
    quant: Quant | None
    kind: str
    is_variable: bool = False


def info(t: Table, where: str) -> Info:
    """What a ``Tensor`` says. Raises :class:`ModelError`."""
    kind = type_name(t.get("type"), where)
    try:
        dtype = held(t.get("type"), where)
    except UnsupportedError:
        dtype = None
    shape = tuple(t.numbers("shape"))
    signature = tuple(t.numbers("shape_signature"))
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise ModelError(f"its shape is {list(shape)}.", where=where)
    known = bool(shape) or t.get("has_rank") or not signature
    return Info(dtype, shape if known else None, _quant(t, shape, where), kind,
                t.get("is_variable"))  # fmt: skip


def _quant(t: Table, shape: Sequence[int], where: str) -> Quant | None:
    q = t.table("quantization", TABLES["QuantizationParameters"])
    if q is None:
        return None
    scale, zero = q.array("scale"), q.array("zero_point")
    if not scale.size:
        return None
    if q.get("details_type"):
        raise UnsupportedError("its quantisation is not one of scales along an axis.", where=where)
    axis = q.get("quantized_dimension")
    if not zero.size:
        zero = np.zeros(scale.size, np.int64)
    if zero.size == 1:
        zero = np.repeat(zero, scale.size)
    fits = scale.size == 1 or (0 <= axis < len(shape) and shape[axis] == scale.size)
    if zero.size != scale.size or not fits or not np.all(np.isfinite(scale)):
        raise ModelError(
            f"it has {scale.size} scales and {zero.size} zero points along axis {axis} of "
            f"{list(shape)}.", where=where,
        )  # fmt: skip
    return Quant(scale, zero, axis)


def contents(flat: Flat, buffer: Table) -> memoryview:
    """The bytes of a ``Buffer``, which may lie behind the flatbuffer in a large file."""
    offset, size = buffer.get("offset"), buffer.get("size")
    if offset > 1 and size:
        if offset + size > len(flat.data):
            raise flat.fail("a buffer goes on behind its end")
        return memoryview(flat.data)[offset : offset + size]
    return buffer.block("data")


def constant(t: Table, data: memoryview, facts: Info, where: str) -> np.ndarray:
    """The array of a tensor that has a buffer. Raises :class:`ModelError` where it does not fit."""
    if facts.dtype is None:
        raise UnsupportedError(f"weft has no tensors of {facts.kind}.", where=where)
    shape = facts.shape or ()
    sparsity = t.table("sparsity", TABLES["SparsityParameters"])
    if sparsity is not None:
        if facts.kind in _PACKED:
            raise UnsupportedError(f"sparse tensors of {facts.kind}", where=where)
        return densified(sparsity, data, shape, facts.dtype.numpy, where)
    n = math.prod(shape)
    if facts.kind in _PACKED:
        return _unpacked(data, facts.kind, n, where).reshape(shape)
    dtype = facts.dtype.numpy
    if len(data) != n * dtype.itemsize:
        raise ModelError(
            f"its buffer has {len(data)} bytes, {facts.kind}{list(shape)} {n * dtype.itemsize}.",
            where=where,
        )
    if facts.dtype.is_bool:
        return (np.frombuffer(data, np.uint8) != 0).reshape(shape)
    return np.frombuffer(data, dtype).reshape(shape)


def _unpacked(data: memoryview, kind: str, n: int, where: str) -> np.ndarray:
    """Elements of less than a byte, the first in the low bits."""
    bits = _PACKED[kind]
    per = 8 // bits
    if len(data) != -(-n // per):
        raise ModelError(f"its buffer has {len(data)} bytes for {n} of {kind}.", where=where)
    raw = np.frombuffer(data, np.uint8)
    parts = np.stack([(raw >> (bits * k)) & ((1 << bits) - 1) for k in range(per)], -1)
    values = parts.reshape(-1)[:n]
    if kind[0] == "u":
        return values
    signed = values.astype(np.int8)
    return np.where(signed >= 1 << (bits - 1), signed - (1 << bits), signed).astype(np.int8)


__all__ = ["TYPES", "Info", "Quant", "constant", "contents", "held", "info", "type_name"]
