"""Random numbers: Philox by its known answers, distributions by their moments, seeds."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from node_cases import interpret
from support.contrib import Node
from weft.compiler.frontends.onnx.ops_random import philox
from weft.runtime.errors import ModelError

MANY = 40_000


def run(op: str, *inputs: np.ndarray, **attrs) -> np.ndarray:
    """The one output on ``llvm``, which the references must give, too."""
    node = Node(op, inputs, attrs, domain="", opset=22)
    graph = weft.load(node.model)
    (got,) = weft.compile(graph, target="llvm").run(node.feed).values()
    np.testing.assert_array_equal(got, interpret(graph, node.feed)[0])
    return got


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # kat_vectors of Random123
        ([0] * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(counter: list[int], key: tuple[int, int], words: str) -> None:
    got = philox(np.array([counter], np.uint32), key)[0]
    assert " ".join(f"{w:08x}" for w in got.tolist()) == words


@pytest.mark.parametrize("dtype", [1, 10, 11])
def test_moments(dtype: int) -> None:
    u = run("RandomUniform", shape=[MANY], low=-1.0, high=3.0, seed=1.0, dtype=dtype)
    u = u.astype(np.float64)
    assert u.min() >= -1 and u.max() <= 3
    assert abs(u.mean() - 1) < 0.03 and abs(u.var() - 16 / 12) < 0.03
    z = run("RandomNormal", shape=[MANY], mean=2.0, scale=0.5, seed=2.0, dtype=dtype)
    z = (z.astype(np.float64) - 2) / 0.5
    assert abs(z.mean()) < 0.03 and abs(z.var() - 1) < 0.03 and abs((z**4).mean() - 3) < 0.2


def test_seeds() -> None:
    x = np.zeros((3, 5), np.float64)
    one = run("RandomNormalLike", x, seed=7.0)
    assert one.dtype == np.float64 and one.shape == (3, 5)
    np.testing.assert_array_equal(one, run("RandomNormalLike", x, seed=7.0))
    assert (one != run("RandomNormalLike", x, seed=8.0)).any()
    np.testing.assert_array_equal(run("RandomUniformLike", x), run("RandomUniformLike", x))


def test_draws_from_data() -> None:
    p = np.full(MANY, 0.3, np.float32)
    assert abs(run("Bernoulli", p, seed=3.0).mean() - 0.3) < 0.02
    shares = np.array([[0.1, 0.6, 0.3], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        x = np.log(shares * 5).astype(np.float32)
    drawn = run("Multinomial", x, sample_size=MANY, seed=4.0, dtype=7)
    assert drawn.dtype == np.int64
    for row, want in zip(drawn, shares):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / MANY, want, atol=0.02)


def test_too_many() -> None:
    with pytest.raises(ModelError, match="is the most"):
        weft.load(Node("RandomUniform", [], {"shape": [1 << 40]}, domain="", opset=22).model)
