"""What was measured: tuning records in SQLite.

A record is keyed by the structural key of a computation, the text of the resolved target with all
its capabilities, the number of threads, and the configuration. Records of any machine and version
live side by side; each says where and when it was made. The journal is write-ahead, one short
transaction a measurement, so that a tuner may be killed at any moment and several may share a file.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...runtime.errors import RecordError
from ...runtime.version import __version__
from ..schedules.choices import Config, config_of, config_text

APPLICATION = 0x77656674  # "weft", in the header of the file
VERSION = 1
_HINT = "give another file, or remove this one; WEFT_RECORDS=0 compiles without records"
STATES = ("ok", "failed", "wrong", "timeout", "crashed")
_COLUMNS = (
    "key", "target", "threads", "config", "state", "seconds", "winner", "trace", "task", "flops",
    "message", "weft", "machine", "made",
)  # fmt: skip
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records (
    key TEXT NOT NULL, target TEXT NOT NULL, threads INTEGER NOT NULL, config TEXT NOT NULL,
    state TEXT NOT NULL, seconds REAL, winner INTEGER NOT NULL, trace TEXT NOT NULL,
    task TEXT NOT NULL, flops INTEGER NOT NULL, message TEXT NOT NULL,
    weft TEXT NOT NULL, machine TEXT NOT NULL, made TEXT NOT NULL,
    PRIMARY KEY (key, target, threads, config)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True)
class Record:
    """One measurement.

    ``seconds`` of one call, None unless ``state`` is ``"ok"``; ``winner`` marks the configuration
    that won the last comparison of the best ones. ``trace`` is the hash of the schedule that the
    configuration led to: where it leads to another today the measurement is out of date. ``task``,
    the readable name of the kernel, ``flops``, ``message`` (what failed), ``weft``, ``machine`` and
    ``made`` (UTC) are for people.
    """

    key: str
    target: str
    threads: int
    config: Config
    state: str
    seconds: float | None
    winner: bool = False
    trace: str = ""
    task: str = ""
    flops: int = 0
    message: str = ""
    weft: str = __version__
    machine: str = ""
    made: str = ""

    def row(self) -> tuple[Any, ...]:
        """What a row of the table of records holds, in the order of its columns."""
        values = {**asdict(self), "config": config_text(self.config), "winner": int(self.winner)}
        return tuple(values[c] for c in _COLUMNS)

    def to_json(self) -> str:
        """One line of an export."""
        return json.dumps({**asdict(self), "config": dict(self.config)}, sort_keys=True)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Record:
        """The record of a row or a line; raises KeyError, TypeError or ValueError if it is none."""
        config = values["config"]
        text = config if isinstance(config, str) else json.dumps(config)
        seconds = values["seconds"]
        made = cls(
            key=str(values["key"]),
            target=str(values["target"]),
            threads=int(values["threads"]),
            config=config_of(text),
            state=str(values["state"]),
            seconds=None if seconds is None else float(seconds),
            winner=bool(values["winner"]),
            trace=str(values["trace"]),
            task=str(values["task"]),
            flops=int(values["flops"]),
            message=str(values["message"]),
            weft=str(values["weft"]),
            machine=str(values["machine"]),
            made=str(values["made"]),
        )
        timed = made.seconds is not None and 0 < made.seconds < float("inf")
        if made.state not in STATES or timed != (made.state == "ok"):
            raise ValueError(f"the state {made.state!r} with {made.seconds} seconds")
        return made


def here(record: Record) -> Record:
    """``record`` with this machine and this moment as its origin."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(record, machine=machine_name(), made=now, weft=__version__)


def machine_name() -> str:
    """What tells this machine from others in records."""
    return f"{platform.node()} {platform.machine()} {platform.system()}"


class Records:
    """A file of records; None keeps them in memory.

    Safe to use from several threads and processes. Raises :class:`RecordError` when the file is
    damaged, is no file of records, or is of a newer version.
    """

    def __init__(self, path: Path | None, *, must_exist: bool = False):
        self.path = path
        self._lock = threading.RLock()
        if path is not None and (must_exist or path.exists()) and not path.is_file():
            raise RecordError("there is no such file of records.", where=str(path))
        with self._errors():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, timeout=30, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
        try:
            with self._errors():
                self._open()
        except RecordError:
            self._db.close()
            raise

    def _open(self) -> None:
        db = self._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        if pages == 0:  # one transaction: killed at any point, the file is empty or complete
            db.executescript(f"BEGIN IMMEDIATE;\n{_SCHEMA}COMMIT;")
            db.execute("PRAGMA journal_mode = WAL")
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise RecordError(
                "this is no file of tuning records.", where=str(self.path), hint=_HINT
            )
        if version != VERSION:
            raise RecordError(
                f"the records have version {version}, this weft reads {VERSION}.",
                where=str(self.path),
                hint="export them with the weft that made them, as JSON lines",
            )
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"SELECT {', '.join(_COLUMNS)} FROM records LIMIT 1").fetchone()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.OperationalError as e:
            raise RecordError(
                f"the records cannot be used: {e}.", where=str(self.path), hint=_HINT
            ) from None
        except sqlite3.DatabaseError as e:
            raise RecordError(
                f"this is no file of tuning records, or it is damaged: {e}.",
                where=str(self.path),
                hint=_HINT,
            ) from None
        except OSError as e:
            raise RecordError(f"the records cannot be kept: {e}.", where=str(self.path)) from None

    def close(self) -> None:
        """Let the file go; the records cannot be used afterwards."""
        with self._lock:
            self._db.close()

    def put(self, *records: Record) -> None:
        """Store records; one of the same key replaces an older measurement."""
        with self._errors(), self._db:
            self._db.executemany(_INSERT, [r.row() for r in records])

    def of(self, key: str, target: str, threads: int) -> list[Record]:
        """All measurements of one computation, fastest first, failures last."""
        sql = (
            "SELECT * FROM records WHERE key = ? AND target = ? AND threads = ?"
            " ORDER BY seconds IS NULL, seconds, config"
        )
        with self._errors():
            return self._read(self._db.execute(sql, (key, target, threads)))

    def best(self, key: str, target: str, threads: int) -> Record | None:
        """The configuration to use: of those measured with the nearest number of threads, the
        winner of a comparison, else the fastest."""
        sql = (
            "SELECT * FROM records WHERE key = ? AND target = ? AND state = 'ok'"
            " ORDER BY abs(threads - ?), threads, winner DESC, seconds, config LIMIT 1"
        )
        with self._errors():
            found = self._read(self._db.execute(sql, (key, target, threads)))
        return found[0] if found else None

    def crown(self, winner: Record) -> None:
        """Mark a configuration as the best of its computation, and no other."""
        where = (winner.key, winner.target, winner.threads)
        with self._errors(), self._db:
            self._db.execute(
                "UPDATE records SET winner = (config = ?)"
                " WHERE key = ? AND target = ? AND threads = ?",
                (config_text(winner.config), *where),
            )

    def __iter__(self) -> Iterator[Record]:
        with self._errors():
            found = self._read(self._db.execute("SELECT * FROM records ORDER BY task, key, config"))
        return iter(found)

    def __len__(self) -> int:
        with self._errors():
            return self._db.execute("SELECT count(*) FROM records").fetchone()[0]

    def _read(self, rows: Iterable[sqlite3.Row]) -> list[Record]:
        try:
            return [Record.of(dict(r)) for r in rows]
        except (KeyError, TypeError, ValueError) as e:
            raise RecordError(f"a record is damaged: {e}.", where=str(self.path)) from None

    def merge(self, others: Iterable[Record]) -> int:
        """Take over records, the faster one where both have a measurement; returns how many changed
        something."""
        changed = 0
        with self._errors(), self._db:
            for r in others:
                cursor = self._db.execute(
                    _INSERT + " WHERE excluded.seconds IS NOT NULL"
                    " AND (records.seconds IS NULL OR excluded.seconds < records.seconds)",
                    r.row(),
                )
                changed += cursor.rowcount
        return changed

    def export(self, path: Path) -> int:
        """Write all records as JSON lines; returns their number."""
        lines = [r.to_json() + "\n" for r in self]
        try:
            path.write_text("".join(lines), encoding="utf-8")
        except OSError as e:
            raise RecordError(f"the records cannot be written: {e}.", where=str(path)) from None
        return len(lines)


_INSERT = (
    f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in _COLUMNS[4:])
)


def read_records(path: Path) -> Sequence[Record]:
    """The records of a file, SQLite or JSON lines; raises :class:`RecordError`."""
    try:
        with path.open("rb") as f:
            head = f.read(16)
            if head.startswith(b"SQLite format 3"):
                text = None
            else:
                text = (head + f.read()).decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise RecordError(f"the records cannot be read: {e}.", where=str(path)) from None
    if text is None:
        store = Records(path, must_exist=True)
        try:
            return list(store)
        finally:
            store.close()
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(Record.of(json.loads(line)))
        except (KeyError, TypeError, ValueError) as e:
            raise RecordError(
                f"this is no record: {type(e).__name__} {e}.",
                where=f"{path}, line {number}",
                hint="'weft tune --export' writes files that can be read",
            ) from None
    return found
