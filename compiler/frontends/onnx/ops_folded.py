"""Converters of operators whose result's extents only the data knows, where the data is constant.

They are computed by numpy while the model is read, and so cost nothing at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .context import Converter, NodeContext
from .ops_math import scalar

Values = Sequence["np.ndarray | None"]


def _folded(fn: Callable[[NodeContext, Values], Sequence[np.ndarray]]) -> Converter:
    """The converter that computes ``fn`` on constant inputs and refuses others."""

    def convert(n: NodeContext) -> Sequence[str]:
        if not all(n.is_const(k) or not n.input(k) for k in range(len(n))):
            n.unsupported("it is computed from constants only, and its inputs depend on data")
        results = fn(n, [n.const(k) for k in range(max(len(n), 4))])
        return [n.constant(np.ascontiguousarray(r) if r.ndim else r) for r in results]

    return convert


def _given(n: NodeContext, values: Values, k: int) -> np.ndarray:
    value = values[k]
    if value is None:
        n.error(f"its input {k} is absent.")
    return value


def _non_max_suppression(n: NodeContext, values: Values) -> list[np.ndarray]:
    """Boxes ``[batch, box, 4]`` and scores ``[batch, class, box]``; chosen triples of batch, class
    and box, the best first in each class."""
    boxes, scores = _given(n, values, 0), _given(n, values, 1)
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[::2] != (scores.shape[0], 4):
        n.error(f"boxes {list(boxes.shape)} and scores {list(scores.shape)} do not fit.")
    most = int(scalar(n, 2) or 0)
    overlap = float(scalar(n, 3) or 0.0)
    least = scalar(n, 4)
    a, b = boxes[..., :2].astype(np.float64), boxes[..., 2:].astype(np.float64)
    if n.attr("center_point_box", 0):
        a, b = a - b / 2, a + b / 2
    low, high = np.minimum(a, b), np.maximum(a, b)
    area = (high - low).prod(-1)
    chosen: list[tuple[int, int, int]] = []
    for m, c in np.ndindex(*scores.shape[:2]):
        order = np.argsort(-scores[m, c], kind="stable")
        if least is not None:
            order = order[scores[m, c][order] > least]
        kept: list[int] = []
        for i in order[: len(order) if most else 0]:
            span = np.minimum(high[m, i], high[m, kept]) - np.maximum(low[m, i], low[m, kept])
            common = np.maximum(span, 0).prod(-1)
            union = area[m, i] + area[m, kept] - common
            if len(kept) < most and not (common > overlap * union).any():
                kept.append(int(i))
        chosen += [(m, c, i) for i in kept]
    return [np.array(chosen, np.int64).reshape(-1, 3)]


CONVERTERS: dict[str, Converter] = {
    "NonMaxSuppression": _folded(_non_max_suppression),
}
