"""An exported program (``.pt2``) as a :class:`FileModel`, read without PyTorch.

The description is JSON after ``torch._export.serde.schema`` (versions 4 to 8): a graph whose nodes
name an overload of an operator and their arguments by the names of its schema, types of its values,
a signature that says which of its inputs are parameters, buffers, and the caller's. Since PyTorch
2.8 tensors are raw bytes in members of their own, described by a second JSON; before, they are two
pickles of ``torch.save`` in the archive.

A node's attribute ``args`` has its arguments by name: Python values, in which :class:`Ref` stands
for the value that is that input of the node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....runtime.dtype import INT64, DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ..model import FileModel, FileNode
from ..signature import SymbolicType
from ..warn import warn
from .archive import Archive, dtype_by_number, strided
from .pickles import load_archive, tensors

MOST_NESTED = 64  # graphs inside of graphs
_SYMBOL = re.compile(r"Symbol\('([^']+)'[^()]*\)")


@dataclass(frozen=True)
class Ref:
    """Input ``index`` of a node: a tensor, or a number that is one of a scalar."""

    index: int
    number: bool = False


class Tensors(Mapping[str, np.ndarray]):
    """Tensors that are read when they are asked for."""

    def __init__(self, readers: Mapping[str, Callable[[], np.ndarray]]):
        self.readers = readers

    def __getitem__(self, name: str) -> np.ndarray:
        return self.readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)


def open_program(archive: Archive, wanted: str | None = None) -> tuple[FileModel, list[str]]:
    """The exported program of an archive, and the names of all that it has.

    ``wanted`` is one of those, where there are several. Raises :class:`ModelError` for a damaged
    archive, :class:`UnsupportedError` for what weft cannot read."""
    old = "serialized_exported_program.json"
    if old in archive.names:
        states = [_pickled(archive, f"serialized_{k}.pt") for k in ("state_dict", "constants")]
        program = archive.json(old)
        return _Reader(archive.where, program, *states).model("program"), ["program"]
    root, begin = archive.root, f"{archive.root}models/"
    names = sorted(n[len(begin) : -5] for n in archive.names
                   if n.startswith(begin) and n.endswith(".json"))  # fmt: skip
    if not names:
        raise ModelError("the archive has no models.", where=archive.where)
    name = wanted or ("model" if "model" in names else names[0])
    if name not in names:
        raise ModelError(f"there is no model {name!r}.", where=archive.where,
                         hint=f"one of {', '.join(names)}")  # fmt: skip
    order = f"{root}byteorder"
    if order in archive.names and archive.read(order, 16).strip() != b"little":
        raise UnsupportedError("tensors in the byte order of another machine.", where=archive.where)
    states = [_payload(archive, name, kind) for kind in ("weights", "constants")]
    return _Reader(archive.where, archive.json(f"{begin}{name}.json"), *states).model(name), names


def _pickled(archive: Archive, member: str) -> dict[str, Callable[[], np.ndarray]]:
    """Tensors of a file of ``torch.save`` that is a member of the archive."""
    if member not in archive.names:
        return {}
    data = archive.read(member, 1 << 33)
    if not data:
        return {}
    where = f"{archive.where}/{member}" if archive.where else member
    found = tensors(load_archive(Archive(data, where)), where)
    return {k: (lambda v=v: v) for k, v in found.items()}


def _payload(archive: Archive, name: str, kind: str) -> dict[str, Callable[[], np.ndarray]]:
    """Tensors by ``data/KIND/NAME_KIND_config.json``."""
    folder = f"{archive.root}data/{kind}/"
    config = f"{folder}{name}_{kind}_config.json"
    if config not in archive.names:
        return {}
    entries = _field(archive.json(config), "config", dict, archive.where)
    return {k: _payload_reader(archive, folder, k, e) for k, e in entries.items()}


def _payload_reader(
    archive: Archive, folder: str, key: str, entry: Any
) -> Callable[[], np.ndarray]:
    where = f"{archive.where}, tensor {key!r}" if archive.where else f"tensor {key!r}"
    member = folder + _field(entry, "path_name", str, where)

    def pickled() -> np.ndarray:
        found = load_archive(Archive(archive.read(member, 1 << 33), where))
        if not hasattr(found, "numpy"):
            raise UnsupportedError("it is no plain tensor.", where=where)
        return found.numpy(where)

    if _field(entry, "use_pickle", bool, where):
        return pickled
    meta = entry.get("tensor_meta")

    def raw() -> np.ndarray:
        dtype = dtype_by_number(_field(meta, "dtype", int, where), where)
        shape = [_whole(d, where) for d in _field(meta, "sizes", list, where)]
        strides = [_whole(d, where) for d in _field(meta, "strides", list, where)]
        offset = _whole(_field(meta, "storage_offset", dict, where), where)
        if 0 in shape:
            return np.zeros(shape, dtype.numpy)
        return strided(archive.storage(member), dtype, shape, strides, offset, where)

    return raw


def _field(given: Any, name: str, kind: Any, where: str) -> Any:
    """A field of a JSON object, which must be there and of the type ``kind``."""
    value = given.get(name) if isinstance(given, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ModelError(f"the description lacks {name!r}, or it is wrong.", where=where)
    return value


def _union(given: Any, where: str) -> tuple[str, Any]:
    """The one field of a union of the schema."""
    if isinstance(given, dict):
        set_ = [(k, v) for k, v in given.items() if v is not None or k == "as_none"]
        if len(set_) == 1:
            return set_[0]
    raise ModelError(f"the description has {str(given)[:60]} where one value is.", where=where)


def _whole(given: Any, where: str) -> int:
    kind, value = _union(given, where)
    if kind != "as_int" or type(value) is not int:
        raise ModelError("a stored tensor has an open size.", where=where)
    return value


def _extent(given: Any, where: str) -> int | str:
    """A dimension: its size, or the text of what it is, one symbol or a term of some."""
    kind, value = _union(given, where)
    if kind == "as_int" and type(value) is int:
        return value
    if kind == "as_expr":
        text = _field(value, "expr_str", str, where)
        return re.sub(r"Integer\((-?\d+)\)", r"\1", _SYMBOL.sub(r"\1", text))
    raise ModelError("a dimension is neither a number nor a term.", where=where)


class _Reader:
    """One program: its JSON, and readers of its state and constants by their names."""

    def __init__(
        self,
        where: str,
        program: Any,
        state: Mapping[str, Callable[[], np.ndarray]],
        constants: Mapping[str, Callable[[], np.ndarray]],
    ):
        self.where, self.program = where, program
        self.stored = {**constants, **state}
        self.readers: dict[str, Callable[[], np.ndarray]] = {}
        self.nodes: list[FileNode] = []

    def field(self, given: Any, name: str, kind: Any) -> Any:
        return _field(given, name, kind, self.where)

    def model(self, name: str) -> FileModel:
        module = self.field(self.program, "graph_module", dict)
        version = self.program.get("schema_version")
        major = version.get("major") if isinstance(version, dict) else version
        graph, signature = self.field(module, "graph", dict), self.field(module, "signature", dict)
        inputs = self._inputs(graph, self.field(signature, "input_specs", list))
        self._walk(graph, {}, "", 0)
        names = _output_names(module, self.where)
        outputs = self._outputs(self.field(signature, "output_specs", list), names)
        torch = self.program.get("torch_version")
        return FileModel(
            f"PyTorch exported program, schema {major}", self.where, name, inputs, outputs,
            tuple(self.nodes), Tensors(self.readers),
            producer=f"PyTorch {torch}" if isinstance(torch, str) else "",
        )  # fmt: skip

    # -- inputs and outputs

    def _inputs(self, graph: Any, specs: Sequence[Any]) -> dict[str, SymbolicType]:
        """The caller's inputs; parameters, buffers and constants become readers."""
        found: dict[str, SymbolicType] = {}
        for spec in specs:
            kind, value = _union(spec, self.where)
            if kind == "user_input":
                arg, named = _union(self.field(value, "arg", dict), self.where)
                if arg == "as_tensor":
                    name = self.field(named, "name", str)
                    found[name] = self._type(graph, name)
                elif arg in ("as_sym_int", "as_sym_float", "as_sym_bool") and named.get("as_name"):
                    number = {"as_sym_int": INT64, "as_sym_float": dtype_of("float64")}
                    found[named["as_name"]] = SymbolicType(number.get(arg, dtype_of("bool")), ())
            elif kind in ("parameter", "buffer", "tensor_constant"):
                name = self.field(self.field(value, "arg", dict), "name", str)
                self.readers[name] = self._reader(self.field(value, f"{kind}_name", str))
            elif kind not in ("constant_input", "token"):
                raise UnsupportedError(f"the program has an input of the kind {kind!r}.",
                                       where=self.where)  # fmt: skip
        return found

    def _reader(self, name: str) -> Callable[[], np.ndarray]:
        def missing() -> np.ndarray:
            raise ModelError(f"the archive has no tensor {name!r}.", where=self.where)

        return self.stored.get(name, missing)

    def _type(self, graph: Any, name: str) -> SymbolicType:
        meta = self.field(graph, "tensor_values", dict).get(name)
        dims = tuple(_extent(d, self.where) for d in self.field(meta, "sizes", list))
        if any(isinstance(d, int) and d < 0 for d in dims):
            raise ModelError(f"the input {name!r} has the shape {dims}.", where=self.where)
        return SymbolicType(self._dtype(meta), dims)

    def _dtype(self, meta: Any) -> DType:
        return dtype_by_number(self.field(meta, "dtype", int), self.where)

    def _outputs(self, specs: Sequence[Any], names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        user = [_union(s, self.where) for s in specs]
        for kind, value in user:
            if kind.endswith("_mutation"):
                target = str(next((v for k, v in value.items() if k.endswith("_name")), "?"))
                warn(
                    f"{self.where or 'the program'} changes {target!r} when it is called: weft's "
                    "graph reads what is stored, at every call.", 4,
                )  # fmt: skip
        user = [v for k, v in user if k in ("user_output", "loss_output")]
        for k, spec in enumerate(user):
            arg = self.field(spec, "arg", dict)
            if "name" in arg:
                arg = {"as_tensor": arg}
            kind, value = _union(arg, self.where)
            if kind == "as_none":
                continue
            held: list[str] = []
            result = self._argument(arg, {}, held)
            if isinstance(result, str):
                continue
            if not isinstance(result, Ref):  # a number that is the same in every call
                held = [f"output {k}"]
                array = np.asarray(result)
                self.readers[held[0]] = lambda a=array: a
            name = names[k] if len(names) == len(user) else held[0]
            while name in found:
                name += "'"
            found[name] = held[0]
        return found

    # -- nodes

    def _walk(self, graph: Any, scope: Mapping[str, str], prefix: str, depth: int) -> None:
        """Add the nodes of ``graph``; ``scope`` has other names for values from outside."""
        if depth > MOST_NESTED:
            raise ModelError("graphs are nested too deeply.", where=self.where)
        scope = dict(scope)
        for given in self.field(graph, "nodes", list):
            target = self.field(given, "target", str)
            outputs = [o for a in self.field(given, "outputs", list) for o in self._made(a)]
            for o in outputs if prefix else ():
                scope[o] = prefix + o
            name = given.get("name") or next(filter(None, outputs), target)
            if not isinstance(name, str):
                raise ModelError("a node has a name that is none.", where=self.where)
            named = self.field(given, "inputs", list)
            made = tuple(scope.get(o, o) for o in outputs)
            if target.startswith("torch.ops.higher_order.wrap_with_"):
                self._inlined(named, scope, f"{prefix}{name}.", made, depth)
                continue
            held: list[str] = []
            args: dict[str, Any] = {}
            for k, a in enumerate(named):
                key = self.field(a, "name", str) or f"#{k}"
                args[key] = self._argument(self.field(a, "arg", dict), scope, held)
            self.nodes.append(FileNode(
                target.removeprefix("torch.ops.").removeprefix("aten."), prefix + name,
                tuple(held), made, {"args": args},
            ))  # fmt: skip

    def _inlined(
        self, named: Sequence[Any], scope: Mapping[str, str], prefix: str, made: Sequence[str],
        depth: int,
    ) -> None:  # fmt: skip
        """The body of a context of Python (no_grad, autocast), whose values are those around it."""
        parts = [_union(self.field(a, "arg", dict), self.where) for a in named]
        at = next((k for k, (kind, _) in enumerate(parts) if kind == "as_graph"), None)
        if at is None:
            raise ModelError("a wrapped graph is missing.", where=self.where)
        inner = self.field(parts[at][1], "graph", dict)
        held: list[str] = []
        for a in named[at + 1 :]:
            self._argument(self.field(a, "arg", dict), scope, held)
        own = [n for a in self.field(inner, "inputs", list) for n in self._made(a)]
        if len(own) != len(held):
            raise ModelError("a wrapped graph has other arguments.", where=self.where)
        self._walk(inner, dict(zip(own, held)), prefix, depth + 1)
        results: list[str] = []
        renamed = {o: prefix + o for n in self.field(inner, "nodes", list)
                   for a in self.field(n, "outputs", list) for o in self._made(a)}  # fmt: skip
        for a in self.field(inner, "outputs", list):
            self._argument(a, {**dict(zip(own, held)), **renamed}, results)
        for k, (value, out) in enumerate(zip(results, made, strict=False)):
            self.nodes.append(
                FileNode(
                    "alias.default", f"{prefix}{k}", (value,), (out,), {"args": {"self": Ref(0)}}
                )
            )

    def _made(self, given: Any) -> list[str]:
        """Names of the values that an output of a node is."""
        held: list[str] = []
        self._argument(given, {}, held)
        return held

    def _argument(self, given: Any, scope: Mapping[str, str], held: list[str]) -> Any:
        """The value of an argument; names of values are added to ``held``."""
        kind, value = _union(given, self.where)
        read = _ARGUMENTS.get(kind)
        if read is None:
            return Unreadable(kind)
        try:
            return read(self, value, scope, held)
        except (TypeError, KeyError, AttributeError, ValueError) as e:
            raise ModelError(f"an argument {kind} is wrong ({e}).", where=self.where) from e

    def hold(
        self, name: Any, scope: Mapping[str, str], held: list[str], number: bool = False
    ) -> Ref:
        """The reference to a value by its name."""
        if not isinstance(name, str) or not name:
            raise ModelError(f"a value has the name {name!r}.", where=self.where)
        held.append(scope.get(name, name))
        return Ref(len(held) - 1, number)


@dataclass(frozen=True)
class Unreadable:
    """An argument of a kind that weft does not know, for whoever asks for it."""

    kind: str


@dataclass(frozen=True)
class ScalarType:
    """An element type as an argument: its number in the schema."""

    number: int


def _tensor(r: _Reader, v: Any, scope: Mapping[str, str], held: list[str]) -> Ref:
    return r.hold(v["name"], scope, held)


def _optional(r: _Reader, v: Any, scope: Mapping[str, str], held: list[str]) -> Ref | None:
    kind, value = _union(v, r.where)
    return None if kind == "as_none" else _tensor(r, value, scope, held)


def _symbolic(plain: str, types: type | tuple[type, ...]) -> Callable[..., Any]:
    def read(r: _Reader, v: Any, scope: Mapping[str, str], held: list[str]) -> Any:
        kind, value = _union(v, r.where)
        if kind == "as_name":
            return r.hold(value, scope, held, number=True)
        if kind != plain or not isinstance(value, types):
            raise ValueError(f"{v} is no number")
        return value

    return read


def _each(read: Callable[..., Any]) -> Callable[..., Any]:
    return lambda r, v, scope, held: tuple(read(r, e, scope, held) for e in v)


def _plain(*types: type) -> Callable[..., Any]:
    def read(r: _Reader, v: Any, *_: Any) -> Any:
        if not isinstance(v, types) or (isinstance(v, bool) and bool not in types):
            raise ValueError(f"{str(v)[:40]!r}")
        return v

    return read


def _float(r: _Reader, v: Any, *_: Any) -> float:
    """Infinities and NaN are texts where the JSON is strict."""
    texts = ("Infinity", "-Infinity", "NaN", "inf", "-inf", "nan")
    return float(v) if v in texts else float(_plain(int, float)(r, v))


_SYM_INT, _SYM_BOOL = _symbolic("as_int", int), _symbolic("as_bool", bool)
_SYM_FLOAT = _symbolic("as_float", (int, float))
_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "as_none": lambda *_: None,
    "as_tensor": _tensor,
    "as_tensors": _each(_tensor),
    "as_optional_tensor": _optional,
    "as_optional_tensors": _each(_optional),
    "as_int": _plain(int),
    "as_ints": _each(_plain(int)),
    "as_float": _float,
    "as_floats": _each(_float),
    "as_bool": _plain(bool),
    "as_bools": _each(_plain(bool)),
    "as_string": _plain(str),
    "as_strings": _each(_plain(str)),
    "as_sym_int": _SYM_INT,
    "as_sym_ints": _each(_SYM_INT),
    "as_sym_float": _SYM_FLOAT,
    "as_sym_floats": _each(_SYM_FLOAT),
    "as_sym_bool": _SYM_BOOL,
    "as_sym_bools": _each(_SYM_BOOL),
    "as_scalar_type": lambda r, v, *_: ScalarType(_plain(int)(r, v)),
    "as_memory_format": lambda *_: None,
    "as_layout": lambda *_: None,
    "as_device": lambda *_: None,
}


def _output_names(module: Any, where: str) -> list[str]:
    """The keys of the dictionary that the module returns; none where it returns something else."""
    try:
        top = next(e for e in module["module_call_graph"] if e["fqn"] == "")
        spec = json.loads(top["signature"]["out_spec"])[1]
        flat = all(c["type"] is None for c in spec["children_spec"])
        keys = json.loads(spec["context"]) if spec["type"].endswith("dict") and flat else []
        return [k for k in keys if isinstance(k, str)] if isinstance(keys, list) else []
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration):
        return []
