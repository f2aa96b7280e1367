"""Choices that depend on each other, with the least cost in sum.

Every variable takes one of a few values; a table says what a group of them costs together. The sum
of all tables is minimised by eliminating one variable after the other (Bertelè and Brioschi,
"Nonserial Dynamic Programming", 1972): the tables that have it become one table of its neighbours,
in which it stands at its best. On a chain that is the dynamic programming known to everybody, on a
network with branches the neighbours are a few more. Where they would be too many a variable is
fixed first, at what is best for it alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np

V = TypeVar("V", bound=Hashable)
Table = tuple[tuple[V, ...], np.ndarray]

WIDTH = 12  # variables of a table


def minimise(
    sizes: Mapping[V, int], tables: Iterable[Table[V]], width: int = WIDTH
) -> dict[V, int]:
    """A value for every variable, for which the sum of ``tables`` is least.

    Parameters
    ----------
    sizes : how many values each variable has.
    tables : (variables, cost): an axis of the array for each variable, in their order. A table
        without variables is a constant.
    width : the result is exact unless a table of more variables would be needed.
    """
    left = [t for t in tables if t[0]]
    open_ = dict.fromkeys(sizes)
    solved: list[tuple[V, tuple[V, ...], np.ndarray]] = []  # variable, others, its best value
    while open_:
        beside: dict[V, dict[V, None]] = {v: {} for v in open_}
        for scope, _ in left:
            for v in scope:
                beside[v].update(dict.fromkeys(scope))
        v = min(open_, key=lambda v: len(beside[v]))
        if len(beside[v]) > width:
            v = max(open_, key=lambda v: len(beside[v]))
            value = _alone(v, sizes[v], left)
            left = [_fixed(t, v, value) for t in left]
            left = [t for t in left if t[0]]
            solved.append((v, (), np.array(value)))
        else:
            mine = [t for t in left if v in t[0]]
            left = [t for t in left if v not in t[0]]
            others = tuple(u for u in beside[v] if u != v)
            whole = _joined((*others, v), sizes, mine)
            solved.append((v, others, whole.argmin(axis=-1)))
            if others:
                left.append((others, whole.min(axis=-1)))
        del open_[v]
    found: dict[V, int] = {}
    for v, others, best in reversed(solved):
        found[v] = int(best[tuple(found[u] for u in others)])
    return found


def _joined(scope: tuple[V, ...], sizes: Mapping[V, int], tables: list[Table[V]]) -> np.ndarray:
    """The sum of tables, over all of ``scope``."""
    whole = np.zeros([sizes[v] for v in scope])
    for names, cost in tables:
        order = sorted(range(len(names)), key=lambda k: scope.index(names[k]))
        shape = [sizes[v] if v in names else 1 for v in scope]
        whole += np.asarray(cost).transpose(order).reshape(shape)
    return whole


def _alone(v: V, size: int, tables: list[Table[V]]) -> int:
    """The value of ``v`` for which its tables have the least bound, each for itself."""
    bound = np.zeros(size)
    for names, cost in tables:
        if v in names:
            at = names.index(v)
            bound += np.moveaxis(cost, at, -1).reshape(-1, size).min(axis=0)
    return int(bound.argmin())


def _fixed(table: Table[V], v: V, value: int) -> Table[V]:
    names, cost = table
    if v not in names:
        return table
    at = names.index(v)
    return (*names[:at], *names[at + 1 :]), np.take(cost, value, axis=at)
