"""Trained TensorFlow Lite models beside what LiteRT says (``tools/judge.sh litert``)."""

from pathlib import Path

import numpy as np
import pytest
import weft
from PIL import Image
from support.lite_models import CASES, noise, picture, sampled
from support.parity import near
from weft.benchmarks.zoo import packages
from weft.compiler.frontends import inspect, load
from weft.compiler.frontends.table import frontend_of
from weft.compiler.graph.evaluate import evaluate_graph
from weft.runtime.devices.probe import probe
from weft.runtime.errors import InputError, ModelError, UnsupportedError

ANSWERS = Path(__file__).parent / "answers" / "litert"
BY_NAME = {c.name: c for c in CASES}


def fetched(case):
    """The path of a model; it is there after this."""
    return packages.path(case.file) if case.fetched else case.path


def asked(case, t):
    """What the judge was asked."""
    found = {"noise": noise(t.shape, t.dtype.numpy)}
    if case.photo:
        pixels = np.asarray(Image.open(packages.path(case.photo)).convert("RGB"))
        found["photo"] = picture(pixels, case, t.shape, t.dtype.numpy)
    return found


def results(case):
    """What weft makes of the inputs, by what they show."""
    graph = load(fetched(case))
    (x,) = graph.inputs
    exe = weft.compile(graph) if case.compiled else None
    for what, data in asked(case, graph.types[x]).items():
        if exe is not None:
            yield what, list(exe.run({x: data}).values())
        else:
            made = evaluate_graph(graph, {x: data})
            yield what, [made[o] for o in graph.outputs]


@pytest.mark.parity
@pytest.mark.parametrize("name", BY_NAME)
def test_trained(name):
    answers, pairs = np.load(ANSWERS / f"{name}.npz"), []
    for what, made in results(BY_NAME[name]):
        for k, y in enumerate(made):
            pairs.append((sampled(y), answers[f"{what}.{k}"]))
            assert int(np.argmax(y)) == int(answers[f"{what}.{k}.top"])
    assert len(pairs) == sum(not k.endswith(".top") for k in answers)
    near("tflite", BY_NAME[name].file, "LiteRT", pairs)


def test_a_person_is_seen():
    (mask,) = dict(results(BY_NAME["selfie_segmentation"]))["photo"]
    assert mask[0, 24:64, 96:144].mean() > 0.95  # the face
    assert mask[0, :64, 176:].mean() < 0.05  # the shuttle behind


@pytest.mark.parametrize("target", ["wasm", "webgl", "webgpu"])
def test_integers_are_those_of_the_file_elsewhere(target):
    """Spoken words, int8 in and out: the arithmetic is that of 32 bits on all targets."""
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    case = BY_NAME["kws_ref_model"]
    data = noise((1, 49, 10, 1), np.int8)
    (y,) = weft.compile(fetched(case), target=target).run({"input_1": data}).values()
    np.testing.assert_array_equal(sampled(y), np.load(ANSWERS / f"{case.name}.npz")["noise.0"])


# --- the ways in


def test_recognised_by_content(tmp_path):
    path = fetched(BY_NAME["kws_ref_model"])
    renamed = tmp_path / "model.onnx"
    renamed.write_bytes(path.read_bytes())
    assert frontend_of(renamed).name == frontend_of(path.read_bytes()).name == "tflite"
    assert load(renamed).inputs == load(path.read_bytes()).inputs == ("input_1",)
    with pytest.raises(ModelError, match="TFL3"):
        load(b"no flatbuffer at all", format="tflite")
    with pytest.raises(ModelError, match="no model"):
        load(3.5, format="tflite")


def test_types_of_the_file_stay():
    graph = load(fetched(BY_NAME["kws_ref_model"]))
    assert str(graph.types["input_1"].dtype) == "int8"
    assert [str(graph.types[o].dtype) for o in graph.outputs] == ["int8"]


def test_open_batch():
    path = fetched(BY_NAME["kws_ref_model_float32"])
    assert load(path).types["input_1"].shape == (1, 49, 10, 1)
    many = load(path, shapes={"input_1": (3, 49, 10, 1)})
    assert many.types[many.outputs[0]].shape == (3, 12)


def test_described():
    found = inspect(fetched(BY_NAME["selfie_segmentation"]))
    assert found.format == "tflite 3" and not found.missing
    assert found.operators["Convolution2DTransposeBias"] == 1
    assert found.inputs == {"input_1": "float32[1, 256, 256, 3]"}
    assert "CONV_2D" in str(found) and found.parameters > 100_000


def test_signatures():
    path = fetched(BY_NAME["nmp"])
    names = inspect(path).signatures
    assert list(names) == ["serving_default"]
    by_name = load(path, signature="serving_default")
    assert by_name.outputs == load(path).outputs
    with pytest.raises(InputError, match="serving_default"):
        load(path, signature="training")


def test_unknown_operators_are_all_named():
    data = fetched(BY_NAME["selfie_segmentation"]).read_bytes()
    data = data.replace(b"Convolution2DTransposeBias", b"Convolution2DTransposeBlas")
    assert "operator Convolution2DTransposeBlas" in inspect(data).missing
    with pytest.raises(UnsupportedError, match="Convolution2DTransposeBlas"):
        load(data)
