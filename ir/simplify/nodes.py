"""Hash-consed nodes: equal subtrees become one object, so that "the same expression" is ``is``
(Ershov, "On programming of arithmetic operations", CACM 1958)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...runtime.dtype import DType
from ..alu import COMMUTATIVE, Op
from ..expr import Binary, Broadcast, Const, Expr, Ramp, shared


class Nodes:
    """The nodes that occur, by operator or type and parts, and which of them are simplest."""

    def __init__(self) -> None:
        self._nodes: dict[Any, Expr] = {}
        self._simple: dict[Expr, Expr] = {}  # the simplest form of a node

    def const(self, value: Any, d: DType) -> Expr:
        """The constant ``value`` in every lane of ``d``."""
        if d.lanes != 1:
            return self.broadcast(self.const(value, d.element), d.lanes)
        return shared(value, d)

    def node(self, key: tuple, make: Callable[[], Expr], origin: Expr | None = None) -> Expr:
        """The one node with this key (type or operator, and parts); ``origin`` is one of it."""
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = origin if origin is not None else make()
        return found

    def existing(self, key: tuple) -> Expr | None:
        """The node with this key, if it occurs anywhere."""
        return self._nodes.get(key)

    def settle(self, node: Expr, key: tuple | None = None) -> Expr:
        """``node`` is in its simplest form, and the one with this key if there is one."""
        if key is not None:
            self._nodes[key] = node
        self._simple[node] = node
        return node

    def raw(self, op: Op, a: Expr, b: Expr, origin: Expr | None = None) -> Expr:
        """``a op b`` as it stands."""
        key = (op, a, b)
        found = self._nodes.get(key)
        if found is None:
            if op in COMMUTATIVE:
                found = self._nodes.get((op, b, a))
            if found is None:
                found = self._nodes[key] = origin if origin is not None else Binary(op, a, b)
        return found

    def broadcast(self, value: Expr, lanes: int, origin: Expr | None = None) -> Expr:
        """``value`` in every lane."""
        return self.node((Broadcast, value, lanes), lambda: Broadcast(value, lanes), origin)

    def ramp(self, base: Expr, stride: Expr, lanes: int, origin: Expr | None = None) -> Expr:
        """``base, base + stride, …``; a broadcast where the stride is 0."""
        if type(stride) is Const and stride.value == 0:
            return self.broadcast(base, lanes)
        return self.node((Ramp, base, stride, lanes), lambda: Ramp(base, stride, lanes), origin)
