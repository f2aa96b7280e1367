"""Kernels for workgroups, scheduled by hand: what code generators have to take.

Each returns the schedule and its parameters; arrays have the shapes of the tensors.
Sizes do not divide the tiles.
"""

from __future__ import annotations

from weft.ir import te
from weft.ir.lower import lower
from weft.ir.stmt import Function


def _bind(stage, axis, tag):
    stage.bind(axis, te.thread_axis(tag))


def injective(dtype="float32", n=1000, lanes=4):
    """A vectorised chain of elementwise operations, 64 threads a group."""
    a, b = (te.placeholder((n,), dtype, name=k) for k in "AB")
    c = te.compute((n,), lambda i: te.maximum(a[i] * b[i] + a[i], te.const(0, dtype)), name="C")
    s = te.create_schedule(c)
    (i,) = s[c].axes
    block, rest = s[c].split(i, 64 * lanes)
    thread, vector = s[c].split(rest, lanes)
    _bind(s[c], block, "blockIdx.x")
    _bind(s[c], thread, "threadIdx.x")
    s[c].vectorize(vector)
    return s, [a, b, c]


def matmul(dtype="float32", m=70, n=72, k=37, tile=32, rows=4, lanes=4):
    """Tiles of both operands in shared memory, a register tile of ``rows`` by ``lanes``."""
    a, b = te.placeholder((m, k), dtype, name="A"), te.placeholder((k, n), dtype, name="B")
    zero = te.const(0, dtype)
    high, wide, deep = (-(-x // y) * y for x, y in ((m, tile), (n, tile), (k, 8)))
    # Guards are part of the values, so that all threads of a group reach the barriers.
    a_pad = te.compute(
        (high, deep), lambda i, j: te.if_then_else((i < m) & (j < k), a[i, j], zero), name="P"
    )
    b_pad = te.compute(
        (deep, wide), lambda i, j: te.if_then_else((i < k) & (j < n), b[i, j], zero), name="Q"
    )
    r = te.reduce_axis((0, deep), name="r")
    c = te.compute((m, n), lambda i, j: te.sum(a_pad[i, r] * b_pad[r, j], axis=r), name="C")
    s = te.create_schedule(c)
    acc = s.cache_write(c, "local")
    a_shared, b_shared = s.cache_read(a_pad, "shared", [acc]), s.cache_read(b_pad, "shared", [acc])
    s[a_pad].compute_inline()
    s[b_pad].compute_inline()
    i, j = s[c].axes
    bi, ti = s[c].split(i, tile)
    bj, tj = s[c].split(j, tile)
    ti, row = s[c].split(ti, rows)
    tj, lane = s[c].split(tj, lanes)
    s[c].reorder(bi, bj, ti, tj, row, lane)
    for axis, tag in ((bi, "blockIdx.y"), (bj, "blockIdx.x"), (ti, "threadIdx.y"),
                      (tj, "threadIdx.x")):  # fmt: skip
        _bind(s[c], axis, tag)
    s[c].vectorize(lane)
    s[c].unroll(row)
    s[acc].compute_at(s[c], tj)
    x, y = s[acc].axes
    (red,) = s[acc].reduce_axes
    ro, ri = s[acc].split(red, 8)
    s[acc].reorder(ro, ri, x, y)
    s[acc].vectorize(y)
    s[acc].unroll(x)
    for t in (a_shared, b_shared):
        s[t].compute_at(s[acc], ro)
        u, v = s[t].axes
        flat = s[t].fuse(u, v)
        threads = (tile // rows) * (tile // lanes)
        _, inner = s[t].split(flat, threads)
        ty, tx = s[t].split(inner, tile // lanes)
        _bind(s[t], ty, "threadIdx.y")
        _bind(s[t], tx, "threadIdx.x")
    return s, [a, b, c]


def convolution(dtype="float32", channels=5, filters=6, size=9, lanes=4):
    """3x3 with padding as a choice; a thread computes a vector of columns."""
    x = te.placeholder((channels, size, size), dtype, name="X")
    w = te.placeholder((filters, channels, 3, 3), dtype, name="W")
    padded = te.compute(
        (channels, size + 2, size + 2),
        lambda c, y, z: te.if_then_else(
            (y >= 1) & (y <= size) & (z >= 1) & (z <= size), x[c, y - 1, z - 1], te.const(0, dtype)
        ),
        name="P",
    )
    rc, ry, rx = (te.reduce_axis((0, n), name=k) for n, k in ((channels, "rc"), (3, "ry"),
                                                              (3, "rx")))  # fmt: skip
    out = te.compute(
        (filters, size, size),
        lambda f, y, z: te.sum(padded[rc, y + ry, z + rx] * w[f, rc, ry, rx], axis=(rc, ry, rx)),
        name="Y",
    )
    s = te.create_schedule(out)
    s[padded].compute_inline()
    acc = s.cache_write(out, "local")
    f, y, z = s[out].axes
    bz, lane = s[out].split(z, lanes)
    _bind(s[out], f, "blockIdx.x")
    _bind(s[out], y, "threadIdx.y")
    _bind(s[out], bz, "threadIdx.x")
    s[out].vectorize(lane)
    s[acc].compute_at(s[out], bz)
    p, q, lane = s[acc].axes
    c, ky, kx = s[acc].reduce_axes
    s[acc].reorder(p, q, c, ky, kx, lane)
    s[acc].vectorize(lane)
    s[acc].unroll(kx)
    return s, [x, w, out]


def softmax(dtype="float32", rows=6, n=100, threads=16):
    """A group computes a row: each thread a part of the maximum and of the sum, met in shared
    memory."""
    x = te.placeholder((rows, n), dtype, name="X")
    k1, k2 = te.reduce_axis((0, n), name="k1"), te.reduce_axis((0, n), name="k2")
    top = te.compute((rows,), lambda i: te.max(x[i, k1], axis=k1), name="M")
    total = te.compute((rows,), lambda i: te.sum(te.exp(x[i, k2] - top[i]), axis=k2), name="S")
    out = te.compute((rows, n), lambda i, j: te.exp(x[i, j] - top[i]) / total[i], name="Y")
    s = te.create_schedule(out)
    parts = []
    for t in (top, total):
        (k,) = s[t].reduce_axes
        _, ki = s[t].split(k, threads)
        parts.append(s.rfactor(t, ki))
    i, j = s[out].axes
    _, tj = s[out].split(j, threads)
    _bind(s[out], i, "blockIdx.x")
    _bind(s[out], tj, "threadIdx.x")
    for t, part in zip((top, total), parts):
        s[t].set_scope("local")  # every thread adds up the parts
        s[t].compute_at(s[out], i)
        s[part].set_scope("shared")
        s[part].compute_at(s[out], i)
        _bind(s[part], s[part].axes[0], "threadIdx.x")
    return s, [x, out]


CASES = (injective, matmul, convolution, softmax)


def kernel(make, target, name="main_kernel", **options) -> Function:
    s, args = make(**options)
    return lower(s, args, target, name)
