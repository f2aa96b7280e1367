"""The values of variables: a TensorBundle, an index beside shards of data.

The index is a table as LevelDB writes it: sorted keys to protocol buffers, in blocks, of which an
index block at the end says where they are. (``tensorflow/core/util/tensor_bundle``,
``tensorflow/core/lib/io/format.h``)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ....runtime.errors import ModelError, UnsupportedError
from ....runtime.files import read_file
from ..beside import confined, read_part
from ..messages import parse
from .proto import MESSAGES
from .values import STRING, TypeCode, checked, from_bytes, shape_of

_MOST_INDEX = 1 << 28
_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_TRAILER = 5  # bytes behind a block: how it is compressed, and a checksum


class Bundle:
    """The tensors of a checkpoint called ``prefix`` in ``folder``, a place that is resolved.

    Raises :class:`ModelError` for an index that is none."""

    def __init__(self, folder: Path, prefix: str):
        self.folder, self.prefix = folder, prefix
        self.where = str(folder / f"{prefix}.index")
        index = confined([folder], f"{prefix}.index", "the index of variables", self.where)
        data = read_file(index, _MOST_INDEX, error=ModelError, what="the index of variables")
        entries = dict(_table(data, self.where))
        header = entries.pop(b"", None)
        if header is None:
            raise ModelError("it has no header.", where=self.where)
        head = parse(MESSAGES["BundleHeaderProto"], header, self.where, "a header of a bundle")
        if head.endianness:
            raise UnsupportedError("variables with the highest byte first.", where=self.where)
        self.shards = max(head.num_shards, 1)
        self.entries = {k.decode("utf-8", "replace"): v for k, v in entries.items()}

    def tensor(self, key: str) -> np.ndarray:
        """The value of a variable. Raises :class:`ModelError` where there is none."""
        where = f"{self.where}, tensor {key!r}"
        if key not in self.entries:
            raise ModelError("the checkpoint has no such tensor.", where=where)
        e = parse(MESSAGES["BundleEntryProto"], self.entries[key], where, "an entry of a bundle")
        if e.slices:
            raise UnsupportedError("a variable that is stored in parts.", where=where)
        code, dims = TypeCode(e.dtype), shape_of(e.shape)
        if code.code == STRING:
            raise UnsupportedError("a variable of strings.", where=where)
        dtype = code.known(where)
        if checked(dims, where) * dtype.bytes != e.size or e.offset < 0:
            raise ModelError(f"{e.size} bytes for {dtype}{list(dims or ())}.", where=where)
        if not 0 <= e.shard_id < self.shards:
            raise ModelError(f"there is no shard {e.shard_id}.", where=where)
        name = shard_name(self.prefix, e.shard_id, self.shards)
        file = confined([self.folder], name, "the file of variables", where)
        content = read_part(file, f"the file of variables {name!r}", e.offset, e.size, where)
        return from_bytes(content, dtype, dims, where)


def shard_name(prefix: str, k: int, count: int) -> str:
    """The name of a shard's file."""
    return f"{prefix}.data-{k:05d}-of-{count:05d}"


def _table(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values, in order."""
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise ModelError("it is no index of a TensorBundle.", where=where)
    at, footer = 0, data[-_FOOTER:]
    for _ in range(2):  # the block of meta data, which is empty
        _, at = _varint(footer, at, where)
    offset, at = _varint(footer, at, where)
    size, _ = _varint(footer, at, where)
    for _, handle in _block(data, offset, size, where):
        offset, at = _varint(handle, 0, where)
        size, _ = _varint(handle, at, where)
        yield from _block(data, offset, size, where)


def _block(data: bytes, offset: int, size: int, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block: each key has so many bytes of the one before it."""
    if offset + size + _TRAILER > len(data) or size < 4:
        raise ModelError(f"a block at {offset} of {size} bytes is not within it.", where=where)
    kind = data[offset + size]
    if kind:
        what = "Snappy" if kind == 1 else f"the method {kind}"
        raise UnsupportedError(f"an index that is compressed, by {what}.", where=where)
    block = data[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # behind the entries: restarts
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at, where)
        own, at = _varint(block, at, where)
        length, at = _varint(block, at, where)
        if shared > len(key) or at + own + length > end:
            raise ModelError("an entry is not within its block.", where=where)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    """A number, and where the next one begins."""
    value = 0
    for k in range(10):
        if at + k >= len(data):
            break
        byte = data[at + k]
        value |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return value, at + k + 1
    raise ModelError("a number in it does not end.", where=where)


__all__ = ["Bundle", "shard_name"]
