"""What is known at compile time of the integers of small tensors that data decide.

Shapes are computed in graphs by small integer tensors (``Shape``, ``Gather``, ``Concat``, …). Where
data decide one of the numbers, the others are known still, and what a number came from often says
what it is at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...graph.graph import Node

if TYPE_CHECKING:
    from ..emit import Emitter

Interval = tuple[float, float]

ANY: Interval = (-math.inf, math.inf)
_DEPTH = 200  # of operators that are looked through
_FACTORS = 64  # of a product that is looked through
_SAME = frozenset({"identity", "reshape"})
_TRUTH = frozenset(
    {"equal", "not_equal", "less", "less_or_equal", "greater", "greater_or_equal", "and", "or",
     "xor", "not", "is_nan", "is_inf"}
)  # fmt: skip


@dataclass(frozen=True)
class Element:
    """One number: ``offset`` more than element ``index`` of a tensor, or just ``offset`` where
    ``tensor`` is empty."""

    tensor: str
    index: int
    offset: int = 0

    @property
    def is_known(self) -> bool:
        """Whether it is the number ``offset``."""
        return not self.tensor


class Values:
    """What is known of the tensors of a graph in the making. ``stated`` are intervals that those
    who made a tensor know of its elements."""

    def __init__(self, emitter: Emitter):
        self._emitter = emitter
        self.stated: dict[str, Interval] = {}
        self._makers: Mapping[str, Node] = {}
        self._counted: tuple[int, int] = (-1, -1)

    def element(self, name: str, index: int) -> Element:
        """Where an element (in row-major order) of an integer tensor comes from."""
        return self._element(name, index, 0)

    def interval(self, name: str, index: int | None = None) -> Interval:
        """What an element, or every one, of a tensor is at least and at most."""
        return self._interval(name, index, 0)

    def origin(self, name: str, index: int) -> tuple[str, int]:
        """The tensor, and the place in it, that an element of any type was moved from."""
        b = self._emitter.builder
        for _ in range(_DEPTH):
            node = None if name in b.constants else self._maker(name)
            place = self._place(node, b.types[name].shape, index) if node else None
            if place is None:
                break
            name, index = place
        return name, index

    # -- where elements come from

    def _maker(self, name: str) -> Node | None:
        b = self._emitter.builder
        state = len(b.nodes), self._emitter.renamed
        if state != self._counted:
            self._makers = {o: n for n in b.nodes for o in n.outputs if o}
            self._counted = state
        return self._makers.get(name)

    def _element(self, name: str, index: int, depth: int) -> Element:
        b = self._emitter.builder
        if name in b.constants:
            return Element("", 0, int(b.constants[name].reshape(-1)[index]))
        node = self._maker(name)
        if node is None or depth > _DEPTH:
            return Element(name, index)
        found = None
        if node.op in ("add", "sub", "mul") and b.types[name].dtype.is_int:
            found = self._combined(node, index, depth)
        elif node.op == "reduce_prod" and b.types[name].size == 1:
            found = self._product(node, depth)
        elif node.op == "where":
            chosen = self._chosen(node, b.types[name].size, index, depth)
            found = self._element(*chosen, depth + 1) if chosen else None
        else:
            place = self._place(node, b.types[name].shape, index)
            if place is not None:
                found = self._element(*place, depth + 1)
        return found or Element(name, index)

    def _place(self, node: Node, shape: Sequence[int], index: int) -> tuple[str, int] | None:
        """The element that an element of a result is, where one knows that."""
        b, first = self._emitter.builder, node.inputs[0] if node.inputs else ""
        if node.op in _SAME or (node.op == "cast" and b.types[first].dtype.is_int):
            return first, index
        if node.op == "concat":
            axis = node.attrs["axis"]
            at = [int(k) for k in np.unravel_index(index, shape)]
            for part in node.inputs:
                inner = b.types[part].shape
                if at[axis] < inner[axis]:
                    return part, int(np.ravel_multi_index(at, inner))
                at[axis] -= inner[axis]
        if len(shape) == 1 and node.op == "slice":
            step = node.attrs["steps"][0] if node.attrs["steps"] else 1
            return first, node.attrs["starts"][0] + index * step
        if node.op == "gather" and len(b.types[first].shape) == 1:
            at = b.constants.get(node.inputs[1])
            if at is not None:
                return first, int(at.reshape(-1)[index]) % b.types[first].size
        return None

    def _chosen(self, node: Node, size: int, index: int, depth: int) -> tuple[str, int] | None:
        """The element that ``where`` takes, if it is known which: exporters ask whether an extent
        is -1, which no size is."""
        types = self._emitter.builder.types
        places = [index if types[i].size == size else 0 for i in node.inputs]
        if any(types[i].size not in (1, size) for i in node.inputs):
            return None
        truth = self._truth(node.inputs[0], places[0], depth + 1)
        return None if truth is None else (node.inputs[2 - truth], places[2 - truth])

    def _truth(self, name: str, index: int, depth: int) -> bool | None:
        """Whether a condition holds; None where that is not known."""
        value, node = self._emitter.builder.constants.get(name), self._maker(name)
        if value is not None:
            return bool(value.reshape(-1)[index])
        if node is None or node.op not in _COMPARISONS or depth > _DEPTH:
            return None
        types, size = self._emitter.builder.types, self._emitter.builder.types[name].size
        if any(types[i].size not in (1, size) or not types[i].dtype.is_int for i in node.inputs):
            return None
        sides = [(i, index if types[i].size == size else 0) for i in node.inputs]
        a, b = (self._interval(*side, depth + 1) for side in sides)
        return _compared(node.op, a, b)

    def _combined(self, node: Node, index: int, depth: int) -> Element | None:
        types = self._emitter.builder.types
        x, y = (self._element(i, index if types[i].size > 1 else 0, depth + 1) for i in node.inputs)
        if node.op == "add" and (x.is_known or y.is_known):
            base = y if x.is_known else x
            return Element(base.tensor, base.index, x.offset + y.offset)
        if node.op == "sub" and y.is_known:
            return Element(x.tensor, x.index, x.offset - y.offset)
        if node.op == "sub" and (x.tensor, x.index) == (y.tensor, y.index):
            return Element("", 0, x.offset - y.offset)
        if node.op == "mul" and x.is_known and y.is_known:
            return Element("", 0, x.offset * y.offset)
        for factor, other in ((x, y), (y, x)):
            if node.op == "mul" and factor.is_known and factor.offset == 1:
                return other
        return None

    def _product(self, node: Node, depth: int) -> Element | None:
        """The product of all elements of a tensor, where all but one are known to be 1."""
        x = node.inputs[0]
        size = self._emitter.builder.types[x].size
        if size > _FACTORS:
            return None
        elements = [self._element(x, k, depth + 1) for k in range(size)]
        total = math.prod(e.offset for e in elements if e.is_known)
        opened = [e for e in elements if not e.is_known]
        if not opened or not total:
            return Element("", 0, total)
        return opened[0] if len(opened) == 1 and total == 1 else None

    # -- what they are at most

    def _interval(self, name: str, index: int | None, depth: int) -> Interval:
        b = self._emitter.builder
        if index is not None and not b.types[name].dtype.is_int:
            name, index = self.origin(name, index)
        if name in b.constants:
            value = b.constants[name].reshape(-1)
            value = value if index is None else value[index : index + 1]
            if not value.size or value.dtype.kind not in "iufb" or np.isnan(value).any():
                return ANY
            return value.min().item() + 0, value.max().item() + 0
        if index is not None and b.types[name].dtype.is_int:
            e = self._element(name, index, depth)
            if e.is_known:
                return e.offset, e.offset
            if e.tensor != name:
                low, high = self._interval(e.tensor, e.index, depth + 1)
                return low + e.offset, high + e.offset
        dtype = b.types[name].dtype
        known = (0, 1) if dtype.is_bool else ANY
        if dtype.is_int and dtype.bits <= 16:
            known = dtype.min, dtype.max
        known = _both(known, self.stated.get(name, ANY))
        node = self._maker(name)
        if node is None or depth > _DEPTH:
            return known
        return _both(known, self._made(node, name, index, depth + 1))

    def _made(self, node: Node, name: str, index: int | None, depth: int) -> Interval:
        """As the operator of ``node`` says."""
        types = self._emitter.builder.types

        def of(k: int, whole: bool = False) -> Interval:
            t = types[node.inputs[k]]
            at = None if whole or index is None else index if t.size == types[name].size else None
            return self._interval(node.inputs[k], 0 if t.size == 1 else at, depth)

        found = ANY
        if node.op in _TRUTH:
            found = 0, 1
        elif node.op in ("arg_max", "arg_min", "top_k"):
            found = 0, max(types[node.inputs[0]].shape[node.attrs["axis"]] - 1, 0)
            if node.op == "top_k" and name == node.outputs[0]:
                found = of(0, True)
        elif node.op == "div" and types[name].dtype.is_float:
            found = _ratio([of(0), of(1)])
        elif node.op in _ELEMENTWISE:
            found = _ELEMENTWISE[node.op]([of(k) for k in range(len(node.inputs))])
        elif node.op == "clip":
            found = _clipped(of(0), node.attrs["min"], node.attrs["max"])
        elif node.op == "reduce_sum":
            count = types[node.inputs[0]].size // max(types[name].size, 1)
            found = _corners(_times)([of(0, True), (count, count)])
        elif node.op == "reduce_prod" and types[name].size == 1:
            found = self._product_interval(node.inputs[0], depth)
        elif node.op in _PARTS:
            parts = node.inputs if node.op == "concat" else node.inputs[:1]
            found = _union([self._interval(p, None, depth) for p in parts])
        elif node.op == "where":
            found = _union([of(1), of(2)])
        return found

    def _product_interval(self, name: str, depth: int) -> Interval:
        size, found = self._emitter.builder.types[name].size, (1, 1)
        if size > _FACTORS:
            return ANY
        for k in range(size):
            found = _corners(_times)([found, self._interval(name, k, depth)])
        return found


_COMPARISONS = frozenset(
    {"equal", "not_equal", "less", "less_or_equal", "greater", "greater_or_equal"}
)

# Operators whose results are elements of their first input (of all, for concat).
_PARTS = frozenset(
    {"reduce_max", "reduce_min", "gather", "gather_elements", "gather_nd", "slice", "concat",
     "transpose", "expand", "tile", "reshape", "identity"}
)  # fmt: skip


def _compared(op: str, a: Interval, b: Interval) -> bool | None:
    """Whether a comparison of two numbers holds; None where that is not known."""
    if op in ("greater", "less_or_equal"):
        a, b = b, a
    less = True if a[1] < b[0] else False if a[0] >= b[1] else None
    if op in ("less", "greater"):
        return less
    if op in ("less_or_equal", "greater_or_equal"):
        return None if less is None else not less
    same = True if a[0] == a[1] == b[0] == b[1] else False if a[1] < b[0] or b[1] < a[0] else None
    return same if op == "equal" or same is None else not same


def _both(a: Interval, b: Interval) -> Interval:
    return max(a[0], b[0]), min(a[1], b[1])


def _union(parts: Sequence[Interval]) -> Interval:
    return min(p[0] for p in parts), max(p[1] for p in parts)


def _clipped(given: Interval, least: float | None, most: float | None) -> Interval:
    low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
    return min(max(given[0], low), high), min(max(given[1], low), high)


def _corners(fn: Callable[[float, float], float]) -> Callable[[Sequence[Interval]], Interval]:
    """The interval of a monotone function of two numbers."""

    def interval(given: Sequence[Interval]) -> Interval:
        (a, b), (c, d) = given
        values = [fn(x, y) for x in (a, b) for y in (c, d)]
        return (-math.inf, math.inf) if any(map(math.isnan, values)) else (min(values), max(values))

    return interval


def _times(x: float, y: float) -> float:
    return 0 if x == 0 or y == 0 else x * y


def _ratio(given: Sequence[Interval]) -> Interval:
    (a, b), (c, d) = given
    if c <= 0:
        return ANY
    values = [x / y if abs(y) != math.inf else 0 for x in (a, b) if abs(x) != math.inf
              for y in (c, d)]  # fmt: skip
    low = -math.inf if a == -math.inf else min(values)
    return low, math.inf if b == math.inf else max(values)


def _divided(given: Sequence[Interval]) -> Interval:
    return _rounded([_ratio(given)])


def _rounded(given: Sequence[Interval]) -> Interval:
    low, high = given[0]
    return (low if abs(low) == math.inf else math.floor(low)), (
        high if abs(high) == math.inf else math.ceil(high)
    )


def _modulo(given: Sequence[Interval]) -> Interval:
    low, high = given[1]
    return (0, high - 1) if low > 0 and given[0][0] >= 0 else ANY


_ELEMENTWISE = {
    "abs": lambda g: (0, max(abs(g[0][0]), abs(g[0][1]))),
    "add": lambda g: (g[0][0] + g[1][0], g[0][1] + g[1][1]),
    "bitwise_and": lambda g: (0, min(g[0][1], g[1][1])) if min(g[0][0], g[1][0]) >= 0 else ANY,
    "cast": _rounded,
    "ceil": _rounded,
    "div": _divided,
    "floor": _rounded,
    "maximum": lambda g: (max(g[0][0], g[1][0]), max(g[0][1], g[1][1])),
    "minimum": lambda g: (min(g[0][0], g[1][0]), min(g[0][1], g[1][1])),
    "mod": _modulo,
    "mul": _corners(_times),
    "neg": lambda g: (-g[0][1], -g[0][0]),
    "relu": lambda g: (max(g[0][0], 0), max(g[0][1], 0)),
    "round": _rounded,
    "sub": lambda g: (g[0][0] - g[1][1], g[0][1] - g[1][0]),
}

__all__ = ["ANY", "Element", "Interval", "Values"]
