"""What was measured: tuning records in SQLite.

A record is keyed by the structural key of a computation, the text of the resolved target with all
its capabilities, the number of threads, the device that measured it (a renderer: what a target's
text does not say) and the configuration. Records of any machine and version live side by side; each
says where and when it was made. The journal is write-ahead, one short
transaction a measurement, so that a tuner may be killed at any moment and several may share a file.
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...runtime import forks
from ...runtime.errors import RecordError
from ...runtime.files import read_file, write_file
from ...runtime.uncopied import Uncopied
from ...runtime.version import __version__
from ..schedules.choices import Config, config_of, config_text

APPLICATION = 0x77656674  # "weft", in the header of the file
VERSION = 2
_HINT = "give another file, or remove this one; WEFT_RECORDS=0 compiles without records"
MOST_BYTES = 1 << 30  # of a file of records to read
STATES = ("ok", "failed", "wrong", "timeout", "crashed")
_COLUMNS = (
    "key", "target", "threads", "device", "config", "state", "seconds", "winner", "trace", "task",
    "flops", "message", "weft", "machine", "made",
)  # fmt: skip
_IDENTITY = _COLUMNS[:5]
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records (
    key TEXT NOT NULL, target TEXT NOT NULL, threads INTEGER NOT NULL, device TEXT NOT NULL,
    config TEXT NOT NULL, state TEXT NOT NULL, seconds REAL, winner INTEGER NOT NULL,
    trace TEXT NOT NULL, task TEXT NOT NULL, flops INTEGER NOT NULL, message TEXT NOT NULL,
    weft TEXT NOT NULL, machine TEXT NOT NULL, made TEXT NOT NULL,
    PRIMARY KEY ({", ".join(_IDENTITY)})
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""
_OLD = ", ".join(c for c in _COLUMNS if c != "device")
_UPGRADE = f"""
ALTER TABLE records RENAME TO old;
{_SCHEMA}
INSERT INTO records (device, {_OLD}) SELECT '', {_OLD} FROM old;
DROP TABLE old;"""


@dataclass(frozen=True)
class Record:
    """One measurement.

    ``device`` names what ran it where the target does not say that: a renderer, a driver; empty for
    this machine's processor. ``seconds`` of one call, None unless ``state`` is ``"ok"``; ``winner``
    marks the configuration that won the last comparison of the best ones. ``trace`` is the hash of
    the schedule that the configuration led to: where it leads to another today the measurement is
    out of date. ``task``, the readable name of the kernel, ``flops``, ``message`` (what failed),
    ``weft``, ``machine`` and ``made`` (UTC) are for people.
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
    device: str = ""

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
            device=str(values["device"] if "device" in values.keys() else ""),  # noqa: SIM118
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


class Records(Uncopied):
    """A file of records; None keeps them in memory.

    Safe to use from several threads and processes. Raises :class:`RecordError` when the file is
    damaged, is no file of records, or is of a newer version.
    """

    reason = "is a connection to a database"
    instead = "open the file again: weft.Records(path)"

    def __init__(self, path: Path | None, *, must_exist: bool = False):
        self.path = path
        self._lock = forks.awaited()
        if path is not None and (must_exist or path.exists()) and not path.is_file():
            raise RecordError("there is no such file of records.", where=str(path))
        self._connection: sqlite3.Connection | None = None
        self._closed, self._uses = False, 0
        with self._errors():
            if path is not None:
                path.parent.mkdir(0o700, parents=True, exist_ok=True)
            self._connection = self._connect()
        if path is not None:
            forks.before(self, Records._let_go)

    @property
    def _db(self) -> sqlite3.Connection:
        """The connection; made anew after a fork."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _let_go(self) -> None:
        """Before a fork: SQLite forbids that a connection lives through one, even unused. A thread
        that forks in the middle of its own use keeps it."""
        if self._connection is not None and not self._closed and not self._uses:
            self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            ":memory:" if self.path is None else self.path, timeout=30, check_same_thread=False
        )
        db.row_factory = sqlite3.Row
        try:
            self._prepare(db)
        except (RecordError, sqlite3.Error):
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA trusted_schema = OFF")  # what a file brings along calls nothing
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
        if version not in (1, VERSION):
            raise RecordError(
                f"the records have version {version}, this weft reads {VERSION}.",
                where=str(self.path),
                hint="export them with the weft that made them, as JSON lines",
            )
        kinds = db.execute("SELECT type FROM sqlite_master WHERE name = 'records' OR sql <> ''")
        if any(kind != "table" for (kind,) in kinds):  # a view may be a program that never ends
            raise RecordError("the records are no plain table.", where=str(self.path), hint=_HINT)
        if version < VERSION:
            self._upgrade(db)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"SELECT {', '.join(_COLUMNS)} FROM records LIMIT 1").fetchone()

    @staticmethod
    def _upgrade(db: sqlite3.Connection) -> None:
        """From version 1, which knew processors only: their targets name them."""
        with db:
            db.execute("BEGIN IMMEDIATE")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != VERSION:  # or another process was faster
                for statement in _UPGRADE.split(";")[:-1]:
                    db.execute(statement)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with self._lock:
                self._uses += 1
                try:
                    yield
                finally:
                    self._uses -= 1
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
            self._closed = True

    def put(self, *records: Record) -> None:
        """Store records; one of the same key replaces an older measurement."""
        with self._errors(), self._db:
            self._db.executemany(_INSERT, [r.row() for r in records])

    def of(self, key: str, target: str, threads: int, device: str = "") -> list[Record]:
        """All measurements of one computation on a device, fastest first, failures last."""
        sql = (
            "SELECT * FROM records WHERE key = ? AND target = ? AND threads = ? AND device = ?"
            " ORDER BY seconds IS NULL, seconds, config"
        )
        with self._errors():
            return self._read(self._db.execute(sql, (key, target, threads, device)))

    def best(self, key: str, target: str, threads: int, device: str = "") -> Record | None:
        """The configuration to use: see :func:`best_of`."""
        sql = "SELECT * FROM records WHERE key = ? AND target = ? AND state = 'ok'"
        with self._errors():
            return best_of(self._read(self._db.execute(sql, (key, target))), threads, device)

    def elsewhere(self, key: str, target: str, threads: int, device: str) -> list[Record]:
        """What won on other devices than this one."""
        sql = (
            "SELECT * FROM records WHERE key = ? AND target = ? AND threads = ? AND device <> ?"
            " AND winner ORDER BY device"
        )
        with self._errors():
            return self._read(self._db.execute(sql, (key, target, threads, device)))

    def crown(self, winner: Record) -> None:
        """Mark a configuration as the best of its computation, and no other."""
        where = (winner.key, winner.target, winner.threads, winner.device)
        with self._errors(), self._db:
            self._db.execute(
                "UPDATE records SET winner = (config = ?)"
                " WHERE key = ? AND target = ? AND threads = ? AND device = ?",
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
        """Write all records as JSON lines; returns their number. Raises :class:`RecordError`
        where ``path`` cannot be written, or is the file of the records itself."""
        lines = [r.to_json() + "\n" for r in self]
        write_file(path, "".join(lines), self.files(), error=RecordError, what="the export")
        return len(lines)

    def files(self) -> tuple[Path, ...]:
        """The files that hold the records: the database, and what SQLite keeps beside it."""
        if self.path is None:
            return ()
        return tuple(self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm"))


_INSERT = (
    f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in _COLUMNS[len(_IDENTITY) :])
)


def best_of(records: Iterable[Record], threads: int, device: str = "") -> Record | None:
    """Of the measurements of one computation, that of the configuration to use; None where there is
    none that succeeded.

    Those with the nearest number of threads count. A ``device``, of which part of the name is
    enough, has its own: the winner of a comparison there, else the fastest. So it is where all were
    made on one device, or none on the one asked for. Of several devices, each of which has measured
    at least the default schedule, what counts is the geometric mean of the times of a
    configuration, among those that all of them have measured.
    """
    found = [r for r in records if r.state == "ok" and r.seconds is not None]
    if not found:
        return None
    nearest = min((abs(r.threads - threads), r.threads) for r in found)[1]
    found = [r for r in found if r.threads == nearest]
    own = [r for r in found if device.lower() in r.device.lower()] if device else found
    found = own or found
    devices = {r.device for r in found}
    if len(devices) == 1:
        return min(found, key=lambda r: (not r.winner, r.seconds or 0, config_text(r.config)))
    by_config: dict[str, list[Record]] = {}
    for r in found:
        by_config.setdefault(config_text(r.config), []).append(r)
    most = max(map(len, by_config.values()))
    known = {text: rs for text, rs in by_config.items() if len(rs) == most}
    means = {text: sum(math.log(r.seconds or 0) for r in rs) for text, rs in known.items()}
    chosen = min(known, key=lambda text: (means[text], text))
    return min(known[chosen], key=lambda r: r.device)


def read_records(path: Path) -> Sequence[Record]:
    """The records of a file, SQLite or JSON lines; raises :class:`RecordError`."""
    data = read_file(path, MOST_BYTES, error=RecordError, what="the records")
    if data.startswith(b"SQLite format 3"):
        store = Records(path, must_exist=True)
        try:
            return list(store)
        finally:
            store.close()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise RecordError(f"the records cannot be read: {e}.", where=str(path)) from None
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
