"""``weft targets``, ``doctor`` and ``cache``."""

import sys

from support.command_line import out, save, two_inputs
from weft.compiler.cli import machine as cli_machine
from weft.compiler.cli.main import main
from weft.ir.target import kinds
from weft.runtime.devices.probe import Probe


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


def test_doctor_imports_what_it_lists(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "networkx", None)
    assert main(["doctor"]) == 1
    assert "BAD  networkx" in capsys.readouterr().out
