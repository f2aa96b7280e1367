"""Graphs computed node by node with the numpy references of their operators: the judge of tools
and tests. Slow, and as plain as can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...ir.layout import Layout
from ...runtime.errors import WeftError
from ..ops import get
from .graph import Graph, Node


def _logical(array: np.ndarray, layout: Layout | None) -> np.ndarray:
    return array if layout is None else layout.unpack(array)


def evaluate_graph(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of ``graph`` that its nodes make, by name."""
    table = evaluate_nodes(graph, graph.nodes, inputs)
    return {o: table[o] for n in graph.nodes for o in n.outputs if o}


def evaluate_nodes(
    graph: Graph, nodes: Iterable[Node], values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What ``nodes`` make of ``values`` and of the constants of ``graph``."""
    todo = tuple(nodes)
    read = {i for n in todo for i in n.inputs if i in graph.constants}
    table = {**values}
    for name in read:
        table[name] = _logical(graph.constants[name], graph.types[name].layout)
    for node in todo:
        table |= evaluate_node(node, table)
    return table


def evaluate_node(node: Node, table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of one node by name."""
    arrays = [table[i] if i else None for i in node.inputs]
    try:
        with np.errstate(all="ignore"):
            results: Any = get(node.op).reference(arrays, node.attrs)
    except WeftError as e:
        raise type(e)(e.message, where=e.where or str(node.source), hint=e.hint) from e
    return {o: np.asarray(r) for o, r in zip(node.outputs, results) if o}
