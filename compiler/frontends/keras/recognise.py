"""Whether a model is one of Keras, and what files it has: asked before anything else is known of a
model, so that it loads none of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....runtime.errors import ModelError
from .. import tfjs_weights
from ..content import folder_of, members

MAGIC = b"\x89HDF\r\n\x1a\n"  # of HDF5
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
_ARCHIVE = frozenset((CONFIG, WEIGHTS))
_PACKAGES = ("keras", "tf_keras", "tensorflow")


def recognises(source: Any, head: bytes) -> bool:
    """An HDF5 file, an archive of Keras 3 or what it was unpacked to, a layers model of
    TensorFlow.js, or a model in memory."""
    if head.startswith(MAGIC):
        return True
    if head.startswith(b"PK"):
        return members(source) >= _ARCHIVE
    folder = folder_of(source)
    if folder is not None and all((folder / name).is_file() for name in _ARCHIVE):
        return True
    if isinstance(source, str | Path | bytes | bytearray | memoryview):
        return tfjs_weights.is_kind(source, head, "layers-model")
    return is_object(source)


def is_object(source: Any) -> bool:
    """Whether an object is a model of Keras, known by its classes' names: nothing is imported."""
    return any(
        c.__name__ in ("Model", "Sequential", "Functional")
        and c.__module__.split(".", 1)[0] in _PACKAGES
        and "keras" in c.__module__
        for c in type(source).__mro__
    )


def files_of(path: Path) -> list[Path]:
    """The files that a model at ``path`` is read from, beside itself."""
    folder = folder_of(path)
    if folder is not None and (folder / CONFIG).is_file():
        return [folder / CONFIG, folder / WEIGHTS]
    try:
        source = tfjs_weights.json_of(path)
        parts = tfjs_weights.shards(tfjs_weights.read_json(source), source)
    except ModelError:
        return []
    return [Path(source), *(Path(source).parent / p for p in parts if "\0" not in p)]


__all__ = ["CONFIG", "MAGIC", "WEIGHTS", "files_of", "is_object", "recognises"]
