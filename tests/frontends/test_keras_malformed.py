"""Damaged and hostile models of Keras: a WeftError in bounded time and memory, nothing else."""

import io
import json
import random
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import weft
from weft.compiler.frontends.hdf5 import Hdf5
from weft.runtime.errors import ModelError, UnsupportedError, WeftError

KEPT = Path(__file__).parent / "answers" / "tensorflow"
MODELS = zipfile.ZipFile(KEPT / "keras_models.zip")
pytestmark = pytest.mark.timeout(120)


def damaged(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        at, change = rng.randrange(len(data)), rng.randrange(4)
        if change == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            data[at] = rng.choice([0, 1, 127, 128, 255])
        elif change == 2:
            del data[at : at + rng.randrange(1, 9)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def is_refused(source):
    try:
        weft.load(source, {"batch": 2}, format="keras")
    except WeftError as e:
        assert "fault of weft" not in str(e)
        return True
    return False


@pytest.mark.parametrize("name", ["conv2d_same.h5", "masked_gru.keras"])
def test_a_thousand_mutations(name):
    data, rng = MODELS.read(name), random.Random(1)
    assert sum(is_refused(damaged(data, rng)) for _ in range(1000)) > 300


def test_a_thousand_mutations_inside_of_an_archive():
    """An archive's checksums tell of damage: here they are right."""
    rng = random.Random(2)
    with zipfile.ZipFile(io.BytesIO(MODELS.read("functional.keras"))) as z:
        parts = {n: z.read(n) for n in z.namelist()}
    refused = 0
    for _ in range(1000):
        packed, which = io.BytesIO(), rng.choice(["config.json", "model.weights.h5"])
        with zipfile.ZipFile(packed, "w") as z:
            for n, data in parts.items():
                z.writestr(n, damaged(data, rng) if n == which else data)
        refused += is_refused(packed.getvalue())
    assert refused > 300


LAYERS = [
    {"class_name": "Conv2D", "config": {"name": "c", "filters": 2, "kernel_size": [3, 3],
     "strides": [2, 2], "padding": "same", "batch_input_shape": [None, 6, 6, 1],
     "activation": "relu"}},
    {"class_name": "Flatten", "config": {"name": "f"}},
    {"class_name": "Dense", "config": {"name": "d", "units": 3, "activation": "softmax"}},
]  # fmt: skip


def layers_model(folder):
    rng, entries, data = np.random.default_rng(0), [], b""
    for name, shape in (
        ("c/kernel", (3, 3, 1, 2)), ("c/bias", (2,)), ("d/kernel", (18, 3)), ("d/bias", (3,))
    ):  # fmt: skip
        quantised = {"dtype": "uint8", "min": -1.0, "scale": 1 / 128}
        entry = {"name": name, "shape": shape, "dtype": "float32", "quantization": quantised}
        entries.append(entry)
        data += rng.integers(0, 256, shape, np.uint8).tobytes()
    (folder / "w.bin").write_bytes(data)
    topology = {"class_name": "Sequential", "config": {"name": "m", "layers": LAYERS}}
    model = {"format": "layers-model", "modelTopology": topology,
             "weightsManifest": [{"paths": ["w.bin"], "weights": entries}]}  # fmt: skip
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


def test_a_thousand_mutations_of_model_json(tmp_path):
    path, rng = layers_model(tmp_path), random.Random(3)
    assert not is_refused(path)
    data, refused = path.read_bytes(), 0
    for _ in range(1000):
        path.write_bytes(damaged(data, rng))
        refused += is_refused(path)
    assert refused > 300


@pytest.mark.parametrize("name", ["../w.bin", "/etc/passwd", "away/w.bin", "."])
def test_shards_are_of_the_folder(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    path = layers_model(folder)
    (folder / "away").symlink_to(tmp_path)
    (tmp_path / "w.bin").write_bytes((folder / "w.bin").read_bytes())
    path.write_text(path.read_text().replace('"w.bin"', json.dumps(name)))
    with pytest.raises(ModelError, match="file of weights"):
        weft.load(path, {"batch": 1})


def whole(change):
    """A sound .h5 that ``change`` was done to: a function of the open file."""
    packed = io.BytesIO(MODELS.read("dense.h5"))
    with h5py.File(packed, "r+") as file:
        found = []
        file.visititems(lambda p, o: found.append(p) if isinstance(o, h5py.Dataset) else None)
        change(file, next(p for p in found if p.endswith("kernel")))
    return packed.getvalue()


def replaced(link):
    def change(file, path):
        del file[path]
        file[path] = link

    return change


def outside(file, path):
    del file[path]
    file.create_dataset(path, (6, 5), "f4", external=[("/etc/passwd", 0, 120)])


def promised(file, path):
    del file[path]
    file.create_dataset(path, (1 << 20, 1 << 18), "f4", chunks=(64, 64), compression="gzip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(h5py.SoftLink("/model_weights")), "link to somewhere else"),
        (replaced(h5py.ExternalLink("/etc/passwd", "/x")), "link to somewhere else"),
        (outside, "in other files"),
        (promised, "larger than its file"),
    ],
)
def test_nothing_outside_of_the_file(change, message):
    with pytest.raises(WeftError, match=message):
        weft.load(whole(change), {"batch": 2})


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (3, 4)},
        {"chunks": (4, 5), "compression": "gzip", "shuffle": True},
        {"chunks": (7, 9), "fletcher32": True},
    ],
)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "i1", "<u2", "bool"])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_arrays_as_h5py_writes_them(how, dtype, libver):
    packed, rng = io.BytesIO(), np.random.default_rng(0)
    want = (rng.standard_normal((7, 9)) * 50).astype(dtype)
    with h5py.File(packed, "w", libver=libver) as file:
        d = file.create_dataset("a/b/c", data=want, **how)
        d.attrs["name"], d.attrs["names"], d.attrs["n"] = "text", [b"one", b"three"], 3
    data = packed.getvalue()
    if libver == "latest" and how:  # chunks of the newest kind, which nobody asks for
        with pytest.raises(UnsupportedError, match="arrays stored"):
            read = Hdf5(data, "f")
            read.array(read.node("a/b/c"))
        return
    read = Hdf5(data, "f")
    at = read.node("a/b/c")
    got = read.array(at)
    assert got.dtype == want.dtype.newbyteorder("=")
    np.testing.assert_array_equal(got, want)
    found = read.attributes(at)
    assert found["name"] == "text" and found["names"] == ["one", "three"] and found["n"] == 3
    assert read.node("a/no") is None and list(read.links(read.node("a"))) == ["b"]


def test_not_a_model():
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(ModelError, match="no description of a model"):
        weft.load(packed.getvalue())
