"""Trained models on real input: the numbers of ONNX Runtime, and answers that are right."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import weft
from PIL import Image
from support.pinned import ON_X86, PLAIN
from weft.benchmarks.zoo import judge, real, uses
from weft.compiler.ops import get

pytestmark = pytest.mark.slow
ROOT = Path(weft.__file__).parent


def both(model, exe, feed):
    """Every output checked against ONNX Runtime; weft's outputs in order."""
    theirs, ours = judge.reference(model, feed), exe.run(feed)
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        assert judge.relative_error(ours[name], array) <= judge.TOLERANCE, name
    return list(ours.values())


@pytest.fixture(scope="module")
def classifier():
    model = real.efficientnet_lite0()
    return model, weft.compile(model, shapes={"N": 1})


@pytest.mark.parametrize(
    "photo, answers",
    [
        ("chelsea.png", {"tiger cat", "tabby", "Egyptian cat"}),
        ("coffee.png", {"espresso"}),
        ("rocket.jpg", {"missile", "projectile"}),
        ("motorcycle_left.png", {"moped", "motor scooter"}),
    ],
)
def test_efficientnet_lite0_knows_photographs(classifier, photo, answers):
    model, exe = classifier
    (logits,) = both(model, exe, {"image": real.pixels(real.photo(photo))})
    assert real.class_names()[logits[0].argmax()] in answers


def test_efficientnet_lite0_in_a_batch():
    model = real.efficientnet_lite0()
    exe = weft.compile(model, shapes={"image": (2, 3, 224, 224)})
    images = [real.pixels(real.photo(p)) for p in ("coffee.png", "chelsea.png")]
    (logits,) = both(model, exe, {"image": np.concatenate(images)})
    names = real.class_names()
    assert [names[k] for k in logits.argmax(-1)] == ["espresso", "tiger cat"]


def test_ocr_reads_lines():
    model, width = real.ocr("recognition"), 640
    exe = weft.compile(model, shapes={"x": (1, 3, 48, width)})
    for text in ("Woven into every target 2026", "Tensor 0123456789"):
        (steps,) = both(model, exe, {"x": uses.line_pixels(uses.draw_line(text), width)})
        assert uses.read_line(steps, uses.alphabet(model)) == text


def test_ocr_finds_the_line_on_a_page():
    model = real.ocr("detection")
    exe = weft.compile(model, shapes={"x": (1, 3, 160, 640)})
    line = uses.draw_line("Woven into every target")
    page = Image.new("RGB", (640, 160), "white")
    page.paste(line, (60, 70))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    data = (np.asarray(page) / 255 - mean) / std
    x = np.ascontiguousarray(data.transpose(2, 0, 1)[None], np.float32)
    (map_,) = both(model, exe, {"x": x})
    left, top, right, bottom = uses.text_box(map_)
    assert 60 <= left <= 100
    assert 60 + line.width - 40 <= right <= 60 + line.width
    assert 70 <= top < bottom <= 70 + line.height


def test_ocr_tells_which_way_up():
    model = real.ocr("direction")
    exe = weft.compile(model, shapes={"x": (1, 3, 48, 192)})
    for image, answer in [(uses.draw_line("Which way is up?"), 0), (None, 1)]:
        upright = uses.draw_line("Which way is up?")
        x = uses.line_pixels(image or upright.rotate(180), 192)
        (scores,) = both(model, exe, {"x": x})
        assert scores[0].argmax() == answer


def _png() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def _zip() -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as z:
        z.writestr("a.txt", "hello " * 100)
        z.writestr("b/c.bin", bytes(range(256)) * 4)
    return file.getvalue()


def test_magika_names_kinds_of_files():
    files = {
        "markdown": (ROOT / "README.md").read_bytes(),
        "python": (ROOT / "ir" / "expr.py").read_bytes(),
        "makefile": (ROOT / "Makefile").read_bytes(),
        "toml": (ROOT / "pyproject.toml").read_bytes(),
        "shell": (ROOT / "tools" / "setup.sh").read_bytes(),
        "png": _png(),
        "zip": _zip(),
    }
    model = real.magika()
    exe = weft.compile(model, shapes={"bytes": (1, 2048)})
    for kind, data in files.items():
        (scores,) = both(model, exe, {"bytes": uses.file_features(data)})
        assert uses.file_kind(scores) == kind


def test_magika_takes_a_batch():
    model = real.magika()
    exe = weft.compile(model, shapes={"bytes": (2, 2048)})
    feed = [uses.file_features(d) for d in (_png(), _zip())]
    (scores,) = both(model, exe, {"bytes": np.concatenate(feed)})
    assert [uses.file_kind(s) for s in scores] == ["png", "zip"]


def exact(model, feed):
    """The outputs of a model in float64 arithmetic, by the references of its operators."""
    graph = weft.load(model, {k: a.shape for k, a in feed.items()})
    values = {k: wide(np.asarray(v)) for k, v in (*graph.constants.items(), *feed.items())}
    for node in graph.nodes:
        inputs = [values[i] if i else None for i in node.inputs]
        results = get(node.op).reference(inputs, node.attrs)
        values.update(zip(node.outputs, map(wide, results)))
    return {o: values[o] for o in graph.outputs}


def wide(a):
    return a.astype(np.float64) if a.dtype == np.float32 else a


@ON_X86
def test_basic_pitch_in_silence_is_as_exact_as_onnx_runtime():
    """Bands that are silent to the last bit give logarithms of rounding errors, so that no two
    programs agree to 1e-4 there. A processor without fused multiply-add (as WebAssembly) rounds
    otherwise than ONNX Runtime does here, but not farther from exact arithmetic."""
    model = real.basic_pitch()
    feed = {model.graph.input[0].name: uses.tone([60, 64, 67])}
    shapes = {k: a.shape for k, a in feed.items()}
    ours = weft.compile(model, PLAIN, shapes=shapes).run(feed)
    theirs, truth = judge.reference(model, feed), exact(model, feed)
    for name, array in truth.items():
        limit = 1.5 * judge.relative_error(theirs[name], array)
        assert judge.relative_error(ours[name], array) <= limit <= 1e-3, name


@pytest.mark.parametrize("chord", [[69], [60, 64, 67]])
def test_basic_pitch_hears_the_chord(chord):
    model = real.basic_pitch()
    (name,) = (i.name for i in model.graph.input)
    exe = weft.compile(model, shapes={name: (1, uses.SAMPLES, 1)})
    outputs = both(model, exe, {name: uses.tone(chord)})
    notes = {o.name: k for k, o in enumerate(model.graph.output)}["StatefulPartitionedCall:1"]
    assert uses.notes_heard(outputs[notes]) == chord
