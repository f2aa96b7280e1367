"""Tensor expressions evaluated against the same thing written by hand in numpy."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.counting import calls
from weft.ir import reducers
from weft.ir.alu import Op
from weft.ir.builders import if_then_else, maximum, minimum, truncdiv, truncmod
from weft.ir.comm_reducer import comm_reducer
from weft.ir.expr import Binary, Expr, Reinterpret, Select, const
from weft.ir.intrin import erf, exp, isnan, power, rsqrt
from weft.ir.meaning.evaluate import evaluate
from weft.ir.tensor import compute, placeholder, reduce_axis, var
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import InputError, LoweringError

rng = np.random.default_rng(0)


def test_matmul() -> None:
    a, b = placeholder((5, 7), name="A"), placeholder((7, 3), name="B")
    k = reduce_axis(7)
    c = compute((5, 3), lambda i, j: reducers.sum(a[i, k] * b[k, j], axis=k))
    x, y = rng.random((5, 7), np.float32), rng.random((7, 3), np.float32)
    (got,) = evaluate([c], {a: x, b: y})
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, x @ y, rtol=1e-6)


def test_symbolic_extents_and_a_chain() -> None:
    n = var("n")
    a = placeholder((n,), name="A")
    b = compute((n,), lambda i: a[i] + 1.0, name="B")
    c = compute((n,), lambda i: b[n - 1 - i] * 2.0, name="C")
    x = np.arange(6, dtype=np.float32)
    got_c, got_b = evaluate([c, b], {a: x}, {n: 6})
    np.testing.assert_array_equal(got_c, (x[::-1] + 1) * 2)
    np.testing.assert_array_equal(got_b, x + 1)
    (fed,) = evaluate([c], {b: x}, {n: 6})
    np.testing.assert_array_equal(fed, x[::-1] * 2)


@pytest.mark.parametrize(("stride", "pad"), [(1, 1), (2, 0), (3, 2)])
def test_convolution_with_padding(stride: int, pad: int) -> None:
    n, ci, co, h, w, r = 2, 3, 4, 7, 6, 3
    x = placeholder((n, ci, h, w), name="X")
    f = placeholder((co, ci, r, r), name="F")
    padded = compute(
        (n, ci, h + 2 * pad, w + 2 * pad),
        lambda b, c, i, j: if_then_else(
            (i >= pad) & (i < h + pad) & (j >= pad) & (j < w + pad),
            x[b, c, i - pad, j - pad],
            0.0,
        ),
    )
    c, p, q = reduce_axis(ci, "c"), reduce_axis(r, "p"), reduce_axis(r, "q")
    oh, ow = (h + 2 * pad - r) // stride + 1, (w + 2 * pad - r) // stride + 1
    y = compute(
        (n, co, oh, ow),
        lambda b, o, i, j: reducers.sum(
            padded[b, c, i * stride + p, j * stride + q] * f[o, c, p, q], axis=[c, p, q]
        ),
    )
    xs, fs = rng.random((n, ci, h, w), np.float32), rng.random((co, ci, r, r), np.float32)
    (got,) = evaluate([y], {x: xs, f: fs})
    xp = np.pad(xs, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    win = np.lib.stride_tricks.sliding_window_view(xp, (r, r), (2, 3))[:, :, ::stride, ::stride]
    np.testing.assert_allclose(got, np.einsum("bchwpq,ocpq->bohw", win, fs), rtol=1e-5)


def test_millions_of_points_take_few_steps_of_python() -> None:
    a = placeholder((1, 64, 58, 58), name="A")
    f = placeholder((64, 64, 3, 3), name="F")
    c, p, q = reduce_axis(64, "c"), reduce_axis(3, "p"), reduce_axis(3, "q")
    y = compute(
        (1, 4, 56, 56),
        lambda b, o, i, j: reducers.sum(a[b, c, i + p, j + q] * f[o, c, p, q], axis=[c, p, q]),
    )
    x, w = np.ones((1, 64, 58, 58), "f4"), np.ones((64, 64, 3, 3), "f4")
    (got,), steps = calls(evaluate, [y], {a: x, f: w})
    assert (got == 64 * 9).all()
    assert steps < 5000  # 988 for 7 million products


def test_argmax_first_nan_wins() -> None:
    a = placeholder((4, 5), name="A")
    k = reduce_axis(5)
    outs = compute((4,), lambda i: reducers.argmax(a[i, k], k))
    low = compute((4,), lambda i: reducers.argmin(a[i, k], k))
    x = np.array(
        [[1, 3, 3, 0, 2], [1, np.nan, 5, np.nan, 0], [-np.inf] * 5, [np.inf, 7, 7, np.inf, -1]],
        np.float32,
    )
    index, value = evaluate(list(outs), {a: x})
    np.testing.assert_array_equal(index, np.argmax(x, 1))
    np.testing.assert_array_equal(value, np.max(x, 1))
    assert index.dtype == np.int32
    index, value = evaluate(list(low), {a: x})
    np.testing.assert_array_equal(index, np.argmin(x, 1))
    np.testing.assert_array_equal(value, np.min(x, 1))


def test_several_results_of_one_compute_and_of_one_reducer() -> None:
    a = placeholder((6,), name="A")
    twice, square = compute((6,), lambda i: (a[i] * 2.0, a[i] * a[i]))
    x = np.arange(6, dtype=np.float32)
    got = evaluate([square, twice], {a: x})
    np.testing.assert_array_equal(got[0], x * x)
    np.testing.assert_array_equal(got[1], x * 2)
    both = comm_reducer(
        lambda u, v: (u[0] + v[0], maximum(u[1], v[1])),
        lambda s, t: (const(0, s), const(float("-inf"), t)),
        name="sum_max",
    )
    k = reduce_axis(6)
    total, high = compute((2,), lambda i: both((a[k] * 2.0, a[k] - 1.0), axis=k))
    got = evaluate([total, high], {a: x})
    np.testing.assert_array_equal(got, [[30, 30], [4, 4]])


@pytest.mark.parametrize("name", ["sum", "prod", "min", "max"])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32"])
def test_ufunc_reductions_in_their_own_dtype(name: str, dtype: str) -> None:
    a = placeholder((3, 9, 4), dtype, name="A")
    k, m = reduce_axis((1, 8), "k"), reduce_axis(4, "m")
    b = compute((3,), lambda i: getattr(reducers, name)(a[i, k, m], axis=[k, m], where=m + k > 2))
    x = rng.integers(0, 100, (3, 9, 4)).astype(dtype)
    if dtype == "float32":
        x /= 64
    (got,) = evaluate([b], {a: x})
    kk, mm = np.mgrid[1:8, 0:4]
    flat = x[:, 1:8][:, kk + mm > 2]
    with np.errstate(all="ignore"):
        want = getattr(np, name)(
            flat, axis=1, **({} if name in ("min", "max") else {"dtype": dtype})
        )
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert got.dtype == x.dtype


def test_any_all_and_a_condition_that_guards_the_read() -> None:
    a = placeholder((4,), "bool", name="A")
    k = reduce_axis(6)
    some = compute((1,), lambda i: reducers.any(a[k], axis=k, where=k < 4))
    every = compute((1,), lambda i: reducers.all(a[k], axis=k, where=k < 4))
    for x in ([0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]):
        v = np.array(x, bool)
        got = evaluate([some, every], {a: v})
        assert [g[0] for g in got] == [v.any(), v.all()]


def test_zero_extents() -> None:
    a = placeholder((0, 3), name="A")
    k = reduce_axis(0)
    col = compute((3,), lambda j: reducers.sum(a[k, j], axis=k))
    low = compute((3,), lambda j: reducers.min(a[k, j], axis=k))
    best = compute((3,), lambda j: reducers.argmax(a[k, j], k))
    copy = compute((0, 3), lambda i, j: a[i, j] + 1.0)
    x = np.zeros((0, 3), np.float32)
    total, least, index, value, same = evaluate([col, low, *best, copy], {a: x})
    np.testing.assert_array_equal(total, [0, 0, 0])
    np.testing.assert_array_equal(least, [np.inf] * 3)
    np.testing.assert_array_equal(index, [2**31 - 1] * 3)
    np.testing.assert_array_equal(value, [-np.inf] * 3)
    assert same.shape == (0, 3)


def test_select_is_lazy_and_a_selected_read_out_of_bounds_is_an_error() -> None:
    a = placeholder((4,), name="A")
    x = np.arange(4, dtype=np.float32)
    ok = compute((6,), lambda i: if_then_else(i < 4, a[i], if_then_else(i > 4, 7.0, a[i - 4])))
    np.testing.assert_array_equal(evaluate([ok], {a: x})[0], [0, 1, 2, 3, 0, 7])
    bad = compute((6,), lambda i: if_then_else(i < 5, a[i], 0.0), name="bad")
    with pytest.raises(LoweringError, match=r"bad: A\[i\] reads A\[4\], .* shape \[4\]"):
        evaluate([bad], {a: x})
    worse = compute((2, 3), lambda i, j: a[i * 3 + j - 1], name="worse")
    with pytest.raises(LoweringError, match=r"reads A\[-1\]"):
        evaluate([worse], {a: x})
    fixed = compute((2, 3), lambda i, j: a[4], name="fixed")
    with pytest.raises(LoweringError, match=r"reads A\[4\]"):
        evaluate([fixed], {a: x})
    empty = placeholder((0,), name="E")
    none = compute(
        (3,), lambda i: if_then_else(i < 0, empty[i], 1.0) + Select(i > 5, empty[i], a[i])
    )
    np.testing.assert_array_equal(
        evaluate([none], {a: x, empty: x[:0]})[0], np.array([1, 2, 3], np.float32)
    )


def test_gather_and_diagonal() -> None:
    a, i0 = placeholder((4, 4), name="A"), placeholder((3,), "int32", name="I")
    g = compute((3, 4), lambda i, j: a[i0[i], j])
    d = compute((4,), lambda i: a[i, i])
    x, idx = rng.random((4, 4), np.float32), np.array([3, 0, 3], np.int32)
    got_g, got_d = evaluate([g, d], {a: x, i0: idx})
    np.testing.assert_array_equal(got_g, x[idx])
    np.testing.assert_array_equal(got_d, x.diagonal())


def test_wrong_feeds() -> None:
    a = placeholder((4,), name="A")
    b = compute((4,), lambda i: a[i])
    with pytest.raises(InputError, match="no value is fed for A"):
        evaluate([b], {})
    with pytest.raises(InputError, match=r"A: float32\[4\] .* is fed with float64\[4\]"):
        evaluate([b], {a: np.zeros(4)})
    n = var("n")
    with pytest.raises(InputError, match="no value is given for the variable n"):
        evaluate([compute((n,), lambda i: i)], {})


# ---------------------------------------------------------------------- types

_EDGE = {
    "int8": [-128, -127, -7, -1, 0, 1, 2, 7, 127],
    "int32": [-(2**31), -7, -1, 0, 1, 3, 7, 2**31 - 1],
    "uint8": [0, 1, 7, 128, 255],
}


def _wrap(v: int, dtype: str) -> int:
    d = dtype_of(dtype)
    v &= (1 << d.bits) - 1
    return v - (1 << d.bits) if v > d.max else v


def _tdiv(a: int, b: int) -> int:
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


@pytest.mark.parametrize("dtype", _EDGE)
def test_integer_operators(dtype: str) -> None:
    values = np.array(_EDGE[dtype], dtype)
    n, bits = len(values), dtype_of(dtype).bits
    a, b = placeholder((n,), dtype), placeholder((n,), dtype)
    reference = {
        Op.ADD: lambda x, y: x + y,
        Op.SUB: lambda x, y: x - y,
        Op.MUL: lambda x, y: x * y,
        Op.FLOORDIV: lambda x, y: x // y if y else 0,
        Op.FLOORMOD: lambda x, y: x % y if y else 0,
        Op.TRUNCDIV: lambda x, y: _tdiv(x, y) if y else 0,
        Op.TRUNCMOD: lambda x, y: x - y * _tdiv(x, y) if y else 0,
        Op.MIN: min,
        Op.MAX: max,
        Op.AND: lambda x, y: x & y,
        Op.OR: lambda x, y: x | y,
        Op.XOR: lambda x, y: x ^ y,
        Op.SHL: lambda x, y: x << (y % bits),
        Op.SHR: lambda x, y: x >> (y % bits),
    }
    for op, f in reference.items():

        def body(i: Expr, j: Expr) -> Expr:
            return Binary(op, a[i], b[j])  # noqa: B023 (called before the next turn)

        (got,) = evaluate([compute((n, n), body)], {a: values, b: values})
        want = [[_wrap(f(int(x), int(y)), dtype) for y in values] for x in values]
        assert got.tolist() == want, op
        assert got.dtype == values.dtype
    neg, inv, mag = compute((n,), lambda i: (-a[i], ~a[i], abs(a[i])))
    for got, f in zip(evaluate([neg, inv, mag], {a: values}), (lambda x: -x, lambda x: ~x, abs)):
        assert got.tolist() == [_wrap(f(int(x)), dtype) for x in values]


def test_float_operators_and_nan() -> None:
    v = np.array([np.nan, -np.inf, -2.5, -0.0, 0.0, 3.0, np.inf], np.float32)
    a, b = placeholder((7,)), placeholder((7,))

    def ops(i, j):
        x, y = a[i], b[j]
        return minimum(x, y), maximum(x, y), x / y, truncmod(x, y), x < y, Binary(Op.NE, x, y)

    got = evaluate(list(compute((7, 7), ops)), {a: v, b: v})
    x, y = v[:, None], v
    with np.errstate(all="ignore"):
        want = [np.minimum(x, y), np.maximum(x, y), x / y, np.fmod(x, y), x < y, x != y]
    for g, w in zip(got, want):
        np.testing.assert_array_equal(g, w)
    assert truncdiv(const(-7), const(2)).dtype == dtype_of("int32")


def test_casts() -> None:
    v = np.array([np.nan, -np.inf, np.inf, -1.9, 1.9, 300.0, -300.0, 3e9, -3e9, 1e30], np.float32)
    a = placeholder((10,))

    def to(dtype: str) -> list:
        return evaluate([compute((10,), lambda i: a[i].astype(dtype))], {a: v})[0].tolist()

    hi = 2**31 - 1
    assert to("int8") == [0, -128, 127, -1, 1, 127, -128, 127, -128, 127]
    assert to("uint8") == [0, 0, 255, 0, 1, 255, 0, 255, 0, 255]
    assert to("int32") == [0, -hi - 1, hi, -1, 1, 300, -300, hi, -hi - 1, hi]
    assert to("uint64")[7:] == [3 * 10**9, 0, 2**64 - 1]
    assert to("int64")[9] == 2**63 - 1
    assert to("bool") == [True] * 10
    assert to("float16")[5:8] == [300.0, -300.0, np.inf]
    b = placeholder((3,), "int32")
    w = np.array([300, -1, 2**31 - 1], np.int32)
    low, flag = compute((3,), lambda i: (b[i].astype("uint8"), (b[i] > 0).astype("float32")))
    got = evaluate([low, flag], {b: w})
    assert got[0].tolist() == [44, 255, 255]
    assert got[1].tolist() == [1.0, 0.0, 1.0]
    h = placeholder((3,), "float16")
    wide = compute((3,), lambda i: h[i].astype("int64"))
    got = evaluate([wide], {h: np.array([np.inf, -np.inf, 60000], np.float16)})[0]
    assert got.tolist() == [2**63 - 1, -(2**63), 60000]


def test_bfloat16_is_computed_in_float32_and_rounded_when_stored() -> None:
    a = placeholder((2,), "bfloat16")
    eps = 2.0**-9
    x = np.array([1.0, 2.0], ml_dtypes.bfloat16)
    back = compute((2,), lambda i: (a[i] + eps) - a[i])
    once = compute((2,), lambda i: a[i] + eps)
    twice = compute((2,), lambda i: once[i] - a[i])
    got = evaluate([back, once, twice], {a: x})
    assert got[0].dtype == ml_dtypes.bfloat16
    assert got[0].astype(float).tolist() == [eps, eps]
    assert got[1].astype(float).tolist() == [1.0, 2.0]
    assert got[2].astype(float).tolist() == [0.0, 0.0]


def test_reinterpret_and_intrinsics() -> None:
    a = placeholder((5,))
    x = np.array([0.5, 1.0, 2.25, 100.0, np.nan], np.float32)
    bits = compute((5,), lambda i: Reinterpret(a[i], dtype_of("int32")))
    e, r, p, f, nan = compute(
        (5,), lambda i: (exp(a[i]), rsqrt(a[i]), power(a[i], 3.0), erf(a[i]), isnan(a[i]))
    )
    got = evaluate([bits, e, r, p, f, nan], {a: x})
    np.testing.assert_array_equal(got[0], x.view(np.int32))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got[1], np.exp(x), rtol=1e-6)
    np.testing.assert_allclose(got[2], 1 / np.sqrt(x), rtol=1e-6)
    np.testing.assert_allclose(got[3], x**3, rtol=1e-6)
    np.testing.assert_allclose(got[4][:3], [0.5204999, 0.8427008, 0.9985373], rtol=1e-6)
    assert got[5].tolist() == [False] * 4 + [True]
    assert got[4].dtype == np.float32


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_boxes_do_not_show(data: st.DataObject) -> None:
    """The result does not depend on how the grid is cut."""
    import weft.ir.meaning.evaluate as module

    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    a = placeholder(tuple(shape), "int32")
    k = reduce_axis(shape[-1])
    b = compute(tuple(shape), lambda *i: reducers.sum(a[(*i[:-1], k)] * (i[-1] + 1), axis=k))
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    (whole,) = evaluate([b], {a: x})
    old, module._CHUNK = module._CHUNK, data.draw(st.integers(1, 30))
    try:
        (cut,) = evaluate([b], {a: x})
    finally:
        module._CHUNK = old
    np.testing.assert_array_equal(cut, whole)
    want = x.sum(-1, keepdims=True) * (np.arange(shape[-1]) + 1)
    np.testing.assert_array_equal(whole, want)
