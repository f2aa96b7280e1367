"""The soak command in small: what it makes is gone, and it sees what is not. Only objects are
counted here; ``make soak`` looks at the size of the process, too."""

import re
import sys

import pytest
from weft.benchmarks import soak
from weft.compiler.graph.graph import Graph


@pytest.fixture(autouse=True)
def readable(tmp_path, monkeypatch):
    """A size of the process that does not change, on any system."""
    (tmp_path / "statm").write_text("1000 100 1 1 0 1 0\n")
    monkeypatch.setattr(soak, "STATM", tmp_path / "statm")


def test_nothing_is_left(capsys, monkeypatch):
    monkeypatch.setattr(soak, "VARIANTS", 1)  # caches are full after the first
    small = ["--inferences", "20", "--loads", "20", "--compiles", "20", "--builds", "20"]
    assert soak.main([*small, "--targets", "llvm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert re.search(r"20 times .* \(\+0\.00 %\), more objects: (none|1 Engine)$", line), line


def test_what_is_left_is_named():
    kept = []
    result = soak.soak(soak.Phase("keep", 10, lambda k: kept.append(soak.model(k))))
    assert result.more[Graph.__qualname__] == 9
    assert "more objects: " in str(result) and result.percent == 0


def test_growth_is_a_failure(capsys, monkeypatch):
    sizes = iter(range(100, 200))
    monkeypatch.setattr(
        soak.Reading, "now", lambda: soak.Reading(next(sizes) * 1000, soak.Counter())
    )
    none = ["--compiles", "0", "--loads", "0", "--builds", "0"]
    assert soak.main(["--inferences", "2", *none, "--limit", "0.5"]) == 1
    assert "llvm: infer has grown by more than 0.5 %" in capsys.readouterr().out
    assert soak.main(["--inferences", "2", *none, "--limit", "2"]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the size is read from /proc")
def test_the_size_is_read(monkeypatch):
    monkeypatch.undo()
    assert soak.Reading.now().bytes > 1 << 20
