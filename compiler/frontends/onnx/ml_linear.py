"""Linear models of ai.onnx.ml: LinearRegressor and LinearClassifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .compose import cast, number, op, reshape
from .context import Converter, NodeContext
from .ml_features import matrix
from .ml_labels import ClassLabels, both, probit, transform_of, transformed


def _scores(n: NodeContext, targets: int, intercepts: Sequence[float]) -> str:
    """``x @ coefficients.T + intercepts``: ``[rows, targets]``, float32."""
    x, _, features = matrix(n)
    weights = np.array(n.attr("coefficients", ()), np.float32)
    if len(weights) != targets * features:
        n.error(f"it has {len(weights)} coefficients for {targets} targets of {features} features.")
    columns = n.constant(weights.reshape(targets, features))
    inputs = [cast(n, x, "float32"), columns]
    if len(intercepts):
        inputs.append(n.constant(np.array(intercepts, np.float32)))
    return n.add("gemm", inputs, trans_b=True)


def _regressor(n: NodeContext) -> str:
    """One column for each target. Of one column alone, only PROBIT changes anything."""
    targets, intercepts = n.attr("targets", 1), n.attr("intercepts", ())
    if targets < 1:
        n.error(f"it has {targets} targets.")
    scores = _scores(n, targets, intercepts if len(intercepts) == targets else ())
    transform = transform_of(n)
    if targets == 1:
        return probit(n, scores) if transform == "PROBIT" else scores
    return transformed(n, scores, transform)


def _classifier(n: NodeContext) -> list[str]:
    """Labels, and scores of classes.

    One column of scores of two classes is that of the second: the first gets 1 - score, and of the
    transforms only LOGISTIC changes anything.
    """
    labels, transform = ClassLabels.of(n, "classlabels_ints"), transform_of(n)
    _, rows, features = matrix(n)
    intercepts = n.attr("intercepts", ())
    count = len(intercepts) or len(n.attr("coefficients")) // max(features, 1)
    if count < 1:
        n.error("it has no classes.")
    scores = _scores(n, count, intercepts)
    if count == 1:
        if len(labels) != 2 and isinstance((*labels.values, 0)[0], str):
            n.unsupported(f"one score of {len(labels)} classes that are strings")
        pair = labels if len(labels) == 2 else ClassLabels((0, 1))
        positive = op(n, "greater", reshape(n, scores, (rows,)), number(n, 0, scores))
        label = pair.where(n, positive)
        if transform == "PROBIT":
            if len(labels) == 2:
                n.unsupported("PROBIT of one score of two classes")
            return [label, probit(n, scores)]
        if len(labels) == 2 and transform == "LOGISTIC":
            scores = op(n, "sigmoid", both(n, op(n, "neg", scores), scores))
        elif len(labels) == 2:
            scores = both(n, op(n, "sub", number(n, 1, scores), scores), scores)
        return [label, scores]
    if len(labels) < count:
        n.error(f"it has {len(labels)} labels for {count} scores.")
    best = n.add("arg_max", [scores], axis=1, keepdims=False)
    return [labels.at(n, best), transformed(n, scores, transform)]


CONVERTERS: dict[str, Converter] = {
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
}
