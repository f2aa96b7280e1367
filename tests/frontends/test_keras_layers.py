"""Every class of Keras's layers, as Keras 3.15.1 and 2.21.0 wrote it, against what they say of it.

``tools/judge.sh tensorflow keras`` makes the models and the answers.
"""

import io
import json
import re
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import weft
from support.seeded import seeded
from weft.compiler.frontends.keras.converters import CONVERTERS
from weft.compiler.frontends.keras.core import NOTHING
from weft.compiler.frontends.keras.functions import OPERATIONS
from weft.compiler.graph.evaluate import evaluate_graph

KEPT = Path(__file__).parent / "answers" / "tensorflow"
CASES = json.loads((KEPT / "keras_layers.json").read_text())
MODELS = zipfile.ZipFile(KEPT / "keras_models.zip")
FILES = sorted(MODELS.namelist())


@cache
def answers():
    return dict(np.load(KEPT / "keras_layers.npz"))


def check(name, graph, tolerance=1e-5):
    given = {
        i: seeded(f"{name}.in{k}", tuple(shape), kind)
        for k, (i, (shape, kind)) in enumerate(zip(graph.inputs, CASES[name], strict=True))
    }
    found = evaluate_graph(graph, given)
    wanted = {k: v for k, v in answers().items() if k.startswith(f"{name}:")}
    assert len(wanted) == len(graph.outputs)
    for key, want in wanted.items():
        which = key.split(":")[1]
        got = found[graph.outputs[int(which)] if which.isdigit() else which]
        assert got.dtype == want.dtype and got.shape == want.shape
        scale = max(np.abs(want.astype(np.float64)).max(), 1e-6)
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale, err_msg=key)


@pytest.mark.parametrize("file", FILES)
def test_a_layer(file):
    name = file.rsplit(".", 1)[0]
    check(name, weft.load(MODELS.read(file), {"batch": 2}))


# Aliases, and what only other versions of Keras have.
OTHERS = {"SyncBatchNormalization", "ReversibleEmbedding"}
REFUSED = {"Lambda", "Hashing", "HashedCrossing", "StringLookup", "TextVectorization"}


def test_every_layer_is_judged():
    used = set()
    for file in FILES:
        text = MODELS.read(file)
        if file.endswith(".keras"):
            with zipfile.ZipFile(io.BytesIO(text)) as archive:
                text = archive.read("config.json")
        used |= set(re.findall(r'"class_name": "(\w+)"', text.decode("latin-1")))
    layers = {c for c in CONVERTERS if not c.startswith("ops.")} - OPERATIONS.keys()
    assert layers - set(NOTHING) - used == OTHERS | REFUSED


@pytest.mark.parametrize("file", ["gru_reset_before.keras", "conv2d_transpose.h5",
                                  "masked_attention.keras", "functional.keras"])  # fmt: skip
def test_compiled(file):
    """The numpy references judge converters; a few go all the way."""
    name = file.rsplit(".", 1)[0]
    graph = weft.load(MODELS.read(file), {"batch": 2})
    given = [seeded(f"{name}.in{k}", tuple(s), kind) for k, (s, kind) in enumerate(CASES[name])]
    made = weft.compile(graph, target="llvm")(*given)
    made = made if isinstance(made, tuple | list) else [made]
    for key, want in answers().items():
        if key.startswith(f"{name}:"):
            which = key.split(":")[1]
            k = int(which) if which.isdigit() else graph.outputs.index(which)
            np.testing.assert_allclose(made[k], want, rtol=1e-4, atol=1e-5)
