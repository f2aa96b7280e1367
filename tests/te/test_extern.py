"""``te.extern``: statements as an operation, between computes, on every target that has stores."""

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.meaning.evaluate import evaluate
from weft.runtime.devices.probe import probe
from weft.runtime.errors import CodegenError, ExprError, ScheduleError

BLOCK, THREAD = te.thread_axis("blockIdx.x"), te.thread_axis("threadIdx.x")
N, M = 13, 7


def on(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    return target


def prefix(ins, outs, kind="serial", threads=False):
    """Sums of the beginnings of rows, every other one negative, and the whole ones as integers."""
    ib = te.ir_builder()
    a, b, total = ins[0], ib.buffer_ptr(outs[0]), ib.buffer_ptr(outs[1])

    def row(i):
        acc = ib.allocate("float32", (1,), "acc")
        acc[0] = 0.0
        with ib.for_range(0, M, "j") as j:
            v = ib.let("v", a[i, j] + 1.0)
            acc[0] += v
            with ib.if_scope(j % 2 < 1):
                b[i, j] = acc[0]
            with ib.else_scope():
                b[i * M + j] = -acc[0]  # counted in row-major order
        total[i] = acc[0].astype("int32")

    if threads:
        i = ib.thread("blockIdx.x", -(-N // 4)) * 4
        ib.scope_attr(THREAD, "thread_extent", 4)
        with ib.if_scope(i + THREAD < N):
            row(i + THREAD)
    else:
        with ib.for_range(0, N, "i", kind=kind) as i:
            row(i)
    return ib.get()


def program(**how):
    a = te.placeholder((N, M), name="A")
    p = te.compute((N, M), lambda i, j: a[i, j] * 2.0, name="P")
    b, total = te.extern(
        [(N, M), (N,)],
        [p],
        lambda ins, outs: prefix(ins, outs, **how),
        name="E",
        dtype=["float32", "int32"],
    )
    c = te.compute((N, M), lambda i, j: b[i, j] + te.cast(total[i], "float32"), name="C")
    return a, p, b, c


def data():
    a = np.random.default_rng(0).integers(-3, 4, (N, M)).astype("float32")
    sums = np.cumsum(a * 2 + 1, axis=1, dtype="float32")
    return a, np.where(np.arange(M) % 2 < 1, sums, -sums) + sums[:, -1:]


@pytest.mark.parametrize("kind", ["serial", "parallel", "unroll"])
def test_between_computes(kind):
    a, _, _, c = program(kind=kind)
    x, want = data()
    out = np.empty_like(want)
    weft.build(te.create_schedule(c), [a, c])(x, out)
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(evaluate([c], {a: x})[0], want)


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_on_workgroups(target, threads):
    a, p, _, c = program(threads=threads)
    s = te.create_schedule(c)
    for stage in (s[p], s[c]):
        outer, inner = stage.split(stage.axes[0], 4)
        stage.bind(outer, BLOCK)
        stage.bind(inner, THREAD)
    x, want = data()
    out = np.empty_like(want)
    weft.build(s, [a, c], on(target))(x, out)
    np.testing.assert_array_equal(out, want)


def test_readers_compute_and_cache_what_they_need():
    a, _, b, c = program()
    s = te.create_schedule(c)
    copy = s.cache_read(b, "local", [c])
    s[copy].compute_at(s[c], s[c].axes[0])
    _outer, inner = s[c].split(s[c].axes[1], 4)
    s[c].vectorize(inner)
    x, want = data()
    out = np.empty_like(want)
    weft.build(s, [a, c])(x, out)
    np.testing.assert_array_equal(out, want)
    assert "E is computed by statements:\nfor i in range(0, 13):" in str(s)


def test_vectors_scalars_and_a_result_that_is_an_argument():
    n = te.var("n")
    a = te.placeholder((n,), name="A")

    def body(ins, outs):
        ib = te.ir_builder()
        b = ib.buffer_ptr(outs[0])
        blocks, lanes = ib.for_range(0, (n + 7) // 8, "o"), ib.for_range(0, 8, "l", "vectorize")
        with blocks as o, lanes as lane, ib.if_scope(o * 8 + lane < n):
            b[o * 8 + lane] = ins[0][n - 1 - o * 8 - lane]
        return ib.get()

    b = te.extern((n,), [a], body, name="B")
    f = weft.build(te.create_schedule(b), [a, b, n])
    for size in (1, 8, 21):
        x, out = np.arange(size, dtype="float32"), np.empty(size, "float32")
        f(x, out, size)
        np.testing.assert_array_equal(out, x[::-1])


def test_threads_exchange_values_through_shared_memory():
    a = te.placeholder((20,), name="A")

    def body(ins, outs):
        ib = te.ir_builder()
        b = ib.buffer_ptr(outs[0])
        block, thread = ib.thread("blockIdx.x", 4), ib.thread("threadIdx.x", 5)
        line = ib.allocate("float32", (5,), "line", scope="shared")
        line[thread] = ins[0][block * 5 + thread]
        b[block * 5 + thread] = line[4 - thread]
        return ib.get()

    b = te.extern((20,), [a], body, name="B")
    x, out = np.arange(20, dtype="float32"), np.empty(20, "float32")
    weft.build(te.create_schedule(b), [a, b], on("opencl"))(x, out)
    np.testing.assert_array_equal(out, x.reshape(4, 5)[:, ::-1].reshape(-1))


@pytest.mark.parametrize("target", ["opengl", "webgl"])
def test_fragments_have_no_place_for_statements(target):
    a, _, _, c = program()
    with pytest.raises(CodegenError, match="E is computed by statements of their own order"):
        weft.build(te.create_schedule(c), [a, c], target)


def test_what_a_schedule_cannot_do_with_statements():
    a, p, b, c = program()
    s = te.create_schedule(c)
    for refused in (
        lambda: s[b].compute_at(s[c], s[c].axes[0]),
        s[b].compute_inline,
        lambda: s[p].compute_at(s[b], s[p].axes[0]),
        lambda: s.cache_write(b, "local"),
        lambda: s.cache_read(p, "local", [b]),
    ):
        with pytest.raises(ScheduleError, match=r"computed by statements|no te.compute"):
            refused()
    s[p].compute_inline()
    with pytest.raises(ScheduleError, match="P is computed inline, and E, which"):
        weft.build(s, [a, c])


def _writes_input(ib, a, b):
    ib.buffer_ptr(a)[0] = 1.0


def _reads_tensor(ib, a, b):
    b[0] = te.placeholder((4,), name="T")[0]


def _leaves_loop(ib, a, b):
    with ib.for_range(0, 4, "i") as i:
        b[i] = a[i]
    b[i] = 0.0


def _other_type(ib, a, b):
    b[0] = a[0].astype("int32")


def _reduces(ib, a, b):
    k = te.reduce_axis(4, "k")
    b[0] = te.sum(a[k], axis=k)


def _else_alone(ib, a, b):
    with ib.else_scope():
        b[0] = 1.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (_writes_input, "the input A is written"),
        (_reads_tensor, "the tensor T is read as such"),
        (_leaves_loop, "i is used outside of its loop"),
        (_other_type, "a int32 cannot be stored"),
        (_reduces, "a reduction is no value of a statement"),
        (_else_alone, "must follow an if_scope"),
    ],
)
def test_mistakes_are_told_where_they_are_made(wrong, words):
    a = te.placeholder((4,), name="A")

    def body(ins, outs):
        ib = te.ir_builder()
        wrong(ib, ins[0], ib.buffer_ptr(outs[0]))
        return ib.get()

    with pytest.raises(ExprError, match=words):
        te.extern((4,), [a], body)
    with pytest.raises(ExprError, match="must return statements"):
        te.extern((4,), [a], lambda ins, outs: None)
    with pytest.raises(ExprError, match="written by the builder"):
        te.extern((4,), [a], lambda ins, outs: outs[0].__setitem__(0, 1.0))


@pytest.mark.parametrize("target", ["llvm", "opencl"])
def test_weft_schedules_what_is_around_statements(target):
    a, _, _, c = program()
    x, want = data()
    out = np.empty_like(want)
    weft.build(te.auto_schedule(c, on(target)), [a, c], target)(x, out)
    np.testing.assert_array_equal(out, want)
