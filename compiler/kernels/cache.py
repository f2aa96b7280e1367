"""Compiled kernels kept in memory and on disk.

The key of a kernel is known before anything is scheduled: the structural key of its group, the
resolved target, the schedule trace where one was tuned, and a fingerprint of this compiler (its
version, its own source files, llvmlite). Change any of them and the old entries are never found
again; they leave when the cache outgrows ``WEFT_CACHE_MB``.

A file is written under another name and renamed, so that any number of processes may use one cache
folder. It carries its own hash: a damaged file is dropped and the kernel compiled again. Nothing
that happens to the disk makes a compilation fail.

What is found here runs in this process, so the guarantee is: **no entry is read that anybody but
the effective user could have written.** The folder is looked at when a process first uses it
(``runtime/private.py``: owner and mode of it and of every component of its path), each of its
subfolders when it is first used, each entry through its open file. Folders are made 0700 and files
0600 whatever the umask. Where that does not hold the cache is in memory only, with one warning.
Entries carry no signature: a key in the user's home would be readable by whoever can write as this
user, and a folder would no longer serve where its key is not, in images and caches of builds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path

from ...runtime import forks, knobs, private
from ...runtime.artifact import Param
from ...runtime.errors import FolderError
from ...runtime.version import __version__
from .compiled import CompiledGroup, Launch

log = logging.getLogger("weft.cache")

_MAGIC = b"weft-kernel-3\n"
_SUFFIX = ".kernel"
_MEMORY_LIMIT = 64 << 20  # bytes of kernels kept in memory; the disk has them all
_OBJECTS = 4 << 10  # bytes of the objects that describe a kernel


@dataclass(frozen=True)
class CacheStats:
    """``hits`` and ``misses`` are of this process; entries and bytes are of the disk."""

    folder: str
    entries: int
    bytes: int
    limit_bytes: int
    memory_entries: int
    memory_hits: int
    disk_hits: int
    misses: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.entries} kernels, {self.bytes / 2**20:.1f} of"
            f" {self.limit_bytes / 2**20:.0f} MiB; this process: {self.memory_hits} found in"
            f" memory, {self.disk_hits} on disk, {self.misses} compiled"
        )


@cache
def fingerprint() -> str:
    """What this compiler is: weft's version and source files, and the versions of what it uses."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for name in ("llvmlite", "numpy"):
        digest.update(f"{name} {installed_version(name)}\n".encode())
    digest.update(f"weft {__version__}\n".encode())
    for folder in ("ir", "codegen", "compiler", "runtime"):
        for path in sorted((root / folder).rglob("*")):
            # a front-end only makes the graph, and the graph is in the key
            if path.suffix in (".py", ".ll", ".c", ".h") and "frontends" not in path.parts:
                digest.update(f"{path.relative_to(root)}\n".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def kernel_key(structure: str, target: str, trace: str = "") -> str:
    """The name of a kernel in the cache, 64 hexadecimal digits."""
    parts = (structure, target, trace, fingerprint())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class KernelCache:
    """A cache of kernels; ``folder`` None keeps them in memory only, and so does a folder that
    others could have written.

    Safe to use from several threads, and from several processes on one folder.
    """

    def __init__(self, folder: Path | None, limit_bytes: int):
        self.folder, self.limit_bytes = folder, limit_bytes
        self._lock = forks.awaited()
        self._memory: OrderedDict[str, CompiledGroup] = OrderedDict()
        self._memory_bytes = 0
        self._disk_bytes: int | None = None  # unknown until the first write
        self._memory_hits = self._disk_hits = self._misses = 0
        self._told = False  # that the folder cannot be written
        self._trusted: bool | None = None  # unknown until the disk is first used
        self._subfolders: dict[str, bool] = {}  # those that were looked at: trusted or not

    def get(self, key: str) -> CompiledGroup | None:
        """The kernel stored under ``key``, if any."""
        with self._lock:
            found = self._memory.get(key)
            if found is not None:
                self._memory.move_to_end(key)
                self._memory_hits += 1
                return found
        found = self._read(key)
        with self._lock:
            if found is None:
                self._misses += 1
            else:
                self._disk_hits += 1
                self._remember(key, found)
        return found

    def put(self, key: str, kernel: CompiledGroup) -> None:
        """Store a kernel; a full or read-only disk is logged once and otherwise ignored."""
        with self._lock:
            self._remember(key, kernel)
        if not self.on_disk:
            return
        try:
            self._write(key, kernel)
        except OSError as e:
            if not self._told:
                log.warning("the kernel cache %s cannot be written: %s", self.folder, e)
            self._told = True

    @property
    def on_disk(self) -> bool:
        """Whether there is a folder that is this user's alone; it is made at first use."""
        if self._trusted is None:
            self._trusted = self.folder is not None and self._is_private(self.folder)
        return self._trusted

    @staticmethod
    def _is_private(folder: Path) -> bool:
        try:
            private.make_private(folder)
        except FolderError as e:
            private.tell(f"the cache is off, kernels are kept in memory only: {e}")
            return False
        return True

    def stats(self) -> CacheStats:
        """How full it is, and how often a kernel was found since this process began."""
        sizes = [size for _, size, _ in self._files()]
        with self._lock:
            return CacheStats(
                str(self.folder or "memory"),
                len(sizes),
                sum(sizes),
                self.limit_bytes,
                len(self._memory),
                self._memory_hits,
                self._disk_hits,
                self._misses,
            )

    def clear(self) -> int:
        """Drop everything, on disk, too; returns the number of files removed."""
        with self._lock:
            self._memory.clear()
            self._memory_bytes = 0
            self._disk_bytes = None
        return sum(_unlink(path) for path, _, _ in self._files())

    def _remember(self, key: str, kernel: CompiledGroup) -> None:
        old = self._memory.pop(key, None)
        self._memory_bytes += _size(kernel) - (_size(old) if old else 0)
        self._memory[key] = kernel
        while self._memory_bytes > _MEMORY_LIMIT and len(self._memory) > 1:
            _, dropped = self._memory.popitem(last=False)
            self._memory_bytes -= _size(dropped)

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _usable(self, folder: Path, *, make: bool) -> bool:
        """Whether a folder of entries is this user's alone; asked once for each. Raises OSError
        where there is none and none is made."""
        found = self._subfolders.get(folder.name)
        if found is None:
            try:
                private.make_private_child(folder, make=make)
                found = True
            except FolderError as e:
                private.tell(f"a part of the kernel cache is not used: {e}")
                found = False
            self._subfolders[folder.name] = found
        return found

    def _read(self, key: str) -> CompiledGroup | None:
        if not self.on_disk:
            return None
        path = self._path(key)
        try:
            if not self._usable(path.parent, make=False):
                return None
            data = private.read_own(path)
        except OSError:
            return None
        except FolderError as e:
            log.warning("dropped a cache entry: %s", e)
            _unlink(path)
            return None
        try:
            kernel = _decode(data, key)
        except (ValueError, LookupError, TypeError) as e:
            log.warning("dropped the damaged cache entry %s: %s", path, e)
            _unlink(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # its time is when it was last of use
        return kernel

    def _write(self, key: str, kernel: CompiledGroup) -> None:
        path, data = self._path(key), _encode(key, kernel)
        if not self._usable(path.parent, make=True):
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            try:
                private.write_new(temporary, data)
            except FileNotFoundError:  # somebody has removed the cache meanwhile
                self._subfolders.clear()
                if self.folder is None or not self._is_private(self.folder):
                    return
                self._usable(path.parent, make=True)
                private.write_new(temporary, data)
            temporary.replace(path)
        finally:
            _unlink(temporary)
        with self._lock:
            if self._disk_bytes is not None:
                self._disk_bytes += len(data)
            if self._disk_bytes is None or self._disk_bytes > self.limit_bytes:
                self._disk_bytes = self._trim()

    def _trim(self) -> int:
        """Remove the files unused for longest until a tenth of the limit is free; bytes left."""
        files = sorted(self._files(), key=lambda f: f[2])
        total = sum(size for _, size, _ in files)
        if total <= self.limit_bytes:
            return total
        for path, size, _ in files:
            if total <= self.limit_bytes * 9 // 10:
                break
            _unlink(path)
            total -= size
        return total

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        """Path, bytes and time of last use of each entry; abandoned temporary files count too."""
        if self.folder is None or not self.on_disk:
            return
        for path in self.folder.glob(f"??/*{_SUFFIX}*"):
            try:
                status = path.stat()
            except OSError:  # another process removed it
                continue
            yield path, status.st_size, status.st_mtime


def _size(kernel: CompiledGroup) -> int:
    return kernel.nbytes + _OBJECTS


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _encode(key: str, kernel: CompiledGroup) -> bytes:
    """The hash of what follows it, the length of the head, the head, the codes of the launches."""
    launches = [
        {
            "symbol": k.symbol, "params": [asdict(p) for p in k.params], "args": k.args,
            "geometry": dict(k.geometry), "bytes": len(k.code), "shared_bytes": k.shared_bytes,
        }
        for k in kernel.launches
    ]  # fmt: skip
    head = {
        "key": key, "symbol": kernel.symbol, "params": [asdict(p) for p in kernel.params],
        "launches": launches, "scratch": kernel.scratch, "device": kernel.device,
        "reason": kernel.reason, "facts": dict(kernel.facts),
    }  # fmt: skip
    text = json.dumps(head).encode()
    codes = b"".join(k.code for k in kernel.launches)
    body = len(text).to_bytes(8, "little") + text + codes
    return _MAGIC + hashlib.sha256(body).digest() + body


def _decode(data: bytes, key: str) -> CompiledGroup:
    """Raises ValueError, LookupError or TypeError when the bytes are not what was written."""
    start = len(_MAGIC) + 32
    body = data[start:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[start - 32 : start]:
        raise ValueError("the hash is wrong")
    at = 8 + int.from_bytes(body[:8], "little")
    head = json.loads(body[8:at])
    if head["key"] != key:
        raise ValueError("it holds another kernel")
    launches = []
    for k in head["launches"]:
        code, at = body[at : at + k["bytes"]], at + k["bytes"]
        args, geometry = tuple(k["args"]), dict(k["geometry"])
        shared = int(k["shared_bytes"])
        launches.append(Launch(k["symbol"], _params(k), args, geometry, code, shared))
    scratch = tuple((d, tuple(shape)) for d, shape in head["scratch"])
    return CompiledGroup(
        head["symbol"], _params(head), tuple(launches), scratch, head["device"], head["reason"],
        dict(head["facts"]),
    )  # fmt: skip


def _params(head: dict) -> tuple[Param, ...]:
    return tuple(
        Param(p["name"], p["dtype"], tuple(p["shape"]), p["access"]) for p in head["params"]
    )


_shared: dict[tuple[Path | None, int], KernelCache] = {}
_shared_lock = forks.awaited()


def kernel_cache() -> KernelCache:
    """The cache of this process for the folder and limit that the environment names now."""
    folder = private.cache_folder("kernels")
    limit = knobs.cache_limit_bytes()
    with _shared_lock:
        return _shared.setdefault((folder, limit), KernelCache(folder, limit))
