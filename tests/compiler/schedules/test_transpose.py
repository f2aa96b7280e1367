"""Permutations in tiles, and sums of wide columns: right for sizes that nothing divides."""

from functools import partial

import numpy as np
import pytest
import weft
from weft import te
from weft.codegen.llvm import generator
from weft.compiler.schedules import schedule
from weft.ir.target import Target

CPU = generator.resolve(Target.parse("llvm"))


def permute(shape, order, dtype, value=lambda x: x):
    """The result of the rule's kernel, that of numpy, and whether the rule took tiles."""
    A = te.placeholder(shape, dtype, name="A")
    at = np.argsort(order)
    B = te.compute(
        tuple(shape[k] for k in order), lambda *i: value(A[tuple(i[k] for k in at)]), name="B"
    )
    s = schedule([B], CPU)
    kernel = weft.build(s, [A, B], CPU)
    a = np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)
    out = np.full([shape[k] for k in order], 99, dtype)
    kernel(a, out)
    return out, value(a.transpose(order)), len(s.stages) == 3


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((130, 67), (1, 0)), ((64, 128), (1, 0)), ((3, 70, 129), (0, 2, 1)),
        ((70, 3, 129), (2, 1, 0)), ((70, 129, 3), (1, 2, 0)), ((2, 66, 5, 131), (0, 3, 2, 1)),
        ((131, 2, 65), (1, 2, 0)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "int8", "float64"])
def test_permutations(shape, order, dtype):
    got, want, _ = permute(shape, order, dtype)
    np.testing.assert_array_equal(got, want)


def test_what_is_tiled():
    assert permute((130, 67), (1, 0), "float32")[2]
    got, want, tiled = permute((200, 300), (1, 0), "float32", lambda x: x * 2 + 1)
    np.testing.assert_array_equal(got, want)
    assert tiled
    assert not permute((20, 300), (1, 0), "float32")[2]  # less than a tile
    assert not permute((3, 130, 67), (1, 0, 2), "float32")[2]  # lines stay lines


def test_an_operand_beside_a_permuted_one_is_read_where_it_lies():
    A, B = te.placeholder((130, 67), name="A"), te.placeholder((67, 130), name="B")
    C = te.compute((67, 130), lambda i, j: A[j, i] - B[i, j], name="C")
    a = np.arange(130 * 67, dtype="float32").reshape(130, 67)
    b = np.ones((67, 130), "float32")
    out = np.zeros((67, 130), "float32")
    weft.build(schedule([C], CPU), [A, B, C], CPU)(a, b, out)
    np.testing.assert_array_equal(out, a.T - 1)


def _column(reducer, A, k, j):
    return reducer(A[k, j], k)


@pytest.mark.parametrize("rows", [128, 131, 600, 777])
@pytest.mark.parametrize("columns", [5, 40, 1024, 1031, 2500])
def test_columns(rows, columns):
    A, k = te.placeholder((rows, columns), name="A"), te.reduce_axis(rows, "k")
    a = np.random.default_rng(0).integers(-4, 5, (rows, columns)).astype("float32")
    for reducer, want in ((te.sum, a.sum(0)), (te.max, a.max(0))):
        B = te.compute((columns,), partial(_column, reducer, A, k), name="B")
        out = np.full(columns, np.nan, "float32")
        weft.build(schedule([B], CPU), [A, B], CPU)(a, out)
        np.testing.assert_array_equal(out, want)
