"""Building a graph node by node, with all types inferred: how front-ends and passes make graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ...runtime.dtype import DType, dtype_of
from ...runtime.errors import GraphError
from ..ops import get
from ..types import MAX_ELEMENTS, TensorType
from .graph import Graph, Node, Source


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
        self.cropped: dict[str, Mapping[int, str]] = {}
        self._serial: dict[str, int] = {}

    @classmethod
    def like(cls, graph: Graph, *, nodes: bool = False) -> GraphBuilder:
        """A builder with the inputs and constants (and ``nodes``) of ``graph``."""
        b = cls(graph.name)
        b.inputs, b.outputs = list(graph.inputs), list(graph.outputs)
        b.constants, b.types, b.meta = dict(graph.constants), dict(graph.types), dict(graph.meta)
        b.cropped = dict(graph.cropped)
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
        """Declare an input of the graph; returns its name."""
        self.types[name] = TensorType(dtype_of(dtype), tuple(shape))
        self.inputs.append(name)
        return name

    def constant(self, array: np.ndarray, hint: str = "const") -> str:
        """A constant tensor; returns its name."""
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
        """Append a node of operator ``op``; returns the names of its outputs.

        Attributes are checked against the operator's schema and completed with its defaults, and
        the types of the outputs are inferred. Raises :class:`GraphError`, with ``source`` as its
        place, for what the operator does not allow and for a tensor of 2³¹ elements or more.
        """
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
        """The verified graph; raises :class:`GraphError` where it is not well-formed."""
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
            {k: v for k, v in self.cropped.items() if k in self.outputs},
        ).verify()
