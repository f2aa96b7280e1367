"""Operators of TensorFlow, one small graph each, and SavedModels, against TensorFlow's answers."""

import numpy as np
import pytest
import weft
from support import tf_models
from support.evaluated import evaluated
from support.parity import near
from weft.benchmarks.zoo import packages
from weft.runtime.errors import InputError

ANSWERS = tf_models.TESTS / "frontends" / "answers" / "tensorflow_graph"
KEPT = dict(np.load(ANSWERS / "operators.npz"))
LABELS = sorted({k.split("/")[0] for k in KEPT})


def parts(label, what):
    """What the judge keeps of a case, by what follows its label."""
    start = f"{label}/{what}/"
    return {k.removeprefix(start): KEPT[k] for k in KEPT if k.startswith(start)}


@pytest.mark.parametrize("label", LABELS)
def test_operators(label):
    inputs, want = parts(label, "in"), parts(label, "out")
    data = KEPT[f"{label}/graph"].tobytes()
    graph = weft.load(data, outputs=[f"out{k}" for k in range(len(want))])
    results = evaluated(graph, inputs)
    assert len(results) == len(want)
    for k, a in enumerate(results):
        b = want[str(k)]
        assert a.shape == b.shape and a.dtype == b.dtype, (a.shape, a.dtype, b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parity
@pytest.mark.parametrize("case", tf_models.SAVED, ids=lambda c: c.name)
def test_trained_saved_models(case):
    if not case.file.startswith("/"):
        packages.path(case.file)
    shapes = {name: shape for name, (shape, _) in case.inputs.items()}
    graph = weft.load(case.path, shapes)
    found = dict(zip(graph.outputs, evaluated(graph, case.noise())))
    answers, pairs = np.load(ANSWERS / f"{case.name}.npz"), []
    for k, name in enumerate(case.outputs):
        assert list(found[name].shape) == answers[f"noise_{k}_shape"].tolist()
        assert found[name].argmax() == answers[f"noise_{k}_top"]
        pairs.append((tf_models.sampled(found[name]), answers[f"noise_{k}"]))
    near("saved-model", case.name, "TensorFlow 2.21", pairs)


def test_signatures_variables_and_functions():
    answers = np.load(ANSWERS / "small.npz")
    x = answers["x"]
    for folder, signature, prefix in (
        ("two", None, "two"), ("two", "once", "once"), ("one", None, "one"),
    ):  # fmt: skip
        graph = weft.load(ANSWERS / folder, {"x": x.shape}, signature=signature)
        want = {k.split("/")[1]: answers[k] for k in answers.files if k.startswith(f"{prefix}/")}
        assert set(graph.outputs) == set(want)
        for name, a in zip(graph.outputs, evaluated(graph, {"x": x})):
            np.testing.assert_allclose(a, want[name], rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="no signature 'other'"):
        weft.load(ANSWERS / "two", signature="other")


@pytest.mark.parametrize("label", ["while by data v1", "cond in while v2"])
def test_compiled_loops(label):
    inputs, want = parts(label, "in"), parts(label, "out")
    graph = weft.load(
        KEPT[f"{label}/graph"].tobytes(), outputs=[f"out{k}" for k in range(len(want))]
    )
    results = weft.compile(graph, "llvm")(inputs["a"])
    results = results if isinstance(results, tuple | list) else [results]
    for k, a in enumerate(results):
        np.testing.assert_allclose(a, want[str(k)], rtol=2e-5, atol=2e-6)
