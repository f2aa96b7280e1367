"""Whose code runs: the cache of this user, and of nobody else; and how weft gets on without one."""

import hashlib
import logging
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import weft
from weft.compiler.cli import machine as cli_machine
from weft.compiler.cli.main import main
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels import cache as module
from weft.compiler.kernels.cache import KernelCache, kernel_cache
from weft.compiler.tune.known import default_records
from weft.runtime import private

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no owners there")


def model(scale=2.0):
    b = GraphBuilder("g")
    (y,) = b.add("mul", [b.input("x", "float32", (8,)), b.constant(np.float32(scale))])
    return b.finish([y])


X = np.arange(8, dtype=np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(private, "_told", set())
    monkeypatch.setattr(private, "_folders", {})
    monkeypatch.setattr(module, "_shared", {})
    return tmp_path / "cache"


def as_a_new_process(monkeypatch):
    monkeypatch.setattr(private, "_folders", {})
    monkeypatch.setattr(module, "_shared", {})


def swap_code(folder):
    """What the attack did: the code of one kernel under the name of another, hash and all."""
    weft.compile(model(3.0))
    (mine,) = folder.rglob("*.kernel")
    forged = mine.read_bytes()
    mine.unlink()
    weft.compile(model(2.0))
    (theirs,) = folder.rglob("*.kernel")
    body = forged[len(module._MAGIC) + 32 :].replace(mine.stem.encode(), theirs.stem.encode())
    theirs.write_bytes(module._MAGIC + hashlib.sha256(body).digest() + body)


def test_everything_in_the_cache_is_for_this_user_alone(folder):
    before = os.umask(0)
    try:
        assert np.array_equal(weft.compile(model())(X), 2 * X)
    finally:
        os.umask(before)
    found = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_dir()} == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_file()} == {0o600}
    assert any(p.is_file() for p in found)


@pytest.mark.parametrize("part", ["", "kernels"])
def test_code_from_a_folder_that_others_may_write_does_not_run(
    folder, part, monkeypatch, caplog, capsys
):
    monkeypatch.setattr(cli_machine, "machine", list)  # no driver is asked: this is about folders
    swap_code(folder)
    (folder / part).chmod(0o777)
    as_a_new_process(monkeypatch)
    with caplog.at_level(logging.WARNING, "weft.cache"):
        for _ in range(3):
            assert np.array_equal(weft.compile(model())(X), 2 * X)
    assert caplog.text.count("the cache is off") == 1
    assert "mode 0777" in caplog.text and "rm -r" in caplog.text
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "BAD  cache" in text and "mode 0777" in text and "rm -r" in text
    assert main(["cache"]) == 1
    assert "mode 0777" in capsys.readouterr().err


def test_a_part_of_the_cache_that_others_may_write_is_not_used(folder, monkeypatch, caplog):
    swap_code(folder)
    (entry,) = folder.rglob("*.kernel")
    entry.parent.chmod(0o777)
    as_a_new_process(monkeypatch)
    before = entry.read_bytes()
    with caplog.at_level(logging.WARNING, "weft.cache"):
        for _ in range(2):
            assert np.array_equal(weft.compile(model())(X), 2 * X)
    assert caplog.text.count("a part of the kernel cache is not used") == 1
    assert entry.read_bytes() == before


def test_an_entry_that_others_may_write_is_dropped(folder, monkeypatch, caplog):
    swap_code(folder)
    (entry,) = folder.rglob("*.kernel")
    entry.chmod(0o666)
    as_a_new_process(monkeypatch)
    with caplog.at_level(logging.WARNING, "weft.cache"):
        assert np.array_equal(weft.compile(model())(X), 2 * X)
    assert "others could have written it" in caplog.text
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600  # compiled and written again


def test_a_cache_of_before_that_others_could_only_read_is_kept(folder, monkeypatch, caplog):
    weft.compile(model())
    for p in (folder, *folder.rglob("*")):
        p.chmod(0o755 if p.is_dir() else 0o644)
    as_a_new_process(monkeypatch)
    with caplog.at_level(logging.WARNING, "weft.cache"):
        weft.compile(model())
    assert caplog.text == "" and kernel_cache().stats().disk_hits == 1
    assert stat.S_IMODE((folder / "kernels").stat().st_mode) == 0o700


def test_a_cache_of_somebody_else_is_off(folder, monkeypatch, caplog):
    """As root with the cache of a user."""
    weft.compile(model())
    as_a_new_process(monkeypatch)
    monkeypatch.setattr(private, "_user", lambda: os.geteuid() + 1)
    with caplog.at_level(logging.WARNING, "weft.cache"):
        assert np.array_equal(weft.compile(model())(X), 2 * X)
    assert caplog.text.count("belongs to user") == 1
    assert kernel_cache().stats().folder == "memory"


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path):
    cache = KernelCache(tmp_path / "k", 1 << 20)
    group = module.CompiledGroup.single("k", (), b"code")
    cache.put("aabb", group)
    os.rename(tmp_path / "k", tmp_path / "gone")
    cache.put("aacc", group)
    assert [p.name for p in (tmp_path / "k").rglob("*.kernel")] == ["aacc.kernel"]
    assert stat.S_IMODE((tmp_path / "k" / "aa").stat().st_mode) == 0o700


# -- homes ----------------------------------------------------------------------------------------

_STRANGER = """
import logging, os, pathlib, sys
logging.basicConfig(level=logging.WARNING, format="LOG %(message)s")
import numpy as np
import weft
from weft.compiler.cli import machine
from weft.compiler.cli.main import main
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.tune.known import default_records

machine.machine = list  # no driver is asked: this is about folders

def run(scale):
    b = GraphBuilder("g")
    (y,) = b.add("mul", [b.input("x", "float32", (8,)), b.constant(np.float32(scale))])
    x = np.arange(8, dtype=np.float32)
    assert np.array_equal(weft.compile(b.finish([y]), records={records})(x), scale * x)

kept = {{k: os.environ.pop(k) for k in list(os.environ) if k.startswith(("WEFT_", "XDG_"))}}
os.environ["WEFT_CACHE"] = "0"
run(2.0)  # all of weft is imported while it can be read
main(["doctor"])
sys.stdout.flush()
print("NOW", flush=True)
os.environ.pop("WEFT_CACHE")
os.environ.update(kept)
{become}
run(3.0)
run(4.0)
assert default_records() is not None
print("doctor", main(["doctor"]), flush=True)
"""

_NOBODY = """
import pwd
os.environ.pop("HOME", None)
def unknown(uid):
    raise KeyError(uid)
if os.geteuid() == 0:
    os.seteuid(54321)
pwd.getpwuid = unknown
"""

_ANOTHER = """
if os.geteuid() == 0:
    os.seteuid(54321)
"""


def as_somebody(become, records=True, **variables):
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "XDG_"))
    } | variables
    script = _STRANGER.format(become=become, records=records)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.partition("NOW")[2] + done.stderr


@pytest.fixture
def locked_home(tmp_path):
    """A home that whoever is not root cannot enter."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0)
    yield home
    home.chmod(0o700)


def test_a_user_without_a_home(tmp_path):
    said = as_somebody(_NOBODY)
    assert said.count("LOG the cache is off") == 1 and "no home folder" in said
    assert "WEFT_CACHE_DIR" in said and "BAD  cache" in said and "doctor 1" in said


def test_the_home_of_somebody_else(locked_home):
    said = as_somebody(_ANOTHER, HOME=str(locked_home))
    assert said.count("LOG the cache is off") == 1
    assert said.count("LOG the tuning records") == 1
    assert "BAD  cache" in said and "doctor 1" in said


def test_the_home_of_somebody_else_with_a_cache_of_ones_own(locked_home):
    """As containers run."""
    with tempfile.TemporaryDirectory() as place:
        if os.geteuid() == 0:
            os.chown(place, 54321, -1)
        said = as_somebody(_ANOTHER, HOME=str(locked_home), WEFT_CACHE_DIR=place)
        assert "the cache is off" not in said and "doctor 0" in said
        assert len(list(Path(place).rglob("*.kernel"))) >= 2


def test_a_home_that_cannot_be_written(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cache").write_text("in the way")  # as root no mode is in the way
    (home / ".local").write_text("in the way")
    said = as_somebody("", HOME=str(home))
    assert said.count("LOG the cache is off") == 1 and "cannot be written" in said


def test_records_that_cannot_be_reached_are_told_once(tmp_path, monkeypatch, caplog):
    path = tmp_path / "share" / "weft" / "records.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    monkeypatch.setattr(private, "_told", set())
    monkeypatch.delenv("WEFT_RECORDS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(private, "is_foreign", lambda status: True)
    with caplog.at_level(logging.WARNING, "weft.cache"):
        for _ in range(2):
            found = default_records()
            assert found is not None and found.own is None
    assert caplog.text.count("are not used") == 1
