"""Core ML models: a trained package beside its twin in ONNX, what is recognised, and that nothing
is read outside of a package."""

import json
import shutil
import warnings

import numpy as np
import pytest
import weft
from support.coreml_answers import arrays, check, computed, network, package
from support.parity import near
from weft.benchmarks.zoo import packages, real, uses
from weft.compiler.frontends import inspect
from weft.compiler.frontends.table import frontend_of
from weft.runtime.errors import InputError, ModelError

INNER = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


@pytest.fixture
def pitch(tmp_path):
    """A copy of Basic Pitch's package."""
    shutil.copytree(packages.path("nmp.mlpackage"), tmp_path / "pitch")
    return tmp_path / "pitch"


@pytest.mark.parity
def test_basic_pitch_is_what_its_onnx_is():
    chord = [60, 64, 67]
    x = uses.recording(chord)
    onnx = real.basic_pitch()
    (name,) = (i.name for i in onnx.graph.input)
    theirs = weft.compile(onnx, shapes={name: x.shape}).run({name: x})
    exe = weft.compile(packages.path("nmp.mlpackage"))
    assert [str(s) for s in exe.inputs.values()] == ["input_2: float32[1, 43844, 1]"]
    ours = exe.run({"input_2": x})
    pairs = {"Identity": 0, "Identity_1": 1, "Identity_2": 2}
    both = [(ours[o], theirs[f"StatefulPartitionedCall:{k}"]) for o, k in pairs.items()]
    near("coreml", "nmp.mlpackage", "its ONNX file", both)
    assert uses.notes_heard(ours["Identity_1"]) == chord


def test_what_is_in_basic_pitch():
    about = inspect(packages.path("nmp.mlpackage"))
    assert about.format == "Core ML program, specification 6 (CoreML5)"
    assert about.producer == "coremltools 7.0 from tensorflow==2.12.0"
    assert about.inputs == {"input_2": "float32[1, 43844, 1]"}
    assert about.operators["conv"] == 32 and about.operators["pad"] == 24
    assert not about.missing and 30_000 < about.parameters < 50_000


def test_models_are_known_by_their_content(pitch, tmp_path):
    inner = pitch / INNER
    (tmp_path / "noname").write_bytes(inner.read_bytes())
    for source in (pitch, inner, tmp_path / "noname", inner.read_bytes()):
        assert frontend_of(source).name == "coreml"
    onnx = packages.path("nmp.onnx")
    assert frontend_of(onnx).name == "onnx" == frontend_of(onnx.read_bytes()).name
    (pitch / "Manifest.json").write_text("{}")
    assert frontend_of(pitch).name != "coreml"
    for data in (b"", b"\x08", b"\x08\x06", b"\x08\x06\x12\x02\x08\x01"):
        assert frontend_of(data).name != "coreml"


def test_a_program_needs_its_weights(pitch):
    with pytest.raises(ModelError, match="load it by the path"):
        weft.load((pitch / INNER).read_bytes())
    (pitch / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="is not a file"):
        weft.load(pitch)


def test_a_function_that_there_is_not(pitch):
    with pytest.raises(InputError, match="one of main"):
        weft.load(pitch, signature="other")


def test_nothing_outside_of_a_package_is_read(pitch, tmp_path):
    secret = tmp_path / "secret"
    shutil.copy(pitch / WEIGHTS, secret)
    (pitch / WEIGHTS).unlink()
    (pitch / WEIGHTS).symlink_to(secret)
    with pytest.raises(ModelError, match="link out of the model's folder"):
        weft.load(pitch)
    manifest = json.loads((pitch / "Manifest.json").read_text())
    item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    for path in ("../../secret", "/etc/passwd", "", 7, None):
        item["path"] = path
        (pitch / "Manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ModelError):
            weft.load(pitch, format="coreml")


def test_damaged_weights_are_told(pitch):
    data = bytearray((pitch / WEIGHTS).read_bytes())
    for at, what in ((0x40, "has no value at"), (0x44, "element type"), (0x48, "take|bytes")):
        changed = bytearray(data)
        changed[at] ^= 5
        (pitch / WEIGHTS).write_bytes(changed)
        with pytest.raises(ModelError, match=what), warnings.catch_warnings():
            warnings.simplefilter("error")
            weft.load(pitch)
    (pitch / WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="truncated"):
        weft.load(pitch)


@pytest.mark.parametrize(
    ("case", "target"),
    [("while_loop", "llvm"), ("network, palette", "llvm"), ("classifier of images", "wasm")],
)
def test_programs_compile(case, target, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exe = weft.compile(package(case, tmp_path), target=target)
    check(exe.run(arrays(case, "in")), arrays(case, "out"))


def test_labels_of_a_classifier(tmp_path):
    with pytest.warns(UserWarning, match="is of strings"):
        exe = weft.compile(package("classifier of images", tmp_path))
    names = tuple(f"class {k}" for k in range(10))
    assert dict(exe.labels) == {"classLabel": names, "classLabel_probs": names}
    assert str(exe.inputs["image"]) == "image: uint8[1, 3, 16, 12]"


def test_a_network_of_five_axes_takes_a_sequence():
    x = arrays("layer unary exp", "in")["x"]
    assert weft.load(network("unary exp")).types["x"].shape == x.shape
    flat = network("activation RELU")
    assert weft.load(flat).types["x"].shape == (3, 4, 5)
    graph, ours = computed(
        flat, {"x": np.ones((2, 7, 3, 4, 5), np.float32)}, {"x": (2, 7, 3, 4, 5)}
    )
    assert graph.types["y"].shape == ours["y"].shape == (2, 7, 3, 4, 5)
