"""Determinants and inverses, by elimination with partial pivoting, unrolled over the matrix.

Golub, Van Loan, "Matrix Computations" (4th ed., §3.4). Each step is a few operators on all matrices
of the batch at once, so that nothing but the extent of the matrix decides how many there are.
"""

from __future__ import annotations

import numpy as np

from .compose import cast, concat, expand, number, op, reshape, row
from .context import Converter, NodeContext
from .ops_cut import cut

MAX_EXTENT = 64  # unrolled; about ten operators for each row


def _square(n: NodeContext) -> tuple[tuple[int, ...], int]:
    """The axes of the batch, and the extent of its matrices."""
    t = n.type(0)
    assert t is not None
    if len(t.shape) < 2 or t.shape[-1] != t.shape[-2]:
        n.error(f"it takes square matrices, not {t}.")
    if t.shape[-1] > MAX_EXTENT:
        n.unsupported(f"matrices of {t.shape[-1]} rows; {MAX_EXTENT} is the most")
    return t.shape[:-2], t.shape[-1]


class _Pivot:
    """The largest element of the first column, from row ``first`` on, and its row.

    ``matrix`` is ``[batch, rows, columns]``. ``row`` is that row, ``value`` the element in column
    ``column`` of it, ``rest`` the matrix in which row ``first`` has taken its place.
    """

    def __init__(self, n: NodeContext, matrix: str, first: int, column: int):
        batch, rows, columns = n.typeof(matrix).shape
        below = cut(n, cut(n, matrix, 1, first, rows - first), 2, column, 1)
        at = n.add("arg_max", [n.add("abs", [below])], axis=1, keepdims=True)
        self.at = op(n, "add", at, number(n, first, at))  # [batch, 1, 1]
        index = expand(n, self.at, (batch, 1, columns))
        self.row = n.add("gather_elements", [matrix, index], axis=1)
        self.value = cut(n, self.row, 2, column, 1)
        dtype = n.typeof(at).dtype.numpy
        places = n.constant(np.arange(rows, dtype=dtype).reshape(1, rows, 1))
        here = op(n, "equal", places, self.at)
        self.rest = op(n, "where", here, cut(n, matrix, 1, first, 1), matrix)


def _det(n: NodeContext) -> str:
    """The product of the pivots, negated for each exchange of rows."""
    batch, extent = _square(n)
    x, dtype = n.inputs[0], str(n.typeof(n.inputs[0]).dtype)
    x = cast(n, x, "float64" if dtype == "float64" else "float32")
    count = int(np.prod(batch, dtype=np.int64))
    m = reshape(n, x, (count, extent, extent))
    det = n.constant(np.ones((count, 1, 1), n.typeof(x).dtype.numpy))
    for k in range(extent):
        left = extent - k
        p = _Pivot(n, m, 0, 0)
        stays = op(n, "equal", p.at, number(n, 0, p.at))
        signed = op(n, "where", stays, p.value, op(n, "neg", p.value))
        det = op(n, "mul", det, signed)
        if left > 1:
            zero = op(n, "equal", p.value, number(n, 0, p.value))
            by = op(n, "where", zero, number(n, 1, p.value), p.value)
            lower = cut(n, p.rest, 1, 1, left - 1)
            factor = op(n, "div", cut(n, lower, 2, 0, 1), by)
            row_right = cut(n, p.row, 2, 1, left - 1)
            m = op(n, "sub", cut(n, lower, 2, 1, left - 1), op(n, "mul", factor, row_right))
    return cast(n, reshape(n, det, batch), dtype)


def inverse(n: NodeContext) -> str:
    """Gauss-Jordan: ``[A | I]`` becomes ``[I | A⁻¹]``; infinities or NaN where A is singular."""
    batch, extent = _square(n)
    x, dtype = n.inputs[0], str(n.typeof(n.inputs[0]).dtype)
    if not extent:
        return x
    x = cast(n, x, "float64" if dtype == "float64" else "float32")
    count = int(np.prod(batch, dtype=np.int64))
    m = reshape(n, x, (count, extent, extent))
    eye = n.constant(np.eye(extent, dtype=n.typeof(x).dtype.numpy)[None])
    m = concat(n, [m, expand(n, eye, (count, extent, extent))], 2)
    for k in range(extent):
        p = _Pivot(n, m, k, k)
        scaled = op(n, "div", p.row, p.value)
        others = op(n, "sub", p.rest, op(n, "mul", cut(n, p.rest, 2, k, 1), scaled))
        parts = [cut(n, others, 1, 0, k), scaled, cut(n, others, 1, k + 1, extent - k - 1)]
        m = concat(n, parts, 1)
    return cast(n, reshape(n, cut(n, m, 2, extent, extent), (*batch, extent, extent)), dtype)


CONVERTERS: dict[str, Converter] = {"Det": row(_det, "X")}
