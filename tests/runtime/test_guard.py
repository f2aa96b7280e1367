"""What nobody foresaw reaches the user as a WeftError that says where, and keeps its cause."""

import os
import pickle
import signal
import sys

import numpy as np
import pytest
import weft
from support.command_line import colour_model, save
from weft.compiler.cli.main import main
from weft.runtime.errors import InternalError, WeftError
from weft.runtime.executor import Executable

X = np.zeros((1, 3, 4, 4), np.float32)


@pytest.fixture
def model():
    return colour_model((1, 3, 4, 4))


def boom(*_, **__):
    raise ZeroDivisionError("by nothing")


# What fails, in which stage; each below every public function that comes that way.
STAGES = [
    ("weft.compiler.frontends.onnx.importer.TensorReader.array", "reading the model"),
    ("weft.compiler.passes.pipeline.GraphPipeline.cut", "compiling"),
    ("weft.compiler.kernels.kernel.lower_group", "compiling kernels"),
    ("weft.compiler.driver.assemble", "compiling"),
]


@pytest.mark.parametrize("place, stage", STAGES[1:])
def test_compilations(model, monkeypatch, place, stage):
    monkeypatch.setattr(place, boom)
    for compile in (weft.compile, lambda m, **k: weft.compile_many(m, ["llvm"], **k)):
        with pytest.raises(
            InternalError, match=f"{stage}.*fault of weft.*ZeroDivisionError: by"
        ) as e:
            compile(model, cache=False)
        assert isinstance(e.value.__cause__, ZeroDivisionError)
        assert "please report it" in e.value.hint and weft.__version__ in e.value.hint
        assert ".py:" in e.value.hint


@pytest.mark.parametrize(
    "call",
    [
        lambda m, exe, path: weft.check(m),
        lambda m, exe, path: weft.tune(m, trials=1, records=weft.Records(None)),
        lambda m, exe, path: weft.load(m),
        lambda m, exe, path: weft.bundle(m, path / "b", ["webgl"]),
    ],
    ids=["check", "tune", "load", "bundle"],
)
def test_every_public_function_reads_under_the_guard(model, tmp_path, monkeypatch, call):
    monkeypatch.setattr("weft.compiler.frontends.onnx.open_model", boom)
    with pytest.raises(InternalError, match="reading the model: this is a fault of weft"):
        call(model, None, tmp_path)


@pytest.mark.parametrize(
    "error", [AssertionError("x"), KeyError("x"), RecursionError("x"), OSError(5, "x")]
)
def test_executables(model, tmp_path, monkeypatch, error):
    exe = weft.compile(model)
    exe.save(tmp_path / "m.weft")

    def fail(*_, **__):
        raise error

    calls = [
        lambda: exe(X), lambda: exe.run({"image": X}), lambda: exe.profile(X),
        lambda: exe.benchmark(X), lambda: exe.call([X], [np.zeros((1, 3), np.float32)]),
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        for name in ("run", "in_place", "time"):
            patch.setattr(type(exe.runner), name, fail)
        for call in calls:
            with pytest.raises(InternalError, match="running") as e:
                call()
            assert e.value.__cause__ is error
    with monkeypatch.context() as patch:
        patch.setattr("weft.runtime.package._write", fail)
        with pytest.raises(WeftError):
            exe.save(tmp_path / "n.weft")
    with monkeypatch.context() as patch:
        patch.setattr("weft.runtime.executor.package.load", fail)
        with pytest.raises(InternalError):
            weft.runtime.load(tmp_path / "m.weft")
    with monkeypatch.context() as patch:
        patch.setattr("weft.runtime.executor.runner_of", fail)
        with pytest.raises(InternalError):
            Executable(exe.program, exe.codes, exe.params).prepare()
    np.testing.assert_array_equal(exe(X), np.zeros((1, 3)))  # and it goes on


def test_memory_that_ran_out_is_no_fault(model, monkeypatch):
    def full(*_, **__):
        raise MemoryError("37 GiB")

    monkeypatch.setattr("weft.compiler.driver.assemble", full)
    with pytest.raises(InternalError, match=r"does not suffice \(MemoryError: 37 GiB\)") as e:
        weft.compile(model)
    assert "report" not in str(e.value)


def test_what_stays_as_it_is(model, monkeypatch):
    for call in (
        lambda: weft.compile(model, nonsense=1), weft.compile,
        lambda: weft.compile_many(model, ["llvm"], nonsense=1), lambda: weft.bundle(model),
        lambda: weft.check(model, nonsense=1), weft.runtime.load,
    ):  # fmt: skip
        with pytest.raises(TypeError, match="argument"):
            call()
    for error in (KeyboardInterrupt(), SystemExit(3), UserWarning("asked for")):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr("weft.compiler.driver.assemble", fail)
        with pytest.raises(type(error)) as e:
            weft.compile(model)
        assert e.value is error


def test_errors_of_a_callback_are_the_users(model):
    class Cancelled(Exception):
        pass

    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        weft.compile(model, progress=stop)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals are of Unix")
def test_errors_of_a_signal_handler_are_the_users(model, monkeypatch):
    class TooLate(Exception):
        pass

    def late(*_):
        raise TooLate

    def slow(*_, **__):
        os.kill(os.getpid(), signal.SIGUSR1)
        sys.intern("the signal is seen between two steps")

    monkeypatch.setattr("weft.compiler.driver.assemble", slow)
    before = signal.signal(signal.SIGUSR1, late)
    try:
        with pytest.raises(TooLate):
            weft.compile(model)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_long_texts_are_cut(model, monkeypatch):
    def long(*_, **__):
        raise ValueError("x" * 100_000)

    monkeypatch.setattr("weft.compiler.driver.assemble", long)
    with pytest.raises(InternalError) as e:
        weft.compile(model)
    assert len(str(e.value)) < 1000
    again = pickle.loads(pickle.dumps(e.value))
    assert type(again) is InternalError and str(again) == str(e.value)


def test_the_guard_leaves_names_and_words():
    import inspect

    for f in (weft.compile, weft.bundle, weft.check, weft.tune, weft.load, Executable.save):
        assert inspect.getdoc(f) and "return" in inspect.signature(f).parameters.keys() | {"return"}
    assert list(inspect.signature(weft.compile).parameters)[:3] == ["model", "target", "shapes"]


@pytest.mark.parametrize("debug", ["0", "1"])
def test_commands(model, tmp_path, monkeypatch, capsys, debug):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_DEBUG", debug)
    monkeypatch.setattr("weft.compiler.driver.assemble", boom)
    assert main(["compile", save(model)]) == 1
    said = capsys.readouterr().err
    assert "error: compiling" in said and "fault of weft, not yours: ZeroDivisionError" in said
    assert ("Traceback" in said) == (debug == "1")
