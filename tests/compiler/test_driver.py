"""The driver, end to end: graphs to executables to numbers, against the operators' references."""

import platform
import subprocess
import sys

import numpy as np
import pytest
import weft
from support.pinned import FOREIGN
from weft.codegen import for_target
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Graph, Source
from weft.compiler.graph.group import Group
from weft.compiler.kernels import launches, program
from weft.compiler.kernels.cache import KernelCache
from weft.compiler.kernels.compiled import CompiledGroup
from weft.compiler.ops import get
from weft.ir.target import Target
from weft.runtime.errors import DeviceError, GraphError, InputError, LoweringError, TargetError

RNG = np.random.default_rng(5)


def reference(graph: Graph, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The results of a graph by the numpy references of its operators."""
    table = {**feed, **graph.constants}
    for n in graph.nodes:
        made = get(n.op).reference([table[i] if i else None for i in n.inputs], n.attrs)
        table.update(zip(n.outputs, made))
    return {o: table[o] for o in graph.outputs}


def feed_of(graph: Graph) -> dict[str, np.ndarray]:
    feed = {}
    for i in graph.inputs:
        t = graph.types[i]
        feed[i] = np.asarray(RNG.standard_normal(t.shape) * 4).astype(t.dtype.numpy)
    return feed


def agree(graph: Graph, **options):
    """Compile, run twice, compare with the references; returns the executable."""
    exe = weft.compile(graph, **{"cache": False, **options})
    for _ in range(2):
        feed = feed_of(graph)
        got, want = exe.run(feed), reference(graph, feed)
        assert list(got) == list(graph.outputs)
        for name, w in want.items():
            assert got[name].dtype == w.dtype and got[name].shape == w.shape
            np.testing.assert_allclose(got[name], w, rtol=1e-4, atol=1e-5, err_msg=name)
    return exe


def perceptron(rows=5, inner=7, columns=9, layers=3):
    """layers x (matmul, add, relu) with distinct weights and equal structure, and a residual."""
    b = GraphBuilder("perceptron")
    x = b.input("x", "float32", (rows, columns))
    for k in range(layers):
        w, v = (
            b.constant((RNG.standard_normal(s) / (sum(s) + 1)).astype(np.float32), f"{name}{k}")
            for name, s in (("w", (columns, inner)), ("v", (inner, columns)))
        )
        bias = b.constant(RNG.standard_normal(inner).astype(np.float32), f"b{k}")
        where = Source("mlp.onnx", f"up{k}", "MatMul")
        (h,) = b.add("matmul", [x, w], source=where)
        (h,) = b.add("add", [h, bias])
        (h,) = b.add("relu", [h])
        (y,) = b.add("matmul", [h, v])
        (x,) = b.add("add", [y, x])
    return b.finish([x])


@pytest.mark.parametrize("opt_level", [0, 1, 3])
def test_a_perceptron(opt_level):
    agree(perceptron(), opt_level=opt_level)


@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 16, 16), (3, 33, 17), (0, 4, 4), (2, 0, 3)])
def test_any_size(shape):
    agree(perceptron(*shape, layers=1))


def test_equal_groups_are_compiled_once():
    exe = agree(perceptron(layers=4))
    names = [s.kernel for s in exe.program.steps]
    assert len(names) > len(set(names))
    assert len(exe.program.kernels) == len(set(names)) <= 3
    assert all(k.params[-1].access == "w" for k in exe.program.kernels)


def test_the_arena_is_shared():
    m = agree(perceptron(16, 64, 64, layers=6)).memory
    assert 0 < m.arena < m.without_reuse


def test_results_that_are_inputs_constants_reshapes_and_used_inside():
    b = GraphBuilder("odd")
    x = b.input("x", "float32", (2, 6))
    c = b.constant(RNG.standard_normal((2, 6)).astype(np.float32), "c")
    (r,) = b.add("relu", [x], outputs=["r"])
    (flat,) = b.add("reshape", [r], {"shape": (12,)}, outputs=["flat"])
    (back,) = b.add("reshape", [flat], {"shape": (3, 4)}, outputs=["back"])
    (s,) = b.add("add", [r, c], outputs=["s"])
    (late,) = b.add("exp", [back], outputs=["late"])
    graph = b.finish([x, c, flat, back, late, s])
    for level in (0, 3):
        agree(graph, opt_level=level)


def test_scalars_and_empty_tensors():
    b = GraphBuilder("small")
    x = b.input("x", "float32", ())
    e = b.input("e", "float32", (0, 3))
    one = b.constant(np.float32(1), "one")
    (a,) = b.add("add", [x, one], outputs=["a"])
    (r,) = b.add("relu", [e], outputs=["r"])
    agree(b.finish([a, r]))


@pytest.mark.parametrize("dtype", ["float64", "int8", "int64", "uint8", "float16", "bfloat16"])
def test_dtypes(dtype):
    b = GraphBuilder("types")
    x = b.input("x", dtype, (3, 5))
    (y,) = b.add("add", [x, x])
    (z,) = b.add("maximum", [y, x])
    agree(b.finish([z]))


def test_a_graph_without_nodes():
    b = GraphBuilder("nothing")
    b.input("x", "float32", (2,))
    exe = weft.compile(b.finish(["x"]), cache=False)
    x = np.array([1, 2], np.float32)
    y = exe(x)
    assert y.tolist() == [1, 2] and not np.shares_memory(x, y)
    assert exe.profile().rows == ()


def test_constants_bind_inputs():
    b = GraphBuilder("bound")
    x, y = b.input("x", "float32", (3,)), b.input("y", "float32", (3,))
    (z,) = b.add("add", [x, y])
    exe = weft.compile(b.finish([z]), constants={"y": np.ones(3, np.float32)}, cache=False)
    assert list(exe.inputs) == ["x"]
    assert exe(np.zeros(3, np.float32)).tolist() == [1, 1, 1]


def test_shapes_that_contradict_the_graph():
    with pytest.raises(InputError):
        weft.compile(perceptron(), shapes={"x": (4, 4)}, cache=False)


def test_the_cache_gives_the_same_kernels(tmp_path, monkeypatch):
    graph = perceptron()
    first = KernelCache(tmp_path, 1 << 20)
    cold = weft.compile(graph, cache=first)
    assert first.stats().disk_hits == 0 and first.stats().entries == len(cold.program.kernels)

    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(program, "compile_kernel", refuse)
    again = KernelCache(tmp_path, 1 << 20)
    warm = weft.compile(graph, cache=again)
    assert again.stats().disk_hits == len(cold.program.kernels) and again.stats().misses == 0
    assert warm.program == cold.program
    feed = feed_of(graph)
    np.testing.assert_array_equal(warm(**feed), cold(**feed))


def test_a_damaged_cache_changes_no_result(tmp_path):
    graph = perceptron(layers=1)
    weft.compile(graph, cache=KernelCache(tmp_path, 1 << 20))
    for path in tmp_path.rglob("*.kernel"):
        path.write_bytes(path.read_bytes()[:-3])
    agree(graph, cache=KernelCache(tmp_path, 1 << 20))


def test_targets_and_levels_do_not_share_kernels(tmp_path):
    cache = KernelCache(tmp_path, 1 << 20)
    graph = perceptron(layers=1)
    kernels = len(weft.compile(graph, cache=cache).program.kernels)
    weft.compile(graph, "llvm -opt_level=1", cache=cache)
    assert cache.stats().entries == 2 * kernels


def test_a_package_runs_in_a_process_without_the_compiler(tmp_path):
    graph = perceptron()
    exe = weft.compile(graph, cache=False)
    exe.save(tmp_path / "m.weft")
    (x,) = feed_of(graph).values()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", exe(x))
    script = """
import sys, numpy as np, weft
exe = weft.runtime.load("m.weft")
np.testing.assert_array_equal(exe(np.load("x.npy")), np.load("y.npy"))
heavy = ("onnx", "networkx", "weft.compiler", "weft.ir", "weft.codegen")
assert not [m for m in sys.modules if m.startswith(heavy)]
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


# One without features that this processor has not got either, and one whose features have names
# that no other has.
@pytest.mark.parametrize("target", [FOREIGN, "llvm -mtriple=riscv64-linux-gnu"])
def test_code_for_another_processor_can_be_saved_but_not_run(tmp_path, target):
    if platform.machine() in target:
        pytest.skip("this machine is one")
    exe = weft.compile(perceptron(layers=1), target, cache=False)
    assert exe.program.target.startswith(target)
    exe.save(tmp_path / "foreign.weft")
    with pytest.raises(DeviceError, match="another processor"):
        weft.runtime.load(tmp_path / "foreign.weft")
    with pytest.raises(DeviceError, match="another processor"):
        exe(np.zeros((5, 9), np.float32))


def test_progress_is_told_in_order():
    seen = []
    weft.compile(perceptron(), cache=False, progress=lambda *a: seen.append(a))
    stages = list(dict.fromkeys(s for s, _, _ in seen))
    assert stages == ["load", "optimize", "adapt", "compile"]
    for stage in stages:
        done = [(d, t) for s, d, t in seen if s == stage]
        assert done == sorted(done) and done[-1][0] == done[-1][1]


def test_an_error_in_a_group_names_its_nodes(monkeypatch):
    def refuse(*_):
        raise LoweringError("this cannot be lowered.", where="stage matmul", hint="do not")

    monkeypatch.setattr(launches, "lower", refuse)
    with pytest.raises(
        LoweringError, match=r"mlp.onnx, nodes .*up0 \(matmul\).*: stage matmul: this cannot"
    ) as e:
        weft.compile(perceptron(), cache=False)
    assert e.value.hint == "do not"


def test_unknown_targets():
    with pytest.raises(TargetError, match="no target 'gpu'"):
        weft.compile(perceptron(), "gpu")


@pytest.mark.parametrize("level", [-1, 4])
def test_unknown_levels(level):
    with pytest.raises(TargetError, match=f"level {level} is not one of 0, 1, 2, 3"):
        weft.compile(perceptron(), opt_level=level)


@pytest.mark.parametrize("options", [{"records": "r.sqlite"}, {"cache": "folder"}])
def test_options_of_another_kind(options):
    with pytest.raises(InputError, match="is neither True nor False nor weft's"):
        weft.compile(perceptron(), **options)


def test_two_outputs_of_one_name():
    graph = perceptron()
    with pytest.raises(GraphError, match="same name"):
        weft.compile(graph.replace(outputs=graph.outputs * 2), cache=False)


def test_dumps_and_debug_output(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WEFT_DUMP", str(tmp_path))
    monkeypatch.setenv("WEFT_DEBUG", "3")
    weft.compile(perceptron(layers=1), cache=False)
    assert list(tmp_path.glob("llvm-*/graph-*-choose_layouts.txt"))
    assert (tmp_path / "graph-00-graph.txt").read_text().startswith("graph perceptron(")
    (groups,) = tmp_path.glob("llvm-*/*-groups.txt")
    assert "group(x, w0, b0)" in groups.read_text()
    (memory,) = tmp_path.glob("llvm-*/*-memory.txt")
    assert memory.read_text().startswith("arena ")
    text = capsys.readouterr().err
    assert "weft: perceptron: fold_constants" in text and "weft: kernel matmul" in text


@pytest.mark.parametrize("target", ["llvm", "wasm", "opencl", "webgpu", "opengl", "webgl"])
def test_each_kernel_has_a_debug_line_and_facts(target, monkeypatch, capsys):
    monkeypatch.setenv("WEFT_DEBUG", "1")
    b = GraphBuilder("lines")
    x = b.input("x", "float32", (5, 9))
    w = b.constant(np.ones((9, 7), np.float32), "w")
    (h,) = b.add("matmul", [x, w], outputs=["product"])
    (y,) = b.add("softmax", [h], outputs=["weights"])
    graph = b.finish([y])
    goal = for_target(Target.parse(target)).resolve(Target.parse(target))
    groups = [Group.of(graph, [n]) for n in graph.nodes]
    made, symbols = program.compile_groups(graph, groups, goal)
    lines = capsys.readouterr().err.splitlines()
    starts = [f"weft: kernel {s} for {target} " for s in symbols]
    assert [any(n.startswith(start) for n in lines) for start in starts] == [True, True], lines
    assert lines[0].endswith(": product") and lines[1].endswith(": weights")
    for group in made.values():
        facts = group.facts
        assert facts["flops"] and facts["layouts"] and len(facts["trace"]) == 16, facts
        assert not facts["tuned"]
        assert all(bool(k.geometry) == (target not in ("llvm", "wasm")) for k in group.launches)
    assert made[symbols[0]].facts["flops"] == 2 * 5 * 7 * 9


def test_kernels_are_dumped_although_they_are_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    weft.compile(perceptron(layers=1))
    monkeypatch.setenv("WEFT_DUMP", str(tmp_path / "dump"))
    weft.compile(perceptron(layers=1))
    assert list((tmp_path / "dump").glob("llvm-*/*-matmul*-loop-nest.txt"))


def test_symbols_of_groups_whose_keys_begin_alike_differ(monkeypatch):
    monkeypatch.setattr(program, "kernel_name", lambda g, key, digits=8: f"k_{key[: digits // 64]}")
    compiled = {}

    def fake(group, types, constants, target, symbol, config):
        compiled[symbol] = group
        return CompiledGroup.single(symbol, (), b"")

    monkeypatch.setattr(program, "compile_kernel", fake)
    b = GraphBuilder("g")
    b.input("x", "float32", (3,))
    (a,) = b.add("relu", ["x"])
    (c,) = b.add("neg", [a])
    graph = b.finish([c])
    groups = [Group.of(graph, [n]) for n in graph.nodes]
    _, symbols = program.compile_groups(graph, groups, Target.parse("llvm"))
    assert len(set(symbols)) == 2 == len(compiled)
