"""Where a compilation looks for the best schedule of a kernel: the user's own records, then those
that come with weft.

Shipped records (``shipped/*.jsonl``, written by ``tools/ship_records.py``) are winners that beat
the default schedule of their kernel on a machine of ours. They hold for the whole family of a
processor (``Target.family``), which is what their ``target`` says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from ...ir.target import Target
from ...runtime import forks, knobs, private
from .records import Record, Records, best_of, read_records


@dataclass(frozen=True)
class KnownRecords:
    """``own``: the records of this user, None as long as there are none."""

    own: Records | None

    def best(self, key: str, target: str, threads: int, device: str = "") -> Record | None:
        """As :meth:`Records.best`."""
        found = self.own.best(key, target, threads, device) if self.own is not None else None
        if found is not None:
            return found
        return best_of(shipped().get((key, Target.parse(target).family), ()), threads, device)


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
_lock = forks.awaited()


def default_records() -> KnownRecords | None:
    """What compilations of this user look at; None if that is turned off (``WEFT_RECORDS=0``).

    Records of the user that cannot be reached (no home, a home of somebody else, one that cannot
    be written) are logged once, and those that come with weft are used. A record is no code: it
    picks among the options that a rule offers (``Choices``). The file is still read by SQLite, so
    one that neither this user nor root owns is left alone where nobody named it.
    """
    if not knobs.records_enabled():
        return None
    path = knobs.records_file()
    if path is None:
        return KnownRecords(None)
    with _lock:
        if path not in _opened:
            try:
                status = path.stat()
                ours = knobs.records_named() or not private.is_foreign(status)
                reachable = ours and os.access(path, os.R_OK) and os.access(path.parent, os.W_OK)
            except (FileNotFoundError, NotADirectoryError):
                return KnownRecords(None)
            except (OSError, ValueError):  # ValueError: a name with a zero byte
                reachable = False
            if not reachable:
                private.tell(
                    f"the tuning records {path} are not used: they belong to somebody else or"
                    " cannot be opened; WEFT_RECORDS names others, 0 does without"
                )
                return KnownRecords(None)
            _opened[path] = Records(path)
        return KnownRecords(_opened[path])
