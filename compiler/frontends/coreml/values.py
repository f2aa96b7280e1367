"""Values of programs: immediate ones, and those that lie in the package's files of weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ....runtime.dtype import DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from ..beside import confined, read_part

STRING = 2
_FLOAT16 = np.dtype("float16")

# MIL's number of an element type -> numpy's type of what holds it, bits as stored.
_TYPES: dict[int, tuple[np.dtype, int]] = {
    1: (np.dtype("bool"), 8),
    10: (_FLOAT16, 16),
    11: (np.dtype("float32"), 32),
    12: (np.dtype("float64"), 64),
    13: (np.dtype(ml_dtypes.bfloat16), 16),
    21: (np.dtype("int8"), 8),
    22: (np.dtype("int16"), 16),
    23: (np.dtype("int32"), 32),
    24: (np.dtype("int64"), 64),
    25: (np.dtype("int8"), 4),
    31: (np.dtype("uint8"), 8),
    32: (np.dtype("uint16"), 16),
    33: (np.dtype("uint32"), 32),
    34: (np.dtype("uint64"), 64),
    35: (np.dtype("uint8"), 4),
    36: (np.dtype("uint8"), 2),
    37: (np.dtype("uint8"), 1),
    38: (np.dtype("uint8"), 6),
    39: (np.dtype("uint8"), 3),
    40: (np.dtype(ml_dtypes.float8_e4m3fn), 8),
    41: (np.dtype(ml_dtypes.float8_e5m2), 8),
}
# The number of an element type in a file of weights (version 2) -> MIL's.
_BLOBS = {1: 10, 2: 11, 3: 31, 4: 21, 5: 13, 6: 22, 7: 32, 8: 25, 9: 37, 10: 36, 11: 35, 12: 39,
          13: 38, 14: 23, 15: 33, 16: 40, 17: 41}  # fmt: skip
_SENTINEL, _HEADER = 0xDEADBEEF, struct.Struct("<IIQQ")
_FIELDS = {"floats": np.float32, "ints": np.int32, "bools": np.bool_, "longInts": np.int64,
           "doubles": np.float64}  # fmt: skip
_OURS = "@model_path/"
_SMALL_FLOATS = (40, 41)


def is_half(code: int) -> bool:
    """Whether MIL's element type is float16."""
    return code == 10


def element_type(code: int, where: str) -> DType:
    """weft's type for tensors of MIL's element type; float16 is itself.

    Raises :class:`UnsupportedError` for what it has not, :class:`ModelError` for what there is
    not."""
    if code not in _TYPES:
        if code == STRING:
            raise UnsupportedError("weft has no tensors of strings.", where=where)
        raise ModelError(f"there is no element type {code}.", where=where)
    if code in _SMALL_FLOATS:
        raise UnsupportedError("weft has no tensors of 8-bit floats here.", where=where)
    return dtype_of(_TYPES[code][0])


def shape_of(tensor: Any, where: str) -> tuple[int, ...]:
    """The extents of a ``TensorType`` that has them all."""
    if not all(d.HasField("constant") for d in tensor.dimensions):
        raise ModelError("a constant has an extent that is not known.", where=where)
    shape = tuple(d.constant.size for d in tensor.dimensions)
    if math.prod(shape) > MAX_ELEMENTS:
        raise ModelError(
            f"the shape {list(shape)} has {math.prod(shape)} elements; {MAX_ELEMENTS} is the most.",
            where=where,
        )
    return shape


class Values:
    """Reads values of one model, whose files of weights lie below ``folder``."""

    def __init__(self, folder: Path | None, file: str):
        self.folder, self.file = folder, file
        self._blobs: dict[tuple[str, int], tuple[int, bytes]] = {}

    def text(self, value: Any, where: str) -> str | tuple[Any, ...] | None:
        """The string that a ``Value`` is, or a tuple for a list; None for a tensor of numbers."""
        if value.immediateValue.HasField("list"):
            return tuple(self._item(v, where) for v in value.immediateValue.list.values)
        tensor = value.type.tensorType
        if tensor.dataType != STRING:
            return None
        found = value.immediateValue.tensor.strings.values
        if tensor.dimensions:
            return tuple(found)
        if len(found) != 1:
            raise ModelError(f"a string is {len(found)} strings.", where=where)
        return found[0]

    def _item(self, value: Any, where: str) -> Any:
        text = self.text(value, where)
        return self.array(value, where).item() if text is None else text

    def array(self, value: Any, where: str) -> np.ndarray:
        """The numbers that a ``Value`` is, as they are stored; those of less than a byte in a byte.
        Raises :class:`ModelError` where type and data contradict."""
        tensor = value.type.tensorType
        shape, code = shape_of(tensor, where), tensor.dataType
        if code not in _TYPES:
            element_type(code, where)
        if value.HasField("blobFileValue"):
            stored, data = self._blob(value.blobFileValue, where)
            if stored != code:
                raise ModelError(
                    f"its element type is {code}, that of its data {stored}.", where=where
                )
            return unpacked(data, code, shape, where)
        given = value.immediateValue.tensor
        if given.HasField("bytes"):
            return unpacked(given.bytes.values, code, shape, where)
        name = next((f for f in _FIELDS if given.HasField(f)), None)
        found = np.array(getattr(given, name).values if name else (), _FIELDS.get(name or "", int))
        if found.size != math.prod(shape):
            raise ModelError(
                f"the shape {list(shape)} needs {math.prod(shape)} elements, the file has "
                f"{found.size}.",
                where=where,
            )
        with np.errstate(over="ignore"):
            return found.astype(_TYPES[code][0]).reshape(shape)

    def _blob(self, at: Any, where: str) -> tuple[int, bytes]:
        """The element type and the bytes of a value in a file."""
        key = at.fileName, at.offset
        if key not in self._blobs:
            self._blobs[key] = self._read(at.fileName, at.offset, where)
        return self._blobs[key]

    def _read(self, name: str, offset: int, where: str) -> tuple[int, bytes]:
        if self.folder is None:
            raise ModelError(
                "the model has its weights in a file, but was not loaded from a package.",
                where=where,
                hint="load it by the path of its .mlpackage",
            )
        what = f"the file of weights {name!r}"
        inside = name.removeprefix(_OURS)
        path = confined([self.folder.resolve()], inside, "the file of weights", where)
        header = read_part(path, what, offset, _HEADER.size, where)
        sentinel, code, size, start = _HEADER.unpack(header)
        if sentinel != _SENTINEL or code not in _BLOBS:
            raise ModelError(
                f"{what} has no value at offset {offset}.", where=where,
                hint="the file is damaged or belongs to another model",
            )  # fmt: skip
        return _BLOBS[code], read_part(path, what, start, size, where)


def unpacked(data: bytes, code: int, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Numbers out of bytes; those of a few bits are packed from the lowest bits of each byte on."""
    (kind, bits), size = _TYPES[code], math.prod(shape)
    if len(data) != -(-size * bits // 8):
        raise ModelError(
            f"{size} numbers of {bits} bits take {-(-size * bits // 8)} bytes, the file has "
            f"{len(data)}.",
            where=where,
        )
    if bits >= 8:
        little = kind.newbyteorder("<") if kind.kind in "iuf" else kind
        return np.frombuffer(data, little).astype(kind, copy=False).reshape(shape)
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: size * bits]
    found = np.packbits(stream.reshape(-1, bits), axis=1, bitorder="little").reshape(-1)
    if kind.kind == "i":
        half = 1 << (bits - 1)
        found = (found ^ half).astype(np.int8) - np.int8(half)
    return found.astype(kind).reshape(shape)


class Stored(Mapping[str, np.ndarray]):
    """The constants of a program by name, each read when it is asked for; with ``wide``, float16
    as float32, in which weft computes."""

    def __init__(self, values: Values, found: Mapping[str, Any], wide: bool = True):
        self.values_, self.found, self.wide = values, found, wide

    def __getitem__(self, name: str) -> np.ndarray:
        array = self.values_.array(self.found[name], f"{self.values_.file}, constant {name!r}")
        return widened(array) if self.wide else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __contains__(self, name: object) -> bool:
        return name in self.found


def widened(array: np.ndarray) -> np.ndarray:
    """Halves and smaller floats as float32, other numbers as they are."""
    small = array.dtype.kind not in "iub" and array.dtype.itemsize < 4
    return array.astype(np.float32) if small else array


__all__ = ["STRING", "Stored", "Values", "element_type", "is_half", "shape_of", "unpacked",
           "widened"]  # fmt: skip
