"""Cutting a graph with loops and branches into sections: see :mod:`skeleton`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..types import TensorType
from .builder import GraphBuilder
from .graph import Graph, Node, Source
from .skeleton import (
    BRANCH,
    FAIL,
    FLOW,
    Choice,
    Fail,
    Item,
    Repeat,
    Section,
    Skeleton,
    always_goes_on,
    has_flow,
    sections_of,
    unused,
)


def cut(graph: Graph) -> Skeleton:
    """The skeleton of a graph."""
    c = _Cutter()
    values = {i: c.value(i, graph.types[i]) for i in graph.inputs}
    items = c.block(graph, values)
    constants = {}
    for o in graph.outputs:
        if o in graph.constants:
            values[o] = c.value(o, graph.types[o])
            constants[values[o]] = graph.constants[o]
    return Skeleton(
        graph.name,
        tuple(values[i] for i in graph.inputs),
        {o: values[o] for o in graph.outputs},
        items,
        c.types,
        constants,
        graph.meta,
        graph.cropped,
    )


def straight_parts(graph: Graph) -> list[Graph]:
    """The straight-line graphs of a graph: itself, or those of its sections."""
    return [s.graph for s in sections_of(cut(graph).items)] if has_flow(graph) else [graph]


@dataclass
class _Cutter:
    types: dict[str, TensorType] = field(default_factory=dict)

    def value(self, hint: str, t: TensorType) -> str:
        """A new value."""
        name = unused(hint, self.types)
        self.types[name] = t
        return name

    def block(self, graph: Graph, values: dict[str, str]) -> tuple[Item, ...]:
        """The items of a graph. ``values`` has those of its inputs, and gets those of all that is
        made and needed elsewhere."""
        items: list[Item] = []
        nodes = list(_live(graph))
        begin = 0
        for k, n in enumerate([*nodes, None]):
            if n is not None and n.op not in FLOW:
                continue
            later = nodes[k:]
            self._section(graph, nodes[begin:k], later, values, items)
            begin = k + 1
            if n is not None and n.op == FAIL:
                return (*items, Fail(n.attrs["why"], n.attrs["where"]))
            if n is not None:
                make = self._choice if n.op == BRANCH else self._repeat
                make(graph, n, values, items)
        return tuple(items)

    def results(self, graph: Graph, values: dict[str, str], targets: Sequence[str]):
        """The items of a body, whose outputs become the values ``targets``."""
        items = list(self.block(graph, values))
        if items and isinstance(items[-1], Fail):
            return tuple(items)
        # A value that one section makes, and that nobody else has, is made in its place.
        renamed: dict[str, str] = {}
        copied: list[tuple[str, str]] = []
        made = {o for s in items if isinstance(s, Section) for o in s.outputs}
        for o, target in zip(graph.outputs, targets):
            value = values.get(o)
            if value in made and value not in renamed and o not in graph.constants:
                renamed[value] = target
            else:
                copied.append((o, target))
        items = [_renamed(i, renamed) for i in items]
        if copied:
            items.append(self._copies(graph, values, renamed, copied))
        return tuple(items)

    def _copies(
        self,
        graph: Graph,
        values: Mapping[str, str],
        renamed: Mapping[str, str],
        copied: Sequence[tuple[str, str]],
    ) -> Section:
        b = GraphBuilder(f"{graph.name}/copies")
        ins: dict[str, str] = {}  # of the section's graph, by value
        for o, _ in copied:
            if o in graph.constants:
                continue
            value = renamed.get(values[o], values[o])
            if value not in ins:
                t = graph.types[o]
                ins[value] = b.input(b.fresh(f"in.{len(ins)}"), t.dtype, t.shape)
        outs = []
        for o, _ in copied:
            constant = o in graph.constants
            source = (
                b.constant(graph.constants[o], "c")
                if constant
                else ins[renamed.get(values[o], values[o])]
            )
            outs += b.add("identity", [source], source=Source("", o, "copy"))
        return Section(b.finish(outs), tuple(ins), tuple(t for _, t in copied))

    def fresh_copy(
        self, graph: Graph, name: str, values: dict[str, str], items: list[Item], target: str
    ) -> None:
        """Let ``target`` be a copy of a tensor of ``graph``."""
        items.append(self._copies(graph, values, {}, [(name, target)]))

    def _section(
        self,
        graph: Graph,
        nodes: Sequence[Node],
        later: Sequence[Node],
        values: dict[str, str],
        items: list[Item],
    ) -> None:
        made = dict.fromkeys(o for n in nodes for o in n.outputs if o)
        wanted = {i for n in later for i in n.inputs} | set(graph.outputs)
        outputs = [o for o in made if o in wanted]
        if not outputs:
            return
        read = dict.fromkeys(i for n in nodes for i in n.inputs if i and i not in made)
        inputs = [i for i in read if i not in graph.constants]
        names = {*made, *read}
        section = Graph(
            graph.name if not items else f"{graph.name}/{len(items)}",
            tuple(inputs),
            tuple(outputs),
            tuple(nodes),
            {k: t for k, t in graph.types.items() if k in names},
            {k: c for k, c in graph.constants.items() if k in read},
        ).verify()
        ins = tuple(values[i] for i in inputs)
        for o in outputs:
            values[o] = self.value(o, graph.types[o])
        items.append(Section(section, ins, tuple(values[o] for o in outputs)))

    def _choice(self, graph: Graph, n: Node, values: dict[str, str], items: list[Item]) -> None:
        cond = self.value(f"{n.outputs[0]}/cond", graph.types[n.inputs[0]])
        self.fresh_copy(graph, n.inputs[0], values, items, cond)
        for o in n.outputs:
            values[o] = self.value(o, graph.types[o])
        targets = [values[o] for o in n.outputs]
        parts = []
        for branch in (n.attrs["then"], n.attrs["other"]):
            inner = self._captured(graph, n.inputs[1:], branch.inputs, branch, values, items)
            parts.append(self.results(branch, inner, targets))
        items.append(Choice(cond, *parts))

    def _repeat(self, graph: Graph, n: Node, values: dict[str, str], items: list[Item]) -> None:
        body: Graph = n.attrs["body"]
        trips, first, *rest = n.inputs
        states, captures = rest[: n.attrs["state"]], rest[n.attrs["state"] :]
        number, going, *inside = body.inputs
        base = n.outputs[0] if n.outputs[0] else n.source.node
        limit = ""
        if trips and n.attrs["count"] < 0:
            limit = self.value(f"{base}/trips", graph.types[trips])
            self.fresh_copy(graph, trips, values, items, limit)
        says = body.outputs[0]
        decided = first or not always_goes_on(says, going, body.constants, body.producer)
        needed = body.outputs if decided else body.outputs[1:]
        uses = {i for m in _live(body.replace(outputs=needed)) for i in m.inputs} | {*needed}
        rows: list[tuple[str, str, Any]] = []  # of the state: read, written, how it begins
        if number in uses:
            body, counted = _counting(body, number)
            rows.append((number, counted, np.zeros((), np.int64)))
        if decided:
            begin = first or np.ones((), np.bool_)
            rows.append((going, body.outputs[0], begin))
        elif going in uses:
            rows.append((going, going, np.ones((), np.bool_)))
        rows += list(zip(inside, body.outputs[1:], states))
        pairs, begins, inner = [], _Begins(self, graph, values), {}
        for read, _, begin in rows:
            t = body.types[read]
            pair = self.value(f"{base}/{read}", t), self.value(f"{base}/{read}'", t)
            pairs.append(pair)
            begins.add(begin, t, pair[0])
            inner[read] = self.value(f"{base}/{read}/in", t)
        items.append(begins.section(f"{graph.name}/{base}/begin"))
        inner |= self._captured(graph, captures, inside[len(states) :], body, values, items)
        written = [self.value(f"{base}/{r}/out", body.types[r]) for r, _, _ in rows]
        shown = body.replace(outputs=tuple(w for _, w, _ in rows))
        items.append(
            Repeat(
                n.attrs["count"],
                limit,
                [r for r, _, _ in rows].index(going) if decided else -1,
                tuple(pairs),
                tuple(inner[r] for r, _, _ in rows),
                tuple(written),
                self.results(shown, dict(inner), written),
            )
        )
        kept = pairs[len(pairs) - len(states) :] if states else []
        for o, (value, _) in zip(n.outputs, kept):
            if o:
                values[o] = value

    def _captured(
        self,
        graph: Graph,
        outer: Sequence[str],
        inner: Sequence[str],
        body: Graph,
        values: dict[str, str],
        items: list[Item],
    ) -> dict[str, str]:
        """The values of what a body reads of its surroundings; constants get one."""
        made: dict[str, str] = {}
        for o, i in zip(outer, inner):
            if o in graph.constants:
                made[i] = self.value(o, body.types[i])
                self.fresh_copy(graph, o, values, items, made[i])
            else:
                made[i] = values[o]
        return made


class _Begins:
    """The section that gives a loop's state its first values."""

    def __init__(self, cutter: _Cutter, graph: Graph, values: Mapping[str, str]):
        self._graph, self._values = graph, values
        self._builder = GraphBuilder()
        self._ins: dict[str, str] = {}
        self._outs: list[str] = []
        self._targets: list[str] = []

    def add(self, begin: Any, t: TensorType, target: str) -> None:
        """Let ``target`` begin with a tensor of the graph, or an array."""
        b = self._builder
        if isinstance(begin, np.ndarray):
            source = b.constant(begin, "c")
        elif begin in self._graph.constants:
            source = b.constant(self._graph.constants[begin], "c")
        else:
            value = self._values[begin]
            if value not in self._ins:
                have = self._graph.types[begin]
                self._ins[value] = b.input(f"in.{len(self._ins)}", have.dtype, have.shape)
            source = self._ins[value]
        if b.types[source].shape != t.shape:
            (source,) = b.add("reshape", [source], {"shape": t.shape})
        self._outs += b.add("identity", [source])
        self._targets.append(target)

    def section(self, name: str) -> Section:
        """The section."""
        self._builder.name = name
        graph = self._builder.finish(self._outs)
        return Section(graph, tuple(self._ins), tuple(self._targets))


def _counting(body: Graph, number: str) -> tuple[Graph, str]:
    """``body`` with the number of the next trip, and its name."""
    b = GraphBuilder.like(body, nodes=True)
    one = b.constant(np.ones((), np.int64), "one")
    (following,) = b.add("add", [number, one], outputs=[b.fresh(f"{number}/next")])
    return b.finish(body.outputs), following


def _live(graph: Graph) -> Sequence[Node]:
    """The nodes that outputs need."""
    needed, kept = set(graph.outputs), []
    for n in reversed(graph.nodes):
        if any(o in needed for o in n.outputs):
            kept.append(n)
            needed.update(n.inputs)
    return kept[::-1]


def _renamed(item: Item, names: Mapping[str, str]) -> Item:
    """An item with other names for values."""

    def new(value: str) -> str:
        return names.get(value, value)

    if isinstance(item, Fail):
        return item
    if isinstance(item, Section):
        return Section(item.graph, tuple(map(new, item.inputs)), tuple(map(new, item.outputs)))
    if isinstance(item, Choice):
        then, other = (tuple(_renamed(i, names) for i in part) for part in (item.then, item.other))
        return Choice(new(item.cond), then, other)
    return Repeat(
        item.count,
        new(item.trips),
        item.cond,
        tuple((new(a), new(b)) for a, b in item.state),
        item.read,
        item.written,
        tuple(_renamed(i, names) for i in item.body),
    )


__all__ = ["cut", "straight_parts"]
