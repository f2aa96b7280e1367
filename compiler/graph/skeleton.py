"""A graph with loops and branches as straight-line graphs and what holds them together.

Front-ends write a loop or a branch as one node (:data:`BRANCH`, :data:`LOOP`) whose attributes are
graphs; what those read of their surroundings are inputs of the node. ``cut.py`` turns such a graph
into *sections*: maximal straight-line graphs, each of which goes through the pipeline as any other
graph does, under a tree of choices and repetitions. *Values* are what passes between sections; each
has one place in memory.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.crops import Crops
from ..types import TensorType
from .graph import Graph, Node

BRANCH = "if"
"""Inputs: the condition (bool, one element), captures. Attributes: the graphs ``then`` and
``other``, whose inputs are the captures; outputs: theirs."""

LOOP = "loop"
"""Inputs: how many trips at most (int64, one element; "": any number), whether there is a first
one (bool, one element; "": there is), the state, captures. Attributes: ``body``, a graph of (number
of the trip: int64 scalar, whether it goes on: bool scalar, the state, the captures) to (whether it
goes on, the state); ``count``: how many trips at most where that is known, else -1; ``state``: how
many tensors. Outputs: the state after the last trip."""

FAIL = "fail"
"""The only node of a branch that can compute nothing with the shapes of this graph: a call that
comes to it fails. No inputs; attributes: ``why`` and ``where``, of the error; outputs: as the other
branch makes."""

FLOW = frozenset({BRANCH, LOOP, FAIL})


def has_flow(graph: Graph) -> bool:
    """Whether a graph has loops or branches."""
    return any(n.op in FLOW for n in graph.nodes)


@dataclass(frozen=True, eq=False)
class Section:
    """A straight-line graph; ``inputs`` and ``outputs`` are the values of the graph's."""

    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """``then`` where the value ``cond`` is true, else ``other``; both write the same values."""

    cond: str
    then: tuple[Item, ...]
    other: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class Repeat:
    """A body that is repeated.

    Parameters
    ----------
    count : how many trips at most; -1: any number.
    trips : the value that says how many at most; "": none does.
    conds : which of the state says whether it goes on; -1: none.
    state : pairs of values: even trips read the first ones and write the second ones.
    read, written : what ``body`` calls them, which is written for even trips and for odd ones.
    """

    count: int
    trips: str
    cond: int
    state: tuple[tuple[str, str], ...]
    read: tuple[str, ...]
    written: tuple[str, ...]
    body: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class Fail:
    """The call ends with an error: ``why``, at the node ``where``."""

    why: str
    where: str


Item = Section | Choice | Repeat | Fail


@dataclass(frozen=True, eq=False)
class Skeleton:
    """``inputs`` and ``outputs`` are values by public name; ``constants`` have those that are not
    computed at all; ``types`` has every value's, ``cropped`` is as that of a
    graph."""

    name: str
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]
    items: tuple[Item, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, np.ndarray]
    meta: Mapping[str, str]
    cropped: Crops


def unused(hint: str, taken: Container[str]) -> str:
    """A name that is not taken, after ``hint``."""
    name, k = hint, 0
    while name in taken:
        k += 1
        name = f"{hint}~{k}"
    return name


def always_goes_on(
    name: str, going: str, constants: Mapping[str, np.ndarray], makers: Mapping[str, Node]
) -> bool:
    """Whether what a body says about the next trip, the tensor ``name``, is always true where its
    input ``going`` is. ``makers`` are the nodes that make tensors."""
    while name != going:
        value = constants.get(name)
        if value is not None:
            return bool(value.reshape(-1)[0])
        maker = makers.get(name)
        if maker is None or maker.op not in ("identity", "reshape"):
            return False
        name = maker.inputs[0]
    return True


def sections_of(items: Sequence[Item]) -> Iterator[Section]:
    """All sections, in the order of the tree."""
    for i in items:
        if isinstance(i, Section):
            yield i
        elif not isinstance(i, Fail):
            for part in (i.then, i.other) if isinstance(i, Choice) else (i.body,):
                yield from sections_of(part)


__all__ = [
    "BRANCH",
    "FAIL",
    "FLOW",
    "LOOP",
    "Choice",
    "Fail",
    "Item",
    "Repeat",
    "Section",
    "Skeleton",
    "always_goes_on",
    "has_flow",
    "sections_of",
    "unused",
]
