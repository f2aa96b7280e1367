"""FlatBuffers read as data that may be damaged: no offset is followed out of the file.

The format (flatbuffers.dev, "FlatBuffers internals"): a table is an int32 that leads back to its
vtable, and fields; the vtable lists where each field is, 0 for one that is left out. Offsets are
unsigned and lead forward, so that nothing is its own part; but a damaged file may have many tables
share one, and a reader would be busy with it for ever. A file therefore has a budget, which one
that shares nothing cannot exceed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....runtime.errors import ModelError

_SCALARS = {
    "bool": "?", "i8": "b", "u8": "B", "u16": "<H", "i32": "<i", "u32": "<I", "i64": "<q",
    "u64": "<Q", "f32": "<f",
}  # fmt: skip
_NUMPY = {
    "bool": "?", "i8": "i1", "u8": "u1", "u16": "<u2", "i32": "<i4", "u32": "<u4", "i64": "<i8",
    "u64": "<u8", "f32": "<f4",
}  # fmt: skip
Fields = Mapping[str, tuple[int, str, Any]]  # name -> slot, type, default


def declare(text: str) -> dict[str, Fields]:
    """The tables of a declaration, by name or number: ``Name slot:field:type=default …``; a line
    that begins with blanks continues the one before."""
    found: dict[str, dict[str, tuple[int, str, Any]]] = {}
    current: dict[str, tuple[int, str, Any]] = {}
    for line in filter(str.strip, text.splitlines()):
        words = line.split()
        if not line.startswith(" "):
            current = found[words.pop(0)] = {}
        for word in words:
            if ":" not in word:
                continue  # the name of numbered options, for the reader
            slot, name, kind = word.split(":")
            kind, _, default = kind.partition("=")
            current[name] = int(slot), kind, int(default) if default else 0
    return dict(found.items())


class Flat:
    """The bytes of a file, and how much may still be read of them."""

    def __init__(self, data: bytes, file: str):
        self.data, self.file = data, file
        self.budget = 4 * len(data) + 4096

    def fail(self, why: str) -> ModelError:
        """The error that the file is damaged."""
        return ModelError(
            f"the file is damaged: {why}.", where=self.file, hint="is it a whole .tflite file?"
        )

    def number(self, kind: str, at: int) -> Any:
        """A scalar at a position."""
        if at < 0:
            raise self.fail("an offset leads out of it")
        try:
            return struct.unpack_from(_SCALARS[kind], self.data, at)[0]
        except struct.error:
            raise self.fail("an offset leads out of it") from None

    def follow(self, at: int) -> int:
        """Where the offset at a position leads."""
        return at + self.number("u32", at)

    def spend(self, n: int) -> None:
        """Take ``n`` bytes off the budget. Raises :class:`ModelError`."""
        self.budget -= n
        if self.budget < 0:
            raise self.fail("its parts share each other")

    def root(self, fields: Fields) -> Table:
        """The table that the file is."""
        return Table(self, self.follow(0), fields)


class Table:
    """One table. Raises :class:`ModelError` for what does not lie in the file."""

    def __init__(self, flat: Flat, at: int, fields: Fields):
        self.flat, self.at, self.fields = flat, at, fields
        flat.spend(4)
        self._vtable = at - flat.number("i32", at)
        self._size = flat.number("u16", self._vtable)

    def _where(self, slot: int) -> int:
        """Where a field is; 0 for one that is left out."""
        entry = 4 + 2 * slot
        if entry + 2 > self._size:
            return 0
        offset = self.flat.number("u16", self._vtable + entry)
        return self.at + offset if offset else 0

    def has(self, name: str) -> bool:
        """Whether the file has the field."""
        return bool(self._where(self.fields[name][0]))

    def get(self, name: str) -> Any:
        """A scalar, or its default."""
        slot, kind, default = self.fields[name]
        at = self._where(slot)
        return self.flat.number(kind, at) if at else default

    def text(self, name: str) -> str:
        """A string, "" where it is left out."""
        raw = self.block(name)
        self.flat.spend(len(raw))
        try:
            return bytes(raw).decode()
        except UnicodeDecodeError:
            raise self.flat.fail(f"a {name} is no UTF-8") from None

    def block(self, name: str) -> memoryview:
        """The bytes of a vector of them, not copied."""
        at, n = self._vector(name, 1)
        return memoryview(self.flat.data)[at : at + n]

    def numbers(self, name: str) -> list[Any]:
        """A vector of scalars."""
        return self.array(name).tolist()

    def array(self, name: str) -> np.ndarray:
        """A vector of scalars, as an array of its own."""
        kind = self.fields[name][1].rstrip("*")
        dtype = np.dtype(_NUMPY[kind])
        at, n = self._vector(name, dtype.itemsize)
        self.flat.spend(n * dtype.itemsize)
        if kind == "bool":
            return np.frombuffer(self.flat.data, np.uint8, n, at) != 0
        return np.frombuffer(self.flat.data, dtype, n, at).copy()

    def table(self, name: str, fields: Fields) -> Table | None:
        """A table, None where it is left out."""
        at = self._where(self.fields[name][0])
        return Table(self.flat, self.flat.follow(at), fields) if at else None

    def tables(self, name: str, fields: Fields) -> Sequence[Table]:
        """A vector of tables."""
        at, n = self._vector(name, 4)
        return [Table(self.flat, self.flat.follow(at + 4 * k), fields) for k in range(n)]

    def _vector(self, name: str, size: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        at = self._where(self.fields[name][0])
        if not at:
            return 0, 0
        at = self.flat.follow(at)
        n = self.flat.number("u32", at)
        if at + 4 + n * size > len(self.flat.data):
            raise self.flat.fail(f"a {name} goes on behind its end")
        return at + 4, n


__all__ = ["Fields", "Flat", "Table", "declare"]
