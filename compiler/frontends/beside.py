"""Files beside a model that hold its data: read from the model's folder, and from nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ...runtime.errors import ModelError


def confined(folders: Sequence[Path], location: str, what: str, where: str) -> Path:
    """The real path of ``location``, which must be a plain file in one of ``folders``, which are
    resolved; ``what`` it is, for messages.

    ``..`` and absolute paths are refused as text, and links by comparing real paths: a model
    file is not to be trusted, and following it anywhere would let it read any file.
    """
    parts = location.replace("\\", "/").split("/")
    absolute = location.startswith(("/", "\\")) or (len(location) > 1 and location[1] == ":")
    if not location or absolute or ".." in parts or "\0" in location:
        raise ModelError(
            f"{what} {location!r} is not inside the model's folder.",
            where=where,
            hint="the location must be a relative path without '..'",
        )
    try:
        found = [(f / location).resolve() for f in folders]
        real = next((p for p in found if p.is_file()), found[0])
        is_file = real.is_file()
    except (OSError, RuntimeError, ValueError) as e:  # ValueError: no name in this file system
        why = getattr(e, "strerror", None) or e
        short = location if len(location) < 80 else f"{location[:77]}..."
        raise ModelError(f"{what} {short!r} cannot be found: {why}.", where=where) from None
    if not any(real.is_relative_to(f) for f in folders):
        raise ModelError(f"{what} {location!r} is a link out of the model's folder.", where=where)
    if not is_file:
        raise ModelError(f"{what} {location!r} is not a file.", where=where)
    return real


def read_part(path: Path, what: str, offset: int, length: int | None, where: str) -> bytes:
    """``length`` bytes of a file from ``offset`` on; all of them for None. Raises
    :class:`ModelError` where it has not as many, before memory is taken for them."""
    try:
        with open(path, "rb", opener=_without_waiting) as f:
            status = os.fstat(f.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{what} is not a file.", where=where)
            have = status.st_size
            length = have - offset if length is None else length
            if offset + length > have:
                raise ModelError(
                    f"{what} has {have} bytes, {offset + length} are needed.",
                    where=where,
                    hint="the file is truncated or belongs to another model",
                )
            f.seek(offset)
            return f.read(length)
    except OSError as e:
        raise ModelError(f"{what} cannot be read: {e.strerror}.", where=where) from None
    except MemoryError:
        raise ModelError(f"{what}: there is no memory for {length} bytes.", where=where) from None


def _without_waiting(path: str, flags: int) -> int:
    """An opener that does not wait for the other end of what has become a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


__all__ = ["confined", "read_part"]
