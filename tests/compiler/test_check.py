"""``weft check``: the right tensors compared, the first wrong one named, all places to run."""

import shutil

import numpy as np
import pytest
import weft
from weft.benchmarks import zoo
from weft.benchmarks.zoo.builder import Net
from weft.codegen.llvm import generator as llvm
from weft.compiler.check import check as check_module
from weft.compiler.check.report import distance
from weft.compiler.check.tolerances import Tolerance, of_models, of_operators
from weft.compiler.cli.main import main
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune.records import Record, Records
from weft.compiler.tune.task import tasks_of
from weft.compiler.web.bundle import WEB
from weft.compiler.web.remote import in_pages, place_of
from weft.ir.target import Target
from weft.runtime.devices.probe import probe
from weft.runtime.errors import DeviceError, InputError, WeftError
from weft.runtime.knobs import num_threads

EXACT = Tolerance(0, 0)


@pytest.fixture(scope="module")
def model():
    return zoo.random_model("mnist_cnn")


def small():
    """A product, a softmax, a sum of integers; the names are the model's."""
    rng = np.random.default_rng(0)
    n = Net("small")
    x, ids = n.input("x", ["N", 6]), n.input("ids", ["N"], "int64")
    h = n.op("MatMul", x, n.const(rng.standard_normal((6, 5)).astype(np.float32)))
    p = n.op("Softmax", n.op("Relu", h))
    more = n.op("Add", ids, ids)
    return n.build(p, n.op("Cast", more, to=1), names=["p", "more"])


@pytest.mark.parametrize("against", ["interp", "llvm", "onnxruntime"])
def test_every_tensor_between_kernels(model, against):
    report = weft.check(model, "llvm", against)
    assert report.ok and not report.missing
    kernels = {s.label for s in weft.compile(model).program.steps}
    assert len(report.rows) >= len(kernels)  # a reshape needs no kernel and is compared, too
    assert {r.source for r in report.rows} >= kernels
    assert all(r.alone is not None for r in report.worst)
    assert f"all {len(report.rows)} tensors are within the tolerance" in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["opencl", "opengl", "webgl", "webgpu", "wasm", "wasm -threads"])
def test_every_place(model, target):
    found = probe(target.split()[0]) if target != "webgl" else None
    if found is not None and not found.ok:
        pytest.skip(f"{found.reason} {found.hint}")
    if target == "webgl" and not (shutil.which("chromium") and shutil.which("emcc")):
        pytest.skip("needs Chromium and Emscripten")
    report = weft.check(model, target)
    assert report.ok, report
    layouts = {s.layout for s in weft.compile(model, target).program.slots}
    assert len(report.rows) > 5 and layouts


def test_every_node_keeps_the_models_operators(model):
    fused, single = weft.check(model), weft.check(model, every_node=True)
    assert single.ok and len(single.rows) > len(fused.rows)
    assert not any(" + " in r.ops for r in single.rows)


def test_the_same_seed_is_the_same_input():
    runs = [weft.check(small(), shapes={"N": 3}, seed=s) for s in (1, 1, 2)]
    got = [r.rows[-1].distance for r in runs]
    assert got[0] == got[1] != got[2]
    given = {"x": np.full((3, 6), np.nan, np.float32)}
    report = weft.check(small(), inputs=given, shapes={"N": 3})
    assert report.ok and "more" in {r.tensor for r in report.rows}


def test_the_kernels_are_those_of_tuning_records(monkeypatch):
    """What ``compile`` makes with records is what is judged, in both programs."""
    b = GraphBuilder("g")
    w = b.constant(np.random.default_rng(0).standard_normal((96, 80)).astype(np.float32))
    graph = b.finish(b.add("matmul", [b.input("x", "float32", (64, 96)), w]))
    host = llvm.resolve(Target.parse("llvm"))
    (task,) = tasks_of(graph, host)
    choices = Choices({})
    task.schedule(choices)
    question = next(c for c in choices.asked.values() if c.name.endswith(".tile"))
    config = {question.name: next(o for o in question.options if o != question.default)}
    store = Records(None)
    store.put(Record(task.key, str(host), num_threads(), config, "ok", 1e-6, winner=True))
    judged = []
    run = check_module._run

    def watching(program, watched, feeds, place):
        judged.extend([program, watched])
        return run(program, watched, feeds, place)

    def traces(exe):
        return [k["trace"] for k in exe.program.meta["kernels"].values()]

    monkeypatch.setattr(check_module, "_run", watching)
    assert weft.check(graph, records=store).ok and weft.check(graph, records=False).ok
    tuned, ruled = (weft.compile(graph, records=r) for r in (store, False))
    assert traces(tuned) != traces(ruled)
    assert [traces(e) for e in judged] == [traces(e) for e in (tuned, tuned, ruled, ruled)]


def test_the_optimisation_level_is_that_of_compile(model):
    kernels = {s.label for s in weft.compile(model, opt_level=0).program.steps}
    report = weft.check(model, opt_level=0)
    assert report.ok and {r.source for r in report.rows} >= kernels
    assert len(weft.check(model, "llvm -opt_level=0").rows) == len(report.rows)
    with pytest.raises(InputError, match="every_node is the optimisation level 0"):
        weft.check(model, every_node=True, opt_level=2)


def test_memory_that_is_shared_wrongly_is_told(monkeypatch):
    """All kernels right, the program wrong: the row of the program itself says so."""
    run = check_module._run

    def broken(program, watched, feeds, place):
        real, seen, device = run(program, watched, feeds, place)
        return {k: v + 1 for k, v in real.items()}, seen, device

    monkeypatch.setattr(check_module, "_run", broken)
    report = weft.check(small(), shapes={"N": 3})
    assert report.first is not None and report.first.ops == "the program as it is"
    assert "memory shared between tensors" in str(report)


def test_errors_say_what_to_do(model):
    with pytest.raises(InputError, match="no reference 'magic'"):
        weft.check(model, against="magic")
    with pytest.raises(InputError, match="needs the ONNX model"):
        weft.check(weft.load(model), against="onnxruntime")
    with pytest.raises(WeftError, match="image"):
        weft.check(model, inputs={"image": 1})


def test_what_runs_on_wasm_needs_a_page():
    from weft.compiler.graph.builder import GraphBuilder

    b = GraphBuilder("wide")
    (y,) = b.add("neg", [b.input("x", "float64", (3,))])
    if not probe("webgpu").ok:
        pytest.skip("no WebGPU adapter is here")
    with pytest.raises(DeviceError, match=r"1 kernels of the program run on WebAssembly.*64-bit"):
        weft.check(b.finish([y]), "webgpu")


def test_a_missing_browser_is_told(model, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="no Chromium"):
        weft.check(model, "webgl -fallback=none")


def test_distance():
    a = np.array([1.0, 2.0, -4.0], np.float32)
    assert distance(a, a, EXACT).ok
    d = distance(a + np.float32([0, 0.5, 0]), a, Tolerance(0.1, 0))
    assert (d.ok, d.absolute, d.relative, d.at, d.got, d.want) == (False, 0.5, 0.125, (1,), 2.5, 2)
    assert d.badness == pytest.approx(1.25)
    special = np.array([np.nan, np.inf, -np.inf, 0], np.float32)
    assert distance(special, special, EXACT).ok
    for k in range(4):
        other = special.copy()
        other[k] = 1
        assert not distance(other, special, Tolerance(0.5, 0.5)).ok
    big = np.array([2**62 + 1], np.int64)
    assert not distance(big, big - 1, Tolerance(1, 1)).ok
    assert distance(np.zeros(0), np.zeros(0), EXACT).ok
    assert distance(a, a[:2], EXACT).note == "float32[3] instead of float32[2]"


@pytest.mark.parametrize(
    ("kinds", "model", "operator"),
    [
        (("llvm", "wasm"), (1e-4, 1e-6), None),
        (("opencl",), (1e-4, 1e-6), (1e-4, 1e-5)),
        (("webgpu", "opengl", "webgl"), (1e-3, 1e-5), (1e-3, 1e-5)),
    ],
)
def test_tolerances_follow_from_what_a_target_can_do(kinds, model, operator):
    for target in map(Target.parse, kinds):
        assert of_models(target) == Tolerance(*model)
        assert of_operators(target) == (operator and Tolerance(*operator))
    unknown = Target("unknown")  # nothing is said of its floats
    assert of_models(unknown) == of_operators(unknown) == Tolerance(1e-3, 1e-5)


@pytest.mark.parametrize(
    ("kind", "place", "pages"),
    [
        ("llvm", "here", False),
        ("opencl", "here", False),
        ("opengl", "here", False),
        ("webgpu", "here", True),
        ("webgl", "browser", True),
        ("wasm", "node", True),
    ],
)
def test_where_programs_run_follows_from_the_row_of_the_device(kind, place, pages):
    assert (place_of(Target.parse(kind)), in_pages(Target.parse(kind))) == (place, pages)
    assert (kind in WEB) == pages


def test_half_floats_have_a_tolerance_of_their_own():
    assert of_models(Target.parse("webgl -float_bits=16")).rtol > 1e-2


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(small().SerializeToString())
    np.save("x.npy", np.ones((4, 6), np.float32))
    words = ["check", "m.onnx", "--input", "x=x.npy", "--shape", "N=4"]
    assert main([*words, "--against", "onnxruntime", "--seed", "3"]) == 0
    assert "within the tolerance" in capsys.readouterr().out
    assert main([*words, "--rtol", "0", "--atol", "0", "--against", "onnxruntime"]) in (0, 1)
    (tmp_path / "m.weft").write_bytes(b"")
    assert main(["check", "m.weft"]) == 1
    assert "the model that it was compiled from" in capsys.readouterr().err
