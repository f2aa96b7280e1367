"""Results that are computed at loops of other results."""

import numpy as np
import pytest
import weft
from support.random_gpu_schedules import run_kernels
from weft.ir import te
from weft.ir.lower import lower, lower_kernels
from weft.ir.meaning.interp import run
from weft.runtime.devices.probe import probe
from weft.runtime.errors import ScheduleError

TA = te.thread_axis
RNG = np.random.RandomState(3)


def whole(*shape):
    return RNG.randint(-8, 9, shape).astype("float32")


def chain(n, m, shift=0):
    """C reads B; D reads both, afterwards."""
    a = te.placeholder((n + shift, m), name="A")
    b = te.compute((n + shift, m), lambda i, j: a[i, j] * 2.0, name="B")
    c = te.compute((n, m), lambda i, j: b[i, j] + b[i + shift, j], name="C")
    d = te.compute((n, m), lambda i, j: b[i, j] * c[i, j], name="D")
    x = whole(n + shift, m)
    y = x[:n] * 2 + x[shift:] * 2
    return [a, b, c, d], [x], [x * 2, y, x[:n] * 2 * y]


def sums(n, m):
    """Two results that do not read each other."""
    a = te.placeholder((n, m), name="A")
    k, k2 = te.reduce_axis(m, "k"), te.reduce_axis(m, "k2")
    low = te.compute((n,), lambda i: te.min(a[i, k], axis=k), name="low")
    high = te.compute((n,), lambda i: te.max(a[i, k2], axis=k2), name="high")
    x = whole(n, m)
    return [a, low, high], [x], [x.min(1), x.max(1)]


def read_inside(factor):
    args, given, want = chain(10, 7)
    s = te.create_schedule(args[1:])
    _, b, c, _ = args
    outer, _ = s[c].split(s[c].axes[0], factor)
    s[b].compute_at(s[c], outer)
    return s, args, given, want


def fused():
    args, given, want = chain(10, 7)
    s = te.create_schedule(args[1:])
    _, b, c, _ = args
    outer, _ = s[c].split(s[c].fuse(*s[c].axes), 7)
    s[b].compute_at(s[c], outer)
    return s, args, given, want


def overlapping():
    """Elements that two iterations read are computed twice."""
    args, given, want = chain(9, 5, 1)
    s = te.create_schedule(args[1:])
    s[args[1]].compute_at(s[args[2]], s[args[2]].axes[0])
    s[args[2]].parallel(s[args[2]].axes[0])
    return s, args, given, want


def along(order):
    args, given, want = sums(11, 6)
    s = te.create_schedule([args[1], args[2]][::order])
    low, high = args[1:]
    outer, _ = s[high].split(s[high].axes[0], 4)
    s[low].compute_at(s[high], outer)
    s[high].parallel(outer)
    return s, args, given, want


def on_threads():
    args, given, want = sums(11, 6)
    s = te.create_schedule(args[1:])
    low, high = args[1:]
    block, lane = s[high].split(s[high].axes[0], 4)
    s[high].bind(block, TA("blockIdx.x"))
    s[high].bind(lane, TA("threadIdx.x"))
    s[low].compute_at(s[high], lane)
    return s, args, given, want


CASES = {
    "rows": lambda: read_inside(1),
    "rows that do not divide": lambda: read_inside(4),
    "fused": fused,
    "overlapping": overlapping,
    "along": lambda: along(1),
    "along one that came first": lambda: along(-1),
}


def check(name, s, args, given, want):
    got = [np.full_like(w, 77) for w in want]
    run(lower(s, args, "llvm"), [*given, *got])
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(g, w, err_msg=name)
    assert s.trace.replay(te.create_schedule(s.outputs)).trace == s.trace


@pytest.mark.parametrize("name", CASES)
def test_on_a_cpu(name):
    s, args, given, want = CASES[name]()
    check(name, s, args, given, want)
    got = [np.full_like(w, 77) for w in want]
    weft.build(s, args, "llvm")(*given, *got)
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("device", ["", "opencl", "webgpu"])
def test_on_threads(device):
    s, args, given, want = on_threads()
    got = [np.full_like(w, 77) for w in want]
    if not device:
        run_kernels(lower_kernels(s, args, "webgpu"), [*given, *got])
    else:
        found = probe(device)
        if not found.ok:
            pytest.skip(found.reason)
        weft.build(s, args, device)(*given, *got)
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(g, w)


def test_all_of_it_must_be_computed():
    a = te.placeholder((10,), name="A")
    b = te.compute((10,), lambda i: a[i] + 1.0, name="B")
    c = te.compute((5,), lambda i: b[i * 2], name="C")
    s = te.create_schedule([b, c])
    s[b].compute_at(s[c], c.op.axes[0])
    with pytest.raises(ScheduleError, match=r"B is a result(.|\n)*do not come to the whole"):
        lower(s, [a, b, c])


def test_sums_of_several_threads_would_race():
    a, k = te.placeholder((9, 4), name="A"), te.reduce_axis(4, "k")
    b = te.compute((9,), lambda i: te.sum(a[i, k], axis=k), name="B")
    c = te.compute((8,), lambda i: b[i] + b[i + 1], name="C")
    s = te.create_schedule([b, c])
    s[b].compute_at(s[c], c.op.axes[0])
    lower(s, [a, b, c])  # one after another: computed again, and right
    s[c].parallel(c.op.axes[0])
    with pytest.raises(ScheduleError, match=r"race for its sums(.|\n)*cache_write"):
        lower(s, [a, b, c])


def test_symbolic_rows():
    n = te.var("n")
    a = te.placeholder((n,), name="A")
    b = te.compute((n,), lambda i: a[i] * 3.0, name="B")
    c = te.compute((n,), lambda i: b[i] - 1.0, name="C")
    s = te.create_schedule([b, c])
    outer, _ = s[c].split(c.op.axes[0], 4)
    s[b].compute_at(s[c], outer)
    x = whole(10)
    got = [np.full(10, 77, "float32") for _ in range(2)]
    run(lower(s, [n, a, b, c]), [10, x, *got])
    np.testing.assert_array_equal(got[0], x * 3)
    np.testing.assert_array_equal(got[1], x * 3 - 1)
