"""Packages: what is written comes back, and whatever is damaged is refused with a reason."""

import contextlib
import hashlib
import io
import json
import os
import random
import zipfile

import ml_dtypes
import numpy as np
import pytest
from weft.runtime import package
from weft.runtime.artifact import Kernel, Param, Program, Slot, Step
from weft.runtime.errors import PackageError
from weft.runtime.executor import Executable

PROGRAM = Program(
    "m",
    "llvm",
    (
        Slot("x", "input", "float32", (2,), (2,), 8),
        Slot("w", "constant", "float32", (2,), (2,), 8, source="w"),
        Slot("y", "output", "float32", (2,), (2,), 8),
    ),
    (Kernel("k", tuple(Param(n, "float32", (2,), a) for n, a in ("pr", "qr", "sw")), "k"),),
    (Step("k", (0, 1, 2), "add"),),
    {"x": 0},
    {"y": 2},
    0,
    meta={"note": "ünïcode"},
)
PARAMS = {
    "w": np.arange(2, dtype=np.float32),
    "b": np.arange(33).astype(ml_dtypes.bfloat16),
    "scale": np.array(5, np.int8),
    "empty": np.zeros((0, 4)),
    "big": np.arange(640.0),
}
CODES = {"k": b"\x7fELF code"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "m.weft"
    package.save(path, PROGRAM, CODES, PARAMS)
    return path


def test_shared_memory_of_a_kernel_comes_back_and_is_none_where_nothing_says_it():
    data = PROGRAM.to_json()
    data["kernels"][0]["shared_bytes"] = 96
    assert Program.from_json(data).kernels[0].shared_bytes == 96
    del data["kernels"][0]["shared_bytes"]  # as packages of before
    assert Program.from_json(data) == PROGRAM


def test_what_is_saved_is_loaded(path):
    p = package.load(path)
    assert p.program == PROGRAM
    assert p.codes == CODES
    assert p.params.keys() == PARAMS.keys()
    for name, a in PARAMS.items():
        assert (p.params[name].dtype, p.params[name].shape) == (a.dtype, a.shape)
        assert p.params[name].tobytes() == a.tobytes()


def test_nothing_but_the_package_is_left_in_the_folder(path):
    assert os.listdir(path.parent) == ["m.weft"]


def test_the_bytes_depend_on_the_content_only(path, tmp_path):
    other = tmp_path / "n.weft"
    package.save(other, PROGRAM, CODES, dict(reversed(PARAMS.items())))
    assert other.read_bytes() == path.read_bytes()


def test_parameters_are_cut_into_shards(path, tmp_path):
    many = tmp_path / "many.weft"
    package.save(many, PROGRAM, CODES, PARAMS, shard_bytes=100)
    names = zipfile.ZipFile(many).namelist()
    shards = [n for n in names if n.startswith("params")]
    assert shards == [f"params-{k:05d}-of-00003.safetensors" for k in (1, 2, 3)]
    assert package.load(many).params["big"].tobytes() == PARAMS["big"].tobytes()


def test_a_failed_save_leaves_the_old_package(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package, "_write", full)
    with pytest.raises(PackageError, match="No space left"):
        package.save(path, PROGRAM, CODES, {})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["m.weft"]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(PackageError, match=r"cannot be written: No such file.*\n.*folder exists"):
        package.save(tmp_path / "no" / "m.weft", PROGRAM, CODES, PARAMS)


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(PackageError, match="cannot be read: No such file"):
        package.load(tmp_path / "m.weft")


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    """The package with its parts changed by ``change(parts: dict)``."""
    with zipfile.ZipFile(path) as z:
        parts = {n: z.read(n) for n in z.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", compression) as z:
        for n, data in parts.items():
            z.writestr(n, data)


def reseal(parts):
    """Make the manifest fit again, so that the damage is found by what comes after it."""
    manifest = json.loads(parts["manifest.json"])
    manifest["parts"] = {
        n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()}
        for n, d in parts.items()
        if n != "manifest.json"
    }
    parts["manifest.json"] = json.dumps(manifest).encode()


def edit_json(name, **fields):
    def change(parts):
        parts[name] = json.dumps({**json.loads(parts[name]), **fields}).encode()
        if name != "manifest.json":
            reseal(parts)

    return change


def kernel(**fields):
    return {**PROGRAM.to_json()["kernels"][0], **fields}


def drop(name, seal=False):
    def change(parts):
        del parts[name]
        if seal:
            reseal(parts)

    return change


def put(name, data):
    return lambda parts: parts.__setitem__(name, data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("manifest.json"), "not a weft package: it has no manifest.json"),
        (drop("program.json"), "'program.json' is missing"),
        (drop("code/k.o"), "'code/k.o' is missing"),
        (drop("code/k.o", seal=True), "code object 'k' is missing"),
        (drop("program.json", seal=True), "names no program.json"),
        (put("code/k.o", b"\x7fELF Code"), "'code/k.o' does not have the hash"),
        (put("code/k.o", b"short"), "has 5 bytes, not 9"),
        (put("manifest.json", b"{"), "not JSON"),
        (put("manifest.json", b"[" * 100_000), "not JSON"),
        (put("manifest.json", b"[]"), "not a weft package"),
        (edit_json("manifest.json", version=2), "version 2, this weft reads 1"),
        (edit_json("manifest.json", parts=[1]), "manifest is malformed"),
        (edit_json("manifest.json", parts={"program.json": {"bytes": 1e999}}), "malformed"),
        (edit_json("program.json", version=9), "version 9, this weft reads 4"),
        (edit_json("program.json", slots=3), "the program is damaged"),
        (edit_json("program.json", inputs={"x": 7}), "names no slot"),
        (edit_json("program.json", target=" "), "names no target"),
        (edit_json("program.json", arena=float("inf")), "the program is damaged: OverflowError"),
        (edit_json("program.json", kernels=[kernel(), kernel()]), "two kernels have the same name"),
        (edit_json("program.json", kernels=[kernel(launch={"blockIdx.x": -1})]), "the launch of"),
        (
            edit_json("program.json", kernels=[kernel(launch={"blockIdx.x": 2**63})]),
            "the launch of",
        ),
        (edit_json("program.json", kernels=[kernel(shared_bytes=-4)]), "the launch of"),
    ],
)
def test_damage_is_named_with_what_to_do(path, change, words):
    rewritten(path, change)
    with pytest.raises(PackageError, match=words) as e:
        package.load(path)
    assert e.value.where is not None and e.value.where.startswith(str(path))


def test_compressed_parts_are_refused(path):
    def bomb(parts):
        parts["code/k.o"] = bytes(1 << 26)
        reseal(parts)

    rewritten(path, bomb, zipfile.ZIP_DEFLATED)
    with pytest.raises(PackageError, match="is compressed"):
        package.load(path)


def test_two_parts_of_one_name_are_refused(path):
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "a") as z:
        z.writestr("program.json", b"{}")
    with pytest.raises(PackageError, match="two parts have the same name"):
        package.load(path)


def test_parts_that_share_bytes_are_refused(path):
    """A zip whose directory names one run of bytes many times would be read many times over."""
    data = bytes(1 << 16)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        z.writestr("a", data)
        info = z.infolist()[0]
        for k in range(50):
            twin = zipfile.ZipInfo(f"b{k}")
            for field in ("file_size", "compress_size", "header_offset", "CRC"):
                setattr(twin, field, getattr(info, field))
            z.filelist.append(twin)
            z.NameToInfo[twin.filename] = twin
    path.write_bytes(buffer.getvalue())
    with pytest.raises(PackageError, match="longer than the file"):
        package.load(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100, bytes(1000)])
def test_files_that_are_no_zip(path, content):
    path.write_bytes(content)
    with pytest.raises(PackageError, match=r"not a package, or it is truncated or damaged") as e:
        package.load(path)
    assert "save" in str(e.value.hint)


def test_every_truncation_is_refused(path):
    data = path.read_bytes()
    for n in range(0, len(data), 97):
        path.write_bytes(data[:n])
        with pytest.raises(PackageError):
            package.load(path)


def test_random_bytes_flipped_never_give_other_content(path):
    """A flip is refused, or it hit a byte that means nothing (a time, a permission)."""
    data = path.read_bytes()
    rng = random.Random(7)
    refused = 0
    for _ in range(500):
        mutant = bytearray(data)
        mutant[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(mutant)
        try:
            p = package.load(path)
        except PackageError:
            refused += 1
            continue
        assert p.program == PROGRAM and p.codes == CODES
        assert all(p.params[n].tobytes() == a.tobytes() for n, a in PARAMS.items())
    assert refused > 300


def test_a_malformed_program_that_is_sealed_again_is_refused(path):
    """Hashes do not protect against a faulty writer: every number of the program is checked."""
    original = path.read_bytes()
    text = json.dumps(PROGRAM.to_json())
    rng = random.Random(3)
    for _ in range(400):
        k = rng.randrange(len(text))
        digit = text[k].isdigit() and rng.random() < 0.7
        new = rng.choice(["9" * 30, "-1", "0", "1e999"]) if digit else chr(rng.randrange(32, 127))
        mutant = text[:k] + new + text[k + 1 :]
        path.write_bytes(original)

        def change(parts, mutant=mutant):
            parts["program.json"] = mutant.encode()
            reseal(parts)

        rewritten(path, change)
        with contextlib.suppress(PackageError):
            p = package.load(path)
            Executable(p.program, p.codes, p.params)


@pytest.mark.parametrize("path", [None, 3, b"m.weft"])
def test_only_paths_are_paths(path):
    """An integer would be taken for an open file."""
    with pytest.raises(PackageError, match=r"is no path of a package"):
        package.load(path)
    with pytest.raises(PackageError, match=r"is no path of a package"):
        package.save(path, PROGRAM, {}, PARAMS)
