"""Schedule primitives: what they do to the loops, what they refuse and in which words, traces."""

import numpy as np
import pytest
from weft.ir import te
from weft.ir.expr import Ramp
from weft.ir.identity import among
from weft.ir.lower import lower
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.schedule.schedule import create_schedule
from weft.ir.schedule.trace import Trace
from weft.runtime.errors import LoweringError, ScheduleError


def matmul(n=10, m=7, depth=5):
    a, b = te.placeholder((n, depth), name="A"), te.placeholder((depth, m), name="B")
    k = te.reduce_axis(depth, "k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
    return a, b, c


def execute(s, tensors, arrays, out_shape):
    f = lower(s, tensors)
    out = np.zeros(out_shape, np.float32)
    run(f, [*arrays, out])
    return out


GOLDEN_DEFAULT = """\
def mm(A: float32[10, 5], B: float32[5, 7], C: float32[10, 7]) -> C:
    for i in range(0, 10):
        for j in range(0, 7):
            C[i + 0, j + 0] = 0.0
            for k in range(0, 5):
                C[i + 0, j + 0] = C[i + 0, j + 0] + A[i + 0, k + 0] * B[k + 0, j + 0]"""


def test_default_loop_nest_is_golden():
    a, b, c = matmul()
    assert str(build_loop_nest(create_schedule(c), [a, b, c], "mm")) == GOLDEN_DEFAULT


GOLDEN_BOX = """\
def mm(A: float32[6, 3], B: float32[3, 6], C: float32[6, 6]) -> C:
    for i.outer in range(0, 2):
        alloc C.local: float32[4, 6] in local
        for i in range(0, 4):
            if likely(i + i.outer * 4 < 6):
                for j in range(0, 6):
                    C.local[i + i.outer * 4 - i.outer * 4, j + 0] = 0.0
                    for k in range(0, 3):
                        C.local[i + i.outer * 4 - i.outer * 4, j + 0] = \
C.local[i + i.outer * 4 - i.outer * 4, j + 0] + A[i + i.outer * 4, k + 0] * B[k + 0, j + 0]
        for i.inner in range(0, 4):
            if likely(i.outer * 4 + i.inner < 6):
                for j_1 in range(0, 6):
                    C[i.outer * 4 + i.inner + 0, j_1 + 0] = \
C.local[i.outer * 4 + i.inner + 0 - i.outer * 4, j_1 + 0]"""


def test_compute_at_stores_the_box_that_is_needed():
    a, b, c = matmul(6, 6, 3)
    s = create_schedule(c)
    acc = s.cache_write(c, "local")
    outer, _ = s[c].split(s[c].axes[0], factor=4)
    s[acc].compute_at(s[c], outer)
    assert str(build_loop_nest(s, [a, b, c], "mm")) == GOLDEN_BOX


def test_split_that_does_not_divide_is_guarded():
    a, b, c = matmul()
    s = create_schedule(c)
    outer, inner = s[c].split(s[c].axes[0], factor=4)
    assert (outer.name, inner.name) == ("i.outer", "i.inner")
    assert (str(outer.extent), str(inner.extent)) == ("3", "4")
    text = str(build_loop_nest(s, [a, b, c], "mm"))
    assert "likely(i.outer * 4 + i.inner < 10)" in text


def test_primitives_keep_the_result():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10, 5), np.float32), rng.standard_normal((5, 7), np.float32)
    a, b, c = matmul()
    s = create_schedule(c)
    acc = s.cache_write(c, "local")
    i, j = s[c].axes
    xo, yo, xi, yi = s[c].tile(i, j, 4, 4)
    s[acc].compute_at(s[c], yo)
    ai, aj = s[acc].axes
    k = s[acc].reduce_axes[0]
    ko, ki = s[acc].split(k, nparts=2)
    s[acc].reorder(ko, ki, ai, aj)
    s[acc].unroll(ai)
    s[acc].vectorize(aj)
    s[c].vectorize(yi)
    s[c].parallel(xo)
    assert among(xi, s[c].leaves)
    np.testing.assert_allclose(execute(s, [a, b, c], [x, y], (10, 7)), x @ y, rtol=1e-5)


def test_rfactor_keeps_the_result():
    a = te.placeholder((3, 13), name="A")
    k = te.reduce_axis(13, "k")
    c = te.compute((3,), lambda i: te.sum(a[i, k], k), name="C")
    s = create_schedule(c)
    _, inner = s[c].split(k, factor=4)
    partial = s.rfactor(c, inner)
    assert partial.name == "C.rf" and [str(e) for e in partial.shape] == ["4", "3"]
    s[partial].compute_at(s[c], s[c].axes[0])
    x = np.arange(39, dtype=np.float32).reshape(3, 13)
    np.testing.assert_array_equal(execute(s, [a, c], [x], (3,)), x.sum(1))


def test_symbolic_extents():
    n = te.var("n")
    a = te.placeholder((n,), name="A")
    b = te.compute((n,), lambda i: a[i] * 2, name="B")
    s = create_schedule(b)
    _, inner = s[b].split(s[b].axes[0], factor=8)
    s[b].vectorize(inner)
    f = lower(s, [n, a, b])
    for size in (0, 1, 8, 13):
        x, out = np.arange(size, dtype=np.float32), np.zeros(size, np.float32)
        run(f, [size, x, out])
        np.testing.assert_array_equal(out, 2 * x)


def test_cache_read_and_storage_align():
    a, b, c = matmul(6, 8, 4)
    s = create_schedule(c)
    copy = s.cache_read(b, "local", [c])
    s[copy].storage_align(s[copy].axes[0], 16, 1)
    text = str(lower(s, [a, b, c]))
    assert "B.local" in text
    x = np.ones((6, 4), np.float32)
    y = np.arange(32, dtype=np.float32).reshape(4, 8)
    np.testing.assert_array_equal(execute(s, [a, b, c], [x, y], (6, 8)), x @ y)


def dot4(begins=True):
    p, q = te.placeholder((4,), name="p"), te.placeholder((4,), name="q")
    r = te.reduce_axis(4, "r")
    out = te.compute((1,), lambda z: te.sum(p[r] * q[r], r), name="dot")

    def body(inputs, output):
        u, v = inputs
        total = output.load(0)
        for t in range(4):
            total = total + u.load(t) * v.load(t)
        init = output.store(te.const(0, "float32"), 0) if begins else None
        return init, output.store(total, 0)

    return te.decl_tensor_intrin(out, body, "dot4")


def test_tensorize():
    a, b, c = matmul(3, 5, 8)
    s = create_schedule(c)
    jo, ji = s[c].split(s[c].axes[1], factor=1)
    ko, ki = s[c].split(s[c].reduce_axes[0], factor=4)
    s[c].reorder(s[c].axes[0], jo, ko, ji, ki)
    s[c].tensorize(ji, dot4())
    rng = np.random.default_rng(1)
    x, y = rng.integers(-3, 4, (3, 8)), rng.integers(-3, 4, (8, 5))
    got = execute(s, [a, b, c], [x.astype(np.float32), y.astype(np.float32)], (3, 5))
    np.testing.assert_array_equal(got, x @ y)
    again = Trace.from_json(s.trace.to_json()).replay(create_schedule(c))
    assert str(again.trace) == str(s.trace)


@pytest.mark.parametrize("order", ["sums inside", "sums outside"])
def test_tensorize_leaves_a_rest_to_the_loops(order):
    """Ten terms in blocks of four, and five columns two by two."""
    a, b, c = matmul(3, 5, 10)
    s = create_schedule(c)
    jo, ji = s[c].split(s[c].axes[1], factor=2)
    one, block = s[c].split(ji, factor=1)
    ko, ki = s[c].split(s[c].reduce_axes[0], factor=4)
    i = s[c].axes[0]
    outer = (i, jo, one, ko) if order == "sums inside" else (ko, i, jo, one)
    s[c].reorder(*outer, block, ki)
    s[c].tensorize(block, dot4())
    rng = np.random.default_rng(1)
    x, y = rng.integers(-3, 4, (3, 10)), rng.integers(-3, 4, (10, 5))
    got = execute(s, [a, b, c], [x.astype(np.float32), y.astype(np.float32)], (3, 5))
    np.testing.assert_array_equal(got, x @ y)


def copy4():
    p = te.placeholder((4,), name="p")
    out = te.compute((4,), lambda z: p[z], name="copy")

    def body(inputs, output):
        at = Ramp(te.const(0, "int32"), te.const(1, "int32"), 4)
        return None, output.store(inputs[0].load(at), at)

    return te.decl_tensor_intrin(out, body, "copy4")


@pytest.mark.parametrize("first", [True, False])
def test_tensorize_is_judged_where_the_stage_is_computed(first):
    """The copy is of ten elements, and of four where it is computed; the last tile has two."""
    a = te.placeholder((10,), name="A")
    t = te.compute((10,), lambda i: a[i], name="T")
    b = te.compute((10,), lambda i: t[i] * 2, name="B")
    s = create_schedule(b)
    outer, _ = s[b].split(b.op.axes[0], 4)
    for step in range(2):
        if (step == 0) is first:
            s[t].tensorize(t.op.axes[0], copy4())
        else:
            s[t].compute_at(s[b], outer)
    x = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(execute(s, [a, b], [x], (10,)), x * 2)


def test_tensorize_of_blocks_that_are_none_says_so():
    a = te.placeholder((10,), name="A")
    t = te.compute((10,), lambda i: a[i], name="T")
    s = create_schedule(t)
    s[t].tensorize(t.op.axes[0], copy4())
    with pytest.raises(ScheduleError, match="of T from i inwards are not copy4: i has extent 10"):
        lower(s, [a, t])
    _, _, c = tensors = matmul(3, 5, 10)
    s = create_schedule(c)
    ko, ki = s[c].split(s[c].reduce_axes[0], factor=4)
    _, block = s[c].split(s[c].axes[1], factor=1)
    s[c].reorder(ko, block, ki)
    s[c].tensorize(block, dot4(begins=False))
    with pytest.raises(ScheduleError, match="no statements that begin a sum"):
        lower(s, tensors)


def test_tensorize_refuses_what_does_not_match():
    p = te.placeholder((4,), name="p")
    r = te.reduce_axis(4, "r")
    total = te.compute((1,), lambda z: te.max(p[r], r), name="m")
    intrin = te.decl_tensor_intrin(total, lambda i, o: (None, o.store(i[0].load(0), 0)), "max4")
    _, _, c = matmul(3, 5, 8)
    s = create_schedule(c)
    with pytest.raises(ScheduleError, match="are not max4"):
        s[c].tensorize(s[c].leaves[-1], intrin)


REFUSALS = {
    "split by zero": (lambda s, c: s[c].split(s[c].axes[0], factor=0), "not a positive integer"),
    "split by both": (
        lambda s, c: s[c].split(s[c].axes[0], factor=2, nparts=2),
        "either factor or nparts",
    ),
    "split of a loop that is gone": (
        lambda s, c: [s[c].split(s[c].axes[0], 2) for _ in range(2)],
        "i is not a loop of C",
    ),
    "fuse across kinds": (
        lambda s, c: s[c].fuse(s[c].axes[1], s[c].reduce_axes[0]),
        "a data loop and a reduce loop",
    ),
    "fuse of strangers": (lambda s, c: s[c].fuse(*reversed(s[c].axes)), "are not neighbours"),
    "reorder twice": (lambda s, c: s[c].reorder(s[c].axes[0], s[c].axes[0]), "named twice"),
    "vectorize a reduction": (
        lambda s, c: s[c].vectorize(s[c].reduce_axes[0]),
        "is a reduce loop, its iterations depend on each other",
    ),
    "vectorize outside of the reduction": (
        lambda s, c: s[c].vectorize(s[c].axes[1]),
        "the reduction lies inside j",
    ),
    "parallel reduction": (lambda s, c: s[c].parallel(s[c].reduce_axes[0]), "would race"),
    "bind of a reduction": (
        lambda s, c: s[c].bind(s[c].reduce_axes[0], te.thread_axis("blockIdx.x")),
        "would race",
    ),
    "inline of a result": (lambda s, c: s[c].compute_inline(), "cannot be written inside"),
    "compute_at of itself": (lambda s, c: s[c].compute_at(s[c], s[c].axes[0]), "does not use"),
    "unknown scope": (lambda s, c: s[c].set_scope("moon"), "there is no scope 'moon'"),
    "cache_read into an unknown scope": (
        lambda s, c: s.cache_read(c.op.inputs[0], "moon", [c]),
        "cache_read of .*: there is no scope 'moon'",
    ),
    "cache_write into an unknown scope": (
        lambda s, c: s.cache_write(c, "moon"),
        "cache_write of C: there is no scope 'moon'",
    ),
    "unknown thread": (lambda s, c: te.thread_axis("threadIdx.w"), "no thread axis"),
    "rfactor of a data loop": (lambda s, c: s.rfactor(c, s[c].axes[0]), "one of its reduce loops"),
    "annotated twice": (
        lambda s, c: [s[c].unroll(s[c].axes[0]), s[c].parallel(s[c].axes[0])],
        "is already unrolled",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_say_why_and_show_the_loops(name):
    call, words = REFUSALS[name]
    _, _, c = matmul()
    with pytest.raises(ScheduleError, match=words) as e:
        call(create_schedule(c), c)
    if name not in ("unknown thread", "cache_read into an unknown scope"):
        assert "C" in str(e.value)
    if "loop nest" in str(e.value):
        assert "for " in str(e.value) and "hint:" in str(e.value)


def test_reorder_that_breaks_a_reduction():
    _, _, c = matmul()
    s = create_schedule(c)
    i, j = s[c].axes
    (k,) = s[c].reduce_axes
    s[c].reorder(k, i, j)
    s[c].vectorize(j)
    with pytest.raises(ScheduleError, match="would put the reduction inside the vectorized loop j"):
        s[c].reorder(j, k)


def test_compute_at_outside_of_the_consumer():
    a = te.placeholder((8,), name="A")
    b = te.compute((8,), lambda i: a[i] + 1, name="B")
    c = te.compute((8,), lambda i: b[i] * 2, name="C")
    d = te.compute((8,), lambda i: a[i] * 3, name="D")
    s = create_schedule([c, d])
    with pytest.raises(ScheduleError, match="D does not use B") as e:
        s[b].compute_at(s[d], s[d].axes[0])
    assert "stages that read B: C" in str(e.value)


def test_compute_at_that_leaves_a_reader_outside():
    a = te.placeholder((8,), name="A")
    b = te.compute((8,), lambda i: a[i] + 1, name="B")
    c = te.compute((8,), lambda i: b[i] * 2, name="C")
    d = te.compute((8,), lambda i: b[i] * 3, name="D")
    s = create_schedule([c, d])
    s[b].compute_at(s[c], s[c].axes[0])
    with pytest.raises(ScheduleError, match="but D reads it outside of that loop"):
        lower(s, [a, c, d])


def test_vectorize_of_a_symbolic_extent():
    n = te.var("n")
    a = te.placeholder((n,), name="A")
    b = te.compute((n,), lambda i: a[i], name="B")
    s = create_schedule(b)
    with pytest.raises(ScheduleError, match="known only when the kernel runs"):
        s[b].vectorize(s[b].axes[0])


def test_missing_argument():
    a, _, c = matmul()
    with pytest.raises(LoweringError, match="B is an input of the schedule and is missing"):
        lower(create_schedule(c), [a, c])


def test_trace_is_serialised_printed_and_replayed():
    a, b, c = matmul()
    s = create_schedule(c)
    cached = s.cache_write(c, "local")
    i, j = s[c].axes
    io, ii = s[c].split(i, factor=4)
    fused = s[c].fuse(ii, j)
    s[cached].compute_at(s[c], io)
    s[c].vectorize(fused)
    assert str(s.trace).splitlines() == [
        "s['C'].cache_write('local')",
        "s['C'].split('i', 4, None)",
        "s['C'].fuse(['i.inner', 'j'])",
        "s['C.local'].compute_at('C', 'i.outer')",
        "s['C'].vectorize('i.inner.j.fused')",
    ]
    a2, b2, c2 = matmul()
    again = Trace.from_json(s.trace.to_json()).replay(create_schedule(c2))
    assert again.trace == s.trace
    assert str(lower(again, [a2, b2, c2])) == str(lower(s, [a, b, c]))


def test_trace_of_another_computation_does_not_fit():
    _, _, c = matmul()
    with pytest.raises(ScheduleError, match="there is no stage 'Z'"):
        Trace.from_json('[["Z", "split", ["i", 2, null]]]').replay(create_schedule(c))
    with pytest.raises(ScheduleError, match="is not a schedule trace"):
        Trace.from_json("[[1]]")


def test_te_has_the_usual_names():
    x = te.placeholder((1,), name="x")[0]
    assert str(te.round(x)) == "round(x[0])" and str(te.pow(x, 2.0)) == "pow(x[0], 2.0)"
    for name in (
        "compute", "comm_reducer", "sum", "prod", "max", "min", "any", "all", "argmax", "argmin",
        "if_then_else", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "floor", "ceil",
        "trunc", "sin", "cos", "var", "create_schedule", "thread_axis",
    ):  # fmt: skip
        assert callable(getattr(te, name))
