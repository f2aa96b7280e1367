"""Whole architectures with random weights as WGSL kernels, against ONNX Runtime."""

import pytest
import weft
from weft.benchmarks import zoo
from weft.benchmarks.zoo import judge
from weft.runtime.devices.probe import probe

TARGET = "webgpu -fallback=none"
TOLERANCE = 1e-3  # relative, of the largest element


def agree(model, shapes, feed):
    found = probe("webgpu")
    if not found.ok:
        pytest.skip(f"{found.reason} ({found.hint})")
    exe = weft.compile(model, TARGET, shapes=shapes)
    theirs = judge.reference(model, feed)
    for _ in range(2):
        ours = exe.run(feed)
        assert list(ours) == list(theirs)
        for name, array in theirs.items():
            assert ours[name].dtype == array.dtype
            assert judge.relative_error(ours[name], array) <= TOLERANCE, name


@pytest.mark.parametrize(
    "name",
    [
        "mnist_cnn",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet18", "mobilenet_v2", "encoder")),
    ],
)
def test_agrees_with_onnx_runtime(name):
    model = zoo.random_model(name)
    agree(model, zoo.shapes(model), zoo.feed(model))


def test_encoder_at_odd_sizes():
    model = zoo.encoder.encoder(layers=1)
    agree(model, {"batch": 2, "tokens": 7}, zoo.feed(model, batch=2, tokens=7))
