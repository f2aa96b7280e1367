"""Non-maximum suppression: of boxes that overlap, those with the greatest scores.

Inputs are boxes ``[batch, box, 4]``, scores ``[batch, class, box]``, and numbers: the most boxes of
a class; the greatest overlap (intersection over union) that two chosen ones have; the score that
has to be passed; ``sigma`` of soft suppression; and how many boxes there are, of which the others
are only room. The last three are optional. Results are rows (batch, class, box) in this order and
by falling score, how many of them there are, and their scores; the other rows are 0.
"""

from __future__ import annotations

import numpy as np

from ...ir.builders import equal, if_then_else, maximum, minimum
from ...ir.expr import Expr, cast
from ...ir.operations.extern import extern
from ...ir.operations.views import BufferView
from ...ir.stmt import Stmt
from ...ir.tensor import Tensor
from ...runtime.dtype import FLOAT32, INT32, INT64
from ...runtime.errors import GraphError
from ..types import TensorType
from .common import ints, make, some
from .opdef import Attr, Attrs, Kind, OpDef
from .suppress_statements import Inputs, Sizes, choose_boxes, list_rows


def _infer(types, a):
    boxes, scores = some(types[0]), some(types[1])
    for k, t in enumerate((boxes, scores)):
        if t.dtype != FLOAT32 or len(t.shape) != 3:
            raise GraphError(
                f"non_max_suppression takes float32 of three axes, not {t} (input {k})."
            )
    batch, classes, n = scores.shape
    if boxes.shape != (batch, n, 4):
        raise GraphError(
            f"non_max_suppression: the boxes {list(boxes.shape)} do not fit the scores "
            f"{list(scores.shape)}.",
            hint="boxes are [batch, box, 4], scores [batch, class, box]",
        )
    for k, t in enumerate(types[2:], start=2):
        wanted = INT64 if k in (2, 6) else FLOAT32
        if t is not None and (t.size != 1 or t.dtype != wanted):
            raise GraphError(
                f"non_max_suppression: the input {k} is one number of {wanted}, not {t}."
            )
    if not 0 <= a["limit"] <= n:
        raise GraphError(f"non_max_suppression: a limit of {a['limit']} for {n} boxes.")
    rows = batch * classes * a["limit"]
    return [
        TensorType(INT64, (rows, 3)),
        TensorType(INT64, ()),
        TensorType(FLOAT32, (rows,)),
    ]


def _only(t: Tensor | None) -> Expr:
    """The one element of a tensor."""
    return some(t)[(0,) * some(t).ndim]


def _compute(inputs, a, out):
    boxes, scores = some(inputs[0]), some(inputs[1])
    batch, classes, boxes_of = ints(scores.shape)
    n = Sizes(batch, classes, boxes_of, a["limit"])
    if not batch * classes * n.limit:
        return [make(t.shape, lambda *_, d=t.dtype: cast(0, d), "nothing") for t in out]
    most, overlap, least, sigma, size = [*inputs[2:], None, None, None][:5]
    bounds = [minimum(maximum(_only(most), 0), n.limit)]
    if size is not None:
        bounds.append(minimum(maximum(_only(size), 0), n.boxes))
    counts = make(
        (len(bounds),),
        lambda i: cast(if_then_else(equal(i, 0), bounds[0], bounds[-1]), INT32),
        "suppress.counts",
    )
    parts = [cast(0, FLOAT32) if t is None else _only(t) for t in (overlap, least, sigma)]
    numbers = make(
        (3,),
        lambda i: if_then_else(equal(i, 0), parts[0], if_then_else(equal(i, 1), *parts[1:])),
        "suppress.numbers",
    )

    def choose(ins: list[BufferView], outs: list[BufferView]) -> Stmt:
        given = Inputs(tuple(ins), least is not None, sigma is not None, size is not None)
        return choose_boxes(given, outs, n, a["center_point_box"])

    lists, limit = batch * classes, n.limit
    made = extern(
        [(lists, limit + 1), (lists, limit)], [boxes, scores, counts, numbers], choose,
        "suppress.choose", [INT32, FLOAT32],
    )  # fmt: skip
    rows = extern(
        [t.shape for t in out], tuple(made), lambda ins, outs: list_rows(outs, ins, n),
        "suppress.rows", [t.dtype for t in out],
    )  # fmt: skip
    return tuple(rows)


# ---- reference --------------------------------------------------------------------------------


def _reference(arrays, a):
    boxes, scores, most, overlap = map(some, arrays[:4])
    least, sigma, size = [*arrays[4:], None, None, None][:3]
    batch, classes, n = scores.shape
    if size is not None:
        n = min(max(int(size.reshape(-1)[0]), 0), n)
    boxes, scores = boxes[:, :n], scores[..., :n]
    quota = min(max(int(most.reshape(-1)[0]), 0), a["limit"])
    limits = [None if x is None else x.reshape(-1)[0] for x in (overlap, least, sigma)]
    rows, values = [], []
    for b, c in np.ndindex(batch, classes):
        for box, value in _np_choose(_np_corners(boxes[b], a), scores[b, c], quota, *limits):
            rows.append((b, c, box))
            values.append(value)
    whole = batch * classes * a["limit"]
    indices, found = np.zeros((whole, 3), np.int64), np.zeros(whole, np.float32)
    if rows:
        indices[: len(rows)], found[: len(rows)] = rows, values
    return [indices, np.array(len(rows), np.int64), found]


def _np_corners(boxes: np.ndarray, a: Attrs) -> np.ndarray:
    """[box, 4]: top, left, bottom, right."""
    if a["center_point_box"]:
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        return np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1)
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], axis=1)


def _np_overlap(p: np.ndarray, q: np.ndarray) -> np.float32:
    """Intersection over union of two boxes."""
    height, width = np.minimum(p[2:], q[2:]) - np.maximum(p[:2], q[:2])
    areas = [(r[2] - r[0]) * (r[3] - r[1]) for r in (p, q)]
    both = height * width
    union = areas[0] + areas[1] - both
    good = height > 0 and width > 0 and both > 0 and min(areas) > 0 and union > 0
    return both / union if good else np.float32(0)


def _np_choose(boxes, scores, quota, overlap, least, sigma) -> list[tuple[int, np.float32]]:
    """The chosen boxes of one class with their scores."""
    soft = sigma is not None and sigma > 0
    scale = np.float32(-0.5) / sigma if sigma is not None and soft else np.float32(0)
    if least is not None:
        left = {i: s for i, s in enumerate(scores) if s > least}
    else:
        left = {i: s for i, s in enumerate(scores) if sigma is None or not np.isnan(s)}
    seen = dict.fromkeys(left, 0)
    chosen: list[tuple[int, np.float32]] = []
    while left and len(chosen) < quota:
        # A number before NaN, then the greatest, then the first.
        i = min(left, key=lambda i: (left[i] != left[i], -left[i] if left[i] == left[i] else 0, i))
        score = before = left.pop(i)
        for other, _ in reversed(chosen[seen[i] :]):
            same = _np_overlap(boxes[i], boxes[other])
            if not soft and same > max(overlap, 0):  # no overlap is none, below 0 too
                break
            score = score * np.exp(scale * same * same)
            if soft and least is not None and not score > least:
                break
        else:
            seen[i] = len(chosen)
            if soft and score != before:
                left[i] = score
            else:
                chosen.append((i, before))
    return chosen


OPS: tuple[OpDef, ...] = (
    OpDef(
        "non_max_suppression",
        Kind.OPAQUE,
        _infer,
        _compute,
        _reference,
        {
            "limit": Attr(int, doc="the most boxes of a class that there can be"),
            "center_point_box": Attr(bool, False, "boxes are [x, y, width, height]"),
        },
        min_inputs=4,
        max_inputs=7,
        doc="the boxes of each class with the greatest scores that do not overlap",
    ),
)
