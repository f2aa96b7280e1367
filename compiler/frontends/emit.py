"""Adding operators to the graph under construction, with eager folding of constants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...runtime.dtype import DType
from ..graph import folding
from ..graph.builder import GraphBuilder
from ..graph.graph import Source
from ..ops import get
from .narrow import Narrow
from .sized import Values, rules

Labels = tuple[str | int, ...]

FOLD_BUDGET = 1 << 30  # bytes that folding may make in one import, so that no file can exhaust us


class Emitter:
    """A :class:`GraphBuilder` that computes at once what is constant.

    Shape arithmetic (``Shape -> Gather -> Concat -> Reshape``) therefore never reaches the graph.
    What is too large to fold stays a node.
    """

    def __init__(self, name: str, reserved: Collection[str] = ()):
        self.builder = GraphBuilder(name)
        self.reserved = frozenset(reserved)  # names that only :meth:`rename` may give
        self.made: set[str] = set()  # tensors added since the walk last cleared it
        self.strings: dict[str, Labels] = {}  # tensors of strings: their numbers index these
        self.columns: dict[str, Labels] = {}  # tensors of maps: what the columns are the values of
        self.narrow: dict[str, Narrow] = {}  # tensors that hold numbers of a narrower type
        self.budget = FOLD_BUDGET
        self.sizes: dict[str, dict[int, str]] = {}  # of axes that only data knows how long they are
        self.values = Values(self)
        self.renamed = 0  # how often tensors got other names

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any],
        hint: str,
        source: Source,
    ) -> tuple[str, ...]:
        """The names of the outputs of ``op``: constants when all ``inputs`` are. Where the size of
        an input is one that only data knows, so are those of the outputs, as the operator has it.

        Raises :class:`UnsupportedError` for operators that do not take such a size."""
        if not self.sizes.keys().isdisjoint(inputs):
            return rules.add(self, op, inputs, attrs, hint, source)
        return self.whole(op, inputs, attrs, hint, source)

    def whole(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any],
        hint: str,
        source: Source,
    ) -> tuple[str, ...]:
        """As :meth:`add`, of tensors up to their bounds; the outputs have no sizes."""
        b = self.builder
        opdef = get(op)
        where = str(source)
        full = opdef.check_attrs(attrs, where)
        types = opdef.infer_checked([b.types[i] if i else None for i in inputs], full, where)
        if all(not i or i in b.constants for i in inputs):
            values = [b.constants[i] if i else None for i in inputs]
            made = sum(t.nbytes for t in types)
            if made <= self.budget and folding.affordable(opdef, values, types, full):
                self.budget -= made
                results = folding.evaluate(opdef, values, full, types, where)
                return tuple(self.constant(r, hint) for r in results)
        names = [
            b.fresh(f"{hint}/{op}" if k == 0 else f"{hint}/{op}:{k}") for k in range(len(types))
        ]
        self.made.update(names)
        return b.add(op, inputs, full, outputs=names, source=source)

    def constant(self, array: np.ndarray, hint: str) -> str:
        """Add a constant; returns its name, made of ``hint``."""
        name = self.builder.constant(array, self.fresh(hint))
        self.made.add(name)
        return name

    def element(self, name: str) -> DType | Narrow:
        """The element type of a tensor in the model: its own, unless that only holds it."""
        return self.narrow.get(name) or self.builder.types[name].dtype

    def fresh(self, hint: str) -> str:
        """A name that neither a tensor has nor the model uses."""
        name = self.builder.fresh(hint)
        while name in self.reserved:
            name = self.builder.fresh(f"{name}'")
        return name

    def rename(self, names: Mapping[str, str], start: int) -> None:
        """Give tensors, made by the nodes from ``start`` on or constant, the free names that
        ``names`` has for them."""
        b = self.builder
        self.renamed += 1
        for sizes in self.sizes.values():
            for axis, size in sizes.items():
                sizes[axis] = names.get(size, size)
        for old, new in names.items():
            assert new not in b.types and old not in b.inputs
            b.types[new] = b.types.pop(old)
            for table in _by_name(self):
                if old in table:
                    table[new] = table.pop(old)
            if old in b.constants:
                b.constants[new] = b.constants.pop(old)
        for k in range(start, len(b.nodes)):
            n = b.nodes[k]
            ins = tuple(names.get(i, i) for i in n.inputs)
            outs = tuple(names.get(o, o) for o in n.outputs)
            if ins != n.inputs or outs != n.outputs:
                b.nodes[k] = replace(n, inputs=ins, outputs=outs)

    def copied(self, source: str, copy: str) -> None:
        """Note of ``copy``, a tensor of the same elements, what is known of ``source``."""
        for known in _by_name(self):
            if source in known:
                known[copy] = known[source]

    def keep_labels(self, source: str, copy: str) -> None:
        """Note that ``copy`` holds the numbers of ``source``, whatever they stand for."""
        for known in (self.strings, self.columns):
            if source in known:
                known[copy] = known[source]

    def ancestors(self, name: str) -> list[str]:
        """The graph inputs that the tensor ``name`` depends on, in the graph's order."""
        producer = {o: n for n in self.builder.nodes for o in n.outputs}
        seen, stack = {name}, [name]
        while stack:
            node = producer.get(stack.pop())
            for i in node.inputs if node else ():
                if i and i not in seen:
                    seen.add(i)
                    stack.append(i)
        return [i for i in self.builder.inputs if i in seen]


def _by_name(e: Emitter) -> tuple[dict[str, Any], ...]:
    """What is known of tensors beside their types."""
    tables: tuple[Any, ...] = (e.narrow, e.strings, e.columns, e.sizes, e.values.stated)
    return tables
