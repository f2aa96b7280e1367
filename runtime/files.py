"""How weft writes files for its user: every ``-o``, ``save``, export, plot and dump comes here.
Files of a user that fit into memory are read here, too, up to a stated size.

What a path means decides what happens to it:

* a plain file, or nothing yet: the content is written under another name in the same folder and
  renamed, so that a kill, a full disk or an error leaves the old content whole; the permissions
  stay as they are. A link is followed first: what it points to is replaced, the link stays;
* a pipe, a terminal, ``/dev/null``, ``/dev/stdout``, ``>(command)``: the finished content is
  written *to* it, never renamed over it;
* a folder, a disk, a file that may only be read, a file that the work itself reads: refused, by
  :func:`check_output` before the work and once more when it is written.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias

from .errors import WeftError

AnyPath: TypeAlias = "str | os.PathLike[str]"

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_PERMISSIONS = 0o777
_TEMPORARY = re.compile(r"\.weft-([1-9]\d{0,9})-[0-9a-f]{16}")


def check_output(
    path: AnyPath,
    inputs: Iterable[AnyPath] = (),
    *,
    error: type[WeftError] = WeftError,
    what: str = "the file",
) -> Path:
    """The path, if it can be written: so that this is told before the work, not after it.

    ``inputs`` are files that the work reads: none of them is overwritten, whatever links lead
    there. They are looked at only where ``path`` exists. Raises ``error``, with ``what`` as its
    subject.
    """
    target, _ = _target(path, error, what)
    _refuse_inputs(target, inputs, error, what)
    if not target.parent.is_dir():
        raise _unwritten(FileNotFoundError(2, "No such file or directory"), path, error, what)
    return Path(path)


@contextmanager
def written(
    path: AnyPath,
    inputs: Iterable[AnyPath] = (),
    *,
    error: type[WeftError] = WeftError,
    what: str = "the file",
    durable: bool = True,
) -> Iterator[BinaryIO]:
    """A binary file whose content becomes that of ``path`` when the context ends without an error;
    else ``path`` is as it was.

    ``durable``: the content is on the disk before the name is (a machine may lose its power).
    Raises ``error`` for what :func:`check_output` refuses, and for what the system refuses.
    """
    target, plain = _target(path, error, what)
    _refuse_inputs(target, inputs, error, what)
    try:
        if plain:
            with _replaced(target, durable) as file:
                yield file
            return
        # Whoever reads at the other end gets all of it or nothing; a zip archive needs to seek.
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with _opened(target) as out:
                shutil.copyfileobj(file, out, 1 << 20)
    except OSError as e:
        raise _unwritten(e, path, error, what) from None


def write_file(
    path: AnyPath,
    data: bytes | str,
    inputs: Iterable[AnyPath] = (),
    *,
    error: type[WeftError] = WeftError,
    what: str = "the file",
    durable: bool = True,
) -> None:
    """Write ``data``, text as UTF-8, as :func:`written` does."""
    with written(path, inputs, error=error, what=what, durable=durable) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def read_file(
    path: AnyPath, most: int, *, error: type[WeftError] = WeftError, what: str = "the file"
) -> bytes:
    """The content of a file or a pipe. Raises ``error`` where it cannot be read, or goes on for
    more than ``most`` bytes, as ``/dev/zero`` does."""
    where = os.fspath(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 for what is no plain file
            data = file.read(min(size, most)) if size else _all_of(file, most)
    except (OSError, ValueError) as e:  # ValueError: a NUL in the name
        why = getattr(e, "strerror", None) or e
        raise error(f"{what} cannot be read: {why}.", where=where, hint="check the path") from None
    if max(size, len(data)) > most:
        limit = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most} bytes"
        raise error(f"{what} cannot be read: it has more than {limit}.", where=where)
    return data


def name_of(path: AnyPath, *, error: type[WeftError] = WeftError, what: str = "the file") -> str:
    """A path as text. Raises ``error`` for what is no path at all, and for the empty one, which
    would be the current folder."""
    if not isinstance(path, (str, os.PathLike)):  # an integer would be an open file of the process
        raise error(f"{type(path).__name__} is no path of a file.", hint="give a str or a Path")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise error("bytes are no path of a file.", hint="give a str or a Path")
    if not text:
        raise error(f"{what} has no name: the path is empty.", hint="name a file")
    if "\0" in text:
        raise error(f"{what} cannot have a name with a NUL in it.", where=repr(text))
    return text


def is_stdout(path: AnyPath) -> bool:
    """Whether ``path`` is where standard output goes: what is said there would be mixed with it."""
    if sys.__stdout__ is None:  # closed from the beginning: the descriptor may be any file of ours
        return False
    try:
        return _same(os.stat(path), os.fstat(1)) and not os.path.samefile(path, os.devnull)
    except (OSError, ValueError):
        return False


def is_plain(path: AnyPath) -> bool:
    """Whether ``path`` is a plain file, or nothing yet."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def is_temporary(name: str) -> bool:
    """Whether a file of this name is what a killed process of weft left of a file not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporaries(folder: Path) -> None:
    """Remove what processes that are gone left of files not finished."""
    for file in folder.iterdir():
        found = _TEMPORARY.fullmatch(file.name)
        if found and not _is_alive(int(found[1])):
            file.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere, asking with a signal ends the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _all_of(file: BinaryIO, most: int) -> bytes:
    """What a pipe or a device has to say, a little more than ``most`` bytes of it."""
    chunks, length = [], 0
    while length <= most and (chunk := file.read(1 << 20)):
        chunks.append(chunk)
        length += len(chunk)
    return b"".join(chunks)


# ---- what a path is -----------------------------------------------------------------------------


def _target(path: AnyPath, error: type[WeftError], what: str) -> tuple[Path, bool]:
    """What a path leads to, links followed, and whether that is (or will be) a plain file."""
    text = name_of(path, error=error, what=what)
    try:
        real = Path(os.path.realpath(text))
        found = os.stat(text)
        if not real.exists():  # such as /dev/stdout, a link to something without a name
            real = Path(text)
    except FileNotFoundError:
        if os.path.islink(real):  # a circle of links
            raise error(f"{what} cannot be written: its link leads nowhere.", where=text) from None
        if text.endswith(("/", os.sep)):
            raise error(f"{what} cannot be written: this names a folder.", where=text) from None
        return real, True
    except OSError as e:
        raise _unwritten(e, text, error, what) from None
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        raise error(
            f"{what} cannot be written: there is a folder of this name.", where=text,
            hint="name a file in it",
        )  # fmt: skip
    if stat.S_ISBLK(mode):
        raise error(f"{what} cannot be written: this is a disk, not a file on it.", where=text)
    plain = stat.S_ISREG(mode) and not is_stdout(text)
    if plain and (not mode & _WRITABLE or not os.access(real, os.W_OK)):
        raise error(
            f"{what} cannot be written: the file there may only be read.", where=text,
            hint="name another file, or change its permissions",
        )  # fmt: skip
    return real, plain


def _refuse_inputs(
    target: Path, inputs: Iterable[AnyPath], error: type[WeftError], what: str
) -> None:
    try:
        there = os.stat(target)
    except OSError:
        return  # what does not exist is no input
    if not stat.S_ISREG(there.st_mode):
        return  # the two directions of a terminal are one device
    for path in inputs:
        with suppress(OSError, ValueError):
            if _same(os.stat(path), there):
                raise error(
                    f"{what} would overwrite {os.fspath(path)!r}, which is read here.",
                    where=str(target), hint="name another file",
                )  # fmt: skip


def _same(a: os.stat_result, b: os.stat_result) -> bool:
    return os.path.samestat(a, b)


def _unwritten(e: OSError, path: AnyPath, error: type[WeftError], what: str) -> WeftError:
    return error(
        f"{what} cannot be written: {e.strerror or e}.",
        where=os.fspath(path),
        hint="check that the folder exists, is writable, and that the disk has room",
    )


# ---- how it is written --------------------------------------------------------------------------


@contextmanager
def _replaced(target: Path, durable: bool) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``target``, with its permissions and, where this process
    may, its owner."""
    temporary = target.parent / f".weft-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as file:
            with suppress(FileNotFoundError):
                old = os.stat(target)
                os.chmod(temporary, stat.S_IMODE(old.st_mode) & _PERMISSIONS)
                if hasattr(os, "chown"):
                    with suppress(OSError):
                        os.chown(temporary, old.st_uid, old.st_gid)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _opened(target: Path) -> IO[bytes]:
    """What is no plain file, to be written to."""
    if is_stdout(target):  # its own descriptor: a file that it was sent to goes on where it is
        with suppress(AttributeError, ValueError):  # there may be none, or a closed one
            sys.stdout.flush()
        return open(os.dup(1), "wb")
    # Without O_CREAT: what was a device when we looked is never made a file.
    return open(os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0)), "wb")
