"""Walks down decision trees: data that meets thresholds, NaN, tables that are out of range."""

import numpy as np

from op_cases import Case

_GRID = np.array([-1.5, 0.0, 0.1, 2.0, np.inf, -np.inf, np.nan])
_RNG = np.random.default_rng(11)


def _table(trees: int, depth: int, features: int, dtype: str) -> list[np.ndarray]:
    """Features, thresholds, children and roots of full trees, node after node."""
    size = 2 ** (depth + 1) - 1
    number = np.arange(size)
    leaf = number >= 2**depth - 1
    below = [np.where(leaf, number, 2 * number + k) for k in (1, 2)]
    starts = np.arange(trees)[:, None] * size
    children = np.stack([(starts + b).reshape(-1) for b in below], 1)
    nodes = trees * size
    return [
        _RNG.integers(0, features, nodes).astype(np.int32),
        _RNG.choice(_GRID[:5], nodes).astype(dtype),
        children.astype(np.int32),
        starts.reshape(-1).astype(np.int32),
    ]


def _data(rows: int, features: int, dtype: str) -> np.ndarray:
    return _RNG.choice(_GRID, (rows, features)).astype(dtype)


def _case(rows: int, trees: int, depth: int, dtype: str = "float32", **attrs: int) -> Case:
    inputs = [_data(rows, 5, dtype), *_table(trees, depth, 5, dtype)]
    return Case("tree_leaves", inputs, {"depth": depth, **attrs}, note=dtype)


def _mixed(rows: int, trees: int, depth: int, dtype: str) -> Case:
    """Every node accepts something else."""
    table = _table(trees, depth, 5, dtype)
    accepts = _RNG.integers(0, 16, len(table[0])).astype(np.int32)
    inputs = [_data(rows, 5, dtype), *table, accepts]
    return Case("tree_leaves", inputs, {"depth": depth}, note=f"mixed {dtype}")


def _damaged() -> Case:
    """Features, children and roots out of range are clamped."""
    x, table = _data(9, 5, "float32"), _table(3, 3, 5, "float32")
    table[0][::3] += 7
    table[0][1::5] -= 9
    table[2][2::4] += 1000
    table[2][3::7] -= 1000
    return Case("tree_leaves", [x, *table[:3], np.array([-4, 0, 99], np.int32)], {"depth": 4})


CASES = [
    *(_case(*sizes) for sizes in ((37, 7, 4), (1, 1, 1), (1, 70, 3), (130, 1, 5), (4, 3, 0))),
    _case(0, 3, 2),
    Case(
        "tree_leaves",
        [_data(5, 5, "float32"), *_table(1, 2, 5, "float32")[:3], np.zeros(0, np.int32)],
        {"depth": 2},
        note="no trees",
    ),
    *(_case(21, 5, 2, accepts=a) for a in range(16)),
    _case(21, 5, 3, "float64"),
    _case(21, 5, 3, "float64", accepts=12),
    _mixed(37, 7, 4, "float32"),
    _mixed(21, 5, 3, "float64"),
    _damaged(),
]
