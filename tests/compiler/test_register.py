"""Operators and targets from outside: they work, and a wrong one is found by ``weft check``."""

import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from operator import itemgetter

import numpy as np
import onnx
import pytest
import weft
from support import toy_target
from weft.benchmarks import zoo
from weft.codegen import identity
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.graph.group import Group, structural_key
from weft.compiler.ops import Attr, Kind, OpDef, all_ops
from weft.ir import te
from weft.ir.target import _KINDS as kind_table
from weft.ir.target import Target, kinds
from weft.runtime.devices.probe import probe
from weft.runtime.errors import DeviceError, GraphError, TargetError
from weft.runtime.runner import Runner

_serial = itertools.count()


def scaled(factor=3.0, claimed=3.0):
    """A new operator: ``x * factor + bias``; its reference says ``claimed``."""
    return OpDef(
        f"scaled_{next(_serial)}",
        Kind.ELEMENTWISE,
        lambda types, a: [types[0]],
        lambda x, a, out: [
            te.compute(out[0].shape, lambda *i: x[0][i] * factor + a["bias"], name="scaled")
        ],
        lambda x, a: [(x[0] * np.float32(claimed) + np.float32(a["bias"])).astype(np.float32)],
        {"bias": Attr(float, 0.0)},
    )


def chain(op):
    """relu, ``op``, sigmoid, softmax of a product."""
    b = GraphBuilder("chain")
    x = b.input("x", "float32", (4, 6))
    w = b.constant(np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32), "w")
    (h,) = b.add("matmul", [x, w], outputs=["product"])
    (h,) = b.add("softmax", [h], outputs=["first"])
    (h,) = b.add(op.name, [h], {"bias": 1.0}, outputs=["middle"])
    (h,) = b.add("softmax", [h], outputs=["last"])
    return b.finish([h])


@pytest.mark.parametrize("target", ["llvm", "opengl"])
def test_an_operator_from_outside(target):
    if not probe(target).ok:
        pytest.skip(f"nothing runs {target} here")
    op = weft.register_op(scaled())
    assert op.name not in all_ops()  # ours stay as they are
    report = weft.check(chain(op), target)
    assert report.ok and {r.tensor for r in report.rows} >= {"first", "last"}


def test_a_wrong_operator_is_the_first_that_check_names():
    op = weft.register_op(scaled(factor=3.0, claimed=3.5))
    report = weft.check(chain(op), "llvm", every_node=True)
    assert not report.ok
    assert report.first is not None and report.first.tensor == "middle"
    assert report.first.ops == op.name
    assert report.first.alone == pytest.approx(report.first.distance.relative)
    text = str(report)
    assert "the first is 'middle'" in text and "the kernel itself is wrong" in text
    last = next(r for r in report.rows if r.tensor == "last")
    assert not last.distance.ok and last.alone is not None and last.alone < 1e-5


def test_names_are_taken_once():
    op = weft.register_op(scaled())
    with pytest.raises(GraphError, match="already"):
        weft.register_op(op)
    with pytest.raises(GraphError, match="already"):
        weft.register_op(OpDef("relu", op.kind, op.infer, op.compute, op.reference))
    with pytest.raises(TargetError, match="another target called 'llvm'"):
        weft.register_target(Target.parse("llvm"), toy_target.GENERATOR)
    with pytest.raises(TargetError, match="has no resolve"):
        weft.register_target(Target("bare"), object())  # type: ignore[arg-type]
    assert "bare" not in kinds()


def test_the_cache_sees_what_an_operator_means():
    """Two versions of one operator must not share kernels, two processes with one version must."""
    from weft.compiler import ops

    keys = []
    for factor in (2.0, 2.0, 2.5):
        op = scaled(factor)
        ops._registered["versioned"] = op
        b = GraphBuilder("g")
        (y,) = b.add("versioned", [b.input("x", "float32", (3,))])
        g = b.finish([y])
        keys.append(structural_key(Group.of(g, g.nodes), g.types, g.constants))
    del ops._registered["versioned"]
    assert keys[0] == keys[1] != keys[2]


def test_to_register_a_converter_does_not_load_onnx():
    """The package takes long to load, and not every program reads models."""
    script = (
        "import sys, weft\n"
        "from weft.compiler.ops import get\n"
        "from dataclasses import replace\n"
        "weft.register_op(replace(get('relu'), name='mine'), onnx='tests.lazy::Mine')\n"
        "sys.exit('onnx' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_onnx_node_of_another_domain():
    op = weft.register_op(scaled(), onnx="tests.outside::Scaled")
    node = onnx.helper.make_node("Scaled", ["x"], ["y"], domain="tests.outside", bias=0.5)
    x, y = (onnx.helper.make_tensor_value_info(n, 1, [3]) for n in "xy")
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [x], [y]),
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in (("", 17), ("tests.outside", 1))],
    )
    exe = weft.compile(model)
    np.testing.assert_allclose(exe(np.arange(3, dtype=np.float32)), [0.5, 3.5, 6.5], rtol=1e-6)
    with pytest.raises(GraphError, match="cannot be given a converter"):
        weft.register_op(scaled(), onnx="tests.outside::Scaled")
    with pytest.raises(GraphError, match="cannot be given a converter"):
        weft.register_op(scaled(), onnx="::Relu")
    assert op.name


@pytest.fixture(scope="module")
def toyc():
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    if "toyc" not in kinds():
        weft.register_target(toy_target.TARGET, toy_target.GENERATOR, toy_target.ToyProgram)
    return "toyc"


def test_a_target_from_outside(toyc):
    """A whole network as C; every tensor as it should be."""
    model = zoo.random_model("mnist_cnn")
    exe = weft.compile(model, toyc)
    assert b"#include <math.h>" in next(iter(exe.codes.values()))
    assert isinstance(exe.runner, Runner)
    assert all(row.ms > 0 for row in exe.profile(repeat=2).rows)
    exe.close()
    report = weft.check(model, toyc)
    assert report.ok and len(report.rows) > 5, report


def test_its_intrinsics_are_arithmetic(toyc):
    """A target that says nothing of its language is not given what others have."""
    b = GraphBuilder("intrinsics")
    x = b.input("x", "float32", (64,))
    names = ("exp", "erf", "tanh", "round", "floor", "sigmoid", "is_nan")
    results = [b.add(n, [x], outputs=[n])[0] for n in names]
    results += [b.add(n, [x, b.add("neg", [x])[0]], outputs=[n])[0] for n in ("minimum", "maximum")]
    graph = b.finish(results)
    values = np.linspace(-20, 20, 64, dtype=np.float32)
    values[:6] = np.nan, np.inf, -np.inf, -0.0, 2.5, -0.5
    exe = weft.compile(graph, toyc)
    wanted = itemgetter(*graph.outputs)(evaluate_graph(graph, {"x": values}))
    text = b"".join(exe.codes.values()).split(b"\n#define MAX")[-1].decode()
    assert not re.search(r"\b(exp|erf|tanh|round|floor|fma|isnan)f\(|llvm\.", text)
    for name, got, want in zip(graph.outputs, exe(values), wanted):
        np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=name)


def test_the_cache_sees_what_a_target_says(toyc, monkeypatch):
    before = identity(Target.parse(toyc))
    monkeypatch.setitem(kind_table, toyc, replace(toy_target.TARGET, ieee_floats=True))
    assert identity(Target.parse(toyc)) != before
    assert identity(Target.parse("llvm")) == ""


def test_a_target_without_a_runner_can_be_compiled_for():
    if "silent" not in kinds():
        weft.register_target(replace(toy_target.TARGET, kind="silent"), toy_target.GENERATOR)
    exe = weft.compile(chain(weft.register_op(scaled())), "silent")
    with pytest.raises(DeviceError, match=r"silent have no runner(.|\n)*weft\.register_target"):
        exe(np.zeros((4, 6), np.float32))


def test_it_is_small():
    with open(toy_target.__file__) as f:
        code = [n for n in f if n.strip() and not n.startswith(("import ", "from ", '"'))]
    assert len(code) < 75
