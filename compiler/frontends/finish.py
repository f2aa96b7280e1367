"""The end of every import: outputs by their names, and how long they are."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.graph import Graph, Source
from .emit import Emitter


def named_output(emitter: Emitter, name: str, tensor: str, file: str) -> None:
    """Let the graph have a tensor called ``name``, a free one, that is ``tensor``."""
    b = emitter.builder
    if tensor in b.constants:
        b.constant(b.constants[tensor], name)
    else:
        b.add("identity", [tensor], outputs=[name], source=Source(file, name, ""))
    emitter.copied(tensor, name)


def finished(emitter: Emitter, outputs: Sequence[str], file: str) -> Graph:
    """The graph with these outputs, and those that say how long others are of which only data
    knows it; constants that nothing reads are left out."""
    b, made = emitter.builder, []
    for name in outputs:
        axes = {}
        for axis, size in emitter.sizes.get(name, {}).items():
            axes[axis] = emitter.fresh(f"{name}.size{axis}")
            b.add("identity", [size], outputs=[axes[axis]], source=Source(file, name))
        if axes:
            b.cropped[name] = axes
            made += axes.values()
    whole = [*outputs, *made]
    used = {i for n in b.nodes for i in n.inputs} | set(whole)
    b.constants = {k: c for k, c in b.constants.items() if k in used}
    return b.finish(whole)


__all__ = ["finished", "named_output"]
