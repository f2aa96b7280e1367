"""Reading a ``.tflite`` file: bytes to a :class:`~weft.compiler.frontends.model.FileModel`.

Values are named as the file names its tensors (with ``#`` and a number where two have one name);
inputs and outputs of a subgraph that has a signature are named by it. An operator's attributes are
the fields of its options; subgraphs that it names (``IF``, ``WHILE``, ``CALL``, ``CALL_ONCE``) are
:class:`FileModel` in attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import InputError, ModelError, UnsupportedError
from ....runtime.files import read_file
from ..model import FileModel, FileNode
from ..signature import SymbolicType
from .flatbuffer import Flat, Table
from .schema import OPERATORS, OPTIONS, TABLES
from .tensors import Info, constant, contents, info

IDENTIFIER = b"TFL3"  # at bytes 4 to 8
MOST_BYTES = 1 << 33
SUBGRAPHS = {
    "then_subgraph_index": "then", "else_subgraph_index": "other", "cond_subgraph_index": "cond",
    "body_subgraph_index": "body", "init_subgraph_index": "init", "subgraph": "body",
}  # fmt: skip
MAX_STATE = 1 << 26  # elements of a variable
MAX_NESTING = 32  # of subgraphs in operators


@dataclass(frozen=True)
class Signature:
    """A function of the file: its name, the subgraph, and its names for tensors, by number."""

    name: str
    subgraph: int
    inputs: Mapping[int, str] = field(default_factory=dict)
    outputs: Sequence[tuple[str, int]] = ()


class Constants(Mapping[str, np.ndarray]):
    """The constants of a subgraph, each read when it is asked for."""

    def __init__(self, file: TfliteFile, tensors: Mapping[str, tuple[Table, Info]]):
        self._file, self._tensors = file, tensors
        self._read: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._read:
            table, facts = self._tensors[name]
            where = f"{self._file.name}, {name!r}"
            data = self._file.buffer(table.get("buffer"), where)
            if facts.is_variable and not len(data):
                self._read[name] = _initial(facts, where)
            else:
                self._read[name] = constant(table, data, facts, where)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class TfliteFile:
    """An open file. Raises :class:`ModelError` where it is damaged."""

    def __init__(self, data: bytes, name: str):
        self.name = name
        self.flat = Flat(data, name)
        if data[4:8] != IDENTIFIER:
            raise ModelError(
                "this is no .tflite file: the mark TFL3 is missing.", where=name,
                hint="files of TensorFlow Lite before its version 1.0 cannot be read",
            )  # fmt: skip
        root = self.root = self.flat.root(TABLES["Model"])
        self.version = root.get("version")
        if self.version != 3:
            raise UnsupportedError(f"the schema is {self.version}; weft reads 3.", where=name)
        self.producer = root.text("description")
        self.buffers = root.tables("buffers", TABLES["Buffer"])
        self.codes = [_operator(c, name) for c in root.tables("operator_codes",
                                                              TABLES["OperatorCode"])]  # fmt: skip
        self.subgraphs = root.tables("subgraphs", TABLES["SubGraph"])
        if not self.subgraphs:
            raise ModelError("the file holds no graph.", where=name)
        self.signatures = [
            self._signature(s) for s in root.tables("signature_defs", TABLES["SignatureDef"])
        ]
        self._models: dict[int, FileModel] = {}
        self._open: list[int] = []

    def buffer(self, number: int, where: str) -> memoryview:
        """The bytes of a buffer."""
        if number >= len(self.buffers):
            raise ModelError(f"its buffer is {number}; there are {len(self.buffers)}.", where=where)
        return contents(self.flat, self.buffers[number])

    def _signature(self, s: Table) -> Signature:
        inputs = {t.get("tensor_index"): t.text("name") for t in
                  s.tables("inputs", TABLES["TensorMap"])}  # fmt: skip
        outputs = [(t.text("name"), t.get("tensor_index")) for t in
                   s.tables("outputs", TABLES["TensorMap"])]  # fmt: skip
        return Signature(s.text("signature_key"), s.get("subgraph_index"), inputs, outputs)

    def chosen(self, signature: str | None) -> FileModel:
        """The function of that name; None: the first subgraph, by the names of its signature."""
        if signature is None:
            own = next((s for s in self.signatures if s.subgraph == 0), None)
            return self.model(0, own)
        found = next((s for s in self.signatures if s.name == signature), None)
        if found is None:
            raise InputError(
                f"there is no signature {signature!r}.", where=self.name,
                hint=f"signatures: {', '.join(s.name for s in self.signatures) or 'none'}",
            )  # fmt: skip
        return self.model(found.subgraph, found)

    def part(self, number: int, where: str) -> FileModel:
        """A subgraph that an operator names, under the names of its tensors."""
        if number in self._open:
            raise ModelError(f"the subgraph {number} is a part of itself.", where=where)
        if len(self._open) >= MAX_NESTING:
            raise ModelError("subgraphs are nested too deeply.", where=where)
        if number not in self._models:
            self._models[number] = self.model(number, None, where)
        return self._models[number]

    def model(self, number: int, signature: Signature | None, where: str = "") -> FileModel:
        """A subgraph, its inputs and outputs by the names of a signature."""
        if not 0 <= number < len(self.subgraphs):
            raise ModelError(f"there is no subgraph {number}.", where=where or self.name)
        self._open.append(number)
        made = self._model(self.subgraphs[number], number, signature or Signature("", number))
        self._open.pop()
        return made

    def _model(self, g: Table, number: int, signature: Signature) -> FileModel:
        tensors = g.tables("tensors", TABLES["Tensor"])
        inputs, outputs = g.numbers("inputs"), g.numbers("outputs")
        for t in (*inputs, *outputs, *signature.inputs, *(k for _, k in signature.outputs)):
            if not 0 <= t < len(tensors):
                raise ModelError(f"there is no tensor {t}.", where=self.name)
        taken = [signature.inputs.get(i, "") for i in inputs]
        names = _names([t.text("name") for t in tensors], dict(zip(inputs, taken)))
        where = f"{self.name}, " if self.name else ""
        facts = [info(t, f"{where}{n!r}") for t, n in zip(tensors, names)]
        nodes = [self._node(o, k, names) for k, o in
                 enumerate(g.tables("operators", TABLES["Operator"]))]  # fmt: skip
        made = {v for n in nodes for v in n.outputs} | {names[i] for i in inputs}
        known = {
            n: (t, f) for t, n, f in zip(tensors, names, facts)
            if n not in made and (self._has_data(t) or f.is_variable or 0 in (f.shape or ()))
        }  # fmt: skip
        named = [(n, t) for k in dict.fromkeys(outputs) for n, t in signature.outputs if t == k]
        asked = named or [(names[k], k) for k in outputs]  # in the order of the subgraph
        results: dict[str, str] = {}
        for name, k in asked:
            while name in results:
                name += "'"
            results[name] = names[k]
        return FileModel(
            f"tflite {self.version}", self.name, g.text("name") or f"subgraph {number}",
            {names[i]: _type(tensors[i], facts[i], names[i], f"{where}{names[i]!r}")
             for i in inputs},
            results, nodes, Constants(self, known), self.producer,
            extra=dict(zip(names, facts)),
        )  # fmt: skip

    def _has_data(self, t: Table) -> bool:
        number = t.get("buffer")
        if not 0 < number < len(self.buffers):
            return False
        return len(contents(self.flat, self.buffers[number])) > 0

    def _node(self, o: Table, number: int, names: list[str]) -> FileNode:
        at = o.get("opcode_index")
        where = f"{self.name}, operator {number}"
        if at >= len(self.codes):
            raise ModelError(f"there is no operator code {at}.", where=where)
        op = self.codes[at]
        inputs, outputs = o.numbers("inputs"), o.numbers("outputs")
        listed = [*inputs, *outputs, *o.numbers("intermediates")]
        if min(listed, default=0) < -1 or max(listed, default=0) >= len(names):
            raise ModelError("it reads or makes a tensor that there is not.", where=where)
        attrs: dict[str, Any] = {}
        fields = _OPTIONS.get(o.get("builtin_options_type"))
        options = o.table("builtin_options", fields) if fields else None
        if options is not None and fields is not None:
            attrs = {k: _field(options, k, kind) for k, (_, kind, _) in fields.items()}
        for index, attr in SUBGRAPHS.items():
            if index in attrs:
                attrs[attr] = self.part(attrs.pop(index), where)
        custom = o.block("custom_options")
        if len(custom):
            attrs["custom"] = bytes(custom)
        steps = o.numbers("intermediates")
        if steps:
            attrs["intermediates"] = [names[k] if k >= 0 else "" for k in steps]
        ins = tuple(names[k] if k >= 0 else "" for k in inputs)
        outs = tuple(names[k] if k >= 0 else "" for k in outputs)
        name = next((v for v in outs if v), f"{op}_{number}")
        return FileNode(op, name, ins, outs, attrs)


_OPTIONS = {int(k): v for k, v in OPTIONS.items()}


def _initial(facts: Info, where: str) -> np.ndarray:
    """What a variable holds before the first call: zeros, and 0 as its quantisation writes it."""
    shape = facts.shape or ()
    if facts.dtype is None or math.prod(shape) > MAX_STATE:
        raise UnsupportedError(f"a variable of {facts.kind}{list(shape)}", where=where)
    zero = facts.quant.one[1] if facts.quant is not None and facts.dtype.is_int else 0
    return np.full(shape, zero, facts.dtype.numpy)


def _field(t: Table, name: str, kind: str) -> Any:
    if kind == "string":
        return t.text(name)
    return t.numbers(name) if kind.endswith("*") else t.get(name)


def _operator(code: Table, where: str) -> str:
    """The name of an operator; that of a custom one as its maker calls it."""
    number = max(code.get("builtin_code"), code.get("deprecated_builtin_code"))
    if not 0 <= number < len(OPERATORS):
        raise UnsupportedError(f"weft knows no operator number {number}.", where=where)
    if OPERATORS[number] == "CUSTOM":
        return code.text("custom_code") or "CUSTOM"
    return OPERATORS[number]


def _names(given: list[str], inputs: Mapping[int, str]) -> list[str]:
    """Names of tensors, no two of them equal; those of inputs are for a signature to say."""
    taken = {n for n in inputs.values() if n}
    if len(taken) < sum(bool(n) for n in inputs.values()):
        inputs, taken = {}, set()
    made: list[str] = []
    for k, name in enumerate(given):
        if inputs.get(k):
            made.append(inputs[k])
            continue
        name = name or f"tensor#{k}"
        while name in taken:
            name = f"{name}#{k}"
        taken.add(name)
        made.append(name)
    return made


def _type(t: Table, facts: Info, name: str, where: str) -> SymbolicType:
    """The type of an input; an extent that its signature leaves open is a name."""
    if facts.dtype is None:
        raise UnsupportedError(f"weft has no tensors of {facts.kind}.", where=where)
    if facts.shape is None:
        return SymbolicType(facts.dtype, None)
    open_ = t.numbers("shape_signature")
    dims: list[int | str] = list(facts.shape)
    if len(open_) == len(dims):
        dims = [f"{name}[{k}]" if o == -1 else d for k, (d, o) in enumerate(zip(dims, open_))]
    return SymbolicType(facts.dtype, tuple(dims))


def open_file(source: Any) -> TfliteFile:
    """The file at a path, or whose bytes are given. Raises :class:`ModelError`."""
    if isinstance(source, bytes | bytearray | memoryview):
        return TfliteFile(bytes(source), "")
    if not isinstance(source, str | PathLike):
        raise ModelError(
            f"{type(source).__name__} is no model.", hint="give a path, or the bytes of a file"
        )
    path = Path(fspath(source))
    return TfliteFile(read_file(path, MOST_BYTES, error=ModelError, what="the model"), path.name)


__all__ = ["SUBGRAPHS", "Signature", "TfliteFile", "open_file"]
