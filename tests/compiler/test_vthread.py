"""Virtual threads: each thread does the iterations of such a loop interleaved."""

import numpy as np
import pytest
import weft
from support.random_gpu_schedules import run_kernels
from weft.ir import te
from weft.ir.lower import lower, lower_kernels
from weft.ir.meaning.interp import run
from weft.ir.stmt import Alloc, Store
from weft.ir.visit import walk
from weft.runtime.devices.probe import probe

TA = te.thread_axis
RNG = np.random.RandomState(1)


def whole(*shape):
    return RNG.randint(-8, 9, shape).astype("float32")


def product(n, m, depth, tile, threads, step):
    """TVM's tiled product: two virtual threads along each axis, operands in shared memory."""
    a, b = te.placeholder((n, depth), name="A"), te.placeholder((depth, m), name="B")
    k = te.reduce_axis(depth, "k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    s = te.create_schedule(c)
    stages = [s.cache_read(t, "shared", [c]) for t in (a, b)]
    acc = s.cache_write(c, "local")
    loops = []
    for axis, name in zip(s[c].axes, "yx"):
        block, rest = s[c].split(axis, tile)
        virtual, rest = s[c].split(rest, nparts=2)
        thread, own = s[c].split(rest, nparts=threads)
        s[c].bind(block, TA(f"blockIdx.{name}"))
        s[c].bind(virtual, TA("vthread"))
        s[c].bind(thread, TA(f"threadIdx.{name}"))
        loops.append((block, virtual, thread, own))
    s[c].reorder(*(axis[k] for k in range(4) for axis in loops))
    s[acc].compute_at(s[c], loops[1][2])
    outer, inner = s[acc].split(s[acc].reduce_axes[0], step)
    s[acc].reorder(outer, inner, *s[acc].axes)
    for t in stages:
        s[t].compute_at(s[acc], outer)
        flat = s[t].fuse(*s[t].axes)
        flat, x = s[t].split(flat, threads)
        flat, y = s[t].split(flat, threads)
        s[t].bind(x, TA("threadIdx.x"))
        s[t].bind(y, TA("threadIdx.y"))
    x, y = whole(n, depth), whole(depth, m)
    return s, [a, b, c], [x, y], [x @ y]


def alone():
    """Without hardware: registers for each of three, unlike amounts of work (a triangle)."""
    a = te.placeholder((7, 9), name="A")
    k = te.reduce_axis(9, "k")
    b = te.compute((7,), lambda i: te.sum(a[i, k], axis=k, where=k <= i), name="B")
    s = te.create_schedule(b)
    acc = s.cache_write(b, "local")
    v, i = s[b].split(s[b].axes[0], nparts=3)
    s[b].bind(v, TA("vthread"))
    s[acc].compute_at(s[b], i)
    x = whole(7, 9)
    return s, [a, b], [x], [np.tril(x[:, :7]).sum(1)]


def check(s, args, given, want, target):
    got = [np.full_like(w, 77) for w in want]
    weft.build(s, args, target)(*given, *got)
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(g, w)


def test_tiled_product():
    s, args, given, want = product(19, 13, 11, 8, 2, 4)
    kernels = lower_kernels(s, args, "webgpu")
    got = [np.full_like(w, 77) for w in want]
    run_kernels(kernels, [*given, *got])
    np.testing.assert_array_equal(got[0], want[0])
    # what the threads share is copied once, not once for each virtual thread
    body = kernels[0].function.body
    shared = {n.buffer for n in walk(body) if isinstance(n, Alloc) and n.buffer.scope == "shared"}
    assert sorted(int(str(b.shape[0])) for b in shared) == [32, 32]
    again = s.trace.replay(te.create_schedule(s.outputs))
    assert again.trace == s.trace


@pytest.mark.parametrize("device", ["opencl", "webgpu"])
def test_on_devices(device):
    found = probe(device)
    if not found.ok:
        pytest.skip(found.reason)
    check(*product(19, 13, 11, 8, 2, 4), device)


def test_on_a_cpu():
    s, args, given, want = alone()
    f = lower(s, args, "llvm")
    got = [np.full_like(w, 77) for w in want]
    run(f, [*given, *got])
    np.testing.assert_array_equal(got[0], want[0])
    check(s, args, given, want, "llvm")


def test_registers_for_each():
    """Interleaved: the three accumulators of a column are added to one after another."""
    a = te.placeholder((6, 5), name="A")
    k = te.reduce_axis(5, "k")
    b = te.compute((6,), lambda i: te.sum(a[i, k], axis=k), name="B")
    s = te.create_schedule(b)
    acc = s.cache_write(b, "local")
    v, _ = s[b].split(s[b].axes[0], nparts=3)
    s[b].bind(v, TA("vthread"))
    s[acc].compute_at(s[b], v)
    stores = [n for n in walk(lower(s, [a, b], "llvm").body) if isinstance(n, Store)]
    inner = [str(n.indices[-1]) for n in stores if "A[" in str(n.value)]
    assert len(inner) == 3 and len(set(inner)) == 3
