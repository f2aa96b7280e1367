"""Output that is full, closed or of another encoding; interrupts at any time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command_line import colour_model, failure, save
from weft.compiler.cli.main import main

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


@pytest.fixture
def model():
    np.save("x.npy", np.zeros((1, 3, 4, 4), np.float32))
    return save(colour_model((1, 3, 4, 4)))


def weft(*words, **options):
    command = [sys.executable, "-m", "weft", *words]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, **options)
    done.stdout, done.stderr = (
        (s or b"").decode("utf-8", "replace") for s in (done.stdout, done.stderr)
    )
    return done


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        ["--help"], ["--version"], ["compile", "--help"],
        ["compile", "model.onnx", "-o", "m.weft", "--report"],
        ["run", "model.onnx", "--input", "x.npy", "--output", "out.npz"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_full_output_is_an_error(model, words, unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = weft(*words, stdout=full, env=environment)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-2].startswith("error: standard output takes no more: No space")
    output = {"compile": "m.weft", "run": "out.npz"}.get(words[0])
    assert output is None or "--help" in words or Path(output).exists()  # the work itself is done


def test_nobody_reads(model):
    """As before ``| head``: what was asked for is done, and there is no complaint."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        done = weft("compile", model, "-o", "m.weft", "--report", stdout=pipe)
    assert done.returncode == 0 and "Error" not in done.stderr and Path("m.weft").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding(model, encoding):
    Path("names.txt").write_text("rød\n緑\n×…\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = weft("compile", model, "--report", stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0 and "Error" not in done.stderr
    assert ("1 ×" if encoding == "utf-8" else "1 ") in done.stdout
    words = ("run", model, "--input", "x.npy", "--top", "3", "--labels", "names.txt")
    done = weft(*words, stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0 and "Error" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on Unix")
def test_a_name_that_is_no_text(model):
    name = os.fsdecode(b"\xff.onnx")
    try:
        Path(name).write_bytes(Path(model).read_bytes())
    except OSError:
        pytest.skip("this file system has names of text only")
    done = weft("compile", name, stdout=subprocess.PIPE)
    assert done.returncode == 0 and "Error" not in done.stderr


INTERRUPT = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["compile", "model.onnx"]
from weft.__main__ import run
sys.exit(run())
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are of Unix")
@pytest.mark.parametrize(
    "module", ["weft.compiler", "weft.compiler.cli.main", "numpy", "onnx", "llvmlite.binding"]
)
def test_an_interrupt_during_imports(model, module):
    text = INTERRUPT.format(module=module)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "interrupted"


def test_an_interrupt_that_a_module_in_c_wraps(model, monkeypatch, capsys):
    def wrapped(*_, **__):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as e:
            raise ImportError("initialisation failed") from e

    monkeypatch.setattr("weft.compiler.driver.compile_all", wrapped)
    assert main(["compile", model]) == 130
    assert capsys.readouterr().err == "interrupted\n"


# ---- inputs that promise more than there is -----------------------------------------------------


def header(shape, data=b"", descr="<f4"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "data, words",
    [
        (header((100_000, 100_000)), "40000000000 bytes are announced"),
        (header((1, 3, 4, 4)), "192 bytes are announced"),
        (header((-1, 3)), "bytes are announced"),
        (header((2**62, 2**62)), "bytes are announced"),
        (header((3,), b"x" * 100, "O"), "Object arrays"),
        (b"\x93NUMPY\1\0\xff\xff", "no readable array file"),
        (b"\x93NUMPY\3\0" + b"\xff" * 4, "no readable array file"),
        (b"", "no readable array file"),
        (b"PK\3\4", "no readable array file"),
    ],
)
def test_arrays_that_announce_too_much(model, capsys, data, words):
    import zipfile

    Path("bad.npy").write_bytes(data)
    assert words in failure(capsys, "run", model, "--input", "bad.npy")
    with zipfile.ZipFile("bad.npz", "w") as z:
        z.writestr("image.npy", data)
    assert "no readable array file" in failure(capsys, "run", model, "--input", "bad.npz")


def test_texts_and_numbers_that_are_none(model, capsys):
    for words in (("check", model, "--seed", "-1"), ("tune", model, "--seed", "-1")):
        with pytest.raises(SystemExit) as e:
            main(words)
        assert e.value.code == 2 and "integer from 0 on" in capsys.readouterr().err
    words = ("--target", "webgl", "--no-fallback", "--bundle", "b", "--title", "\udcff")
    assert "half a character" in failure(capsys, "compile", model, *words)


def test_a_package_of_any_name(model, capsys):
    assert main(["compile", model, "-o", "m.weft"]) == 0
    Path("m.weft").rename("package")
    assert main(["run", "package", "--input", "x.npy"]) == 0
    for command in ("run", "bench"):
        with pytest.raises(SystemExit) as e:
            main([command, "package", "--target", "opencl"])
        assert e.value.code == 2 and "--target has no effect here" in capsys.readouterr().err
    assert "compiled already" in failure(capsys, "compile", "package")
