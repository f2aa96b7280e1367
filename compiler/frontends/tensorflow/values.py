"""Element types, shapes, tensors and attributes: as messages, or as the JSON of them."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....runtime.dtype import DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from ..signature import SymbolicType

MAX_FILLED = 1 << 26  # elements of a tensor of which a file has fewer: the last one is repeated
STRING = 7

_NAMES = (
    "INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64", "INT64",
    "BOOL", "QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16", "COMPLEX128",
    "HALF", "RESOURCE", "VARIANT", "UINT32", "UINT64",
)  # fmt: skip
_CODES = {f"DT_{name}": code for code, name in enumerate(_NAMES)}
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64",
    10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
_REFERENCE = 100  # added to the type of a value that is a reference to a variable

# How the elements of a type lie in a TensorProto that has no tensor_content.
_FIELDS = {
    1: "float_val", 2: "double_val", 3: "int_val", 4: "int_val", 5: "int_val", 6: "int_val",
    9: "int64_val", 10: "bool_val", 14: "half_val", 17: "int_val", 19: "half_val",
    22: "uint32_val", 23: "uint64_val",
}  # fmt: skip
_JSON_FIELDS = {field: field.replace("_val", "Val") for field in _FIELDS.values()}

Dims = tuple[int, ...]


@dataclass(frozen=True)
class TypeCode:
    """An element type as the file has it: one that weft may not have."""

    code: int

    def __str__(self) -> str:
        code = self.code % _REFERENCE
        return _NAMES[code].lower() if code < len(_NAMES) else f"type {code}"

    @property
    def held(self) -> DType | None:
        """The same type of weft; None where it has none."""
        name = _DTYPES.get(self.code % _REFERENCE)
        return None if name is None else dtype_of(name)

    def known(self, where: str) -> DType:
        """As :attr:`held`. Raises :class:`UnsupportedError` where weft has none."""
        found = self.held
        if found is None:
            raise UnsupportedError(f"weft has no element type {self}.", where=where)
        return found


@dataclass(frozen=True)
class Named:
    """A function by its name, in an attribute."""

    name: str


def type_code(value: Any, where: str) -> TypeCode:
    """A type by its number or by its name, as in JSON."""
    code = _CODES.get(value.removesuffix("_REF")) if isinstance(value, str) else value
    if not isinstance(code, int) or isinstance(code, bool) or code < 0:
        raise ModelError(f"there is no element type {value!r}.", where=where)
    return TypeCode(code)


# --- messages -------------------------------------------------------------------------------------


def shape_of(proto: Any) -> Dims | None:
    """Extents, -1 where open; None where not even the rank is known."""
    return None if proto.unknown_rank else tuple(d.size for d in proto.dim)


def symbolic(code: TypeCode, dims: Dims | None, name: str, where: str) -> SymbolicType:
    """The type of an input called ``name``, whose open extents get names after it."""
    if dims is None:
        return SymbolicType(code.known(where), None)
    named = tuple(d if d >= 0 else f"{name}_{k}" for k, d in enumerate(dims))
    if any(isinstance(d, int) and d > MAX_ELEMENTS for d in named):
        raise ModelError(f"the input {name!r} has the shape {list(dims)}.", where=where)
    return SymbolicType(code.known(where), named)


def attribute(proto: Any, where: str) -> Any:
    """The value of an AttrValue: a number, bytes, a type, a shape (see :func:`shape_of`), the
    message of a tensor, a name of a function, or a list of them; None where it has none."""
    if proto.HasField("list"):
        for field, values in proto.list.ListFields():
            return [_plain(field.name, v) for v in values]
        return []
    for field, value in proto.ListFields():
        return _plain(field.name, value)
    return None


def _plain(kind: str, value: Any) -> Any:
    if kind == "type":
        return TypeCode(value)
    if kind == "shape":
        return shape_of(value)
    return Named(value.name) if kind == "func" else value


def tensor_of(proto: Any, where: str) -> np.ndarray:
    """The array of a TensorProto. Raises :class:`ModelError` where its parts contradict."""
    code = TypeCode(proto.dtype)
    dims = shape_of(proto.tensor_shape)
    if code.code == STRING:
        values: Any = list(proto.string_val)
        return filled(np.array([*values, None], object)[:-1], dims, where)
    content = bytes(proto.tensor_content)
    if content:
        return from_bytes(content, code.known(where), dims, where)
    code.known(where)
    values = getattr(proto, _FIELDS[code.code % _REFERENCE])
    return _from_values(values, code, dims, where)


def _from_values(values: Sequence[Any], code: TypeCode, dims: Dims | None, where: str):
    dtype = code.known(where).numpy
    try:
        if _FIELDS[code.code % _REFERENCE] == "half_val":
            found = np.asarray(values, np.int64).astype(np.uint16).view(dtype)
        else:
            found = np.asarray(values).astype(dtype)
    except (ValueError, TypeError, OverflowError) as e:
        raise ModelError(f"the values of a tensor are no numbers ({e}).", where=where) from None
    return filled(found.reshape(-1), dims, where)


def checked(dims: Dims | None, where: str) -> int:
    """How many elements a tensor of a shape has, which must be known and not absurd."""
    if dims is None or min(dims, default=0) < 0 or math.prod(dims) > MAX_ELEMENTS:
        raise ModelError(f"a tensor has the shape {dims}.", where=where)
    return math.prod(dims)


def from_bytes(content: bytes, dtype: DType, dims: Dims | None, where: str) -> np.ndarray:
    """An array of its elements' bytes, of the lowest first."""
    size = checked(dims, where)
    if len(content) != size * dtype.bytes:
        raise ModelError(
            f"a tensor {dtype}{list(dims or ())} has {len(content)} bytes.", where=where
        )
    return np.frombuffer(content, np.dtype(dtype.numpy)).reshape(dims or ())


def filled(values: np.ndarray, dims: Dims | None, where: str) -> np.ndarray:
    """An array of a shape with these elements, of which the last is repeated."""
    size = checked(dims, where)
    if len(values) > size or (size > MAX_FILLED and len(values) < size):
        raise ModelError(f"a tensor of the shape {dims} has {len(values)} elements.", where=where)
    if not len(values):
        values = np.zeros(1, values.dtype)
    if len(values) < size:
        rest = np.broadcast_to(values[-1:], (size - len(values),))
        values = np.concatenate([values, rest])
    return values[:size].reshape(dims or ())


# --- JSON -----------------------------------------------------------------------------------------


def json_shape(value: Any, where: str) -> Dims | None:
    """As :func:`shape_of`."""
    value = _object(value, where)
    if value.get("unknownRank"):
        return None
    found = value.get("dim", [])
    if not isinstance(found, list):
        raise ModelError(f"the shape {value!r} has no extents.", where=where)
    return tuple(_integer(_object(d, where).get("size", 0), where) for d in found)


def json_attribute(value: Any, where: str) -> Any:
    """As :func:`attribute`; a tensor is an array here."""
    value = _object(value, where)
    if "list" in value:
        for kind, items in _object(value["list"], where).items():
            if not isinstance(items, list):
                raise ModelError(f"an attribute's list is {items!r}.", where=where)
            if items:
                return [_of_json(kind, v, where) for v in items]
        return []
    for kind, one in value.items():
        return _of_json(kind, one, where)
    return None


def _of_json(kind: str, value: Any, where: str) -> Any:
    if kind in _OF_JSON:
        return _OF_JSON[kind](value, where)
    return _JsonTensor(value) if kind == "tensor" else None


def _real(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ModelError(f"an attribute is {value!r}, no number.", where=where) from None


def _function(value: Any, where: str) -> Named:
    name = _object(value, where).get("name")
    if not isinstance(name, str):
        raise ModelError(f"a function is called {name!r}.", where=where)
    return Named(name)


@dataclass(frozen=True)
class _JsonTensor:
    value: Any


def json_tensor(attr: Any, where: str) -> np.ndarray:
    """The array of a tensor in an attribute."""
    value = _object(attr.value if isinstance(attr, _JsonTensor) else attr, where)
    code = type_code(value.get("dtype", 0), where)
    dims = json_shape(value.get("tensorShape", {}), where)
    content = value.get("tensorContent")
    if code.code == STRING:
        strings = [_bytes(v, where) for v in value.get("stringVal", [])]
        return filled(np.array([*strings, None], object)[:-1], dims, where)
    if content:
        return from_bytes(_bytes(content, where), code.known(where), dims, where)
    code.known(where)
    values = value.get(_JSON_FIELDS[_FIELDS[code.code % _REFERENCE]], [])
    if not isinstance(values, list):
        raise ModelError(f"the values of a tensor are {values!r}.", where=where)
    if code.held is not None and code.held.is_int:
        values = [_integer(v, where) for v in values]
    return _from_values(values, code, dims, where)


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{str(value)[:60]!r} is no object.", where=where)
    return value


def _integer(value: Any, where: str) -> int:
    """JSON has the integers of 64 bits as strings."""
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"{str(value)[:60]!r} is no integer.", where=where) from None
    if not -(1 << 63) <= found < 1 << 64:
        raise ModelError(f"{found} is no integer of 64 bits.", where=where)
    return found


def _bytes(value: Any, where: str) -> bytes:
    """Base64, or a list of the bytes, as early converters wrote it."""
    try:
        if isinstance(value, list):
            return bytes(value)
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ModelError(f"{str(value)[:60]!r} is not base64.", where=where) from None


_OF_JSON = {
    "b": lambda value, where: bool(value),
    "f": _real,
    "func": _function,
    "i": _integer,
    "s": _bytes,
    "shape": json_shape,
    "type": type_code,
}

__all__ = [
    "STRING",
    "Dims",
    "Named",
    "TypeCode",
    "attribute",
    "checked",
    "filled",
    "from_bytes",
    "json_attribute",
    "json_shape",
    "json_tensor",
    "shape_of",
    "symbolic",
    "tensor_of",
    "type_code",
]
