"""Records: what is stored is found, the best is chosen, foreign files are refused."""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from weft.compiler.tune.known import KnownRecords, default_records
from weft.compiler.tune.records import Record, Records, here, read_records
from weft.runtime.errors import RecordError, WeftError

ONE = Record("k1", "llvm -vector_bits=512", 2, {"c.tile": (14, 2), "c.pad": True}, "ok", 2e-3)
FAST = replace(ONE, config={"c.tile": (7, 4), "c.pad": False}, seconds=1e-3, trace="t2")
BAD = replace(ONE, config={"c.tile": (1, 1)}, state="crashed", seconds=None, message="SIGSEGV")


@pytest.fixture
def store(tmp_path):
    records = Records(tmp_path / "r.sqlite")
    yield records
    records.close()


def best(records, threads=2):
    return records.best(ONE.key, ONE.target, threads)


def test_the_fastest_is_the_best(store):
    assert best(store) is None
    store.put(ONE, FAST, BAD)
    assert best(store) == FAST
    assert store.of(ONE.key, ONE.target, 2) == [FAST, ONE, BAD]
    assert store.best("other", ONE.target, 2) is None
    assert store.best(ONE.key, "llvm", 2) is None


def test_a_crowned_record_wins_over_a_faster_one(store):
    store.put(ONE, FAST)
    store.crown(ONE)
    assert best(store) == replace(ONE, winner=True)
    store.crown(FAST)
    assert best(store) == replace(FAST, winner=True)
    assert sum(r.winner for r in store) == 1


def test_the_nearest_number_of_threads_counts(store):
    store.put(replace(FAST, threads=16), ONE)
    assert best(store, 1) == ONE
    assert best(store, 12) == replace(FAST, threads=16)


def test_a_new_measurement_replaces_the_old(store):
    store.put(ONE)
    store.put(replace(ONE, seconds=3e-3))
    assert [r.seconds for r in store] == [3e-3]


def test_records_outlive_the_process_and_say_where_they_are_from(tmp_path):
    first = Records(tmp_path / "r.sqlite")
    first.put(here(ONE))
    second = Records(tmp_path / "r.sqlite")  # at the same time
    (found,) = second
    assert found.config == ONE.config and found.machine and found.made and found.weft
    second.put(FAST)
    assert len(first) == 2


def test_merge_takes_the_faster_and_is_idempotent(store):
    store.put(ONE, BAD)
    better = replace(ONE, seconds=1e-3)
    mended = replace(BAD, state="ok", seconds=5e-3, message="")
    others = [better, FAST, mended, replace(FAST, key="k2")]
    assert store.merge(others) == 4
    assert store.merge(others) == 0
    assert store.merge([ONE, BAD]) == 0  # slower, failed: nothing is lost
    assert {r.seconds for r in store if r.key == "k1"} == {1e-3, 5e-3}


def test_export_and_import_give_the_same_records(store, tmp_path):
    store.put(here(ONE), here(FAST), here(BAD))
    lines = tmp_path / "r.jsonl"
    assert store.export(lines) == 3
    other = Records(tmp_path / "other.sqlite")
    assert other.merge(read_records(lines)) == 3
    assert list(other) == list(store)
    assert list(read_records(tmp_path / "r.sqlite")) == list(store)


def damaged(path: Path):
    records = Records(path)
    records.put(*(replace(ONE, key=f"k{k}") for k in range(2000)))
    records.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def foreign(path: Path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE records (key TEXT)")
    db.close()


def newer(path: Path):
    Records(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b"\x00\x01 no database" * 999), "no file of tuning records"),
        (lambda p: p.mkdir(), "no such file"),
        (foreign, "this is no file of tuning records"),
        (newer, "have version 99"),
        (damaged, "damaged"),
    ],
)
def test_other_files_are_refused(make, message, tmp_path):
    path = tmp_path / "r.sqlite"
    make(path)
    with pytest.raises(RecordError, match=message) as e:
        list(Records(path))
    assert isinstance(e.value, WeftError) and str(path) in str(e.value)


@pytest.mark.parametrize("text", ["{}", "no json", "[1]", '{"key": 1}', ONE.to_json()[:-9]])
def test_lines_that_are_no_records_are_refused(text, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(ONE.to_json() + "\n" + text + "\n")
    with pytest.raises(RecordError, match=r"r\.jsonl, line 2"):
        read_records(path)


def test_a_success_without_a_time_is_no_record(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(replace(ONE, seconds=None).to_json())
    with pytest.raises(RecordError, match="None seconds"):
        read_records(path)


def test_the_default_records_are_those_of_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "mine.sqlite"
    monkeypatch.setenv("WEFT_RECORDS", str(path))
    assert default_records() == KnownRecords(None) and not path.exists()
    Records(path).put(ONE)
    found = default_records()
    assert found is not None and found.own is not None and list(found.own) == [ONE]
    monkeypatch.setenv("WEFT_RECORDS", "0")
    assert default_records() is None


def test_a_file_that_brings_a_program_along_is_refused(tmp_path):
    """A view may compute for ever, a trigger calls functions: records are plain tables."""
    path = tmp_path / "r.sqlite"
    Records(path).put(ONE)
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE records RENAME TO hidden")
        db.execute("CREATE VIEW records AS SELECT * FROM hidden")
    with pytest.raises(RecordError, match="no plain table"):
        Records(path)


def test_a_folder_of_records_is_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        Records(tmp_path / "weft" / "r.sqlite").put(ONE)
    finally:
        os.umask(before)
    if os.name == "posix":
        assert (tmp_path / "weft").stat().st_mode & 0o777 == 0o700
