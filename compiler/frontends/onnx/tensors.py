"""Reading ``TensorProto``: typed and raw data, and external data confined to the model's folder."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from ....runtime.dtype import BFLOAT16, DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS

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


def known_dtype(code: int) -> DType | None:
    """As :func:`onnx_dtype`, None where weft has no such element type."""
    return _DTYPES.get(code)


class TensorReader:
    """Decodes tensors of one model.

    ``folder`` is where the model lies and the only place external data is read from; None (a
    model out of memory) means that there can be no external data.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder.resolve() if folder else None

    def array(self, tensor: TensorProto, where: str) -> np.ndarray:
        """The value of ``tensor``; raises :class:`ModelError` when its parts contradict."""
        where = f"{where}, tensor {tensor.name!r}" if tensor.name else where
        dtype = onnx_dtype(tensor.data_type, where)
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
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._external(tensor, dtype, shape, size, where)
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

    def _external(
        self, tensor: TensorProto, dtype: DType, shape: tuple[int, ...], size: int, where: str
    ) -> np.ndarray:
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        path = self._confined(location, where)
        try:
            offset = int(entries.get("offset", "0") or 0)
            length = int(entries["length"]) if entries.get("length") else size * dtype.bytes
        except ValueError:
            raise ModelError(
                "offset or length of external data is no number.", where=where
            ) from None
        if length != size * dtype.bytes or offset < 0:
            raise ModelError(
                f"external data at offset {offset} of {length} bytes cannot hold "
                f"{dtype}{list(shape)}, which takes {size * dtype.bytes}.",
                where=where,
            )
        try:
            with path.open("rb") as f:
                have = os.fstat(f.fileno()).st_size
                if offset + length > have:
                    raise ModelError(
                        f"{location!r} has {have} bytes, {offset + length} are needed.",
                        where=where,
                        hint="the file of external data is truncated or belongs to another model",
                    )
                f.seek(offset)
                data = f.read(length)
        except OSError as e:
            raise ModelError(
                f"external data {location!r} cannot be read: {e.strerror}.", where=where
            ) from None
        return _from_bytes(data, dtype, shape, size, where)

    def _confined(self, location: str, where: str) -> Path:
        """The real path of ``location``, which must be a plain file inside the model's folder.

        ``..`` and absolute paths are refused as text, and links by comparing real paths: a model
        file is not to be trusted, and following it anywhere would let it read any file.
        """
        if self.folder is None:
            raise ModelError(
                "the model has external data, but was not loaded from a file.",
                where=where,
                hint="load it by its path, or with its data inside",
            )
        parts = location.replace("\\", "/").split("/")
        absolute = location.startswith(("/", "\\")) or (len(location) > 1 and location[1] == ":")
        if not location or absolute or ".." in parts or "\0" in location:
            raise ModelError(
                f"external data {location!r} is not inside the model's folder.",
                where=where,
                hint="the location must be a relative path without '..'",
            )
        try:
            real = (self.folder / location).resolve()
        except (OSError, RuntimeError):
            raise ModelError(f"external data {location!r} cannot be found.", where=where) from None
        if not real.is_relative_to(self.folder):
            raise ModelError(
                f"external data {location!r} is a link out of the model's folder.", where=where
            )
        if not real.is_file():
            raise ModelError(f"external data {location!r} is not a file.", where=where)
        return real


def _stored_elements(tensor: TensorProto) -> int:
    """Elements in the typed fields; two bytes formats are stored one to an int32."""
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    return max(*(len(f) for f in fields), len(tensor.uint64_data))


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
