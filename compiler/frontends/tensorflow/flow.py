"""TensorFlow 1's loops and branches as nodes with graphs.

There, a loop is a frame: values come in through Enter, Merge takes them or what NextIteration hands
back, Switch lets them into the body or out through Exit, as LoopCond says. A branch is what lies
between Switch and Merge. Here both become what TensorFlow 2 has, ``While`` and ``If`` with models
as attributes; loops inside of loops first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ....runtime.dtype import FLOAT32
from ....runtime.errors import ModelError
from ..model import FileModel, FileNode, ordered
from ..signature import SymbolicType

_ENTER, _EXIT = ("Enter", "RefEnter"), ("Exit", "RefExit")
_MERGE, _SWITCH = ("Merge", "RefMerge"), ("Switch", "RefSwitch")
_NEXT = ("NextIteration", "RefNextIteration")
FLOW = frozenset({*_ENTER, *_MERGE, *_SWITCH})

Guard = tuple[str, bool]  # a predicate, and what it has to be


@dataclass
class _Graph:
    """Nodes under change: who makes a value, who reads it."""

    nodes: dict[str, FileNode]
    where: str
    makers: dict[str, FileNode] = field(default_factory=dict)
    readers: dict[str, list[FileNode]] = field(default_factory=dict)

    def index(self) -> None:
        self.makers = {o: n for n in self.nodes.values() for o in n.outputs if o}
        self.readers = {}
        for n in self.nodes.values():
            for i in n.inputs:
                self.readers.setdefault(i, []).append(n)


def structured(
    nodes: Sequence[FileNode], controls: Mapping[str, Sequence[str]], where: str
) -> list[FileNode]:
    """``nodes`` without frames, and without Switch and Merge. ``controls`` has the names of the
    nodes that a node waits for. Raises :class:`ModelError` for flow that is not as TensorFlow
    writes it."""
    graph = _Graph({n.name: n for n in nodes}, where)
    graph.index()
    frames: dict[object, list[FileNode]] = {}
    for n in nodes:
        if n.op in _ENTER:
            frames.setdefault(n.attrs.get("frame_name"), []).append(n)
    while frames:
        found = {name: _reached(graph, enters) for name, enters in frames.items()}
        inner = next(
            (k for k, names in found.items()
             if not any(graph.nodes[m].op in _ENTER and graph.nodes[m] not in frames[k]
                        for m in names)),
            None,
        )  # fmt: skip
        if inner is None:
            raise ModelError("its loops are inside of each other.", where=where)
        _replace(graph, frames.pop(inner), found[inner], controls)
    return branched(list(graph.nodes.values()), controls, where)


def _reached(graph: _Graph, enters: Iterable[FileNode]) -> set[str]:
    """The nodes of a frame: what its values reach, up to where they leave it."""
    seen = {n.name for n in enters}
    stack = list(enters)
    while stack:
        n = stack.pop()
        if n.op in _EXIT:
            continue
        for o in n.outputs:
            for r in graph.readers.get(o, ()):
                if r.name not in seen:
                    seen.add(r.name)
                    stack.append(r)
    return seen


@dataclass(frozen=True)
class _Variable:
    """One of a loop's values: before it, at its begin, in its body, behind a step, behind it."""

    enter: FileNode
    merge: FileNode
    back: str
    body: str
    exit: str


def _replace(
    graph: _Graph,
    enters: Sequence[FileNode],
    inside: set[str],
    controls: Mapping[str, Sequence[str]],
) -> None:
    """One frame by a node."""
    nodes = [graph.nodes[m] for m in inside]
    conds = [n for n in nodes if n.op == "LoopCond"]
    where = f"{graph.where}, loop {_text(enters[0].attrs.get('frame_name'))!r}"
    if len(conds) != 1:
        raise ModelError(f"it has {len(conds)} conditions.", where=where)
    (going,) = conds
    variables, aliases = [], {}
    order = {n.name: k for k, n in enumerate(graph.nodes.values())}
    for enter in sorted(enters, key=lambda n: order[n.name]):
        merges = [r for r in graph.readers.get(enter.outputs[0], ()) if r.op in _MERGE]
        if not merges:
            aliases[enter.outputs[0]] = enter.inputs[0]
            continue
        variables.append(_variable(graph, enter, merges, going, where))
    test = _Slice(
        graph, inside, aliases, {v.merge.outputs[0]: v.merge.outputs[0] for v in variables}
    )
    held = {v.merge.outputs[0] for v in variables}
    body_given = {v.body: v.body for v in variables if v.body}
    body = _Slice(graph, inside, aliases, {**body_given, **{m: m for m in held}})
    test.take([going.inputs[0]])
    body.take([v.back for v in variables])
    captures = list(dict.fromkeys((*test.captures, *body.captures)))
    # The body may read what Merge makes as well as what Switch lets in: they are the same.
    same = [
        FileNode("Identity", v.body, (v.merge.outputs[0],), (v.body,)) for v in variables if v.body
    ]
    names = [v.merge.outputs[0] for v in variables]
    cond = _model(test, f"{where}, condition", names, captures, [going.inputs[0]], controls)
    backs = [v.back for v in variables]
    step = _model(body, f"{where}, body", names, captures, backs, controls, same)
    inputs = (*(v.enter.inputs[0] for v in variables), *captures)
    outputs = tuple(v.exit for v in variables)
    name = _text(enters[0].attrs.get("frame_name")) or going.name
    for m in inside:
        del graph.nodes[m]
    made = FileNode("While", name, inputs, outputs,
                    {"cond": cond, "body": step, "state": len(variables)})  # fmt: skip
    if name in graph.nodes:
        raise ModelError("a node has the name of the loop.", where=where)
    graph.nodes[name] = made
    graph.index()


def _text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else ""


def _variable(
    graph: _Graph, enter: FileNode, merges: Sequence[FileNode], going: FileNode, where: str
) -> _Variable:
    merge = merges[0]
    backs = [
        graph.makers[i] for i in merge.inputs if i in graph.makers and graph.makers[i].op in _NEXT
    ]
    if len(merges) != 1 or len(merge.inputs) != 2 or len(backs) != 1 or not backs[0].inputs:
        raise ModelError(f"the value at {merge.name!r} does not come back once.", where=where)
    body, leaves = "", ""
    for switch in graph.readers.get(merge.outputs[0], ()):
        if switch.op not in _SWITCH or switch.inputs[1:] != going.outputs[:1]:
            continue
        if len(switch.outputs) > 1:
            body = switch.outputs[1]
        for r in graph.readers.get(_first(switch), ()):
            if r.op in _EXIT:
                leaves = _first(r)
    return _Variable(enter, merge, backs[0].inputs[0], body, leaves)


def _first(n: FileNode) -> str:
    """A node's first output."""
    return next(iter(n.outputs), "")


class _Slice:
    """What some values depend on in a frame: its nodes, and the values around that they read."""

    def __init__(
        self, graph: _Graph, inside: Collection[str], aliases: Mapping[str, str],
        given: Mapping[str, str],
    ):  # fmt: skip
        self.graph, self.inside, self.aliases, self.given = graph, inside, aliases, given
        self.nodes: dict[str, FileNode] = {}
        self.captures: list[str] = []

    def take(self, wanted: Sequence[str]) -> None:
        """Add what these values depend on."""
        stack, seen = list(reversed(wanted)), set()
        while stack:
            value = stack.pop()
            if value in seen or value in self.given:
                continue
            seen.add(value)
            if value in self.aliases:
                self.captures.append(self.aliases[value])
                continue
            maker = self.graph.makers.get(value)
            if maker is None or maker.name not in self.inside:
                self.captures.append(value)
                continue
            self.nodes[maker.name] = maker
            stack += maker.inputs


def _model(
    part: _Slice, name: str, formals: Sequence[str], captures: Sequence[str],
    results: Sequence[str], controls: Mapping[str, Sequence[str]],
    more: Sequence[FileNode] = (),
) -> FileModel:  # fmt: skip
    """A part of a graph as a model of its own; inputs and outputs have no types."""
    aliases, file = part.aliases, part.graph.where
    nodes = [
        FileNode(n.op, n.name, tuple(aliases.get(i, i) for i in n.inputs), n.outputs, n.attrs)
        for n in part.nodes.values()
    ]
    made = {o for n in nodes for o in n.outputs}
    kept = [n for n in more if n.outputs[0] not in made]
    outputs = [aliases.get(r, r) for r in results]
    nodes = branched([*kept, *nodes], controls, file)
    # The values that come in say their types when the model is walked.
    types = {i: SymbolicType(FLOAT32, None) for i in (*formals, *captures)}
    named = {str(k): o for k, o in enumerate(outputs)}
    return FileModel("", file, name, types, named, nodes, {})


# --- branches -------------------------------------------------------------------------------------


def branched(
    nodes: Sequence[FileNode], controls: Mapping[str, Sequence[str]], where: str
) -> list[FileNode]:
    """``nodes``, which are no loops' any more, with an ``If`` for each Merge."""
    if not any(n.op in _MERGE or n.op in _SWITCH for n in nodes):
        return list(nodes)
    graph = _Graph({n.name: n for n in _waited(nodes, controls, where)}, where)
    graph.index()
    guards: dict[str, frozenset[Guard]] = {}  # of values; and of nodes, by "^name"
    for n in list(graph.nodes.values()):
        for i in n.inputs:
            if i not in guards and i in controls:  # a constant, which only waits
                waits = [guards.get(f"^{c}", frozenset()) for c in controls[i]]
                guards[i] = frozenset().union(*waits)
        read = [guards.get(i, frozenset()) for i in n.inputs]
        waits = [guards.get(f"^{c}", frozenset()) for c in controls.get(n.name, ())]
        mine = frozenset().union(*read, *waits)
        if n.op in _SWITCH and len(n.inputs) == 2:
            on = _predicate(graph, n.inputs[1])
            data = read[0].union(*waits)
            for k, o in enumerate(n.outputs):
                guards[o] = data | {(on, bool(k))}
            continue
        if n.op in _MERGE:
            mine = _merged(graph, n, read, guards)
        guards[f"^{n.name}"] = mine
        guards.update(dict.fromkeys(n.outputs, mine))
    kept = [n for n in graph.nodes.values() if n.op not in _SWITCH]
    # A switch that nothing brings together again passes its value on: that branch is the one taken.
    loose = [n for n in graph.nodes.values() if n.op in _SWITCH]
    passed = [
        FileNode("Identity", f"{n.name}:{k}", n.inputs[:1], (o,))
        for n in loose for k, o in enumerate(n.outputs)
    ]  # fmt: skip
    return ordered([*kept, *passed], where)


def _waited(
    nodes: Sequence[FileNode], controls: Mapping[str, Sequence[str]], where: str
) -> list[FileNode]:
    """``nodes`` so that each comes after those that it, or a constant that it reads, waits for."""
    by_name = {n.name: n for n in nodes}
    first = {n.name: _first(n) for n in nodes}
    made = {o for n in nodes for o in n.outputs}
    waiting = []
    for n in nodes:
        names = [*controls.get(n.name, ())]
        names += [c for i in n.inputs if i not in made for c in controls.get(i, ())]
        more = (first[c] for c in names if first.get(c))
        waiting.append(FileNode(n.op, n.name, (*n.inputs, *more), n.outputs))
    return [by_name[n.name] for n in ordered(waiting, where)]


def _predicate(graph: _Graph, value: str) -> str:
    """The value that a predicate is, behind nodes that hand it on."""
    seen: set[str] = set()
    while value in graph.makers and graph.makers[value].op == "Identity" and value not in seen:
        seen.add(value)
        value = graph.makers[value].inputs[0]
    return value


def _merged(
    graph: _Graph, n: FileNode, read: Sequence[frozenset[Guard]],
    guards: Mapping[str, frozenset[Guard]],
) -> frozenset[Guard]:  # fmt: skip
    """Replace a Merge by an ``If``; what the result depends on."""
    where = f"{graph.where}, node {n.name!r} ({n.op})"
    if len(read) != 2:
        raise ModelError(f"it brings {len(read)} values together.", where=where)
    a, b = read
    sides = [(on, k) for k, (mine, other) in enumerate(((a, b), (b, a)))
             for on, is_ in mine - other if is_ and (on, True) not in other]  # fmt: skip
    false = [(on, k) for k, (mine, other) in enumerate(((a, b), (b, a)))
             for on, is_ in mine - other if not is_ and (on, False) not in other]  # fmt: skip
    opposite = [s for s in sides if (s[0], 1 - s[1]) in false] or sides or [
        (on, 1 - k) for on, k in false
    ]  # fmt: skip
    if not opposite:
        raise ModelError("nothing says which of its values it takes.", where=where)
    on, k = opposite[0]
    parts = []
    for value, is_ in ((n.inputs[k], True), (n.inputs[1 - k], False)):
        inside = {
            m for m, node in graph.nodes.items()
            if node.op not in _SWITCH
            and any((on, is_) in guards.get(o, ()) for o in (*node.outputs, f"^{m}"))
        }  # fmt: skip
        aliases = {
            s.outputs[int(is_)]: s.inputs[0] for s in graph.nodes.values()
            if s.op in _SWITCH and len(s.outputs) > int(is_)
            and _predicate(graph, s.inputs[1]) == on
        }  # fmt: skip
        part = _Slice(graph, inside, aliases, {})
        part.take([value])
        parts.append((value, part))
    captures = list(dict.fromkeys(c for _, p in parts for c in p.captures))
    models = [_model(part, f"{n.name}, branch", [], captures, [value], {}) for value, part in parts]
    attrs = {"then_branch": models[0], "else_branch": models[1]}
    node = FileNode("If", n.name, (on, *captures), n.outputs[:1], attrs)
    graph.nodes[n.name] = node
    if len(n.outputs) > 1:
        raise ModelError("something reads which of its values it took.", where=where)
    graph.makers.update(dict.fromkeys(node.outputs, node))
    return (a | b) - {(on, True), (on, False)}


__all__ = ["FLOW", "branched", "structured"]
