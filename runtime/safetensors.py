"""Reader and writer of the safetensors format, for numpy arrays, bfloat16 included.

A file is an 8-byte little-endian length, that many bytes of JSON (name -> dtype, shape, begin and
end in the data), and the data without gaps. The layout follows the format's public description
(https://github.com/huggingface/safetensors#format). Reading trusts nothing: every number is checked
before it is used, and arrays are views of the bytes given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .dtype import ALL_DTYPES, DType, dtype_of
from .errors import PackageError

_MAX_HEADER = 100_000_000  # bytes; the limit of the reference implementation
_ALIGN = 64


def _tag(d: DType) -> str:
    prefix = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U"}
    return "BOOL" if d.is_bool else f"{prefix[d.kind]}{d.bits}"


_TAGS = {_tag(d): d for d in ALL_DTYPES}


def size(tensors: Mapping[str, np.ndarray]) -> int:
    """Bytes of the file that :func:`chunks` yields."""
    return len(_header(tensors)[0]) + sum(a.nbytes for a in tensors.values())


def chunks(tensors: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The file in pieces, without a copy of the tensors. The bytes depend on nothing but names and
    contents."""
    header, order = _header(tensors)
    yield header
    for name in order:
        flat = np.ascontiguousarray(tensors[name]).reshape(-1)
        yield flat.view(np.uint8).data


def _header(tensors: Mapping[str, np.ndarray]) -> tuple[bytes, list[str]]:
    # Whole cache lines first: those tensors are aligned in the file and are used without a copy.
    order = sorted(tensors, key=lambda n: (tensors[n].nbytes % _ALIGN != 0, n))
    entries: dict[str, Any] = {}
    position = 0
    for name in order:
        a = tensors[name]
        entries[name] = {
            "dtype": _tag(dtype_of(a.dtype)),
            "shape": list(a.shape),
            "data_offsets": [position, position + a.nbytes],
        }
        position += a.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGN)
    return len(text).to_bytes(8, "little") + text, order


def parse(data: np.ndarray, where: str) -> dict[str, np.ndarray]:
    """The tensors of a file's bytes (a uint8 array), as views of it.

    Raises :class:`PackageError` that names ``where`` when the bytes are not such a file.
    """

    def damaged(why: str) -> PackageError:
        return PackageError(f"the parameters are damaged: {why}.", where=where)

    if data.size < 8:
        raise damaged("the file ends before its header")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(_MAX_HEADER, data.size - 8):
        raise damaged(f"a header of {length} bytes does not fit")
    try:
        entries = json.loads(data[8 : 8 + length].tobytes())
        body = data[8 + length :]
        tensors: dict[str, np.ndarray] = {}
        spans: list[tuple[int, int]] = []
        for name, entry in entries.items():
            if name == "__metadata__":
                continue
            dtype = _TAGS[entry["dtype"]]
            shape = tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
                raise ValueError(f"{name!r} has a number that is not a size")
            if end - begin != math.prod(shape) * dtype.bytes or end > body.size:
                raise ValueError(f"{name!r} does not fit its place")
            spans.append((begin, end))
            tensors[name] = _view(body[begin:end], dtype, shape)
    except (
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        RecursionError,
    ) as e:
        raise damaged(str(e) or type(e).__name__) from None
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise damaged("tensors overlap or leave gaps")
        position = end
    if position != body.size:
        raise damaged("there are bytes after the last tensor")
    return tensors


def _view(raw: np.ndarray, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    if raw.__array_interface__["data"][0] % dtype.bytes:
        raw = raw.copy()
    return raw.view(dtype.numpy).reshape(shape)
