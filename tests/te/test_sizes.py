"""Sizes that only a call knows: bound from the arrays, checked, the same on every target."""

import numpy as np
import pytest
import weft
from weft import te
from weft.runtime.errors import InputError, PackageError, ScheduleError
from weft.runtime.sizes import bits_of, names_in, read_size, size_of, size_text

BLOCK, THREAD = te.thread_axis("blockIdx.x"), te.thread_axis("threadIdx.x")
DEVICES = ["opencl", "webgpu"]
TARGETS = ["llvm", *DEVICES]
SIZES = [0, 1, 2, 17, 64, 101]


def bind(s, t, target, threads=8):
    """Bind the first axis of a stage where the target has workgroups."""
    if target in DEVICES:
        o, i = s[t].split(t.op.axes[0], threads)
        s[t].bind(o, BLOCK)
        s[t].bind(i, THREAD)


def stencil(target):
    """Three kernels on a device, with scratch of n + 2 and n + 1 elements between them."""
    n = te.var("n")
    A = te.placeholder((n,), name="A")
    P = te.compute(
        (n + 2,),
        lambda i: te.if_then_else(
            (i > 0) & (i <= n), A[te.minimum(te.maximum(i - 1, 0), n - 1)], 0.0
        ),
        name="P",
    )
    D = te.compute((n + 1,), lambda i: P[i + 1] - P[i], name="D")
    B = te.compute((n, 2), lambda i, j: D[i + j] * 2.0 + te.cast(n, "float32"), name="B")
    s = te.create_schedule(B)
    for t in (P, D, B):
        bind(s, t, target)
    return A, B, weft.build(s, [A, B], target=target)


@pytest.mark.parametrize("target", TARGETS)
def test_sizes_come_from_the_arrays(target):
    _, _, kernel = stencil(target)
    for n in [*SIZES, *SIZES[::-1]]:
        a = np.random.RandomState(n).rand(n).astype("float32")
        out = np.full((n, 2), np.nan, "float32")
        kernel(a, out)
        d = np.diff(np.concatenate([[0], a, [0]]).astype("float32"))
        np.testing.assert_allclose(out, np.stack([d[:-1], d[1:]], 1) * 2 + n, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_a_product_of_symbolic_extents(target):
    n, m, k = te.var("n"), te.var("m"), te.var("k")
    A, B = te.placeholder((n, k), name="A"), te.placeholder((k, m), name="B")
    r = te.reduce_axis(k, "r")
    C = te.compute((n, m), lambda i, j: te.sum(A[i, r] * B[r, j], axis=r), name="C")
    s = te.create_schedule(C)
    i, j = C.op.axes
    jo, ji = s[C].split(j, 8)
    ro, ri = s[C].split(r, 4)
    if target in DEVICES:
        f = s[C].fuse(i, jo)
        s[C].reorder(f, ji, ro, ri)
        s[C].bind(f, BLOCK)
        s[C].bind(ji, THREAD)
    else:
        s[C].reorder(i, jo, ro, ri, ji)
        s[C].vectorize(ji)
        s[C].parallel(i)
    kernel = weft.build(s, [A, B, C], target=target)
    for shape in [(1, 1, 1), (7, 9, 5), (16, 8, 4), (3, 0, 2), (2, 3, 0)]:
        a = np.random.RandomState(0).rand(shape[0], shape[2]).astype("float32")
        b = np.random.RandomState(1).rand(shape[2], shape[1]).astype("float32")
        out = np.full(shape[:2], np.nan, "float32")
        kernel(a, b, out)
        np.testing.assert_allclose(out, a @ b, rtol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_saved_kernel_has_its_sizes(target, tmp_path):
    _, _, kernel = stencil(target)
    a, out = np.arange(5, dtype="float32"), np.empty((5, 2), "float32")
    kernel(a, out)
    kernel.executable.save(tmp_path / "k.weft")
    with weft.runtime.load(tmp_path / "k.weft") as exe:
        assert str(exe.outputs["p1"]) == "p1: float32[n, 2]"
        assert exe(a).tolist() == out.tolist()  # the size of a result follows
        assert exe(a[:3]).shape == (3, 2)
        with pytest.raises(
            InputError, match=r"axis 0 of 'p1' has 4 elements, not 5 = n \(n = 5 is"
        ):
            exe.call([a], [np.empty((4, 2), "float32")])


def test_sizes_of_a_call_that_do_not_fit():
    n = te.var("n")
    A, B = te.placeholder((n, n), name="A"), te.placeholder((n + 1,), name="B")
    C = te.compute((n,), lambda i: A[i, i] + B[i + 1], name="C")
    kernel = weft.build(te.create_schedule(C), [A, B, C])
    z = np.zeros
    kernel(z((3, 3), "float32"), z(4, "float32"), z(3, "float32"))
    with pytest.raises(
        InputError, match=r"axis 0 of 'B' has 3 elements, not 4 = n \+ 1 \(n = 3 is axis 0 of 'A'\)"
    ):
        kernel(z((3, 3), "float32"), z(3, "float32"), z(3, "float32"))
    with pytest.raises(InputError, match="axis 1 of 'A' has 4 elements, not 3 = n"):
        kernel(z((3, 4), "float32"), z(4, "float32"), z(3, "float32"))


@pytest.mark.parametrize("target", TARGETS)
def test_products_of_sizes_that_int32_does_not_hold(target):
    n, m = te.var("n"), te.var("m")
    A, B = te.placeholder((n,), "uint8", name="A"), te.placeholder((m,), "uint8", name="B")
    T = te.compute((n, m), lambda i, j: A[i] + B[j], name="T")
    k = te.reduce_axis(m, "k")
    C = te.compute((n,), lambda i: te.sum(T[i, k], axis=k), name="C")
    s = te.create_schedule(C)
    bind(s, T, target)
    bind(s, C, target)
    kernel = weft.build(s, [A, B, C], target=target)
    big = np.zeros(1 << 16, "uint8")
    with pytest.raises(InputError, match="indices are 32-bit integers"):
        kernel(big, big, np.empty(1 << 16, "uint8"))


def test_a_variable_that_nothing_says():
    n, c = te.var("n"), te.var("c", "float32")
    A = te.placeholder((n * 2,), name="A")
    B = te.compute((n * 2,), lambda i: A[i], name="B")
    with pytest.raises(
        ScheduleError, match=r"n .* is not among the arguments, and no axis of an array"
    ):
        weft.build(te.create_schedule(B), [A, B])
    kernel = weft.build(te.create_schedule(B), [n, A, B])
    kernel(2, np.ones(4, "float32"), np.empty(4, "float32"))
    with pytest.raises(
        InputError, match=r"axis 0 of 'A' has 4 elements, not 6 = n \* 2 \(n = 3 is given"
    ):
        kernel(3, np.ones(4, "float32"), np.empty(6, "float32"))
    A = te.placeholder((4,), name="A")
    B = te.compute((4,), lambda i: A[i] * c, name="B")
    with pytest.raises(ScheduleError, match=r"(?s)c \(float32\) is not among.*\[c, …\]"):
        weft.build(te.create_schedule(B), [A, B])


def test_shared_memory_has_a_constant_size():
    n = te.var("n")
    A = te.placeholder((n, n), name="A")
    B = te.compute((n, n), lambda i, j: A[i, n - 1 - j], name="B")
    s = te.create_schedule(B)
    C = s.cache_read(A, "shared", [B])
    i, j = B.op.axes
    s[B].bind(i, BLOCK)
    jo, ji = s[B].split(j, 8)
    s[B].reorder(i, ji, jo)
    s[B].bind(ji, THREAD)
    s[C].compute_at(s[B], i)
    with pytest.raises(weft.WeftError, match="known only when the kernel runs"):
        weft.build(s, [A, B], target="opencl")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("target", ["llvm", "opencl"])
def test_random_schedules_of_symbolic_extents(target, seed):
    rng = np.random.RandomState(seed)
    n, m = te.var("n"), te.var("m")
    A, W = te.placeholder((n, m), name="A"), te.placeholder((m,), name="W")
    T = te.compute((n, m), lambda i, j: A[i, j] * W[j] + te.cast(i, "float32"), name="T")
    k = te.reduce_axis(m, "k")
    B = te.compute((n,), lambda i: te.sum(T[i, k], axis=k), name="B")
    s = te.create_schedule(B)
    loop = B.op.axes[0]
    outer, inner = s[B].split(loop, int(rng.choice([3, 4, 7, 16])))
    reduce = [k]
    if rng.rand() < 0.7:
        reduce = list(s[B].split(k, int(rng.choice([2, 5, 8]))))
    s[B].reorder(outer, inner, *(reduce if rng.rand() < 0.5 or len(reduce) < 2 else reduce[::-1]))
    where = rng.choice(["root", "inline", "at"])
    if where == "inline":
        s[T].compute_inline()
    elif where == "at":
        s[T].set_scope("local" if target == "llvm" else "global")
        if target == "llvm":
            s[T].compute_at(s[B], inner)
    if target == "opencl":
        s[B].bind(outer, BLOCK)
        s[B].bind(inner, THREAD)
        if where != "inline":
            f = s[T].fuse(*T.op.axes)
            o, i = s[T].split(f, int(rng.choice([4, 13])))
            s[T].bind(o, BLOCK)
            s[T].bind(i, THREAD)
    else:
        if rng.rand() < 0.5:
            s[B].parallel(outer)
        if where == "root":
            s[T].vectorize(s[T].split(T.op.axes[1], 4)[1])
    kernel = weft.build(s, [A, W, B], target=target)
    for shape in [(1, 1), (5, 3), (16, 8), (33, 10)]:
        a, w = rng.rand(*shape).astype("float32"), rng.rand(shape[1]).astype("float32")
        out = np.full(shape[0], np.nan, "float32")
        kernel(a, w, out)
        want = (a * w + np.arange(shape[0], dtype="float32")[:, None]).sum(1)
        np.testing.assert_allclose(out, want, rtol=1e-4)


def test_sizes_as_data():
    size = read_size(["//", ["+", "n", 63], 64])
    assert size_of(size, {"n": 100}) == 2 and names_in(size) == {"n"}
    assert size_text(size) == "(n + 63) // 64"
    assert size_of(read_size(["%", "n", 0]), {"n": 5}) == 0
    for wrong in [None, True, 1.5, ["+", 1], ["^", 1, 2], [["+"], 1, 2], {"n": 1}]:
        with pytest.raises(ValueError, match="is no size"):
            read_size(wrong)
    deep = 1
    for _ in range(500):
        deep = ["+", deep, 1]
    with pytest.raises(ValueError, match="is no size"):
        read_size(deep)
    assert bits_of(2**64 - 1, np.dtype("uint64")) == -1
    assert bits_of(1.5, np.dtype("float32")) == 0x3FC00000


def test_a_program_whose_sizes_are_nowhere():
    _, _, kernel = stencil("llvm")
    data = kernel.executable.program.to_json()
    assert data["version"] == 2
    program = type(kernel.executable.program)
    assert program.from_json(data).to_json() == data
    for sizes, words in [
        ({}, "what the size 'n' is"),
        ({"n": [0, 5]}, "nowhere"),
        ({"n": [9, 0]}, "nowhere"),
    ]:
        with pytest.raises(PackageError, match=words):
            program.from_json({**data, "sizes": sizes})


def test_textures_have_a_kernel_for_each_size():
    n, m = te.var("n"), te.var("m")
    A, c = te.placeholder((n, m), name="A"), te.var("c", "float32")
    k = te.reduce_axis(m, "k")
    S = te.compute((n,), lambda i: te.sum(A[i, k], axis=k), name="S")
    B = te.compute((n, m), lambda i, j: A[i, j] - S[i] * c + te.cast(m, "float32"), name="B")
    with weft.build(te.create_schedule(B), [n, c, A, B], target="opengl") as kernel:
        for shape in [(1, 1), (5, 7), (8, 3), (5, 7)]:
            a, out = (
                np.random.RandomState(0).rand(*shape).astype("float32"),
                np.empty(shape, "float32"),
            )
            kernel(shape[0], 0.5, a, out)
            np.testing.assert_allclose(out, a - a.sum(1, keepdims=True) / 2 + shape[1], rtol=1e-5)
        assert "void main" in kernel.at(5, 0.5, np.empty((5, 7), "float32"), out).source
        assert kernel.time(5, 0.5, a, out, repeat=1).min > 0
        with pytest.raises(InputError, match="A is float32"):
            kernel(4, 0.5, a, out)
        with pytest.raises(InputError, match="axes, and m is axis 1"):
            kernel(4, 0.5, a[0], out)
