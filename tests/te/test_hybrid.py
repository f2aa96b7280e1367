"""``te.hybrid``: Python functions as operations, on every target that has stores, and as Python."""

import numpy as np
import pytest
import weft
from weft import te
from weft.runtime.devices.probe import probe
from weft.runtime.errors import CodegenError, ExprError

N, M = 13, 7
SCALE = 2.0


@te.hybrid
def smooth(a, radius, n):
    """Means of windows, negative in odd rows; and how often each row exceeds zero."""
    b = output_tensor((a.shape[0], n), "float32")  # noqa: F821
    count = output_tensor((len(a),), "int32")  # noqa: F821
    for i in parallel(len(a)):  # noqa: F821
        count[i] = 0
        for j in range(n):
            total, terms = 0.0, 0
            for d in range(-radius, radius + 1):
                if 0 <= j + d < n:
                    total += a[i][j + d] * SCALE
                    terms += 1
            mean = total / float32(terms)  # noqa: F821
            b[i, j] = -mean if i % 2 == 1 else mean
            if mean > 0.0 and not (i == 2 or j == 3):
                count[i] += 1
    return b, count


def data():
    return np.random.default_rng(0).integers(-4, 5, (N, M)).astype("float32")


def expected(a):
    n = a.shape[1]
    means = np.stack([2 * a[:, max(0, j - 1) : j + 2].mean(1) for j in range(n)], 1)
    signs = np.where(np.arange(len(a)) % 2, -1, 1)[:, None]
    counted = (means > 0) & (np.arange(len(a)) != 2)[:, None] & (np.arange(n) != 3)
    return (signs * means).astype("float32"), counted.sum(1).astype("int32")


def on(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    return target


@pytest.mark.parametrize("target", ["llvm", "opencl", "webgpu"])
def test_a_function_between_computes(target):
    a = te.placeholder((N, M), name="A")
    p = te.compute((N, M), lambda i, j: a[i, j] + 1.0, name="P")
    b, count = smooth(p, 1, M)
    c = te.compute((N, M), lambda i, j: b[i, j] + te.cast(count[i], "float32"), name="C")
    x, out = data(), np.empty((N, M), "float32")
    weft.build(te.create_schedule(c), [a, c], on(target))(x, out)
    means, counts = expected(x + 1)
    np.testing.assert_allclose(out, means + counts[:, None], rtol=1e-6, atol=1e-6)


def test_arrays_run_as_python():
    means, counts = smooth(data(), 1, M)
    np.testing.assert_allclose(means, expected(data())[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(counts, expected(data())[1])


@te.hybrid.script
def reverse(a):
    b = output_tensor(a.shape, a.dtype)  # noqa: F821
    for block in bind("blockIdx.x", (len(a) + 3) // 4):  # noqa: F821
        for thread in bind("threadIdx.x", 4):  # noqa: F821
            i = block * 4 + thread
            if i < len(a):
                b[i] = max(a[len(a) - 1 - i], 0)
    return b


@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_loops_bound_to_threads(target):
    a = te.placeholder((N,), "int32", name="A")
    b = reverse(a)
    x, out = np.arange(-5, N - 5, dtype="int32"), np.empty(N, "int32")
    weft.build(te.create_schedule(b), [a, b], on(target))(x, out)
    np.testing.assert_array_equal(out, np.maximum(x[::-1], 0))
    np.testing.assert_array_equal(reverse(x), out)


@te.hybrid
def sieve(n, limit):
    """Marks of composites: steps of loops, storage, variables that change places."""
    out = output_tensor((limit,), "int32")  # noqa: F821
    last = allocate((2,), "int32", "local")  # noqa: F821
    low, high = 0, 1
    for i in range(limit):
        out[i] = 0
    for i in range(2, limit):
        for k in range(2 * i, limit, i if False else 1):
            if k % i == 0:
                out[k] = 1
    for i in range(limit - 1, -1, -2):
        last[0] = i
        low, high = high, low
    if n > 4:
        out[0] = last[0] + low * 10
    else:
        out[0] = -1
    return out


def test_numbers_storage_and_steps():
    n = te.var("n")
    composite = sieve(n, 20)
    f = weft.build(te.create_schedule(composite), [n, composite])
    for given in (3, 8):
        out = np.empty(20, "int32")
        f(given, out)
        np.testing.assert_array_equal(out, sieve(given, 20))
    assert out[[2, 3, 5, 7, 11, 13]].sum() == 0 and out[[4, 6, 9, 15]].sum() == 4


@te.hybrid
def lanes(a):
    b = output_tensor(a.shape, "float32")  # noqa: F821
    for i in range(len(a) // 4):
        for j in vectorize(4):  # noqa: F821
            b[i * 4 + j] = exp(a[i * 4 + j]) * 2.0  # noqa: F821
    for j in unroll(3):  # noqa: F821
        b[len(a) - 3 + j] = sqrt(abs(a[j]))  # noqa: F821
    return b


def test_vectors_and_intrinsics():
    a = te.placeholder((23,), name="A")
    b = lanes(a)
    x, out = np.linspace(-1, 1, 23).astype("float32"), np.empty(23, "float32")
    weft.build(te.create_schedule(b), [a, b])(x, out)
    np.testing.assert_allclose(out, lanes(x), rtol=1e-5)


def test_fragments_have_no_place_for_it():
    a = te.placeholder((N, M), name="A")
    b, _ = smooth(a, 1, M)
    with pytest.raises(CodegenError, match="computed by statements"):
        weft.build(te.create_schedule(b), [a, b], "opengl")


def _while(a):
    b = output_tensor((4,), "float32")  # noqa: F821
    while a[0] < 1.0:
        b[0] = 1.0
    return b


def _out_of_block(a):
    b = output_tensor((4,), "float32")  # noqa: F821
    for i in range(4):
        x = a[i]
    b[0] = x
    return b


def _race(a):
    b = output_tensor((4,), "float32")  # noqa: F821
    x = 0.0
    for i in parallel(4):  # noqa: F821
        x = a[i]
    b[0] = x
    return b


def _types(a):
    b = output_tensor((4,), "int32")  # noqa: F821
    b[0] = a[0]
    return b


def _unknown(a):
    b = output_tensor((4,), "float32")  # noqa: F821
    b[0] = frobnicate(a[0])  # noqa: F821
    return b


def _whole(a):
    b = output_tensor((4,), "float32")  # noqa: F821
    b[0] = a + 1.0
    return b


def _returns(a):
    b = output_tensor((4,), "float32")  # noqa: F821
    b[0] = 1.0
    return a


@pytest.mark.parametrize(
    ("function", "words", "line"),
    [
        (_while, "while is not a part", 2),
        (_out_of_block, "x is used outside of the block", 4),
        (_race, "x is assigned in a loop whose iterations run together", 4),
        (_types, "float32 cannot be stored", 2),
        (_unknown, "frobnicate", 2),
        (_whole, "is no number", 2),
        (_returns, "return names what output_tensor", 3),
    ],
)
def test_errors_name_the_file_and_the_line(function, words, line):
    with pytest.raises(ExprError, match=words) as e:
        te.hybrid(function)(te.placeholder((4,), name="A"))
    assert f"test_hybrid.py:{function.__code__.co_firstlineno + line}" in str(e.value)
