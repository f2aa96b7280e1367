"""Whole models on the devices of this machine other than its processor, against ONNX Runtime."""

import pytest
import weft
from support.trained_jobs import TRAINED
from weft.benchmarks import zoo
from weft.benchmarks.zoo import judge
from weft.compiler.check.tolerances import of_models
from weft.ir.target import Target
from weft.runtime.devices.probe import probe

# No WebAssembly here takes what a compute shader cannot do.
TARGETS = ("opencl", "opengl", "webgpu -fallback=none")
# What mobilenet_v2 is made of, efficientnet_lite0 has, too.
ARCHITECTURES = ("resnet18", "encoder")


@pytest.fixture(params=TARGETS, ids=[t.split()[0] for t in TARGETS])
def target(request):
    found = probe(request.param.split()[0])
    if not found.ok:
        pytest.skip(f"{found.reason} ({found.hint})")
    return request.param


def agree(model, target, shapes, feed):
    exe = weft.compile(model, target, shapes=shapes)
    theirs, limit = judge.reference(model, feed), of_models(Target.parse(target)).rtol
    for _ in range(2):  # the second time in memory that was used
        ours = exe.run(feed)
        assert list(ours) == list(theirs)
        for name, array in theirs.items():
            assert ours[name].dtype == array.dtype
            assert judge.relative_error(ours[name], array) <= limit, name


@pytest.mark.parametrize(
    "name", ["mnist_cnn", *(pytest.param(n, marks=pytest.mark.slow) for n in ARCHITECTURES)]
)
def test_architecture(name, target):
    model = zoo.random_model(name)
    agree(model, target, zoo.shapes(model), zoo.feed(model))


def test_encoder_at_odd_sizes(target):
    model = zoo.encoder.encoder(layers=1)
    agree(model, target, {"batch": 2, "tokens": 7}, zoo.feed(model, batch=2, tokens=7))


@pytest.mark.slow
@pytest.mark.parametrize("job", TRAINED)
def test_trained_model(job, target):
    model, feed = TRAINED[job]()
    agree(model, target, {k: a.shape for k, a in feed.items()}, feed)
