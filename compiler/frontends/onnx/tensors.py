"""Reading ``TensorProto``: typed and raw data, and external data confined to the model's folder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import SparseTensorProto, TensorProto

from ....runtime.dtype import BFLOAT16, DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from ..beside import confined, read_part
from ..narrow import EXPONENTS, FLOATS, INTEGERS, Narrow

MAX_DENSE = 1 << 28  # elements that a sparse tensor may have with its zeros

_DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: dtype_of("float32"),
    TensorProto.DOUBLE: dtype_of("float64"),
    TensorProto.FLOAT16: dtype_of("float16"),
    TensorProto.BFLOAT16: BFLOAT16,
    TensorProto.INT8: dtype_of("int8"),
    TensorProto.INT16: dtype_of("int16"),
    TensorProto.INT32: dtype_of("int32"),
    TensorProto.INT64: dtype_of("int64"),
    TensorProto.UINT8: dtype_of("uint8"),
    TensorProto.UINT16: dtype_of("uint16"),
    TensorProto.UINT32: dtype_of("uint32"),
    TensorProto.UINT64: dtype_of("uint64"),
    TensorProto.BOOL: dtype_of("bool"),
}


# By ONNX's number; older versions of its library do not know all of them.
_NARROW: dict[int, Narrow] = {
    dict(TensorProto.DataType.items())[t.name.upper()]: t
    for t in (*INTEGERS, *FLOATS, EXPONENTS)
    if t.name.upper() in dict(TensorProto.DataType.items())
}


def narrow_type(code: int) -> Narrow | None:
    """What the ONNX element type ``code`` is held as, where weft has no type of its own for it."""
    return _NARROW.get(code)


def onnx_dtype(code: int, where: str = "") -> DType:
    """The element type for ONNX's ``TensorProto.DataType`` number ``code``."""
    dtype = _DTYPES.get(code)
    if dtype is not None:
        return dtype
    try:
        name = TensorProto.DataType.Name(code).lower()  # pyright: ignore[reportArgumentType]
    except ValueError:
        raise ModelError(f"there is no ONNX element type {code}.", where=where) from None
    if code == TensorProto.UNDEFINED:
        raise ModelError("the element type is not given.", where=where)
    raise UnsupportedError(
        f"weft has no element type {name}.",
        where=where,
        hint="it has " + ", ".join(str(d) for d in _DTYPES.values()),
    )


def stored_dtype(code: int) -> DType | None:
    """The element type of what :class:`TensorReader` makes of the ONNX element type ``code``; None
    where weft has none for it."""
    return _NARROW[code].held if code in _NARROW else _DTYPES.get(code)


class TensorReader:
    """Decodes tensors of one model.

    ``folder`` is where the model lies. External data is read from there and, where ``file``, the
    model, is a link, as in the cache of a hub, from the folder of the file that it leads to; from
    nowhere else. None (a model out of memory) means that there can be no external data.
    """

    def __init__(self, folder: Path | None, file: str = ""):
        self.folder = folder.resolve() if folder else None
        self.folders: list[Path] = []
        if self.folder is not None:
            real = (self.folder / file).resolve().parent if file else self.folder
            self.folders = [self.folder, real]

    def array(self, tensor: TensorProto, where: str) -> np.ndarray:
        """The value of ``tensor``; raises :class:`ModelError` when its parts contradict."""
        where = f"{where}, tensor {tensor.name!r}" if tensor.name else where
        narrow = _NARROW.get(tensor.data_type)
        dtype = narrow.held if narrow else onnx_dtype(tensor.data_type, where)
        shape = tuple(tensor.dims)
        if any(d < 0 for d in shape):
            raise ModelError(f"the shape {list(shape)} has a negative dimension.", where=where)
        size = math.prod(shape)
        if size > MAX_ELEMENTS:
            raise ModelError(
                f"the shape {list(shape)} has {size} elements; {MAX_ELEMENTS} is the most.",
                where=where,
            )
        if tensor.HasField("segment"):
            raise UnsupportedError("segmented tensors are not supported.", where=where)
        packed = -(-size * narrow.bits // 8) if narrow else 0
        if tensor.data_location == TensorProto.EXTERNAL:
            what = f"{narrow or dtype}{list(shape)}"
            data = self._external(tensor, what, packed if narrow else size * dtype.bytes, where)
            if narrow:
                return _unpacked(data, narrow, shape, size, where)
            return _from_bytes(data, dtype, shape, size, where)
        if narrow:
            data = tensor.raw_data
            if not tensor.HasField("raw_data"):
                data = bytes(v & 0xFF for v in tensor.int32_data)
                if narrow.bits == 6:  # these are not packed here
                    data = _packed(data, 6)
            return _unpacked(data, narrow, shape, size, where)
        if tensor.HasField("raw_data"):
            return _from_bytes(tensor.raw_data, dtype, shape, size, where)
        stored = _stored_elements(tensor)
        if stored != size:
            raise ModelError(
                f"the shape {list(shape)} needs {size} elements, the file has {stored}.",
                where=where,
            )
        try:
            array = onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, OverflowError) as e:
            raise ModelError(f"the data cannot be read ({e}).", where=where) from None
        return np.asarray(array).astype(dtype.numpy, copy=False).reshape(shape)

    def dense(self, tensor: SparseTensorProto, where: str) -> np.ndarray:
        """The value of a sparse tensor, with its zeros."""
        where = f"{where}, sparse tensor {tensor.values.name!r}"
        values, at = self.array(tensor.values, where), self.array(tensor.indices, where)
        shape = tuple(tensor.dims)
        if any(d < 0 for d in shape) or math.prod(shape) > MAX_DENSE:
            raise ModelError(
                f"the shape {list(shape)} has a negative dimension, or more than {MAX_DENSE} "
                "elements.",
                where=where,
            )
        if values.ndim != 1 or at.dtype != np.int64 or at.ndim not in (1, 2):
            raise ModelError("its values or indices are no list.", where=where)
        if at.ndim == 2:
            if at.shape != (len(values), len(shape)):
                raise ModelError(
                    f"its indices {list(at.shape)} do not fit {len(values)} values.", where=where
                )
            if ((at < 0) | (at >= np.array(shape, np.int64))).any():
                raise ModelError(f"an index is outside of {list(shape)}.", where=where)
            at = np.asarray(np.ravel_multi_index(tuple(at.T), shape))
        if len(at) != len(values) or ((at < 0) | (at >= math.prod(shape))).any():
            raise ModelError(
                f"its {len(at)} indices do not fit {len(values)} values in {list(shape)}.",
                where=where,
            )
        flat = np.zeros(math.prod(shape), values.dtype)
        flat[at] = values
        return flat.reshape(shape)

    def _external(self, tensor: TensorProto, what: str, size: int, where: str) -> bytes:
        """The ``size`` bytes of a tensor that lie in another file."""
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        if self.folder is None:
            raise ModelError(
                "the model has external data, but was not loaded from a file.",
                where=where,
                hint="load it by its path, or with its data inside",
            )
        path = confined(self.folders, location, "external data", where)
        try:
            offset = int(entries.get("offset", "0") or 0)
            length = int(entries["length"]) if entries.get("length") else size
        except ValueError:
            raise ModelError(
                "offset or length of external data is no number.", where=where
            ) from None
        if length != size or offset < 0:
            raise ModelError(
                f"external data at offset {offset} of {length} bytes cannot hold "
                f"{what}, which takes {size}.",
                where=where,
            )
        return read_part(path, f"external data {location!r}", offset, length, where)


def _stored_elements(tensor: TensorProto) -> int:
    """Elements in the typed fields; two bytes formats are stored one to an int32."""
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    return max(*(len(f) for f in fields), len(tensor.uint64_data))


def _packed(values: bytes, bits: int) -> bytes:
    each = np.unpackbits(np.frombuffer(values, np.uint8)[:, None], 1, bits, "little")
    return np.packbits(each.reshape(-1), bitorder="little").tobytes()


def _unpacked(
    data: bytes, narrow: Narrow, shape: tuple[int, ...], size: int, where: str
) -> np.ndarray:
    """Numbers of a few bits, packed from the lowest bits of each byte on, in the type that holds
    them."""
    bits, dtype = narrow.bits, narrow.held
    needed = -(-size * bits // 8)
    if len(data) != needed:
        raise ModelError(
            f"{size} numbers of {bits} bits take {needed} bytes, the file has {len(data)}.",
            where=where,
        )
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    each = stream[: size * bits].reshape(-1, bits)
    values = np.packbits(each, axis=1, bitorder="little").reshape(-1)
    if narrow.is_float:
        return values.view(narrow.numpy).astype(dtype.numpy).reshape(shape)
    if dtype.min < 0:
        half = 1 << (bits - 1)
        values = (values ^ half).astype(np.int8) - np.int8(half)
    return values.astype(dtype.numpy).reshape(shape)


def _from_bytes(
    data: bytes, dtype: DType, shape: tuple[int, ...], size: int, where: str
) -> np.ndarray:
    if len(data) != size * dtype.bytes:
        raise ModelError(
            f"{dtype}{list(shape)} takes {size * dtype.bytes} bytes, the file has {len(data)}.",
            where=where,
        )
    little = dtype.numpy if dtype.kind == "bfloat" else dtype.numpy.newbyteorder("<")
    array = np.frombuffer(data, dtype="u1" if dtype.is_bool else little)
    array = array != 0 if dtype.is_bool else array.astype(dtype.numpy, copy=False)
    return array.reshape(shape)
