"""What the reader of a format says of a file, so that one importer serves all of them.

A reader makes a :class:`FileModel`: named values, nodes that make them from others, constants. Its
front-end has a table of converters, an operator's name to a few lines onto weft's operators, and
hands both to :func:`~weft.compiler.frontends.flat.import_model`. ONNX, whose nodes hold graphs that
read names around them, has a walk of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from ...runtime.errors import ModelError
from .signature import SymbolicType


@dataclass(frozen=True)
class FileNode:
    """One node: names of the values that it reads (``""``: absent) and makes (``""``: not named),
    and its attributes as Python values, arrays, or :class:`FileModel` where they are graphs."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileModel:
    """A file, or a function in it.

    Attributes
    ----------
    format, producer : for a person: ``"tflite 3"``, and what wrote it.
    file : for messages; ``""`` for bytes.
    inputs : the values that a caller gives, in order; an open extent is a name. Names of inputs
        and outputs are those that a user of the model sees.
    outputs : names of the outputs to the values that they are.
    nodes : in any order; :func:`ordered` sorts them.
    constants : values known from the file; a mapping that reads each when it is asked for will do.
    extra : what the front-end's converters want to know of values, of its own kind.
    """

    format: str
    file: str
    name: str
    inputs: Mapping[str, SymbolicType]
    outputs: Mapping[str, str]
    nodes: Sequence[FileNode]
    constants: Mapping[str, np.ndarray]
    producer: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Any = None


def live(nodes: Sequence[FileNode], outputs: Iterable[str]) -> list[FileNode]:
    """Those of ``nodes``, which are in order, that something of ``outputs`` depends on."""
    needed, kept = {o for o in outputs if o}, []
    for n in reversed(nodes):
        if not needed.isdisjoint(n.outputs):
            kept.append(n)
            needed.update(filter(None, n.inputs))
    return kept[::-1]


def ordered(nodes: Sequence[FileNode], where: str) -> list[FileNode]:
    """``nodes`` so that each comes after those it reads from, else as they are listed.

    Raises :class:`ModelError` for a cycle and for a value made twice.
    """
    maker: dict[str, int] = {}
    for k, n in enumerate(nodes):
        for o in filter(None, n.outputs):
            if o in maker:
                raise ModelError(f"the value {o!r} is made twice.", where=where)
            maker[o] = k
    found = topological(
        [{maker[i] for i in n.inputs if i in maker} for n in nodes],
        lambda k: f"{nodes[k].name!r} ({nodes[k].op})",
        where,
    )
    return [nodes[k] for k in found]


def topological(needs: Sequence[set[int]], label: Callable[[int], str], where: str) -> list[int]:
    """Numbers from 0 so that each comes after those that it needs, else in their own order.

    Raises :class:`ModelError`, naming by ``label`` those that wait for each other."""
    if all(k > max(need, default=-1) for k, need in enumerate(needs)):
        return list(range(len(needs)))
    readers: list[list[int]] = [[] for _ in needs]
    waiting = [len(need) for need in needs]
    for k, need in enumerate(needs):
        for m in need:
            readers[m].append(k)
    ready = [k for k, w in enumerate(waiting) if not w]
    heapify(ready)
    result: list[int] = []
    while ready:
        k = heappop(ready)
        result.append(k)
        for r in readers[k]:
            waiting[r] -= 1
            if not waiting[r]:
                heappush(ready, r)
    if len(result) < len(needs):
        stuck = [label(k) for k, w in enumerate(waiting) if w]
        more = f" and {len(stuck) - 5} more" if len(stuck) > 5 else ""
        raise ModelError(
            f"the graph is cyclic: {', '.join(stuck[:5])}{more} wait for each other.", where=where
        )
    return result


__all__ = ["FileModel", "FileNode", "live", "ordered", "topological"]
