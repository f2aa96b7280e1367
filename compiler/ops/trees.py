"""Decision trees: where each row of features ends in each tree of an ensemble.

A tree is rows of a table that all trees share. Every node tests one feature and names the node that
comes next; a leaf names itself, so that walks of all lengths take the same number of steps. One
step is one stage: the node that is reached at a depth, for each row and tree, is one read of each
column of the table at the node before it. No order and no branch is needed, so it runs on every
target; what leaves are worth, and their sums, are matters of ``gather`` and ``reduce_sum``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.builders import equal, if_then_else, maximum, minimum, not_equal
from ...ir.expr import Expr
from ...ir.tensor import Tensor
from ...runtime.dtype import INT32
from ...runtime.errors import GraphError
from ..types import TensorType
from .common import make, required, some
from .opdef import Attr, Kind, OpDef

# What a test accepts, added up: x below, at, above the threshold; x is NaN.
BELOW, AT, ABOVE, MISSING = 1, 2, 4, 8
ANY = BELOW | AT | ABOVE | MISSING


def _infer(types, a):
    x, feature, threshold, children, roots = (some(t) for t in types[:5])
    accepts = types[5] if len(types) > 5 else None
    nodes = feature.shape[0] if len(feature.shape) == 1 else -1
    if len(x.shape) != 2 or not x.dtype.is_float or threshold != TensorType(x.dtype, (nodes,)):
        raise GraphError(f"tree_leaves: thresholds {threshold} and data {x} do not fit.")
    for what, t, shape in (
        ("features", feature, (nodes,)),
        ("children", children, (nodes, 2)),
        ("roots", roots, (*roots.shape[:1],)),
        ("accepted", accepts, (nodes,)),
    ):
        if t is not None and t != TensorType(INT32, shape):
            raise GraphError(f"tree_leaves: the {what} are {t}, not int32{list(shape)}.")
    if not (nodes and x.shape[1]):
        raise GraphError("tree_leaves: there are no nodes, or no features.")
    if a["depth"] < 0 or not 0 <= a["accepts"] <= ANY:
        raise GraphError(f"tree_leaves: depth {a['depth']}, accepts {a['accepts']}.")
    return [TensorType(INT32, (x.shape[0], roots.shape[0]))]


def _clamped(index: Expr, n: int) -> Expr:
    return minimum(maximum(index, 0), n - 1)


def _accepted(v: Expr, t: Expr, accepts: Expr | None, static: int) -> Expr:
    """Whether the test of ``v`` against the threshold ``t`` is passed.

    Drivers of shaders compile comparisons as if there were no NaN: that is asked on its own.
    """
    number = equal(v, v)
    if accepts is not None:
        side = if_then_else(v < t, BELOW, if_then_else(equal(v, t), AT, ABOVE))
        return not_equal(accepts & if_then_else(number, side, MISSING), 0)
    tests = {
        0: ~number,
        BELOW: v < t,
        AT: equal(v, t),
        ABOVE: v > t,
        BELOW | AT: v <= t,
        ABOVE | AT: v >= t,
        BELOW | ABOVE: not_equal(v, t),
        BELOW | AT | ABOVE: number,
    }
    passed = tests[static & ~MISSING]
    return passed | ~number if static & MISSING else passed & number


def _leaves(inputs, a, out) -> list[Tensor]:
    x, feature, threshold, children, roots = inputs[:5]
    accepts = inputs[5] if len(inputs) > 5 else None
    nodes, features = int(feature.shape[0]), int(x.shape[1])

    def after(row: Expr, at: Expr) -> Expr:
        v = x[row, _clamped(feature[at], features)]
        own = None if accepts is None else accepts[at]
        passed = _accepted(v, threshold[at], own, a["accepts"])
        return _clamped(children[at, passed.astype(INT32)], nodes)

    def stage(depth: int, reached: Callable[[Expr, Expr], Expr]) -> Tensor:
        return make(out[0].shape, reached, f"tree_leaves.{depth}")

    nodes_at = stage(0, lambda row, tree: _clamped(roots[tree], nodes))
    for depth in range(1, a["depth"] + 1):
        before = nodes_at
        nodes_at = stage(depth, lambda row, tree: after(row, before[row, tree]))  # noqa: B023
    return [nodes_at]


def _np_leaves(arrays, a):
    x, feature, threshold, children, roots = required(arrays[:5])
    accepts = arrays[5] if len(arrays) > 5 else None
    accepts = np.full(len(feature), a["accepts"], np.int32) if accepts is None else accepts
    at = np.broadcast_to(np.clip(roots, 0, len(feature) - 1), (len(x), len(roots)))
    for _ in range(a["depth"]):
        column = np.clip(feature[at], 0, x.shape[1] - 1)
        v, t = np.take_along_axis(x, column, 1), threshold[at]
        side = np.select([np.isnan(v), v < t, v == t], [MISSING, BELOW, AT], ABOVE)
        passed = (accepts[at] & side) != 0
        at = np.clip(children[at, passed.astype(np.int64)], 0, len(feature) - 1)
    return [np.ascontiguousarray(at, np.int32)]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "tree_leaves",
        Kind.OPAQUE,
        _infer,
        _leaves,
        _np_leaves,
        attrs={
            "depth": Attr(int, doc="steps from a root to any leaf, which leads to itself"),
            "accepts": Attr(
                int,
                BELOW | AT,
                "of all nodes, where there is no such input: x below 1, at 2, "
                "above 4 the threshold, NaN 8, added up",
            ),
        },
        min_inputs=5,
        max_inputs=6,
        doc="data [rows, features], then by node: its feature, threshold, children [failed, passed]"
        "; the roots; what each accepts. The node that each row reaches in each tree.",
    ),
)
