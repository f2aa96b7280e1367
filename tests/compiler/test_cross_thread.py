"""Reductions that the threads of a workgroup share: in the interpreter, whose threads run in lock
step, on the devices of this machine, and as plain loops where there are no workgroups."""

import numpy as np
import pytest
import weft
from support.random_gpu_schedules import run_kernels
from weft.ir import te
from weft.ir.lower import lower_kernels
from weft.ir.stmt import Alloc, Barrier
from weft.ir.visit import walk
from weft.runtime.devices.probe import probe
from weft.runtime.errors import ScheduleError

TA = te.thread_axis
RNG = np.random.RandomState(0)


def whole(*shape):
    """Small integers as floats: exact in any order."""
    return RNG.randint(-8, 9, shape).astype("float32")


def sums(n, m, reducer=te.sum):
    a = te.placeholder((n, m), name="A")
    k = te.reduce_axis(m, "k")
    return a, te.compute((n,), lambda i: reducer(a[i, k], axis=k), name="B")


def plain(n, m):
    """One workgroup a result, a thread a term."""
    a, b = sums(n, m)
    s = te.create_schedule(b)
    s[b].bind(s[b].axes[0], TA("blockIdx.x"))
    s[b].bind(s[b].reduce_axes[0], TA("threadIdx.x"))
    x = whole(n, m)
    return s, [a, b], [x], [x.sum(1)]


def rows(n, m, ty, tx):
    """Several rows in a workgroup, several terms a thread; nothing divides."""
    a, b = sums(n, m, te.max)
    s = te.create_schedule(b)
    block, row = s[b].split(s[b].axes[0], ty)
    _, lane = s[b].split(s[b].reduce_axes[0], tx)
    s[b].bind(block, TA("blockIdx.x"))
    s[b].bind(row, TA("threadIdx.y"))
    s[b].bind(lane, TA("threadIdx.x"))
    x = whole(n, m)
    return s, [a, b], [x], [x.max(1)]


def two_axes():
    """Two reduce axes, on x and y, and a loop of a thread's own within each."""
    a = te.placeholder((3, 10, 7), name="A")
    p, q = te.reduce_axis(10, "p"), te.reduce_axis(7, "q")
    b = te.compute((3,), lambda i: te.sum(a[i, p, q], axis=[p, q]), name="B")
    s = te.create_schedule(b)
    s[b].bind(s[b].axes[0], TA("blockIdx.x"))
    y, _ = s[b].split(s[b].reduce_axes[0], nparts=3)
    _, x = s[b].split(s[b].reduce_axes[1], 5)
    s[b].bind(x, TA("threadIdx.x"))
    s[b].bind(y, TA("threadIdx.y"))
    v = whole(3, 10, 7)
    return s, [a, b], [v], [v.sum((1, 2))]


def components():
    """argmax: pairs of an index and a value."""
    a = te.placeholder((5, 29), name="A")
    k = te.reduce_axis(29, "k")
    index, best = te.compute((5,), lambda i: te.argmax(a[i, k], k), name="B")
    s = te.create_schedule([index, best])
    s[index].bind(s[index].axes[0], TA("blockIdx.x"))
    _, lane = s[index].split(s[index].reduce_axes[0], 11)
    s[index].bind(lane, TA("threadIdx.x"))
    x = whole(5, 29)  # with ties
    return s, [a, index, best], [x], [x.argmax(1).astype("int32"), x.max(1)]


def tile(vector):
    """A thread has partial sums of a few columns; guards along both."""
    a = te.placeholder((21, 10), name="A")
    k = te.reduce_axis(21, "k")
    b = te.compute((10,), lambda j: te.sum(a[k, j], axis=k, where=k % 3 < 2), name="B")
    s = te.create_schedule(b)
    o, i = s[b].split(s[b].axes[0], 4)
    s[b].bind(o, TA("blockIdx.x"))
    outer, lane = s[b].split(s[b].reduce_axes[0], 6)
    s[b].reorder(o, outer, lane, i)
    s[b].bind(lane, TA("threadIdx.x"))
    if vector:
        s[b].vectorize(i)
    x = whole(21, 10)
    return s, [a, b], [x], [x[np.arange(21) % 3 < 2].sum(0)]


def softmax(scope, tx):
    """One kernel: the row's maximum and sum are read by all threads of its workgroup."""
    n, m = 5, 23
    a = te.placeholder((n, m), name="A")
    k, k2 = te.reduce_axis(m, "k"), te.reduce_axis(m, "k2")
    top = te.compute((n,), lambda i: te.max(a[i, k], axis=k), name="top")
    total = te.compute((n,), lambda i: te.sum(top[i] - a[i, k2], axis=k2), name="total")
    out = te.compute((n, m), lambda i, j: (a[i, j] - top[i]) * total[i], name="out")
    s = te.create_schedule(out)
    s[out].bind(out.op.axes[0], TA("blockIdx.x"))
    _, lane = s[out].split(out.op.axes[1], tx)
    s[out].bind(lane, TA("threadIdx.x"))
    for t in (total, top):
        s[t].set_scope(scope)
        s[t].compute_at(s[out], out.op.axes[0])
        _, lane = s[t].split(s[t].reduce_axes[0], tx)
        s[t].bind(lane, TA("threadIdx.x"))
    x = whole(n, m)
    high = x.max(1, keepdims=True)
    return s, [a, out], [x], [(x - high) * (high - x).sum(1, keepdims=True)]


def inside(scope):
    """The threads that share the reduction are those of the loop around: the stage has one result
    for all of them."""
    a = te.placeholder((3, 17), name="A")
    k = te.reduce_axis(17, "k")
    b = te.compute((3,), lambda i: te.sum(a[i, k], axis=k), name="B")
    c = te.compute((3, 8), lambda i, j: b[i] + a[i, j], name="C")
    s = te.create_schedule(c)
    s[c].bind(c.op.axes[0], TA("blockIdx.x"))
    s[c].bind(c.op.axes[1], TA("threadIdx.x"))
    s[b].set_scope(scope)
    s[b].compute_at(s[c], c.op.axes[1])
    _, lane = s[b].split(s[b].reduce_axes[0], 5)
    s[b].bind(lane, TA("threadIdx.x"))  # five of the eight
    x = whole(3, 17)
    return s, [a, c], [x], [x.sum(1, keepdims=True) + x[:, :8]]


def other_threads():
    """The reduction is spread over x only, the workgroup has a y as well."""
    a = te.placeholder((4, 9, 6), name="A")
    k, q = te.reduce_axis(9, "k"), te.reduce_axis(6, "q")
    b = te.compute((4,), lambda i: te.sum(a[i, k, q], axis=[k, q]), name="B")
    c = te.compute((4, 9, 6), lambda i, j, m: a[i, j, m] - b[i], name="C")
    s = te.create_schedule(c)
    i, j, m = c.op.axes
    s[c].bind(i, TA("blockIdx.x"))
    s[c].bind(j, TA("threadIdx.y"))
    s[c].bind(m, TA("threadIdx.x"))
    s[b].set_scope("shared")
    s[b].compute_at(s[c], i)
    s[b].bind(s[b].reduce_axes[1], TA("threadIdx.x"))
    x = whole(4, 9, 6)
    return s, [a, c], [x], [x - x.sum((1, 2))[:, None, None]]


def factored():
    """TVM's pattern: rfactor, the partial results in registers of the threads."""
    a, b = sums(7, 50)
    s = te.create_schedule(b)
    _, inner = s[b].split(s[b].reduce_axes[0], 16)
    f = s.rfactor(b, inner)
    s[b].bind(s[b].axes[0], TA("blockIdx.x"))
    s[b].bind(s[b].reduce_axes[0], TA("threadIdx.x"))
    s[f].set_scope("local")
    s[f].compute_at(s[b], s[b].reduce_axes[0])
    x = whole(7, 50)
    return s, [a, b], [x], [x.sum(1)]


def staged():
    """Terms come through shared memory, which all threads of the workgroup fill."""
    a, b = sums(6, 40)
    s = te.create_schedule(b)
    c = s.cache_read(a, "shared", [b])
    block, row = s[b].split(s[b].axes[0], 4)
    outer, lane = s[b].split(s[b].reduce_axes[0], 8)
    s[b].bind(block, TA("blockIdx.x"))
    s[b].bind(row, TA("threadIdx.y"))
    s[b].bind(lane, TA("threadIdx.x"))
    s[c].compute_at(s[b], outer)
    s[c].bind(s[c].axes[0], TA("threadIdx.y"))
    s[c].bind(s[c].axes[1], TA("threadIdx.x"))
    x = whole(6, 40)
    return s, [a, b], [x], [x.sum(1)]


CASES = {
    "plain": lambda: plain(3, 64),
    "any number": lambda: plain(2, 37),
    "one thread": lambda: plain(3, 1),
    "two threads": lambda: plain(3, 2),
    "rows": lambda: rows(7, 33, 3, 10),
    "more threads than terms": lambda: rows(2, 5, 4, 16),
    "two axes": two_axes,
    "components": components,
    "tile": lambda: tile(False),
    "vectors": lambda: tile(True),
    "softmax, shared": lambda: softmax("shared", 8),
    "softmax, local": lambda: softmax("local", 6),
    "inside, shared": lambda: inside("shared"),
    "inside, local": lambda: inside("local"),
    "other threads": other_threads,
    "factored": factored,
    "staged": staged,
}


@pytest.mark.parametrize("name", CASES)
def test_in_the_interpreter(name):
    s, args, given, want = CASES[name]()
    got = [np.full_like(w, 77) for w in want]
    run_kernels(lower_kernels(s, args, "webgpu"), [*given, *got])
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(g, w)
    again = s.trace.replay(te.create_schedule(s.outputs))
    assert again.trace == s.trace and str(again) == str(s)


@pytest.mark.parametrize("device", ["opencl", "webgpu", "llvm"])
def test_on_devices(device):
    found = probe(device)
    if not found.ok:
        pytest.skip(found.reason)
    for name, make in CASES.items():
        s, args, given, want = make()
        got = [np.full_like(w, 77) for w in want]
        weft.build(s, args, device)(*given, *got)
        for w, g in zip(want, got, strict=True):
            np.testing.assert_array_equal(g, w, err_msg=name)


def test_threads_wait_once_a_level():
    """64 threads: six levels of the tree, and nothing else to wait for."""
    s, args, *_ = plain(3, 64)
    (k,) = lower_kernels(s, args, "opencl")
    assert sum(isinstance(n, Barrier) for n in walk(k.function.body)) == 6
    shared = [n.buffer for n in walk(k.function.body) if isinstance(n, Alloc)]
    assert sum(int(str(b.shape[0])) for b in shared if b.scope == "shared") == 32 + 16


def test_no_place_for_it():
    _, b = sums(4, 8)
    s = te.create_schedule(b)
    with pytest.raises(ScheduleError, match="only the threads of a workgroup"):
        s[b].bind(s[b].reduce_axes[0], TA("blockIdx.x"))


def test_a_result_for_each_thread_is_refused():
    a = te.placeholder((8, 9), name="A")
    k = te.reduce_axis(9, "k")
    b = te.compute((8,), lambda i: te.sum(a[i, k], axis=k), name="B")
    c = te.compute((8,), lambda i: b[i] + 1.0, name="C")
    s = te.create_schedule(c)
    s[c].bind(c.op.axes[0], TA("threadIdx.x"))
    s[b].set_scope("local")
    s[b].compute_at(s[c], c.op.axes[0])
    _, lane = s[b].split(s[b].reduce_axes[0], 8)
    s[b].bind(lane, TA("threadIdx.x"))
    with pytest.raises(ScheduleError, match=r"B is computed inside(.|\n)*shared"):
        lower_kernels(s, [a, c], "opencl")


def test_bound_loops_stand_first():
    """Whatever the order that is asked for: partial results live through what is inside."""
    _, b = sums(4, 8)
    s = te.create_schedule(b)
    outer, inner = s[b].split(s[b].reduce_axes[0], 4)
    s[b].bind(inner, TA("threadIdx.x"))
    assert [a.name for a in s[b].leaves] == ["i", "k.inner", "k.outer"]
    s[b].reorder(outer, s[b].axes[0], inner)
    s[b].bind(s[b].axes[0], TA("blockIdx.x"))
    assert [a.name for a in s[b].leaves] == ["i", "k.inner", "k.outer"]
