"""Detectors' boxes: the best ones of those that overlap (non-maximum suppression).

Boxes are in the order of their scores. A box is kept if no kept one before it overlaps it. Which
ones are follows from the matrix of overlaps by repetition: every step recomputes all boxes from the
last step's, and the first ones are right after as many steps; it ends when nothing changes.
(mxnet 1.9.1: ``contrib/bounding_box-inl.h``, ``contrib/multibox_detection.cc``.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import BOOL, INT64
from ...graph.skeleton import LOOP
from ...types import TensorType
from ..inner import Inner, add_node
from .context import MxContext
from .ops_vision import corners, overlap
from .table import Table, named

MOST_PAIRS = 1 << 28  # of boxes whose overlaps are computed


def _kept(n: MxContext, candidates: str, clashes: str) -> str:
    """Which of [batch, box] are kept; ``clashes`` [batch, one, other] are 1 where the one, which
    is before the other, would suppress it, else 0. Both are float32, 0 and 1."""
    emitter = n.sizing.emitter
    batch, count = n.typeof(candidates).shape
    rows = n.reshape(candidates, (batch, 1, count))
    part = Inner(emitter, n.source)
    number = part.input("step", TensorType(INT64, ()))
    going = part.input("going", TensorType(BOOL, ()))
    old = part.input("kept", n.typeof(rows))
    zero = part.constant(np.zeros((), np.float32))
    hits = part.add("matmul", [old, part.capture(clashes)])
    free = part.add("less_or_equal", [hits, zero])
    new = part.add("where", [free, part.capture(rows), zero])
    changed = part.add("abs", [part.add("sub", [new, old])])
    most = part.add("reduce_max", [changed], axes=(0, 1, 2), keepdims=False)
    on = part.add("greater", [most, zero])
    body = part.finish([on, new], [number, going, old])
    (kept,) = add_node(
        emitter, n.source, ("",), LOOP, ["", "", rows, *part.captures], [n.typeof(rows)],
        body=body, count=count, state=1,
    )  # fmt: skip
    return n.reshape(kept, (batch, count))


def _clashes(n: MxContext, boxes: Sequence[str], ids: str, limit: float, or_equal: bool) -> str:
    """Which boxes would suppress which: ``boxes`` are four sides [batch, box], ``ids`` "" if boxes
    of different classes suppress each other."""
    batch, count = n.typeof(boxes[0]).shape
    if batch * count * count > MOST_PAIRS:
        n.unsupported(f"{count} boxes of which every one may suppress another: give topk")
    down, across = (batch, count, 1), (batch, 1, count)
    pairs = overlap(n, *([n.reshape(b, shape) for b in boxes] for shape in (down, across)))
    clash = n.add("greater_or_equal" if or_equal else "greater", [pairs, n.like(limit, pairs)])
    if ids:
        same = n.add("equal", [n.reshape(ids, down), n.reshape(ids, across)])
        clash = n.add("and", [clash, same])
    later = np.arange(count)[:, None] < np.arange(count)
    return n.cast(n.add("and", [clash, n.constant(later[None])]), "float32")


def _rows(n: MxContext, data: str, index: str) -> str:
    """Rows of [batch, row, column] by [batch, chosen]."""
    return n.add("gather_nd", [data, n.reshape(index, (*n.typeof(index).shape, 1))], batch_dims=1)


def _column(n: MxContext, rows: str, k: int) -> str:
    batch, count, wide = n.typeof(rows).shape
    if not 0 <= k < wide:
        n.error(f"there is no column {k} of {wide}.")
    return n.reshape(n.part(rows, 2, k, 1), (batch, count))


def _box_nms(n: MxContext) -> Sequence[str]:
    """The rows that are kept, the best first; behind them rows of -1."""
    if n.output_wanted(1):
        n.unsupported("the places of the boxes as a result")
    if len(n.shape) < 2:
        n.error(f"it takes [..., boxes, columns], not {n.type(0)}.")
    *lead, total, wide = n.shape
    data = n.reshape(n.x, (math.prod(lead), total, wide))
    topk, by_id = n.integer("topk", -1), n.integer("id_index", -1)
    count = min(topk, total) if topk > 0 else total
    lowest, scored = n.like(-math.inf), n.integer("score_index", 1)
    scores = _column(n, data, scored)
    valid = n.add("greater", [scores, n.like(n.number("valid_thresh", 0.0))])
    background = n.integer("background_id", -1)
    if by_id >= 0 and background >= 0:
        front = n.add("not_equal", [_column(n, data, by_id), n.like(background)])
        valid = n.add("and", [valid, front])
    keys = n.add("where", [valid, scores, lowest])
    best, index = n.add_many("top_k", [keys], 2, k=count, axis=1, largest=True)
    rows = _rows(n, data, index)
    candidates = n.cast(n.add("greater", [best, lowest]), "float32")
    start = n.integer("coord_start", 2)
    given = n.part(rows, 2, start, 4)
    form, wanted = n.text("in_format", "corner"), n.text("out_format", "corner")
    sides = corners(n, given, form)
    flat = [n.reshape(s, n.typeof(candidates).shape) for s in sides]
    ids = "" if by_id < 0 or n.flag("force_suppress") else _column(n, rows, by_id)
    limit = n.number("overlap_thresh", 0.5)
    kept = _kept(n, candidates, _clashes(n, flat, ids, limit, False))
    if form != wanted:
        new = _centred(n, sides) if wanted == "center" else sides
        behind = wide - start - 4
        parts = [n.part(rows, 2, 0, start), *new, n.part(rows, 2, start + 4, behind)]
        rows = n.add("concat", [p for p in parts if n.typeof(p).size], axis=2)
    # Those that are kept come first, in their order: the greatest of count, count - 1, … or 0.
    order = n.constant(np.arange(count, 0, -1, dtype=np.float32)[None])
    ranks, place = n.add_many(
        "top_k", [n.add("mul", [kept, order])], 2, k=count, axis=1, largest=True
    )
    there = n.add("greater", [ranks, n.constant(np.float32(0))])
    there = n.reshape(there, (*n.typeof(there).shape, 1))
    made = n.add("where", [there, _rows(n, rows, place), n.like(-1)])
    made = n.add("pad", [made], pads=(0, 0, 0, 0, total - count, 0), value=-1.0)
    return [n.reshape(made, n.shape)]


def _centred(n: MxContext, sides: Sequence[str]) -> list[str]:
    """Centre and size of boxes."""
    a, b, c, d = sides
    half = n.like(0.5)
    middle = [n.add("mul", [n.add("add", pair), half]) for pair in ((a, c), (b, d))]
    return [*middle, n.add("sub", [c, a]), n.add("sub", [d, b])]


def _multibox_detection(n: MxContext) -> str:
    """Rows of class, score and box; those that are suppressed keep all but their class, -1."""
    if n.integer("background_id", 0) != 0:
        n.unsupported("a background that is not the first class")
    batch, classes, total = n.shape
    if classes < 2:
        n.error("there is no class but the background.")
    shape = (batch, total)
    front = n.part(n.x, 1, 1, classes - 1)
    score = n.add("reduce_max", [front], axes=(1,), keepdims=False)
    ids = n.cast(n.add("arg_max", [front], axis=1, keepdims=False), str(n.typed().dtype))
    valid = n.add("greater_or_equal", [score, n.like(n.number("threshold", 0.01))])
    valid = n.add("and", [valid, n.add("greater", [score, n.like(-1)])])
    boxes = _decoded(n, shape)
    limit, topk = n.number("nms_threshold", 0.5), n.integer("nms_topk", -1)
    if not 0 < limit <= 1 or 0 < topk < total:
        n.unsupported(f"nms_threshold {limit} with nms_topk {topk} of {total} boxes")
    keys = n.add("where", [valid, score, n.like(-math.inf)])
    best, index = n.add_many("top_k", [keys], 2, k=total, axis=1, largest=True)
    columns = [n.reshape(t, (*shape, 1)) for t in (ids, score, *boxes)]
    rows = _rows(n, n.add("concat", columns, axis=2), index)
    candidates = n.add("greater", [best, n.like(-math.inf)])
    own = "" if n.flag("force_suppress") else _column(n, rows, 0)
    sides = [_column(n, rows, k) for k in range(2, 6)]
    clashes = _clashes(n, sides, own, limit, True)
    kept = n.add(
        "greater", [_kept(n, n.cast(candidates, "float32"), clashes), n.constant(np.float32(0))]
    )
    none = n.like(-1)
    first = n.add("where", [n.reshape(kept, (*shape, 1)), n.part(rows, 2, 0, 1), none])
    whole = n.add("concat", [first, n.part(rows, 2, 1, 5)], axis=2)
    return n.add("where", [n.reshape(candidates, (*shape, 1)), whole, none])


def _decoded(n: MxContext, shape: tuple[int, int]) -> list[str]:
    """The sides of boxes, each [batch, box]: anchors, moved and stretched by what was predicted."""
    batch, total = shape
    moved = n.reshape(n.inputs[1], (batch, total, 4))
    a = [n.reshape(n.part(n.inputs[2], 2, k, 1), (1, total)) for k in range(4)]
    middle, centre, size = n.like(0.5), [], []
    for k, variance in enumerate(n.reals("variances", (0.1, 0.1, 0.2, 0.2))):
        p = n.add("mul", [_column(n, moved, k), n.like(variance)])
        low, high = a[k % 2], a[k % 2 + 2]
        extent = n.add("sub", [high, low])
        if k < 2:
            start = n.add("mul", [n.add("add", [low, high]), middle])
            centre.append(n.add("add", [n.add("mul", [p, extent]), start]))
        else:
            half = n.add("mul", [extent, middle])
            size.append(n.add("mul", [n.add("exp", [p]), half]))
    sides = [n.add(op, [c, s]) for op in ("sub", "add") for c, s in zip(centre, size)]
    if n.flag("clip", True):
        sides = [n.add("clip", [s], min=0.0, max=1.0) for s in sides]
    return sides


CONVERTERS: Table = {
    **named(_box_nms, "_contrib_box_nms", "_contrib_box_non_maximum_suppression"),
    **named(_multibox_detection, "_contrib_MultiBoxDetection", "MultiBoxDetection"),
}
