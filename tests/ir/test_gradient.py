"""``te.gradient`` against differences, in float64: the interpreter is the judge of both sides."""

import numpy as np
import pytest
from weft import te
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.tensor import Tensor
from weft.runtime.errors import ExprError

F = "float64"


def values(results: list[Tensor], given: dict[Tensor, np.ndarray]) -> list[np.ndarray]:
    outs = [np.full([int(e.value) for e in t.shape], np.nan, t.dtype.numpy) for t in results]
    computed = [t for t in results if t not in given]
    made = [o for t, o in zip(results, outs) if t not in given]
    args = [*given, *computed]
    run(build_loop_nest(te.create_schedule(computed), args, "f"), [*given.values(), *made])
    return [given.get(t, o) for t, o in zip(results, outs)]


def check(output: Tensor, given: dict[Tensor, np.ndarray], by: list[Tensor] | None = None) -> None:
    """The gradients of ``sum(head * output)``, for a random head, of all inputs of floats."""
    rng = np.random.default_rng(7)
    wanted = by or [t for t in given if t.dtype.is_float]
    head = te.placeholder(output.shape, F, name="head")
    weight = rng.standard_normal([int(e.value) for e in output.shape])
    got = values(te.gradient(output, wanted, head), {**given, head: weight})
    for t, g in zip(wanted, got, strict=True):
        assert g.shape == given[t].shape
        for _ in range(3):
            step = rng.standard_normal(g.shape) * 1e-6
            (plus,) = values([output], {**given, t: given[t] + step})
            (minus,) = values([output], {**given, t: given[t] - step})
            want = ((plus - minus) * weight).sum() / 2
            np.testing.assert_allclose((g * step).sum(), want, rtol=1e-5, atol=1e-11)


def data(*shape: int, seed: int = 0, low: float = -1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, 1.5, shape)


def placeholders(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [te.placeholder(s, F, name=f"X{k}") for k, s in enumerate(shapes)]


UNARY = [
    te.exp, te.exp2, te.log, te.log2, te.log1p, te.expm1, te.sqrt, te.rsqrt, te.tanh, te.sigmoid,
    te.erf, te.sin, te.cos, te.tan, te.atan, te.sinh, te.cosh, te.asinh, te.floor, abs,
    lambda x: te.asin(x * 0.5), lambda x: te.acos(x * 0.5), lambda x: te.atanh(x * 0.5),
    lambda x: te.acosh(x + 1.0), lambda x: -x, lambda x: 1.0 / x, lambda x: te.pow(x, x + 1.0),
    lambda x: te.maximum(x, 0.7) * te.minimum(x, x * x), lambda x: te.truncmod(x * 9.0, x + 0.3),
    lambda x: te.fma(x, x, x), lambda x: te.if_then_else(x < 0.8, x * x, te.exp(x)),
]  # fmt: skip


@pytest.mark.parametrize("fn", UNARY, ids=lambda f: getattr(f, "__name__", "f"))
def test_functions_of_one_number(fn):
    (x,) = placeholders((11,))
    check(te.compute((11,), lambda i: fn(x[i]), name="Y"), {x: data(11, low=0.3)})


def conv(stride: int, pad: int, kernel: int, dilation: int = 1):
    n, size = 5, (5 + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    x, w = placeholders((2, 2, n, n), (3, 2, kernel, kernel))
    m = n + 2 * pad
    padded = te.compute(
        (2, 2, m, m),
        lambda b, c, i, j: te.if_then_else(
            (i >= pad) & (i < n + pad) & (j >= pad) & (j < n + pad),
            x[b, c, i - pad, j - pad], te.const(0.0, F),
        ),
        name="P",
    )  # fmt: skip
    c, p, q = (te.reduce_axis(e, a) for e, a in ((2, "c"), (kernel, "p"), (kernel, "q")))
    y = te.compute(
        (2, 3, size, size),
        lambda b, o, i, j: te.sum(
            padded[b, c, stride * i + dilation * p, stride * j + dilation * q] * w[o, c, p, q],
            axis=(c, p, q),
        ),
        name="Y",
    )
    return y, {x: data(2, 2, n, n), w: data(3, 2, kernel, kernel, seed=1)}


@pytest.mark.parametrize("case", [(1, 1, 3), (2, 1, 3), (2, 0, 2), (3, 2, 2), (1, 2, 3, 2)])
def test_convolutions(case):
    check(*conv(*case))


def test_matmul_bias_softmax():
    a, b, c = placeholders((5, 7), (7, 3), (3,))
    k, j1, j2 = te.reduce_axis(7, "k"), te.reduce_axis(3, "j1"), te.reduce_axis(3, "j2")
    y = te.compute((5, 3), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="Y")
    z = te.compute((5, 3), lambda i, j: y[i, j] + c[j], name="Z")
    top = te.compute((5,), lambda i: te.max(z[i, j1], axis=j1), name="top")
    e = te.compute((5, 3), lambda i, j: te.exp(z[i, j] - top[i]), name="E")
    total = te.compute((5,), lambda i: te.sum(e[i, j2], axis=j2), name="total")
    s = te.compute((5, 3), lambda i, j: e[i, j] / total[i], name="S")
    check(s, {a: data(5, 7), b: data(7, 3, seed=1), c: data(3, seed=2)})


@pytest.mark.parametrize("reduce", [te.max, te.min, te.prod, te.sum])
def test_pooling(reduce):
    (x,) = placeholders((9, 10))
    p, q = te.reduce_axis(3, "p"), te.reduce_axis(2, "q")
    y = te.compute(
        (4, 5),
        lambda i, j: reduce(x[2 * i + p, 2 * j + q], axis=(p, q), where=i + p < 6),
        name="Y",
    )
    check(y, {x: data(9, 10)})


def test_a_product_with_zeros_and_a_maximum_of_equals():
    (x,) = placeholders((3, 4))
    k, m = te.reduce_axis(4, "k"), te.reduce_axis(4, "m")
    y = te.compute((3,), lambda i: te.prod(x[i, k], axis=k), name="Y")
    a = np.array([[2, 3, 4, 5], [0, 3, 4, 5], [0, 3, 0, 5]], F)
    ones = te.placeholder((3,), F, name="ones")
    (g,) = values(te.gradient(y, x, ones), {x: a, ones: np.ones(3)})
    np.testing.assert_array_equal(g, [[60, 40, 30, 24], [60, 0, 0, 0], [0, 0, 0, 0]])
    top = te.compute((3,), lambda i: te.max(x[i, m], axis=m), name="M")
    (g,) = values(te.gradient(top, x, ones), {x: np.minimum(a, 4), ones: np.ones(3)})
    np.testing.assert_array_equal(g, [[0, 0, 0.5, 0.5]] * 2 + [[0, 0, 0, 1]])


def test_reshapes_transposes_slices_and_gathers():
    (x,) = placeholders((3, 4, 5))
    rows = te.placeholder((6,), "int32", name="rows")
    t = te.compute((5, 3, 4), lambda i, j, k: x[j, k, i], name="T")
    f = te.compute((60,), lambda i: t[i // 12, i // 4 % 3, i % 4] * 2.0, name="F")
    g = te.compute((10, 6), lambda i, j: f[i * 6 + j], name="G")
    h = te.compute((6, 6), lambda i, j: g[te.minimum(rows[i], 9), 5 - j] * g[i, j], name="H")
    check(h, {x: data(3, 4, 5), rows: np.array([0, 3, 3, 9, 1, 0], np.int32)})


def test_a_reshape_gathers_one_element():
    """All loops are decided: nothing is left to sum over."""
    (x,) = placeholders((3, 4, 6))
    y = te.compute(
        (9, 8), lambda i, j: x[(i * 8 + j) // 24, (i * 8 + j) // 6 % 4, (i * 8 + j) % 6], name="Y"
    )
    head = te.placeholder((9, 8), F, name="head")
    (g,) = te.gradient(y, x, head)
    assert not g.op.reduce_axes
    a = data(9, 8)
    (got,) = values([g], {head: a})
    np.testing.assert_array_equal(got, a.reshape(3, 4, 6))


def test_loops_that_run_backwards_and_digits_below_a_stride():
    (x,) = placeholders((40,))
    p = te.reduce_axis(3, "p")
    y = te.compute((7, 3), lambda i, j: x[38 - 4 * i - j] * x[5 * i + j], name="Y")
    z = te.compute((5,), lambda i: te.sum(y[6 - i, 2 - p] * x[3 * i + p], axis=p), name="Z")
    check(z, {x: data(40)})


def test_a_tensor_that_several_read_and_an_unused_one():
    x, unused = placeholders((6,), (2,))
    k = te.reduce_axis(6, "k")
    a = te.compute((6,), lambda i: x[i] * x[5 - i] + x[i], name="A")
    b = te.compute((6,), lambda i: te.sum(a[k] * te.sin(x[i]), axis=k), name="B")
    c = te.compute((6,), lambda i: a[i] + b[i] + x[0], name="C")
    check(c, {x: data(6), unused: data(2)}, by=[x])
    (zeros,) = te.gradient(c, [unused], te.placeholder((6,), F, name="head"))
    assert [int(e.value) for e in zeros.shape] == [2]
    # By what lies between, too.
    head = te.placeholder((6,), F, name="head")
    (g,) = values(te.gradient(c, a, head), {x: data(6), head: np.ones(6)})
    np.testing.assert_allclose(g, 1 + np.sin(data(6)).sum() * np.ones(6))


def test_a_loss_needs_no_head_and_a_jacobian_has_batches():
    (x,) = placeholders((4,))
    k = te.reduce_axis(4, "k")
    loss = te.compute((), lambda: te.sum(x[k] * x[k], axis=k), name="loss")
    a = data(4)
    (g,) = values(te.gradient(loss, x), {x: a})
    np.testing.assert_allclose(g, 2 * a)
    y = te.compute((4,), lambda i: x[i] * x[3 - i], name="Y")
    head = te.placeholder((4, 4), F, name="head")
    (jacobian,) = values(te.gradient(y, x, head), {x: a, head: np.eye(4)})
    np.testing.assert_allclose(jacobian, np.diag(a[::-1]) + np.diag(a)[:, ::-1])


def test_what_has_no_gradient_says_why():
    (x,) = placeholders((4,))
    k = te.reduce_axis(4, "k")
    pair = te.compute((1,), lambda i: te.argmax(x[k], axis=k), name="best")
    with pytest.raises(ExprError, match=r"argmax.*no derivative[\s\S]*te\.sum"):
        te.gradient(pair[1], x)
    with pytest.raises(ExprError, match="many elements"):
        te.gradient(te.compute((4,), lambda i: x[i], name="Y"), x)
    with pytest.raises(ExprError, match="only floats"):
        te.gradient(te.compute((1,), lambda i: te.cast(x[i], "int32"), name="Y"), x)
    with pytest.raises(ExprError, match="does not end like"):
        te.gradient(te.compute((4,), lambda i: x[i], name="Y"), x, te.placeholder((3,), F))
