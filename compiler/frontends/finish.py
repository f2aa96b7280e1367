"""The end of every import: outputs by their names, and how long they are."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.labels import LABELS, labels_text
from ..graph.graph import Graph, Source
from .emit import Emitter, Labels
from .warn import warn


def named_output(emitter: Emitter, name: str, tensor: str, file: str) -> None:
    """Let the graph have a tensor called ``name``, a free one, that is ``tensor``."""
    b = emitter.builder
    if tensor in b.constants:
        b.constant(b.constants[tensor], name)
    else:
        b.add("identity", [tensor], outputs=[name], source=Source(file, name, ""))
    emitter.copied(tensor, name)


def tell_labels(emitter: Emitter, outputs: Sequence[str], file: str) -> None:
    """Warn of outputs that are no tensors in the model, and note what their numbers mean."""
    found: dict[str, Labels] = {}
    file = file or emitter.builder.name
    for o in outputs:
        if o in emitter.strings:
            found[o] = emitter.strings[o]
            warn(f"{file}: the output {o!r} is of strings, which weft has not: it holds "
                 f"indices of labels, int64; see Executable.labels[{o!r}].")  # fmt: skip
        elif o in emitter.columns:
            found[o] = emitter.columns[o]
            warn(f"{file}: the output {o!r} is a sequence of maps, which weft has not: it is "
                 "a tensor with a row for each map and a column for each key; the keys are in "
                 f"Executable.labels[{o!r}].")  # fmt: skip
    if found:
        emitter.builder.meta[LABELS] = labels_text(found)


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


__all__ = ["finished", "named_output", "tell_labels"]
