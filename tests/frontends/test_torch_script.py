"""TorchScript: code that is followed while the graph is made, never executed."""

import zipfile

import numpy as np
import pytest
import weft
from support.front_ends import mutated
from support.pytorch_answers import HERE, answers, close, evaluated
from weft.benchmarks.zoo import packages
from weft.compiler.frontends import inspect
from weft.compiler.frontends.table import frontend_of
from weft.runtime.errors import InputError, InternalError, ModelError, UnsupportedError, WeftError

SCRIPT = HERE / "script.jit"


def repacked(path, tmp_path, change):
    """An archive whose members are what ``change`` makes of them by their names."""
    made = tmp_path / "changed.jit"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return made.read_bytes()


def test_branches_loops_lists_and_changes_in_place():
    (x,), wanted = answers("script.jit")
    graph = weft.load(SCRIPT, {"x": x.shape}, {"k": 2})
    got = evaluated(graph, [x])
    assert len(got) == len(wanted) == 4
    assert all(close(g, w) and g.dtype == w.dtype for g, w in zip(got, wanted))


def test_a_detector_of_speech_answers_as_in_pytorch():
    path = packages.path("silero_vad.jit")
    assert frontend_of(path).name == "torch" and not inspect(path).missing
    (x, state), wanted = answers("silero.jit")
    with pytest.warns(UserWarning, match="from call to call"):
        graph = weft.load(path, {"x": x.shape}, {"sr": 16000}, signature="audio_forward")
    given = [(graph, [x], wanted[:1])]
    for k, (part, count) in enumerate((("_model", 576), ("_model_8k", 288))):
        graph = weft.load(
            path, {"x": (1, count), "state": state.shape}, signature=f"{part}.forward"
        )
        cut = x[:, 400 : 400 + count]
        given.append((graph, [cut, state], wanted[1 + 2 * k : 3 + 2 * k]))
    for graph, inputs, outputs in given:
        for got, want in zip(evaluated(graph, inputs), outputs, strict=True):
            assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
    graph, inputs, outputs = given[1]
    compiled = weft.compile(graph)(*inputs)
    for got, want in zip(compiled, outputs, strict=True):
        assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


def test_what_the_code_refuses_and_weft_does(tmp_path):
    path = packages.path("silero_vad.jit")
    with pytest.raises(ModelError, match="refuses this call: Input audio chunk is too short"):
        weft.load(path, {"x": (1, 500)}, {"sr": 16000})
    with pytest.raises(InputError, match="no method"):
        weft.load(SCRIPT, signature="backward")
    with pytest.raises(InputError, match="no part"):
        weft.load(SCRIPT, signature="nowhere.forward")
    with pytest.raises(ModelError, match="constants="):
        weft.load(SCRIPT, {"x": (3, 4)})

    def foreign(name, data):
        return data.replace(b"torch.topk(", b"torch.no_such(") if name.endswith(".py") else data

    with pytest.raises(UnsupportedError, match="no_such"):
        weft.load(repacked(SCRIPT, tmp_path, foreign), {"x": (3, 4)}, {"k": 2})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"torch.topk(z, 2", b"__import__('os').system('true'"),
        (b"torch.zeros_like(", b"open("),
        (b"torch.zeros_like(", b"().__class__.__bases__["),
    ],
)
def test_code_is_not_executed(tmp_path, old, new):
    def hostile(name, data):
        return data.replace(old, new) if name.endswith(".py") else data

    with pytest.raises(WeftError):
        weft.load(repacked(SCRIPT, tmp_path, hostile), {"x": (3, 4)}, {"k": 2})


def test_an_endless_loop_ends(tmp_path):
    def endless(name, data):
        return data.replace(b"torch.lt(k", b"torch.lt(0") if name.endswith(".py") else data

    data = repacked(SCRIPT, tmp_path, endless)
    with pytest.raises((UnsupportedError, ModelError)):
        weft.load(data, {"x": (3, 4)}, {"k": 2})


def test_damaged_code(tmp_path):
    rng, refused = np.random.default_rng(4), 0
    for _ in range(200):
        data = repacked(
            SCRIPT,
            tmp_path,
            lambda name, data: mutated(rng, data) if name.endswith((".py", ".pkl")) else data,
        )
        try:
            weft.load(data, {"x": (3, 4)}, {"k": 2})
        except InternalError:
            raise
        except WeftError:
            refused += 1
    assert refused > 100
