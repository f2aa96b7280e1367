"""Ensembles of decision trees of ai.onnx.ml.

The three operators write trees in two ways (``ml_forest``). Both become one table of nodes for
``tree_leaves``; what the leaves are worth is gathered and added up. Scores are float32, or float64
for data in it, as in ONNX Runtime, which also decides what the standard leaves open.
"""

from __future__ import annotations

import numpy as np

from ...ops.trees import ANY
from .compose import cast, number, op, reshape
from .context import Converter, NodeContext
from .ml_features import computed, matrix
from .ml_forest import Forest, forest_of_leaves, forest_of_nodes
from .ml_labels import TRANSFORMS, ClassLabels, both, probit, transform_of, transformed

MAX_WEIGHTS = 1 << 26  # of all leaves for all targets, where leaves have weights of several

# --- scores -----------------------------------------------------------------------------------


class _Scores:
    """What the trees add up to: ``[rows, targets]``, in the type of the data.

    Attributes
    ----------
    sums : the tensor. Of a target that no leaf that a row reaches has a weight for, 0.
    always, never : by target, whether every row has a weight for it, or none has.
    reached : bool ``[rows, targets]``: which rows have; None where ``always`` or ``never`` says it.
    """

    def __init__(self, n: NodeContext, forest: Forest, targets: int, aggregate: str):
        self._n, self._forest, self._targets = n, forest, targets
        data, _, features = matrix(n)
        self._data = computed(n, data)
        self.dtype = n.typeof(self._data).dtype.numpy
        if len(forest.target) and not 0 <= forest.target.min() <= forest.target.max() < targets:
            n.error(f"a target is out of range for {targets}.")
        if forest.feature.max() >= features:
            n.error(f"feature {forest.feature.max()} is out of range for {features}.")
        for values in (forest.threshold, forest.weight):
            if values.dtype.itemsize > self.dtype.itemsize:
                n.unsupported(f"numbers of type {values.dtype} for data of type {self.dtype}")
        self._weigh()
        alone = forest.targets_of_trees() if aggregate in ("SUM", "AVERAGE") else None
        if targets > 1 and alone is not None:
            sums = self._by_target(alone)
        else:
            sums = self._dense(aggregate)
        if aggregate == "AVERAGE":
            sums = op(n, "div", sums, number(n, len(forest.roots), sums))
        self.sums = sums

    def _weigh(self) -> None:
        """The table of weights by leaf and target, and which targets rows have weights for."""
        n, forest = self._n, self._forest
        shape = forest.leaves, self._targets
        if shape[0] * shape[1] > MAX_WEIGHTS:
            n.unsupported(f"{shape[0]} leaves of {shape[1]} targets")
        self._weights, self._has = np.zeros(shape, self.dtype), np.zeros(shape, bool)
        places = forest.leaf * self._targets + forest.target
        if len(np.unique(places)) < len(places):
            n.unsupported("two weights of one target at one leaf")
        self._weights[forest.leaf, forest.target] = forest.weight
        self._has[forest.leaf, forest.target] = True
        if self._targets == 1:
            self._has[:] = True
        tree, leaf = forest.ends
        whole = np.ones((len(forest.roots), self._targets), bool)
        np.logical_and.at(whole, tree, self._has[leaf])
        self.never = np.asarray(~self._has[leaf].any(axis=0))
        self.always = np.asarray(whole.any(axis=0))
        self.reached: str | None = None

    def _by_target(self, alone: np.ndarray) -> str:
        """Each tree has weights of one target: trees side by side for each, filled up with what is
        worth nothing."""
        n, forest = self._n, self._forest
        groups = [forest.roots[alone == k] for k in range(self._targets)]
        roots = np.full((self._targets, max(map(len, groups))), forest.nothing, np.int32)
        for k, group in enumerate(groups):
            roots[k, : len(group)] = group
        at = self._walk(roots.reshape(-1))
        values = n.constant(self._weights.sum(axis=1, dtype=self.dtype))
        found = n.add("gather", [values, at], axis=0, wrap=False)
        found = reshape(n, found, (n.typeof(at).shape[0], *roots.shape))
        return n.add("reduce_sum", [found], axes=(2,), keepdims=False)

    def _dense(self, aggregate: str) -> str:
        """Each leaf has a row of weights. The least and the greatest are of those that are
        there."""
        n = self._n
        at = self._walk(self._forest.roots)
        if not (self.always | self.never).all():
            has = n.constant(self._has.astype(np.int32))
            found = n.add("gather", [has, at], axis=0, wrap=False)
            most = n.add("reduce_max", [found], axes=(1,), keepdims=False)
            self.reached = op(n, "not_equal", most, number(n, 0, most))
        weights, reduce = self._weights, "reduce_sum"
        if aggregate in ("MIN", "MAX"):
            reduce = f"reduce_{aggregate.lower()}"
            weights = np.where(self._has, weights, np.inf if aggregate == "MIN" else -np.inf)
        table = n.constant(weights.astype(self.dtype))
        found = n.add("gather", [table, at], axis=0, wrap=False)
        sums = n.add(reduce, [found], axes=(1,), keepdims=False)
        if reduce == "reduce_sum":
            return sums
        there = self.reached or n.constant(~self.never)
        return op(n, "where", there, sums, number(n, 0, sums))

    def _walk(self, roots: np.ndarray) -> str:
        """The leaves that rows reach from ``roots``: ``[rows, trees]``."""
        n, forest = self._n, self._forest
        inputs = [
            self._data,
            n.constant(forest.feature),
            n.constant(forest.threshold.astype(self.dtype)),
            n.constant(forest.children),
            n.constant(roots),
        ]
        branches = forest.accepts[forest.leaves :]
        accepts = int(branches[0]) if len(branches) else ANY
        if not (branches == accepts).all():
            inputs.append(n.constant(forest.accepts))
        return n.add("tree_leaves", inputs, depth=forest.depth, accepts=accepts)

    def add(self, base: np.ndarray) -> None:
        """Add numbers to the scores: one for each target."""
        n = self._n
        self.sums = op(n, "add", self.sums, n.constant(base.astype(self.dtype)))


# --- regressors -------------------------------------------------------------------------------

_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")


def _numbers(n: NodeContext, name: str) -> np.ndarray:
    """An attribute of floats, or of the tensor ``name_as_tensor`` in its place."""
    if n.has_attr(f"{name}_as_tensor"):
        if n.has_attr(name) and len(n.attr(name)):
            n.error(f"it has both {name!r} and '{name}_as_tensor'.")
        return n.attr(f"{name}_as_tensor").reshape(-1)
    return np.array(n.attr(name, ()), np.float32)


def _predicted(n: NodeContext, scores: _Scores, transform: str, to: str) -> str:
    """The post-transform, which is computed in float32. Of one column alone, only PROBIT changes
    anything."""
    columns = n.typeof(scores.sums).shape[1]
    if transform == "NONE" or (columns == 1 and transform != "PROBIT"):
        return cast(n, scores.sums, to)
    single = cast(n, scores.sums, "float32")
    made = probit(n, single) if columns == 1 else transformed(n, single, transform)
    return cast(n, made, to)


def _regressor(n: NodeContext) -> str:
    """Opsets 1 and 3: float32 for data of any type."""
    targets, aggregate = n.attr("n_targets", 1), n.attr("aggregate_function", "SUM")
    if aggregate not in _AGGREGATES or targets < 1:
        n.error(f"the aggregate {aggregate!r} of {targets} targets.")
    forest = forest_of_nodes(
        n, "target", _numbers(n, "nodes_values"), _numbers(n, "target_weights")
    )
    base = _numbers(n, "base_values")
    if len(base) not in (0, targets):
        n.error(f"it has {len(base)} base values for {targets} targets.")
    scores = _Scores(n, forest, targets, aggregate)
    if len(base):
        scores.add(base)
    return _predicted(n, scores, transform_of(n), "float32")


def _ensemble(n: NodeContext) -> str:
    """Opset 5: the result has the type of the data."""
    aggregate, transform = n.attr("aggregate_function", 1), n.attr("post_transform", 0)
    targets = n.attr("n_targets", 1)
    if not 0 <= aggregate < len(_AGGREGATES) or not 0 <= transform < len(TRANSFORMS):
        n.error(f"the aggregate {aggregate} or the post_transform {transform} is out of range.")
    if targets < 1:
        n.error(f"it has {targets} targets.")
    if TRANSFORMS[transform] in ("SOFTMAX", "LOGISTIC") and targets > 1:
        n.warn(f"the post_transform {transform} is {TRANSFORMS[transform]}, as the standard says; "
               "ONNX Runtime has 1 and 2 the other way round.")  # fmt: skip
    scores = _Scores(n, forest_of_leaves(n), targets, _AGGREGATES[aggregate])
    given = n.type(0)
    assert given is not None
    return _predicted(n, scores, TRANSFORMS[transform], str(given.dtype))


# --- classifier -------------------------------------------------------------------------------


def _classifier(n: NodeContext) -> list[str]:
    """Labels, and scores of classes."""
    labels, transform = ClassLabels.of(n, "classlabels_int64s"), transform_of(n)
    if not len(labels):
        n.error("it has no labels.")
    weights, base = _numbers(n, "class_weights"), _numbers(n, "base_values")
    forest = forest_of_nodes(n, "class", _numbers(n, "nodes_values"), weights)
    if len(labels) == 1:
        n.unsupported("a classifier of one class")
    if len(base) not in ((0, 1, 2) if len(labels) == 2 else (0, len(labels))):
        n.error(f"it has {len(base)} base values for {len(labels)} classes.")
    scores = _Scores(n, forest, len(labels), "SUM")
    if len(labels) == 2:
        return _binary(n, scores, labels, base, transform, bool((weights >= 0).all()))
    if len(base):
        scores.add(base)
        return _best(n, scores, labels, transform, np.ones(len(labels), bool))
    return _best(n, scores, labels, transform, scores.always)


def _binary(
    n: NodeContext,
    scores: _Scores,
    labels: ClassLabels,
    base: np.ndarray,
    transform: str,
    positive: bool,
) -> list[str]:
    """Two classes: weights of one class say which of both it is, by the side of 0.5 on which the
    sum is, or of 0 where a weight is negative (not ``positive``)."""
    never, always = scores.never, scores.always
    if always.all() and not len(base):
        n.warn("two classes with weights of their own: the label is that of the greater score, as "
               "the standard says; ONNX Runtime gives 0 or 1 whatever the labels are.")  # fmt: skip
        return _best(n, scores, labels, transform, always)
    first = bool(never[1] and not never[0])
    second = bool(never[0] and always[1] and not len(base))
    if len(base) == 2 or not (first or second):
        n.unsupported(f"two classes with {len(base)} base values and weights of both or of some")
    if len(base):
        scores.add(np.array([base[0], 0]))
    sums = scores.sums
    score = n.add("slice", [sums], starts=(0, int(second)), shape=(n.typeof(sums).shape[0], 1))
    half = number(n, 0.5 if positive else 0, score)
    above = op(n, "greater", reshape(n, score, n.typeof(score).shape[:1]), half)
    label = labels.where(n, above)
    if second:
        return [label, transformed(n, cast(n, sums, "float32"), transform)]
    if transform == "PROBIT":
        n.unsupported("PROBIT of one score of two classes")
    opposite = op(n, "neg", score)
    if transform == "LOGISTIC":
        return [label, op(n, "sigmoid", cast(n, both(n, opposite, score), "float32"))]
    if positive:
        opposite = op(n, "sub", number(n, 1, score), score)
    return [label, cast(n, both(n, opposite, score), "float32")]


def _best(
    n: NodeContext, scores: _Scores, labels: ClassLabels, transform: str, known: np.ndarray
) -> list[str]:
    """The class of the greatest score among those that a row has weights for (``known``: all
    rows)."""
    sums = scores.sums
    if not known.any():
        n.unsupported("a classifier of which rows may have no score at all")
    judged = sums
    if not known.all():
        lowest = number(n, -np.inf, sums)
        there = scores.reached or n.constant(known)
        judged = op(n, "where", there, sums, lowest)
    best = n.add("arg_max", [judged], axis=1, keepdims=False)
    return [labels.at(n, best), transformed(n, cast(n, sums, "float32"), transform)]


CONVERTERS: dict[str, Converter] = {
    "TreeEnsemble": _ensemble,
    "TreeEnsembleClassifier": _classifier,
    "TreeEnsembleRegressor": _regressor,
}
