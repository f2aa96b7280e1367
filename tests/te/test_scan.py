"""``te.scan``: recurrences against numpy, with stages inside of a step, on every target."""

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.meaning.evaluate import evaluate
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.runtime.devices.probe import probe
from weft.runtime.errors import CodegenError, ExprError, LoweringError, ScheduleError

BLOCK, THREAD = te.thread_axis("blockIdx.x"), te.thread_axis("threadIdx.x")
M, N, H = 11, 13, 7


def on(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    return target


class Sums:
    """Prefix sums of columns, doubled afterwards."""

    def __init__(self):
        self.x = te.placeholder((M, N), name="X")
        self.state = te.placeholder((M, N), name="S")
        self.init = te.compute((1, N), lambda _, i: self.x[0, i], name="I")
        self.update = te.compute((M, N), lambda t, i: self.state[t - 1, i] + self.x[t, i], name="U")
        self.scan = te.scan(self.init, self.update, self.state, inputs=[self.x], name="C")
        self.result = te.compute((M, N), lambda t, i: self.scan[t, i] * 2.0, name="D")
        self.schedule = te.create_schedule(self.result)
        self.args = [self.x, self.result]

    def check(self, target="llvm"):
        x = np.random.default_rng(0).integers(-5, 5, (M, N)).astype("float32")
        out = np.empty_like(x)
        weft.build(self.schedule, self.args, target)(x, out)
        np.testing.assert_array_equal(out, 2 * np.cumsum(x, 0))


class Cell:
    """A recurrent cell: ``h[t] = tanh(x[t] W + h[t-1] R)``, the first product outside of steps."""

    def __init__(self, steps=6, depth=5):
        self.x, self.w = te.placeholder((steps, depth), name="X"), te.placeholder((depth, H))
        self.r, s = te.placeholder((H, H), name="R"), te.placeholder((steps + 1, H), name="S")
        k, q = te.reduce_axis(depth, "k"), te.reduce_axis(H, "q")
        self.outside = te.compute(
            (steps, H), lambda t, j: te.sum(self.x[t, k] * self.w[k, j], axis=k), name="XW"
        )
        self.inside = te.compute(
            (steps + 1, H), lambda t, j: te.sum(s[t - 1, q] * self.r[q, j], axis=q), name="M"
        )
        self.init = te.compute((1, H), lambda _, j: te.const(0.0, "float32"), name="I")
        self.update = te.compute(
            (steps + 1, H),
            lambda t, j: te.tanh(self.outside[t - 1, j] + self.inside[t, j]),
            name="U",
        )
        self.state = s
        self.scan = te.scan(self.init, self.update, s, name="H")
        self.schedule = te.create_schedule(self.scan)
        self.args = [self.x, self.w, self.r, self.scan]
        rng = np.random.default_rng(1)
        shapes = ((steps, depth), (depth, H), (H, H))
        self.arrays = [rng.standard_normal(n).astype("float32") for n in shapes]

    def expected(self):
        x, w, r = self.arrays
        h = np.zeros((len(x) + 1, H), "float32")
        for t in range(len(x)):
            h[t + 1] = np.tanh(x[t] @ w + h[t] @ r)
        return h

    def check(self, target="llvm"):
        want = self.expected()
        out = np.empty_like(want)
        weft.build(self.schedule, self.args, target)(*self.arrays, out)
        np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ["plain", "vectorize", "parallel", "unroll", "fuse"])
def test_data_axes_are_scheduled_through_the_update(how):
    case = Sums()
    stage = case.schedule[case.update]
    if how == "fuse":
        stage.fuse(*stage.axes)
    elif how != "plain":
        _, inner = stage.split(stage.axes[1], 4)
        getattr(stage, how)(inner)
    case.check()


@pytest.mark.parametrize("how", ["plain", "attached", "rfactor", "cached", "moved in", "unroll"])
def test_stages_inside_of_a_step(how):
    case = Cell()
    s = case.schedule
    if how == "attached":
        s[case.inside].compute_at(s[case.update], s[case.update].axes[1])
    elif how == "rfactor":
        s.rfactor(case.inside, s[case.inside].reduce_axes[0])
    elif how == "cached":
        s.cache_write(case.update, "local")
        s.cache_read(case.state, "local", [case.inside])
    elif how == "moved in":
        s[case.outside].compute_at(s[case.scan], case.scan.op.scan_axis)
        s[case.update].parallel(s[case.update].axes[1])
    elif how == "unroll":
        s[case.scan].unroll(case.scan.op.scan_axis)
    case.check()


def test_the_interpreter_says_what_it_means():
    case = Cell()
    want = case.expected()
    fed = dict(zip(case.args, case.arrays))
    np.testing.assert_allclose(evaluate([case.scan], fed)[0], want, rtol=1e-5, atol=1e-5)
    sums = Sums()
    x = np.arange(M * N, dtype="float32").reshape(M, N)
    np.testing.assert_array_equal(evaluate([sums.result], {sums.x: x})[0], 2 * np.cumsum(x, 0))


@pytest.mark.parametrize("target", ["opencl", "webgpu"])
@pytest.mark.parametrize("blocks", [True, False])
def test_threads_live_through_all_steps(target, blocks):
    case = Sums()
    for t in (case.init, case.update, case.result):
        stage = case.schedule[t]
        inner = stage.axes[1]
        if blocks:
            outer, inner = stage.split(inner, 4)
            stage.bind(outer, BLOCK)
        stage.bind(inner, THREAD)
    case.check(on(target))


def bound(case, scope):
    s = case.schedule
    for t in (case.outside, case.init, case.update):
        s[t].bind(s[t].axes[1], THREAD)
    s[case.inside].set_scope(scope)
    if scope == "local":
        s[case.inside].compute_at(s[case.update], s[case.update].axes[1])
    else:
        s[case.inside].bind(s[case.inside].axes[1], THREAD)
    return case


@pytest.mark.parametrize("scope", ["local", "shared"])
@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_threads_wait_where_they_read_what_others_wrote(target, scope):
    bound(Cell(), scope).check(on(target))


@pytest.mark.parametrize("scope", ["local", "shared"])
def test_the_interpreter_runs_threads_step_by_step(scope):
    case = bound(Cell(), scope)
    f = build_loop_nest(case.schedule, case.args, "f")
    assert 'barrier("global")' in str(f)
    out = np.empty((7, H), "float32")
    if scope == "local":  # barriers around shared memory come with a later pass
        run(f, [*case.arrays, out])
        np.testing.assert_allclose(out, case.expected(), rtol=1e-5, atol=1e-5)


def test_blocks_cannot_wait_for_each_other():
    case = Cell()
    s = case.schedule
    outer, inner = s[case.update].split(s[case.update].axes[1], 4)
    s[case.update].bind(outer, BLOCK)
    s[case.update].bind(inner, THREAD)
    with pytest.raises(ScheduleError, match="cells of H that other blocks may compute"):
        weft.build(s, case.args, "opencl")


def test_several_states_and_several_first_rows():
    m = te.var("m")
    x = te.placeholder((m, N), name="X")
    a, b = te.placeholder((m, N), name="A"), te.placeholder((m, N), name="B")
    first = te.compute((2, N), lambda t, i: x[t, i], name="first")
    ones = te.compute((2, N), lambda t, i: te.const(1.0, "float32"), name="ones")
    # Fibonacci's rule with what is new added, and products of it, of the same step.
    u = te.compute((m, N), lambda t, i: a[t - 1, i] + a[t - 2, i] + x[t, i], name="u")
    v = te.compute((m, N), lambda t, i: b[t - 1, i] * 0.5 + u[t, i], name="v")
    p, q = te.scan([first, ones], [u, v], [a, b], name="two")
    s = te.create_schedule([p, q])
    s[v].vectorize(s[v].split(s[v].axes[1], 4)[1])
    f = weft.build(s, [x, p, q, m])
    for size in (2, 9):
        data = np.random.default_rng(2).integers(-3, 4, (size, N)).astype("float32")
        left, right = np.array(data), np.ones_like(data)
        for t in range(2, size):
            left[t] = left[t - 1] + left[t - 2] + data[t]
            right[t] = right[t - 1] * 0.5 + left[t]
        got = np.empty_like(left), np.empty_like(right)
        f(data, *got, size)
        np.testing.assert_allclose(got, (left, right), rtol=1e-6)


def test_vectors_and_first_rows_that_are_an_input():
    x, first = te.placeholder((M,), "int32", name="X"), te.placeholder((1,), "int32", name="F")
    s = te.placeholder((M,), "int32", name="S")
    product = te.scan(first, te.compute((M,), lambda t: s[t - 1] * x[t], name="U"), s, name="P")
    data = np.array([9, *[1, -2, 3] * 4], "int32")[:M]
    out = np.empty(M, "int32")
    weft.build(te.create_schedule(product), [x, first, product])(data, data[:1], out)
    np.testing.assert_array_equal(out, np.cumprod(data))


def test_results_of_one_compute_are_the_updates_of_two_states():
    x = te.placeholder((M,), name="X")
    a, b = te.placeholder((M,), name="A"), te.placeholder((M,), name="B")
    zero = [te.compute((1,), lambda _: te.const(0.0, "float32"), name=f"zero{k}") for k in (0, 1)]
    both = te.compute((M,), lambda t: (b[t - 1] + x[t], a[t - 1] - x[t]), name="both")
    p, q = te.scan(zero, both, [a, b])
    data, got = np.arange(M, dtype="float32"), np.empty((2, M), "float32")
    weft.build(te.create_schedule([p, q]), [x, p, q])(data, *got)
    want = np.zeros_like(got)
    for t in range(1, M):
        want[:, t] = want[1, t - 1] + data[t], want[0, t - 1] - data[t]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("target", ["opengl", "webgl"])
def test_fragments_have_no_place_for_steps(target):
    case = Sums()
    with pytest.raises(CodegenError, match="C is computed step by step"):
        weft.build(case.schedule, case.args, target)


def test_what_a_schedule_cannot_do_with_steps():
    case = Sums()
    s, step = case.schedule, case.scan.op.scan_axis
    for words, refused in (
        ("follow one another", lambda: s[case.scan].split(step, 2)),
        ("follow one another", lambda: s[case.scan].parallel(step)),
        ("is a recurrence", s[case.scan].compute_inline),
        ("the step of C", s[case.update].compute_inline),
        ("the beginning of C", lambda: s[case.init].set_scope("local")),
        ("no te.compute", lambda: s.cache_write(case.scan, "local")),
        ("no te.compute", lambda: s.cache_read(case.init, "local", [case.scan])),
    ):
        with pytest.raises(ScheduleError, match=words):
            refused()
    assert "for C.step in 10:  # steps\n  C[1 + C.step] = …  # U" in str(s)
    with pytest.raises(LoweringError, match="S stands for the state of C"):
        weft.build(s, [case.x, case.state, case.result])
    with pytest.raises(ScheduleError, match="U is a part of C and a result of its own"):
        te.create_schedule([case.scan, case.update])
    outside = te.compute((M, N), lambda t, i: case.state[t, i] + case.scan[t, i], name="O")
    with pytest.raises(ScheduleError, match="O reads a state of C"):
        te.create_schedule(outside)


@pytest.mark.parametrize(("shift", "words"), [(0, "no earlier step"), (2, "reads outside of S")])
def test_rows_that_are_not_there(shift, words):
    s = te.placeholder((M,), name="S")
    first = te.compute((1,), lambda _: te.const(1.0, "float32"))
    scan = te.scan(first, te.compute((M,), lambda t: s[t - shift] * 2.0, name="U"), s)
    with pytest.raises((ScheduleError, LoweringError), match=words):
        weft.build(te.create_schedule(scan), [scan])
    guarded = te.compute((M,), lambda t: te.if_then_else(t > 1, s[t - 2] * 2.0, 5.0), name="G")
    scan, out = te.scan(first, guarded, s), np.empty(M, "float32")
    weft.build(te.create_schedule(scan), [scan])(out)
    np.testing.assert_array_equal(out[:5], [1, 5, 2, 10, 4])


def test_what_is_no_scan():
    x, s = te.placeholder((M, N), name="X"), te.placeholder((M, N), name="S")
    first = te.compute((1, N), lambda _, i: x[0, i])
    update = te.compute((M, N), lambda t, i: s[t - 1, i])
    for words, parts in (
        ("no te.compute", (first, x, s)),
        ("the state .* is computed", (first, update, update)),
        ("shapes differ", (first, update, te.placeholder((M, N + 1)))),
        ("is int32, float32", (te.compute((1, N), lambda _, i: i), update, s)),
        ("each state has one of each", ([first], [update, update], [s])),
    ):
        with pytest.raises(ExprError, match=words):
            te.scan(*parts)
    ib = te.extern((M, N), [s], lambda ins, outs: te.ir_builder().get(), name="E")
    with pytest.raises(ExprError, match="E depends on a state"):
        te.scan(first, te.compute((M, N), lambda t, i: ib[t, i] + s[t - 1, i]), s)


@pytest.mark.parametrize("target", ["llvm", "opencl"])
@pytest.mark.parametrize("kind", [Sums, Cell])
def test_weft_schedules_what_is_around_the_steps(kind, target):
    case = kind()
    case.schedule = te.auto_schedule(case.args[-1], on(target))
    case.check(target)
