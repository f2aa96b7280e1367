"""HDF5 files read as data: groups, attributes and arrays, as h5py and Keras write them.

The HDF5 library is no match for a file that is not to be trusted: damaged ones keep it in loops
without end. This reader follows the file format specification (version 3.0, The HDF Group) as far
as such files need it: superblocks 0 to 3, object headers 1 and 2, groups of symbol tables or of few
links, arrays in one piece or in chunks (deflated, shuffled), strings in global heaps. Nothing
outside of the file is read, no array is larger than what is stored of it allows, and each step of
following an address is counted.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from ...runtime.dtype import BFLOAT16
from ...runtime.errors import ModelError, UnsupportedError
from ..types import MAX_ELEMENTS

MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_RATIO = 64  # of an array's size to what is stored of it, where that is deflated
_SLACK = 1 << 20
_STEPS = 1 << 20  # addresses that may be followed in one file
_SPACE, _LINK_INFO, _TYPE, _LINK, _EXTERNAL, _LAYOUT = 0x1, 0x2, 0x3, 0x6, 0x7, 0x8
_FILTERS, _ATTRIBUTE, _CONTINUED, _SYMBOLS, _ATTRIBUTE_INFO = 0xB, 0xC, 0x10, 0x11, 0x15
_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3


@dataclass(frozen=True)
class _Type:
    """How elements are stored: ``numpy``, or text of a fixed or a varying length."""

    size: int
    numpy: np.dtype | None = None
    text: str = ""  # "fixed", "varying"
    is_bool: bool = False


@dataclass
class Node:
    """An object of a file: the messages of its header."""

    messages: list[tuple[int, int, bytes]] = field(default_factory=list)

    def first(self, kind: int) -> bytes | None:
        """The message of that kind; None where there is none."""
        return next((data for k, _, data in self.messages if k == kind), None)

    @property
    def is_group(self) -> bool:
        """Whether it holds others."""
        return any(k in (_SYMBOLS, _LINK, _LINK_INFO) for k, _, _ in self.messages)


class Hdf5:
    """A file; ``where`` it is from, for errors. Raises :class:`ModelError` for one that is damaged,
    :class:`UnsupportedError` for a sound one that has what nobody of ours writes."""

    def __init__(self, data: bytes, where: str):
        self.data, self.where, self.steps = memoryview(data), where, 0
        self.budget = len(data) * _MOST_RATIO + _SLACK
        self._heaps: dict[int, dict[int, bytes]] = {}
        self._nodes: dict[int, Node] = {}
        self._links: dict[int, dict[str, int]] = {}
        self.O = self.L = 8
        self.root = self._superblock()

    # -- what others ask for

    def node(self, path: str) -> int | None:
        """The address of the object at a path; None where there is none."""
        at = self.root
        for part in filter(None, path.split("/")):
            links = self.links(at)
            if part not in links:
                return None
            at = links[part]
        return at

    def links(self, address: int) -> Mapping[str, int]:
        """The objects in a group, by name."""
        if address not in self._links:
            node, found = self.header(address), {}
            symbols = node.first(_SYMBOLS)
            if symbols is not None:
                tree, heap = struct.unpack("<QQ", self._exact(symbols[:16], 16))
                for name, at in self._symbols(tree, self._heap(heap)):
                    found[name] = at
            info = node.first(_LINK_INFO)
            if info is not None:
                self._check_link_info(info)
            for kind, _, data in node.messages:
                if kind == _LINK:
                    name, at = self._link(data)
                    found[name] = at
            self._links[address] = found
        return self._links[address]

    def attributes(self, address: int) -> dict[str, Any]:
        """The attributes of an object: arrays, texts as ``str``."""
        made = {}
        node = self.header(address)
        info = node.first(_ATTRIBUTE_INFO)
        if info is not None and len(info) >= 18 and info[2:10] != b"\xff" * 8 and info[1] & 1 == 0:
            self._refuse("attributes in a heap of their own")
        for kind, flags, data in node.messages:
            if kind == _ATTRIBUTE:
                if flags & 2:
                    self._refuse("shared attributes")
                name, value = self._attribute(data)
                made[name] = value
        return made

    def array(self, address: int) -> np.ndarray:
        """The array that an object is."""
        node = self.header(address)
        parts = {k: node.first(k) for k in (_SPACE, _TYPE, _LAYOUT)}
        space, kind, layout = (parts[k] for k in (_SPACE, _TYPE, _LAYOUT))
        if space is None or kind is None or layout is None:
            self._fail("an object is no array")
        if node.first(_EXTERNAL) is not None:
            self._fail("an array's data lie in other files")
        if any(k in parts and flags & 2 for k, flags, _ in node.messages):
            self._refuse("shared types of arrays")
        t, shape = self._type(kind), self._space(space)
        if t.numpy is None:
            self._refuse("arrays of text")
        count = math.prod(shape)
        if count > MAX_ELEMENTS or count * t.size > self.budget:
            self._fail(f"an array of the shape {list(shape)} is larger than its file")
        self.budget -= count * t.size
        raw = self._stored(layout, node.first(_FILTERS), t, shape)
        return self._values(raw, t, count).reshape(shape)

    # -- bytes

    def _fail(self, what: str) -> NoReturn:
        raise ModelError(f"the HDF5 file is damaged: {what}.", where=self.where)

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedError(
            f"the HDF5 file has {what}.", where=self.where,
            hint="save it anew with h5py, whose files have not unless asked for",
        )  # fmt: skip

    def take(self, at: int, count: int) -> bytes:
        """``count`` bytes from an address on."""
        self.steps += 1
        if self.steps > _STEPS:
            self._fail("its parts lead to each other without end")
        if at < 0 or count < 0 or at + count > len(self.data):
            self._fail(f"{count} bytes at {at} are past its end")
        return bytes(self.data[at : at + count])

    def _exact(self, data: bytes, count: int) -> bytes:
        if len(data) < count:
            self._fail("a part of it is too short")
        return data[:count]

    def _unpack(self, form: str, data: bytes, at: int = 0) -> tuple[Any, ...]:
        size = struct.calcsize(form)
        return struct.unpack(form, self._exact(data[at : at + size], size))

    # -- the structure

    def _superblock(self) -> int:
        head = self.take(0, 48)
        if head[:8] != MAGIC:
            self._fail("it does not begin as one")
        version = head[8]
        sizes = head[13:15] if version < 2 else head[9:11]
        if version > 3 or sizes != b"\x08\x08":
            self._refuse(f"a superblock of version {version}, addresses of {sizes[0]} bytes")
        if version >= 2:
            base, _, _, root = self._unpack("<QQQQ", self.take(12, 32))
        else:
            at = 24 if version == 0 else 28
            (base,), (root,) = self._unpack("<Q", self.take(at, 8)), self._unpack(
                "<Q", self.take(at + 40, 8))  # fmt: skip
        if base:
            self._refuse("a block of its user's in front")
        return root

    def header(self, address: int) -> Node:
        """The object whose header is at an address."""
        if address not in self._nodes:
            node = Node()
            if self.take(address, 4) == b"OHDR":
                self._header2(address, node)
            else:
                self._header1(address, node)
            self._nodes[address] = node
        return self._nodes[address]

    def _header1(self, address: int, node: Node) -> None:
        version, _, count, _, size = self._unpack("<BBHII", self.take(address, 12))
        if version != 1:
            self._fail(f"an object's header has the version {version}")
        blocks, seen = [(address + 16, size)], 0
        for at, length in blocks:
            block, k = self.take(at, length), 0
            while k + 8 <= length and seen < count:
                kind, size, flags = self._unpack("<HHB", block, k)
                data = self._exact(block[k + 8 : k + 8 + size], size)
                k, seen = k + 8 + size, seen + 1
                self._message(node, blocks, kind, flags, data)

    def _header2(self, address: int, node: Node) -> None:
        flags = self.take(address, 6)[5]
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.take(at, width), "little")
        blocks = [(at + width, size)]
        first = True
        for start, length in blocks:
            # A block that goes on has a mark in front, and a checksum behind.
            block = self.take(start, length) if first else self.take(start + 4, length - 8)
            first, k = False, 0
            step = 6 if flags & 4 else 4
            while k + step <= len(block):
                kind, count, how = self._unpack("<BHB", block, k)
                data = self._exact(block[k + step : k + step + count], count)
                k += step + count
                self._message(node, blocks, kind, how, data)

    def _message(
        self, node: Node, blocks: list[tuple[int, int]], kind: int, flags: int, data: bytes
    ) -> None:
        if kind == _CONTINUED:
            blocks.append(self._unpack("<QQ", data))  # pyright: ignore[reportArgumentType]
            if len(blocks) > 4096:
                self._fail("an object's header has no end")
        else:
            node.messages.append((kind, flags, data))

    def _heap(self, address: int) -> bytes:
        """The names of a group's objects."""
        head = self.take(address, 32)
        if head[:4] != b"HEAP":
            self._fail("a group has no names")
        size, _, at = self._unpack("<QQQ", head, 8)
        return self.take(at, size)

    def _symbols(self, address: int, names: bytes) -> Iterator[tuple[str, int]]:
        for leaf in self._leaves(address, 0, 8):
            at = leaf[1]
            head = self.take(at, 8)
            if head[:4] != b"SNOD":
                self._fail("a group has no table of its objects")
            (count,) = self._unpack("<H", head, 6)
            block = self.take(at + 8, 40 * count)
            for k in range(count):
                offset, target, cache = self._unpack("<QQI", block, 40 * k)
                end = names.find(b"\0", offset)
                if offset >= len(names) or end < 0:
                    self._fail("a name is past the end of the names")
                if cache == 2:
                    self._linked(names[offset:end].decode("utf-8", "replace"))
                yield names[offset:end].decode("utf-8", "replace"), target

    def _leaves(self, address: int, kind: int, key: int) -> Iterator[tuple[bytes, int]]:
        """The entries of a tree: the key before each, and its address."""
        stack, seen = [address], set()
        while stack:
            at = stack.pop()
            if at in seen:
                self._fail("a tree is a circle")
            seen.add(at)
            head = self.take(at, 24)
            if head[:4] != b"TREE" or head[4] != kind:
                self._fail("a tree is none")
            level, count = head[5], self._unpack("<H", head, 6)[0]
            block = self.take(at + 24, count * (key + 8) + key)
            entries = []
            for k in range(count):
                part = block[k * (key + 8) : (k + 1) * (key + 8)]
                entries.append((part[:key], int.from_bytes(part[key:], "little")))
            if level:
                stack += [a for _, a in reversed(entries)]
            else:
                yield from entries

    def _linked(self, name: str) -> NoReturn:
        raise ModelError(
            f"{name!r} is a link to somewhere else.",
            where=self.where,
            hint="weft reads no other files or places that an HDF5 file names",
        )

    def _check_link_info(self, data: bytes) -> None:
        flags = self._exact(data, 2)[1]
        at = 2 + (8 if flags & 1 else 0)
        if self._exact(data[at : at + 8], 8) != b"\xff" * 8:
            self._refuse("a group with its objects in a heap")

    def _link(self, data: bytes) -> tuple[str, int]:
        flags, k = self._exact(data, 2)[1], 2
        kind = 0
        if flags & 8:
            kind, k = self._unpack("<B", data, k)[0], k + 1
        k += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self._exact(data[k : k + width], width), "little")
        name = self._exact(data[k + width : k + width + size], size).decode("utf-8", "replace")
        if kind:
            self._linked(name)
        return name, self._unpack("<Q", data, k + width + size)[0]

    # -- types and values

    def _space(self, data: bytes) -> tuple[int, ...]:
        version, rank, _, kind = self._unpack("<BBBB", data)
        if version not in (1, 2) or rank > 32:
            self._fail(f"a shape of version {version} with {rank} axes")
        if version == 2 and kind == 2:
            return (0,)
        return self._unpack(f"<{rank}Q", data, 8 if version == 1 else 4)

    def _type(self, data: bytes) -> _Type:
        first, b0, _, _, size = self._unpack("<BBBBI", data)
        kind = first & 15
        order = ">" if b0 & 1 else "<"
        found: _Type | None = None
        if kind == 0 and size in (1, 2, 4, 8):
            found = _Type(size, np.dtype(f"{order}{'i' if b0 & 8 else 'u'}{size}"))
        elif kind == 1 and size in (2, 4, 8) and not b0 & 0x40:
            is_bfloat = size == 2 and self._unpack("<B", data, 13)[0] == 8  # bits of the exponent
            found = _Type(size, BFLOAT16.numpy if is_bfloat else np.dtype(f"{order}f{size}"))
        elif kind == 3:
            found = _Type(size, text="fixed")
        elif kind == 5 and size == 2:  # without a meaning: what numpy makes of bfloat16
            found = _Type(2, BFLOAT16.numpy)
        elif kind == 8 and size == 1:
            found = _Type(1, np.dtype("u1"), is_bool=True)
        elif kind == 9 and b0 & 15 == 1 and size == 16:
            found = _Type(16, text="varying")
        return found or self._refuse(f"elements of the class {kind} and of {size} bytes")

    def _values(self, raw: bytes, t: _Type, count: int) -> np.ndarray:
        assert t.numpy is not None
        array = np.frombuffer(self._exact(raw, count * t.size), t.numpy, count)
        if t.is_bool:
            return array != 0
        return array if t.numpy == BFLOAT16.numpy else array.astype(t.numpy.newbyteorder("="))

    def _attribute(self, data: bytes) -> tuple[str, Any]:
        version, flags, name_size, type_size, space_size = self._unpack("<BBHHH", data)
        if version not in (1, 2, 3) or (version > 1 and flags):
            self._refuse(f"attributes of version {version} with flags {flags}")
        pad = 8 if version == 1 else 1
        k, parts = 9 if version == 3 else 8, []
        for size in (name_size, type_size, space_size):
            parts.append(self._exact(data[k : k + size], size))
            k += -(-size // pad) * pad
        name = parts[0].split(b"\0")[0].decode("utf-8", "replace")
        t, shape = self._type(parts[1]), self._space(parts[2])
        count = math.prod(shape)
        if count * max(t.size, 1) > len(data):
            self._fail(f"the attribute {name!r} has no data for {count} elements")
        raw = self._exact(data[k : k + count * t.size], count * t.size)
        if t.numpy is not None:
            return name, self._values(raw, t, count).reshape(shape)
        texts = [self._text(raw[i * t.size : (i + 1) * t.size], t) for i in range(count)]
        return name, texts if shape else texts[0]

    def _text(self, raw: bytes, t: _Type) -> str:
        if t.text == "varying":
            size, heap, index = self._unpack("<IQI", raw)
            raw = self._object(heap, index)[:size] if size else b""
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    def _object(self, address: int, index: int) -> bytes:
        """An object of a global heap."""
        if address not in self._heaps:
            head = self.take(address, 16)
            if head[:4] != b"GCOL":
                self._fail("a text has no heap")
            (size,) = self._unpack("<Q", head, 8)
            block, k, found = self.take(address, size), 16, {}
            while k + 16 <= size:
                number, _, _, length = self._unpack("<HHIQ", block, k)
                if number == 0:
                    break
                found[number] = self._exact(block[k + 16 : k + 16 + length], length)
                k += 16 + -(-length // 8) * 8
            self._heaps[address] = found
        if index not in self._heaps[address]:
            self._fail("a text is not in its heap")
        return self._heaps[address][index]

    # -- data of arrays

    def _stored(
        self, layout: bytes, filters: bytes | None, t: _Type, shape: tuple[int, ...]
    ) -> bytes:
        version, kind = self._unpack("<BB", layout)
        size = math.prod(shape) * t.size
        if version not in (3, 4) or (version == 4 and kind > 1):
            self._refuse(f"arrays stored in the way {kind} of version {version}")
        if kind == 0:
            (count,) = self._unpack("<H", layout, 2)
            return self._exact(layout[4 : 4 + count], size)
        if kind == 1:
            at, count = self._unpack("<QQ", layout, 2)
            if size == 0:
                return b""
            if count < size:
                self._fail(f"an array of the shape {list(shape)} has {count} bytes")
            return self.take(at, size)
        if kind == 2:
            return self._chunks(layout, self._filters(filters), t, shape)
        return self._refuse(f"arrays stored in the way {kind}")

    def _chunks(self, layout: bytes, filters: list[int], t: _Type, shape: tuple[int, ...]) -> bytes:
        rank = self._unpack("<B", layout, 2)[0] - 1
        (tree,) = self._unpack("<Q", layout, 3)
        extents = self._unpack(f"<{rank + 1}I", layout, 11)[:-1]
        if rank != len(shape) or 0 in extents:
            self._fail(f"chunks of {extents} for the shape {list(shape)}")
        count = math.prod(extents) * t.size
        if count > self.budget + math.prod(shape) * t.size:
            self._fail(f"chunks of {extents} are larger than the file")
        whole, filled = np.zeros((*shape, t.size), np.uint8), 0
        for key, at in self._leaves(tree, 1, 8 + 8 * (rank + 1)) if whole.size else ():
            stored, mask = self._unpack("<II", key)
            starts = self._unpack(f"<{rank}Q", key, 8)
            if mask:
                self._refuse("chunks to which some filters were not applied")
            if any(s >= d for s, d in zip(starts, shape)):
                self._fail(f"a chunk at {starts} of the shape {list(shape)}")
            raw = self._unfiltered(self.take(at, stored), filters, t.size, count)
            chunk = np.frombuffer(self._exact(raw, count), np.uint8).reshape(*extents, t.size)
            part = tuple(slice(0, min(e, d - s)) for e, d, s in zip(extents, shape, starts))
            place = tuple(slice(s, s + p.stop) for s, p in zip(starts, part))
            whole[place] = chunk[part]
            filled += math.prod(p.stop for p in part)
        if filled != math.prod(shape):
            self._fail(f"chunks have {filled} elements of the shape {list(shape)}")
        return whole.tobytes()

    def _filters(self, data: bytes | None) -> list[int]:
        if data is None:
            return []
        version, count = self._unpack("<BB", data)
        k, found = 8 if version == 1 else 2, []
        for _ in range(count):
            (number,) = self._unpack("<H", data, k)
            named = version == 1 or number >= 256
            length = self._unpack("<H", data, k + 2)[0] if named else 0
            k += 4 if named else 2
            _, values = self._unpack("<HH", data, k)
            k += 4 + (-(-length // 8) * 8 if version == 1 else length) + 4 * values
            k += 4 if version == 1 and values % 2 else 0
            if number not in (_DEFLATE, _SHUFFLE, _CHECKSUM):
                self._refuse(f"chunks of the filter {number}")
            found.append(number)
        return found

    def _unfiltered(self, raw: bytes, filters: list[int], size: int, count: int) -> bytes:
        for f in reversed(filters):
            if f == _CHECKSUM:
                raw = raw[:-4]
            elif f == _DEFLATE:
                try:
                    raw = zlib.decompressobj().decompress(raw, count + 4)
                except zlib.error as e:
                    self._fail(f"a chunk cannot be inflated ({e})")
            elif len(raw) % size == 0:
                raw = np.frombuffer(raw, np.uint8).reshape(size, -1).T.tobytes()
        return raw


__all__ = ["MAGIC", "Hdf5"]
