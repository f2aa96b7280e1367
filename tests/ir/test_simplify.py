"""What the simplifier makes of single expressions, and what the analyzer proves."""

import pytest
from weft.ir.alu import Op
from weft.ir.builders import equal, maximum, minimum, not_equal
from weft.ir.expr import (
    FALSE,
    TRUE,
    Binary,
    Broadcast,
    Call,
    Cast,
    Expr,
    Load,
    Ramp,
    Select,
    Var,
    const,
)
from weft.ir.simplify import Analyzer, Interval, linear_form, simplify, stride
from weft.ir.stmt import Buffer
from weft.runtime.dtype import FLOAT32, INT8, INT32

i, j, k, n = Var("i"), Var("j"), Var("k"), Var("n")
co, ci = Var("co"), Var("ci")
buf = Buffer("A", FLOAT32, (const(1024),))


def _an() -> Analyzer:
    an = Analyzer()
    an.bind(co, 0, 3)
    an.bind(ci, 0, 15)
    an.bind(j, 0, 7)
    an.bind(i, 0, n - 1)
    return an


@pytest.mark.parametrize(
    ("e", "text"),
    [
        ((co * 16 + ci) // 16, "co"),
        ((co * 16 + ci) % 16, "ci"),
        ((co * 16 + ci) // 4, "co * 4 + ci // 4"),
        ((co * 16 + ci) % 64, "co * 16 + ci"),
        ((k * 64 + co * 16 + ci) // 16, "k * 4 + co"),
        ((k * 16 + ci) % 64, "k % 4 * 16 + ci"),
        ((i * 8 + j) // 4, "i * 2 + j // 4"),
        ((i * 8 + j) % 4, "j % 4"),
        ((k + 8) // 4, "k // 4 + 2"),
        ((k * 4 + 6) // 8, "(k + 1) // 2"),
        (k // 4 // 3, "k // 12"),
        (k % 8 % 4, "k % 4"),
        ((k % 8 * 3 + 8) % 8, "k * 3 % 8"),
        (k // 4 * 4 + k % 4, "k"),
        ((k * 16 + ci) // 4 * 4 + (k * 16 + ci) % 4, "k * 16 + ci"),
        (k - k, "0"),
        ((k + j) - (j + k), "0"),
        (minimum(k, k + 3), "k"),
        (maximum(co, 5), "5"),
        (minimum(ci, 15), "ci"),
        ((k + 1) * 4 - 4, "k * 4"),
        ((k + 1) * n - n, "k * n"),
        (5 - k + 2, "7 - k"),
        (-(k - 3), "3 - k"),
        (i < n, "True"),
        (i + 1 <= n, "True"),
        (n <= i, "False"),
        (i * 4 + 3 < n * 4, "True"),
        (k + 3 < n + 5, "k < n + 2"),
        (k * 4 < 18, "k < 5"),
        (k - 2 >= 0, "2 <= k"),
        (co * 16 + ci < 64, "True"),
        (co * 16 + ci < 63, "co * 16 + ci < 63"),
        (k * 16 + ci < 48, "k < 3"),
        (k * 16 + ci > 47, "2 < k"),
        (k * 32 + i * 16 + ci < n * 16, "k * 2 + i < n"),
        (k * 16 + ci < 47, "k * 16 + ci < 47"),
        (equal(k * 2, n * 2 + 1), "False"),
        (not_equal(co, 4), "True"),
        (Select(ci < 16, k, n), "k"),
        ((co < 9) & (k < 2), "k < 2"),
        (~(k < 2), "2 <= k"),
        ((i * 3 + 2) % 3, "2"),
        (Cast(Cast(const(300), INT8), INT32), "44"),
    ],
)  # fmt: skip
def test_scalar_texts(e: Expr, text: str) -> None:
    an = _an()
    found = an.simplify(e)
    assert str(found) == text
    assert an.simplify(found) is found


def b4(e: Expr) -> Expr:
    return Broadcast(e, 4)


@pytest.mark.parametrize(
    ("e", "text"),
    [
        (Ramp(k, const(1), 4) + b4(n), "ramp(k + n, 1, 4)"),
        (b4(n) - Ramp(k, const(1), 4), "ramp(n - k, -1, 4)"),
        (Ramp(k, const(1), 4) * b4(const(8)), "ramp(k * 8, 8, 4)"),
        (Ramp(k, const(1), 4) - Ramp(n, const(1), 4), "broadcast(k - n, 4)"),
        (b4(k) * b4(n), "broadcast(k * n, 4)"),
        (Ramp(k * 4, const(1), 4) // b4(const(4)), "broadcast(k, 4)"),
        (Ramp(k * 4, const(1), 4) % b4(const(4)), "ramp(0, 1, 4)"),
        (Ramp(k * 4, const(4), 4) // b4(const(4)), "ramp(k, 1, 4)"),
        (Ramp(k, const(1), 4) // b4(const(4)), "ramp(k, 1, 4) // broadcast(4, 4)"),
        (Binary(Op.LT, Ramp(ci, const(1), 4), b4(const(19))), "broadcast(True, 4)"),
        (Binary(Op.LT, Ramp(i * 4, const(1), 4), b4(n * 4)), "broadcast(True, 4)"),
        (minimum(Ramp(ci, const(1), 4), b4(const(18))), "ramp(ci, 1, 4)"),
        (Select(b4(TRUE), Ramp(k, const(1), 4), b4(n)), "ramp(k, 1, 4)"),
        (Ramp(k, const(0), 4), "broadcast(k, 4)"),
        (Load(buf, (b4(k),)), "broadcast(A[k], 4)"),
        (Load(buf, (Ramp(k, const(1), 4),), b4(TRUE)), "A[ramp(k, 1, 4)]"),
        (Load(buf, (Ramp(k, const(1), 4),), b4(FALSE)), "broadcast(0.0, 4)"),
        (Call("exp", (b4(Load(buf, (k,))),), FLOAT32.with_lanes(4)), "broadcast(exp(A[k]), 4)"),
        (Cast(b4(k), FLOAT32.with_lanes(4)), "broadcast(float32(k), 4)"),
    ],
)  # fmt: skip
def test_vector_texts(e: Expr, text: str) -> None:
    found = _an().simplify(e)
    assert str(found) == text
    assert found.dtype == e.dtype


def test_data_wraps_and_is_not_taken_for_an_index() -> None:
    ints = Buffer("D", INT32, (const(4),))
    x = Load(ints, (k,))
    assert str(simplify(x + 1 < x)) == "D[k] + 1 < D[k]"
    assert str(simplify((x * 4) // 4)) == "D[k] * 4 // 4"
    assert str(simplify(x + 1 - x)) == "1"
    small = Cast(Load(Buffer("B", INT8, (const(4),)), (k,)), INT32)
    assert str(simplify((small * 4) // 4)) == "int32(B[k])"
    assert Analyzer().interval(small * 3) == Interval(-384, 381)


def test_floats_keep_their_zeros_and_nans() -> None:
    x = Var("x", FLOAT32)
    for e in (x + 0.0, x - 0.0, x * 0.0, x - x, 0.0 / x, equal(x, x), x / x):
        assert type(simplify(e)) is Binary
    assert simplify(x * 1.0) is x
    assert str(simplify(const(2.0) * 3.0 + x)) == "6.0 + x"


def test_rebinding_forgets() -> None:
    an = Analyzer()
    an.bind(k, 0, 3)
    assert an.prove(k < 4)
    an.bind(k, 0, 9)
    assert not an.prove(k < 4)
    with an.bound(k, 0, 1):
        assert an.prove(k < 2)
    assert not an.prove(k < 2)
    with an.assuming((k < n) & (n <= 6)):
        assert an.prove(k < n)
        assert an.prove(k <= n + 1)
        assert an.prove(n < 7)
    assert not an.prove(k < n)
    with an.assuming(k >= 3):
        assert an.prove(n - 17 * k <= n - 51)  # seventeen times what is known
        assert not an.prove(n - 17 * k <= n - 52)


def test_linear() -> None:
    e = (k * 4 + j) * 2 - n + 3
    assert linear_form(e).terms == {k: 8, j: 2, n: -1}
    assert linear_form(e).constant == 3
    assert stride(e, k) == 8
    assert stride(5 * e, n) == -5
    assert stride(k // 2 + j, k) is None
    assert stride(k // 2 + j, j) == 1
    assert stride(k * j, n) == 0
    assert stride(k * j, k) is None
