"""Random models with nested loops and branches, against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import weft
from support.random_flow import feeds, model
from weft.compiler.frontends.onnx import control

SHARE = 50


@pytest.fixture(autouse=True)
def nothing_is_unrolled(monkeypatch):
    """As if all of it were large."""
    monkeypatch.setattr(control, "MAX_EXTRA_WORK", 0)
    monkeypatch.setattr(control, "UNROLLED", 0)


def judge(seed: int, target: str) -> None:
    made = model(seed)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    ours = weft.compile(made, target)
    for feed in feeds(seed):
        want = theirs.run(None, feed)
        got = ours.run({k: v for k, v in feed.items() if k in ours.inputs})
        for name, a, b in zip(got, got.values(), want, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{target}, seed {seed}, {name}")


@pytest.mark.parametrize("part", range(10))
def test_on_a_processor(part):
    for seed in range(SHARE * part, SHARE * (part + 1)):
        judge(seed, "llvm")


@pytest.mark.parametrize("target", ["opencl", "webgpu", "opengl", "wasm", "webgl"])
def test_elsewhere(target):
    from weft.runtime.devices.probe import probe

    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    for seed in range(1000, 1006):
        judge(seed, target)
