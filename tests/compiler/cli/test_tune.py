"""``weft tune``: a search, and the upkeep of its records."""

from pathlib import Path

import pytest
from support.command_line import failure, out, save, two_inputs
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli.main import main


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
