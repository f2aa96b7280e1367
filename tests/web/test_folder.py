"""A bundle's folder: nothing of the user's is lost, and a kill leaves the old bundle or the new."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from weft.compiler.web import folder as places
from weft.compiler.web.folder import LIST, named, put, survey
from weft.runtime import files
from weft.runtime.errors import PackageError

DEAD = 4194305  # more than Linux gives to a process


def bundle(model: str, runtime: str) -> dict[str, bytes]:
    """A small bundle: what it is written with, and what refers to what."""
    modules = {
        n: f"{n} of {runtime}".encode() for n in ("index.js", "devices/a/b.js", "page/p.css")
    }
    folder = f"runtime/{hashlib.sha256(runtime.encode()).hexdigest()[:12]}"
    data = {n: f"{n} of {model}".encode() for n in ("program", "kernels", "params")}
    parts = {named(n, "json", d): d for n, d in data.items()} | {"same.0.json": b"{}"}
    manifest = {
        "format": "weft-bundle", "version": 1, "name": model,
        "files": {n: places.identity(d) for n, d in parts.items()},
    }  # fmt: skip
    return {
        **parts,
        **{f"{folder}/{n}": d for n, d in modules.items()},
        "weft.js": f"export * from './{folder}/index.js';".encode(),
        "index.html": f'<title>{model}</title><script src="{folder}/page/p.css">'.encode(),
        "bundle.json": json.dumps(manifest).encode(),
    }


OLD, NEW = bundle("old", "1.0"), bundle("new", "2.0")
MINE = {
    "CNAME": b"example.org", "_headers": b"/*", ".git/config": b"[core]", "photos/a.jpg": b"jpg",
    "runtime/mine.js": b"export {}", ".well-known/x": b"x",
}  # fmt: skip


def fill(folder: Path, parts: dict[str, bytes]) -> None:
    for name, data in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    found = {
        f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()
    }
    return {n: d for n, d in found.items() if n != LIST}


@pytest.fixture(autouse=True)
def no_power_loss(monkeypatch):
    """Thousands of small files are written here: the disk need not have each of them."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def dist(tmp_path):
    """A folder with the old bundle and files of the user's."""
    put(survey(tmp_path / "dist"), OLD)
    fill(tmp_path / "dist", MINE)
    return tmp_path / "dist"


# ---- what is the user's -------------------------------------------------------------------------


def test_files_of_others_stay(dist):
    assert put(survey(dist), NEW) == ()
    assert contents(dist) == {**NEW, **MINE}
    assert put(survey(dist), NEW) == ()  # and again
    assert contents(dist) == {**NEW, **MINE}
    assert (dist / LIST).read_bytes() == places.list_of(NEW.items())
    old = next(n for n in OLD if n.endswith("devices/a/b.js"))
    assert not (dist / old).parents[2].exists()  # folders that are empty go


def test_an_edited_page_stays_with_the_runtime_that_it_loads(dist):
    page = OLD["index.html"] + b"<p>ours</p>"
    (dist / "index.html").write_bytes(page)
    used = {n: d for n, d in OLD.items() if n.startswith("runtime/")}
    for _ in range(2):
        assert put(survey(dist), NEW) == ("index.html",)
        assert contents(dist) == {**NEW, **MINE, **used, "index.html": page}
    (dist / "index.html").unlink()  # the user wants weft's again
    assert put(survey(dist), NEW) == ()
    assert contents(dist) == {**NEW, **MINE}


@pytest.mark.parametrize("name", ["weft.js", "bundle.json"])
def test_what_else_was_edited_is_refused(dist, name):
    (dist / name).write_bytes(b"mine")
    before = contents(dist)
    with pytest.raises(PackageError, match=f"the name {name}, and the file there is not what weft"):
        survey(dist)
    assert contents(dist) == before


def test_parts_that_were_edited_stay(dist):
    name = next(n for n in OLD if n.startswith("params."))
    (dist / name).write_bytes(b"mine")
    assert put(survey(dist), NEW) == (name,)
    assert contents(dist) == {**NEW, **MINE, name: b"mine"}
    with pytest.raises(PackageError, match="not what weft wrote"):
        put(survey(dist), OLD)  # it would be overwritten
    assert contents(dist) == {**NEW, **MINE, name: b"mine"}


def test_a_name_that_the_bundle_needs(dist):
    name = next(n for n in NEW if n.startswith("kernels."))
    (dist / name).write_bytes(b"mine")
    before = contents(dist)
    with pytest.raises(PackageError, match=f"the name {name}"):
        put(survey(dist), NEW)
    assert contents(dist) == before


@pytest.mark.parametrize(
    "parts, words",
    [
        ({"bundle.json": b"{}"}, "no bundle.files.json"),
        ({"bundle.json": OLD["bundle.json"], "a.jpg": b""}, "one of an older weft"),
        ({"thesis.txt": b""}, "not empty"),
        ({".git/config": b""}, "not empty"),
    ],
)
def test_folders_of_others(tmp_path, parts, words):
    fill(tmp_path, parts)
    with pytest.raises(PackageError, match=words):
        survey(tmp_path)
    assert contents(tmp_path) == parts


@pytest.mark.parametrize("path, words", [("", "path is empty"), ("a\0", "NUL"), (3, "no path")])
def test_no_folder_at_all(path, words):
    with pytest.raises(PackageError, match=words):
        survey(path)


def listing(files, **other):
    return json.dumps({"format": "weft-bundle-files", "version": 1, "files": files, **other})


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "\0", "[" * 100_000, listing([]), listing({"a": 1}), listing({"": []}),
        listing({}, version=2), listing({}, format="foreign"), listing(None),
        *(listing({n: []}) for n in ("../a", "/etc/passwd", "a/../../b", "C:/a", "..\\a", "a\0")),
    ],
)  # fmt: skip
def test_damaged_lists(dist, text):
    (dist / LIST).write_text(text)
    before = contents(dist)
    with pytest.raises(PackageError, match="damaged, or of another weft"):
        survey(dist)
    assert contents(dist) == before


def test_another_format(dist):
    manifest = {**json.loads(OLD["bundle.json"]), "version": 99}
    put(survey(dist), {**OLD, "bundle.json": json.dumps(manifest).encode()})
    with pytest.raises(PackageError, match="not of the format"):
        survey(dist)


def test_the_list_names_what_was_written_and_no_more(dist, tmp_path):
    """A list that claims files of the user's removes only what has the content that it says."""
    claimed = {n: [hashlib.sha256(d).hexdigest()] for n, d in OLD.items()}
    (dist / LIST).write_text(listing({**claimed, "photos/a.jpg": ["0" * 64], "CNAME": []}))
    assert set(put(survey(dist), NEW)) == {"photos/a.jpg", "CNAME"}
    assert contents(dist) == {**NEW, **MINE}


# ---- links --------------------------------------------------------------------------------------

needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")


@needs_links
@pytest.mark.parametrize("there", [False, True])
def test_a_link_to_a_folder_is_followed(tmp_path, there):
    real = tmp_path / "real"
    if there:
        put(survey(real), OLD)
    (tmp_path / "dist").symlink_to(real)
    put(survey(tmp_path / "dist"), NEW)
    assert (tmp_path / "dist").is_symlink() and contents(real) == NEW


@needs_links
def test_nothing_is_removed_beyond_a_link(dist, tmp_path):
    """The runtime's folder was moved elsewhere, with a link in its place."""
    folder = next(Path(*Path(n).parts[:2]) for n in OLD if n.startswith("runtime/"))
    (dist / folder).rename(tmp_path / "elsewhere")
    (dist / folder).symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    put(survey(dist), NEW)
    assert contents(tmp_path / "elsewhere") == before and (dist / folder).is_symlink()
    with pytest.raises(PackageError, match="a link leads out of the folder"):
        put(survey(dist), OLD)
    assert contents(tmp_path / "elsewhere") == before


# ---- kills --------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process has ended: nothing of it happens any more."""


class Life:
    """Ends a process before its step ``last``: from then on, no change of a file succeeds."""

    def __init__(self, monkeypatch, last: int):
        self.steps, self.last = 0, last
        for name in ("replace", "unlink", "rmdir", "mkdir", "chmod"):
            monkeypatch.setattr(os, name, self.step(getattr(os, name)))
        monkeypatch.setattr(files, "open", self.step(open), raising=False)
        monkeypatch.setattr(os, "getpid", lambda: DEAD)

    def step(self, function):
        def counted(*args, **options):
            if function is open and args[1:2] == ("rb",):
                return open(*args, **options)
            if self.steps >= self.last:
                raise Killed
            self.steps += 1
            return function(*args, **options)

        return counted


def whole(folder: Path) -> str:
    """Which model the folder holds; everything that is referred to must be there, as it was."""
    every = {**OLD, **NEW}
    at = next((n for n in ("bundle.json",) if (folder / n).exists()), None)
    if at is None:
        return ""
    manifest = json.loads((folder / at).read_bytes())
    for name, identity in manifest["files"].items():
        assert places.identity((folder / name).read_bytes()) == identity, name
    for name in ("weft.js", "index.html"):
        text = (folder / name).read_bytes()
        (kind,) = (b for b in (OLD, NEW) if b[name] == text)
        for module in (n for n in kind if n.startswith("runtime/")):
            assert (folder / module).read_bytes() == every[module], module
    return manifest["name"]


def killed_at_every_step(monkeypatch, start, after):
    """Run ``start`` up to each of its steps, and ``after`` on what is left; how many there are."""
    for last in range(10_000):
        with monkeypatch.context() as patch:
            life = Life(patch, last)
            with suppress(Killed):
                start(last)
            done = life.steps < life.last
        after(last, done)
        if done:
            return last
    raise AssertionError("it does not end")


def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    seen = []

    def dist(k):
        return tmp_path / f"dist{k}"

    def after(k, done):
        seen.append(whole(dist(k)))
        assert MINE.items() <= contents(dist(k)).items()
        put(survey(dist(k)), NEW)  # the next one goes on, and nothing of the last is left
        assert contents(dist(k)) == {**NEW, **MINE}
        fill_old(dist(k + 1))

    def fill_old(folder):
        put(survey(folder), OLD)
        fill(folder, MINE)

    fill_old(dist(0))
    steps = killed_at_every_step(monkeypatch, lambda k: put(survey(dist(k)), NEW), after)
    assert steps > 40 and seen == sorted(seen, reverse=True) and {"old", "new"} == set(seen)


def test_a_first_bundle_that_is_killed_can_be_written_again(tmp_path, monkeypatch):
    seen = []

    def after(k, done):
        seen.append(whole(tmp_path / f"dist{k}"))
        put(survey(tmp_path / f"dist{k}"), NEW)
        assert contents(tmp_path / f"dist{k}") == NEW

    killed_at_every_step(monkeypatch, lambda k: put(survey(tmp_path / f"dist{k}"), NEW), after)
    assert set(seen) == {"", "new"} and seen == sorted(seen)


def test_another_bundle_after_a_kill(tmp_path, monkeypatch):
    """What both of the killed one's lists knew is known to a third bundle."""
    third = bundle("third", "3.0")

    def after(k, done):
        put(survey(tmp_path / f"dist{k}"), third)
        assert contents(tmp_path / f"dist{k}") == third
        put(survey(tmp_path / f"dist{k + 1}"), OLD)

    put(survey(tmp_path / "dist0"), OLD)
    killed_at_every_step(monkeypatch, lambda k: put(survey(tmp_path / f"dist{k}"), NEW), after)


@pytest.mark.parametrize("step", range(7))  # the list, then six files that are new
def test_an_error_takes_back_what_was_added(tmp_path, monkeypatch, step):
    """A full disk before the first file is exchanged leaves the folder as it was."""
    put(survey(tmp_path), OLD)
    before = {**contents(tmp_path), LIST: (tmp_path / LIST).read_bytes()}
    real, calls = os.replace, []

    def full(source, target):
        calls.append(Path(target).name)
        if len(calls) == 1 + step:
            raise OSError(28, "No space left on device")
        return real(source, target)

    with monkeypatch.context() as patch, pytest.raises(PackageError, match="No space left"):
        patch.setattr(os, "replace", full)
        put(survey(tmp_path), NEW)
    assert not set(calls) & set(places.SWITCHES)
    assert {**contents(tmp_path), LIST: (tmp_path / LIST).read_bytes()} == before
    put(survey(tmp_path), NEW)
    assert contents(tmp_path) == NEW
