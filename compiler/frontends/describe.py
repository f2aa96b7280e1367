"""What is in a model: :class:`Description`, and how one is made of a :class:`FileModel`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .missing import lines
from .model import FileModel, live, ordered


@dataclass(frozen=True)
class Description:
    """What a file says, whether or not weft can compile it.

    Attributes
    ----------
    format, producer : for a person.
    name : of the graph.
    inputs, outputs : name to type, as text ("float32[1, 224, 224, 3]"; open extents are names).
    operators : how many nodes of each operator outputs depend on, bodies of loops included.
    parameters, nbytes : how many numbers the constants hold, and in how many bytes as stored.
    missing : what weft has not got, to the nodes that need it; empty: nothing that names tell.
    signatures : the functions that ``signature=`` chooses among, the one described first.
    """

    format: str
    producer: str
    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    operators: Counter[str]
    parameters: int
    nbytes: int
    missing: Mapping[str, list[str]] = field(default_factory=dict)
    signatures: Sequence[str] = ()

    def __str__(self) -> str:
        rows = [("format", self.format), ("producer", self.producer or "not stated")]
        rows += [("graph", self.name)]
        if len(self.signatures) > 1:
            rows += [("signatures", ", ".join(self.signatures))]
        rows += [("input", f"{k}: {t}") for k, t in self.inputs.items()]
        rows += [("output", f"{k}: {t}" if t else k) for k, t in self.outputs.items()]
        rows += [("parameters", f"{self.parameters:,} ({self.nbytes / 1e6:.1f} MB)")]
        total = sum(self.operators.values())
        rows += [("operators", f"{len(self.operators)} kinds, {total} nodes")]
        text = [f"{k:<11} {v}" for k, v in rows]
        width = max(map(len, self.operators), default=0)
        text += [f"  {op:<{width}} {n:>5}" for op, n in self.operators.most_common()]
        if self.missing:
            return "\n".join([*text, "weft has not got:", *lines(self.missing)])
        return "\n".join([*text, "weft has every operator"])


def described(
    model: FileModel, known: Collection[str], signatures: Sequence[str] = ()
) -> Description:
    """What a file says, whose converters are for the operators ``known``."""
    operators: Counter[str] = Counter()
    missing: dict[str, list[str]] = {}
    for part in _parts(model):
        for n in live(ordered(part.nodes, part.file), part.outputs.values()):
            operators[n.op] += 1
            if n.op not in known:
                missing.setdefault(f"operator {n.op}", []).append(n.name)
    arrays = [model.constants[k] for k in model.constants]
    return Description(
        model.format, model.producer, model.name,
        {k: str(t) for k, t in model.inputs.items()}, dict.fromkeys(model.outputs, ""),
        operators, sum(a.size for a in arrays), sum(a.nbytes for a in arrays),
        missing, signatures,
    )  # fmt: skip


def _parts(model: FileModel) -> Iterator[FileModel]:
    """A model and every graph in attributes of its nodes, each once."""
    seen: set[int] = set()
    stack = [model]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        stack += [a for n in part.nodes for a in n.attrs.values() if isinstance(a, FileModel)]


__all__ = ["Description", "described"]
