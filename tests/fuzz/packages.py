"""Packages (.weft) with damage: of bytes, and of parts whose hashes are made to fit again.

A package is code, so one whose program or code was changed is loaded and not called: what it must
not do is harm while it is read. One whose damage lies elsewhere must still compute what it did.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import weft
from weft.runtime import package
from weft.runtime.executor import Executable

from fuzz.fuzzer import Fuzzer
from fuzz.judging import compare, feeds, read
from fuzz.onnx_bytes import damaged, pieces
from fuzz.seeds import WHOLE

MANIFEST, PROGRAM = "manifest.json", "program.json"
# The least processor of the kind, so that a case of the corpus means the same on all of them.
_LEAST = {"x86_64": "llvm -mcpu=x86-64", "AMD64": "llvm -mcpu=x86-64"}
TARGET = _LEAST.get(platform.machine(), "llvm")
VALUES: tuple[Any, ...] = (
    0, 1, -1, 2, 64, 255, 2**31, 2**40, 2**63, 2**80, -(2**40), 0.5, 1e300, "", "x", "r", "w", "s",
    "input", "output", "arena", "constant", "alias", "float32", "int64", "llvm", "\0", [], [0],
    [-1], [2**40], {}, None, True,
)  # fmt: skip

Parts = dict[str, bytes]


@cache
def packages() -> tuple[tuple[bytes, Any, dict[str, np.ndarray]], ...]:
    """(bytes, graph, inputs) of the packages that are damaged."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for model in WHOLE:
            graph = read(model)
            exe = weft.compile(graph, TARGET)
            exe.save(Path(folder) / "m.weft")
            made.append(((Path(folder) / "m.weft").read_bytes(), graph, feeds(graph, 0)))
    return tuple(made)


@cache
def known() -> dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Inputs and outputs by the identity of what a package does."""
    table = {}
    for data, _, given in packages():
        p = _loaded(data)
        exe = Executable(p.program, p.codes, p.params)
        table[_identity(p)] = given, exe.run(given)
    return table


def _identity(p: package.Package) -> str:
    text = json.dumps(p.program.to_json(), sort_keys=True).encode()
    digest = hashlib.sha256(text)
    for name in sorted(p.codes):
        digest.update(name.encode() + p.codes[name])
    for name in sorted(p.params):
        digest.update(name.encode() + p.params[name].tobytes())
    return digest.hexdigest()


def _loaded(data: bytes) -> package.Package:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.weft"
        path.write_bytes(data)
        return package.load(path)


def unpacked(data: bytes) -> Parts:
    """The parts of an archive by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return {n: z.read(n) for n in z.namelist()}


def packed(parts: Parts) -> bytes:
    """An archive of parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name, data in parts.items():
            z.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def identity(data: bytes) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def mutated_json(rng: random.Random, value: Any, times: int = 1) -> Any:
    """``value`` with some places, keys among them, changed, lost or doubled."""
    value = json.loads(json.dumps(value))
    for _ in range(times):
        places = list(_places(value))
        if not places:
            return _value(rng)
        holder, key = rng.choice(places)
        change = rng.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1:
            other, where = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[where])) if where in _keys(other) else None
        elif change == 2 and isinstance(holder[key], int):
            holder[key] += rng.choice([1, -1, 8, 64, -64])
        elif change in (2, 3) and isinstance(holder[key], str) and holder[key]:
            text, at = holder[key], rng.randrange(len(holder[key]))
            word = rng.choice(["", "-", " -m", "=", " ", "x", "\0", "/", text[at:]])
            holder[key] = text[:at] + word + text[at + rng.choice([0, 1, 1, 9]) :]
        elif change == 3 and isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        elif change == 4 and isinstance(holder, dict):
            holder[rng.choice(["__proto__", "", "x", "../x", key + "x"])] = holder.pop(key)
        else:
            holder[key] = _value(rng)
    return value


def _value(rng: random.Random) -> Any:
    """One of VALUES, which is never changed itself."""
    return json.loads(json.dumps(rng.choice(VALUES)))


def _keys(holder: Any):
    return holder if isinstance(holder, dict) else range(len(holder))


def _places(value: Any):
    """(holder, key) of all that lies in a JSON value."""
    if isinstance(value, dict | list):
        for k in _keys(value):
            yield value, k
            yield from _places(value[k])


def _program(rng: random.Random, parts: Parts) -> None:
    value = mutated_json(rng, json.loads(parts[PROGRAM]), rng.choice([1, 1, 2, 4]))
    parts[PROGRAM] = json.dumps(value).encode()


def _code(rng: random.Random, parts: Parts) -> None:
    name = rng.choice([n for n in parts if n.startswith("code/")])
    change = rng.choice([damaged, damaged_elf, damaged_elf, damaged_elf])
    parts[name] = change(rng, parts[name])


def _params(rng: random.Random, parts: Parts) -> None:
    """The header of a shard, or its bytes."""
    name = rng.choice([n for n in parts if n.startswith("params-")])
    data = parts[name]
    if rng.random() < 0.4:
        parts[name] = damaged(rng, data)
        return
    n = struct.unpack("<Q", data[:8])[0]
    text = json.dumps(mutated_json(rng, json.loads(data[8 : 8 + n]))).encode()
    size = rng.choice([len(text)] * 6 + [0, 2**40, 2**63, len(text) + 1])
    parts[name] = struct.pack("<Q", size) + text + data[8 + n :]


def _parts(rng: random.Random, parts: Parts) -> None:
    """Lose a part, call it something else, or put one in another's place."""
    name, other = rng.choice(list(parts)), rng.choice(list(parts))
    change = rng.randrange(3)
    if change == 0:
        del parts[name]
    elif change == 1:
        names = ["code/x.o", "../x", "/tmp/x", "params-9.safetensors", "\0", name * 9, name.upper()]
        parts[rng.choice(names)] = parts.pop(name)
    else:
        parts[name] = parts[other]


_ELF_HEADER, _SECTION, _SYMBOL, _RELOCATION = 64, 64, 24, 24


def damaged_elf(rng: random.Random, data: bytes) -> bytes:
    """An object file of 64 bits with a field of its header, a section's header, a symbol or a
    relocation changed."""
    made = bytearray(data)
    if len(made) < _ELF_HEADER or made[:4] != b"\x7fELF":
        return damaged(rng, data)
    begin = struct.unpack_from("<Q", made, 40)[0]
    count = struct.unpack_from("<H", made, 60)[0]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, size = rng.choice([(0, _ELF_HEADER), *_records(made, begin, count)])
        width = rng.choice([1, 2, 4, 8])
        at += rng.randrange(max(1, size // width)) * width
        if at + width > len(made):
            continue
        old = int.from_bytes(made[at : at + width], "little")
        most = 2 ** (8 * width) - 1
        new = rng.choice(
            [0, 1, most, most // 2, old + 1, old - 1, old * 2, len(made), rng.randint(0, 64)]
        )
        made[at : at + width] = (new & most).to_bytes(width, "little")
    return bytes(made)


def _records(data: bytes, begin: int, count: int) -> list[tuple[int, int]]:
    """(offset, size) of headers of sections, and of the tables that headers point to."""
    found = []
    for k in range(count):
        at = begin + k * _SECTION
        if at + _SECTION > len(data):
            break
        found.append((at, _SECTION))
        kind = struct.unpack_from("<I", data, at + 4)[0]
        offset, size = struct.unpack_from("<QQ", data, at + 24)
        if kind in (2, 4, 9) and 0 < size <= len(data):  # symbols, relocations
            record = _SYMBOL if kind == 2 else _RELOCATION
            found += [(offset + j, record) for j in range(0, size, record)]
    return found


CHANGES: tuple[Callable[[random.Random, Parts], None], ...] = (
    _program, _program, _code, _code, _code, _params, _parts,
)  # fmt: skip


def make_bytes(rng: random.Random) -> bytes:
    return damaged(rng, rng.choice(packages())[0], rng.choice(packages())[0])


def make(rng: random.Random) -> bytes:
    parts = unpacked(rng.choice(packages())[0])
    manifest = json.loads(parts.pop(MANIFEST))
    for _ in range(rng.choice([1, 1, 1, 2])):
        # What one change has left may be no JSON, or no part of that kind, for the next one.
        with suppress(ValueError, LookupError, struct.error):
            rng.choice(CHANGES)(rng, parts)
    manifest["parts"] = {n: identity(d) for n, d in parts.items()}
    if rng.random() < 0.2:
        manifest = mutated_json(rng, manifest)
    parts[MANIFEST] = json.dumps(manifest).encode()
    return packed(parts)


def judge(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.weft"
        path.write_bytes(data)
        exe = weft.runtime.load(path)
    given, want = known().get(_identity(_loaded(data)), (None, None))
    if given is not None and want is not None:
        compare(exe.run(given), want)
    exe.close()


FUZZERS = (
    Fuzzer("package-bytes", make_bytes, judge, "weft", pieces, home="packages", weight=0.5),
    Fuzzer("packages", make, judge, "weft", home="packages"),
)
