"""The command line: answers, exit codes, errors without a traceback."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli import machine as cli_machine
from weft.compiler.cli.main import main, parser
from weft.ir.target import kinds
from weft.runtime.devices.probe import Probe


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WEFT_RECORDS", str(tmp_path / "records.sqlite"))
    monkeypatch.chdir(tmp_path)


def colour_model(dims=("N", 3, "H", "W"), channels_last=False):
    """Scores of red, green and blue: the mean of each channel."""
    n = Net("colours")
    x = n.input("image", list(dims))
    y = n.op("ReduceMean", x, axes=[1, 2] if channels_last else [2, 3], keepdims=0)
    return n.build(y, names=["scores"])


def two_inputs():
    n = Net("two")
    a, b = n.input("a", ["N", 2]), n.input("ids", ["N"], "int64")
    b = n.op("Unsqueeze", n.op("Cast", b, to=1), n.ints(1))
    return n.build(n.op("Add", a, b), names=["sum"])


def save(model, name="model.onnx"):
    onnx.save(model, name)
    return name


def image(colour, name="photo.png", size=(40, 30)):
    Image.new("RGB", size, colour).save(name)
    return name


def out(capsys):
    return capsys.readouterr().out


def failure(capsys, *argv):
    """The error text of a command that must end with exit code 1."""
    assert main(argv) == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text[text.index("error: ") :]


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


def test_targets_and_doctor(capsys):
    assert main(["targets"]) == 0
    text = out(capsys)
    assert "llvm     native code through LLVM\n         runs here: " in text
    assert all(f"\n{kind}" in text for kind in kinds()[1:]) and "wasm -threads" in text
    assert main(["doctor"]) == 0
    text = out(capsys)
    assert "test kernel  compiles, runs, right numbers" in text
    assert "PROBLEM" not in text
    assert text.endswith("everything that is needed works\n")


def test_what_is_missing_is_told_with_what_to_install(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["targets"]) == 0
    text = out(capsys)
    assert "cannot run here: there is no Chromium on the PATH." in text
    assert "to change that: apt-get install chromium" in text
    assert main(["doctor"]) == 0  # a browser is not needed
    assert "to install: apt-get install emscripten" in out(capsys)


def test_a_device_smaller_than_its_programs_is_told():
    small = Probe("opengl", True, "tiny", limits={"max_texture_size": 64, "texture_units": 32})
    (line,) = cli_machine._too_small(small)
    assert "compiled for max_texture_size 4096" in line
    assert "'opengl -max_texture_size=64'" in line


def test_doctor_finds_a_cache_that_cannot_be_written(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "file"))
    assert main(["doctor"]) == 1
    assert "BAD  cache" in out(capsys)


def test_cache_shows_and_clears(capsys):
    save(two_inputs())
    main(["compile", "model.onnx", "--shape", "N=2"])
    out(capsys)
    assert main(["cache"]) == 0
    assert " 1 kernels" in out(capsys)
    assert main(["cache", "--clear"]) == 0
    text = out(capsys)
    assert text.startswith("removed 1 files\n") and " 0 kernels" in text


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


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["compile", "m.onnx", "--shape", "N"], "'N' is not NAME=SIZE"),
        (["run", "m.onnx", "--size", "0x3"], "is not a size such as 224"),
        (["run", "m.onnx", "--mean", "a"], "is not a number"),
        (["run", "m.onnx", "--top", "0"], "is not a positive integer"),
    ],
)
def test_wrong_command_lines_end_with_2(argv, words, capsys):
    with pytest.raises(SystemExit) as e:
        main(argv)
    assert e.value.code == 2
    assert words in capsys.readouterr().err


IN_VAIN = [  # an option that would do nothing, and what it needs
    ("compile m.onnx --bundle b -o m.weft", "--output", "leave --bundle out"),
    ("compile m.onnx --bundle b --report", "--report", "leave --bundle out"),
    ("compile m.onnx --labels names.txt", "--labels", "--bundle FOLDER"),
    ("compile m.onnx --weights int8", "--weights", "--bundle FOLDER"),
    ("compile m.onnx --weights f32", "--weights", "--bundle FOLDER"),  # as by default, but given
    ("compile m.onnx --top 3", "--top", "--bundle FOLDER"),
    ("compile m.onnx --image", "--image", "--bundle FOLDER"),
    ("compile m.onnx --image mean=0.5", "--image", "--bundle FOLDER"),
    ("compile m.onnx --title t", "--title", "--bundle FOLDER"),
    ("compile m.onnx --shard-size 8", "--shard-size", "--bundle FOLDER"),
    ("compile m.onnx --no-fallback", "--no-fallback", "--bundle FOLDER"),
    ("compile m.onnx --bundle b --target wasm --no-fallback", "--no-fallback", "webgpu and webgl"),
    ("run m.weft --target opencl", "--target", "a package is compiled already"),
    ("run m.weft --target llvm", "--target", "a package is compiled already"),
    ("run m.weft --accuracy strict", "--accuracy", "a package is compiled already"),
    ("run m.weft --no-cache", "--no-cache", "a package is compiled already"),
    ("run m.weft -O 1", "-O", "a package is compiled already"),
    ("run m.weft --records r.sqlite", "--records", "a package is compiled already"),
    ("run m.weft --shape N=1", "--shape", "a package is compiled already"),
    ("bench m.weft --records r.sqlite", "--records", "a package is compiled already"),
    ("bench m.onnx --target opencl --threads 2", "--threads", "--target llvm"),
    ("run m.onnx --labels names.txt", "--labels", "--top K"),
    ("run m.onnx --mean 0", "--mean", "no --input is one"),
    ("run m.onnx --input x=a.NPY --std 1", "--std", "no --input is one"),
    ("run m.onnx --input a.npz --size 8", "--size", "no --input is one"),
    ("check m.onnx --layout NHWC", "--layout", "no --input is one"),
    ("check m.onnx --in-browser", "--in-browser", "only wasm and webgpu"),
    ("check m.onnx --target webgl --in-browser", "--in-browser", "only wasm and webgpu"),
    ("check m.onnx --every-node -O 2", "-O", "--every-node is -O 0"),
    *(
        (f"tune --list {words}", words.split()[0], "needs a model")
        for words in (
            "--target llvm", "--shape N=1", "-O 1", "--accuracy fast", "--trials 3", "--time 1m",
            "--threads 1", "--timeout 20", "--seed 0", "--plot p.svg",
        )
    ),
    ("tune --export e.jsonl --trials 3", "--trials", "needs a model"),
    ("tune --merge a.jsonl --time 3m", "--time", "needs a model"),
]  # fmt: skip


@pytest.mark.parametrize("line, option, needs", IN_VAIN, ids=[row[0] for row in IN_VAIN])
def test_options_without_effect_are_wrong(line, option, needs, capsys, tmp_path):
    with pytest.raises(SystemExit) as e:
        main(line.split())
    assert e.value.code == 2
    text = capsys.readouterr().err
    assert f"weft {line.split()[0]}: error: {option} has no effect here: " in text
    assert needs in text.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "compile m.onnx -o m.weft --report --records 0 --no-cache -O 1 --accuracy strict",
        "compile m.onnx --target webgl,wasm --bundle b --labels l --top 3 --image mean=0.5"
        " --weights int8 --shard-size 2 --title t --no-fallback --records r.sqlite",
        "run m.weft --input a.png --mean 0 --top 1 --labels l --softmax --output o.npz",
        "run m.onnx --target opencl --shape N=1 --input x=a.npy --input y=b.png --size 8x8",
        "bench m.weft --threads 1 --repeat 3 --by-kernel",
        "check m.onnx --target webgpu --in-browser --every-node -O 0 --records r.sqlite",
        "check m.onnx --target toaster --in-browser",  # the target is what is wrong here
        "tune m.onnx --list --trials 3 --plot p.svg -O 2",
        "tune --merge a --export b --list --records r.sqlite",
    ],
)
def test_options_with_an_effect_are_taken(line):
    args = parser().parse_args(line.split())
    assert args.command == line.split()[0]


def test_options_that_are_not_given_have_their_defaults():
    args = parser().parse_args(["compile", "m.onnx"])
    assert (args.target, args.weights, args.shard_size, args.image) == ("llvm", "f32", 8, None)
    assert (args.shape, args.report, args.opt_level) == ([], False, None)
    first = parser()
    first.parse_args(["compile", "m.onnx", "--shape", "N=1"])
    assert first.parse_args(["compile", "m.onnx"]).shape == []


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


@pytest.mark.parametrize("command", ["", "compile", "run", "tune", "bench", "cache"])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as e:
        main([*command.split(), "--help"])
    assert e.value.code == 0
    text = out(capsys)
    assert "usage: weft" in text
    assert "example" in text or command == "cache"


def test_help_does_not_load_the_compiler():
    """Nothing of it but the command line, and none of the heavy packages."""
    ask = "import sys; from weft.compiler.cli.main import parser; parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    ours = [m for m in loaded if m.startswith(("weft.compiler.", "weft.codegen"))]
    assert [m for m in ours if not m.startswith("weft.compiler.cli")] == []
    assert not {"onnx", "llvmlite", "networkx", "rich", "PIL"} & set(loaded)


def test_python_m_weft():
    done = subprocess.run(
        [sys.executable, "-m", "weft", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("weft 0.")


@pytest.mark.parametrize("command", ["compile", "run", "bench", "targets", "doctor", "cache"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as e:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert e.value.code == 0
    assert "example" in text and f"weft {command if command != 'targets' else 'compile'}" in text


def test_doctor_imports_what_it_lists(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "networkx", None)
    assert main(["doctor"]) == 1
    assert "BAD  networkx" in capsys.readouterr().out


def test_a_dump_that_cannot_be_written(monkeypatch, capsys):
    save(colour_model((1, 3, 4, 4)))
    open("file", "w").close()
    monkeypatch.setenv("WEFT_DUMP", "file")
    assert main(["compile", "model.onnx"]) == 1
    assert "WEFT_DUMP='file' cannot be written: File exists" in capsys.readouterr().err


def one_convolution():
    n = Net("conv")
    x = n.input("image", [1, 8, 9, 9])
    return n.build(n.op("Relu", n.conv(x, 16, 5)), names=["y"])


def test_tune_then_compile_with_the_records(capsys):
    pytest.importorskip("lightgbm", reason="the extra 'tune' is not installed")
    save(one_convolution())
    words = ["tune", "model.onnx", "--records", "r.sqlite", "--threads", "1"]
    assert main([*words, "--trials", "3", "--plot", "p.svg"]) == 0
    text = out(capsys)
    assert "3 of 3 measured" in text and "times the default" in text
    assert text.endswith("records: r.sqlite (3)\n")
    with open("p.svg") as f:
        assert f.read().startswith("<svg ")
    assert main(["tune", "--list", "--records", "r.sqlite"]) == 0
    text = out(capsys)
    assert "3 records of 1 kernels" in text and "conv.tile:[" in text
    words = ["compile", "model.onnx", "--records", "r.sqlite", "-o", "m.weft", "--report"]
    assert main(words) == 0
    assert "conv.tile " in out(capsys)
    assert main(["bench", "m.weft", "--threads", "1", "--repeat", "2"]) == 0
    text = out(capsys)
    assert "measured peak" in text and "GFLOP/s" in text and "GB/s" in text


def test_records_are_exported_and_merged(capsys):
    from weft.compiler.tune.records import Record, Records

    store = Records(Path("a.sqlite"))
    store.put(Record("k", "llvm", 1, {"c.tile": (2, 2)}, "ok", 1e-3, task="conv"))
    store.close()
    assert main(["tune", "--records", "a.sqlite", "--export", "a.jsonl"]) == 0
    assert out(capsys) == "a.jsonl: 1 records\n"
    assert main(["tune", "--records", "b.sqlite", "--merge", "a.jsonl", "--merge", "a.sqlite"]) == 0
    assert "1 of 2 records taken over, 1 in all" in out(capsys)
    assert main(["tune", "--records", "b.sqlite", "--list"]) == 0
    assert "conv: c.tile:[2,2]" in out(capsys)


def test_tune_refuses_what_it_cannot_use(capsys, monkeypatch):
    save(two_inputs())
    assert "no model" in failure(capsys, "tune", "--records", "r.sqlite")
    assert "no such file" in failure(capsys, "tune", "--list", "--records", "none.sqlite")
    with open("bad.sqlite", "wb") as f:
        f.write(b"SQLite format 3\0 but not really" * 99)
    for words in (["tune", "--list"], ["compile", "model.onnx", "--shape", "N=1"]):
        assert "damaged" in failure(capsys, *words, "--records", "bad.sqlite")
    monkeypatch.setenv("WEFT_RECORDS", "0")
    assert "turned off" in failure(capsys, "tune", "model.onnx")
    for words in (["--time", "soon"], ["--time", "0m"], ["--trials", "0"]):
        with pytest.raises(SystemExit) as e:
            main(["tune", "model.onnx", *words])
        assert e.value.code == 2


def test_progress_is_drawn():
    from weft.compiler.tune.view import resampled, sparkline, svg

    history = [(1.0, 1.0), (2.0, 1.5), (4.0, 2.0)]
    assert resampled(history, 4) == [1.0, 1.5, 1.5, 2.0]
    assert sparkline(history, 4) == "1.00 ▁▅▅█ 2.000 times the default, 0:04"
    assert sparkline([]) == ""
    image = svg(history, "a < b")
    assert "a &lt; b" in image and image.count("<polyline") == 1
