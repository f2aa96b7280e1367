"""Where a compilation looks for the best schedule of a kernel: the user's own records, then those
that come with weft.

Shipped records (``shipped/*.jsonl``, written by ``tools/ship_records.py``) are winners that beat
the default schedule of their kernel on a machine of ours. They hold for the whole family of a
processor (``Target.family``), which is what their ``target`` says.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from ...ir.target import Target
from ...runtime import knobs
from .records import Record, Records, read_records


@dataclass(frozen=True)
class KnownRecords:
    """``own``: the records of this user, None as long as there are none."""

    own: Records | None

    def best(self, key: str, target: str, threads: int) -> Record | None:
        """As :meth:`Records.best`."""
        found = self.own.best(key, target, threads) if self.own is not None else None
        if found is not None:
            return found
        candidates = shipped().get((key, Target.parse(target).family), ())
        nearest = sorted(candidates, key=lambda r: (abs(r.threads - threads), r.threads))
        return nearest[0] if nearest else None


@cache
def shipped() -> Mapping[tuple[str, str], Sequence[Record]]:
    """The records that come with weft, by the key of the computation and the family of targets."""
    found: dict[tuple[str, str], list[Record]] = {}
    with resources.as_file(resources.files("weft.compiler.tune") / "shipped") as folder:
        for file in sorted(folder.glob("*.jsonl")):
            for r in read_records(file):
                found.setdefault((r.key, r.target), []).append(r)
    return MappingProxyType(found)


_opened: dict[Path, Records] = {}
_lock = threading.Lock()


def default_records() -> KnownRecords | None:
    """What compilations of this user look at; None if that is turned off (``WEFT_RECORDS=0``)."""
    path = knobs.records_file()
    if path is None:
        return None
    if not path.exists():
        return KnownRecords(None)
    with _lock:
        if path not in _opened:
            _opened[path] = Records(path)
        return KnownRecords(_opened[path])
