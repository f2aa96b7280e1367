"""The memory plan: which bytes of one arena each intermediate tensor has.

Tensors whose lifetimes do not meet share bytes. Offsets are chosen greedily, the largest tensor
first, each in the smallest gap that takes it (Pisarchyk & Lee, *Efficient Memory Management for
Deep Neural Net Inference*, 2020, §5.3, "Greedy by Size for Offset Calculation"):

    offset
      ^      +-----------+
      |      |  relu1    |  +---------+
      |  +---+-----------+  |  conv3  |
      |  | conv1  |         +---------+-----+
      |  |        |         |     add       |
      +--+--------+---------+---------------+--> step

An operator that only reinterprets its operand moves no byte: it is an alias and needs no kernel (a
reshape of a row-major tensor; a transpose whose result lies in the order of its operand). Where a
device allows it, a result takes the bytes of an operand that nobody needs any more and that its
kernel reads where it writes (``graph/in_place.py``): the sum of a residual block that of the
block's input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...ir.layout import Layout
from ..graph.graph import Graph
from ..graph.group import Group
from ..graph.in_place import overwritable
from ..ops import get
from ..types import TensorType

ALIGNMENT = 64  # bytes


@dataclass(frozen=True)
class Lifetime:
    """A tensor of ``nbytes`` that must keep its bytes from step ``first`` to step ``last``."""

    name: str
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """``steps`` are the groups that need a kernel. ``roots`` maps each tensor that lies in the
    storage of another one to it; ``offsets`` has the intermediate tensors that own bytes of the
    arena. ``arena`` is its size, ``without_reuse`` what it would be if nothing were shared."""

    steps: tuple[Group, ...]
    roots: Mapping[str, str]
    offsets: Mapping[str, int]
    arena: int
    without_reuse: int

    def root(self, name: str) -> str:
        """The tensor in whose storage ``name`` lies."""
        return self.roots.get(name, name)


def plan_memory(graph: Graph, groups: Sequence[Group], *, in_place: bool = False) -> MemoryPlan:
    """The plan for the groups of a graph in execution order; ``in_place``: kernels may be given
    one buffer as an operand and as their result."""
    steps, roots = without_views(graph, groups)
    total = sum(aligned_size(t.nbytes) for t in lifetimes(graph, steps, roots))
    if in_place:
        roots |= _overwritten(graph, steps, roots)
    offsets, arena = place(lifetimes(graph, steps, roots))
    return MemoryPlan(tuple(steps), roots, offsets, arena, total)


def without_views(graph: Graph, groups: Sequence[Group]) -> tuple[list[Group], dict[str, str]]:
    """The groups that need a kernel, and in which tensor the result of each other one lies."""
    roots: dict[str, str] = {}
    steps: list[Group] = []
    for group in groups:
        source = alias_source(graph, group)
        if source is None:
            steps.append(group)
        else:
            roots[group.outputs[0]] = roots.get(source, source)
    return steps, roots


def alias_source(graph: Graph, group: Group) -> str | None:
    """The tensor whose bytes are the group's result, if the group only reinterprets them."""
    if len(group.nodes) != 1 or len(group.outputs) != 1:
        return None
    node = group.nodes[0]
    reinterprets = get(node.op).facts.reinterprets
    before, after = graph.types[node.inputs[0]], graph.types[node.outputs[0]]
    if reinterprets is None or before.dtype != after.dtype or not _row_major(before):
        return None
    layout = after.layout or Layout.row_major(after.shape)
    same = layout.axes == reinterprets(before.shape, node.attrs).axes
    return node.inputs[0] if same else None


def _overwritten(graph: Graph, steps: Sequence[Group], views: Mapping[str, str]) -> dict[str, str]:
    """The tensors that take the bytes of another one, and that one. ``views`` are the reshapes."""

    def storage(name: str) -> str:
        return views.get(name, name)

    last = {storage(i): k for k, group in enumerate(steps) for i in group.inputs}
    public = {storage(o) for o in graph.outputs}
    made: set[str] = set()  # by steps, for themselves
    owner: dict[str, str] = {}
    for k, group in enumerate(steps):
        for name in overwritable(group, graph.types):
            (out,) = group.outputs
            source = storage(name)
            alone = sum(storage(i) == source for i in group.inputs) == 1
            if alone and source in made and last[source] == k and out not in public:
                owner[out] = owner.get(source, source)
                break
        made |= {o for o in group.outputs if o not in public}
    views_of = {v: owner[s] for v, s in views.items() if s in owner}
    return {**owner, **views_of}


def _row_major(t: TensorType) -> bool:
    return t.layout is None or t.layout.is_row_major


def lifetimes(
    graph: Graph, steps: Sequence[Group], roots: Mapping[str, str]
) -> tuple[Lifetime, ...]:
    """The intermediate tensors that need arena space: made by a step, and neither an output of the
    graph nor the storage of one (those belong to the caller)."""
    public = {roots.get(o, o) for o in graph.outputs}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for k, group in enumerate(steps):
        for o in group.outputs:
            root = roots.get(o, o)
            if root not in public:
                first.setdefault(root, k)
                last[root] = k
        for i in group.inputs:
            root = roots.get(i, i)
            if root in first:
                last[root] = k
    return tuple(Lifetime(n, graph.types[n].nbytes, first[n], last[n]) for n in first)


def aligned_size(nbytes: int) -> int:
    """The bytes of the arena that a tensor of ``nbytes`` takes."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def place(lives: Sequence[Lifetime]) -> tuple[dict[str, int], int]:
    """Aligned offsets such that tensors alive at the same step never overlap, and the arena's size.

    For n tensors n steps, each a few operations on arrays of those placed so far.
    """
    order = sorted(lives, key=lambda t: (-t.nbytes, t.first, t.name))
    placed = np.zeros((4, len(order)), np.int64)  # begin, end, first and last step; by the begin
    offsets: dict[str, int] = {}
    arena = 0
    for count, t in enumerate(order):
        need = aligned_size(t.nbytes)
        begins, ends, first, last = placed[:, :count]
        meets = np.flatnonzero((first <= t.last) & (last >= t.first))
        tops = np.maximum.accumulate(ends[meets])
        below = np.concatenate(([0], tops[:-1]))[: meets.size]  # where the gap under each begins
        gaps = begins[meets] - below
        fits = np.flatnonzero(gaps >= need)
        if fits.size:
            offset = int(below[fits[gaps[fits].argmin()]])
        else:
            offset = int(tops[-1]) if meets.size else 0
        at = int(np.searchsorted(begins, offset, "right"))
        placed[:, at + 1 : count + 1] = placed[:, at:count].copy()
        placed[:, at] = offset, offset + need, t.first, t.last
        offsets[t.name] = offset
        arena = max(arena, offset + need)
    return offsets, arena
