"""A graph that keeps what lies between its kernels, for tools that look at every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .graph import Graph, Node
from .group import Group


def watched(graph: Graph, groups: Sequence[Group]) -> tuple[dict[str, str], Graph, list[Group]]:
    """The graph whose outputs are all tensors that its groups make, and its groups; each tensor's
    name, and the output that has its elements. What is stored in a layout is copied to be read."""
    names: dict[str, str] = {}
    nodes, types, copies = list(graph.nodes), dict(graph.types), []
    for o in (o for g in groups for o in g.outputs if graph.types[o].size):
        names[o] = o
        layout = types[o].layout
        if layout is not None and not layout.is_row_major:
            names[o] = f"{o} (copied)"
            types[names[o]] = replace(types[o], layout=None)
            copies.append(Node("identity", (o,), (names[o],)))
    whole = graph.replace(
        nodes=(*nodes, *copies), types=types,
        outputs=tuple(dict.fromkeys([*graph.outputs, *names.values()])),
    )  # fmt: skip
    return names, whole, [*groups, *(Group.of(whole, [c]) for c in copies)]


__all__ = ["watched"]
