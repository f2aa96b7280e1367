"""Rows that the steps of a loop make one by one, put together.

They are part of the loop's state: a buffer with a place for each row, of which a step fills one. As
a step writes the whole buffer, rows that are many or long are made in blocks: a loop over blocks,
whose rows are what an inner loop makes. N steps then write about 2 √N rows each instead of N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....runtime.dtype import INT64
from ...graph.graph import Node, Source
from ...graph.skeleton import LOOP
from ...types import TensorType
from ..emit import Emitter
from ..sized import Sizing
from .inside import Inside, add_node

MAX_ROWS = 1 << 30  # bytes that the rows of a loop may take
BLOCKED_ROWS = 1 << 16  # bytes of rows from which on they are made in blocks,
FEW_ROWS = 32  # where they are at least so many


@dataclass(frozen=True)
class Row:
    """What every step of a loop makes one of: where they are put together, and whether the first
    step makes the last one."""

    axis: int = 0
    backward: bool = False

    def axis_of(self, row: TensorType) -> int:
        """The axis of all rows together, of which one is ``row``."""
        return self.axis % (len(row.shape) + 1)


class Lines:
    """The rows that the steps of a loop make, as part of its state: ``before`` the first step, and
    what ``ins`` and ``outs`` of the body are. Where data decide how many there are they are
    ``counted``; there is room for ``bound``."""

    def __init__(self, part: Inside, number: str, bound: int, *, counted: bool):
        self.part, self.number, self.bound, self.counted = part, number, bound, counted
        self.before: list[str] = []
        self.ins: list[str] = []
        self.outs: list[str] = []
        self.axes: list[int] = []
        if counted:
            self.before.append(part.outer.constant(np.zeros((), np.int64), "steps"))
            self.ins.append(part.tensor("steps", TensorType(INT64, ())))
            self.outs.append(part.add("add", [number, part.constant(np.array(1, np.int64))]))

    def add(self, name: str, row: Row) -> None:
        """Collect what is ``name`` in each step."""
        part, t = self.part, self.part.type(name)
        axis = row.axis_of(t)
        whole = TensorType(t.dtype, (*t.shape[:axis], self.bound, *t.shape[axis:]))
        self.before.append(zeros(part.outer, whole, part.site.source))
        self.ins.append(part.tensor("rows", whole))
        self.outs.append(filled(part, name, self.ins[-1], axis, row.backward, self.number))
        self.axes.append(axis)

    def results(self, made: Sequence[str]) -> Sequence[str]:
        """The rows, of what the loop makes of ``before``."""
        if not self.counted:
            return made
        steps, *lines = made
        s = Sizing(self.part.outer, self.part.site.source.node or "size", self.part.site.source)
        return [s.declare(t, {axis: steps}) for t, axis in zip(lines, self.axes)]


def zeros(emitter: Emitter, t: TensorType, source: Source) -> str:
    """A tensor of zeros."""
    zero = emitter.constant(np.zeros((), t.dtype.numpy), "zero")
    return emitter.add("expand", [zero], {"shape": t.shape}, "rows", source)[0]


def filled(part: Inside, name: str, buffer: str, axis: int, backward: bool, number: str) -> str:
    """The rows with that of step ``number`` among them."""
    shape, whole = part.type(name).shape, part.type(buffer).shape
    line = part.add("reshape", [name], shape=(*shape[:axis], 1, *shape[axis:]))
    places = np.arange(whole[axis], dtype=np.int64)[:: -1 if backward else 1]
    each = tuple(n if k == axis else 1 for k, n in enumerate(whole))
    here = part.add("equal", [part.constant(places.reshape(each)), number])
    return part.add("where", [here, line, buffer])


@dataclass(frozen=True)
class Body:
    """The body of a loop: of its inputs ``number`` (of the step), ``going`` and ``inside`` (the
    state) it makes ``on`` (whether there is another step) and ``after`` (the state)."""

    part: Inside
    number: str
    going: str
    on: str
    inside: Sequence[str]
    after: Sequence[str]


def in_blocks_pays(rows: Sequence[TensorType], count: int) -> bool:
    """Whether so many rows of each of these types are better made in blocks."""
    return count >= FEW_ROWS and count * sum(t.nbytes for t in rows) >= BLOCKED_ROWS


def in_blocks(
    body: Body, count: int, state: Sequence[str], made: Sequence[str], rows: Sequence[Row]
) -> list[str]:
    """A loop of ``count`` steps, none of which is the last before that, as a loop of loops; each
    step also makes ``made``. Returns what becomes of ``state``, and the rows."""
    part, after = body.part, body.after
    size = _block(count)
    blocks = -(-count // size)
    site, walk = part.site, part.walk
    # The inner loop: its steps are counted from the block's first one on.
    local, base = (part.tensor(hint, TensorType(INT64, ())) for hint in ("step", "first"))
    part.add("add", [base, local])
    b = part.emitter.builder
    adding = b.nodes.pop()
    del b.types[adding.outputs[0]]
    b.nodes.insert(0, Node("add", adding.inputs, (body.number,), adding.attrs, adding.source))
    kinds = [TensorType(part.type(m).dtype, (size, *part.type(m).shape)) for m in made]
    ins = [part.tensor("rows", t) for t in kinds]
    outs = [filled(part, m, buffer, 0, False, local) for m, buffer in zip(made, ins)]
    inner = part.finish([body.on, *after, *outs], [local, body.going, *body.inside, *ins, base])
    # The outer one.
    outer = Inside(walk, site)
    step, goes = (
        outer.tensor("block", TensorType(INT64, ())),
        outer.tensor("going", part.type(body.going)),
    )
    held = [outer.tensor("state", part.type(i)) for i in body.inside]
    wholes = [TensorType(t.dtype, (blocks, *t.shape)) for t in kinds]
    buffers = [outer.tensor("rows", t) for t in wholes]
    first = outer.add("mul", [step, outer.constant(np.array(size))])
    limit = ""
    if count % size:
        left = outer.add("sub", [outer.constant(np.array(count)), first])
        limit = outer.add("minimum", [left, outer.constant(np.array(size))])
    given = [*held, *(zeros(outer.emitter, t, site.source) for t in kinds)]
    made_inside = add_node(
        outer.emitter, site, LOOP,
        [limit, "", *given, first, *(outer.capture(c) for c in part.captures)],
        [part.type(o) for o in (*after, *outs)],
        body=inner, count=-1 if limit else size, state=len(given),
    )  # fmt: skip
    kept, block = made_inside[: len(after)], made_inside[len(after) :]
    together = [filled(outer, m, buffer, 0, False, step) for m, buffer in zip(block, buffers)]
    whole = outer.finish([goes, *kept, *together], [step, goes, *held, *buffers])
    given = [*state, *(zeros(walk.emitter, t, site.source) for t in wholes)]
    results = add_node(
        walk.emitter, site, LOOP, ["", "", *given, *outer.captures],
        [outer.type(o) for o in (*kept, *together)],
        body=whole, count=blocks, state=len(given),
    )  # fmt: skip
    lines = [
        _ordered(part, name, count, part.type(m), row)
        for name, m, row in zip(results[len(after) :], made, rows)
    ]
    return [*results[: len(after)], *lines]


def _block(count: int) -> int:
    """Steps of a block: near the root of ``count``, a divisor of it where there is one."""
    root = math.isqrt(count)
    near = [n for n in range(root // 2 + 1, 2 * root) if count % n == 0]
    return min(near, key=lambda n: abs(n - root), default=root)


def _ordered(part: Inside, name: str, count: int, row: TensorType, how: Row) -> str:
    """Blocks of rows, [blocks, size, …], as the rows that the model asks for."""
    emitter, source = part.walk.emitter, part.site.source

    def add(op: str, name: str, **attrs: object) -> str:
        return emitter.add(op, [name], attrs, "rows", source)[0]

    blocks, size, *_ = emitter.builder.types[name].shape
    name = add("reshape", name, shape=(blocks * size, *row.shape))
    if how.backward or count != blocks * size:
        nought = (0,) * len(row.shape)
        start, step = (count - 1, -1) if how.backward else (0, 1)
        steps = (step, *(1 for _ in row.shape))
        name = add("slice", name, starts=(start, *nought), shape=(count, *row.shape), steps=steps)
    axis = how.axis_of(row)
    if axis:
        perm = (*range(1, axis + 1), 0, *range(axis + 1, len(row.shape) + 1))
        name = add("transpose", name, perm=perm)
    return name


__all__ = [
    "BLOCKED_ROWS",
    "FEW_ROWS",
    "MAX_ROWS",
    "Body",
    "Lines",
    "Row",
    "filled",
    "in_blocks",
    "in_blocks_pays",
    "zeros",
]
