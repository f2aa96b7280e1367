"""Models of one TensorFlow Lite operator beside what LiteRT makes of them."""

from pathlib import Path

import numpy as np
import pytest
from support.lite_models import packed
from weft.compiler.frontends import load
from weft.compiler.graph.evaluate import evaluate_graph

KEPT = packed(Path(__file__).parent / "answers" / "litert" / "ops.npz")
NAMES = [k.removesuffix("/model") for k in KEPT if k.endswith("/model")]

# How many steps integers may be off: where LiteRT has fixed-point functions of its own, weft rounds
# the real result. Its softmax of 16 bits reads a table that misses 1 by 16 of 32768.
STEPS = {"int16_logistic": 1, "int16_tanh": 1}


def case(name):
    """The model, what it is given, and the results, by their names."""
    of = {k.split("/")[1]: v for k, v in KEPT.items() if k.split("/")[0] == name}
    given = {k: v for k, v in of.items() if k.startswith("x")}
    return of["model"].tobytes(), given, {k: v for k, v in of.items() if k.startswith("y")}


@pytest.mark.parametrize("name", NAMES)
def test_operator(name):
    data, given, theirs = case(name)
    graph = load(data)
    assert set(graph.inputs) == set(given)
    assert [o for o in graph.outputs if ".size" not in o] == list(theirs)
    table = {**given, **graph.constants}
    table |= evaluate_graph(graph, given)
    for k, expected in theirs.items():
        ours = table[k]
        for axis, size in graph.cropped.get(k, {}).items():
            ours = ours.take(np.arange(int(table[size])), axis)
        assert ours.shape == expected.shape and ours.dtype == expected.dtype
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-6)
        else:
            off = np.abs(ours.astype(np.int64) - expected.astype(np.int64))
            assert np.max(off, initial=0) <= STEPS.get(name, 0)
