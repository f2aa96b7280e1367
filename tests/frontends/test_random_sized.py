"""Random models of tensors whose size only data knows, against ONNX Runtime."""

import pytest
from support.random_sized import compared, model
from weft.runtime.devices.probe import probe

SHARE = 20


@pytest.mark.parametrize("part", range(5))
def test_on_a_processor(part):
    for seed in range(SHARE * part, SHARE * (part + 1)):
        assert not compared(model(seed), "llvm", seed), seed


@pytest.mark.parametrize("target", ["opencl", "webgpu", "opengl", "wasm", "webgl"])
def test_elsewhere(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    for seed in range(1000, 1004):
        assert not compared(model(seed), target, seed), seed
