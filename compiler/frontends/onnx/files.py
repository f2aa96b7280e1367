"""The files of a model: what must not be overwritten while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError, Message
from onnx import TensorProto, load_model_from_string

from ....runtime.errors import ModelError
from ....runtime.files import read_file
from .reader import MOST_BYTES


def files_of(path: Path) -> tuple[Path, ...]:
    """The files of external data that the model names; none where it cannot be read, which the
    reader says better."""
    try:
        proto = load_model_from_string(read_file(path, MOST_BYTES, error=ModelError))
    except (ModelError, DecodeError, UnicodeDecodeError):
        return ()
    names = {
        e.value for t in _tensors(proto) for e in t.external_data if e.key == "location" and e.value
    }
    folders = dict.fromkeys((path.absolute().parent, path.resolve().parent))
    return tuple(f / n for f in folders for n in sorted(names) if "\0" not in n)


def _tensors(proto: Message) -> Iterator[TensorProto]:
    """Every tensor with external data, in graphs inside of nodes, too."""
    stack = [proto]
    while stack:
        message = stack.pop()
        if isinstance(message, TensorProto):
            if message.external_data:
                yield message
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend([value] if isinstance(value, Message) else value)
