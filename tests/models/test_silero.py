"""Silero VAD, a model with a state and with branches, on every target against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import weft
from weft.benchmarks.zoo import judge, real
from weft.compiler.check.tolerances import of_models
from weft.compiler.frontends.warn import ModelWarning
from weft.ir.target import Target
from weft.runtime.devices.probe import probe
from weft.runtime.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
TARGETS = ("llvm", "wasm", "opencl", "opengl", "webgpu", "webgl")
STATE = (2, 1, 128)


@pytest.fixture(params=TARGETS)
def target(request):
    found = probe(request.param)
    if not found.ok:
        pytest.skip(f"{found.reason} ({found.hint})")
    return request.param


def pieces(length, count, rate):
    """Audio: a voice that comes and goes, one piece of noise, one of silence."""
    rng = np.random.default_rng(length)
    t = np.arange(length * count) / rate
    pitch = 2 * np.pi * 140 * (t + 0.01 * np.sin(7 * t))
    voice = sum(np.sin(k * pitch) / k for k in range(1, 12)) * np.abs(np.sin(9 * t))
    audio = (0.2 * voice + 0.01 * rng.standard_normal(len(t))).reshape(count, 1, length)
    audio[count - 2] = rng.standard_normal((1, length))
    audio[count - 1] = 0
    return audio.astype(np.float32)


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def agree(model, exe, target, length, rate):
    """Over consecutive calls, each with its own state fed back."""
    session, limit = session_of(model), of_models(Target.parse(target)).rtol
    ours = theirs = np.zeros(STATE, np.float32)
    for x in pieces(length, 6, rate):
        feed = {"input": x, "sr": np.asarray(rate)}
        want = session.run(None, {**feed, "state": theirs})
        got = exe.run({k: v for k, v in {**feed, "state": ours}.items() if k in exe.inputs})
        for a, b in zip(got.values(), want, strict=True):
            assert a.dtype == b.dtype and judge.relative_error(a, b) <= limit
        (_, theirs), (_, ours) = want, got.values()


def test_for_one_rate(target):
    model = real.silero_vad("16k_op15")
    exe = weft.compile(model, target, shapes={"batch": 1, "sequence": 576})
    assert not exe.program.flow
    agree(model, exe, target, 576, 16000)


def test_a_sequence_of_pieces(target):
    model = real.silero_vad("16k_sequence")
    exe = weft.compile(model, target, shapes={"sequence_length": 3})
    session, limit = session_of(model), of_models(Target.parse(target)).rtol
    theirs = ours = {k: np.zeros((1, 1, 128), np.float32) for k in ("h", "c")}
    for x in pieces(576, 6, 16000).reshape(2, 3, 576):
        want = session.run(None, {"input": x, **theirs})
        got = exe.run({"input": x, **ours})
        for a, b in zip(got.values(), want, strict=True):
            assert judge.relative_error(a, b) <= limit
        theirs, ours = ({"h": r[1], "c": r[2]} for r in (want, list(got.values())))


@pytest.mark.parametrize("length, rates", [(288, (8000, 16000)), (576, (16000,))])
def test_the_rate_decides(target, length, rates):
    """576 samples fit the branch of 16 kHz alone: the other one fails, as in ONNX Runtime."""
    model = real.silero_vad()
    exe = weft.compile(model, target, shapes={"input": (1, length), "state": STATE})
    for rate in rates:
        agree(model, exe, target, length, rate)
    if 8000 not in rates:
        feed = {"input": np.zeros((1, length), "f"), "state": np.zeros(STATE, "f")}
        with pytest.raises(InputError, match=r"rnn/LSTM' .*: these inputs need a branch"):
            exe.run(feed | {"sr": np.asarray(8000)})
        agree(model, exe, target, length, rates[0])


@pytest.mark.parametrize("length, rate", [(288, 8000), (576, 16000)])
def test_a_rate_that_is_known(length, rate):
    model = real.silero_vad()
    exe = weft.compile(model, shapes={"input": (1, length), "state": STATE}, constants={"sr": rate})
    assert list(exe.inputs) == ["input", "state"] and not exe.program.flow
    agree(model, exe, "llvm", length, rate)


def test_what_would_help_is_said():
    with pytest.warns(ModelWarning, match=r"the else_branch cannot .* constants=\{'sr': value\}"):
        weft.compile(real.silero_vad(), shapes={"input": (1, 576), "state": STATE})
