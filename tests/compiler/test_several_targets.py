"""Several targets from one compilation: what no target decides is done once."""

import numpy as np
import pytest
import weft
from weft.benchmarks.zoo.builder import Net
from weft.compiler import driver, optimize
from weft.compiler.cli import main
from weft.runtime.errors import TargetError


def model():
    rng = np.random.default_rng(0)
    n = Net("several")
    x = n.input("x", ["N", 3, 9, 9])
    w = n.const(rng.standard_normal((8, 3, 3, 3)).astype(np.float32))
    y = n.op("Relu", n.op("Conv", x, w, kernel_shape=[3, 3]))
    return n.build(n.op("Softmax", n.op("Flatten", y)), names=["y"])


@pytest.fixture
def counted(monkeypatch):
    """How often the model is read and each graph pass runs."""
    counts: dict[str, int] = {}

    def counting(f):
        def call(*args, **options):
            counts[f.__name__] = counts.get(f.__name__, 0) + 1
            return f(*args, **options)

        call.__name__ = f.__name__
        return call

    passes = tuple(map(counting, optimize.GRAPH_PASSES))
    monkeypatch.setattr(optimize, "GRAPH_PASSES", passes)
    for name in ("choose_layouts", "choose_algorithms"):
        monkeypatch.setattr(optimize, name, counting(getattr(optimize, name)))
    monkeypatch.setattr(driver, "load", counting(driver.load))
    return counts


def test_graph_work_is_shared(counted):
    targets = ["llvm", "llvm -mtriple=aarch64-linux-gnu", "opengl"]
    made = weft.compile_many(model(), targets, {"N": 1}, cache=False)
    assert [e.kind for e in made] == ["llvm", "llvm", "opengl"]
    times = {f.__name__: 0 for f in optimize.GRAPH_PASSES}
    for f in optimize.GRAPH_PASSES:
        times[f.__name__] += 1  # some stand twice in the list
    layouts, algorithms = counted.pop("choose_layouts"), counted.pop("choose_algorithms")
    assert counted == {**times, "load": 1, "eliminate_dead": times["eliminate_dead"]}
    assert (layouts, algorithms) == (3, 2)  # these are a target's own


def test_executables_are_those_of_single_compilations():
    single = weft.compile(model(), "llvm", {"N": 2})
    many = weft.compile_many(model(), ["opengl", "llvm", "llvm -opt_level=0"], {"N": 2})
    assert many[1].program.to_json() == single.program.to_json()
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(many[2](x), single(x), rtol=1e-5, atol=1e-6)
    assert len(many[2].program.steps) > len(single.program.steps)


def test_a_target_that_does_not_exist_is_told_before_the_work(counted):
    with pytest.raises(TargetError, match="no target 'abacus'"):
        weft.compile_many(model(), ["llvm", "abacus"], {"N": 1})
    assert not counted


def test_a_bundle_shares_too(counted, tmp_path):
    weft.bundle(model(), tmp_path / "b", ("webgl", "wasm"), shapes={"N": 1})
    assert counted["choose_layouts"] == 2
    assert counted["fold_batch_norm"] == counted["eliminate_common"] == 1


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "m.onnx").write_bytes(model().SerializeToString())
    words = ["compile", "m.onnx", "--shape", "N=1", "--target"]
    assert main([*words, "llvm,llvm -mcpu=x86-64 -mattr=+sse4.2,-avx"]) == 0
    assert [f.name for f in sorted(tmp_path.glob("*.weft"))] == ["m.llvm-2.weft", "m.llvm.weft"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert main([*words, "llvm,opengl", "-o", "out.weft"]) == 0
    assert (tmp_path / "out.opengl.weft").is_file()
    assert main(["compile", "m.onnx", "--shape", "N=1", "--accuracy", "strict"]) == 0
