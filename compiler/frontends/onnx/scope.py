"""Names in an ONNX graph, its subgraphs and functions; and the order of their nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from onnx import AttributeProto, GraphProto, NodeProto

from ....runtime.errors import ModelError
from ..model import topological

UNKNOWN = "\0unknown"  # stands for the results of a node that could not be converted
NOTHING = "\0nothing"  # an optional that holds no element


def is_tensor(name: str) -> bool:
    """Whether a value is a tensor of the graph: no sequence, no empty optional, not unknown."""
    return bool(name) and not name.startswith("\0")


class Sequences:
    """The sequences of tensors that a walk has met. Each has a length that is known and tensors as
    elements; the name of one stands for it where a tensor's name would stand."""

    def __init__(self) -> None:
        self._elements: dict[str, tuple[str, ...]] = {}

    def make(self, elements: Iterable[str]) -> str:
        """A name for the sequence of these tensors."""
        name = f"\0sequence{len(self._elements)}"
        self._elements[name] = tuple(elements)
        return name

    def get(self, name: str) -> tuple[str, ...] | None:
        """The elements of a sequence; None where ``name`` is none."""
        return self._elements.get(name)


class Scope:
    """ONNX value name to weft tensor name; subgraphs also see the names around them."""

    def __init__(self, parent: Scope | None = None):
        self.values: dict[str, str] = {}
        self.parent = parent

    def __contains__(self, name: str) -> bool:
        return name in self.values or (self.parent is not None and name in self.parent)

    def get(self, name: str) -> str | None:
        """The tensor of ``name``, here or around; None where nothing has defined it."""
        found = self.values.get(name)
        return self.parent.get(name) if found is None and self.parent else found

    def define(self, name: str, tensor: str, where: str) -> None:
        """Let ``name`` be ``tensor`` from here on. Raises :class:`ModelError` when it is taken."""
        if name in self.values:
            raise ModelError(f"the value {name!r} is defined twice.", where=where)
        self.values[name] = tensor


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in the attributes of ``node``: branches and bodies of loops."""
    for a in node.attribute:
        if a.type == AttributeProto.GRAPH:
            yield a.g
        elif a.type == AttributeProto.GRAPHS:
            yield from a.graphs


def reads(node: NodeProto) -> set[str]:
    """Every name that ``node`` reads from around it, also in its subgraphs."""
    return {i for i in node.input if i}.union(*map(free_names, subgraphs(node)))


def free_names(graph: GraphProto) -> set[str]:
    """Every name that a graph reads from around it."""
    inner = {o.name for o in graph.output if o.name}.union(*(reads(n) for n in graph.node))
    own = {o for n in graph.node for o in n.output} | {i.name for i in graph.input}
    own |= {t.values.name for t in graph.sparse_initializer}
    return inner - own - {t.name for t in graph.initializer}


def all_names(nodes: Iterable[NodeProto]) -> set[str]:
    """What ``nodes`` read and make, without their subgraphs."""
    return {name for n in nodes for name in (*n.input, *n.output)}


def live(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """Those of ``nodes``, which are in order, that something of ``outputs`` depends on."""
    needed, kept = {o for o in outputs if o}, []
    for n in reversed(nodes):
        if not needed.isdisjoint(n.output):
            kept.append(n)
            needed |= reads(n)
    return kept[::-1]


def ordered(nodes: Sequence[NodeProto], where: str) -> list[NodeProto]:
    """``nodes`` so that each comes after those it reads from, else in the order of the file.

    The standard demands that order of the file, but not every writer keeps it. Raises
    :class:`ModelError` for a cycle and for a value made twice.
    """
    maker: dict[str, int] = {}
    for k, n in enumerate(nodes):
        for o in n.output:
            if o and maker.setdefault(o, k) != k:
                raise ModelError(f"the value {o!r} is made by two nodes.", where=where)
        if len({o for o in n.output if o}) != sum(map(bool, n.output)):
            raise ModelError(f"the node {_label(n)} makes one value twice.", where=where)
    needs = [{maker[r] for r in reads(n) if r in maker} for n in nodes]
    return [nodes[k] for k in topological(needs, lambda k: _label(nodes[k]), where)]


def _label(node: NodeProto) -> str:
    name = node.name or next((o for o in node.output if o), "")
    return f"{name!r} ({node.op_type})"
