"""From a skeleton to one program: its sections are compiled as graphs, their calls are written down
in the order of the tree, loops twice, and get one memory plan.

Calls are first collected as :class:`_Call` s over tensors that have no place yet, then placed by
their lifetimes, in which what comes into a loop lives until it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...ir.target import Target
from ...runtime import flow as flows
from ...runtime.artifact import Program, Slot
from ...runtime.executor import Executable
from ..graph.builder import GraphBuilder
from ..graph.graph import Graph
from ..graph.group import Group
from ..graph.skeleton import Choice, Fail, Item, Repeat, Section, Skeleton, sections_of, unused
from ..graph.watch import watched
from ..options import CompileOptions
from ..passes.memory import Lifetime, place, without_views
from ..passes.pipeline import GraphPipeline
from ..types import TensorType
from .calls import Calls
from .compiled import CompiledGroup
from .program import compile_groups, link_all, literal_free, not_empty, slot_of


@dataclass(frozen=True)
class _Compiled:
    """A section: its optimised graph, the groups that need a kernel, their kernels, and in whose
    storage tensors lie that are only another view of one."""

    graph: Graph
    steps: tuple[Group, ...]
    kernels: tuple[CompiledGroup, ...]
    roots: Mapping[str, str]
    outputs: tuple[str, ...]
    seen: Mapping[str, str]  # of a watched section: the tensors that groups make, as which outputs

    def root(self, name: str) -> str:
        return self.roots.get(name, name)


@dataclass(frozen=True)
class _Call:
    kernel: CompiledGroup
    args: tuple[int, ...]
    label: str


def assemble_flow(skeleton: Skeleton, target: Target, options: CompileOptions) -> Executable:
    """The executable of a skeleton, for a resolved target."""
    return FlowBuild(skeleton, target, options).executable


class FlowBuild:
    """A skeleton on its way to a program for a resolved target, and what it was made of.

    With ``watch`` every tensor that a group makes becomes an output of its own, which has what it
    was when it was made last: ``seen`` has the names of these outputs by section and tensor.
    ``graphs`` are the sections' optimised graphs, ``groups`` what became kernels.
    """

    def __init__(
        self, skeleton: Skeleton, target: Target, options: CompileOptions, *, watch: bool = False
    ):
        compiler = _Compiler(target, options, watch)
        sections = {s: compiler.section(s) for s in dict.fromkeys(sections_of(skeleton.items))}
        writer = _Writer(skeleton, sections, compiler)
        tree = writer.write(skeleton.items, {})
        outputs = writer.outputs()
        taken = {*outputs}
        self.seen: dict[tuple[Section, str], str] = {}
        for key, slot in writer.seen.items():
            name = self.seen[key] = unused(f"{key[0].graph.name}: {key[1]}", taken)
            taken.add(name)
            outputs[name] = slot
        codes, holders = link_all(compiler.compiled, target, options)
        program = writer.program(tree, outputs, target, holders)
        self.executable = Executable(program, codes, writer.params)
        self.graphs = {s: c.graph for s, c in sections.items()}
        self.groups = {s: c.steps for s, c in sections.items()}


class _Compiler:
    """Compiles sections, and kernels that copy."""

    def __init__(self, target: Target, options: CompileOptions, watch: bool):
        self._target, self._options, self._watch = target, options, watch
        self.compiled: dict[str, CompiledGroup] = {}  # by symbol
        self._copies: dict[TensorType, CompiledGroup] = {}

    def section(self, section: Section) -> _Compiled:
        pipeline = GraphPipeline(section.graph, self._options)
        graph, groups = pipeline.cut(replace(self._target, num_threads=0))
        outputs, seen = graph.outputs, {}
        if self._watch:
            seen, graph, groups = watched(graph, groups)
        steps, roots = without_views(graph, not_empty(graph, groups))
        kernels = self._kernels(graph, steps)
        return _Compiled(graph, tuple(steps), kernels, roots, outputs, seen)

    def copy(self, t: TensorType) -> CompiledGroup:
        """The kernel that copies a tensor."""
        if t not in self._copies:
            b = GraphBuilder("copy")
            b.input("x", t.dtype, t.shape)
            graph = b.finish(b.add("identity", ["x"], outputs=["y"]))
            (self._copies[t],) = self._kernels(graph, [Group.of(graph, graph.nodes)])
        return self._copies[t]

    def _kernels(self, graph: Graph, steps: Sequence[Group]) -> tuple[CompiledGroup, ...]:
        made, symbols = compile_groups(graph, steps, self._target, self._options)
        for symbol, kernel in made.items():
            self.compiled.setdefault(symbol, kernel)
        return tuple(self.compiled[s] for s in symbols)


class _Writer:
    """Writes the calls of a skeleton down; ``env`` says which value another one is just now."""

    def __init__(
        self, skeleton: Skeleton, sections: Mapping[Section, _Compiled], compiler: _Compiler
    ):
        self._skeleton, self._sections, self._compiler = skeleton, sections, compiler
        self._calls: list[_Call] = []
        self._slots: list[Slot] = []
        self._names: set[str] = set()
        self._values: dict[str, int] = {}
        self.params: dict[str, np.ndarray] = {}
        self.seen: dict[tuple[Section, str], int] = {}  # slots of what is watched
        self._constants: dict[tuple[int, str], int] = {}
        self._held: list[np.ndarray] = []  # so that no other array gets its identity
        self._public = {v: o for o, v in skeleton.outputs.items()}
        for i in skeleton.inputs:
            self._values[i] = self._slot(i, "input", skeleton.types[i])

    # -- the tree ---------------------------------------------------------------------------------

    def write(self, items: Sequence[Item], env: Mapping[str, str]) -> tuple[flows.Flow, ...]:
        """The calls of ``items``, as ranges of calls."""
        tree: list[flows.Flow] = []
        for item in items:
            if isinstance(item, Section):
                begin = len(self._calls)
                self._section(item, env)
                last = tree[-1] if tree else None
                if isinstance(last, flows.Run):
                    tree[-1] = flows.Run(last.begin, len(self._calls))
                elif len(self._calls) > begin:
                    tree.append(flows.Run(begin, len(self._calls)))
            elif isinstance(item, Choice):
                cond = self._value(item.cond, env)
                then = self.write(item.then, env)
                tree.append(flows.Branch(cond, then, self.write(item.other, env)))
            elif isinstance(item, Fail):
                tree.append(flows.Fail(item.why, item.where))
            else:
                tree.append(self._loop(item, env))
        return tuple(tree)

    def _loop(self, item: Repeat, env: Mapping[str, str]) -> flows.Loop:
        pairs = [(env.get(a, a), env.get(b, b)) for a, b in item.state]
        trips = self._value(item.trips, env) if item.trips else -1
        conds = (-1, -1)
        if item.cond >= 0:
            a, b = (self._value(v, {}) for v in pairs[item.cond])
            conds = a, b
        bodies = []
        for k in (0, 1):
            inner = dict(env)
            for read, written, pair in zip(item.read, item.written, pairs):
                inner[read], inner[written] = pair[k], pair[1 - k]
            bodies.append(self.write(item.body, inner))
        begin = len(self._calls)
        for a, b in pairs:
            t = self._skeleton.types[a]
            if t.size:
                self._copy(self._value(b, {}), self._value(a, {}), t, a)
        last = (flows.Run(begin, len(self._calls)),) if len(self._calls) > begin else ()
        return flows.Loop(item.count, trips, conds, bodies[0], bodies[1], last)

    def _section(self, s: Section, env: Mapping[str, str]) -> None:
        c = self._sections[s]
        graph = c.graph
        at = {i: self._value(v, env) for i, v in zip(graph.inputs, s.inputs)}
        made = {o for g in c.steps for o in g.outputs}
        copies: list[tuple[str, int]] = []
        outputs = [(o, self._value(v, env)) for o, v in zip(c.outputs, s.outputs)]
        outputs += [(o, self._seen(s, name, graph.types[o])) for name, o in c.seen.items()]
        for o, slot in outputs:
            root = c.root(o)
            if root in made and root not in at:
                at[root] = slot
            elif graph.types[o].size:
                copies.append((o, slot))
        local = f"{graph.name}.{len(self._calls)}"

        def number(name: str) -> int:
            root = c.root(name)
            if root not in at:
                if root in graph.constants:
                    at[root] = self._constant(graph, root)
                else:
                    at[root] = self._slot(f"{local}/{root}", "arena", graph.types[root])
            if name == root:
                return at[root]
            if name not in at:
                source = self._slots[at[root]].name
                at[name] = self._slot(f"{local}/{name}", "alias", graph.types[name], source)
            return at[name]

        for group, kernel in zip(c.steps, c.kernels):
            names = [*literal_free(group, graph.constants), *group.outputs]
            self._calls.append(_Call(kernel, tuple(map(number, names)), group.label))
        for o, slot in copies:
            self._copy(number(o), slot, graph.types[o], o)

    def _copy(self, source: int, target: int, t: TensorType, label: str) -> None:
        self._calls.append(_Call(self._compiler.copy(t), (source, target), f"copy of {label}"))

    # -- slots ------------------------------------------------------------------------------------

    def _seen(self, s: Section, name: str, t: TensorType) -> int:
        if (s, name) not in self.seen:
            self.seen[s, name] = self._slot(f"{s.graph.name}: {name}", "output", t)
        return self.seen[s, name]

    def _value(self, value: str, env: Mapping[str, str]) -> int:
        value = env.get(value, value)
        if value not in self._values:
            kind = "output" if value in self._public else "arena"
            self._values[value] = self._slot(value, kind, self._skeleton.types[value])
        return self._values[value]

    def _constant(self, graph: Graph, name: str) -> int:
        array, t = graph.constants[name], graph.types[name]
        key = id(array), str(t)
        if key not in self._constants:
            self._held.append(array)
            source = unused(name, self.params)
            self.params[source] = array
            self._constants[key] = self._slot(source, "constant", t, source)
        return self._constants[key]

    def _slot(self, name: str, kind: str, t: TensorType, source: str = "") -> int:
        name = unused(name, self._names)
        self._names.add(name)
        self._slots.append(slot_of(name, kind, t, source=source))
        return len(self._slots) - 1

    def outputs(self) -> dict[str, int]:
        """The slot of each output."""
        found = {}
        for o, v in self._skeleton.outputs.items():
            if v in self._skeleton.constants and v not in self._values:
                array = self._skeleton.constants[v]
                b = GraphBuilder("constant")
                name = b.constant(array, o)
                self._values[v] = self._constant(b.finish([name]), name)
            found[o] = self._value(v, {})
        return found

    # -- the program ------------------------------------------------------------------------------

    def program(
        self,
        tree: tuple[flows.Flow, ...],
        outputs: Mapping[str, int],
        target: Target,
        holders: Mapping[str, str],
    ) -> Program:
        """All of it, with a place for each tensor."""
        roots = self._roots()
        offsets, arena = place(self._lifetimes(tree, roots, outputs))
        calls = Calls(holders, arena)
        for k, s in enumerate(self._slots):
            calls.slot(replace(s, offset=offsets.get(str(k), 0)))
        steps = [0]  # where the steps of each call begin
        for c in self._calls:
            calls.call(c.kernel, c.args, c.label)
            steps.append(steps[-1] + len(c.kernel.launches))
        inputs = {i: self._values[i] for i in self._skeleton.inputs}
        meta = {"model": dict(self._skeleton.meta)}
        crops = self._skeleton.cropped
        made = calls.program(self._skeleton.name, target, inputs, outputs, meta, cropped=crops)
        return replace(made, flow=_steps(tree, steps))

    def _roots(self) -> list[int]:
        index = {s.name: k for k, s in enumerate(self._slots)}
        return [index[s.source] if s.kind == "alias" else k for k, s in enumerate(self._slots)]

    def _lifetimes(
        self, tree: tuple[flows.Flow, ...], roots: Sequence[int], outputs: Mapping[str, int]
    ) -> list[Lifetime]:
        lives: dict[int, tuple[int, int]] = {}
        for k, c in enumerate(self._calls):
            for root in (roots[a] for a in c.args):
                lives[root] = lives.get(root, (k, k))[0], k
        flows.lived(lives, tree, roots)
        for k in outputs.values():
            first, _ = lives.get(roots[k], (0, 0))
            lives[roots[k]] = first, len(self._calls)
        return [
            Lifetime(str(root), self._slots[root].nbytes, first, last)
            for root, (first, last) in lives.items()
            if self._slots[root].kind == "arena"
        ]


def _steps(tree: Sequence[flows.Flow], steps: Sequence[int]) -> tuple[flows.Flow, ...]:
    """The tree over steps, of one over calls."""
    made: list[flows.Flow] = []
    for f in tree:
        if isinstance(f, flows.Run):
            made.append(flows.Run(steps[f.begin], steps[f.end]))
        elif isinstance(f, flows.Fail):
            made.append(f)
        elif isinstance(f, flows.Branch):
            made.append(replace(f, then=_steps(f.then, steps), other=_steps(f.other, steps)))
        else:
            even, odd, last = (_steps(p, steps) for p in (f.even, f.odd, f.last))
            made.append(replace(f, even=even, odd=odd, last=last))
    return tuple(made)


__all__ = ["assemble_flow"]
