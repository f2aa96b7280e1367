"""The graph of a model: ``PREFIX-symbol.json``, of any version since 0.8.

Versions differ in where attributes of a node are: ``attrs``; ``attr``; or ``param`` (the operator's
own) and ``attr`` (the user's). Before 0.9 statistics of BatchNorm were no variables of the graph.
(mxnet 1.9.1, ``src/nnvm/legacy_json_util.cc``.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ....runtime.dtype import FLOAT32, DType
from ....runtime.errors import ModelError, UnsupportedError
from ..model import FileModel, FileNode, live, ordered
from ..signature import SymbolicType
from .attributes import integers
from .files import MOST_SYMBOL, Pair, read_pair
from .params import DTYPES, read_params

# Losses at the end of a network that was trained: at inference they take no labels.
HEADS = frozenset(
    (
        "SoftmaxOutput", "Softmax", "LinearRegressionOutput", "LogisticRegressionOutput",
        "MAERegressionOutput", "SVMOutput",
    )
)  # fmt: skip
_STATISTICS = {"BatchNorm": ("moving_mean", "moving_var")}
_WEIGHTED = frozenset(
    ("BatchNorm", "Convolution", "Deconvolution", "Embedding", "FullyConnected", "LayerNorm")
)


def read(source: Any, whole: bool = True) -> FileModel:
    """What a symbol and its parameters say.

    Raises :class:`ModelError` for damaged files; where the parameters are absent, only if they are
    needed and ``whole``."""
    pair = read_pair(source)
    if pair.symbol is None:
        raise ModelError(
            "these are the parameters of a model without its graph.", where=pair.params_file,
            hint="PREFIX-symbol.json belongs beside PREFIX-0000.params",
        )  # fmt: skip
    graph = _parsed(pair.symbol, pair.file)
    known = {} if pair.params is None else read_params(pair.params, pair.params_file or pair.file)
    return _Reader(pair, graph, known).model(whole)


def _parsed(data: bytes, file: str) -> Mapping[str, Any]:
    if len(data) > MOST_SYMBOL:
        raise ModelError("its graph is larger than 256 MiB.", where=file)
    try:
        graph = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise ModelError(
            f"it is not readable as MXNet's JSON ({e}).", where=file,
            hint="the file is damaged, or no symbol",
        ) from None  # fmt: skip
    if not isinstance(graph, dict):
        raise ModelError("it is no symbol of MXNet's: no JSON object.", where=file)
    return graph


class _Reader:
    def __init__(self, pair: Pair, graph: Mapping[str, Any], arrays: Mapping[str, np.ndarray]):
        self.pair, self.file = pair, pair.file
        self.graph = graph
        self.arrays = {k.removeprefix("arg:").removeprefix("aux:"): a for k, a in arrays.items()}
        self.names: list[str] = []  # of each entry of the file's list
        self.counts: list[int] = []  # how many outputs of it are read
        self.variables: dict[str, Mapping[str, str]] = {}

    def model(self, whole: bool) -> FileModel:
        entries = self._list("nodes", self.graph)
        if not all(isinstance(e, dict) for e in entries):
            self._wrong("its nodes are not objects")
        self._name(entries)
        heads = [self._reference(h) for h in self._list("heads", self.graph)]
        read = [self._inputs(e) for e in entries]
        for k, out in [*heads, *(i for inputs in read for i in inputs)]:
            self.counts[k] = max(self.counts[k], out + 1)
        nodes = [
            self._node(k, e, inputs)
            for k, (e, inputs) in enumerate(zip(entries, read))
            if e.get("op") != "null"
        ]
        outputs: dict[str, str] = {}
        for k, out in heads:
            value = self._value(k, out)
            outputs.setdefault(value, value)
        kept = live(ordered(nodes, self.file), outputs.values())
        used = {*outputs.values()}.union(*(n.inputs for n in kept))
        free = [v for v in self.variables if v in used and v not in self.arrays]
        if whole and self.pair.params is None:
            self._need_params(kept, free)
        types = {v: self._type(v, kept) for v in free}
        constants = {v: a for v, a in self.arrays.items() if v in used and v in self.variables}
        return FileModel(
            "mxnet", self.file, self.pair.name, types, outputs, kept, constants,
            producer=self._producer(),
        )  # fmt: skip

    # -- names

    def _name(self, entries: Sequence[Mapping[str, Any]]) -> None:
        taken: set[str] = set()
        for k, e in enumerate(entries):
            name, op = e.get("name"), e.get("op")
            if not isinstance(name, str) or not isinstance(op, str):
                self._wrong(f"node {k} has no name or no operator")
            if op == "null":
                self.variables.setdefault(name, self._attrs(e))
            elif name in taken:  # the file numbers its nodes: names may come twice
                name = f"{name}#{k}"
            taken.add(name)
            self.names.append(name)
        self.counts = [0] * len(entries)

    def _value(self, k: int, out: int) -> str:
        name = self.names[k]
        if name in self.variables and not out:
            return name
        return f"{name}_output" if self.counts[k] == 1 else f"{name}_output{out}"

    # -- parts of the file

    def _node(
        self, k: int, entry: Mapping[str, Any], inputs: Sequence[tuple[int, int]]
    ) -> FileNode:
        op, attrs = str(entry["op"]), self._attrs(entry)
        names = [self._value(*i) for i in inputs]
        if op in HEADS:
            names = names[:1]
        if op in _STATISTICS and len(names) == 3:
            added = [f"{entry['name']}_{what}" for what in _STATISTICS[op]]
            for name in added:
                self.variables.setdefault(name, {})
            names += added
        if "subgraphs" in entry:
            attrs = {**attrs, "subgraphs": "yes"}
        outputs = tuple(self._value(k, out) for out in range(self.counts[k]))
        return FileNode(op, self.names[k], tuple(names), outputs, attrs)

    def _attrs(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """Attributes of a node as text; those of the operator win over the user's."""
        found: dict[str, str] = {}
        for key in ("attr", "attrs", "param"):
            given = entry.get(key, {})
            if not isinstance(given, dict):
                self._wrong(f"the attributes of {entry.get('name')!r} are no object")
            found.update((k, v if isinstance(v, str) else str(v)) for k, v in given.items())
        return found

    def _inputs(self, entry: Mapping[str, Any]) -> list[tuple[int, int]]:
        return [self._reference(i) for i in self._list("inputs", entry)]

    def _reference(self, given: Any) -> tuple[int, int]:
        """Which output of which node: ``[node, output, version]``; old files have no version."""
        numbers = given if isinstance(given, list) else [given]
        if not 1 <= len(numbers) <= 3 or not all(type(v) is int for v in numbers):
            self._wrong(f"{given!r} is no output of a node")
        k, out = numbers[0], numbers[1] if len(numbers) > 1 else 0
        if not 0 <= k < len(self.names) or not 0 <= out < 1 << 12:
            self._wrong(f"there is no output {out} of node {k}")
        return k, out

    def _list(self, key: str, of: Mapping[str, Any]) -> list[Any]:
        value = of.get(key, [])
        if not isinstance(value, list):
            self._wrong(f"{key!r} is no list")
        return value

    # -- inputs

    def _type(self, name: str, nodes: Sequence[FileNode]) -> SymbolicType:
        attrs = self.variables[name]
        shape = attrs.get("__shape__")
        dims: tuple[int | str, ...] | None = None
        if shape is not None:
            try:
                listed = integers(shape) or ()
            except (ValueError, OverflowError):
                self._wrong(f"{shape!r} is no shape of the input {name!r}")
            # Zero, and -1 in newer versions, is an extent that is not known.
            dims = tuple(d if d and d > 0 else f"{name}.{k}" for k, d in enumerate(listed)) or None
        return SymbolicType(self._dtype(name, attrs, nodes), dims)

    def _dtype(self, name: str, attrs: Mapping[str, str], nodes: Sequence[FileNode]) -> DType:
        """As stated, or as the parameters beside it have, or float32: MXNet's default."""
        stated = attrs.get("__dtype__", "-1").strip()
        if stated != "-1":
            if not stated.isdecimal() or int(stated) not in DTYPES:
                raise UnsupportedError(f"the input {name!r} has the element type {stated!r}.")
            return DTYPES[int(stated)]
        beside = [
            str(self.arrays[i].dtype)
            for n in nodes
            if n.inputs[:1] == (name,) and n.op != "Embedding"
            for i in n.inputs[1:]
            if i in self.arrays
        ]
        half = next((d for d in DTYPES.values() if beside and str(d) == beside[0]), FLOAT32)
        return half if half.is_float else FLOAT32

    def _need_params(self, nodes: Sequence[FileNode], free: Sequence[str]) -> None:
        for n in nodes:
            absent = [i for i in n.inputs[1:] if i in free]
            if n.op in _WEIGHTED and absent:
                raise ModelError(
                    f"the parameters are not beside it: {n.name!r} ({n.op}) reads {absent[0]!r}.",
                    where=self.file,
                    hint="PREFIX-0000.params belongs beside PREFIX-symbol.json; "
                    "load the model by a path",
                )

    def _producer(self) -> str:
        attrs = self.graph.get("attrs")
        version = attrs.get("mxnet_version") if isinstance(attrs, dict) else None
        number = version[-1] if isinstance(version, list) and version else None
        if type(number) is not int or number < 0:
            return ""
        return f"mxnet {number // 10000}.{number // 100 % 100}.{number % 100}"

    def _wrong(self, what: str) -> NoReturn:
        raise ModelError(f"{what}.", where=self.file, hint="the file is damaged, or no symbol")


__all__ = ["HEADS", "read"]
