"""Folders for code are this user's alone, or are not used."""

import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from weft.runtime import private
from weft.runtime.devices.webgpu import adapter
from weft.runtime.errors import DeviceError, FolderError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no owners there")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o777, 0o277])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_what_is_made_is_for_this_user_whatever_the_umask(tmp_path, umask):
    folder = private.make_private(tmp_path / "a" / "b")
    private.make_private_child(folder / "c")
    private.write_new(folder / "c" / "file", b"bytes")
    assert [mode(p) for p in (tmp_path / "a", folder, folder / "c")] == [0o700] * 3
    assert mode(folder / "c" / "file") == 0o600
    assert private.read_own(folder / "c" / "file") == b"bytes"


@pytest.mark.parametrize("wide", [0o777, 0o770, 0o702, 0o1777, 0o720])
def test_a_folder_that_others_may_write_is_refused(tmp_path, wide):
    folder = tmp_path / "f"
    folder.mkdir()
    folder.chmod(wide)
    with pytest.raises(FolderError, match=rf"others may write there \(mode {wide:04o}\)") as e:
        private.make_private(folder)
    assert "rm -r" in str(e.value.hint)
    with pytest.raises(FolderError, match="others may write there"):
        private.make_private_child(folder)


@pytest.mark.parametrize("wide", [0o755, 0o744, 0o711])
def test_a_folder_that_others_may_read_becomes_private(tmp_path, wide):
    folder = tmp_path / "f"
    folder.mkdir()
    folder.chmod(wide)
    private.make_private(folder)
    assert mode(folder) == 0o700


def test_a_folder_that_is_for_more_than_the_cache_stays_readable(tmp_path):
    folder = tmp_path / "f"
    (folder / "holiday").mkdir(parents=True)
    folder.chmod(0o755)
    private.make_private(folder, only=frozenset({"kernels"}))
    assert mode(folder) == 0o755
    (folder / "holiday").rename(folder / "kernels")
    private.make_private(folder, only=frozenset({"kernels"}))
    assert mode(folder) == 0o700


@pytest.mark.parametrize("wide", [0o777, 0o702])
def test_a_folder_above_that_others_may_write_is_refused(tmp_path, wide):
    """Whoever writes there can exchange the folder after it was looked at."""
    above = tmp_path / "above"
    (above / "f").mkdir(parents=True)
    above.chmod(wide)
    with pytest.raises(FolderError, match="exchange what it holds") as e:
        private.make_private(above / "f")
    assert str(above) in str(e.value.where)
    above.chmod(wide | stat.S_ISVTX)  # as /tmp: what is ours stays where it is
    (above / "f").chmod(0o700)
    assert private.make_private(above / "f") == (above / "f").resolve()


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    """Root in the folder of a user is somebody else, too."""
    folder = tmp_path / "f"
    folder.mkdir(0o700)
    monkeypatch.setattr(private, "_user", lambda: os.geteuid() + 1)
    with pytest.raises(FolderError, match=rf"belongs to user {os.geteuid()}, not to user"):
        private.make_private(folder)
    with pytest.raises(FolderError, match=r"belongs to user"):
        private.make_private_child(folder)


def test_symbolic_links_are_followed_only_to_what_is_ours(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(0o700)
    link.symlink_to("real")
    assert private.make_private(link) == real.resolve()
    assert private.make_private(link / ".." / "link" / "sub") == (real / "sub").resolve()
    real.chmod(0o777)
    with pytest.raises(FolderError, match="others may write there"):
        private.make_private(link)
    with pytest.raises(FolderError, match="others may write there"):
        private.make_private(link / "sub")
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(FolderError, match="symbolic links"):
        private.make_private(link / "sub")


def test_a_link_instead_of_a_folder_or_file_inside_is_refused(tmp_path):
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(FolderError, match="this is no folder"):
        private.make_private_child(tmp_path / "link")
    (tmp_path / "file").write_bytes(b"code")
    (tmp_path / "alias").symlink_to("file")
    with pytest.raises(OSError):
        private.read_own(tmp_path / "alias")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(FolderError, match="no file"):
        private.read_own(tmp_path / "pipe")


def test_a_file_that_others_may_write_is_not_read(tmp_path, monkeypatch):
    file = tmp_path / "file"
    private.write_new(file, b"code")
    file.chmod(0o620)
    with pytest.raises(FolderError, match="others could have written it"):
        private.read_own(file)
    file.chmod(0o644)
    assert private.read_own(file) == b"code"
    monkeypatch.setattr(private, "_user", lambda: os.geteuid() + 1)
    with pytest.raises(FolderError, match="others could have written it"):
        private.read_own(file)


@pytest.mark.parametrize("path", ["file", "file/sub", "a\0b", "x" * 300])
def test_what_is_no_folder_is_told(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError):
        private.make_private(tmp_path / path)


def test_a_current_folder_that_is_gone_is_no_exception(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("WEFT_CACHE", "1")
    monkeypatch.setenv("WEFT_CACHE_DIR", "cache")
    assert private.cache_folder("kernels") is None


def test_without_owners_a_folder_is_what_its_place_makes_it(tmp_path, monkeypatch):
    """As on Windows."""
    monkeypatch.delattr(os, "geteuid")
    monkeypatch.delattr(os, "fchmod", raising=False)
    folder = private.make_private(tmp_path / "a" / "b")
    private.make_private_child(folder / "c")
    private.write_new(folder / "c" / "file", b"bytes")
    assert private.read_own(folder / "c" / "file") == b"bytes"
    assert not private.is_foreign(folder.stat())


def test_drivers_look_for_sockets_where_nobody_else_can_put_any(monkeypatch):
    """Not in the folder for temporary files, where a stranger's may have the name that they try."""
    seen = []

    class Driver:
        @staticmethod
        def enumerate_adapters_sync():
            folder = Path(os.environ["XDG_RUNTIME_DIR"])
            seen.append((folder, mode(folder), os.listdir(folder)))
            return []

    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(adapter, "module", lambda: SimpleNamespace(gpu=Driver, GPUError=OSError))
    with pytest.raises(DeviceError, match="there is no WebGPU adapter"):
        adapter.adapters()
    [(folder, rights, found)] = seen
    assert rights == 0o700 and not found and not folder.exists()
    assert "XDG_RUNTIME_DIR" not in os.environ
