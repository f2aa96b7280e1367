"""Where a bundle is written: only files that weft wrote are replaced or removed, and a page is
never without a whole bundle.

``bundle.files.json`` lists what weft wrote into the folder, with the SHA-256 of each file. A file
that is not on the list, or whose content is not what weft wrote, is the user's: it stays. So does
an ``index.html`` that was edited, with the modules that it loads.

Every file has a name of its content (``params-00001-of-00001.0f3a….safetensors``,
``runtime/7c1e…/index.js``) but for three: ``weft.js``, ``index.html`` and ``bundle.json``, which
refer to the others. A new bundle is written in these steps, each the renaming or the removal of one
file, so that a kill falls between two of them:

1. the list names the files of both bundles, old and new;
2. the new files are written beside the old ones; nothing refers to them yet;
3. ``weft.js``, then ``index.html``: page and runtime are the new ones, which read the manifest of
   the old bundle as well, since it has the same format (:func:`survey` refuses any other);
4. ``bundle.json``: **the switch**. Before it, the folder holds the old model, after it the new one;
5. files of the old bundle are removed; the list names those of the new one.

After a kill the next bundle goes on from there: all that is left over is on the list.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ...runtime.errors import PackageError
from ...runtime.files import is_temporary, name_of, read_file, remove_temporaries, write_file

VERSION = 1
MANIFEST, PAGE, ENTRY = "bundle.json", "index.html", "weft.js"
LIST = "bundle.files.json"
SWITCHES = (ENTRY, PAGE, MANIFEST)  # in this order

_FORMAT = {"format": "weft-bundle-files", "version": 1}
_MOST = 64 << 20  # bytes of a list or a manifest
_ELSEWHERE = "name a new folder, or remove this one if nothing in it is yours"


@dataclass(frozen=True)
class Place:
    """A folder that a bundle may be written into. ``listed``: the SHA-256 that each file of weft's
    may have (two after a kill), by name."""

    folder: Path
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def survey(path: str | os.PathLike[str]) -> Place:
    """The folder that ``path`` names, links followed.

    Raises :class:`PackageError` where a bundle cannot be written: for a file, for a folder that
    holds something, but no bundle of weft's in this format.
    """
    folder = Path(os.path.realpath(name_of(path, error=PackageError, what="the bundle")))
    if not os.path.lexists(folder):
        return Place(folder)
    if not folder.is_dir():
        raise PackageError("there is a file of this name.", where=str(path))
    if not (folder / LIST).exists():
        if (folder / MANIFEST).exists():
            raise PackageError(
                f"there is a {MANIFEST}, but no {LIST}: this is no bundle, or one of an older "
                "weft, and nothing says which of the files are its own.", where=str(path),
                hint=_ELSEWHERE,
            )  # fmt: skip
        if not all(is_temporary(f.name) for f in folder.iterdir()):
            raise PackageError(
                "the folder is not empty, and it is no bundle that could be replaced.",
                where=str(path), hint="name a new folder",
            )  # fmt: skip
        return Place(folder)
    place = Place(folder, _read_list(folder / LIST))
    for name in (ENTRY, MANIFEST):
        if _exists(folder, name) and not _is_ours(place, name):
            raise _changed(place, name)
    if _exists(folder, MANIFEST):
        _check_format(folder / MANIFEST)
    return place


def identity(data: bytes) -> dict[str, Any]:
    """What a manifest says of a file: its bytes and their SHA-256."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def named(stem: str, suffix: str, data: bytes) -> str:
    """The name of a file that is never written again with other content."""
    return f"{stem}.{_sha(data)[:12]}.{suffix}"


def list_of(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """The list of a bundle that has only these files."""
    return _list_text({name: (_sha(data),) for name, data in parts})


def put(place: Place, parts: Mapping[str, bytes]) -> tuple[str, ...]:
    """Make ``place`` the bundle of ``parts``; returns the files of the user's that were kept in
    the place of one of weft's, or that an older bundle had and somebody edited.

    Raises :class:`PackageError` where a file of the user's has a name that the bundle needs, before
    anything is written, and where the system does not let us write.
    """
    folder = place.folder
    kept = [n for n in place.listed if _exists(folder, n) and not _is_ours(place, n)]
    if _exists(folder, PAGE) and not _is_ours(place, PAGE):
        kept = sorted({*kept, PAGE})
        parts = {k: v for k, v in parts.items() if k != PAGE}
    for name, data in parts.items():
        if not _is_inside(folder, (folder / name).parent):
            raise PackageError(
                f"a link leads out of the folder, so {name} cannot be written.", where=str(folder),
                hint="remove the link",
            )  # fmt: skip
        there = _exists(folder, name)
        if there and not _is_ours(place, name) and _hash(folder / name) != _sha(data):
            raise _changed(place, name)
    new = {name: (_sha(data),) for name, data in parts.items()}
    new |= {n: place.listed[n] for n in _loaded_by(place, PAGE) if PAGE in kept}
    both = {n: (*place.listed.get(n, ()), *new.get(n, ())) for n in {*place.listed, *new}}
    try:
        _write(place, parts, both)
        _remove(Place(folder, both), both.keys() - new.keys(), kept)
        _write_list(folder, new)
    except OSError as e:
        raise _unwritten(folder, e) from None
    return tuple(kept)


# ---- the steps ----------------------------------------------------------------------------------


def _write(place: Place, parts: Mapping[str, bytes], both: Mapping[str, tuple[str, ...]]) -> None:
    folder = place.folder
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    try:
        _write_list(folder, both)
        for name in sorted(parts.keys() - {*SWITCHES, LIST}):
            if _hash(folder / name) == _sha(parts[name]):
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            written.append(name)
            write_file(folder / name, parts[name], error=PackageError, what="the bundle")
    except BaseException:  # the old bundle is whole: what was added goes
        _remove(Place(folder, both), [n for n in written if n not in place.listed], ())
        if place.listed:
            _write_list(folder, place.listed)
        else:
            (folder / LIST).unlink(missing_ok=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()
        raise
    for name in SWITCHES:
        if name in parts and _hash(folder / name) != _sha(parts[name]):
            write_file(folder / name, parts[name], error=PackageError, what="the bundle")


def _remove(place: Place, names: Iterable[str], kept: Iterable[str]) -> None:
    """Remove files of weft's and the folders that are empty then; what was edited stays."""
    for name in sorted(set(names) - set(kept)):
        if _exists(place.folder, name) and _is_ours(place, name):
            (place.folder / name).unlink()
    folders = {place.folder / p for n in place.listed for p in PurePosixPath(n).parents}
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        if folder.is_dir() and _is_inside(place.folder, folder):
            remove_temporaries(folder)
            if folder != place.folder and not any(folder.iterdir()):
                folder.rmdir()


def _loaded_by(place: Place, page: str) -> list[str]:
    """The modules that an edited page still loads: those of the runtime whose folder it names."""
    try:
        text = (place.folder / page).read_bytes()
    except OSError:
        return []
    runtimes = {n.rpartition("/")[0] for n in place.listed if n.startswith("runtime/")}
    roots = {"/".join(r.split("/")[:2]) for r in runtimes}
    used = tuple(f"{r}/" for r in roots if f"{r}/".encode() in text)
    return [n for n in place.listed if used and n.startswith(used)]


# ---- what is there ------------------------------------------------------------------------------


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash(file: Path) -> str:
    """The SHA-256 of a file; empty where there is none."""
    try:
        with file.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError:
        return ""


def _exists(folder: Path, name: str) -> bool:
    return os.path.lexists(folder / name)


def _is_inside(folder: Path, path: Path) -> bool:
    """Whether no link on the way leads out of the folder."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _is_ours(place: Place, name: str) -> bool:
    """Whether a file is on the list, and what weft wrote."""
    file = place.folder / name
    hashes = place.listed.get(name, ())
    return _is_inside(place.folder, file.parent) and _hash(file) in hashes


def _changed(place: Place, name: str) -> PackageError:
    return PackageError(
        f"the bundle needs the name {name}, and the file there is not what weft wrote.",
        where=str(place.folder), hint="move that file away, or name a new folder",
    )  # fmt: skip


def _unwritten(folder: Path, e: OSError) -> PackageError:
    return PackageError(
        f"the bundle cannot be written: {e.strerror or e}.", where=str(folder),
        hint="check that the folder is writable, and that the disk has room",
    )  # fmt: skip


def _check_format(file: Path) -> None:
    try:
        manifest = json.loads(read_file(file, _MOST, error=PackageError, what="the manifest"))
        found = (manifest["format"], manifest["version"])
    except (ValueError, LookupError, TypeError, RecursionError):
        found = None
    if found != ("weft-bundle", VERSION):
        raise PackageError(
            f"the bundle there is not of the format that this weft writes ({VERSION}).",
            where=str(file), hint=_ELSEWHERE,
        )  # fmt: skip


# ---- the list -----------------------------------------------------------------------------------


def _list_text(files: Mapping[str, tuple[str, ...]]) -> bytes:
    listed = {name: sorted(set(files[name])) for name in sorted(files) if name != LIST}
    return json.dumps({**_FORMAT, "files": listed}, indent=0, ensure_ascii=False).encode()


def _write_list(folder: Path, files: Mapping[str, tuple[str, ...]]) -> None:
    text = _list_text(files)
    if _hash(folder / LIST) != _sha(text):
        write_file(folder / LIST, text, error=PackageError, what="the bundle's list of files")


def _read_list(file: Path) -> dict[str, tuple[str, ...]]:
    data = read_file(file, _MOST, error=PackageError, what="the bundle's list of files")
    try:
        content = json.loads(data)
        if {k: content[k] for k in _FORMAT} != _FORMAT:
            raise ValueError
        listed = {name: tuple(map(str, hashes)) for name, hashes in content["files"].items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        listed = None
    if listed is None or not all(map(_is_name, listed)):
        raise PackageError(
            f"{LIST} is damaged, or of another weft: nothing says which files are the bundle's.",
            where=str(file.parent), hint=_ELSEWHERE,
        )  # fmt: skip
    return listed


def _is_name(name: str) -> bool:
    """Whether a name stays in the folder, whatever system reads it."""
    parts = PurePosixPath(name).parts
    plain = not any(c in name for c in '\\:\0"')
    return bool(parts) and plain and not name.startswith("/") and ".." not in parts
