"""Graphs with loops and branches: one program, the same on every target, in packages too."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import weft
from weft.compiler.graph import evaluate
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.graph.graph import Node, Source
from weft.compiler.graph.skeleton import BRANCH, LOOP
from weft.compiler.kernels.roofline import rows_of
from weft.compiler.ops import get
from weft.compiler.types import TensorType
from weft.runtime import flow as flows
from weft.runtime.artifact import Program
from weft.runtime.devices.probe import probe
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import PackageError

TARGETS = ("llvm", "opencl", "webgpu", "opengl", "wasm", "webgl")
MATRIX = TensorType(dtype_of("float32"), (3, 5))


def add(b, op, inputs, outputs, **attrs):
    for o in outputs:
        b.types[o] = MATRIX
    source = Source("", outputs[0], op)
    b.nodes.append(Node(op, tuple(inputs), tuple(outputs), MappingProxyType(attrs), source))


def looping(count):
    """x = 2 x + Y while its sum is below L; z is the x before, and the number of the trip."""
    c = GraphBuilder("body")
    n, _ = c.input("n", "int64", ()), c.input("g", "bool", ())
    x, _ = c.input("x", "float32", (3, 5)), c.input("z", "float32", (3, 5))
    y, limit = c.input("y", "float32", (5,)), c.input("limit", "float32", ())
    (twice,) = c.add("mul", [x, c.constant(np.float32(2), "two")])
    (after,) = c.add("add", [twice, y])
    (total,) = c.add("reduce_sum", [after], {"axes": (0, 1), "keepdims": False})
    (going,) = c.add("less", [total, limit])
    (number,) = c.add("cast", [n], {"to": "float32"})
    (before,) = c.add("add", [x, number])
    body = c.finish([going, after, before])
    b = GraphBuilder("g")
    x, y = b.input("X", "float32", (3, 5)), b.input("Y", "float32", (5,))
    limit = b.input("L", "float32", ())
    (first,) = b.add("relu", [x])
    add(b, LOOP, ["", "", first, first, y, limit], ["x", "z"], body=body, count=count, state=2)
    return b.finish([*b.add("add", ["x", "z"]), "x", "z"])


def looped(x, y, limit, count):
    x = z = np.maximum(x, 0)
    k, going = 0, True
    while going and (count < 0 or k < count):
        z, x = x + np.float32(k), x * np.float32(2) + y
        going, k = bool(x.sum() < limit), k + 1
    return x + z, x, z


def branching():
    b = GraphBuilder("h")
    cond, x = b.input("C", "bool", (1,)), b.input("X", "float32", (3, 5))

    def branch(name, make):
        g = GraphBuilder(name)
        ins = g.input("x", "float32", (3, 5)), g.input("k", "float32", (3, 5))
        return g.finish(make(g, *ins))

    ones = np.ones((3, 5), np.float32)
    then = branch("then", lambda g, x, k: [*g.add("exp", [x]), k])
    other = branch("other", lambda g, x, k: [g.constant(ones), *g.add("neg", [x])])
    (kept,) = b.add("relu", [x])
    add(b, BRANCH, [cond, x, kept], ["a", "b"], then=then, other=other)
    return b.finish([*b.add("add", ["a", "b"]), "b"])


def needs(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", [-1, 0, 1, 2, 3])
def test_loops(target, count):
    needs(target)
    rng = np.random.default_rng(count + 1)
    exe = weft.compile(looping(count), target)
    for limit in (1e3, -1.0, 1e5):
        x, y = rng.random((3, 5), np.float32), rng.random(5, np.float32)
        got = exe(x, y, np.float32(limit))
        for a, b in zip(got, looped(x, y, limit, count)):
            np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_branches(target):
    """Results that are an input, a constant, and made by a kernel."""
    needs(target)
    exe = weft.compile(branching(), target)
    for cond in (True, False, True):
        x = np.random.default_rng(0).standard_normal((3, 5)).astype("f")
        kept = np.maximum(x, 0)
        want = (np.exp(x) + kept, kept) if cond else (1 - x, -x)
        for a, b in zip(exe(np.array([cond]), x), want):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_what_comes_into_a_loop_stays_there_until_it_ends():
    """Each tensor that the body reads and does not make overlaps no other one of the loop."""
    program = weft.compile(looping(-1)).program
    (extent,) = flows.extents(program.flow)
    made: set[int] = set()
    taken: dict[int, tuple[int, int]] = {}
    for k, step in enumerate(program.steps):
        for a in step.args:
            s = program.slots[a]
            if s.kind == "arena":
                taken.setdefault(a, (s.offset, s.offset + s.nbytes))
                if k < extent.begin:
                    made.add(a)
    inside = {a for s in program.steps[extent.begin : extent.end] for a in s.args if a in taken}
    for a in made & inside:
        for b in inside - {a}:
            assert taken[a][1] <= taken[b][0] or taken[b][1] <= taken[a][0]


def test_packages_have_loops(tmp_path):
    exe = weft.compile(looping(-1))
    exe.save(tmp_path / "m.weft")
    again = weft.runtime.load(tmp_path / "m.weft")
    assert again.program.flow == exe.program.flow and again.program.version == 3
    x, y = np.ones((3, 5), np.float32), np.ones(5, np.float32)
    for a, b in zip(again(x, y, np.float32(99)), exe(x, y, np.float32(99))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f[1:],
        lambda f: [["run", 0, 1], ["run", 2, 3]],
        lambda f: [["if", 0, [], []], *f],
        lambda f: [["if", 10**6, [], []], *f],
        lambda f: [["loop", -1, -1, [-1, -1], [], [], []], *f],
        lambda f: [["dance"], *f],
        lambda f: [["loop"], *f],
        lambda f: [["fail", "why"], *f],
        lambda f: 5,
    ],
)
def test_damaged_flows_are_refused(damage):
    data = weft.compile(looping(-1)).program.to_json()
    data["flow"] = damage(data["flow"])
    with pytest.raises(PackageError):
        Program.from_json(data)


@pytest.mark.parametrize("target", TARGETS)
def test_profiles(target):
    """A step counts as often as it ran; the outputs of later calls are as ever."""
    needs(target)
    x, y = np.ones((3, 5), np.float32), np.ones(5, np.float32)
    exe = weft.compile(looping(5), target)
    before = exe(x, y, np.float32(1e9))
    (extent,) = flows.extents(exe.program.flow)
    for limit, even, odd, last in ((1e9, 3, 2, 1), (-1.0, 1, 0, 1), (60.0, 1, 1, 0)):
        profile = exe.profile(x, y, np.float32(limit), repeat=2)
        rows = profile.rows
        assert len(rows) == len(exe.program.steps)
        (loop,) = (f for f in exe.program.flow if isinstance(f, flows.Loop))
        want = [1] * len(rows)
        for part, count in ((loop.even, even), (loop.odd, odd), (loop.last, last)):
            for run in part:
                want[run.begin : run.end] = [count] * (run.end - run.begin)
        assert [r.count for r in rows] == want
        assert all(r.ms == 0 for r in rows if not r.count)
        assert sum(r.ms for r in rows[extent.begin : extent.end]) > 0
        assert f"{sum(want)} calls of" in str(profile)
    for a, b in zip(exe(x, y, np.float32(1e9)), before):
        np.testing.assert_array_equal(a, b)


def test_rates_of_a_loop_are_those_of_all_its_trips():
    x, y = np.ones((3, 5), np.float32), np.ones(5, np.float32)
    exe = weft.compile(looping(6))
    profile = exe.profile(x, y, np.float32(1e9), repeat=1)
    facts = exe.program.meta["kernels"]
    want = sum(r.count * facts[r.kernel]["flops"] for r in profile.rows)
    assert sum(r.flops for r in rows_of(exe.program, profile)) == want
    assert max(r.count for r in profile.rows) == 3


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("limit", [60.0, -1.0])
def test_checks(target, limit):
    """The kernels of a body are compared as they ran last, the outputs as they are."""
    needs(target)
    feeds = {"X": np.ones((3, 5), "f"), "Y": np.arange(5, dtype="f"), "L": np.float32(limit)}
    report = weft.check(looping(7), target, inputs=feeds)
    assert report.ok and {"x", "z"} <= {r.tensor for r in report.rows}
    assert {"add", "less"} <= {w for r in report.rows for w in r.ops.split(" + ")}


@pytest.mark.parametrize("against", ["interp", "llvm"])
def test_checks_leave_out_what_did_not_run(against):
    feeds = {"C": np.array([True]), "X": np.ones((3, 5), "f")}
    report = weft.check(branching(), against=against, inputs=feeds)
    ops = {w for r in report.rows for w in r.ops.split(" + ")}
    assert report.ok and "neg" not in ops and {r.tensor for r in report.rows} >= {"b"}
    assert ("exp" in ops) == (against == "interp")


def test_a_check_names_the_kernel_of_a_body_that_is_wrong(monkeypatch):
    """The reference of one operator is made another one: the body's tensor comes first."""

    def other(op):
        found = get(op)
        return replace(found, reference=wrong) if op == "mul" else found

    def wrong(inputs, attrs):
        return [np.asarray(a) + np.float32(1) for a in get("mul").reference(inputs, attrs)]

    feeds = {"X": np.ones((3, 5), "f"), "Y": np.arange(5, dtype="f"), "L": np.float32(1e3)}
    monkeypatch.setattr(evaluate, "get", other)
    report = weft.check(looping(3), inputs=feeds)
    assert not report.ok and report.first is not None and "mul" in report.first.ops
    assert {"x", "the program as it is"} <= {r.tensor for r in report.bad} | {
        r.ops for r in report.bad
    }


def test_references_of_loops_and_branches():
    """Graphs by the references of their operators are what the loops say."""
    for count, limit in ((-1, 1e3), (0, 1e3), (5, 1e9), (5, -1.0)):
        x, y = np.ones((3, 5), np.float32), np.arange(5, dtype=np.float32)
        made = evaluate_graph(looping(count), {"X": x, "Y": y, "L": np.float32(limit)})
        _, *want = looped(x, y, limit, count)
        for name, a in zip(("x", "z"), want):
            np.testing.assert_allclose(made[name], a, rtol=1e-6)
    for cond in (True, False):
        made = evaluate_graph(branching(), {"C": np.array([cond]), "X": x})
        np.testing.assert_allclose(made["a"], np.exp(x) if cond else np.ones((3, 5)), rtol=1e-6)
