"""``weft compile``, ``run`` and ``bench``: answers, exit codes, errors without a traceback."""

import sys
from pathlib import Path

import numpy as np
import pytest
from support.command_line import colour_model, failure, image, out, save, two_inputs
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli.main import main


def test_run_an_image(capsys):
    save(colour_model(), "model.onnx")
    with open("names.txt", "w") as f:
        f.write("red\ngreen\nblue\n")
    words = ["run", "model.onnx", "--input", image("#00ff00"), "--labels", "names.txt"]
    assert main([*words, "--top", "2", "--mean", "0", "--std", "1", "--size", "8x6"]) == 0
    lines = out(capsys).splitlines()
    assert lines[0] == "scores: float32[1, 3]"
    assert lines[1].split() == ["1", "green"]
    assert len(lines) == 3


def test_an_image_is_normalised_as_imagenet_unless_told_otherwise(capsys):
    save(colour_model())
    assert main(["run", "model.onnx", "--input", image("white"), "--output", "o.npz"]) == 0
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    with np.load("o.npz") as data:
        assert np.allclose(data["scores"][0], (1 - mean) / std, rtol=1e-4)


def test_channels_last_is_seen_from_the_shape(capsys):
    save(colour_model((1, 16, 24, 3), channels_last=True))
    words = ["run", "model.onnx", "--input", image("blue"), "--mean", "0", "--std", "1"]
    assert main([*words, "--top", "1"]) == 0
    assert out(capsys).splitlines()[1].split() == ["1", "#2"]


def test_softmax(capsys):
    save(colour_model())
    words = ["run", "model.onnx", "--input", image("red"), "--mean", "0", "--std", "1"]
    assert main([*words, "--softmax", "--top", "1"]) == 0
    value = float(out(capsys).splitlines()[1].split()[0])
    assert value == pytest.approx(np.e / (np.e + 2), rel=1e-4)


def test_run_arrays_by_name_and_from_npz(capsys):
    save(two_inputs())
    a, ids = np.ones((4, 2), np.float32), np.arange(4)
    np.save("a.npy", a)
    np.save("ids.npy", ids.astype(np.int32))  # widened: nothing is lost
    np.savez("both.npz", a=a.astype(np.float64), ids=ids)
    for inputs in (["a=a.npy", "ids=ids.npy"], ["both.npz"]):
        words = [w for i in inputs for w in ("--input", i)]
        assert main(["run", "model.onnx", *words, "--output", "o.npz"]) == 0
        assert out(capsys).startswith("sum: float32[4, 2]\n  least 1, greatest 4; 1, 1, 2, 2, 3, 3")
        with np.load("o.npz") as data:
            assert np.array_equal(data["sum"], a + ids[:, None])


def test_compile_then_run_the_package(capsys):
    save(two_inputs())
    assert main(["compile", "model.onnx", "-o", "m.weft", "--shape", "N=3", "--report"]) == 0
    text = out(capsys)
    assert text.startswith("m.weft: ")
    assert "inputs   a: float32[3, 2]; ids: int64[3]" in text
    assert "outputs  sum: float32[3, 2]" in text
    assert "arena" in text and "kernels  1 for 1 calls" in text
    np.savez("in.npz", a=np.zeros((3, 2), np.float32), ids=np.array([7, 8, 9]))
    assert main(["run", "m.weft", "--input", "in.npz"]) == 0
    assert "least 7, greatest 9" in out(capsys)


def test_compile_names_the_package_after_the_model(capsys, tmp_path):
    save(two_inputs(), "some.onnx")
    assert main(["compile", "some.onnx", "--shape", "N=1", "-O", "0"]) == 0
    assert (tmp_path / "some.weft").is_file()


def test_bench_shows_each_kernel(capsys):
    save(two_inputs())
    assert main(["bench", "model.onnx", "--shape", "N=5", "--threads", "1", "--repeat", "2"]) == 0
    text = out(capsys)
    assert "median" in text and "1 threads" in text and "100.0%" in text
    assert main(["bench", "model.onnx", "--shape", "N=5", "--by-kernel", "--repeat", "2"]) == 0
    assert "share" in out(capsys)


def test_errors_say_what_and_where(capsys):
    save(two_inputs())
    np.save("a.npy", np.ones((4, 2), np.float32))
    assert "there is no file 'none.onnx'" in failure(capsys, "run", "none.onnx")
    assert "there is no file 'no.npy'" in failure(
        capsys, "run", "model.onnx", "--input", "a=no.npy"
    )
    assert "the model has no input 'b'" in failure(
        capsys, "run", "model.onnx", "--input", "b=a.npy"
    )
    text = failure(capsys, "run", "model.onnx", "--input", "a.npy")
    assert "the model has 2 inputs" in text and "inputs: a: float32[?, 2]; ids: int64[?]" in text
    assert "given twice" in failure(
        capsys, "run", "model.onnx", "--input", "a=a.npy", "--input", "a=a.npy"
    )
    np.save("ids.npy", np.ones(4, np.float32))
    assert "has the dtype float32, the input is int64[?]" in failure(
        capsys, "run", "model.onnx", "--input", "ids=ids.npy"
    )
    assert "missing: N" in failure(capsys, "compile", "model.onnx")
    assert "no target" in failure(capsys, "compile", "model.onnx", "--target", "toaster")
    with open("bad.onnx", "wb") as f:
        f.write(b"\xff" * 100)
    assert failure(capsys, "compile", "bad.onnx").startswith("error: ")


def test_errors_of_files(capsys):
    save(colour_model())
    with open("broken.png", "wb") as f:
        f.write(b"\x89PNG not really")
    assert "no readable image" in failure(capsys, "run", "model.onnx", "--input", "broken.png")
    with open("broken.npy", "wb") as f:
        f.write(b"\x93NUMPY")
    assert "no readable array" in failure(capsys, "run", "model.onnx", "--input", "broken.npy")
    photo = image("red")
    assert "std=[0.0] does not fit 3 channels" in failure(
        capsys, "run", "model.onnx", "--input", photo, "--std", "0"
    )
    save(two_inputs(), "two.onnx")
    assert "an image does not fit the input" in failure(
        capsys, "run", "two.onnx", "--input", f"a={photo}"
    )


def test_an_image_without_pillow(capsys, monkeypatch):
    save(colour_model())
    photo = image("red")
    monkeypatch.setitem(sys.modules, "PIL", None)
    text = failure(capsys, "run", "model.onnx", "--input", photo)
    assert "needs Pillow" in text and "pip install 'weft[images]'" in text


def test_integers_that_do_not_fit_are_refused(capsys):
    n = Net("small")
    x = n.input("x", [2], "int32")
    save(n.build(n.op("Cast", n.op("Add", x, x), to=1), names=["y"]))
    np.save("x.npy", np.array([1, 2**40]))
    assert "no int32 holds" in failure(capsys, "run", "model.onnx", "--input", "x.npy")


def test_bundles_use_records(capsys):
    save(colour_model((1, 3, 4, 4)))
    words = ["compile", "model.onnx", "--target", "webgl", "--no-fallback", "--bundle", "b"]
    assert "no such file" in failure(capsys, *words, "--records", "none.sqlite")
    assert not Path("b").exists()


def test_threads_are_those_of_programs_for_this_processor(capsys):
    save(colour_model((1, 3, 4, 4)))
    assert main(["compile", "model.onnx", "--target", "opengl", "-o", "m.weft"]) == 0
    text = failure(capsys, "bench", "m.weft", "--threads", "1")
    assert "--threads has no effect on a program for opengl" in text


def test_pixels_are_not_normalised(capsys):
    """An input of bytes gets pixels as they are: numbers to normalise them by are in vain."""
    n = Net("bytes")
    x = n.input("image", [1, 3, 4, 4], "uint8")
    save(n.build(n.op("ReduceMean", n.op("Cast", x, to=1), axes=[2, 3]), names=["y"]))
    assert main(["run", "model.onnx", "--input", image("red")]) == 0
    text = failure(capsys, "run", "model.onnx", "--input", image("red"), "--mean", "0.5")
    assert "of type uint8 and gets pixels as they are" in text


def test_a_dump_that_cannot_be_written(monkeypatch, capsys):
    save(colour_model((1, 3, 4, 4)))
    open("file", "w").close()
    monkeypatch.setenv("WEFT_DUMP", "file")
    assert main(["compile", "model.onnx"]) == 1
    assert "WEFT_DUMP='file' cannot be written: File exists" in capsys.readouterr().err
