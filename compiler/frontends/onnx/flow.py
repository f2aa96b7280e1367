"""Loops and branches that data decide: nodes whose attributes are graphs (``graph/skeleton.py``).

What a body reads of its surroundings becomes its input; a constant there stays one, so that shapes
are known inside of it, too. Rows that a loop makes are part of its state (``rows.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import GraphProto

from ....runtime.dtype import BOOL, INT64
from ....runtime.errors import ModelError, WeftError
from ...graph.skeleton import LOOP
from ...types import TensorType
from ..branches import add_branch, unlike
from ..warn import warn
from .inside import Inside, add_node
from .rows import MAX_ROWS, Body, Lines, Row, in_blocks, in_blocks_pays
from .scope import is_tensor
from .site import NodeSite

if TYPE_CHECKING:
    from .walk import Walk


@dataclass(frozen=True)
class Trips:
    """How many steps a loop has: ``count`` at most, -1 where that is not known; ``limit`` is the
    tensor that says it then, ``most`` what it says at most, where that is known. ``first`` is the
    tensor that says whether there is a first one; "": there is. ``decides``: the body says whether
    there is another one."""

    count: int
    limit: str = ""
    first: str = ""
    decides: bool = True
    most: int = -1

    @property
    def bound(self) -> int:
        """How many there are at most; -1: any number."""
        return self.count if self.count >= 0 else self.most


@dataclass(frozen=True)
class Item:
    """A tensor of which every step takes a slice."""

    tensor: str
    axis: int
    backward: bool


def branch(walk: Walk, site: NodeSite, then: GraphProto, other: GraphProto) -> Sequence[str]:
    """``If`` as a node that computes one of two graphs.

    A branch that cannot take the extents that were asked for is one that fails when a call comes
    to it, as long as the other one can.
    """
    parts: list[tuple[Inside, list[str]]] = []
    failed: dict[int, WeftError] = {}
    for k, g in enumerate((then, other)):
        part = Inside(walk, site)
        try:
            found = part.run(g, ())
        except WeftError as e:
            if failed or not walk.cannot_fit(e):
                raise
            failed[k], found = e, []
        if found is None:
            return site.unknown
        parts.append((part, found))
    for k, e in failed.items():
        part, (like, found) = Inside(walk, site), parts[1 - k]
        parts[k] = part, part.fail([like.type(name) for name in found], e)
        _warn_of_failing(walk, site, ("then_branch", "else_branch")[k], e)
    differ = unlike(*parts)
    if differ:
        undecided(walk, site, f", and whose branches make {differ[0]} and {differ[1]}")
        return site.unknown
    return add_branch(walk.emitter, site.source, site.node.output, site.inputs[0], *parts)


def undecided(walk: Walk, site: NodeSite, what: str) -> None:
    """Note that weft has not got an ``If`` whose condition depends on data, ``what``."""
    walk.miss(f"If whose condition depends on data{what}", site, _binding(walk, site))


def _binding(walk: Walk, site: NodeSite) -> str:
    """How to make the condition known, where it follows from a few numbers."""
    types = walk.emitter.builder.types
    roots = walk.emitter.ancestors(site.inputs[0])
    if not roots or any(types[r].size > 1 for r in roots):
        return ""
    return "bind it: constants={" + ", ".join(f"{r!r}: value" for r in roots) + "}"


def _warn_of_failing(walk: Walk, site: NodeSite, which: str, error: WeftError) -> None:
    how = _binding(walk, site)
    warn(
        f"{site.where}: the {which} cannot be computed with the given shapes "
        f"({error.where}: {error.message}). A call that takes it raises InputError."
        + (f" If none does, {how}." if how else "")
    )


def repeat(
    walk: Walk,
    site: NodeSite,
    graph: GraphProto,
    trips: Trips,
    state: Sequence[str],
    rows: Sequence[Row],
    items: Sequence[Item] = (),
) -> Sequence[str] | None:
    """A loop as one node: its state after the last step, then its rows; None where something could
    not be converted. With ``items`` the body is that of ``Scan``: (state, slices) to (state, rows);
    else that of ``Loop``: (number, whether it goes on, state) to (whether, state, rows).
    """
    kind = f"{site.node.op_type} {site.operator}"
    if not all(map(is_tensor, state)):
        walk.miss(f"{kind} over sequences, as often as data decide", site)
        return None
    part = Inside(walk, site)
    if any(s in walk.emitter.sizes for s in state):
        walk.miss(f"{kind} whose state is a tensor whose size only data knows", site)
        return None
    number = part.input("step", TensorType(INT64, ()))
    going = part.input("going", TensorType(BOOL, ()))
    inside = [part.input("state", _plain(walk.emitter.builder.types[s])) for s in state]
    if items:
        slices = [_slice(part, i, number, trips.count) for i in items]
        found = part.run(graph, [*inside, *slices])
        results = [going, *found] if found is not None else None
    else:
        results = part.run(graph, [number, going, *inside])
    if results is None:
        return None
    on, after, made = results[0], results[1 : 1 + len(state)], results[1 + len(state) :]
    if math.prod(part.type(on).shape) != 1:
        raise ModelError(
            f"the condition that the body makes is {part.type(on)}, not one element.",
            where=site.where,
        )
    if not trips.decides:
        on = going
    elif part.type(on).shape:
        on = part.add("reshape", [on], shape=())
    why = _unfit(part, state, after, made, trips)
    if why:
        walk.miss(f"{kind} {why}", site)
        return None
    open_ = bool(trips.limit or trips.first) or not part.always_goes_on(on, going)
    if not open_ and in_blocks_pays([part.type(m) for m in made], trips.count):
        body = Body(part, number, going, on, inside, after)
        return in_blocks(body, trips.count, state, made, rows)
    lines = Lines(part, number, trips.bound, counted=bool(made) and open_)
    for name, row in zip(made, rows):
        lines.add(name, row)
    body = part.finish([on, *after, *lines.outs], [number, going, *inside, *lines.ins])
    given = [*state, *lines.before]
    ends = add_node(
        walk.emitter, site, LOOP, [trips.limit, trips.first, *given, *part.captures],
        [part.type(o) for o in (*after, *lines.outs)],
        body=body, count=trips.count, state=len(given),
    )  # fmt: skip
    return [*ends[: len(after)], *lines.results(ends[len(after) :])]


def _unfit(
    part: Inside, state: Sequence[str], after: Sequence[str], made: Sequence[str], trips: Trips
) -> str:
    """What cannot be of a loop with this state before and after a step, and these rows; "" where
    all can."""
    types = part.outer.builder.types
    for k, (s, name) in enumerate(zip(state, after)):
        if types[s] != part.type(name):
            return f"whose state {k} changes from {types[s]} to {part.type(name)}"
    if any(name in part.emitter.sizes for name in (*after, *made)):
        return "that makes tensors whose size only data knows"
    if made and trips.bound < 0:
        return "that makes a row a step, as many as data decide, without a bound"
    for name in made:
        whole = part.type(name).nbytes * trips.bound
        if whole > MAX_ROWS:
            return f"with {trips.bound} rows of {part.type(name)}"
    return ""


def _slice(part: Inside, item: Item, number: str, count: int) -> str:
    tensor = part.capture(item.tensor)
    at = number
    if item.backward:
        at = part.add("sub", [part.constant(np.array(count - 1, np.int64)), number])
    return part.add("gather", [tensor, at], axis=item.axis, wrap=False)


def _plain(t: TensorType) -> TensorType:
    return TensorType(t.dtype, t.shape)


__all__ = ["Item", "Trips", "branch", "repeat", "undecided"]
