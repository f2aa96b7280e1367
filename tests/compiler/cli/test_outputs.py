"""Where commands write: never over what they read, never over what is no plain file."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.command_line import colour_model, failure, save
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli.main import main
from weft.compiler.tune.records import Records

needs_unix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links and pipes are of Unix")


@pytest.fixture
def model():
    return save(colour_model((1, 3, 4, 4)))


@pytest.fixture
def no_compiler(monkeypatch):
    """Whatever is refused is refused before the work."""

    def never(*_, **__):
        raise AssertionError("it was compiled")

    monkeypatch.setattr("weft.compiler.driver.assemble", never)


def contents():
    return {p: p.read_bytes() for p in Path().rglob("*") if p.is_file() and "cache" not in p.parts}


def with_data_beside():
    """A model whose weights are in a file of their own, one of them inside of a branch."""
    n = Net("beside")
    x = n.input("x", [2, 300])
    model = n.build(n.op("MatMul", x, n.const(np.ones((300, 2), np.float32))), names=["y"])
    onnx.save(model, "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    return "big.onnx"


@needs_unix
def test_a_package_is_never_one_of_the_inputs(model, no_compiler, capsys):
    with_data_beside()
    Path("link").symlink_to("model.onnx")
    os.link("big.data", "hard")
    before = contents()
    for name, outputs in (
        ("model.onnx", ("model.onnx", "./link")),
        ("big.onnx", ("big.data", "hard")),
    ):
        for output in outputs:
            assert "would overwrite" in failure(capsys, "compile", name, "-o", output)
    Records(Path("mine.sqlite")).close()
    words = ("compile", model, "--records", "mine.sqlite", "-o", "mine.sqlite")
    assert "would overwrite 'mine.sqlite'" in failure(capsys, *words)
    assert before == {k: v for k, v in contents().items() if "mine" not in k.name}


def test_results_are_never_one_of_the_inputs(model, no_compiler, capsys):
    np.save("x.npy", np.zeros((1, 3, 4, 4), np.float32))
    Path("names.txt").write_text("red\ngreen\nblue\n")
    before = contents()
    for output in ("x.npy", model, "names.txt"):
        for given in ("x.npy", "image=x.npy"):
            words = ("--input", given, "--labels", "names.txt", "--top", "1", "--output", output)
            assert "would overwrite" in failure(capsys, "run", model, *words)
    assert contents() == before


def test_records_are_not_exported_over_what_is_read(capsys):
    store = Records(Path("mine.sqlite"))
    store.close()
    Path("more.jsonl").write_text("")
    before = Path("mine.sqlite").read_bytes()
    words = ("tune", "--records", "mine.sqlite", "--merge", "more.jsonl", "--export")
    for output in ("mine.sqlite", "more.jsonl"):
        assert f"would overwrite '{output}'" in failure(capsys, *words, output)
    assert Path("mine.sqlite").read_bytes() == before
    assert main(["tune", "--records", "mine.sqlite", "--export", "out.jsonl"]) == 0
    model = save(colour_model((1, 3, 4, 4)))
    words = ("--plot", "p.svg", "--export", "./p.svg")
    assert "would be one file" in failure(capsys, "tune", model, *words)


@needs_unix
def test_devices_and_pipes_stay(model, tmp_path, capsys):
    Path("null").symlink_to(os.devnull)  # should this fail, the machine keeps its device
    assert main(["compile", model, "-o", "null"]) == 0
    assert main(["run", model, "--input", array(), "--output", "null"]) == 0
    assert Path("null").is_symlink() and stat.S_ISCHR(os.stat("null").st_mode)
    text = failure(capsys, "compile", model, "--target", "llvm,opencl", "-o", "null")
    assert "this is no plain file" in text
    assert not Path("null.llvm.weft").exists()


def array():
    np.save("x.npy", np.zeros((1, 3, 4, 4), np.float32))
    return "x.npy"


@needs_unix
@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no /dev/stdout")
def test_a_package_on_standard_output_is_alone_there(model):
    Path("stdout").symlink_to("/dev/stdout")
    assert main(["compile", model, "-o", "plain.weft"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "weft", "compile", model, "-o", "stdout", "--report"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == Path("plain.weft").read_bytes()
    assert b"kernel calls" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["compile", "m.onnx", "-o", ""],
        ["compile", "m.onnx", "--bundle", ""],
        ["compile", "m.onnx", "--bundle", "d", "--labels", ""],
        ["compile", ""],
        ["run", "m.onnx", "--output", ""],
        ["run", "m.onnx", "--input", ""],
        ["run", "m.onnx", "--top", "1", "--labels", ""],
        ["run", ""],
        ["bench", "m.onnx", "--records", ""],
        ["check", ""],
        ["tune", "--export", ""],
        ["tune", "--merge", ""],
        ["tune", "--records", "", "--list"],
        ["tune", "m.onnx", "--plot", ""],
        ["tune", ""],
        ["serve", ""],
    ],
)
def test_an_empty_name_is_a_wrong_command_line(words, capsys):
    with pytest.raises(SystemExit) as e:
        main(words)
    assert e.value.code == 2 and "the name is empty" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero")
def test_files_without_an_end(model, capsys):
    words = ("run", model, "--input", array(), "--top", "1", "--labels", "/dev/zero")
    assert "it has more than 64 MiB" in failure(capsys, *words)
