"""The graph of a model: operator calls as nodes, typed tensors as edges, numpy constants.

A :class:`Graph` is immutable from outside; a pass is a plain function ``Graph -> Graph`` that
builds a new one with :class:`GraphBuilder`. ``graph.nx`` is the same graph as a networkx
multigraph, for traversals, dominators and the like. ``str(graph)`` is stable, readable text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import networkx as nx
import numpy as np

from ..ir.layout import Layout
from ..runtime.dtype import DType, dtype_of
from ..runtime.errors import GraphError

MAX_ELEMENTS = 2**31 - 1  # indices are int32


@dataclass(frozen=True)
class TensorType:
    """Element type, logical shape, and how the elements lie in storage (None: row major)."""

    dtype: DType
    shape: tuple[int, ...]
    layout: Layout | None = None

    @property
    def size(self) -> int:
        """Number of logical elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        """Bytes in storage, padding included."""
        return (self.layout.size if self.layout else self.size) * self.dtype.bytes

    def __str__(self) -> str:
        text = f"{self.dtype}[{', '.join(map(str, self.shape))}]"
        return f"{text}@{self.layout}" if self.layout else text


@dataclass(frozen=True)
class Source:
    """Where a node came from, for error messages."""

    file: str = ""
    node: str = ""
    op: str = ""

    def __str__(self) -> str:
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
class Graph:
    """Nodes in topological order, the type of every tensor, the values of the known ones."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, np.ndarray]
    meta: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def producer(self) -> Mapping[str, Node]:
        """The node that makes each tensor (inputs and constants have none)."""
        return {o: n for n in self.nodes for o in n.outputs if o}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each tensor, in order, each once."""
        table: dict[str, list[Node]] = {}
        for n in self.nodes:
            for i in dict.fromkeys(n.inputs):
                if i:
                    table.setdefault(i, []).append(n)
        return {k: tuple(v) for k, v in table.items()}

    @cached_property
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
        for name in known - {""}:
            if name not in self.types:
                raise GraphError(f"the tensor {name!r} has no type.", where=self.name)
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


class GraphBuilder:
    """Builds a graph node by node, inferring types; front-ends and passes use it."""

    def __init__(self, name: str = "graph"):
        self.name = name
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.meta: dict[str, str] = {}
        self._serial: dict[str, int] = {}

    @classmethod
    def like(cls, graph: Graph, *, nodes: bool = False) -> GraphBuilder:
        """A builder with the inputs and constants (and ``nodes``) of ``graph``."""
        b = cls(graph.name)
        b.inputs, b.outputs = list(graph.inputs), list(graph.outputs)
        b.constants, b.types, b.meta = dict(graph.constants), dict(graph.types), dict(graph.meta)
        if nodes:
            b.nodes = list(graph.nodes)
        return b

    def fresh(self, hint: str) -> str:
        """A tensor name that is not taken."""
        base = hint or "t"
        if base not in self.types:
            return base
        k = self._serial.get(base, 0)
        while True:
            k += 1
            name = f"{base}.{k}"
            if name not in self.types:
                self._serial[base] = k
                return name

    def input(self, name: str, dtype: DType | str, shape: Sequence[int]) -> str:
        self.types[name] = TensorType(dtype_of(dtype), tuple(shape))
        self.inputs.append(name)
        return name

    def constant(self, array: np.ndarray, hint: str = "const") -> str:
        """A constant tensor; gives its name."""
        name = self.fresh(hint)
        value = np.asarray(array)  # ascontiguousarray would turn 0-d into 1-d
        self.constants[name] = value
        self.types[name] = TensorType(dtype_of(value.dtype), value.shape)
        return name

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
        *,
        outputs: Sequence[str] | None = None,
        source: Source | None = None,
    ) -> tuple[str, ...]:
        """Append a node of operator ``op`` and give the names of its outputs.

        Attributes are checked against the operator's schema and completed with its defaults, and
        the types of the outputs are inferred; errors carry ``source``.
        """
        from .ops import get

        where = source or Source()
        opdef = get(op)
        full = opdef.check_attrs(attrs or {}, str(where))
        types = opdef.infer_checked(
            [self.types[i] if i else None for i in inputs], full, str(where)
        )
        names = tuple(outputs) if outputs else ()
        for t in types[len(names) :]:
            names += (self.fresh(op),)
            self.types[names[-1]] = t  # taken now: the next output gets another name
        for n, t in zip(names, types):
            if t.size > MAX_ELEMENTS:
                raise GraphError(
                    f"the tensor {n!r} would have {t.size} elements ({t}); weft indexes with "
                    f"int32, so {MAX_ELEMENTS} is the most.",
                    where=str(where),
                )
            if n:
                self.types[n] = t
        self.nodes.append(Node(op, tuple(inputs), names, MappingProxyType(full), where))
        return names

    def finish(self, outputs: Iterable[str] | None = None) -> Graph:
        """The verified graph."""
        if outputs is not None:
            self.outputs = list(outputs)
        used = set(self.inputs) | set(self.constants) | {o for n in self.nodes for o in n.outputs}
        return Graph(
            self.name,
            tuple(self.inputs),
            tuple(self.outputs),
            tuple(self.nodes),
            {k: t for k, t in self.types.items() if k in used},
            dict(self.constants),
            dict(self.meta),
        ).verify()
