"""Words that a user of TVM or Halide writes, on every target that runs from Python."""

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.lower import lower
from weft.ir.meaning.evaluate import evaluate
from weft.ir.schedule.schedule import create_schedule
from weft.ir.simplify import simplify
from weft.runtime.devices.probe import probe
from weft.runtime.errors import InputError

N, M = 13, 7
A = te.placeholder((N, M), name="A")
I = te.placeholder((N, M), "int32", name="I")  # noqa: E741
a = np.random.default_rng(0).normal(size=(N, M)).astype("float32")
i32 = np.random.default_rng(1).integers(-(2**31), 2**31, (N, M)).astype("int32")
i32[0, 0] = -(2**31)
k, r = te.reduce_axis(M, "k"), te.reduce_axis((1, M), "r")
rows, cols = np.arange(N)[:, None], np.arange(M)[None]
inside = (rows >= 1) & (cols < M - 1) & (rows + cols != 9)

# name -> (shape, function, what numpy says)
WORDS = {
    "floordiv": ((N, M), lambda i, j: te.floordiv(I[i, j], -7), i32 // -7),
    "floormod": ((N, M), lambda i, j: te.floormod(I[i, j], 7), i32 % 7),
    "truncmod": ((N, M), lambda i, j: te.truncmod(I[i, j], 7), np.fmod(i32, 7)),
    "abs": ((N, M), lambda i, j: te.abs(I[i, j]) - abs(A[i, j]).astype("int32"),
            np.abs(i32) - np.abs(a).astype("int32")),
    "limits": ((N, M), lambda i, j: te.maximum(te.minimum(I[i, j], te.max_value("int8").astype(
        "int32")), te.min_value("int8").astype("int32")), np.clip(i32, -128, 127)),
    "reinterpret": ((N, M), lambda i, j: te.reinterpret(A[i, j], "int32") & 0xFFFF,
                    a.view("int32") & 0xFFFF),
    "reinterpret back": ((N, M), lambda i, j: te.reinterpret(I[i, j] & 0x3FFFFFFF, "float32"),
                         (i32 & 0x3FFFFFFF).view("float32")),
    "all of conditions": ((N, M), lambda i, j: te.select(
        te.all(i >= 1, j < M - 1, te.not_equal(i + j, 9)), A[i, j], 0.0), np.where(inside, a, 0)),
    "any of conditions": ((N, M), lambda i, j: te.if_then_else(
        te.any(i < 1, j >= M - 1, i + j == 9), 0.0, A[i, j]), np.where(inside, a, 0)),
    "likely": ((N, M), lambda i, j: te.if_then_else(
        te.likely(te.all(i >= 1, j < M - 1)), A[i - 1, j + 1], 0.0),
        np.where((rows >= 1) & (cols < M - 1), np.roll(a, (1, -1), (0, 1)), 0)),
    "likely where": ((N,), lambda i: te.sum(A[i, k], axis=k, where=te.likely(k <= i) & (k != 2)),
                     np.where((cols <= rows) & (cols != 2), a, 0).sum(1)),
    "indices one by one": ((M, N), lambda i, j: A[j][i] + A(j)(i), 2 * a.T),
    "axes and a rest": ((N, M), lambda i, *rest: A(i, *rest) + 1.0, a + 1),
}  # fmt: skip


@pytest.mark.parametrize("target", ["llvm", "opencl", "webgpu"])
def test_words_mean_what_numpy_says(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    for name, (shape, fn, want) in WORDS.items():
        out = te.compute(shape, fn, name="out")
        (meant,) = evaluate([out], {A: a, I: i32})
        np.testing.assert_allclose(meant, want, rtol=1e-6, err_msg=name)
        s = te.create_schedule(out)
        if target != "llvm":
            s[out].bind(s[out].op.axis[0], te.thread_axis((0, shape[0]), "threadIdx.x"))
        got = np.full(shape, -1, want.dtype)
        weft.build(s, [A, I, out], target)(a, i32, got)
        np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=f"{name} on {target}")


def test_conditions_along_an_axis():
    deep = te.compute((N,), lambda i: te.any(A[i, k] > 1.5, axis=k), name="deep")
    high = te.compute((N,), lambda i: te.all(A[i, r] > -1.5, r), name="high")
    got = evaluate([deep, high], {A: a})
    np.testing.assert_array_equal(got[0], (a > 1.5).any(1))
    np.testing.assert_array_equal(got[1], (a[:, 1:] > -1.5).all(1))


def test_what_is_likely_is_asked_at_the_edge_only():
    def nest(mark):
        out = te.compute((64,), lambda i: te.if_then_else(mark(i >= 2), X[i - 2], 0.0), name="out")
        return str(lower(te.create_schedule(out), [X, out]))

    X = te.placeholder((64,), name="X")
    assert "select" not in nest(te.likely) and "likely" not in nest(te.likely)
    assert "select" in nest(lambda c: c)
    q = te.reduce_axis(64, "q")
    ragged = te.compute((64,), lambda i: te.sum(X[q], axis=q, where=te.likely(q <= i)))
    assert "if" not in str(lower(te.create_schedule(ragged), [X, ragged]))


def test_sizes_are_not_negative():
    n, m = te.size_var("n"), te.var("m")
    assert str(simplify(te.maximum(n, 0))) == "n" and str(simplify(te.maximum(m, 0))) != "m"
    x = te.placeholder((n,), name="x")
    y = te.compute((n,), lambda i: x[i] + 1.0, name="y")
    kernel = weft.build(te.create_schedule(y), [n, x, y])
    with pytest.raises(InputError, match="n = -1 is a size"):
        kernel(-1, a[:0, 0], a[:0, 0])


def test_schedules_are_written_as_in_tvm():
    """The reduction of TVM's tutorial, word for word but for the module."""
    n, m = 37, 50
    x = te.placeholder((n, m), name="x")
    ax = te.reduce_axis((0, m), "k")
    b = te.compute((n,), lambda i: te.sum(x[i, ax], axis=ax), name="b", tag="comm_reduce")
    assert b.op.tag == "comm_reduce" and b.op.output(0) is b and tuple(map(int, b.shape)) == (n,)
    s = te.create_schedule(b.op).normalize()
    _, ki = s[b].split(b.op.reduce_axis[0], factor=16)
    bf = s.rfactor(b, ki)
    xo, xi = s[b].split(s[b].op.axis[0], factor=np.int64(32))
    s[b].bind(xo, te.thread_axis("blockIdx.x"))
    s[b].bind(xi, te.thread_axis((0, 32), "threadIdx.y"))
    s[bf].compute_at(s[b], s[b].op.reduce_axis[0])
    s[b].pragma(xi, "auto_unroll_max_step", 16)
    assert [ax.name for ax in s[b].leaf_iter_vars][-1] == ki.name
    again = s.trace.replay(te.create_schedule([b]))
    assert again.trace == s.trace and str(lower(again, [x, b])) == str(lower(s, [x, b]))
    assert te.create_schedule([b.op, x.op.output(0)]).outputs[0] is b


def test_the_arg_max_of_tvms_tutorial():
    def combine(lhs, rhs):
        first = lhs[1] >= rhs[1]
        return te.select(first, lhs[0], rhs[0]), te.select(first, lhs[1], rhs[1])

    argmax = te.comm_reducer(combine, lambda t0, t1: (te.const(-1, t0), te.min_value(t1)), "argmax")
    where, best = te.compute((N,), lambda i: argmax((k, A[i, k]), axis=k), name="T")
    got = np.empty(N, "int32"), np.empty(N, "float32")
    weft.build(create_schedule(where.op), [A, where, best])(a, *got)
    np.testing.assert_array_equal(got[0], a.argmax(1))
    np.testing.assert_array_equal(got[1], a.max(1))
