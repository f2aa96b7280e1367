"""``==`` and ``!=`` of expressions build expressions; what asks for their truth is told what to
write."""

# ruff: noqa: E711, PLR0124, PLR1714, SIM201, SIM202, SIM300

import numpy as np
import pytest
from weft.ir import te
from weft.ir.alu import Op
from weft.ir.expr import Binary, Const, Expr
from weft.ir.meaning.evaluate import evaluate
from weft.runtime.errors import ExprError

N = 5


def _values(fn, dtype="float32"):
    a = te.placeholder((N,), dtype, name="a")
    out = te.compute((N,), lambda i: fn(a[i], i), name="out")
    (value,) = evaluate([out], {a: np.arange(N, dtype=dtype)})
    return value.tolist()


def test_comparisons_are_expressions():
    assert _values(lambda x, i: te.if_then_else(i == 0, x, 9.0)) == [0, 9, 9, 9, 9]
    assert _values(lambda x, i: te.if_then_else(x != 2, x, 9.0)) == [0, 1, 9, 3, 4]
    assert _values(lambda x, i: te.if_then_else(3 == i, x, 9.0)) == [9, 9, 9, 3, 9]
    assert _values(lambda x, i: te.if_then_else(np.float32(3) == x, x, 9.0)) == [9, 9, 9, 3, 9]
    assert _values(lambda x, i: np.float32(2) * x) == [0, 2, 4, 6, 8]
    assert _values(lambda x, i: (i % 2 == 0) == (i < 3)) == [True, False, True, True, False]


def test_what_is_no_number_is_another_object():
    i = te.var("i")
    assert not (i == None) and i != None and i != "i" and (i, 1) != ("i", 1)
    e = i == 1
    assert isinstance(e, Binary) and e.op is Op.EQ and hash(i) == object.__hash__(i)
    assert {i: 1}[i] == 1 and {(i, e): 2}[i, e] == 2


def test_truth_where_it_is_known():
    n, m = te.var("n"), te.var("m")
    a, b = te.placeholder((n, 4)), te.placeholder((n, 4))
    assert a.shape[0] == b.shape[0] and a.shape[1] == 4 and a.shape[1] != 5 and not n != n
    assert te.const(1) and not te.const(0.0)
    with pytest.raises(ExprError, match="known only when the kernel runs"):
        assert n == m
    x = te.var("x", "float32")
    with pytest.raises(ExprError):
        assert x == x  # false for NaN


i, j, x = te.var("i"), te.var("j"), te.var("x", "float32")
ASKING = {
    "if": (lambda: 1.0 if i == j else 2.0, "te.if_then_else"),
    "and": (lambda: i < 3 and j < 3, "&"),
    "or": (lambda: i == 3 or j < 3, "te.any"),
    "not": (lambda: not i < j, "~"),
    "chain": (lambda: 0 <= i < j, r"\(a < b\) & \(b < c\)"),
    "max": (lambda: max(x, 0.0), "te.maximum"),
    "min": (lambda: min(i, j), "te.minimum"),
    "in": (lambda: i in [j], "a is b"),
    "sum": (lambda: sum(x), r"te.sum\(x\[k\], axis=k\)"),
    "all": (lambda: all([i < j, i < 2]), "te.all"),
    "any of one": (lambda: any(x > 0), "te.any"),
    "unpack": (lambda: [*x], "te.reduce_axis"),
}


@pytest.mark.parametrize("name", ASKING)
def test_asking_for_the_truth_says_what_to_write(name):
    program, words = ASKING[name]
    with pytest.raises(ExprError, match=words):
        program()


def test_constants_are_still_one_object():
    three = te.const(3)
    assert three is te.const(3) and isinstance(three, Const) and isinstance(three == 3, Expr)
