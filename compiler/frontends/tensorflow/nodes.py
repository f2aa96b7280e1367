"""Graphs of TensorFlow, from whatever file, as a :class:`FileModel` each.

A value is called as its node where it is the first output, else ``node:k``. Functions of the
library are models of their own, made when something asks for them; attributes hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....runtime.errors import ModelError
from ..model import FileModel, FileNode, live, ordered
from ..signature import SymbolicType
from .flow import FLOW, structured
from .values import STRING, Dims, Named, TypeCode, symbolic

PLACEHOLDERS = ("Placeholder", "PlaceholderV2")

# Names of the outputs of operators that have several; inside of functions they stand for numbers.
_OUTPUTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"),
        ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2",
         "reserve_space_3"),
    ),
    "BlockLSTM": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTMV2": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BroadcastGradientArgs": ("r0", "r1"),
    "CombinedNonMaxSuppression":
        ("nmsed_boxes", "nmsed_scores", "nmsed_classes", "valid_detections"),
    "ListDiff": ("out", "idx"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "Merge": ("output", "value_index"),
    "NonMaxSuppressionV4": ("selected_indices", "valid_outputs"),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    "Switch": ("output_false", "output_true"),
    "TensorArrayV3": ("handle", "flow"),
    "TensorListPopBack": ("output_handle", "tensor"),
    "TopK": ("values", "indices"),
    "TopKV2": ("values", "indices"),
    "Unique": ("y", "idx"),
    "UniqueV2": ("y", "idx"),
    "UniqueWithCounts": ("y", "idx", "count"),
}  # fmt: skip


@dataclass(frozen=True)
class RawNode:
    """A NodeDef: its inputs as it writes them, its attributes as Python values."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: dict[str, Any]


@dataclass(frozen=True)
class RawFunction:
    """A FunctionDef: arguments with their types, results to what they are in the body."""

    name: str
    inputs: tuple[tuple[str, TypeCode], ...]
    outputs: Mapping[str, str]
    nodes: tuple[RawNode, ...]


class Constants(Mapping[str, np.ndarray]):
    """Values of a file, each of which is read when it is asked for."""

    def __init__(self) -> None:
        self._readers: dict[str, Callable[[], np.ndarray]] = {}
        self._read: dict[str, np.ndarray] = {}

    def add(self, name: str, reader: Callable[[], np.ndarray]) -> None:
        """A value, and what reads it."""
        self._readers[name] = reader

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._read:
            self._read[name] = self._readers[name]()
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


@dataclass
class Library:
    """The functions of a file, ``constant`` (of a node Const), ``variables`` by the names that
    VarHandleOp and VariableV2 have for them, and where all that is."""

    file: str
    constant: Callable[[RawNode], Callable[[], np.ndarray]]
    functions: Mapping[str, RawFunction] = field(default_factory=dict)
    variables: Mapping[str, np.ndarray] = field(default_factory=dict)
    producer: str = ""
    _models: dict[str, FileModel] = field(default_factory=dict)

    def function(self, name: str, where: str) -> FileModel:
        """The model of a function. Raises :class:`ModelError` where there is none."""
        if name not in self._models:
            raw = self.functions.get(name)
            if raw is None:
                raise ModelError(f"there is no function {name!r}.", where=where)
            nodes: list[FileNode] = []
            constants = Constants()
            ops = {n.name: n.op for n in raw.nodes}
            outputs = {k: self._inside(ops, v) for k, v in raw.outputs.items()}
            inputs = {k: SymbolicType(t.held or _ANY, None) for k, t in raw.inputs}
            # Known before its nodes, so that a function may name itself.
            self._models[name] = FileModel(
                "", self.file, name, inputs, outputs, nodes, constants, extra=self
            )
            inside = [self._renamed(ops, n) for n in raw.nodes]
            nodes += self.nodes(inside, constants, outputs.values(), set(inputs))
        return self._models[name]

    def _renamed(self, ops: Mapping[str, str], node: RawNode) -> RawNode:
        inputs = (i if i.startswith("^") else self._inside(ops, i) for i in node.inputs)
        return RawNode(node.name, node.op, tuple(inputs), node.attrs)

    def _inside(self, ops: Mapping[str, str], value: str) -> str:
        """``node:output:index``, as functions call values, as graphs do; ``ops`` has the operators
        of nodes."""
        node, _, rest = value.partition(":")
        if not rest:
            return value
        output, _, index = rest.partition(":")
        op = ops.get(node, "")
        names = _OUTPUTS.get(op, ())
        if op in self.functions:
            names = tuple(self.functions[op].outputs)
        try:
            first = names.index(output) if output in names else 0
            return value_of(f"{node}:{first + int(index or 0)}", self.file)
        except ValueError:
            raise ModelError(f"a value is called {value!r}.", where=self.file) from None

    def nodes(
        self,
        raws: Sequence[RawNode],
        constants: Constants,
        wanted: Iterable[str],
        given: set[str],
    ) -> list[FileNode]:
        """The nodes of a graph; its constants become ``constants``. ``wanted`` are values that
        something outside reads, ``given`` those that it gives."""
        where = self.file
        inputs = {
            n.name: tuple(value_of(i, where) for i in n.inputs if not i.startswith("^"))
            for n in raws
        }
        if len(inputs) != len(raws):
            raise ModelError("two nodes have one name.", where=where)
        most: dict[str, int] = {}
        for value in (*(i for row in inputs.values() for i in row), *wanted):
            node, k = split(value)
            most[node] = max(most.get(node, 0), k)
        made, controls = [], {}
        for n in raws:
            if n.name in given:
                continue
            controls[n.name] = [i[1:] for i in n.inputs if i.startswith("^")]
            dtype = n.attrs.get("dtype")
            if n.op == "Const" and isinstance(dtype, TypeCode) and dtype.code != STRING:
                constants.add(n.name, self.constant(n))
                continue
            if most.get(n.name, 0) > _MOST_OUTPUTS:
                raise ModelError(f"the node {n.name!r} has no output {most[n.name]}.", where=where)
            outputs = tuple(_join(n.name, k) for k in range(most.get(n.name, 0) + 1))
            attrs = {k: self._attribute(v, where) for k, v in n.attrs.items() if v is not None}
            if n.op in self.functions:
                attrs["f"] = self.function(n.op, where)
            op = "PartitionedCall" if n.op in self.functions else n.op
            made.append(FileNode(op, n.name, inputs[n.name], outputs, attrs))
        if any(n.op in FLOW for n in made):
            made = structured(made, controls, where)
        return made

    def _attribute(self, value: Any, where: str) -> Any:
        """An attribute with the models of the functions that it names."""
        if isinstance(value, Named):
            return self.function(value.name, where) if value.name in self.functions else value
        if isinstance(value, list) and any(isinstance(v, Named) for v in value):
            return tuple(self._attribute(v, where) for v in value)
        return value


_MOST_OUTPUTS = 1 << 16
_ANY = TypeCode(1).known("")  # for what has no type here, or not one of weft's: its value has it


def split(value: str) -> tuple[str, int]:
    """The node and the number of an output."""
    node, _, k = value.rpartition(":")
    return (node, int(k)) if node and k.isdecimal() else (value, 0)


def _join(node: str, k: int) -> str:
    return f"{node}:{k}" if k else node


def value_of(text: str, where: str) -> str:
    """A value as the file names it (``node``, ``node:0``), as it is called here."""
    node, k = split(text)
    if k < 0 or len(text) > 1 << 16:
        raise ModelError(f"a value is called {text[:60]!r}.", where=where)
    return _join(node, k)


# --- whole graphs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a graph: its name for a user, the value, its type where known."""

    name: str
    value: str
    dtype: TypeCode | None = None
    dims: Dims | None = None
    stated: bool = False  # whether ``dims`` are what the file says


def whole_graph(
    raws: Sequence[RawNode],
    library: Library,
    format: str,
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> FileModel:
    """The model of a graph with these inputs and outputs; placeholders that outputs depend on are
    inputs, too. Without outputs they are the values that nothing reads."""
    where, constants = library.file, Constants()
    values = {t.value: t for t in inputs}
    by_name = {n.name: n for n in raws}
    kept = [n for n in raws if n.op not in PLACEHOLDERS and n.name not in values]
    outputs = list(outputs) or [Tensor(v, v) for v in _ends(raws)]
    for t in outputs:
        if split(t.value)[0] not in by_name:
            raise ModelError(f"there is no value {t.value!r}, an output.", where=where)
    nodes = library.nodes(kept, constants, [t.value for t in outputs], set())
    needed = {i for n in live(ordered(nodes, where), [t.value for t in outputs]) for i in n.inputs}
    needed.update(t.value for t in outputs)
    for n in raws:
        if n.op in PLACEHOLDERS and n.name not in values and n.name in needed:
            values[n.name] = Tensor(n.name, n.name)
    types: dict[str, SymbolicType] = {}
    aliases: list[FileNode] = []
    taken = {n.name for n in raws}
    renamed: dict[str, str] = {}
    for t in values.values():
        attrs = by_name[split(t.value)[0]].attrs if split(t.value)[0] in by_name else {}
        code = t.dtype or attrs.get("dtype")
        dims = t.dims if t.stated else attrs.get("shape")
        if not isinstance(code, TypeCode) or not (dims is None or isinstance(dims, tuple)):
            raise ModelError(f"the input {t.name!r} has no type.", where=where)
        types[t.name] = symbolic(code, dims, t.name, where)
        if t.name != t.value:
            aliases.append(FileNode("Identity", t.value, (t.name,), (t.value,)))
            if t.name in taken:
                renamed[t.name] = f"{t.name}'"
    if renamed:
        nodes = [_with_names(n, renamed) for n in nodes]
        for old in renamed.keys() & set(constants):
            constants.add(renamed[old], constants._readers.pop(old))
    found = {t.name: renamed.get(t.value, t.value) for t in outputs}
    return FileModel(
        format, where, name, types, found, [*aliases, *nodes], constants,
        producer=library.producer, extra=library,
    )  # fmt: skip


def _with_names(n: FileNode, names: Mapping[str, str]) -> FileNode:
    inputs = tuple(names.get(i, i) for i in n.inputs)
    return FileNode(n.op, n.name, inputs, tuple(names.get(o, o) for o in n.outputs), n.attrs)


_SILENT = frozenset({"NoOp", "Assert", "Const", "Placeholder", "PlaceholderV2", "SaveV2", "Assign",
                     "AssignVariableOp", "MergeV2Checkpoints"})  # fmt: skip


def _ends(raws: Sequence[RawNode]) -> list[str]:
    """Values that no node reads."""
    read = {split(i)[0] for n in raws for i in n.inputs if not i.startswith("^")}
    return [n.name for n in raws if n.name not in read and n.op not in _SILENT]


__all__ = [
    "Constants",
    "Library",
    "RawFunction",
    "RawNode",
    "Tensor",
    "split",
    "value_of",
    "whole_graph",
]
