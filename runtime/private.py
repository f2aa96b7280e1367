"""Folders that hold code: made for this user alone, and used only if nobody else could
have written there.

A folder is walked to from the root, one component after the other. Each component above it must
belong to this user or to the owner of the root folder, and must not be writable by others, unless
its sticky bit keeps them from moving what is not theirs (``/tmp``); symbolic links count as
components. Below such a component nobody else can exchange anything, so what has been looked at
stays what it is, and paths are safe to use afterwards. The folder itself must belong to the
effective user (root in another user's folder is a stranger) and be writable by nobody else. It is
made 0700 whatever the umask; one that others could only read is made 0700.

Where the system knows no owners (Windows), a folder is what its place makes it: the profile of a
user is private there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path

from . import knobs
from .errors import FolderError

log = logging.getLogger("weft.cache")

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_BINARY = getattr(os, "O_BINARY", 0)  # Windows
_READING = _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_OTHER = "name a folder of your own in WEFT_CACHE_DIR; WEFT_CACHE=0 does without"
_LINKS = 40  # symbolic links on the way to a folder, as many as Linux follows
_KEPT = frozenset({"kernels", "drivers"})  # in the folder of the cache

_told: set[str] = set()
_folders: dict[tuple[Path, int], Path | FolderError] = {}


def has_owners() -> bool:
    """Whether files of this system have an owner and a mode that can be relied on."""
    return hasattr(os, "geteuid")


def _user() -> int:
    return os.geteuid() if has_owners() else -1


def is_foreign(status: os.stat_result) -> bool:
    """Whether a file is of neither this user nor the system."""
    return has_owners() and status.st_uid not in (_user(), 0, Path(os.sep).stat().st_uid)


def make_private(folder: Path, *, only: frozenset[str] | None = None) -> Path:
    """Make ``folder`` if it is missing, and check that it is this user's alone; its real path.
    Others may go on to read one that holds more than the names in ``only``.

    Raises :class:`FolderError` that says what is wrong and how to mend it.
    """
    try:
        if not has_owners():
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        real = _walk(folder)
        _tighten(real, real.lstat(), only)
        return real
    except OSError as e:
        raise _unusable(folder, e) from None
    except ValueError as e:  # a name with a zero byte
        raise FolderError(f"this is no path of a folder: {e}.", where=repr(str(folder))) from None


def make_private_child(folder: Path, *, make: bool = True) -> None:
    """As :func:`make_private` for a folder in one that is private already.

    Raises :class:`FolderError`, or OSError when it is missing and ``make`` is false or it cannot be
    made.
    """
    try:
        status = folder.lstat()
    except FileNotFoundError:
        if not make:
            raise
        with contextlib.suppress(FileExistsError):
            _make(folder)
        status = folder.lstat()
    if has_owners():
        _check_own(folder, status)
        _tighten(folder, status)


def read_own(path: Path) -> bytes:
    """The bytes of a file in a private folder.

    Raises :class:`FolderError` for one that somebody else owns or may write, OSError when there is
    none.
    """
    file = os.open(path, os.O_RDONLY | _READING)
    with open(file, "rb", buffering=0) as source:
        status = os.fstat(file)
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            raise FolderError("this is no file.", where=str(path))
        if has_owners() and (status.st_uid != _user() or mode & _OTHERS):
            raise FolderError(
                f"others could have written it (user {status.st_uid}, mode"
                f" {stat.S_IMODE(mode):04o}).",
                where=str(path),
            )
        return source.read()


def write_new(path: Path, data: bytes) -> None:
    """Write a file that does not exist yet, for this user alone; raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    with open(file, "wb") as target:
        if hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):
                os.fchmod(file, 0o600)  # an umask may have taken our own rights
        target.write(data)


def cache_folder(name: str) -> Path | None:
    """The subfolder ``name`` of the user's cache; None where the cache is switched off or cannot be
    trusted, which is logged once."""
    if not knobs.cache_enabled():
        return None
    try:
        return checked_cache_folder(name)
    except FolderError as e:
        tell(f"the cache is off, kernels are kept in memory only: {e}")
        return None


def checked_cache_folder(name: str) -> Path:
    """As :func:`cache_folder` where it is not switched off; raises :class:`FolderError`. Looked at
    once in a process."""
    base = knobs.cache_dir()
    if base is None:
        raise FolderError("this user has no home folder.", where="cache", hint=_OTHER)
    try:
        folder = (base if base.is_absolute() else Path.cwd() / base) / name
        found = _folders.get((folder, _user()))
        if found is None:
            found = _folders[folder, _user()] = _checked(folder)
    except OSError as e:  # no current folder, a name that is too long
        found = _unusable(base, e)
    if isinstance(found, FolderError):
        raise found
    return found


def _checked(folder: Path) -> Path | FolderError:
    try:
        make_private_child(make_private(folder.parent, only=_KEPT) / folder.name)
    except FolderError as e:
        return e
    return folder


def _unusable(folder: Path, e: OSError) -> FolderError:
    return FolderError(f"it cannot be written: {e.strerror or e}.", where=str(folder), hint=_OTHER)


def tell(message: str) -> None:
    """Log a warning that this process has not logged before."""
    if message not in _told:
        _told.add(message)
        log.warning("%s", message)


# -- the walk -------------------------------------------------------------------------------------


def _walk(folder: Path) -> Path:
    """The real path of ``folder``, each component looked at before the next; makes what lacks."""
    here = Path(os.path.abspath(os.sep))
    trusted = {_user(), 0, here.stat().st_uid}
    whole = folder if folder.is_absolute() else Path.cwd() / folder
    parts = list(reversed(whole.parts[1:]))
    links = 0
    _check_above(here, here.stat(), trusted)
    while parts:
        part = parts.pop()
        if part == os.pardir:
            here = here.parent
            continue
        place = here / part
        try:
            status = place.lstat()
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                _make(place)
            status = place.lstat()
        if stat.S_ISLNK(status.st_mode):
            _check_above(place, status, trusted)
            links += 1
            if links > _LINKS:
                raise OSError(f"there are more than {_LINKS} symbolic links on the way")
            target = Path(os.readlink(place))
            if target.is_absolute():
                here = Path(target.anchor)
            parts += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        elif not stat.S_ISDIR(status.st_mode):
            raise FolderError(
                "it cannot be written: this is no folder.", where=str(place), hint=_OTHER
            )
        else:
            if parts:
                _check_above(place, status, trusted)
            here = place
    _check_own(here, here.lstat())
    return here


def _check_above(place: Path, status: os.stat_result, trusted: set[int]) -> None:
    """Whether nobody but this user and the system can exchange what lies in ``place``, or a
    symbolic link at ``place`` (whose mode means nothing)."""
    mode = status.st_mode
    if status.st_uid not in trusted:
        raise FolderError(
            f"it belongs to user {status.st_uid}, not to user {_user()}.",
            where=str(place),
            hint=_OTHER,
        )
    if stat.S_ISLNK(mode) or not mode & _OTHERS or mode & stat.S_ISVTX:
        return
    # Systems that give each user a group of the same number let it write by default.
    own = status.st_gid == os.getegid() == _user() != 0
    if mode & stat.S_IWOTH or not own:
        raise FolderError(
            f"others may write there (mode {stat.S_IMODE(mode):04o}) and exchange what it holds.",
            where=str(place),
            hint=f"chmod go-w '{place}', or name another folder in WEFT_CACHE_DIR",
        )


def _check_own(folder: Path, status: os.stat_result) -> None:
    mode = status.st_mode
    if not stat.S_ISDIR(mode):
        raise FolderError(
            "it cannot be written: this is no folder.", where=str(folder), hint=_OTHER
        )
    if status.st_uid != _user():
        raise FolderError(
            f"it belongs to user {status.st_uid}, not to user {_user()}.",
            where=str(folder),
            hint=_OTHER,
        )
    if mode & _OTHERS:
        raise FolderError(
            f"others may write there (mode {stat.S_IMODE(mode):04o}), so that what it holds "
            "may be anybody's code.",
            where=str(folder),
            hint=f"remove it (rm -r '{folder}'); it is made again, for you alone",
        )


def _tighten(folder: Path, status: os.stat_result, only: frozenset[str] | None = None) -> None:
    """Let nobody else read a folder, if it holds no more than the names in ``only``."""
    if not status.st_mode & 0o077:
        return
    if only is not None and not set(os.listdir(folder)) <= only:
        return
    with contextlib.suppress(OSError):  # a file system that keeps no modes
        folder.chmod(0o700)


def _make(folder: Path) -> None:
    folder.mkdir(0o700)
    with contextlib.suppress(OSError):
        folder.chmod(0o700)  # an umask may have taken our own rights
