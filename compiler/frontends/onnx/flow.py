"""Loops and branches that data decide: nodes whose attributes are graphs (``graph/skeleton.py``).

What a body reads of its surroundings becomes its input; a constant there stays one, so that shapes
are known inside of it, too. Rows that a loop makes are part of its state: a buffer with a place for
every row, of which each step fills one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import GraphProto

from ....runtime.dtype import BOOL, INT64
from ....runtime.errors import ModelError, WeftError
from ...graph.graph import Graph, Node
from ...graph.skeleton import BRANCH, FAIL, LOOP, always_goes_on
from ...types import TensorType
from ..emit import Emitter
from ..sized import Sizing, choices
from .scope import UNKNOWN, Scope, free_names, is_tensor
from .site import NodeSite
from .warn import warn

if TYPE_CHECKING:
    from .walk import Walk

MAX_ROWS = 1 << 30  # bytes that the rows of a loop may take


@dataclass(frozen=True)
class Row:
    """What every step of a loop makes one of: where they are put together, and whether the first
    step makes the last one."""

    axis: int = 0
    backward: bool = False


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


class _Inside:
    """A graph of a node in the making, as a graph of its own: ``captures`` are the tensors around
    it that it reads, in the order of its inputs behind those that it was given."""

    def __init__(self, walk: Walk, site: NodeSite):
        self.walk, self.site = walk, site
        self.outer = walk.emitter
        self.emitter = Emitter(site.source.node or site.node.op_type, self.outer.reserved)
        self.captures: list[str] = []
        self._captured: dict[str, str] = {}

    def capture(self, tensor: str) -> str:
        """The tensor inside that is a tensor around."""
        if tensor not in self._captured:
            outer, inner = self.outer.builder, self.emitter
            if tensor in outer.constants:
                made = inner.constant(outer.constants[tensor], tensor)
            else:
                t = outer.types[tensor]
                made = inner.builder.input(inner.fresh(tensor), t.dtype, t.shape)
                self.captures.append(tensor)
            if tensor in self.outer.narrow:
                inner.narrow[made] = self.outer.narrow[tensor]
            self._captured[tensor] = made
            stated = self.outer.values.stated.get(tensor)
            if stated is not None:
                inner.values.stated[made] = stated
            sizes = self.outer.sizes.get(tensor, {})
            if sizes:
                inner.sizes[made] = {axis: self.capture(size) for axis, size in sizes.items()}
        return self._captured[tensor]

    def input(self, hint: str, t: TensorType) -> str:
        """An input that the node gives; all of them come before what is captured."""
        assert not self.captures
        return self.emitter.builder.input(self.emitter.fresh(hint), t.dtype, t.shape)

    def run(self, graph: GraphProto, formals: Sequence[str]) -> list[str] | None:
        """The outputs of ``graph`` for tensors inside; None where something could not be
        converted."""
        scope, site = Scope(), self.site
        narrow = [self.outer.narrow[i] for i in site.inputs if i in self.outer.narrow]
        inputs = {i.name for i in graph.input}
        for name in sorted(free_names(graph) - inputs):
            tensor = site.around.scope.get(name)
            if tensor is None:
                raise ModelError(f"its input {name!r} is not defined.", where=site.where)
            if not is_tensor(tensor):
                if tensor != UNKNOWN:
                    what = "whose body reads a sequence or an optional"
                    self.walk.miss(f"{site.node.op_type} {site.operator} {what}", site)
                return None
            scope.define(name, self.capture(tensor), site.where)
        for formal, tensor in zip(graph.input, formals):
            scope.define(formal.name, tensor, site.where)
        with self.walk.inside(self.emitter):
            found = self.walk.bodies.run_in(site, graph, scope)
        if found is None or not all(map(is_tensor, found)):
            return None
        narrow += [self.emitter.narrow[i] for i in found if i in self.emitter.narrow]
        if narrow:
            self.walk.miss(f"{site.node.op_type} {site.operator} of {narrow[0]} elements", site)
            return None
        return found

    def fail(self, types: Sequence[TensorType], error: WeftError) -> list[str]:
        """Outputs of these types, for which a call fails as ``error`` says."""
        b = self.emitter.builder
        names = [self.tensor("failed", t) for t in types]
        why = f"these inputs need a branch that the model's shapes do not fit: {error.message}"
        attrs = MappingProxyType({"why": why, "where": error.where or self.site.where})
        b.nodes.append(Node(FAIL, (), tuple(names), attrs, self.site.source))
        return names

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """An operator inside; the name of its output."""
        hint = self.site.source.node or op
        (name,) = self.emitter.add(op, inputs, attrs, hint, self.site.source)
        return name

    def constant(self, array: np.ndarray) -> str:
        """A constant inside."""
        return self.emitter.constant(array, self.site.source.node or "constant")

    @property
    def sizing(self) -> Sizing:
        """What adds operators with sizes that only data knows, inside."""
        return Sizing(self.emitter, self.site.source.node or "size", self.site.source)

    def type(self, name: str) -> TensorType:
        """The type of a tensor inside."""
        return self.emitter.builder.types[name]

    def always_goes_on(self, name: str, going: str) -> bool:
        """As the function of that name, inside."""
        b = self.emitter.builder
        makers = {o: n for n in b.nodes for o in n.outputs}
        return always_goes_on(name, going, b.constants, makers)

    def tensor(self, hint: str, t: TensorType) -> str:
        """A tensor of this type, for the caller to define: an input, or what a node makes."""
        name = self.emitter.fresh(hint)
        self.emitter.builder.types[name] = t
        return name

    def finish(self, outputs: Sequence[str], inputs: Sequence[str]) -> Graph:
        """The graph; its inputs are these, and what was captured."""
        b = self.emitter.builder
        b.inputs = [*inputs, *(self._captured[c] for c in self.captures)]
        return b.finish(outputs)


def branch(walk: Walk, site: NodeSite, then: GraphProto, other: GraphProto) -> Sequence[str]:
    """``If`` as a node that computes one of two graphs.

    A branch that cannot take the extents that were asked for is one that fails when a call comes
    to it, as long as the other one can.
    """
    parts: list[tuple[_Inside, list[str]]] = []
    failed: dict[int, WeftError] = {}
    for k, g in enumerate((then, other)):
        part = _Inside(walk, site)
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
        part, (like, found) = _Inside(walk, site), parts[1 - k]
        parts[k] = part, part.fail([like.type(name) for name in found], e)
        _warn_of_failing(walk, site, ("then_branch", "else_branch")[k], e)
    (a, yes), (b, no) = parts
    one, two, axes = a.sizing, b.sizing, []
    for k, (x, y) in enumerate(list(zip(yes, no))):
        if not choices.alike(one, x, two, y):
            undecided(walk, site, f", and whose branches make {a.type(x)} and {b.type(y)}")
            return site.unknown
        axes.append(choices.open_axes(one, x, two, y))
        shape = choices.bounds(one, x, two, y)
        sizes = [[s.number(s.extent(v, e)) for e in axes[k]] for s, v in ((one, x), (two, y))]
        yes[k], no[k] = choices.widened(one, x, shape), choices.widened(two, y, shape)
        yes += sizes[0]
        no += sizes[1]
    captures = list(dict.fromkeys((*a.captures, *b.captures)))
    graphs = []
    for part, found in parts:
        for c in captures:
            part.capture(c)
        part.captures = captures
        graphs.append(part.finish(found, ()))
    types = [a.type(x) for x in yes]
    inputs = [site.inputs[0], *captures]
    made = _node(walk, site, BRANCH, inputs, types, then=graphs[0], other=graphs[1])
    results, sizes = made[: len(axes)], iter(made[len(axes) :])
    s = Sizing(walk.emitter, site.source.node or "size", site.source)
    return [s.declare(t, {k: next(sizes) for k in e}) for t, e in zip(results, axes)]


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
    part = _Inside(walk, site)
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
    lines = _Lines(part, number, trips.bound, counted=bool(made) and open_)
    for name, row in zip(made, rows):
        lines.add(name, row)
    body = part.finish([on, *after, *lines.outs], [number, going, *inside, *lines.ins])
    given = [*state, *lines.before]
    ends = _node(
        walk, site, LOOP, [trips.limit, trips.first, *given, *part.captures],
        [part.type(o) for o in (*after, *lines.outs)],
        body=body, count=trips.count, state=len(given),
    )  # fmt: skip
    return [*ends[: len(after)], *lines.results(ends[len(after) :])]


def _unfit(
    part: _Inside, state: Sequence[str], after: Sequence[str], made: Sequence[str], trips: Trips
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


class _Lines:
    """The rows that the steps of a loop make, as part of its state: ``before`` the first step, and
    what ``ins`` and ``outs`` of the body are. Where data decide how many there are they are
    ``counted``; there is room for ``bound``."""

    def __init__(self, part: _Inside, number: str, bound: int, *, counted: bool):
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
        axis = row.axis % (len(t.shape) + 1)
        whole = TensorType(t.dtype, (*t.shape[:axis], self.bound, *t.shape[axis:]))
        zero = part.outer.constant(np.zeros((), t.dtype.numpy), "zero")
        source = part.site.source
        self.before += part.outer.add("expand", [zero], {"shape": whole.shape}, "rows", source)
        self.ins.append(part.tensor("rows", whole))
        self.outs.append(_filled(part, name, self.ins[-1], axis, row.backward, self.number))
        self.axes.append(axis)

    def results(self, made: Sequence[str]) -> Sequence[str]:
        """The rows, of what the loop makes of ``before``."""
        if not self.counted:
            return made
        steps, *lines = made
        s = Sizing(self.part.outer, self.part.site.source.node or "size", self.part.site.source)
        return [s.declare(t, {axis: steps}) for t, axis in zip(lines, self.axes)]


def _filled(part: _Inside, name: str, buffer: str, axis: int, backward: bool, number: str) -> str:
    """The rows with that of this step among them."""
    shape, whole = part.type(name).shape, part.type(buffer).shape
    line = part.add("reshape", [name], shape=(*shape[:axis], 1, *shape[axis:]))
    places = np.arange(whole[axis], dtype=np.int64)[:: -1 if backward else 1]
    each = tuple(n if k == axis else 1 for k, n in enumerate(whole))
    here = part.add("equal", [part.constant(places.reshape(each)), number])
    return part.add("where", [here, line, buffer])


def _slice(part: _Inside, item: Item, number: str, count: int) -> str:
    tensor = part.capture(item.tensor)
    at = number
    if item.backward:
        at = part.add("sub", [part.constant(np.array(count - 1, np.int64)), number])
    return part.add("gather", [tensor, at], axis=item.axis, wrap=False)


def _plain(t: TensorType) -> TensorType:
    return TensorType(t.dtype, t.shape)


def _node(
    walk: Walk,
    site: NodeSite,
    op: str,
    inputs: Sequence[str],
    types: Sequence[TensorType],
    **attrs: Any,
) -> list[str]:
    """Add a node whose attributes are graphs; the names of its outputs."""
    emitter, b = walk.emitter, walk.emitter.builder
    outputs = []
    for o, t in zip([*site.node.output, *[""] * len(types)], types):
        name = emitter.fresh(f"{o or site.source.node}/{op}")
        b.types[name] = t
        outputs.append(name)
    emitter.made.update(outputs)
    b.nodes.append(Node(op, tuple(inputs), tuple(outputs), MappingProxyType(attrs), site.source))
    return outputs


__all__ = ["Item", "Row", "Trips", "branch", "repeat", "undecided"]
