"""Several targets from one compilation: what no target decides is done once."""

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
import weft
from support.pinned import pinned
from weft.benchmarks.zoo.builder import Net
from weft.compiler import frontends
from weft.compiler.cli.main import main
from weft.compiler.passes import pipeline
from weft.compiler.tune.records import Records
from weft.ir.target import Target
from weft.runtime import knobs
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

    def counting(name, f):
        def call(*args, **options):
            counts[name] = counts.get(name, 0) + 1
            return f(*args, **options)

        return call

    passes = tuple(p._replace(run=counting(p.name, p.run)) for p in pipeline.PASSES)
    monkeypatch.setattr(pipeline, "PASSES", passes)
    monkeypatch.setattr(frontends, "load", counting("load", frontends.load))
    return counts


def test_graph_work_is_shared(counted):
    targets = ["llvm", "llvm -mtriple=aarch64-linux-gnu", "opengl"]
    made = weft.compile_many(model(), targets, {"N": 1}, cache=False)
    assert [e.kind for e in made] == ["llvm", "llvm", "opengl"]
    shared = Counter(p.name for p in pipeline.PASSES if p.when is None)  # some stand there twice
    assert {n: counted[n] for n in ("simplify", "fold_batch_norm", "load")} == {
        "simplify": shared["simplify"], "fold_batch_norm": 1, "load": 1,
    }  # fmt: skip
    assert counted["eliminate_dead"] == shared["eliminate_dead"] + 2  # processors have one more
    assert (counted["choose_layouts"], counted["choose_algorithms"]) == (3, 2)  # a target's own


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


def test_a_bundle_looks_its_records_up(tmp_path):
    class Asked(Records):
        targets: ClassVar = set()

        def best(self, key, target, threads, device=""):
            self.targets.add(target)
            return super().best(key, target, threads, device)

    goals = ("webgl -fallback=none", "webgpu -fallback=none")
    weft.bundle(model(), tmp_path / "b", goals, shapes={"N": 1}, records=Asked(None))
    assert Asked.targets == {str(Target.parse(g)) for g in goals}


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


def test_dumps_of_several_targets_do_not_meet(tmp_path, monkeypatch):
    """What is shared is written once, the rest to a folder of its target; the numbers are those of
    the pipeline, whatever a target leaves out."""
    written = []
    dump = knobs.dump
    monkeypatch.setattr(knobs, "dump", lambda file, text: (written.append(file), dump(file, text)))
    monkeypatch.setenv("WEFT_DUMP", str(tmp_path))
    processors = [pinned("haswell"), pinned("cortex-a72")]
    weft.compile_many(model(), [*processors, "opencl", "opencl -opt_level=0"], {"N": 1})
    assert len(set(written)) == len(written)
    shared = sorted(f.name for f in tmp_path.glob("*.txt"))
    first = ["graph", *(p.name for p in pipeline.PASSES if p.when is None)]
    assert shared == [f"graph-{k:02d}-{name}.txt" for k, name in enumerate(first)]
    folders = sorted(f.name for f in tmp_path.iterdir() if f.is_dir())
    assert [f.rsplit("-", 1)[0] for f in folders] == [
        "llvm-cortex-a72", "llvm-haswell", "opencl", "opencl",
    ]  # fmt: skip
    names = [p.name for p in pipeline.PASSES]
    for folder in folders:
        graphs = sorted(f.name for f in (tmp_path / folder).glob("graph-*"))
        numbers = [int(g.split("-")[1]) for g in graphs]
        assert len(set(numbers)) == len(numbers)
        assert graphs[-2].endswith("groups.txt") and graphs[-1].endswith("memory.txt")
        for g, k in zip(graphs[:-2], numbers):
            assert g == f"graph-{k:02d}-{names[k - 1]}.txt"
        assert list((tmp_path / folder).glob("*-loop-nest.txt"))
    (layouts,) = (tmp_path / "opencl").glob("graph-*-choose_layouts.txt")
    assert int(layouts.name.split("-")[1]) == names.index("choose_layouts") + 1
