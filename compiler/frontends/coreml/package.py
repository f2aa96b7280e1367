"""A model's files: an ``.mlmodel``, or the folder of an ``.mlpackage`` and what lies in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....runtime.errors import ModelError
from ....runtime.files import name_of, read_file
from ..beside import confined
from ..content import folder_of, wire_fields

MANIFEST = "Manifest.json"
MOST_BYTES = (1 << 31) - 1  # protocol buffers hold no more
_MOST_JSON = 1 << 20
_TYPES = {200, 201, 202, 303, 403, 500, 502}  # of Model: what is read, and what is like it
_OTHER = {*range(300, 306), *range(400, 405), 501, 555, 556, 560, *range(600, 611), 900, 3000}
_OTHER |= set(range(2000, 2007))


@dataclass(frozen=True)
class Opened:
    """A model's bytes; ``folder`` is where its weights lie, None for what came as bytes."""

    data: bytes
    file: str
    folder: Path | None


def recognises(source: Any, head: bytes) -> bool:
    """Whether it is a package's folder, or a file of Core ML's ``Model``: its first field is the
    version, and one field says what kind of model it is."""
    folder = folder_of(source)
    if folder is not None:
        try:
            return _root(folder) is not None
        except ModelError:
            return False
    if not head.startswith(b"\x08"):
        return False
    fields = wire_fields(source)
    numbers = {number for number, kind, _ in fields if kind == 2}
    return (
        bool(fields)
        and fields[0][:2] == (1, 0)
        and all(n in (1, 2, 10) or n >= 200 for n, _, _ in fields)
        and bool(numbers & (_TYPES | _OTHER))
    )


def open_model(source: Any) -> Opened:
    """The bytes of a model. Raises :class:`ModelError`."""
    if isinstance(source, bytes | bytearray | memoryview):
        return Opened(bytes(source), "", None)
    path = Path(name_of(source, error=ModelError, what="the model"))
    folder = folder_of(path)
    if folder is not None:
        inner = _root(folder)
        if inner is None:
            raise ModelError(
                "the folder is no Core ML package.", where=str(path), hint=f"{MANIFEST} is missing"
            )
        return Opened(_read(inner), str(path), inner.parent)
    return Opened(_read(path), str(path), path.absolute().parent)


def files_of(path: Path) -> Sequence[Path]:
    """The files that the model at ``path`` is read from, beside itself."""
    folder = folder_of(path)
    if folder is None:
        return ()
    try:
        return tuple(p for p in folder.rglob("*") if p.is_file())
    except OSError:
        return ()


def _root(folder: Path) -> Path | None:
    """The file of the model in a package; None for a folder that is none."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    where = str(manifest)
    try:
        found = json.loads(read_file(manifest, _MOST_JSON, error=ModelError))
        if not isinstance(found, dict) or "itemInfoEntries" not in found:
            return None
        location = found["itemInfoEntries"][found["rootModelIdentifier"]]["path"]
    except (ValueError, LookupError, TypeError, RecursionError) as e:
        raise ModelError(
            f"the manifest does not say which file is the model ({type(e).__name__}: {e}).",
            where=where,
        ) from None
    if not isinstance(location, str):
        raise ModelError("the path of the model in the manifest is no text.", where=where)
    return confined([folder.resolve()], f"Data/{location}", "the model", where)


def _read(path: Path) -> bytes:
    return read_file(path, MOST_BYTES, error=ModelError, what="the model")


__all__ = ["Opened", "files_of", "open_model", "recognises"]
