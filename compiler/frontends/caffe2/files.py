"""The two files of a model, of which a caller names one, or their folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....runtime.errors import InputError, ModelError
from ....runtime.files import is_plain, name_of, read_file
from ..content import folder_of

MOST_BYTES = 1 << 31  # what a protocol buffer can have
_HEAD = 4096
_TYPE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_TEXT = re.compile(rb"^\s*op\s*:?\s*\{", re.MULTILINE)
_ENDINGS = (".pb", ".pbtxt", ".prototxt")
_NAMES = (("predict", "init"), ("exec", "init"), ("init", "predict"), ("init", "exec"))


@dataclass(frozen=True)
class Pair:
    """What a model is read from; the nets say which of them is which. ``None``: only one."""

    first: bytes
    second: bytes | None
    file: str = ""
    second_file: str = ""
    name: str = "caffe2"


def recognises(source: Any, head: bytes) -> bool:
    """Whether a source is a net, or a folder with two of them."""
    folder = folder_of(source)
    return is_net(head) if folder is None else len(_nets(folder)) == 2


def is_net(head: bytes) -> bool:
    """Whether a file that begins like this is a NetDef: after its name come its operators (field
    2), whose type (field 4) is a word and stands in front of what they hold."""
    if _TEXT.search(head) and not any(b < 9 for b in head):
        return b"type:" in head
    named = False
    for number, kind, value in _fields(head):
        if kind != 2 or number > 2 or (number == 1 and named):
            return False
        named = True
        if number == 2:
            return _is_operator(value)
    return False


def _is_operator(data: bytes) -> bool:
    outputs = 0
    for number, kind, value in _fields(data):
        if number == 4:
            return kind == 2 and bool(outputs) and _TYPE.fullmatch(value) is not None
        if kind != 2 or number > 4:
            return False
        outputs += number == 2
    return False


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Blocks at the beginning of a message: number, wire type, and as much as there is of it."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        size, at = _varint(data, at)
        if key < 0 or size < 0:
            return
        yield key >> 3, key & 7, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k in range(min(10, len(data) - at)):
        value |= (data[at + k] & 0x7F) << (7 * k)
        if data[at + k] < 0x80:
            return value, at + k + 1
    return -1, len(data)


def files_of(path: Path) -> Sequence[Path]:
    """The files that the model at ``path`` is read from."""
    try:
        return [p for p in _pair(path) if p is not None]
    except (ModelError, OSError, ValueError):
        return ()


def read_pair(source: Any) -> Pair:
    """The bytes of both files. Raises :class:`ModelError` where a folder has not one pair."""
    if isinstance(source, bytes | bytearray | memoryview):
        return Pair(bytes(source), None)
    if not isinstance(source, str | Path):
        raise InputError(
            f"{type(source).__name__} is no model of Caffe2's.",
            hint="give a path to predict_net.pb",
        )
    path = Path(name_of(source, error=ModelError, what="the model"))
    first, second = _pair(path)
    stem = re.sub(r"_?(predict|init|exec)(_net)?$", "", first.stem)
    return Pair(
        read_file(first, MOST_BYTES, error=ModelError),
        None if second is None else read_file(second, MOST_BYTES, error=ModelError),
        str(first),
        str(second or ""),
        stem or first.absolute().parent.name or "caffe2",
    )


def _pair(path: Path) -> tuple[Path, Path | None]:
    if not path.is_dir():
        return path, _other(path)
    nets = _nets(path)
    if len(nets) != 2:
        names = ", ".join(p.name for p in nets) or "none"
        raise ModelError(
            f"the folder has {len(nets)} nets ({names}), not a pair.", where=str(path),
            hint="name the file that is meant",
        )  # fmt: skip
    return nets[0], nets[1]


def _other(path: Path) -> Path | None:
    """The file beside ``path`` whose name differs by which of the two it is; else the only one."""
    nets = [p for p in _nets(path.parent) if p.name != path.name]
    for mine, theirs in _NAMES:
        before, found, behind = path.stem.rpartition(mine)
        wanted = f"{before}{theirs}{behind}"
        for p in nets:
            if found and p.stem == wanted:
                return p
    return nets[0] if len(nets) == 1 else None


def _nets(folder: Path) -> list[Path]:
    with suppress(OSError, ValueError):
        return sorted(
            p for p in folder.iterdir()
            if p.suffix in _ENDINGS and is_plain(p) and is_net(_head(p))
        )  # fmt: skip
    return []


def _head(path: Path) -> bytes:
    with suppress(OSError, ValueError), open(path, "rb") as f:
        return f.read(_HEAD)
    return b""


__all__ = ["Pair", "files_of", "is_net", "read_pair", "recognises"]
