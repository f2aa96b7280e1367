"""The graph of a model: operator calls as nodes, typed tensors as edges, numpy constants.

A :class:`Graph` is immutable from outside; a pass is a plain function ``Graph -> Graph`` that
builds a new one (``builder.py``). ``graph.nx`` is the same graph as a networkx multigraph, for
traversals, dominators and the like. ``str(graph)`` is stable, readable text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import networkx as nx
import numpy as np

from ...runtime.crops import NO_CROPS, Crops, check_crops
from ...runtime.errors import GraphError
from ...runtime.lazy import lazy
from ...runtime.uncopied import Uncopied
from ..types import TensorType


@dataclass(frozen=True)
class Source:
    """Where a node came from, for error messages."""

    file: str = ""
    node: str = ""
    op: str = ""

    def __str__(self) -> str:
        return self._text

    @lazy
    def _text(self) -> str:
        what = f"node {self.node!r}" if self.node else "a node"
        return ", ".join(p for p in (self.file, what + (f" ({self.op})" if self.op else "")) if p)


@dataclass(frozen=True)
class Node:
    """One operator call. ``inputs`` name tensors; an absent optional input is ``""``."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: Source = Source()

    def __str__(self) -> str:
        args = [i or "None" for i in self.inputs]
        args += [f"{k}={_attr_text(v)}" for k, v in self.attrs.items()]
        return f"{', '.join(self.outputs)} = {self.op}({', '.join(args)})"


def _attr_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{list(value.shape)}" if value.size > 8 else str(value.tolist())
    return str(value)


@dataclass(frozen=True)
class Graph(Uncopied):
    """Nodes in topological order, the type of every tensor, the values of the known ones.

    A tensor whose size only data knows has its bound as its shape. For those that are outputs,
    ``cropped`` names the output, a number, that says how long an axis is
    (:mod:`weft.runtime.crops`)."""

    reason = "may hold gigabytes of weights, and never changes"
    instead = "use the graph itself; to another process give the model's path, and weft.load it"

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, np.ndarray]
    meta: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cropped: Crops = field(default_factory=lambda: NO_CROPS)

    @lazy
    def results(self) -> frozenset[str]:
        """The outputs, for asking whether a tensor is one of them."""
        return frozenset(self.outputs)

    @lazy
    def producer(self) -> Mapping[str, Node]:
        """The node that makes each tensor (inputs and constants have none)."""
        return {o: n for n in self.nodes for o in n.outputs if o}

    @lazy
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each tensor, in order, each once."""
        table: dict[str, list[Node]] = {}
        for n in self.nodes:
            for i in dict.fromkeys(n.inputs):
                if i:
                    table.setdefault(i, []).append(n)
        return {k: tuple(v) for k, v in table.items()}

    @lazy
    def nx(self) -> nx.MultiDiGraph:
        """Nodes are positions in ``nodes``; an edge's ``tensor`` is the name that it carries."""
        g = nx.MultiDiGraph(name=self.name)
        position = {id(n): k for k, n in enumerate(self.nodes)}
        for k, n in enumerate(self.nodes):
            g.add_node(k, node=n)
        for k, n in enumerate(self.nodes):
            for slot, i in enumerate(n.inputs):
                if i in self.producer:
                    g.add_edge(position[id(self.producer[i])], k, tensor=i, slot=slot)
        return g

    def replace(self, **changes: Any) -> Graph:
        """This graph with some fields changed, not verified."""
        return replace(self, **changes)

    def verify(self) -> Graph:
        """This graph, if it is well-formed: every name defined once and before its use, outputs
        present, constants of their types. Raises :class:`GraphError` otherwise."""
        known = set(self.inputs) | set(self.constants)
        if len(set(self.inputs)) != len(self.inputs) or set(self.inputs) & set(self.constants):
            raise GraphError("an input is defined twice.", where=self.name)
        for n in self.nodes:
            for i in n.inputs:
                if i and i not in known:
                    raise GraphError(
                        f"the input {i!r} is not made by any earlier node.",
                        where=str(n.source),
                        hint="the graph is cyclic or its nodes are not in topological order",
                    )
            for o in n.outputs:
                if o and o in known:
                    raise GraphError(f"the tensor {o!r} is defined twice.", where=str(n.source))
                known.add(o)
        for o in self.outputs:
            if o not in known:
                raise GraphError(f"the output {o!r} is not made by any node.", where=self.name)
        for k, c in self.constants.items():
            t = self.types.get(k)
            stored = t.layout.physical_shape if t and t.layout else t.shape if t else None
            if t is None or stored != c.shape or t.dtype.numpy != c.dtype:
                raise GraphError(f"the constant {k!r} is {c.dtype}{c.shape}, declared {t}.")
        untyped = next((n for n in known - {""} if n not in self.types), None)
        if untyped is not None:
            raise GraphError(f"the tensor {untyped!r} has no type.", where=self.name)
        why = check_crops(self.cropped, {o: self.types[o].shape for o in self.outputs})
        if why:
            raise GraphError(f"sizes of outputs: {why}.", where=self.name)
        return self

    def __str__(self) -> str:
        lines = [f"graph {self.name}("]
        lines += [f"    {i}: {self.types[i]}," for i in self.inputs]
        lines += [")"]
        lines += [f"    {k}: {self.types[k]} = constant" for k in self.constants]
        for n in self.nodes:
            made = ", ".join(str(self.types.get(o, "?")) for o in n.outputs if o)
            lines.append(f"    {n}    # {made}")
        lines.append(f"    return {', '.join(self.outputs)}")
        return "\n".join(lines)
