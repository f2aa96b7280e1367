"""Whole architectures with random weights: every output against ONNX Runtime."""

import numpy as np
import pytest
import weft
from weft.benchmarks import zoo
from weft.benchmarks.zoo import judge

QUICK = {"mnist_cnn", "unet"}
NAMES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in zoo.ARCHITECTURES
]


def agree(model, exe, feed):
    """Every output of ``exe`` on ``feed`` against ONNX Runtime; the outputs of both."""
    theirs, ours = judge.reference(model, feed), exe.run(feed)
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        assert ours[name].dtype == array.dtype
        assert judge.relative_error(ours[name], array) <= judge.TOLERANCE, name
    return ours, theirs


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_onnx_runtime(name):
    model = zoo.random_model(name)
    exe = weft.compile(model, shapes=zoo.shapes(model))
    ours, theirs = agree(model, exe, zoo.feed(model))
    assert judge.same_top(*(next(iter(d.values())) for d in (ours, theirs)))


@pytest.mark.slow
@pytest.mark.parametrize("batch, tokens", [(1, 1), (2, 7), (3, 33)])
def test_encoder_at_other_sizes(batch, tokens):
    # extents that divide by no tile, and a batch, in the same model
    model = zoo.encoder.encoder(layers=2)
    exe = weft.compile(model, shapes={"batch": batch, "tokens": tokens})
    feed = zoo.feed(model, batch=batch, tokens=tokens)
    ours, _ = agree(model, exe, feed)
    assert np.allclose(np.linalg.norm(ours["sentence"], axis=-1), 1, atol=1e-5)


def test_models_are_the_same_every_time():
    one, two = (zoo.random_model("mnist_cnn").SerializeToString() for _ in range(2))
    assert one == two
