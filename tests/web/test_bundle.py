"""What a bundle holds: the same bytes each time, everything checked, nothing half-written."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import onnx
import pytest
import weft
from web.coded import decode
from web.colours import IMAGE, LABELS, model, needs_emscripten
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli.main import main
from weft.compiler.web.bundle import MANIFEST, bundle
from weft.compiler.web.page import POLICY
from weft.compiler.web.parameters import ParameterPool
from weft.compiler.web.process import Classes, Image
from weft.runtime import safetensors
from weft.runtime.artifact import Program
from weft.runtime.errors import CodegenError, InputError, PackageError

pytestmark = needs_emscripten


def write(path, targets=("wasm",), **options):
    options = {"image": IMAGE, "labels": LABELS, **options}
    return bundle(model(), path, targets, **options)


def contents(path):
    return {f.relative_to(path).as_posix(): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def shards(path):
    """The tensors of each parameter file."""
    files = sorted(path.glob("params-*.safetensors"))
    return [safetensors.parse(np.fromfile(f, np.uint8), f.name) for f in files]


def test_the_same_model_gives_the_same_bytes(tmp_path):
    both = ("webgl", "wasm")
    one = write(tmp_path / "a" / "dist", both, cache=False)
    two = write(tmp_path / "b" / "other", both, cache=False)
    assert contents(one.path) == contents(two.path)
    assert one.files == two.files == {k: len(v) for k, v in contents(one.path).items()}


def test_every_part_is_named_with_size_and_hash(tmp_path):
    b = write(tmp_path / "dist")
    found, manifest = contents(b.path), json.loads((b.path / MANIFEST).read_text())
    for name, expected in manifest["files"].items():
        assert len(found[name]) == expected["bytes"]
        assert hashlib.sha256(found[name]).hexdigest() == expected["sha256"]
    parts = {n for n in found if n.startswith(("params-", "program.", "kernels."))}
    assert set(manifest["files"]) == parts
    (entry,) = manifest["programs"]
    assert {entry["program"], *entry["codes"].values(), *entry["params"]} == parts
    program = Program.from_json(json.loads(found[entry["program"]]))
    assert program.meta["params"] == "logical"
    assert manifest["meta"]["input"] == {
        "kind": "image", "name": "image", "canvas": 32, "crop": 0.875,
    }  # fmt: skip
    assert manifest["meta"]["output"]["labels"] == list(LABELS)


def test_nothing_points_elsewhere(tmp_path):
    """No address of another host, no absolute one, no path of the machine that compiled."""
    b = write(tmp_path / "dist")
    for name, data in contents(b.path).items():
        if name.endswith((".safetensors", ".wasm")):
            continue
        text = data.decode()
        assert str(tmp_path) not in text and 'src="/' not in text and 'href="/' not in text, name
        if name.startswith("runtime/") and name.endswith(".js"):
            code = "\n".join(line for line in text.splitlines() if not is_comment(line))
            assert "https://" not in code and "eval(" not in code, name
    html = (b.path / "index.html").read_text()
    assert POLICY.replace("'", "&#39;") in html
    assert "unsafe-eval" not in POLICY.replace("wasm-unsafe-eval", "")
    assert "unsafe-inline" not in POLICY


def is_comment(line):
    return line.lstrip().startswith(("*", "//", "/*"))


def test_titles_and_labels_are_text(tmp_path):
    b = write(tmp_path / "dist", title="<script>alert(1)</script>")
    html = (b.path / "index.html").read_text()
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html


@pytest.mark.parametrize("code, ratio", [("f32", 1), ("f16", 2), ("int8", 4)])
def test_weights(tmp_path, code, ratio):
    b = write(tmp_path / "dist", weights=code)
    (stored,) = shards(b.path)
    plain = write(tmp_path / "plain", weights="f32")
    (exact,) = shards(plain.path)
    big = max(exact, key=lambda n: exact[n].size)
    assert exact[big].nbytes == ratio * stored[big].nbytes
    error = np.abs(decode(stored)[big] - exact[big]).max() / np.abs(exact[big]).max()
    assert error == 0 if code == "f32" else 0 < error < (1e-3 if code == "f16" else 5e-3)


def test_shards(tmp_path):
    whole = write(tmp_path / "one", shard_mb=8)
    split = write(tmp_path / "many", shard_mb=1 / 1024)
    (everything,), several = shards(whole.path), shards(split.path)
    assert len(several) > 1
    joined = {k: v for s in several for k, v in s.items()}
    assert sum(map(len, several)) == len(joined) and set(joined) == set(everything)
    assert all(np.array_equal(joined[k], everything[k]) for k in joined)


def test_equal_tensors_of_programs_are_stored_once():
    def program(**constants):
        slots = [
            {
                "name": k, "kind": "constant", "dtype": str(v.dtype), "shape": v.shape,
                "physical": v.shape, "nbytes": v.nbytes, "offset": 0, "source": k,
            }
            for k, v in constants.items()
        ]  # fmt: skip
        empty = {key: [] for key in ("kernels", "steps")}
        data = {
            "format": "weft-program", "version": 1, "name": "p", "target": "wasm", **empty,
            "inputs": {}, "outputs": {}, "arena": 0, "alignment": 64, "meta": {}, "slots": slots,
        }  # fmt: skip
        return Program.from_json(data), constants

    a, b = np.arange(3.0), np.arange(4.0)
    pool = ParameterPool()
    first, used = pool.add(*program(x=a, y=b))
    assert used == ("x", "y") and [s.source for s in first.slots] == ["x", "y"]
    second, used = pool.add(*program(x=b, z=a + 1))  # another x
    assert [s.source for s in second.slots] == ["y", "z"] and used == ("y", "z")
    third, _ = pool.add(*program(x=a * 2))
    assert [s.source for s in third.slots] == ["x.2"]
    assert set(pool.tensors) == {"x", "y", "z", "x.2"}


# ---- places -------------------------------------------------------------------------------------


def test_a_bundle_replaces_a_bundle_and_nothing_else(tmp_path):
    place = tmp_path / "dist"
    write(place, title="first", weights="f16")
    (place / "CNAME").write_text("example.org")
    second = write(place, title="second")
    assert contents(place).keys() == second.files.keys() | {"CNAME"} and second.kept == ()
    page = place / "index.html"
    page.write_text(page.read_text() + "<!-- ours -->")
    third = write(place, title="third")
    assert "<title>second" in page.read_text() and third.kept == ("index.html",)
    assert "kept, since they were edited: index.html" in str(third)
    assert json.loads((place / MANIFEST).read_text())["meta"]["title"] == "third"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(PackageError, match="not empty"):
        write(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"
    (tmp_path / "file").write_text("")
    with pytest.raises(PackageError, match="a file of this name"):
        write(tmp_path / "file")


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    place = tmp_path / "dist"
    write(place, title="first")
    before = contents(place)
    real = os.replace

    def full(source, target):
        if str(target).endswith(".safetensors"):
            raise OSError(28, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PackageError, match="No space left"):
        write(place, title="second", weights="f16")
    assert contents(place) == before
    assert [f.name for f in tmp_path.iterdir()] == ["dist"]


# ---- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        ({"weights": "f8"}, "no coding 'f8'"),
        ({"labels": ("a", "b")}, "2 labels for 3 classes"),
        ({"shard_mb": 0}, "shards of 0 MiB"),
        ({"image": Image(size=(7, 7))}, "size 7x7"),
        ({"classes": Classes(output="none")}, "no output 'none'"),
    ],
)
def test_wrong_options(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        write(tmp_path / "dist", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("targets", [(), ("llvm",), ("wasm", "wasm")])
def test_targets_that_no_page_has(tmp_path, targets):
    with pytest.raises(InputError, match="targets of a page: webgpu, webgl, wasm"):
        bundle(model(), tmp_path / "dist", targets)


def test_without_emscripten(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_EMCC", str(tmp_path / "none"))
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(CodegenError, match="Emscripten"):
        write(tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


# ---- the command line ---------------------------------------------------------------------------


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(model(), "colours.onnx")
    (tmp_path / "names.txt").write_text("\n".join(LABELS))
    words = "compile colours.onnx --target wasm --bundle dist --weights f16 --shard-size 4 "
    words += "--labels names.txt --title Colours --top 2 --image mean=0.5,0.5,0.5 std=0.5 crop=1"
    assert main(words.split()) == 0
    text = capsys.readouterr().out
    assert "dist: " in text and "parameters" in text and "weft serve dist" in text
    manifest = json.loads((tmp_path / "dist" / MANIFEST).read_text())
    assert manifest["meta"]["title"] == "Colours" and manifest["meta"]["weights"] == "f16"
    assert manifest["meta"]["input"]["canvas"] == 32


def test_webgl_alone_needs_no_emscripten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_EMCC", str(tmp_path / "none"))
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    onnx.save(model(), "colours.onnx")
    words = ["compile", "colours.onnx", "--target", "webgl", "--bundle", "dist"]
    assert main(words) == 1
    assert "--no-fallback" in capsys.readouterr().err and not (tmp_path / "dist").exists()
    assert main([*words, "--no-fallback"]) == 0
    (entry,) = json.loads((tmp_path / "dist" / MANIFEST).read_text())["programs"]
    assert set(entry["codes"]) == {"webgl"}


def test_programs_share_their_parameters(tmp_path):
    one = write(tmp_path / "one", ("wasm",))
    two = write(tmp_path / "two", ("webgl", "wasm"))
    size = [sum(n for f, n in b.files.items() if f.startswith("params-")) for b in (one, two)]
    assert size[0] <= size[1] < 1.1 * size[0]


def test_transformed_weights_are_not_stored(tmp_path):
    """Convolutions by minimal filtering on wasm: both programs come from the model's weights."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((2, 16, 16, 3, 3)).astype(np.float32)
    n = Net("filtering")
    n.input("x", [1, 16, 24, 24])
    y = n.op("Conv", "x", n.const(w[0]), pads=[1, 1, 1, 1])
    y = n.op("Relu", n.op("Conv", y, n.const(w[1]), pads=[1, 1, 1, 1]))
    made = bundle(n.build(n.op("GlobalAveragePool", y)), tmp_path / "b", ("webgl", "wasm"))
    (text,) = (tmp_path / "b").glob("program.wasm.*.json")
    program = json.loads(text.read_text())
    derived = program["meta"]["derived"]
    used = {s["source"]: s for s in program["slots"] if s["kind"] == "constant"}
    (tensors,) = shards(tmp_path / "b")
    assert derived and set(derived) <= set(used) and not set(derived) & set(tensors)
    for name, about in derived.items():
        g = np.array(about["matrix"])
        u = np.einsum("ay,fcyx,bx->abcf", g, tensors[about["source"]].astype(np.float64), g)
        assert list(u.shape) == used[name]["shape"]
    assert sum(n for f, n in made.files.items() if f.startswith("params-")) < 1.1 * w.nbytes


@pytest.mark.parametrize("word", ["mean=a", "size=0", "speed=3", "crop=x"])
def test_wrong_image_options(word, capsys):
    with pytest.raises(SystemExit) as e:
        main(["compile", "m.onnx", "--bundle", "d", "--image", word])
    assert e.value.code == 2 and word.partition("=")[0] in capsys.readouterr().err


def test_weft_bundle_is_public():
    assert weft.bundle is bundle
