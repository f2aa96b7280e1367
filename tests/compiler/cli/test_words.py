"""The words of the command line: what is wrong, what has no effect, what the help says."""

import subprocess
import sys

import pytest
from support.command_line import out
from weft.compiler.cli.main import main, parser


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["compile", "m.onnx", "--shape", "N"], "'N' is not NAME=SIZE"),
        (["run", "m.onnx", "--size", "0x3"], "is not a size such as 224"),
        (["run", "m.onnx", "--mean", "a"], "is not a number"),
        (["run", "m.onnx", "--top", "0"], "is not a positive integer"),
        (["rpc"], "required: COMMAND"),
        (["rpc", "hub", "--limit", "1T"], "is no number of bytes such as 512M"),
        (["rpc", "hub", "--limit", "0"], "is no number of bytes such as 512M"),
        (["rpc", "hub", "--private-key", "k"], "it needs --certificate FILE"),
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
    ("run m.onnx --target opencl --threads 2", "--threads", "--target llvm"),
    ("compile m.onnx --target wasm --threads 2", "--threads", "'wasm -threads' have threads"),
    ("run m.onnx --labels names.txt", "--labels", "--top K"),
    ("run m.onnx --mean 0", "--mean", "no --input is one"),
    ("run m.onnx --input x=a.NPY --std 1", "--std", "no --input is one"),
    ("run m.onnx --input a.npz --size 8", "--size", "no --input is one"),
    ("check m.onnx --layout NHWC", "--layout", "no --input is one"),
    ("check m.onnx --in-browser", "--in-browser", "only wasm and webgpu"),
    ("check m.onnx --target webgl --in-browser", "--in-browser", "only wasm and webgpu"),
    ("check m.onnx --every-node -O 2", "-O", "--every-node is -O 0"),
    *(
        (f"{command} m.onnx {words}", words.split()[0], "needs --rpc URL")
        for command in ("run", "bench", "check")
        for words in (
            "--key chrome", "--token t", "--token-file f", "--certificate c", "--timeout 3s",
            "--wait 3s",
        )
    ),
    ("run m.onnx --rpc ws://h:1 --threads 2", "--threads", "has threads of its own"),
    ("check m.onnx --target wasm --rpc ws://h:1 --in-browser", "--in-browser", "of --rpc"),
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
        "compile m.onnx --target opencl,llvm --threads 2",
        "run m.weft --threads 1",
        "bench m.weft --threads 1 --repeat 3 --by-kernel",
        "check m.onnx --target webgpu --in-browser --every-node -O 0 --records r.sqlite",
        "check m.onnx --target toaster --in-browser",  # the target is what is wrong here
        "tune m.onnx --list --trials 3 --plot p.svg -O 2",
        "tune --merge a --export b --list --records r.sqlite",
        "run m.weft --rpc ws://h:1 --key chrome --token-file t --certificate c.pem --wait 1m",
        "check m.onnx --target webgl --rpc http://h:1/t/?key=k --timeout 90s --token t",
        "rpc hub --public --host 0.0.0.0 --port 0 --name a:1 --name b:2 --token-file t --no-qr"
        " --certificate c --private-key k --limit 512M",
        "rpc serve ws://h:1 --key k --targets llvm,opencl --token-file t --certificate c",
        "rpc list ws://h:1 --token t --json",
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


@pytest.mark.parametrize(
    "command", ["compile", "run", "bench", "targets", "doctor", "cache", "rpc"]
)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as e:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert e.value.code == 0
    assert "example" in text and f"weft {command if command != 'targets' else 'compile'}" in text
