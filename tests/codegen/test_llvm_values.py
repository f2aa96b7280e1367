"""What LLVM would refuse, or die of: values that do not dominate their uses, mixed widths."""

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.runtime.dtype import dtype_of

INTS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("factor", [4, 5])
@pytest.mark.parametrize("inside", [0, 1, 2, 3])
def test_copies_of_a_parallel_loop_share_no_values(parts, factor, inside):
    """Guards that are peeled leave copies of a loop, with the same variables, side by side."""
    a = np.arange(20, dtype="float32")
    A = te.placeholder((20,), name="A")
    T = te.compute((5, 6), lambda i, j: A[j] * 2.0 + te.cast(i, "float32"), name="T")
    B = te.compute((5, 6), lambda i, j: T[i, j] + 1.0, name="B")
    s = te.create_schedule(B)
    i, j = B.op.axes
    _, ii = s[B].split(i, nparts=parts)
    _, ji = s[B].split(j, factor)
    _, q = s[B].split(ii, 2)
    s[B].split(ji, 4)
    s[T].compute_at(s[B], s[B].leaves[inside])
    s[B].parallel(q if inside != 2 else s[B].leaves[0])
    out = np.zeros((5, 6), "float32")
    weft.build(s, [A, B])(a, out)
    np.testing.assert_array_equal(out, a[None, :6] * 2 + 1 + np.arange(5)[:, None])


@pytest.mark.parametrize("dtype", INTS)
@pytest.mark.parametrize("lanes", [1, 7, 32])
def test_floats_of_two_widths_become_integers_in_one_select(dtype, lanes):
    """LLVM's VectorCombine asserts over calls of one intrinsic with operands of two types."""
    d = dtype_of(dtype)
    values = [0.0, -0.5, 0.99, 1.5, -1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 2.0**31,
              d.min, d.max, d.max + 1.0, d.min - 1.0, d.max - 0.5, 2.0**63, -(2.0**63), 2.0**53 + 2,
              np.nextafter(float(d.max + 1), 0), np.nextafter(float(d.min), -np.inf)]  # fmt: skip
    n = -(-len(values) // lanes) * lanes
    y = np.resize(np.array(values), n)
    with np.errstate(over="ignore"):
        x = y.astype("float32")
    X, Y = te.placeholder((n,), name="X"), te.placeholder((n,), "float64", name="Y")
    B = te.compute(
        (2, n),
        lambda r, i: te.if_then_else(
            i % lanes < (lanes // 2) * r, te.cast(X[i], dtype), te.cast(Y[i], dtype)
        ),
        name="B",
    )
    s = te.create_schedule(B)
    if lanes > 1:
        s[B].vectorize(s[B].split(B.op.axes[1], lanes)[1])
    got, want = np.zeros((2, n), dtype), np.zeros((2, n), dtype)
    weft.build(s, [X, Y, B])(x, y, got)
    run(build_loop_nest(te.create_schedule(B), [X, Y, B], "f"), [x, y, want])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("by", [3, 5, 7])
@pytest.mark.parametrize("n", [16, 32, 64])
def test_an_index_that_wraps_is_no_line(n, by):
    """LLVM's loop vectoriser takes it for one where the length is a power of two."""
    A, C = te.placeholder((2, n), "uint8", name="A"), te.placeholder((2, n), "uint8", name="C")
    B = te.compute((2, n), lambda i, j: A[i, (j * by) % n] - C[i, j], name="B")
    a, c = np.random.default_rng(0).integers(0, 9, (2, 2, n)).astype("uint8")
    out = np.zeros((2, n), "uint8")
    weft.build(te.create_schedule(B), [A, C, B])(a, c, out)
    np.testing.assert_array_equal(out, a[:, np.arange(n) * by % n] - c)
