"""HDF5 files as data that is not to be trusted: attributes and arrays, and nothing outside of them.

HDF5 has links to other files, arrays whose data lies in other files, and arrays that claim to be
larger than what is stored of them. All of these are refused, and sizes are checked before memory is
taken.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ....runtime.errors import InputError, ModelError, UnsupportedError
from ...types import MAX_ELEMENTS

_MOST_RATIO = 64  # of an array's size to what is stored of it, where that is compressed
_SLACK = 1 << 20  # bytes that a file may have in all beyond that

T = TypeVar("T")


def h5py() -> Any:
    """The library. Raises :class:`InputError` where it is not installed."""
    try:
        import h5py as library
    except ImportError:
        raise InputError(
            "reading Keras's weights needs the package h5py.", hint='pip install "weft[keras]"'
        ) from None
    return library


@contextmanager
def open_h5(source: str | Path | bytes, where: str) -> Iterator[File]:
    """The file, open for reading. Raises :class:`ModelError` for what is none."""
    library = h5py()
    given: Any = source
    if isinstance(source, str | Path):
        options: dict[str, Any] = {"locking": False}
    else:
        given, options = io.BytesIO(source), {}
    opened = _read(lambda: library.File(given, "r", **options), "the file", where)
    try:
        size = _read(opened.id.get_filesize, "the file", where)
        yield File(library, opened, size, where)
    finally:
        opened.close()


class File:
    """An open file: :meth:`attribute` and :meth:`array` read from it. ``budget`` is how many more
    bytes of arrays it may have."""

    def __init__(self, library: Any, file: Any, size: int, where: str):
        self.library, self.file, self.where, self.size = library, file, where, size
        self.budget = size * _MOST_RATIO + _SLACK

    def find(self, path: str) -> Any:
        """The group or array at ``path``; None where there is nothing. Raises
        :class:`ModelError` for one that lies behind a link."""
        found = self.file
        for part in [p for p in path.split("/") if p]:
            if not isinstance(found, self.library.Group):
                return None
            link = self._read(lambda g=found, p=part: g.get(p, getlink=True), path)
            if link is None:
                return None
            if not isinstance(link, self.library.HardLink):
                raise ModelError(
                    f"{path!r} is a link to somewhere else.",
                    where=self.where,
                    hint="weft reads no other files or places that an HDF5 file names",
                )
            found = self._read(lambda g=found, p=part: g[p], path)
        return found

    def has(self, path: str) -> bool:
        """Whether there is something at ``path``."""
        return self.find(path) is not None

    def keys(self, path: str) -> list[str]:
        """The names of what is in the group at ``path``; none where there is no such group."""
        group = self.find(path)
        if not isinstance(group, self.library.Group):
            return []
        return self._read(lambda: list(group), path)

    def attribute(self, path: str, name: str) -> Any:
        """An attribute of what is at ``path``; None where there is none. Text is a str."""
        owner = self.find(path)
        if owner is None:
            return None

        def read() -> Any:
            if name not in owner.attrs:
                return None
            given = owner.attrs.get_id(name)
            if 0 in (given.shape or ()):
                return np.zeros(given.shape)
            if given.get_storage_size() > self.size:
                raise ModelError(f"the attribute {name!r} is larger than the file.")
            return _text(owner.attrs[name])

        return self._read(read, f"the attribute {name!r} of {path or '/'!r}")

    def names(self, path: str, name: str) -> list[str]:
        """A list of texts that is an attribute, or several, ``name0``, ``name1``, …, where it was
        too long for one."""
        parts = [self.attribute(path, name)]
        if parts[0] is None:
            parts = []
            while (more := self.attribute(path, f"{name}{len(parts)}")) is not None:
                parts.append(more)
        made: list[str] = []
        for part in parts:
            for text in np.asarray(part, object).reshape(-1).tolist() if part is not None else ():
                text = _text(text)
                if not isinstance(text, str):
                    raise ModelError(f"{name} of {path!r} holds {text!r}.", where=self.where)
                made.append(text)
        return made

    def array(self, path: str) -> np.ndarray:
        """The array at ``path``."""
        d = self.find(path)
        if not isinstance(d, self.library.Dataset):
            raise ModelError(f"there is no array at {path!r}.", where=self.where)
        return self._read(lambda: self._array(d, path), path)

    def _array(self, d: Any, path: str) -> np.ndarray:
        if d.external or d.is_virtual:
            raise ModelError(f"the data of {path!r} lies in other files.")
        dtype = d.dtype
        is_bfloat = _text(d.attrs["dtype"]) == "bfloat16" if "dtype" in d.attrs else False
        if dtype.kind not in "fiub" and not is_bfloat:
            raise UnsupportedError(f"the array {path!r} has elements {dtype}.")
        if d.shape is None:
            raise ModelError(f"the array {path!r} is empty.")
        count = int(np.prod(d.shape, dtype=object)) if d.shape else 1
        nbytes, stored = count * dtype.itemsize, d.id.get_storage_size()
        compressed = bool(d.id.get_create_plist().get_nfilters())
        if count > MAX_ELEMENTS or nbytes > self.budget:
            raise ModelError(f"the array {path!r} of the shape {d.shape} is larger than its file.")
        if stored > self.size or (nbytes > stored and not compressed):
            raise ModelError(
                f"the array {path!r} of the shape {d.shape} has {stored} bytes in the file."
            )
        self.budget -= nbytes
        array = np.asarray(d[()])
        if is_bfloat:
            from ....runtime.dtype import BFLOAT16

            array = array.astype(np.float32) if dtype.kind == "f" else array
            array = array.view(BFLOAT16.numpy) if array.dtype.itemsize == 2 else array
            return array.astype(BFLOAT16.numpy)
        return array.astype(dtype.newbyteorder("="), copy=False)

    def _read(self, read: Callable[[], T], what: str) -> T:
        return _read(read, what, self.where)


def _read(read: Callable[[], T], what: str, where: str) -> T:
    """What ``read`` reads; what h5py raises for a damaged file is a :class:`ModelError`."""
    try:
        return read()
    except (ModelError, UnsupportedError) as e:
        raise type(e)(e.message, where=e.where or where, hint=e.hint) from None
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, ArithmeticError,
            AttributeError, MemoryError, NotImplementedError) as e:  # fmt: skip
        text = str(e).splitlines()
        raise ModelError(
            f"{what} cannot be read as HDF5 ({text[0] if text else type(e).__name__}).", where=where
        ) from None


def _text(value: Any) -> Any:
    if isinstance(value, bytes | np.bytes_):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.ndarray) and value.shape == ():
        return _text(value.item())
    return value


__all__ = ["File", "h5py", "open_h5"]
