"""Tiles that are copied ahead, and stores under a condition."""

import numpy as np
import pytest
import weft
from support.random_gpu_schedules import run_kernels
from weft.ir import te
from weft.ir.lower import lower, lower_kernels
from weft.ir.meaning.interp import run
from weft.ir.stmt import Barrier, For, ForKind
from weft.ir.visit import walk
from weft.runtime.devices.probe import probe
from weft.runtime.errors import ScheduleError

TA = te.thread_axis
RNG = np.random.RandomState(2)


def whole(*shape):
    return RNG.randint(-8, 9, shape).astype("float32")


def product(depth, step, double=True, n=6, m=10):
    """A tiled product; both operands come through shared memory."""
    a, b = te.placeholder((n, depth), name="A"), te.placeholder((depth, m), name="B")
    k = te.reduce_axis(depth, "k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    s = te.create_schedule(c)
    stages = [s.cache_read(t, "shared", [c]) for t in (a, b)]
    acc = s.cache_write(c, "local")
    i, j = s[c].axes
    block, lane = s[c].split(j, 8)
    s[c].reorder(block, i, lane)
    s[c].bind(block, TA("blockIdx.x"))
    s[c].bind(i, TA("threadIdx.y"))
    s[c].bind(lane, TA("threadIdx.x"))
    s[acc].compute_at(s[c], lane)
    outer, inner = s[acc].split(s[acc].reduce_axes[0], step)
    s[acc].reorder(outer, inner, *s[acc].axes)
    for t in stages:
        s[t].compute_at(s[acc], outer)
        flat, x = s[t].split(s[t].fuse(*s[t].axes), 8)
        _, y = s[t].split(flat, n)
        s[t].bind(x, TA("threadIdx.x"))
        s[t].bind(y, TA("threadIdx.y"))
        if double:
            s[t].double_buffer()
    x, y = whole(n, depth), whole(depth, m)
    return s, [a, b, c], [x, y], [x @ y]


@pytest.mark.parametrize(("depth", "step"), [(16, 4), (12, 4), (11, 4), (4, 4), (3, 8), (5, 4)])
def test_any_number_of_tiles(depth, step):
    s, args, given, want = product(depth, step)
    got = [np.full_like(w, 77) for w in want]
    run_kernels(lower_kernels(s, args, "webgpu"), [*given, *got])
    np.testing.assert_array_equal(got[0], want[0])
    again = s.trace.replay(te.create_schedule(s.outputs))
    assert again.trace == s.trace


@pytest.mark.parametrize("device", ["opencl", "webgpu"])
def test_on_devices(device):
    found = probe(device)
    if not found.ok:
        pytest.skip(found.reason)
    for depth, step in ((11, 4), (8, 4)):
        s, args, given, want = product(depth, step)
        got = [np.full_like(w, 77) for w in want]
        weft.build(s, args, device)(*given, *got)
        np.testing.assert_array_equal(got[0], want[0])


def test_threads_wait_once_a_tile():
    """64 tiles: two barriers for two of them, in the loop over pairs."""

    def waits(double):
        s, args, *_ = product(256, 4, double)
        (kernel,) = lower_kernels(s, args, "webgpu")
        loops = [
            n for n in walk(kernel.function.body)
            if isinstance(n, For) and n.kind is ForKind.SERIAL
            and any(isinstance(x, Barrier) for x in walk(n.body))
        ]  # fmt: skip
        return [(str(n.extent), sum(isinstance(x, Barrier) for x in walk(n.body))) for n in loops]

    assert waits(False) == [("64", 2)]
    assert waits(True) == [("32", 2)]


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_tiles_counted_when_the_kernel_runs(n):
    """Also none at all; registers of one thread, on a CPU."""
    size = te.var("n")
    a, k = te.placeholder((size, 3), name="A"), te.reduce_axis(size, "k")
    b = te.compute((3,), lambda j: te.sum(a[k, j], axis=k), name="B")
    s = te.create_schedule(b)
    copy = s.cache_read(a, "local", [b])
    s[b].reorder(s[b].reduce_axes[0], s[b].axes[0])
    s[copy].compute_at(s[b], s[b].reduce_axes[0])
    s[copy].double_buffer()
    x, got = whole(n, 3), np.full(3, 77, "float32")
    run(lower(s, [size, a, b], "llvm"), [n, x, got])
    np.testing.assert_array_equal(got, x.sum(0))


def test_nothing_to_copy_ahead():
    s, (a, _, c), *_ = product(16, 4, False)
    with pytest.raises(ScheduleError, match="is a result"):
        s[c].double_buffer()
    t = te.create_schedule(c)
    copy = t.cache_read(a, "local", [c])
    t[copy].double_buffer()
    with pytest.raises(ScheduleError, match="computed as a whole"):
        lower(t, [a, *c.op.inputs[1:], c], "llvm")
    t[copy].compute_at(t[c], t[c].axes[0])
    t[c].parallel(t[c].axes[0])
    with pytest.raises(ScheduleError, match="one after another"):
        lower(t, [a, *c.op.inputs[1:], c], "llvm")


def predicated():
    """All threads of x have the sum; the first one stores it."""
    a = te.placeholder((5, 7), name="A")
    k = te.reduce_axis(7, "k")
    b = te.compute((5,), lambda i: te.sum(a[i, k], axis=k), name="B")
    c = te.compute((5, 4), lambda i, j: b[i] * a[i, j], name="C")
    s = te.create_schedule(c)
    s[c].bind(c.op.axes[0], TA("blockIdx.x"))
    s[c].bind(c.op.axes[1], TA("threadIdx.x"))
    acc = s.cache_write(b, "local")
    s[b].set_scope("shared")
    s[b].compute_at(s[c], c.op.axes[0])
    s[acc].compute_at(s[b], s[b].axes[0])
    s[b].set_store_predicate(te.equal(TA("threadIdx.x"), 0))
    x = whole(5, 7)
    return s, [a, c], [x], [x.sum(1, keepdims=True) * x[:, :4]]


def test_store_predicate():
    s, args, given, want = predicated()
    kernels = lower_kernels(s, args, "webgpu")
    got = [np.full_like(w, 77) for w in want]
    run_kernels(kernels, [*given, *got])
    np.testing.assert_array_equal(got[0], want[0])
    again = s.trace.replay(te.create_schedule(s.outputs))
    assert again.trace == s.trace and "(eq threadIdx.x 0)" in s.trace.to_json()


def test_store_predicate_on_loops():
    a = te.placeholder((10,), name="A")
    b = te.compute((10,), lambda i: a[i] + 1.0, name="B")
    s = te.create_schedule(b)
    _, i = s[b].split(s[b].axes[0], 4)
    s[b].vectorize(i)
    s[b].set_store_predicate((i < 3) & te.not_equal(i, 1))
    x, got = whole(10), np.full(10, 77, "float32")
    run(lower(s, [a, b], "llvm"), [x, got])
    kept = np.isin(np.arange(10) % 4, [0, 2])
    np.testing.assert_array_equal(got, np.where(kept, x + 1, 77))
    with pytest.raises(ScheduleError, match="no condition"):
        s[b].set_store_predicate(i + 1)
    with pytest.raises(ScheduleError, match="neither a loop"):
        s[b].set_store_predicate(te.var("z") < 1)
    s[b].set_store_predicate(te.equal(TA("threadIdx.y"), 0))
    with pytest.raises(ScheduleError, match=r"threadIdx\.y in"):
        lower(s, [a, b], "llvm")
