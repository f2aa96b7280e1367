"""A node that computes one of two graphs, whichever the condition of a call says."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.graph import Source
from ..graph.skeleton import BRANCH
from ..types import TensorType
from .emit import Emitter
from .inner import Inner, add_node
from .sized import Sizing, choices

Part = tuple[Inner, list[str]]  # a graph in the making, and its results


def unlike(one: Part, two: Part) -> tuple[TensorType, TensorType] | None:
    """The types of the first results that cannot be those of one node; None where all can."""
    (a, yes), (b, no) = one, two
    for x, y in zip(yes, no):
        if not choices.alike(a.sizing, x, b.sizing, y):
            return a.type(x), b.type(y)
    return None


def add_branch(
    emitter: Emitter, source: Source, outputs: Sequence[str], condition: str, one: Part, two: Part
) -> list[str]:
    """Add the node; the names of its results, after ``outputs``. Where the graphs make tensors of
    several extents, only the call knows the size.

    ``condition`` is a bool without axes, the results are not :func:`unlike`."""
    (a, yes), (b, no) = (one[0], list(one[1])), (two[0], list(two[1]))
    mine, other, axes = a.sizing, b.sizing, []
    for k, (x, y) in enumerate(list(zip(yes, no))):
        axes.append(choices.open_axes(mine, x, other, y))
        shape = choices.bounds(mine, x, other, y)
        sizes = [[s.number(s.extent(v, e)) for e in axes[k]] for s, v in ((mine, x), (other, y))]
        yes[k], no[k] = choices.widened(mine, x, shape), choices.widened(other, y, shape)
        yes += sizes[0]
        no += sizes[1]
    captures = list(dict.fromkeys((*a.captures, *b.captures)))
    graphs = []
    for part, found in ((a, yes), (b, no)):
        for c in captures:
            part.capture(c)
        part.captures = captures
        graphs.append(part.finish(found, ()))
    made = add_node(
        emitter, source, outputs, BRANCH, [condition, *captures], [a.type(x) for x in yes],
        then=graphs[0], other=graphs[1],
    )  # fmt: skip
    results, sizes = made[: len(axes)], iter(made[len(axes) :])
    s = Sizing(emitter, source.node or "size", source)
    return [s.declare(t, {k: next(sizes) for k in e}) for t, e in zip(results, axes)]


__all__ = ["Part", "add_branch", "unlike"]
