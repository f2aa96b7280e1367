"""Graphs computed node by node with the numpy references of their operators: the judge of tools
and tests. Slow, and as plain as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.layout import Layout
from ...runtime.errors import WeftError
from ...runtime.flow import Fail as FailedCall
from ..ops import get
from .graph import Graph, Node
from .skeleton import BRANCH, FAIL, LOOP, Choice, Fail, Item, Repeat, Section, Skeleton


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
    if node.op in _FLOW:
        made = _FLOW[node.op](node, arrays)
        return {o: r for o, r in zip(node.outputs, made, strict=True) if o}
    try:
        with np.errstate(all="ignore"):
            results: Any = get(node.op).reference(arrays, node.attrs)
    except WeftError as e:
        raise type(e)(e.message, where=e.where or str(node.source), hint=e.hint) from e
    return {o: np.asarray(r) for o, r in zip(node.outputs, results) if o}


# -- loops and branches as nodes of a graph -------------------------------------------------------

Arrays = Sequence[np.ndarray | None]


def _outputs(graph: Graph, arrays: Sequence[Any]) -> list[np.ndarray]:
    table = {**graph.constants, **dict(zip(graph.inputs, arrays, strict=True))}
    table |= evaluate_graph(graph, dict(zip(graph.inputs, arrays)))
    return [table[o] for o in graph.outputs]


def _branch(node: Node, arrays: Arrays) -> list[np.ndarray]:
    taken = node.attrs["then" if np.all(arrays[0]) else "other"]
    return _outputs(taken, arrays[1:])


def _loop(node: Node, arrays: Arrays) -> list[np.ndarray]:
    trips, first, *rest = arrays
    state, captures = rest[: node.attrs["state"]], rest[node.attrs["state"] :]
    body: Graph = node.attrs["body"]
    shapes = [body.types[i].shape for i in body.inputs[2:]]
    state = [np.reshape(a, n) for a, n in zip(state, shapes) if a is not None]
    most = _most(node.attrs["count"], trips)
    k, going = 0, first is None or bool(np.all(first))
    while going and (most is None or k < most):
        on, *state = _outputs(body, [np.asarray(k), np.asarray(True), *state, *captures])
        going, k = bool(np.all(on)), k + 1
    return state


def _most(count: int, trips: np.ndarray | None) -> int | None:
    """How many trips at most; None: any number."""
    limits = [count] if count >= 0 else []
    limits += [] if trips is None else [max(0, int(trips.reshape(-1)[0]))]
    return min(limits, default=None)


def _fail(node: Node, arrays: Arrays) -> list[np.ndarray]:
    raise FailedCall(node.attrs["why"], node.attrs["where"]).error()


_FLOW: Mapping[str, Callable[[Node, Arrays], list[np.ndarray]]] = {
    BRANCH: _branch,
    LOOP: _loop,
    FAIL: _fail,
}


# -- a skeleton -----------------------------------------------------------------------------------


def evaluate_skeleton(
    skeleton: Skeleton, graphs: Mapping[Section, Graph], inputs: Mapping[str, np.ndarray]
) -> dict[Section, dict[str, np.ndarray]]:
    """What each section that ran made when it did so last, by name; ``graphs`` computes each."""
    values = {**skeleton.constants, **inputs}
    found: dict[Section, dict[str, np.ndarray]] = {}
    _walk(skeleton.items, graphs, values, found)
    return found


def _walk(
    items: Iterable[Item],
    graphs: Mapping[Section, Graph],
    values: dict[str, np.ndarray],
    found: dict[Section, dict[str, np.ndarray]],
) -> None:
    for item in items:
        if isinstance(item, Section):
            graph = graphs[item]
            given = {i: values[v] for i, v in zip(item.graph.inputs, item.inputs)}
            made = found[item] = evaluate_graph(graph, given)
            known = {**graph.constants, **given, **made}
            for o, v in zip(graph.outputs, item.outputs):
                values[v] = _logical(known[o], graph.types[o].layout if o not in made else None)
        elif isinstance(item, Choice):
            _walk(item.then if np.all(values[item.cond]) else item.other, graphs, values, found)
        elif isinstance(item, Fail):
            raise FailedCall(item.why, item.where).error()
        else:
            _repeat(item, graphs, values, found)


def _repeat(
    item: Repeat,
    graphs: Mapping[Section, Graph],
    values: dict[str, np.ndarray],
    found: dict[Section, dict[str, np.ndarray]],
) -> None:
    most = _most(item.count, values[item.trips] if item.trips else None)
    state, k = [values[a] for a, _ in item.state], 0
    while (most is None or k < most) and (item.cond < 0 or np.all(state[item.cond])):
        values.update(zip(item.read, state))
        _walk(item.body, graphs, values, found)
        state, k = [values[w] for w in item.written], k + 1
    values.update((a, s) for (a, _), s in zip(item.state, state))
