"""The converter of NonMaxSuppression."""

from __future__ import annotations

import numpy as np

from .context import Converter, NodeContext
from .ops_conv import required
from .ops_math import scalar


def _non_max_suppression(n: NodeContext) -> str:
    """Boxes ``[batch, box, 4]`` and scores ``[batch, class, box]``; chosen triples of batch, class
    and box, the best first in each class. Without a number of boxes, or for 0, there are none."""
    boxes, scores = required(n, 0), required(n, 1)
    shape = scores.shape
    if len(boxes.shape) != 3 or len(shape) != 3 or boxes.shape[::2] != (shape[0], 4):
        n.error(f"boxes {list(boxes.shape)} and scores {list(shape)} do not fit.")
    overlap = scalar(n, 3) if n.is_const(3) or not n.input(3) else None
    if overlap is not None and not 0 <= overlap <= 1:
        n.error(f"the threshold of the overlap is {overlap}, not between 0 and 1.")
    limit = _limit(n, min(shape[2], boxes.shape[1]))
    if not limit * shape[0] * shape[1]:
        return n.constant(np.zeros((0, 3), np.int64))
    inputs = [
        *n.inputs[:2],
        n.input(2),
        n.input(3) or n.constant(np.array(0, np.float32)),
        n.input(4),
    ]
    rows, count, _ = n.add_many(
        "non_max_suppression",
        inputs if inputs[4] else inputs[:4],
        3,
        limit=limit,
        center_point_box=bool(n.attr("center_point_box", 0)),
    )
    rows = n.sized(rows, {0: count})
    n.sizing.emitter.values.stated[rows] = (0, max(shape) - 1)
    return rows


def _limit(n: NodeContext, boxes: int) -> int:
    """The most boxes of a class that there can be."""
    most = n.numbers(2)
    if most is None:
        return 0
    if len(most) != 1:
        n.error(f"input 2 must hold one number, but has {len(most)}.")
    return int(min(max(most[0].range[1], 0), boxes))


CONVERTERS: dict[str, Converter] = {
    "NonMaxSuppression": _non_max_suppression,
}
