"""Members of the zip archives that PyTorch writes, and tensors that lie in them as raw bytes."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.dtype import BFLOAT16, DType, dtype_of
from ....runtime.errors import InputError, ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from ..content import file_of

MOST_TEXT = 1 << 28  # bytes of a description, of code, or of a pickle without its tensors
MOST_BYTES = 1 << 33  # of one storage

# The numbers of torch._export.serde.schema.ScalarType; those of c10 are these less one.
DTYPES: dict[int, DType] = {
    1: dtype_of("uint8"), 2: dtype_of("int8"), 3: dtype_of("int16"), 4: dtype_of("int32"),
    5: dtype_of("int64"), 6: dtype_of("float16"), 7: dtype_of("float32"), 8: dtype_of("float64"),
    12: dtype_of("bool"), 13: BFLOAT16, 28: dtype_of("uint16"), 34: dtype_of("uint32"),
    35: dtype_of("uint64"),
}  # fmt: skip


class Archive:
    """A zip archive. ``where`` names it in messages; members are read when they are asked for.

    Raises :class:`InputError` for a source that is no file, :class:`ModelError` for a damaged one.
    """

    def __init__(self, source: str | Path | bytes | bytearray | memoryview, where: str = ""):
        self.where = where or (str(source) if isinstance(source, str | Path) else "")
        file = file_of(source)
        if file is None:
            raise InputError(f"there is no file {str(source)!r}.")
        try:
            self.zip = zipfile.ZipFile(file)
            self.names = frozenset(self.zip.namelist())
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as e:
            raise ModelError(f"the archive cannot be read ({e}).", where=self.where) from e

    @property
    def root(self) -> str:
        """The folder that members lie in, with its slash; ``""`` where they lie in none."""
        roots = {n.partition("/")[0] for n in self.names if "/" in n}
        return f"{roots.pop()}/" if len(roots) == 1 else ""

    def read(self, name: str, most: int = MOST_TEXT) -> bytes:
        """A member of at most ``most`` bytes, whatever the archive claims of its size."""
        try:
            with self.zip.open(name) as f:
                data = f.read(most + 1)
        except KeyError:
            raise ModelError(f"the archive has no {name!r}.", where=self.where) from None
        except (
            OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error,
            zipfile.BadZipFile, OverflowError,
        ) as e:  # fmt: skip
            raise ModelError(f"{name!r} cannot be read ({e}).", where=self.where) from e
        if len(data) > most:
            raise ModelError(f"{name!r} has more than {most} bytes.", where=self.where)
        return data

    def json(self, name: str) -> Any:
        """A member that is JSON."""
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as e:
            raise ModelError(f"{name!r} is no JSON ({e}).", where=self.where) from e

    def storage(self, name: str, nbytes: int | None = None) -> bytes:
        """A member that holds elements: at least ``nbytes`` of them where that is known."""
        size = self.zip.NameToInfo[name].file_size if name in self.names else 0
        if nbytes is not None and size < nbytes:
            raise ModelError(f"{name!r} lacks elements: {nbytes} bytes of them.", where=self.where)
        data = self.read(name, MOST_BYTES if nbytes is None else max(size, nbytes))
        if nbytes is not None and len(data) < nbytes:
            raise ModelError(f"{name!r} ends after {len(data)} bytes.", where=self.where)
        return data


def dtype_by_number(code: Any, where: str) -> DType:
    """The element type that the export schema has under ``code``."""
    if isinstance(code, bool) or not isinstance(code, int) or not 0 < code < 64:
        raise ModelError(f"there is no element type {code!r}.", where=where)
    if code not in DTYPES:
        raise UnsupportedError(f"tensors of the element type {code} of PyTorch.", where=where)
    return DTYPES[code]


def strided(
    data: bytes, dtype: DType, shape: Sequence[int], strides: Sequence[int], offset: int, where: str
) -> np.ndarray:
    """The tensor that is a window of a storage; sizes are checked before memory is taken.

    ``strides`` and ``offset`` count elements. Raises :class:`ModelError` for a window that reaches
    outside."""
    step = dtype.numpy.itemsize
    count = len(data) // step
    if len(shape) != len(strides) or min(shape, default=0) < 0 or min(strides, default=0) < 0:
        raise ModelError(f"a tensor of {shape} has the strides {strides}.", where=where)
    size = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides))
    if size > MAX_ELEMENTS or offset < 0 or (size and last >= count):
        raise ModelError(
            f"a tensor of {list(shape)} reaches outside of its {count} elements.", where=where
        )
    if not size:
        return np.zeros(tuple(shape), dtype.numpy)
    flat = np.frombuffer(data, dtype.numpy, count)[offset : last + 1]
    view = np.lib.stride_tricks.as_strided(flat, tuple(shape), [s * step for s in strides])
    if size > max(count, 1 << 26):  # a small storage may claim to be a large tensor
        raise UnsupportedError(f"a stretched tensor of {list(shape)}.", where=where)
    return np.ascontiguousarray(view).reshape(tuple(shape))
