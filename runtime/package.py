"""A compiled model as one file, ``NAME.weft``.

A zip archive without compression:

    program.json                          Program.to_json
    code/NAME.o                           one code object each
    params-00001-of-00002.safetensors     constants, as the kernels read them
    manifest.json                         size and SHA-256 of every part above

The same program becomes the same bytes. Reading unpickles nothing, extracts nothing and allocates
nothing that the file's own size does not bound; a part that is missing, damaged or foreign raises
:class:`PackageError`. The hashes find damage, they are no signature: a package holds machine code,
so load only those whose origin you trust.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from . import files, safetensors
from .artifact import Program
from .errors import PackageError
from .ndarray import aligned_bytes

VERSION = 1
SHARD_BYTES = 256 << 20  # parameters of one shard; a larger tensor has a shard of its own

HEAD = 64  # bytes that tell a package from other files
_MANIFEST = "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
_AGAIN = "make the package again with Executable.save, or copy it again from where it came"


@dataclass(frozen=True)
class Package:
    """What a package holds: the program, its code objects and its constants, by name."""

    program: Program
    codes: Mapping[str, bytes]
    params: Mapping[str, np.ndarray]


def save(
    path: str | os.PathLike[str],
    program: Program,
    codes: Mapping[str, bytes],
    params: Mapping[str, np.ndarray],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a package; ``path`` has either its old content or all of the new one, what is no plain
    file is written to (:mod:`weft.runtime.files`).

    Raises :class:`PackageError` when the file cannot be written.
    """
    with files.written(_path(path), error=PackageError, what="the package") as file:
        _write(file, program, codes, params, shard_bytes)


def packed(program: Program, codes: Mapping[str, bytes], params: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of the file that :func:`save` would write."""
    file = io.BytesIO()
    _write(file, program, codes, params, SHARD_BYTES)
    return file.getvalue()


def is_head_of_package(head: bytes) -> bool:
    """Whether a file that begins so is a package: an archive whose first part is the program."""
    return head.startswith(b"PK\3\4") and head[30:].startswith(b"program.json")


def _path(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, (str, os.PathLike)):  # an integer would be an open file of the process
        raise PackageError(
            f"{type(path).__name__} is no path of a package.", hint="give a str or a pathlib.Path"
        )
    return str(os.fspath(path))


def _write(
    file: Any,
    program: Program,
    codes: Mapping[str, bytes],
    params: Mapping[str, np.ndarray],
    shard_bytes: int,
) -> None:
    parts: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def part(name: str, size: int, chunks: Iterable[bytes | memoryview]) -> None:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3  # the same on every system
            digest = hashlib.sha256()
            with archive.open(info, "w", force_zip64=size >= 1 << 31) as out:
                for chunk in chunks:
                    out.write(chunk)
                    digest.update(chunk)
            parts[name] = {"bytes": size, "sha256": digest.hexdigest()}

        text = _json(program.to_json())
        part("program.json", len(text), [text])
        for name in sorted(codes):
            part(f"code/{name}.o", len(codes[name]), [codes[name]])
        shards = _shards(params, shard_bytes)
        for k, shard in enumerate(shards, 1):
            name = f"params-{k:05d}-of-{len(shards):05d}.safetensors"
            part(name, safetensors.size(shard), safetensors.chunks(shard))
        manifest = {"format": "weft-package", "version": VERSION, "parts": dict(parts)}
        text = _json(manifest)
        part(_MANIFEST, len(text), [text])


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _shards(params: Mapping[str, np.ndarray], limit: int) -> list[dict[str, np.ndarray]]:
    shards: list[dict[str, np.ndarray]] = []
    room = -1
    for name in sorted(params):
        need = params[name].nbytes
        if need > room:
            shards.append({})
            room = limit
        shards[-1][name] = params[name]
        room -= need
    return shards


def load(path: str | os.PathLike[str]) -> Package:
    """Read a package and check every part of it. Nothing of it runs here; what an executable then
    runs is the package's own code (see :func:`weft.runtime.load`).

    Raises :class:`PackageError` with what to do when the file is missing, truncated, damaged, of
    another version or not a package.
    """
    where = _path(path)
    try:
        with open(where, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size, where)
    except OSError as e:
        raise PackageError(
            f"the package cannot be read: {e.strerror or e}.", where=where, hint="check the path"
        ) from None


def unpacked(data: bytes, where: str) -> Package:
    """As :func:`load`, from the bytes of a package; ``where`` is for errors."""
    return _read(io.BytesIO(data), len(data), where)


def _read(file: BinaryIO, size: int, where: str) -> Package:
    try:
        with zipfile.ZipFile(file) as archive:
            return _Reader(archive, size, where).package()
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,  # an unknown compression or version of zip
        RuntimeError,  # an encrypted entry; zipfile has no class of its own for it
        EOFError,
        ValueError,
        LookupError,
        ArithmeticError,
    ) as e:
        raise PackageError(
            f"this is not a package, or it is truncated or damaged: {e}.", where=where, hint=_AGAIN
        ) from None


class _Reader:
    """Reads the parts of one archive, each checked against the manifest."""

    def __init__(self, archive: zipfile.ZipFile, size: int, where: str):
        self.archive, self.where = archive, where
        self.entries = {i.filename: i for i in archive.infolist()}
        if len(self.entries) != len(archive.infolist()):
            raise self.error("two parts have the same name")
        # Uncompressed parts that together are no longer than the file: no zip bomb of any kind,
        # entries that share their bytes included.
        for i in self.entries.values():
            if i.compress_type != zipfile.ZIP_STORED or i.compress_size != i.file_size:
                raise self.error(f"the part {i.filename!r} is compressed")
        if sum(i.file_size for i in self.entries.values()) > size:
            raise self.error("its parts are longer than the file")
        self.parts = self.manifest()

    def error(self, why: str, hint: str = _AGAIN) -> PackageError:
        return PackageError(f"the package is damaged: {why}.", where=self.where, hint=hint)

    def manifest(self) -> dict[str, tuple[int, str]]:
        if _MANIFEST not in self.entries:
            raise PackageError(
                f"this is not a weft package: it has no {_MANIFEST}.",
                where=self.where,
                hint="packages are written by Executable.save or `weft compile -o NAME.weft`",
            )
        data = self.json(_MANIFEST, self.raw(_MANIFEST).tobytes())
        if not isinstance(data, dict) or data.get("format") != "weft-package":
            raise PackageError("this is not a weft package.", where=self.where)
        if data.get("version") != VERSION:
            raise PackageError(
                f"the package has version {data.get('version')!r}, this weft reads {VERSION}.",
                where=self.where,
                hint="compile the model again with this version of weft",
            )
        try:
            return {str(k): (int(v["bytes"]), str(v["sha256"])) for k, v in data["parts"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise self.error("its manifest is malformed") from None

    def json(self, name: str, text: bytes) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as e:
            raise self.error(f"{name} is not JSON ({e})") from None

    def raw(self, name: str) -> np.ndarray:
        """The bytes of an entry, at an aligned address."""
        data = aligned_bytes(self.entries[name].file_size)
        view = data.data
        with cast(zipfile.ZipExtFile, self.archive.open(name)) as source:
            done = 0
            while done < data.size:
                n = source.readinto(view[done : done + (1 << 24)])
                if not n:
                    raise self.error(f"the part {name!r} is truncated")
                done += n
        return data

    def part(self, name: str) -> np.ndarray:
        size, digest = self.parts[name]
        if name not in self.entries:
            raise self.error(f"the part {name!r} is missing")
        if self.entries[name].file_size != size:
            raise self.error(
                f"the part {name!r} has {self.entries[name].file_size} bytes, not {size}"
            )
        data = self.raw(name)
        if hashlib.sha256(data.data).hexdigest() != digest:
            raise self.error(f"the part {name!r} does not have the hash in the manifest")
        return data

    def package(self) -> Package:
        if "program.json" not in self.parts:
            raise self.error("the manifest names no program.json")
        data = self.json("program.json", self.part("program.json").tobytes())
        try:
            program = Program.from_json(data)
        except PackageError as e:
            raise PackageError(e.message, where=self.where, hint=e.hint or _AGAIN) from None
        codes: dict[str, bytes] = {}
        params: dict[str, np.ndarray] = {}
        for name in self.parts:
            if name.startswith("code/") and name.endswith(".o"):
                codes[name[len("code/") : -len(".o")]] = self.part(name).tobytes()
            elif name.startswith("params-") and name.endswith(".safetensors"):
                params.update(safetensors.parse(self.part(name), f"{self.where}, {name}"))
        for kernel in program.kernels:
            if kernel.code not in codes:
                raise self.error(f"the code object {kernel.code!r} is missing")
        return Package(program, codes, params)
