"""Random models of tensors whose size only data knows, against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import weft
from support.random_sized import feeds, model
from weft.runtime.devices.probe import probe

SHARE = 20


def judge(seed: int, target: str) -> None:
    made = model(seed)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    ours = weft.compile(made, target)
    for feed in feeds(seed):
        try:
            want = theirs.run(None, feed)
        except onnxruntime.capi.onnxruntime_pybind11_state.OnnxRuntimeException:
            continue  # some operators take no empty tensors there
        for (name, a), b in zip(ours.run(feed).items(), want, strict=True):
            assert a.shape == b.shape, (target, seed, name)
            np.testing.assert_allclose(
                a, b, rtol=1e-4, atol=1e-4, err_msg=f"{target}, seed {seed}, {name}"
            )


@pytest.mark.parametrize("part", range(5))
def test_on_a_processor(part):
    for seed in range(SHARE * part, SHARE * (part + 1)):
        judge(seed, "llvm")


@pytest.mark.parametrize("target", ["opencl", "webgpu", "opengl", "wasm", "webgl"])
def test_elsewhere(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    for seed in range(1000, 1004):
        judge(seed, target)
