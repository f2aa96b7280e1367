"""Convolution by minimal filtering: F(m×m, 3×3) of Winograd.

After Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), §4. The result
is cut into tiles of ``m × m``, each of which needs ``n × n`` elements of the data, ``n = m + 2``::

    data tile d     -- Bᵀ d B -->   V[a, b, tile, channel]
                                        |  n² matrix products:  M[a, b] = V[a, b] · U[a, b]
    result tile Y   <-- Aᵀ M A --   M[a, b, tile, filter]

The weights arrive transformed, ``U = G g Gᵀ``. A result then costs ``(n / m)²`` multiplications for
each pair of channels, where a direct convolution has 9: 4 for m = 2, 2.25 for m = 4.

The transforms are sums with few and small coefficients; they are written out as such, without
the zeros and ones of the matrices, and with the sums shared that two rows have in common.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from ...ir import reducers
from ...ir.builders import equal, if_then_else
from ...ir.expr import Expr, const
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import DType
from ...runtime.errors import GraphError
from ..types import TensorType
from .facts import Contraction, Facts, Stream
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import extents, pad_stage, padded, reduced, stage

# The points at which the polynomials are evaluated, besides infinity: small numbers and their
# inverses, because the rounding error grows with the coefficients (ibid., §5.3).
_POINTS = (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))
TILES = (2, 4, 6)
_FILTERS = 16  # whose weights are transformed together


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m, 3): ``a`` [m, n], ``g`` [n, 3], ``b`` [n, n], float64; Aᵀ and Bᵀ of the
    paper are ``a`` and ``b`` as they stand here."""

    a: np.ndarray
    g: np.ndarray
    b: np.ndarray


@cache
def transforms(m: int) -> Transforms:
    """The matrices of F(m, 3), by the method of Toom and Cook."""
    n = m + 2
    points = [Fraction(p) for p in _POINTS[: n - 1]]
    a = [[p**i for p in points] + [Fraction(int(i == m - 1))] for i in range(m)]
    g, b = [], []
    for j, p in enumerate(points):
        others = [q for k, q in enumerate(points) if k != j]
        scale = math.prod((p - q for q in others), start=Fraction(1))
        g.append([p**i / scale for i in range(3)])
        b.append([*_polynomial(others), Fraction(0)])
    g.append([Fraction(0), Fraction(0), Fraction(1)])
    b.append(_polynomial(points))
    return Transforms(*(np.array(x, np.float64) for x in (a, g, b)))


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of the product of all ``x - root``, the constant one first."""
    made = [Fraction(1)]
    for r in roots:
        made = [low - r * high for low, high in zip([Fraction(0), *made], [*made, Fraction(0)])]
    return made


def transform_weights(w: np.ndarray, m: int) -> np.ndarray:
    """``G g Gᵀ`` as [n, n, channel, filter] of weights [filter, channel, 3, 3]; in float64, rounded
    once."""
    g = transforms(m).g
    both = np.kron(g, g)  # [(a, b), (y, x)]
    filters, channels = w.shape[:2]
    u = np.empty((len(both), channels, filters), w.dtype)
    for k in range(0, filters, _FILTERS):  # what is turned around stays in a cache
        some = w[k : k + _FILTERS].astype(np.float64)
        taps = some.reshape(-1, channels, 9).transpose(2, 1, 0).reshape(9, -1)
        u[:, :, k : k + _FILTERS] = (both @ taps).reshape(len(both), channels, -1)
    return u.reshape(m + 2, m + 2, channels, filters)


def _infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, u = types[0], types[1]
    bias = types[2] if len(types) > 2 else None
    assert x is not None and u is not None
    m, pads = attrs["tile"], attrs["pads"]
    if m not in TILES:
        raise GraphError(f"winograd_conv has tiles of {TILES}, not {m}.")
    if len(x.shape) != 4 or len(pads) != 4 or not x.dtype.is_float or u.dtype != x.dtype:
        raise GraphError(f"winograd_conv takes [N, C, H, W] data of a float type and 4 pads: {x}.")
    n, c, h, w = x.shape
    if len(u.shape) != 4 or u.shape[:3] != (m + 2, m + 2, c):
        raise GraphError(f"winograd_conv takes [{m + 2}, {m + 2}, {c}, F] weights, not {u}.")
    if bias is not None and (bias.shape != u.shape[3:] or bias.dtype != x.dtype):
        raise GraphError(f"the bias of winograd_conv must be {x.dtype}[{u.shape[3]}], not {bias}.")
    size = h + pads[0] + pads[2] - 2, w + pads[1] + pads[3] - 2
    if min(size) < 1:
        raise GraphError(f"winograd_conv: {x} with pads {pads} is smaller than the window.")
    return [TensorType(x.dtype, (n, u.shape[3], *size))]


def _compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, u, bias = padded(inputs, 3)
    m, (top, left, bottom, right) = attrs["tile"], attrs["pads"]
    n, mats = m + 2, transforms(m)
    (batch, channels, *_), filters = extents(x), extents(u)[3]
    _, _, rows, columns = out[0].shape
    # The tiles, and what is missing of the last ones.
    down, across = -(-rows // m), -(-columns // m)
    tiles = batch * down * across
    bottom += down * m - rows
    right += across * m - columns
    x = pad_stage(x, (top, left), (bottom, right), const(0, x.dtype), "winograd.pad")
    facts = {"kind": "winograd", "tile": m}

    def patch(a: Expr, i: Expr, t: Expr, c: Expr) -> Expr:
        at = t // (down * across), c, t // across % down * m, t % across * m + i
        return _row(mats.b, a, lambda y: x[at[0], at[1], at[2] + y, at[3]], x.dtype, _by_parity)

    part = stage((n, n, tiles, channels), patch, "winograd.in", {**facts, "part": "transform"})
    v = stage(
        (n, n, tiles, channels),
        lambda a, b, t, c: _row(mats.b, b, lambda i: part[a, i, t, c], x.dtype, _by_parity),
        "winograd.v",
        {**facts, "part": "data"},
    )
    rc = reduce_axis(channels, "rc")
    product = stage(
        (n, n, tiles, filters),
        lambda a, b, t, f: reduced(reducers.sum, v[a, b, t, rc] * u[a, b, rc, f], rc),
        "winograd.m",
        {**facts, "part": "product"},
    )
    back = stage(
        (m, n, tiles, filters),
        lambda i, b, t, f: _row(mats.a, i, lambda a: product[a, b, t, f], x.dtype, _by_pairs),
        "winograd.out",
        {**facts, "part": "transform"},
    )

    def result(k: Expr, f: Expr, h: Expr, w: Expr) -> Expr:
        t = (k * down + h // m) * across + w // m
        return _row(mats.a, w % m, lambda b: back[h % m, b, t, f], x.dtype, _by_pairs)

    y = stage(out[0].shape, result, "winograd", {**facts, "part": "result"})
    if bias is None:
        return [y]
    return [stage(out[0].shape, lambda *i: y[i] + bias[i[1]], "winograd.bias")]


Term = Callable[[int], Expr]


def _row(
    matrix: np.ndarray,
    row: Expr,
    term: Term,
    dtype: DType,
    group: Callable[[np.ndarray], list[list[int]]],
) -> Expr:
    """The sum over ``k`` of ``matrix[row, k] * term(k)``; ``row`` becomes a number in the end."""
    sums = [_sum(r, term, dtype, group(r)) for r in matrix]
    value = sums[-1]
    for k in reversed(range(len(sums) - 1)):
        value = if_then_else(equal(row, k), sums[k], value)
    return value


def _by_parity(row: np.ndarray) -> list[list[int]]:
    """Rows of Bᵀ for the points p and -p have the same even part, and opposite odd ones. The last
    coefficient of a row is 1."""
    last = len(row) - 1
    return [list(range(last - last % 2, -1, -2)), list(range(last - 1 + last % 2, 0, -2))]


def _by_pairs(row: np.ndarray) -> list[list[int]]:
    """In rows of Aᵀ the points p and -p have the same coefficient up to its sign."""
    last = len(row) - 1
    return [[0], *([k, k + 1] for k in range(1, last, 2)), [last]]


def _sum(row: np.ndarray, term: Term, dtype: DType, groups: list[list[int]]) -> Expr:
    """``row · terms``; each group is divided by its first coefficient that is not zero, which is
    applied to the sum, so that groups which several rows share are one expression."""
    total: Expr | None = None
    for group in groups:
        used = [k for k in group if row[k] != 0]
        if not used:
            continue
        lead = row[used[0]]
        part: Expr = term(used[0])
        for k in used[1:]:
            part = _plus(part, row[k] / lead, term(k), dtype)
        if total is None:
            total = part if lead == 1 else part * const(float(lead), dtype)
        else:
            total = _plus(total, lead, part, dtype)
    assert total is not None
    return total


def _plus(a: Expr, factor: float, b: Expr, dtype: DType) -> Expr:
    """``a + factor * b``."""
    if abs(factor) != 1:
        return a + b * const(float(factor), dtype)
    return a + b if factor == 1 else a - b


def _reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, u, bias = padded(inputs, 3)
    m, (top, left, bottom, right) = attrs["tile"], attrs["pads"]
    n, mats = m + 2, transforms(m)
    rows, columns = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    down, across = -(-rows // m), -(-columns // m)
    more = (top, bottom + down * m - rows), (left, right + across * m - columns)
    wide = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *more))
    tiles = np.lib.stride_tricks.sliding_window_view(wide, (n, n), axis=(2, 3))[:, :, ::m, ::m]
    v = np.einsum("ay,kcijyx,bx->abkcij", mats.b, tiles, mats.b, optimize=True)
    y = np.einsum("abkcij,abcf->abkfij", v, u.astype(np.float64), optimize=True)
    y = np.einsum("pa,abkfij,qb->kfipjq", mats.a, y, mats.a, optimize=True)
    y = y.reshape(*y.shape[:2], down * m, across * m)[:, :, :rows, :columns]
    if bias is not None:
        y = y + bias.astype(np.float64).reshape(-1, 1, 1)
    return [np.ascontiguousarray(y.astype(x.dtype))]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "winograd_conv",
        Kind.COMPLEX,
        _infer,
        _compute,
        _reference,
        attrs={
            "tile": Attr(int, 4, "results of a tile along each axis: 2, 4 or 6"),
            "pads": Attr(tuple, (0, 0, 0, 0), "top, left, bottom, right"),
        },
        min_inputs=2,
        max_inputs=3,
        facts=Facts(
            contraction=Contraction(columns=lambda w, a: 3, channel_axis=1, stream=Stream.PANELS)
        ),
        doc="3×3 cross-correlation of [N, C, H, W] with transformed weights [n, n, C, F].",
    ),
)
