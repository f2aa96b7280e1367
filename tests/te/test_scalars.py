"""Numbers of every type as arguments; reductions as long as data say; times of kernels."""

from itertools import pairwise

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.meaning.evaluate import evaluate
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import ExprError, InputError, ScheduleError

from .test_sizes import DEVICES, TARGETS, bind

VALUES = {
    "float32": 2.5, "float16": 1.5, "bfloat16": -1.5, "float64": 0.1, "int8": -7, "int16": -300,
    "int32": -3, "int64": 2**31 - 1, "uint8": 200, "uint16": 60000, "uint32": 2**32 - 1,
    "uint64": 7, "bool": True,
}  # fmt: skip


@pytest.mark.parametrize("target", [*TARGETS, "opengl", "wasm"])
def test_numbers_of_every_type(target):
    """All in one kernel of lanes: each is broadcast."""
    types = [t for t in VALUES if t != "float64" or target in ("llvm", "opencl", "wasm")]
    scalars = [te.var(f"c_{t}", t) for t in types]
    A = te.placeholder((37,), name="A")

    def element(i):
        value = A[i]
        for c in scalars:
            number = te.cast(c, "float32")
            value = te.if_then_else(c, value, value + 1.0) if c.dtype.is_bool else value + number
        return value

    B = te.compute((37,), element, name="B")
    s = te.create_schedule(B)
    if target in DEVICES:
        o, i = s[B].split(B.op.axes[0], 4)
        o, t = s[B].split(o, 4)
        s[B].bind(o, te.thread_axis("blockIdx.x"))
        s[B].bind(t, te.thread_axis("threadIdx.x"))
        s[B].vectorize(i)
    elif target in ("llvm", "wasm"):
        o, i = s[B].split(B.op.axes[0], 8)
        s[B].parallel(o)
        s[B].vectorize(i)
    kernel = weft.build(s, [*scalars, A, B], target=target)
    a, out = np.arange(37, dtype="float32"), np.empty(37, "float32")
    for values in (VALUES, {t: type(v)(1) for t, v in VALUES.items()}, VALUES):
        kernel(*(values[t] for t in types), a, out)
        want = a.copy()
        for t in types:
            number = np.asarray(values[t], dtype_of(t).numpy).astype("float32")
            want = want if t == "bool" and values[t] else want + number if t != "bool" else want + 1
        np.testing.assert_allclose(out, want, rtol=1e-6)


def test_numbers_that_do_not_fit():
    c, A = te.var("c", "float32"), te.placeholder((4,), name="A")
    B = te.compute((4,), lambda i: A[i] * c, name="B")
    kernel = weft.build(te.create_schedule(B), [c, A, B])
    a, out = np.ones(4, "float32"), np.empty(4, "float32")
    kernel(np.float64(2), a, out)
    kernel(3, a, out)
    assert out.tolist() == [3] * 4
    for value in ("2", None, 1e300, np.ones(2)):
        with pytest.raises(InputError, match="c "):
            kernel(value, a, out)


def spmv(ends):
    """y = A x for a matrix in compressed rows, all sizes symbolic."""
    m, n, nnz = te.var("m"), te.var("n"), te.var("nnz")
    P, J = te.placeholder((m + 1,), "int32", name="P"), te.placeholder((nnz,), "int32", name="J")
    V, X = te.placeholder((nnz,), name="V"), te.placeholder((n,), name="X")

    def row(i):
        k = te.reduce_axis((P[i], P[i + 1]) if ends else (0, P[i + 1] - P[i]), "k")
        e = k if ends else P[i] + k
        return te.sum(V[e] * X[J[e]], axis=k)

    return P, J, V, X, te.compute((m,), row, name="Y")


def rows(m, n):
    rng = np.random.RandomState(m)
    p = np.concatenate([[0], np.cumsum(rng.randint(0, 5, m))]).astype("int32")
    j, v = rng.randint(0, n, p[-1]).astype("int32"), rng.rand(p[-1]).astype("float32")
    x = rng.rand(n).astype("float32")
    want = [np.dot(v[a:b], x[j[a:b]]) if b > a else 0.0 for a, b in pairwise(p)]
    return (p, j, v, x), np.array(want, "float32")


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("how", ["plain", "split", "cached", "rfactor"])
@pytest.mark.parametrize("target", TARGETS)
def test_sparse_matrix_times_vector(target, how, ends):
    *inputs, Y = spmv(ends)
    s = te.create_schedule(Y)
    (k,) = Y.op.reduce_axes
    if how == "split":
        s[Y].split(k, 4)
    if how == "rfactor":
        F = s.rfactor(Y, s[Y].split(k, 4)[1])
        if target in DEVICES:
            part, i = F.op.axes
            s[F].reorder(i, part)
            s[F].bind(i, te.thread_axis("blockIdx.x"))
            s[F].bind(part, te.thread_axis("threadIdx.x"))
    if how == "cached":
        C = s.cache_write(Y, "local")
        s[C].split(C.op.reduce_axes[0], 2)
    bind(s, Y, target)
    if how == "cached":
        s[C].compute_at(s[Y], s[Y].leaves[-1])
    kernel = weft.build(s, [*inputs, Y], target=target)
    for m, n in [(1, 1), (13, 7), (40, 11)]:
        given, want = rows(m, n)
        out = np.full(m, np.nan, "float32")
        kernel(*given, out)
        np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)


def test_the_meaning_of_ragged_reductions():
    P, V = te.placeholder((4,), "int32", name="P"), te.placeholder((7,), name="V")

    def segment(i):
        return te.max(V[k := te.reduce_axis((P[i], P[i + 1]), "k")], axis=k)

    B = te.compute((3,), segment, name="B")
    p, v = np.array([0, 3, 3, 7], "int32"), np.arange(7, dtype="float32")
    (got,) = evaluate([B], {P: p, V: v})
    assert got.tolist() == [2, -np.inf, 6]


def test_orders_of_loops_that_cannot_be():
    *inputs, Y = spmv(False)
    s = te.create_schedule(Y)
    (i,), (k,) = Y.op.axes, Y.op.reduce_axes
    s[Y].reorder(k, i)
    with pytest.raises(ScheduleError, match=r"loop k is depends on the loop i, which is inside"):
        weft.build(s, [*inputs, Y])
    *inputs, Y = spmv(False)
    s = te.create_schedule(Y)
    o, lane = s[Y].split(Y.op.axes[0], 4)
    s[Y].reorder(o, Y.op.reduce_axes[0], lane)
    s[Y].vectorize(lane)
    with pytest.raises(ScheduleError, match="which is inside of it"):
        weft.build(s, [*inputs, Y])
    *inputs, Y = spmv(False)
    with pytest.raises(ScheduleError, match="only the data say"):
        te.create_schedule(Y).rfactor(Y, Y.op.reduce_axes[0])
    P = te.placeholder((9,), "int32", name="P")
    a = te.reduce_axis(3, "a")
    b = te.reduce_axis(P[a], "b")
    with pytest.raises(ExprError, match="b is depends on the reduce axis a"):
        te.compute((3,), lambda i: te.sum(P[a + b + i], axis=[a, b]), name="S")


@pytest.mark.parametrize("target", [*TARGETS, "opengl"])
def test_the_time_of_a_kernel(target):
    n = 100 if target == "opengl" else te.var("n")
    B = te.compute((n,), lambda i: te.cast(i, "float32"), name="B")
    s = te.create_schedule(B)
    bind(s, B, target)
    kernel, out = weft.build(s, [B], target=target), np.empty(100, "float32")
    t = kernel.time(out, number=2, repeat=3)
    assert out.tolist() == list(range(100))
    assert len(t.nanoseconds) == 3 and 0 < t.min <= t.median and t.min <= t.mean
    assert "median" in str(t)
    with pytest.raises(InputError, match="at least 1"):
        kernel.time(out, repeat=0)
