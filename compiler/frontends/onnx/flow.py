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
    tensor that says it then. ``first`` is the tensor that says whether there is a first one; "":
    there is. ``decides``: the body says whether there is another one."""

    count: int
    limit: str = ""
    first: str = ""
    decides: bool = True


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
            self._captured[tensor] = made
        return self._captured[tensor]

    def input(self, hint: str, t: TensorType) -> str:
        """An input that the node gives; all of them come before what is captured."""
        assert not self.captures
        return self.emitter.builder.input(self.emitter.fresh(hint), t.dtype, t.shape)

    def run(self, graph: GraphProto, formals: Sequence[str]) -> list[str] | None:
        """The outputs of ``graph`` for tensors inside; None where something could not be
        converted."""
        scope, site = Scope(), self.site
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
    for x, y in zip(yes, no):
        if a.type(x) != b.type(y):
            undecided(walk, site, f", and whose branches make {a.type(x)} and {b.type(y)}")
            return site.unknown
    captures = list(dict.fromkeys((*a.captures, *b.captures)))
    graphs = []
    for part, found in parts:
        for c in captures:
            part.capture(c)
        part.captures = captures
        graphs.append(part.finish(found, ()))
    types = [a.type(x) for x in yes]
    inputs = [site.inputs[0], *captures]
    return _node(walk, site, BRANCH, inputs, types, then=graphs[0], other=graphs[1])


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
    outer, part = walk.emitter.builder, _Inside(walk, site)
    number = part.input("step", TensorType(INT64, ()))
    going = part.input("going", TensorType(BOOL, ()))
    inside = [part.input("state", _plain(outer.types[s])) for s in state]
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
    for k, (s, name) in enumerate(zip(state, after)):
        if outer.types[s] != part.type(name):
            change = f"changes from {outer.types[s]} to {part.type(name)}"
            walk.miss(f"{kind} whose state {k} {change}", site)
            return None
    if made and (trips.count < 0 or trips.first or not part.always_goes_on(on, going)):
        walk.miss(f"{kind} that makes a row a step, as many as data decide", site)
        return None
    before, ins, outs = [], [], []
    for name, row in zip(made, rows):
        t = part.type(name)
        axis = row.axis % (len(t.shape) + 1)
        whole = TensorType(t.dtype, (*t.shape[:axis], trips.count, *t.shape[axis:]))
        if whole.nbytes > MAX_ROWS:
            walk.miss(f"{kind} with rows of {whole}", site)
            return None
        zero = walk.emitter.constant(np.zeros((), t.dtype.numpy), "zero")
        before += walk.emitter.add("expand", [zero], {"shape": whole.shape}, "rows", site.source)
        ins.append(part.tensor("rows", whole))
        outs.append(_filled(part, name, ins[-1], axis, row.backward, number))
    body = part.finish([on, *after, *outs], [number, going, *inside, *ins])
    given = [*state, *before]
    return _node(
        walk, site, LOOP, [trips.limit, trips.first, *given, *part.captures],
        [part.type(o) for o in (*after, *outs)],
        body=body, count=trips.count, state=len(given),
    )  # fmt: skip


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
