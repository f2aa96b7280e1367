"""The trees of an ensemble of ai.onnx.ml as one table of nodes: :class:`Forest`.

The attributes of opsets 1 and 3 name nodes by tree and number, those of opset 5 list branches and
leaves apart. Both become :class:`_Nodes` by row; sets of members become searches in them; and of
what can be reached from the roots, leaves come first, so that a leaf's row is that of its weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ops.trees import ABOVE, ANY, AT, BELOW, MISSING
from .context import NodeContext

MAX_DEPTH = 256  # each step of a walk is a stage of its own
MAX_NODES = 1 << 24

# What each test accepts. As in C, NaN is unequal to everything, and nothing else.
_TESTS = {
    "BRANCH_LEQ": BELOW | AT,
    "BRANCH_LT": BELOW,
    "BRANCH_GTE": ABOVE | AT,
    "BRANCH_GT": ABOVE,
    "BRANCH_EQ": AT,
    "BRANCH_NEQ": BELOW | ABOVE | MISSING,
}
_NUMBERED = tuple(_TESTS.values())  # the modes of opset 5; after these:
_MEMBER = len(_NUMBERED)


@dataclass
class _Nodes:
    """Nodes by row, of one length each; ``failed`` and ``passed`` are rows, a leaf's own for it."""

    feature: np.ndarray
    threshold: np.ndarray
    accepts: np.ndarray
    failed: np.ndarray
    passed: np.ndarray

    @property
    def branches(self) -> np.ndarray:
        """Whether each node is none of the leaves."""
        rows = np.arange(len(self.feature))
        return (self.failed != rows) | (self.passed != rows)


@dataclass(frozen=True)
class Forest:
    """All trees, as ``tree_leaves`` takes them.

    Attributes
    ----------
    feature, threshold, children, accepts : by node.
    leaves : how many of the first nodes are leaves. The last of these, :attr:`nothing`, is of no
        tree and has no weight.
    roots : by tree.
    depth : the steps that lead from a root to any of its leaves.
    leaf, target, weight : of the leaves' weights: whose, for what, and how much.
    ends : pairs of a tree and one of its leaves: two arrays, of all pairs.
    """

    feature: np.ndarray
    threshold: np.ndarray
    children: np.ndarray
    accepts: np.ndarray
    leaves: int
    roots: np.ndarray
    depth: int
    leaf: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    ends: tuple[np.ndarray, np.ndarray]

    @property
    def nothing(self) -> int:
        """A leaf without weights."""
        return self.leaves - 1

    def targets_of_trees(self) -> np.ndarray | None:
        """The one target that each tree has weights for, once in each leaf; None where there are
        trees of several."""
        tree, leaf = self.ends
        if not (np.bincount(self.leaf, minlength=self.leaves)[leaf] == 1).all():
            return None
        of_leaf = np.zeros(self.leaves, np.int64)
        of_leaf[self.leaf] = self.target
        least = np.full(len(self.roots), np.iinfo(np.int64).max)
        most = np.full(len(self.roots), -1)
        np.minimum.at(least, tree, of_leaf[leaf])
        np.maximum.at(most, tree, of_leaf[leaf])
        return least if (least == most).all() else None


# --- opsets 1 and 3 ---------------------------------------------------------------------------


def forest_of_nodes(
    n: NodeContext, kind: str, thresholds: np.ndarray, weights: np.ndarray
) -> Forest:
    """The trees of a TreeEnsembleRegressor (``kind`` is ``"target"``) or -Classifier
    (``"class"``). The first node of each is its root, as in ONNX Runtime."""
    modes = n.attr("nodes_modes", ())
    names = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    tree, node, feature, true, false = (_integers(n, f"nodes_{k}", len(modes)) for k in names)
    missing = _missing(n, len(modes))
    if len(thresholds) != len(modes):
        n.error(f"it has {len(modes)} nodes and {len(thresholds)} thresholds.")
    unknown = set(modes) - {*_TESTS, "LEAF"}
    if unknown:
        n.unsupported(f"nodes of the mode {min(unknown)!r}")
    rows = {key: k for k, key in enumerate(zip(tree.tolist(), node.tolist()))}
    if len(rows) < len(modes):
        n.error("a node of a tree is listed twice.")
    first = np.flatnonzero(np.diff(tree, prepend=tree[:1] - 1))
    if len(set(tree[first].tolist())) < len(first):
        n.unsupported("trees whose nodes are not listed together")
    leaf = np.array([m == "LEAF" for m in modes], bool)
    own = np.arange(len(modes))

    def rows_of(trees: np.ndarray, numbers: np.ndarray, what: str) -> np.ndarray:
        try:
            return np.array([rows[key] for key in zip(trees.tolist(), numbers.tolist())], np.int64)
        except KeyError as e:
            n.error(f"{what} {e.args[0][1]} of the tree {e.args[0][0]}, which is not there.")

    failed, passed = own.copy(), own.copy()
    failed[~leaf] = rows_of(tree[~leaf], false[~leaf], "a node leads to")
    passed[~leaf] = rows_of(tree[~leaf], true[~leaf], "a node leads to")
    accepts = np.array([_TESTS.get(m, 0) for m in modes], np.int32) | missing * MISSING
    names = (f"{kind}_treeids", f"{kind}_nodeids", f"{kind}_ids")
    of_tree, of_node, target = (_integers(n, k, len(weights)) for k in names)
    at = rows_of(of_tree, of_node, "there is a weight for")
    nodes = _Nodes(np.where(leaf, 0, feature), thresholds, accepts, failed, passed)
    return _forest(n, nodes, first, at, target, weights)


def _integers(n: NodeContext, name: str, count: int) -> np.ndarray:
    values = np.array(n.attr(name, ()), np.int64)
    if len(values) != count:
        n.error(f"{name!r} has {len(values)} elements, not {count}.")
    return values


def _missing(n: NodeContext, count: int) -> np.ndarray:
    """1 for nodes whose test NaN passes."""
    name = "nodes_missing_value_tracks_true"
    if not n.attr(name, ()):
        return np.zeros(count, np.int32)
    return (_integers(n, name, count) == 1).astype(np.int32)


# --- opset 5 ----------------------------------------------------------------------------------


def forest_of_leaves(n: NodeContext) -> Forest:
    """The trees of a TreeEnsemble: branches by number, and after them leaves."""
    modes = n.attr("nodes_modes").reshape(-1).astype(np.int64)
    thresholds, weights = n.attr("nodes_splits").reshape(-1), n.attr("leaf_weights").reshape(-1)
    count, leaves = len(modes), len(weights)
    if len(thresholds) != count or (count and not 0 <= modes.min() <= modes.max() <= _MEMBER):
        n.error(f"it has {count} modes, of 0 to {_MEMBER}, and {len(thresholds)} splits.")
    feature = _integers(n, "nodes_featureids", count)
    missing = _missing(n, count)

    def children(side: str) -> np.ndarray:
        to = _integers(n, f"nodes_{side}nodeids", count)
        is_leaf = _integers(n, f"nodes_{side}leafs", count) != 0
        if ((to < 0) | (to >= np.where(is_leaf, leaves, count))).any():
            n.error(f"a node leads to one that is not there ('nodes_{side}nodeids').")
        return np.where(is_leaf, count + to, to)

    own = count + np.arange(leaves)
    none = np.zeros(leaves, np.int64)
    accepts = np.array([*_NUMBERED, AT], np.int32)[modes] | missing * MISSING
    nodes = _Nodes(
        np.append(feature, none),
        np.append(thresholds, none.astype(thresholds.dtype)),
        np.append(accepts, none.astype(np.int32)),
        np.append(children("false"), own),
        np.append(children("true"), own),
    )
    members = np.reshape(n.attr("membership_values", np.zeros(0, np.float32)), -1)
    _search_members(n, nodes, np.flatnonzero(modes == _MEMBER), members)
    roots = np.array(n.attr("tree_roots"), np.int64)
    if ((roots < 0) | (roots >= count)).any():
        n.error("a root is not there.")
    return _forest(n, nodes, roots, own, _integers(n, "leaf_targetids", leaves), weights)


def _search_members(n: NodeContext, nodes: _Nodes, rows: np.ndarray, members: np.ndarray) -> None:
    """Replace tests for members of a set by binary searches in it. The sets, one for each of
    ``rows``, are separated by NaN."""
    sets = np.split(members, np.flatnonzero(np.isnan(members.astype(np.float64))))
    sets = [s[~np.isnan(s.astype(np.float64))] for s in sets]
    if len(rows) > len(sets) or any(len(s) for s in sets[len(rows) :]):
        n.error(f"it has {len(sets)} sets of members for {len(rows)} nodes.")
    new: list[tuple[int, float, int, int, int]] = []
    start = len(nodes.feature)
    for row, values in zip(rows.tolist(), sets):
        values = np.unique(values)
        feature, missing = int(nodes.feature[row]), int(nodes.accepts[row]) & MISSING
        failed, passed = int(nodes.failed[row]), int(nodes.passed[row])

        def search(low: int, high: int) -> tuple[int, float, int, int, int]:
            """The node that finds out whether x is one of the values from low to high."""
            if high - low <= 1:
                found = values[low] if high > low else 0  # noqa: B023
                accepts = (AT if high > low else 0) | missing  # noqa: B023
                return feature, found, accepts, failed, passed  # noqa: B023
            middle = (low + high) // 2
            halves = []
            for part in ((low, middle), (middle, high)):
                new.append(search(*part))
                halves.append(start + len(new) - 1)
            return feature, values[middle - 1], BELOW | AT, halves[1], halves[0]  # noqa: B023

        whole = search(0, len(values))
        for column, value in zip(vars(nodes).values(), whole):
            column[row] = value
    if new:
        for (name, column), values in zip(vars(nodes).items(), zip(*new)):
            setattr(nodes, name, np.append(column, np.array(values, column.dtype)))


# --- both -------------------------------------------------------------------------------------


def _forest(
    n: NodeContext,
    nodes: _Nodes,
    roots: np.ndarray,
    at: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
) -> Forest:
    """The forest of what can be reached; weights of other nodes than leaves count for nothing."""
    count = len(nodes.feature)
    if not count or not len(roots):
        n.unsupported("an ensemble without trees")
    if count > MAX_NODES:
        n.unsupported(f"{count} nodes; {MAX_NODES} is the most")
    if nodes.feature.min() < 0:
        n.error(f"there is no feature {nodes.feature.min()}.")
    is_branch = nodes.branches
    reached, tree, leaf, depth = np.zeros(count, bool), [], [], 0
    pairs = np.stack([np.arange(len(roots)), roots])
    while True:
        reached[pairs[1]] = True
        ended = ~is_branch[pairs[1]]
        tree.append(pairs[0, ended])
        leaf.append(pairs[1, ended])
        pairs = pairs[:, ~ended]
        if not pairs.size:
            break
        depth += 1
        if depth > MAX_DEPTH:
            n.unsupported(f"trees that are cyclic, or deeper than {MAX_DEPTH}")
        below = [pairs[0] * count + side[pairs[1]] for side in (nodes.failed, nodes.passed)]
        pairs = np.stack(np.divmod(np.unique(np.concatenate(below)), count))
    leaves, branches = np.flatnonzero(reached & ~is_branch), np.flatnonzero(reached & is_branch)
    row = np.zeros(count, np.int64)
    row[leaves] = np.arange(len(leaves))
    row[branches] = len(leaves) + 1 + np.arange(len(branches))

    def by_row(values: np.ndarray, of_leaf: int) -> np.ndarray:
        """The leaves' values, all alike, then the branches'."""
        of_leaves = np.full(len(leaves) + 1, of_leaf, values.dtype)
        return np.append(of_leaves, values[branches])

    failed, passed = (row[side[branches]] for side in (nodes.failed, nodes.passed))
    own = np.arange(len(leaves) + 1)
    children = np.stack([np.append(own, failed), np.append(own, passed)], 1)
    counts = reached[at] & ~is_branch[at]
    return Forest(
        by_row(nodes.feature, 0).astype(np.int32),
        by_row(nodes.threshold, 0),
        children.astype(np.int32),
        by_row(nodes.accepts, ANY).astype(np.int32),
        len(leaves) + 1,
        row[roots].astype(np.int32),
        depth,
        row[at[counts]],
        target[counts],
        weight[counts],
        (np.concatenate(tree), row[np.concatenate(leaf)]),
    )
