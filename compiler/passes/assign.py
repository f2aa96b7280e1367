"""Choices that depend on each other, with the least cost in sum.

Every variable takes one of a few values; a table says what a group of them costs together. The sum
of all tables is minimised by eliminating one variable after the other (Bertelè and Brioschi,
"Nonserial Dynamic Programming", 1972): the tables that have it become one table of its neighbours,
in which it stands at its best. On a chain that is the dynamic programming known to everybody, on a
network with branches the neighbours are a few more. Where they would be too many a variable is
fixed first, at what is best for it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

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
    left = _Tables(sizes, tables)
    solved: list[tuple[V, tuple[V, ...], np.ndarray]] = []  # variable, others, its best value
    for _ in sizes:
        v = left.fewest()
        if len(left.beside[v]) > width:
            v = left.most()
            value = _alone(v, sizes[v], left.of(v))
            left.fix(v, value)
            solved.append((v, (), np.array(value)))
        else:
            others = tuple(u for u in left.beside[v] if u != v)
            whole = _joined((*others, v), sizes, left.of(v))
            solved.append((v, others, whole.argmin(axis=-1)))
            left.replace(v, (others, whole.min(axis=-1)))
    found: dict[V, int] = {}
    for v, others, best in reversed(solved):
        found[v] = int(best[tuple(found[u] for u in others)])
    return found


class _Tables(Generic[V]):
    """The tables that are left. ``beside`` has, for each open variable, those that it shares a
    table with and itself, in no order of meaning: nothing here goes through all variables."""

    def __init__(self, sizes: Mapping[V, int], tables: Iterable[Table[V]]):
        self._rank = {v: k for k, v in enumerate(sizes)}
        self.beside: dict[V, dict[V, None]] = {v: {} for v in sizes}
        self._tables: dict[int, Table[V]] = {}
        self._of: dict[V, dict[int, None]] = {v: {} for v in sizes}
        self._numbers = count()
        self._few: list[tuple[int, int, V]] = []  # (how many are beside it, its rank, variable):
        self._many: list[tuple[int, int, V]] = []  # heaps, also of what is no longer so
        for t in tables:
            self._add(t)
        for v in sizes:
            self._note(v)

    def of(self, v: V) -> list[Table[V]]:
        """The tables that have ``v``, the oldest first."""
        return [self._tables[k] for k in sorted(self._of[v])]

    def fewest(self) -> V:
        """The open variable that has the fewest beside it; the first of equals."""
        return self._top(self._few, 1)

    def most(self) -> V:
        """The open variable that has the most beside it; the first of equals."""
        return self._top(self._many, -1)

    def replace(self, v: V, table: Table[V]) -> None:
        """Put ``table``, over all others beside ``v``, in the place of the tables of ``v``."""
        for k in self._of[v]:
            for u in self._tables.pop(k)[0]:
                if u != v:
                    del self._of[u][k]
        self._close(v, lambda: self._add(table))

    def fix(self, v: V, value: int) -> None:
        """Give ``v`` its value in all of its tables."""
        for k in self._of[v]:
            self._tables[k] = _fixed(self._tables[k], v, value)
        self._close(v)

    def _add(self, table: Table[V]) -> None:
        if not table[0]:
            return
        number = next(self._numbers)
        self._tables[number] = table
        for v in table[0]:
            self._of[v][number] = None
            self.beside[v].update(dict.fromkeys(table[0]))

    def _close(self, v: V, then: Callable[[], None] = lambda: None) -> None:
        others = [u for u in self.beside.pop(v) if u != v]
        del self._of[v]
        for u in others:
            del self.beside[u][v]
        then()
        for u in others:
            self._note(u)

    def _note(self, v: V) -> None:
        n = len(self.beside[v])
        heappush(self._few, (n, self._rank[v], v))
        heappush(self._many, (-n, self._rank[v], v))

    def _top(self, heap: list[tuple[int, int, V]], sign: int) -> V:
        while True:
            n, _, v = heap[0]
            if v in self.beside and len(self.beside[v]) == sign * n:
                return v
            heappop(heap)


def _joined(scope: tuple[V, ...], sizes: Mapping[V, int], tables: list[Table[V]]) -> np.ndarray:
    """The sum of tables, over all of ``scope``."""
    whole = np.zeros([sizes[v] for v in scope])
    for names, cost in tables:
        order = sorted(range(len(names)), key=lambda k: scope.index(names[k]))
        shape = [sizes[v] if v in names else 1 for v in scope]
        whole += np.asarray(cost).transpose(order).reshape(shape)
    return whole


def _alone(v: V, size: int, tables: list[Table[V]]) -> int:
    """The value of ``v`` for which its ``tables`` have the least bound, each for itself."""
    bound = np.zeros(size)
    for names, cost in tables:
        bound += np.moveaxis(cost, names.index(v), -1).reshape(-1, size).min(axis=0)
    return int(bound.argmin())


def _fixed(table: Table[V], v: V, value: int) -> Table[V]:
    names, cost = table
    at = names.index(v)
    return (*names[:at], *names[at + 1 :]), np.take(cost, value, axis=at)
