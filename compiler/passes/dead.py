"""Dead nodes and constants: what no output depends on is left out."""

from __future__ import annotations

from ..graph.graph import Graph


def eliminate_dead(graph: Graph) -> Graph:
    """``graph`` without the nodes and constants that its outputs do not need. Inputs stay: they
    are the model's signature."""
    needed = set(graph.outputs)
    nodes = []
    for n in reversed(graph.nodes):
        if any(o in needed for o in n.outputs):
            needed.update(n.inputs)
            nodes.append(n)
    constants = {k: c for k, c in graph.constants.items() if k in needed}
    if len(nodes) == len(graph.nodes) and len(constants) == len(graph.constants):
        return graph
    made = {o for n in nodes for o in n.outputs} | set(graph.inputs) | set(constants)
    types = {k: t for k, t in graph.types.items() if k in made}
    return graph.replace(nodes=tuple(reversed(nodes)), constants=constants, types=types)
