"""Twelve kernels in te, each with its numbers checked.

For who knows TVM or Halide, and for who wants to: symbolic sizes, tiles, shared memory, reductions
by many threads, recurrences, instructions of one's own, sparse rows, gradients, and C. Every word
is explained in docs/TE.md. Run it with ``python tutorials/06_te_kernels.py``.
"""

import numpy as np
import weft
from weft import te

rng = np.random.default_rng(0)


def random(*shape):
    return rng.standard_normal(shape, np.float32)


def check(title, got, want):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    print(f"{title}: right, {want.size} numbers")


# ---- 1. A matrix product of any size ------------------------------------------------------------
#
# m, n and depth come from the arrays at each call: one kernel for all. Tiles of 4 by 16 stay in
# registers; what does not divide is guarded, and the guards are peeled off the inside.

m, n, depth = (te.size_var(v) for v in ("m", "n", "depth"))
A, B = te.placeholder((m, depth), name="A"), te.placeholder((depth, n), name="B")
k = te.reduce_axis(depth, name="k")
C = te.compute((m, n), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")
s = te.create_schedule(C)
tile = s[s.cache_write(C, "local")]
i_out, j_out, i, j = s[C].tile(*C.op.axes, 4, 16)
s[C].parallel(i_out)
s[C].vectorize(j)
tile.compute_at(s[C], j_out)
_, i = tile.split(tile.axes[0], 4)  # as large as the tile: constant, whatever m and n are
_, j = tile.split(tile.axes[1], 16)
tile.reorder(*tile.reduce_axes, i, j)
tile.unroll(i)
tile.vectorize(j)
product = weft.build(s, [A, B, C], name="product")
for shape in ((37, 41, 53), (4, 16, 1), (1, 1, 200)):
    a, b = random(shape[0], shape[2]), random(shape[2], shape[1])
    c = np.empty(shape[:2], np.float32)
    product(a, b, c)
    check(f"1. product of {shape}", c, a @ b)

# ---- 2. Softmax, row by row ---------------------------------------------------------------------
#
# Four stages. What a row needs is computed inside the loop over rows, in memory for one row.

R, COLUMNS = 33, 70
X = te.placeholder((R, COLUMNS), name="X")
k1, k2 = te.reduce_axis(COLUMNS, "k1"), te.reduce_axis(COLUMNS, "k2")
top = te.compute((R,), lambda i: te.max(X[i, k1], axis=k1), name="top")
power = te.compute((R, COLUMNS), lambda i, j: te.exp(X[i, j] - top[i]), name="power")
total = te.compute((R,), lambda i: te.sum(power[i, k2], axis=k2), name="total")
Y = te.compute((R, COLUMNS), lambda i, j: power[i, j] / total[i], name="Y")
s = te.create_schedule(Y)
row, column = Y.op.axes
for stage in (top, power, total):
    s[stage].compute_at(s[Y], row)
for stage in (power, Y):
    s[stage].vectorize(s[stage].split(s[stage].axes[1], 16)[1])
s[Y].parallel(row)
print(f"\nThe schedule of softmax, with what is computed where:\n{s}\n")
softmax = weft.build(s, [X, Y], name="softmax")
x, y = random(R, COLUMNS), np.empty((R, COLUMNS), np.float32)
softmax(x, y)
exact = np.exp(x - x.max(1, keepdims=True))
check("2. softmax", y, exact / exact.sum(1, keepdims=True))

# ---- 3. A 3x3 convolution on the processor ------------------------------------------------------
#
# The padding is one expression, which nobody stores. Vectors along the channels of the result.

H, CI, CO = 19, 5, 24
image, weight = te.placeholder((CI, H, H), name="image"), te.placeholder((3, 3, CI, CO), name="w")
padded = te.compute(
    (CI, H + 2, H + 2),
    lambda c, y, x: te.if_then_else(
        te.all(y >= 1, y <= H, x >= 1, x <= H), image[c, y - 1, x - 1], 0.0
    ),
    name="padded",
)
ci, ky, kx = te.reduce_axis(CI, "ci"), te.reduce_axis(3, "ky"), te.reduce_axis(3, "kx")
conv = te.compute(
    (H, H, CO),
    lambda y, x, o: te.sum(padded[ci, y + ky, x + kx] * weight[ky, kx, ci, o], axis=(ci, ky, kx)),
    name="conv",
)


def by_hand(picture, kernel):
    wide = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
    return np.einsum("cyxpq,pqco->yxo", windows, kernel)


s = te.create_schedule(conv)
s[padded].compute_inline()
tile = s[s.cache_write(conv, "local")]
y_axis, x_axis, o_axis = conv.op.axes
x_out, x_in = s[conv].split(x_axis, 4)
s[conv].vectorize(s[conv].split(o_axis, 8)[1])
s[conv].parallel(y_axis)
tile.compute_at(s[conv], x_out)
ty, tx, to = tile.axes
to_out, to_in = tile.split(to, 8)
tile.reorder(ty, *tile.reduce_axes, tx, to_out, to_in)
tile.unroll(tx)
tile.unroll(to_out)
tile.vectorize(to_in)
picture, kernel3 = random(CI, H, H), random(3, 3, CI, CO)
result = np.empty((H, H, CO), np.float32)
weft.build(s, [image, weight, conv], name="conv_cpu")(picture, kernel3, result)
check("3. convolution on the processor", result, by_hand(picture, kernel3))

# ---- 4. The same with shared memory on a device -------------------------------------------------
#
# A workgroup computes 8 by 8 pixels. Its threads copy the 10 by 10 pixels of every channel that
# they read together into memory that they share; weft puts in the barriers.

s = te.create_schedule(conv)
s[padded].set_scope("shared")
y_out, x_out, y_in, x_in = s[conv].tile(*conv.op.axes[:2], 8, 8)
s[conv].reorder(conv.op.axes[2], y_out, x_out, y_in, x_in)
s[conv].bind(conv.op.axes[2], te.thread_axis("blockIdx.z"))
for loop, where in ((y_out, "blockIdx.y"), (x_out, "blockIdx.x"), (y_in, "threadIdx.y")):
    s[conv].bind(loop, te.thread_axis(where))
s[conv].bind(x_in, te.thread_axis("threadIdx.x"))
s[padded].compute_at(s[conv], x_out)
s[padded].bind(s[padded].split(s[padded].axes[1], 8)[1], te.thread_axis("threadIdx.y"))
s[padded].bind(s[padded].split(s[padded].axes[2], 8)[1], te.thread_axis("threadIdx.x"))
result[...] = np.nan
weft.build(s, [image, weight, conv], "opencl", name="conv_gpu")(picture, kernel3, result)
check("4. convolution in shared memory", result, by_hand(picture, kernel3))

# ---- 5. argmax: a reduction of pairs ------------------------------------------------------------

V = te.placeholder((R, COLUMNS), name="V")
k = te.reduce_axis(COLUMNS, "k")
index, value = te.compute((R,), lambda i: te.argmax(V[i, k], axis=k), name="best")
kernel = weft.build(te.create_schedule([index, value]), [V, index, value], name="argmax")
at, best = np.empty(R, np.int32), np.empty(R, np.float32)
kernel(x, at, best)
check("5. argmax", at, x.argmax(1))
check("5. and its value", best, x.max(1))

# ---- 6. One sum by many threads -----------------------------------------------------------------
#
# The loop of the reduction is bound to the threads of a workgroup: each adds up its part, and the
# parts meet in a tree in shared memory.

rows = te.compute((R,), lambda i: te.sum(V[i, k], axis=k), name="rows")
s = te.create_schedule(rows)
s[rows].bind(rows.op.axes[0], te.thread_axis("blockIdx.x"))
s[rows].bind(s[rows].split(k, 32)[1], te.thread_axis("threadIdx.x"))
sums = np.empty(R, np.float32)
weft.build(s, [V, rows], "opencl", name="rows")(x, sums)
check("6. sums by 32 threads", sums, x.sum(1))

# ---- 7. A recurrence ----------------------------------------------------------------------------
#
# Each row of the state is computed from those before it.

first = te.compute((1, COLUMNS), lambda _, j: V[0, j], name="first")
state = te.placeholder((R, COLUMNS), name="state")
step = te.compute((R, COLUMNS), lambda t, j: state[t - 1, j] * 0.5 + V[t, j], name="step")
decay = te.scan(first, step, state, inputs=[V], name="decay")
s = te.create_schedule(decay)
s[step].vectorize(s[step].split(s[step].axes[1], 8)[1])
smooth = np.empty((R, COLUMNS), np.float32)
weft.build(s, [V, decay], name="decay")(x, smooth)
want = x.copy()
for t in range(1, R):
    want[t] += want[t - 1] * 0.5
check("7. recurrence", smooth, want)

# ---- 8. tensorize: loops replaced by an instruction ---------------------------------------------
#
# What it computes is a te.compute, checked against the loops that it replaces; how, is statements.

P, Q, lanes = te.placeholder((4,), name="P"), te.placeholder((4,), name="Q"), te.reduce_axis(4, "q")
four = te.compute((1,), lambda i: te.sum(P[lanes] * Q[lanes], axis=lanes), name="four")


def fused(ins, out):
    value = out.load(0)
    for q in range(4):
        value = te.fma(ins[0].load(q), ins[1].load(q), value)
    return out.store(te.const(0.0, "float32"), 0), out.store(value, 0)


dot4 = te.decl_tensor_intrin(four, fused, "dot4")
k = te.reduce_axis(COLUMNS // 2 * 2 - 2, "k")  # 68: a multiple of four
W = te.placeholder((R, COLUMNS), name="W")
dots = te.compute((R,), lambda i: te.sum(V[i, k] * W[i, k], axis=k), name="dots")
s = te.create_schedule(dots)
outer, inner = s[dots].split(dots.op.axes[0], 1)
k_out, k_in = s[dots].split(k, 4)
s[dots].reorder(outer, k_out, inner, k_in)
s[dots].tensorize(inner, dot4)
w, got = random(R, COLUMNS), np.empty(R, np.float32)
weft.build(s, [V, W, dots], name="dots")(x, w, got)
check("8. tensorized dot products", got, (x * w)[:, :68].sum(1))

# ---- 9. A function of one's own -----------------------------------------------------------------
#
# Its meaning in numpy, an expression for all targets, and a better one where there is.

mish = te.register_intrinsic(
    "mish",
    1,
    numpy=lambda v: v * np.tanh(np.log1p(np.exp(v))),
    lower=lambda v: v * te.tanh(te.log1p(te.exp(v))),
)
soft = te.compute((R, COLUMNS), lambda i, j: mish(V[i, j]), name="soft")
want = x * np.tanh(np.log1p(np.exp(x)))
for target in ("llvm", "opencl", "opengl"):
    weft.build(te.auto_schedule(soft, target), [V, soft], target, name="soft")(x, y)
    check(f"9. mish for {target}", y, want)

# ---- 10. Sparse rows ----------------------------------------------------------------------------
#
# How long a loop is, is data.

nonzeros, height = te.size_var("nonzeros"), te.size_var("height")
start = te.placeholder((height + 1,), "int32", name="start")
where = te.placeholder((nonzeros,), "int32", name="where")
held = te.placeholder((nonzeros,), name="held")
vector = te.placeholder((COLUMNS,), name="vector")


def sparse_row(i):
    q = te.reduce_axis((0, start[i + 1] - start[i]), "q")
    return te.sum(held[start[i] + q] * vector[where[start[i] + q]], axis=q)


spmv = te.compute((height,), sparse_row, name="spmv")
s = te.create_schedule(spmv)
s[spmv].parallel(spmv.op.axes[0])
dense = np.where(rng.random((R, COLUMNS)) < 0.1, x, 0).astype(np.float32)
starts = np.concatenate([[0], (dense != 0).sum(1).cumsum()]).astype(np.int32)
places, numbers = np.nonzero(dense)[1].astype(np.int32), dense[dense != 0]
v, got = random(COLUMNS), np.empty(R, np.float32)
weft.build(s, [start, where, held, vector, spmv], name="spmv")(starts, places, numbers, v, got)
check("10. sparse matrix by vector", got, dense @ v)

# ---- 11. Gradients ------------------------------------------------------------------------------
#
# They are expressions like any other: this is the convolution's, by image and weights.

head = te.placeholder((H, H, CO), name="head")
by_image, by_weight = te.gradient(conv, [image, weight], head=head)
s = te.auto_schedule([by_image, by_weight])
backward = weft.build(s, [image, weight, head, by_image, by_weight], name="backward")
up = random(H, H, CO)
d_image, d_weight = np.empty_like(picture), np.empty_like(kernel3)
backward(picture, kernel3, up, d_image, d_weight)
push = random(CI, H, H)  # the result is linear in the image: a step changes it by the gradient
check("11. gradient by the image", (d_image * push).sum(), (by_hand(push, kernel3) * up).sum())

# ---- 12. For a program in C ---------------------------------------------------------------------

files = weft.export([softmax, kernel], "kernels.so")
print(f"\n12. {', '.join(f.name for f in files)}; the header says")
print("\n".join(row for row in files[1].read_text().splitlines() if row.startswith("int32_t")))
library = weft.load_library("kernels.so")
library.softmax(x, y)
check("12. softmax from the library", y, exact / exact.sum(1, keepdims=True))
