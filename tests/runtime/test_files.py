"""What is written for a user: whole or not at all, and never in the place of something else."""

import os
import socket
import stat
import subprocess
import sys
import threading

import pytest
from weft.runtime import files
from weft.runtime.errors import PackageError, WeftError
from weft.runtime.files import check_output, read_file, write_file, written

needs_unix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of Unix")


def test_a_new_file_and_nothing_else(tmp_path):
    write_file(tmp_path / "a", "é")
    assert (tmp_path / "a").read_bytes() == "é".encode()
    assert os.listdir(tmp_path) == ["a"]


def test_permissions_stay(tmp_path):
    place = tmp_path / "a"
    for mode in (0o600, 0o640, 0o755):
        place.touch()
        place.chmod(mode)
        write_file(place, b"new")
        assert stat.S_IMODE(place.stat().st_mode) == mode
    (tmp_path / "plain").touch()
    write_file(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


@needs_unix
@pytest.mark.parametrize("steps", range(1, 4))
def test_a_link_stays_and_its_target_is_written(tmp_path, steps):
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "real"
    target.write_bytes(b"old")
    link = target
    for k in range(steps):
        (tmp_path / f"link{k}").symlink_to(link)
        link = tmp_path / f"link{k}"
    write_file(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    target.unlink()  # a link to what is not there yet
    write_file(link, b"newer")
    assert link.is_symlink() and target.read_bytes() == b"newer"
    assert os.listdir(tmp_path / "far") == ["real"]


@needs_unix
def test_a_pipe_is_written_to(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with written(pipe) as file:  # a zip archive goes back to its beginning
        file.write(b"oldest")
        file.seek(0)
        file.write(b"new")
    reader.join()
    assert got == [b"newest"] and stat.S_ISFIFO(pipe.stat().st_mode)


@needs_unix
def test_a_pipe_gets_nothing_of_what_failed(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="half"), written(pipe) as file:  # nobody reads: no wait
        file.write(b"half")
        raise ValueError("half")


@needs_unix
def test_devices_stay_devices(tmp_path):
    """Through a link of our own: should this fail, the machine keeps its device."""
    link = tmp_path / "link"
    link.symlink_to(os.devnull)
    check_output(link)
    write_file(link, b"gone")
    assert link.is_symlink() and stat.S_ISCHR(link.stat().st_mode)
    assert os.listdir(tmp_path) == ["link"]


STDOUT = """
from weft.runtime.files import is_stdout, write_file
assert is_stdout("link")
print("first")
write_file("link", b"second\\n")
print("third")
"""


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no /dev/stdout")
@pytest.mark.parametrize("to_a_file", [False, True])
def test_standard_output_goes_on(tmp_path, to_a_file):
    place = tmp_path / "out"
    (tmp_path / "link").symlink_to("/dev/stdout")
    with place.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", STDOUT],
            stdout=out if to_a_file else subprocess.PIPE, cwd=tmp_path, check=True,
        )  # fmt: skip
    said = place.read_bytes() if to_a_file else done.stdout
    assert said == b"first\nsecond\nthird\n"


@needs_unix
def test_what_is_refused(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "kept").write_bytes(b"dear")
    (tmp_path / "kept").chmod(0o444)
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
    cases = {
        "folder": "a folder of this name", "link": "a folder of this name",
        "folder/": "a folder of this name", "new/": "No such file|names a folder",
        "no/file": "No such file", "circle": "link|Too many", "kept": "only be read",
        "": "path is empty", "a\0b": "NUL", "socket": "No such device|not supported",
        "x" * 300: "name too long", "kept/file": "Not a directory",
    }  # fmt: skip
    for place, words in cases.items():
        with pytest.raises(PackageError, match=f"(?i){words}"):
            if place != "socket":  # known when it is opened
                check_output(place, error=PackageError)
            write_file(place, b"new", error=PackageError)
        with pytest.raises(PackageError, match=f"(?i){words}"):
            write_file(place, b"new", error=PackageError)
    for wrong in (3, b"bytes", None):
        with pytest.raises(PackageError, match="no path"):
            check_output(wrong, error=PackageError)
    assert (tmp_path / "kept").read_bytes() == b"dear"
    assert sorted(os.listdir()) == ["circle", "folder", "kept", "link", "socket"]


def test_disks_are_refused(tmp_path, monkeypatch):
    (tmp_path / "disk").write_bytes(b"everything")
    monkeypatch.setattr(stat, "S_ISBLK", lambda mode: True)
    with pytest.raises(WeftError, match="this is a disk"):
        write_file(tmp_path / "disk", b"")


@needs_unix
def test_inputs_are_never_written(tmp_path):
    model = tmp_path / "model"
    model.write_bytes(b"dear")
    (tmp_path / "link").symlink_to(model)
    os.link(model, tmp_path / "hard")
    (tmp_path / "other").write_bytes(b"")
    for place in ("model", "link", "hard"):
        for read in ("model", "link", "hard"):
            inputs = (tmp_path / "not there", tmp_path / read)
            with pytest.raises(WeftError, match=f"would overwrite '.*{read}'"):
                check_output(tmp_path / place, inputs)
            with pytest.raises(WeftError, match="would overwrite"):
                write_file(tmp_path / place, b"", inputs)
    write_file(tmp_path / "other", b"new", [model])
    assert model.read_bytes() == b"dear" and (tmp_path / "other").read_bytes() == b"new"


@pytest.mark.parametrize("step", ["open", "write", "fsync", "chmod", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_any_step_leaves_the_old_content(tmp_path, monkeypatch, step, failure):
    place = tmp_path / "a"
    place.write_bytes(b"old")

    def fail(*_, **__):
        raise failure

    if step == "open":
        monkeypatch.setattr(files, "open", fail, raising=False)
    elif step != "write":
        monkeypatch.setattr(os, step, fail)
    expected = WeftError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected), written(place) as file:
        file.write(b"half")
        if step == "write":
            fail()
    monkeypatch.undo()
    assert place.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_reading_ends(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    assert read_file(tmp_path / "a", 100) == bytes(100)
    with pytest.raises(PackageError, match="labels cannot be read: it has more than 99 bytes"):
        read_file(tmp_path / "a", 99, error=PackageError, what="the labels")
    with pytest.raises(WeftError, match="No such file"):
        read_file(tmp_path / "b", 99)
    with pytest.raises(WeftError, match="null"):
        read_file("a\0b", 99)
    if os.path.exists("/dev/zero"):
        with pytest.raises(WeftError, match="more than 3 MiB"):
            read_file("/dev/zero", 3 << 20)
