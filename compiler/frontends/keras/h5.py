"""What Keras asks of an HDF5 file, by paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import ModelError
from ....runtime.files import read_file
from ...types import MAX_ELEMENTS
from ..hdf5 import Hdf5

_MOST = 4 * MAX_ELEMENTS  # bytes


def open_h5(source: str | Path | bytes, where: str) -> File:
    """The file. Raises :class:`ModelError` for what is none."""
    if isinstance(source, str | Path):
        source = read_file(source, _MOST, error=ModelError, what="the model")
    return File(Hdf5(source, where), where)


class File:
    """A file: :meth:`attribute` and :meth:`array` read from it."""

    def __init__(self, data: Hdf5, where: str):
        self.data, self.where = data, where

    def has(self, path: str) -> bool:
        """Whether there is something at ``path``."""
        return self.data.node(path) is not None

    def keys(self, path: str) -> list[str]:
        """The names of what is in the group at ``path``; none where there is no such group."""
        at = self.data.node(path)
        return [] if at is None else list(self.data.links(at))

    def attribute(self, path: str, name: str) -> Any:
        """An attribute of what is at ``path``; None where there is none."""
        at = self.data.node(path)
        return None if at is None else self.data.attributes(at).get(name)

    def names(self, path: str, name: str) -> list[str]:
        """A list of texts that is an attribute, or several, ``name0``, ``name1``, …, where it was
        too long for one."""
        at = self.data.node(path)
        known = {} if at is None else self.data.attributes(at)
        parts = [known[name]] if name in known else []
        while name not in known and f"{name}{len(parts)}" in known:
            parts.append(known[f"{name}{len(parts)}"])
        made: list[str] = []
        for part in parts:
            for text in [part] if isinstance(part, str) else list(part):
                if not isinstance(text, str):
                    raise ModelError(f"{name} of {path!r} holds {text!r}.", where=self.where)
                made.append(text)
        return made

    def array(self, path: str) -> np.ndarray:
        """The array at ``path``."""
        at = self.data.node(path)
        if at is None:
            raise ModelError(f"there is no array at {path!r}.", where=self.where)
        return self.data.array(at)


__all__ = ["File", "open_h5"]
