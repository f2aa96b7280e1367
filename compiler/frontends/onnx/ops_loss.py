"""Converters of the losses, which exported training graphs contain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import Converter, NodeContext


def _negative_log_likelihood(n: NodeContext, log_prob: str, target: str, weight: str) -> str:
    """−weight[t] · log_prob[:, t] for every target t that is not ``ignore_index``, reduced.

    ``log_prob`` is [N, C, …], ``target`` [N, …]; the mean is over the weights that counted.
    """
    t, labels = n.typeof(log_prob), n.typeof(target)
    reduction = n.attr("reduction", "mean")
    if reduction not in ("none", "sum", "mean"):
        n.error(f"the reduction {reduction!r} is none of none, sum, mean.")
    if len(t.shape) < 2 or labels.shape != (t.shape[0], *t.shape[2:]):
        n.error(f"scores {t} and labels {labels} do not belong together.")
    d = t.dtype.numpy

    def constant(value: float, dtype: np.dtype = d) -> str:
        return n.constant(np.asarray(value, dtype))

    ignored = ""
    if n.has_attr("ignore_index"):
        ignored = n.add("equal", [target, constant(n.attr("ignore_index"), labels.dtype.numpy)])
        target = n.add("where", [ignored, constant(0, labels.dtype.numpy), target])
    column = n.add("reshape", [target], shape=(t.shape[0], 1, *t.shape[2:]))
    picked = n.add("gather_elements", [log_prob, column], axis=1)
    loss = n.add("neg", [n.add("reshape", [picked], shape=labels.shape)])
    weights = n.add("gather", [weight, target], axis=0) if weight else ""
    if ignored:
        each = weights or n.add("expand", [constant(1)], shape=labels.shape)
        weights = n.add("where", [ignored, constant(0), each])
        loss = n.add("where", [ignored, constant(0), loss])
    if weights:
        loss = n.add("mul", [loss, weights])
    if reduction == "none":
        return loss
    total = n.add("reduce_sum", [loss], keepdims=False)
    if reduction == "sum":
        return total
    count = n.add("reduce_sum", [weights], keepdims=False) if weights else constant(labels.size)
    return n.add("div", [total, count])


def _nll_loss(n: NodeContext) -> str:
    return _negative_log_likelihood(n, n.inputs[0], n.inputs[1], n.input(2))


def _softmax_cross_entropy(n: NodeContext) -> Sequence[str]:
    log_prob = n.add("log_softmax", n.inputs[:1], axis=1)
    loss = _negative_log_likelihood(n, log_prob, n.inputs[1], n.input(2))
    return [loss, log_prob][: n.n_outputs]


CONVERTERS: dict[str, Converter] = {
    "NegativeLogLikelihoodLoss": _nll_loss,
    "SoftmaxCrossEntropyLoss": _softmax_cross_entropy,
}
