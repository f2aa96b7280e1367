"""The statements of non-maximum suppression.

The choice is greedy and so one after the other: the box with the greatest score that is left is
chosen unless it overlaps a chosen one too much. A class needs no heap for that. Scores become
integers of the same order, cut into blocks of about √n, and of each block the greatest is kept: to
find the next box takes two searches of about √n, and what is removed changes one block. All
searches, and the comparison with the boxes that were chosen, work on vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import accumulate

from ...ir.builders import all_of, equal, if_then_else, maximum, minimum, not_equal, reinterpret
from ...ir.expr import Expr, ExprLike, Var, cast, to_expr
from ...ir.intrin import call
from ...ir.operations.builder import IRBuilder, Pointer
from ...ir.operations.views import BufferView
from ...ir.stmt import Stmt
from ...runtime.dtype import FLOAT32, INT32, INT64, DType
from ..types import MAX_ELEMENTS

# Of the vectors that search and compare. Twice as many cost more, even with registers of 512 bits:
# what lanes have found is folded after every search.
LANES = 8
GONE = -(2**31)  # the key of what takes no part, or was taken already: below every score
NAN = GONE + 1  # the key of NaN: below -inf
CORNERS = ("y0", "x0", "y1", "x1")


@dataclass(frozen=True)
class Sizes:
    """Numbers that are known while a kernel is written."""

    batch: int
    classes: int
    boxes: int
    limit: int

    @property
    def block(self) -> int:
        """Boxes of a block: about √n, in whole vectors."""
        return LANES * max(1, round(math.sqrt(self.boxes) / LANES))

    @property
    def blocks(self) -> int:
        """How many blocks of boxes there are."""
        return -(-self.boxes // self.block)

    @property
    def tops(self) -> int:
        """Blocks in whole vectors."""
        return -(-self.blocks // LANES) * LANES


@contextmanager
def _while(ib: IRBuilder, live: Pointer, most: int) -> Iterator[None]:
    """``while live[0]``, for at least ``most`` iterations. Loops of statements have ends that are
    known when they begin, so it is three of them: what is left of the outermost when ``live`` ends
    is a 4096th."""
    with ib.for_range(0, most // 4096 + 1, "w"):
        middle = ib.let("middle", if_then_else(not_equal(live[0], 0), 64, 0))
        with ib.for_range(0, middle, "w.m"):
            inner = ib.let("inner", if_then_else(not_equal(live[0], 0), 64, 0))
            with ib.for_range(0, inner, "w.i"), ib.if_scope(not_equal(live[0], 0)):
                yield


def _fold(ib: IRBuilder, part: Pointer, op: Callable[[ExprLike, ExprLike], Expr]) -> Expr:
    """All lanes of ``part`` as one."""
    width = LANES // 2
    while width:
        with ib.for_range(0, width, "h", kind="vectorize") as h:
            part[h] = op(part[h], part[h + width])
        width //= 2
    return part[0]


def _lanes(ib: IRBuilder) -> AbstractContextManager[Var]:
    """All lanes of a vector."""
    return ib.for_range(0, LANES, "l", kind="vectorize")


def _fill(ib: IRBuilder, buffer: Pointer | _Part, value: ExprLike, begin: ExprLike = 0) -> None:
    """One vector of ``buffer``, all lanes alike."""
    with _lanes(ib) as lane:
        buffer[begin + lane] = value


def _key(score: Expr) -> Expr:
    """An int32 in the order of the scores, which are no NaN; zeros alike."""
    bits = reinterpret(score, INT32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)) - (bits >> 31)


def _takes_part(score: Expr, least: Expr | None) -> Expr:
    """Whether a score is greater than ``least``; without one, whether it is a number."""
    return equal(score, score) if least is None else score > least


@dataclass(frozen=True)
class _Part:
    """Elements of a buffer from ``begin`` on: devices give a kernel few buffers."""

    buffer: Pointer
    begin: int

    def __getitem__(self, i: ExprLike) -> Expr:
        return self.buffer[to_expr(i) + self.begin]

    def __setitem__(self, i: ExprLike, value: ExprLike) -> None:
        self.buffer[to_expr(i) + self.begin] = value


def _parts(ib: IRBuilder, dtype: DType, sizes: Sequence[int], name: str) -> list[_Part]:
    """Storage of the sizes asked for, in whole vectors; too much for what a thread has itself."""
    begins = [0, *accumulate(-(-size // LANES) * LANES for size in sizes)]
    buffer = ib.allocate(dtype, (begins[-1],), name, "global")
    return [_Part(buffer, begin) for begin in begins[:-1]]


def _first_key(box: Expr, score: Expr, size: Expr | None, least: Expr | None, soft: bool) -> Expr:
    """The key of a box before any is chosen. NaN takes part where no score has to be passed."""
    inside = [] if size is None else [box < size]
    if least is None and not soft:
        key = if_then_else(not_equal(score, score), NAN, _key(score))
    else:
        key = _key(score)
        inside.append(_takes_part(score, least))
    return if_then_else(all_of(inside), key, GONE) if inside else key


class _Greatest:
    """The greatest of the keys that are left, and taking it out."""

    def __init__(self, ib: IRBuilder, n: Sizes, keys: _Part, tops: _Part):
        self.ib, self.n = ib, n
        self.keys, self.tops = keys, tops  # each box's, and the greatest of each block
        self.part = ib.allocate(INT32, (LANES,), "part")
        self.where = ib.allocate(INT32, (LANES,), "where")

    def fill(self, key: Callable[[Expr], Expr]) -> None:
        """Begin with ``key(i)`` of each box ``i``."""
        ib, n = self.ib, self.n
        _fill(ib, self.tops, GONE, n.tops - LANES)  # before the last blocks, which lie there
        full, rest = divmod(n.boxes, n.block)

        def vector(start: ExprLike, lanes: int) -> None:
            with ib.for_range(0, lanes, "l", kind="vectorize") as lane:
                made = ib.let("key", key(start + lane))
                self.keys[start + lane] = made
                self.part[lane] = maximum(self.part[lane], made)

        with ib.for_range(0, full, "b") as b:
            _fill(ib, self.part, GONE)
            with ib.for_range(0, n.block // LANES, "v") as v:
                vector(b * n.block + v * LANES, LANES)
            self.tops[b] = _fold(ib, self.part, maximum)
        if rest:
            _fill(ib, self.part, GONE)
            with ib.for_range(rest // LANES, n.block // LANES, "v") as v:
                _fill(ib, self.keys, GONE, full * n.block + v * LANES)
            with ib.for_range(0, rest // LANES, "v") as v:
                vector(full * n.block + v * LANES, LANES)
            if rest % LANES:
                vector(n.boxes - rest % LANES, rest % LANES)
            self.tops[full] = _fold(ib, self.part, maximum)

    def _search(self, buffer: _Part, start: ExprLike, length: int, name: str) -> tuple[Expr, Expr]:
        """The greatest of ``length`` keys from ``start`` on, and where it first is."""
        ib, part, where = self.ib, self.part, self.where
        _fill(ib, part, GONE)
        _fill(ib, where, 0)
        with ib.for_range(0, length // LANES, "v") as v, _lanes(ib) as lane:
            key = ib.let("key", buffer[start + v * LANES + lane])
            ahead = ib.let("ahead", key > part[lane])
            where[lane] = if_then_else(ahead, v * LANES + lane, where[lane])
            part[lane] = maximum(part[lane], key)
        each = ib.allocate(INT32, (LANES,), "each")
        with _lanes(ib) as lane:
            each[lane] = part[lane]
        top = ib.let(f"{name}.top", _fold(ib, part, maximum))
        with _lanes(ib) as lane:
            where[lane] = if_then_else(equal(each[lane], top), where[lane], length - 1)
        return top, ib.let(f"{name}.at", _fold(ib, where, minimum))

    def peek(self) -> tuple[Expr, Expr]:
        """The greatest key, and the box it belongs to: the first of several."""
        _, block = self._search(self.tops, 0, self.n.tops, "block")
        start = self.ib.let("start", minimum(block, self.n.blocks - 1) * self.n.block)
        top, at = self._search(self.keys, start, self.n.block, "box")
        return top, self.ib.let("box", start + at)

    def put(self, box: Expr, key: ExprLike) -> None:
        """The key of a box becomes another one."""
        ib, n = self.ib, self.n
        self.keys[box] = key
        block = ib.let("block", box // n.block)
        _fill(ib, self.part, GONE)
        with ib.for_range(0, n.block // LANES, "v") as v, _lanes(ib) as lane:
            other = self.keys[block * n.block + v * LANES + lane]
            self.part[lane] = maximum(self.part[lane], other)
        self.tops[block] = _fold(ib, self.part, maximum)


class _Chosen:
    """The boxes that a class has chosen, by corner, filled up to whole vectors with boxes of no
    area, which overlap nothing."""

    def __init__(self, ib: IRBuilder, corners: Sequence[_Part], area: _Part):
        self.ib, self.corners, self.area = ib, corners, area
        self.count = ib.allocate(INT32, (1,), "chosen.count")
        self.count[0] = 0

    def add(self, box: Sequence[Expr], area: Expr) -> None:
        """One more."""
        ib = self.ib
        at = ib.let("last", self.count[0])
        with ib.if_scope(equal(at % LANES, 0)):
            for buffer in (*self.corners, self.area):
                _fill(ib, buffer, 0.0, at)
        for buffer, value in zip((*self.corners, self.area), (*box, area)):
            buffer[at] = value
        self.count[0] = at + 1

    def overlap(self, box: Sequence[Expr], area: Expr, at: Expr) -> tuple[Expr, Expr]:
        """Whether ``box`` meets the chosen box ``at``, and if so their intersection over union."""
        (y0, x0, y1, x1), (v0, u0, v1, u1) = box, (c[at] for c in self.corners)
        width = minimum(x1, u1) - maximum(x0, u0)
        height = minimum(y1, v1) - maximum(y0, v0)
        both, other = width * height, self.area[at]
        union = area + other - both
        meet = (width > 0.0) & (height > 0.0) & (both > 0.0)
        return meet & (area > 0.0) & (other > 0.0) & (union > 0.0), both / union

    def overlapped(self, box: Sequence[Expr], area: Expr, most: Expr) -> Expr:
        """Not 0 where one of them overlaps ``box`` by more than ``most``."""
        ib = self.ib
        hits = ib.allocate(INT32, (LANES,), "hits")
        _fill(ib, hits, 0)
        with ib.for_range(0, (self.count[0] + (LANES - 1)) // LANES, "v") as v, _lanes(ib) as lane:
            meet, ratio = self.overlap(box, area, v * LANES + lane)
            hits[lane] = if_then_else(meet & (ratio > most), 1, hits[lane])
        return _fold(ib, hits, maximum)


def _corners(
    ib: IRBuilder, boxes: BufferView, batch: Expr, at: Expr, center: bool
) -> tuple[Sequence[Expr], Expr]:
    """The corners of a box (top, left, bottom, right) and its area."""
    a, b, c, d = (ib.let(f"side{k}", boxes[batch, at, k]) for k in range(4))
    if center:
        y0, x0, y1, x1 = b - d / 2.0, a - c / 2.0, b + d / 2.0, a + c / 2.0
    else:
        y0, x0, y1, x1 = minimum(a, c), minimum(b, d), maximum(a, c), maximum(b, d)
    box = [ib.let(name, e) for name, e in zip(CORNERS, (y0, x0, y1, x1))]
    return box, ib.let("area", (box[3] - box[1]) * (box[2] - box[0]))


@dataclass(frozen=True)
class Inputs:
    """What the statements read: boxes, scores, counts (the most boxes of a class, and how many
    boxes there are) and numbers (the greatest overlap, the score that has to be passed, sigma). The
    flags say which of them mean something."""

    views: tuple[BufferView, ...]
    has_least: bool
    soft: bool
    sized: bool


def choose_boxes(given: Inputs, outs: Sequence[BufferView], n: Sizes, center: bool) -> Stmt:
    """How many boxes each class has chosen, and they in order; their scores."""
    ib = IRBuilder()
    chosen, values = map(ib.buffer_ptr, outs)
    boxes, scores, counts, numbers = given.views
    quota, overlap = ib.let("quota", counts[0]), ib.let("most_overlap", numbers[0])
    least = ib.let("least", numbers[1]) if given.has_least else None
    size = ib.let("size", counts[1]) if given.sized else None

    with ib.for_range(0, n.batch * n.classes, "list", kind="parallel") as which:
        batch = ib.let("batch", which // n.classes)
        of_class = ib.let("class", which % n.classes)
        score_of = lambda i: scores[batch, of_class, i]  # noqa: E731
        more = [n.boxes] * given.soft
        keys, tops, *seen = _parts(ib, INT32, [n.blocks * n.block, n.tops, *more], "keys")
        *corners, area = _parts(ib, FLOAT32, [*more, *[n.limit] * 5], "chosen")
        decayed = [corners.pop(0) for _ in more]
        greatest, kept = _Greatest(ib, n, keys, tops), _Chosen(ib, corners, area)
        live = ib.allocate(INT32, (1,), "live")
        live[0] = cast(quota > 0, INT32)
        with ib.if_scope(quota > 0):
            greatest.fill(lambda i: _first_key(i, score_of(i), size, least, given.soft))
        soft = None
        if given.soft:
            soft = _Soft(ib, n, numbers[2], overlap, least, *decayed, *seen)
            with ib.for_range(0, n.boxes, "i") as i:
                soft.begin(i, score_of(i))
        with _while(ib, live, n.boxes if soft is None else soft.most):
            top, box = greatest.peek()
            with ib.if_scope(equal(top, GONE)):
                live[0] = 0
            with ib.else_scope():
                corners, area = _corners(ib, boxes, batch, box, center)
                greatest.put(box, GONE)
                if soft is None:
                    refused = kept.overlapped(corners, area, overlap)
                    value = score_of(box)
                else:
                    refused = soft.decayed(kept, greatest, corners, area, box)
                    value = soft.scores[box]
                with ib.if_scope(equal(refused, 0)):
                    at = ib.let("at", kept.count[0])
                    chosen[which, at + 1] = box
                    values[which, at] = value
                    kept.add(corners, area)
                    live[0] = cast(at + 1 < quota, INT32)
        chosen[which, 0] = kept.count[0]
    return ib.get()


class _Soft:
    """Scores that decay with the overlap (Bodla et al., "Soft-NMS", ICCV'17), in the order in which
    TensorFlow's NonMaxSuppressionV5 has it: a box that is the greatest and has lost some of its
    score goes back, and is later compared with what was chosen since alone. For ``sigma`` 0 boxes
    are refused as ever."""

    def __init__(
        self, ib: IRBuilder, n: Sizes, sigma: Expr, overlap: Expr, least: Expr | None,
        scores: _Part, seen: _Part,
    ):  # fmt: skip
        self.ib, self.overlap, self.least = ib, overlap, least
        self.soft = ib.let("soft", sigma > 0.0)
        self.scale = ib.let("scale", if_then_else(self.soft, -0.5 / sigma, 0.0))
        self.scores, self.seen = scores, seen
        # A box goes back at most once for each chosen one, and is chosen or refused once.
        self.most = min(n.boxes * (n.limit + 1), MAX_ELEMENTS)

    def begin(self, box: Expr, score: Expr) -> None:
        """The score of a box at first."""
        self.scores[box] = score
        self.seen[box] = 0

    def decayed(
        self, kept: _Chosen, greatest: _Greatest, corners: Sequence[Expr], area: Expr, box: Expr
    ) -> Expr:
        """0 where the box has kept its score, and is chosen. Else it was refused or put back."""
        ib = self.ib
        score, state = ib.allocate(FLOAT32, (1,), "score"), ib.allocate(INT32, (1,), "state")
        score[0], state[0] = self.scores[box], 0  # 1: lost some, 2: refused
        count = ib.let("count", kept.count[0])
        # What was chosen last comes first.
        with ib.for_range(0, count - self.seen[box], "j") as j, ib.if_scope(state[0] < 2):
            meet, ratio = kept.overlap(corners, area, count - 1 - j)
            same = ib.let("same", if_then_else(meet, ratio, 0.0))
            much = ib.let("much", ~self.soft & (same > self.overlap))
            weight = call("exp", self.scale * same * same)
            score[0] = score[0] * if_then_else(much, 0.0, weight)
            with ib.if_scope(much | ~_takes_part(score[0], self.least)):
                state[0] = 2
        self.seen[box] = count
        with ib.if_scope((state[0] < 2) & not_equal(score[0], self.scores[box])):
            state[0] = 1
            self.scores[box] = score[0]
            greatest.put(box, _key(score[0]))
        return state[0]


def list_rows(outs: Sequence[BufferView], ins: Sequence[BufferView], n: Sizes) -> Stmt:
    """The lists of all classes, one after the other, as rows."""
    ib = IRBuilder()
    rows, count, values = map(ib.buffer_ptr, outs)
    chosen, scores = ins
    begin = ib.allocate(INT32, (1,), "begin")
    begin[0] = 0
    with ib.for_range(0, n.batch, "batch") as batch, ib.for_range(0, n.classes, "class") as c:
        which = ib.let("which", batch * n.classes + c)
        first, own = ib.let("first", begin[0]), ib.let("own", chosen[which, 0])
        with ib.for_range(0, own, "k") as k:
            for column, value in enumerate((batch, c, chosen[which, k + 1])):
                rows[first + k, column] = cast(value, INT64)
            values[first + k] = scores[which, k]
        begin[0] = first + own
    total = ib.let("total", begin[0])
    count[()] = cast(total, INT64)
    with ib.for_range(total, n.batch * n.classes * n.limit, "rest") as rest:
        for column in range(3):
            rows[rest, column] = cast(0, INT64)
        values[rest] = 0.0
    return ib.get()
