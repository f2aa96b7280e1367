"""What a model's source is, by its content: asked by the rows of ``table.py``, so it never raises
for a file that is damaged."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ...runtime.files import is_plain

_MOST_JSON = 1 << 28  # bytes of a description; weights are in files of their own


def folder_of(source: Any) -> Path | None:
    """The folder that a model is, None for anything else."""
    if isinstance(source, str | Path):
        with suppress(OSError, ValueError):
            if Path(source).is_dir():
                return Path(source)
    return None


def file_of(source: Any) -> BinaryIO | None:
    """A model's file to read from; None for a folder, an object, or what is no plain file."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(bytes(source))
    if isinstance(source, str | Path):
        with suppress(OSError, ValueError):
            if is_plain(source) and not Path(source).is_dir():
                return open(source, "rb")
    return None


def members(source: Any) -> frozenset[str]:
    """The names in a zip archive; empty for what is none."""
    file = file_of(source)
    if file is None:
        return frozenset()
    with file, suppress(OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        if file.read(2) == b"PK":
            with zipfile.ZipFile(file) as z:
                return frozenset(z.namelist())
    return frozenset()


def json_keys(source: Any, head: bytes) -> frozenset[str]:
    """The keys of the JSON object that a file is; empty for what is none."""
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return frozenset()
    file = file_of(source)
    if file is None:
        return frozenset()
    with file, suppress(OSError, ValueError, RecursionError):
        data = file.read(_MOST_JSON + 1)
        if len(data) <= _MOST_JSON:
            found = json.loads(data)
            return frozenset(found) if isinstance(found, dict) else frozenset()
    return frozenset()


def wire_fields(source: Any, most: int = 64) -> list[tuple[int, int, int]]:
    """The first top-level fields of a protocol buffer: number, wire type, and the value of a
    varint or the length of a block. Empty where a file is none; shorter where it is damaged."""
    file = file_of(source)
    if file is None:
        return []
    with file, suppress(OSError, ValueError):
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        found: list[tuple[int, int, int]] = []
        for field in _fields(file, size):
            found.append(field)
            if len(found) == most:
                break
        return found
    return []


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    while file.tell() < size:
        key = _varint(file)
        if key is None or key >> 3 == 0:
            return
        number, kind, value = key >> 3, key & 7, 0
        if kind in (0, 2):
            got = _varint(file)
            if got is None:
                return
            value = got
        skip = {0: 0, 1: 8, 2: value, 5: 4}.get(kind)
        if skip is None or file.tell() + skip > size:
            return
        file.seek(skip, io.SEEK_CUR)
        yield number, kind, value


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None


__all__ = ["file_of", "folder_of", "json_keys", "members", "wire_fields"]
