"""Intrinsics from outside (``te.register_intrinsic``): rules of each kind on each target, what is
refused, and what caches see of them."""

import numpy as np
import pytest
import weft
from weft.codegen import for_target
from weft.ir import own_intrinsics, te
from weft.ir.intrin import INTRINSICS
from weft.ir.lower import lower
from weft.ir.meaning import interp
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.target import Target
from weft.runtime.devices.probe import probe
from weft.runtime.errors import CodegenError, ExprError

TARGETS = ("llvm", "opencl", "webgpu", "opengl")
X = np.array([-3, -2, -0.5, 0, 0.5, 1, 2, 3, -1, 4, 7, -7, 9], np.float32)


@pytest.fixture(autouse=True)
def only_here(monkeypatch):
    """The table is as it was after each test."""
    before = dict(INTRINSICS)
    yield
    for name in INTRINSICS.keys() - before.keys():
        del INTRINSICS[name]


def stage(make, target, dtype="float32"):
    """``B[i] = make(A[i])`` in vectors of 4 where schedules are written by hand."""
    a = te.placeholder(X.shape, dtype, name="A")
    b = te.compute(X.shape, lambda i: make(a[i]), name="B")
    s = te.create_schedule(b)
    if target != "opengl":
        outer, inner = s[b].split(b.op.axes[0], 4)
        s[b].vectorize(inner)
        if target in ("opencl", "webgpu"):
            s[b].bind(outer, te.thread_axis("threadIdx.x"))
    return s, [a, b]


def results(make, target, dtype="float32", given=X):
    s, args = stage(make, target, dtype)
    meaning = np.zeros(X.shape, args[1].dtype.numpy)
    interp.run(build_loop_nest(s, args, "meaning"), [given.astype(dtype), meaning])
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    got = np.zeros_like(meaning)
    weft.build(s, args, target)(given.astype(dtype), got)
    return got, meaning


@pytest.mark.parametrize("target", TARGETS)
def test_one_expansion_serves_all(target):
    """With choices, other intrinsics, and an operand that is used twice."""

    def expansion(x):
        return te.if_then_else(x < 0.0, te.exp(x) - 1.0, x)

    elu = te.register_intrinsic(
        "elu", 1, numpy=lambda x: np.where(x < 0, np.exp(x) - 1, x), lower=expansion
    )
    got, meaning = results(lambda x: elu(x * 2.0) + 1.0, target)
    want = np.where(X < 0, np.exp(2 * X) - 1, 2 * X) + 1
    np.testing.assert_allclose(meaning, want, rtol=1e-6)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_a_spelling_for_each_language(target):
    """Names of functions and texts with places for the operands."""
    capped = te.register_intrinsic(
        "capped", 2, numpy=lambda x, y: np.where(np.signbit(y), -np.abs(x), np.abs(x)),
        rules={
            "llvm": "copysign", "opencl": "copysign",
            "webgpu": "select(abs({0}), -abs({0}), {1} < {1} - {1})",
            "opengl": "mix(-abs({0}), abs({0}), step({1} - {1}, {1}))",
        },
    )  # fmt: skip
    got, meaning = results(lambda x: capped(te.const(5.0, "float32") * x, x), target)
    np.testing.assert_array_equal(meaning, 5 * X)
    np.testing.assert_array_equal(got, 5 * X)


@pytest.mark.parametrize("target", ["wasm", "webgl"])
def test_targets_of_one_language_share_a_rule(target):
    rules = {"llvm": "minnum", "opengl": "min"}
    least = te.register_intrinsic("least", 2, numpy=np.fmin, rules=rules)
    s, args = stage(lambda x: least(x, x * 2.0), "opengl")
    goal = Target.parse(target)
    if goal.texture_memory:
        assert "min(" in weft.build(s, args, target).source
    else:
        assert "least(" in str(lower(s, args, goal))
        assert for_target(goal).emit([lower(s, args, goal)], goal)


@pytest.mark.parametrize("target", TARGETS)
def test_integers_and_conditions(target):
    steps = te.register_intrinsic(
        "steps", 2, numpy=lambda x, y: x // 3 + y, domain="int", lower=lambda x, y: x // 3 + y
    )
    even = te.register_intrinsic(
        "even", 1, numpy=lambda x: x % 2 == 0, domain="any", result="bool",
        lower=lambda x: te.equal(x % 2, 0),
    )  # fmt: skip
    got, meaning = results(lambda x: te.if_then_else(even(x), steps(x, x + 1), -x), target, "int32")
    x = X.astype(np.int32)
    want = np.where(x % 2 == 0, x // 3 + x + 1, -x)
    np.testing.assert_array_equal(meaning, want)
    np.testing.assert_array_equal(got, want)


def test_a_guarded_operand_is_not_read():
    """The variable that an expansion makes of its operand is computed before the choice."""
    twice = te.register_intrinsic("twice_of", 1, numpy=lambda x: x + x, lower=lambda x: x + x)
    a = te.placeholder((8,), name="A")
    b = te.compute(
        (12,), lambda i: te.if_then_else(i < 8, twice(a[i]), te.const(1.0, "float32")), name="B"
    )
    s = te.create_schedule(b)
    s[b].vectorize(b.op.axes[0])
    out = np.zeros(12, np.float32)
    weft.build(s, [a, b], "llvm")(np.arange(8, dtype=np.float32), out)
    np.testing.assert_array_equal(out, [*range(0, 16, 2), 1, 1, 1, 1])


@pytest.mark.parametrize("target", ["llvm", "opencl", "webgpu", "opengl", "wasm", "webgl"])
def test_a_target_without_a_rule_says_so(target):
    other = "opencl" if target != "opencl" else "llvm"
    own = te.register_intrinsic("nowhere", 1, numpy=np.abs, rules={other: "fabs"})
    s, args = stage(own, "opengl" if target == "webgl" else target)
    goal = Target.parse(target)
    with pytest.raises(CodegenError, match="'nowhere' has no rule") as e:
        if goal.texture_memory:
            weft.build(s, args, target)
        else:
            for_target(goal).emit([lower(s, args, goal)], goal)
    assert f"target {target!r}" in str(e.value)
    assert "te.register_intrinsic('nowhere'" in str(e.value)


def test_rules_that_do_not_end_or_give_another_type():
    again = te.register_intrinsic("again", 1, numpy=np.abs, lower=lambda x: again(x) + 1.0)
    wider = te.register_intrinsic(
        "wider", 1, numpy=np.abs, lower=lambda x: te.cast(x, "int32")
    )  # fmt: skip
    for make, said in ((again, "calls again -> again"), (wider, "gives int32")):
        s, args = stage(make, "opengl")
        with pytest.raises(CodegenError, match=said):
            lower(s, args, "llvm")


def test_what_is_refused():
    te.register_intrinsic("mine", 1, numpy=np.abs)
    for name, said in (("mine", "already"), ("exp", "already"), ("Not a name", "no name")):
        with pytest.raises(ExprError, match=said):
            te.register_intrinsic(name, 1, numpy=np.abs)
    with pytest.raises(ExprError, match="arity 0"):
        te.register_intrinsic("none", 0, numpy=np.abs)
    with pytest.raises(ExprError, match="rule of 'odd' for 'llvm' is a int"):
        te.register_intrinsic("odd", 1, numpy=np.abs, rules={"llvm": 3})  # type: ignore[dict-item]


def test_caches_tell_rules_apart():
    assert own_intrinsics.identity() == ""
    seen = set()
    for rule in ("fabs", "native_fabs", lambda x: x, lambda x: x + x):
        te.register_intrinsic("part", 1, numpy=np.abs, rules={"opencl": rule})
        seen.add(own_intrinsics.identity())
        assert own_intrinsics.identity() in seen
        del INTRINSICS["part"]
    assert len(seen) == 4 and "" not in seen
