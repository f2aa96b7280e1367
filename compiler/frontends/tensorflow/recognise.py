"""Whether a model is one of TensorFlow's; asked of every model, so this loads no converters."""

from __future__ import annotations

import re
from typing import Any

from ..content import folder_of, wire_fields
from ..tfjs_weights import is_kind

FILE = "saved_model.pb"
_TEXT = rb"[A-Za-z0-9_.][A-Za-z0-9_.\\/>:-]*"


def is_graph(source: Any, head: bytes) -> bool:
    """Whether a file is a GraphDef: its first field is a node, whose first two are a name and an
    operator; never raises."""
    match = re.match(rb"\x0a[\x80-\xff]*[\x00-\x7f]\x0a([\x80-\xff]*[\x00-\x7f])", head)
    if match is None:
        return False
    length = _varint(match.group(1))
    name, rest = head[match.end() : match.end() + length], head[match.end() + length :]
    if not re.fullmatch(_TEXT, name) or not re.match(rb"\x12[\x01-\x7f][A-Za-z_]", rest):
        return False
    op = rest[2 : 2 + rest[1]]
    if not re.fullmatch(rb"[A-Za-z_][A-Za-z0-9_>]*", op):
        return False
    fields = wire_fields(source)
    kinds = {(1, 2), (2, 2), (3, 0), (4, 2), (5, 2)}
    return bool(fields) and all((number, kind) in kinds for number, kind, _ in fields)


def _varint(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * k for k, byte in enumerate(data))


def is_tfjs(source: Any, head: bytes) -> bool:
    """Whether a model is a graph model of TensorFlow.js; never raises."""
    return is_kind(source, head, "graph-model")


def is_saved(source: Any, head: bytes) -> bool:
    """Whether a model is a folder with a SavedModel, or its file; never raises."""
    folder = folder_of(source)
    if folder is not None:
        try:
            return (folder / FILE).is_file()
        except OSError:
            return False
    if head[:3] != b"\x08\x01\x12":  # the schema's version, a graph
        return False
    fields = wire_fields(source)
    return len(fields) > 1 and all(f[:2] in ((1, 0), (2, 2)) for f in fields)


__all__ = ["FILE", "is_graph", "is_saved", "is_tfjs"]
