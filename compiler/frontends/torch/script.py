"""TorchScript archives: their code is data, which is read as a tree and followed step by step.

An archive has the modules' attributes as a pickle and their methods as text in a part of Python's
grammar. :class:`Script` has both; a model of one node, ``script``, is made of a method, and
``script_run.py`` follows that method once extents of the inputs are known, so that what it asks
about shapes, options and attributes is answered while the graph is made. Nothing is executed.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....runtime.dtype import FLOAT32, INT64, dtype_of
from ....runtime.errors import InputError, ModelError, UnsupportedError
from ..model import FileModel, FileNode
from ..signature import SymbolicType
from .archive import Archive
from .pickles import Record, load_archive

_MOST_CODE = 1 << 24
_SCALARS = {"int": INT64, "float": dtype_of("float64"), "bool": dtype_of("bool")}


class Script:
    """The classes, functions and attributes of an archive. Raises :class:`ModelError` for a
    damaged one."""

    def __init__(self, archive: Archive):
        self.archive, self.where = archive, archive.where
        self.modules: dict[str, dict[str, ast.stmt]] = {}

    def root(self) -> Record:
        """The module, its attributes as they were stored: each call reads them again."""
        found = load_archive(self.archive)
        if not isinstance(found, Record):
            raise ModelError("the archive holds no module.", where=self.where)
        return found

    def constants(self) -> Any:
        """Tensors that the code refers to by number."""
        if f"{self.archive.root}constants.pkl" not in self.archive.names:
            return ()
        return load_archive(self.archive, "constants.pkl", "constants/")

    def named(self, path: str) -> ast.stmt:
        """The class or function with a qualified name."""
        module, _, name = path.rpartition(".")
        found = self._module(module).get(name)
        if found is None:
            raise ModelError(f"the code has no {path!r}.", where=self.where)
        return found

    def method(self, kind: str, name: str) -> ast.FunctionDef | None:
        """A method of a class; None where it has none of that name."""
        for s in self._class(kind).body:
            if isinstance(s, ast.FunctionDef) and s.name == name:
                return s
        return None

    def constant(self, kind: str, name: str) -> ast.expr | None:
        """What a class states for an attribute that its objects do not store."""
        for s in self._class(kind).body:
            target = s.target if isinstance(s, ast.AnnAssign) else None
            if isinstance(target, ast.Name) and target.id == name:
                assert isinstance(s, ast.AnnAssign)
                return s.value
        return None

    def _class(self, kind: str) -> ast.ClassDef:
        found = self.named(kind)
        if not isinstance(found, ast.ClassDef):
            raise ModelError(f"{kind!r} is no class.", where=self.where)
        return found

    def _module(self, path: str) -> dict[str, ast.stmt]:
        if path not in self.modules:
            member = f"{self.archive.root}code/{path.replace('.', '/')}.py"
            text = self.archive.read(member, _MOST_CODE)
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
                raise ModelError(f"{member!r} cannot be read ({e}).", where=self.where) from e
            self.modules[path] = {
                s.name: s for s in tree.body if isinstance(s, ast.ClassDef | ast.FunctionDef)
            }
        return self.modules[path]


def open_script(archive: Archive, wanted: str | None = None) -> FileModel:
    """A method of a TorchScript archive as a model of one node.

    ``wanted`` names another method than ``forward`` of the module, or of a part of it
    (``"encoder.forward"``). Tensors are float32 inputs of unknown rank, as TorchScript states
    neither; numbers are inputs that must be constants; what may be left out is left out."""
    script = Script(archive)
    path, _, name = (wanted or "forward").rpartition(".")
    owner = part_of(script.root(), path, archive.where)
    method = script.method(owner.kind, name)
    if method is None:
        raise InputError(f"there is no method {wanted or name!r}.", where=archive.where,
                         hint="signature='forward', or 'part.forward' of a part")  # fmt: skip
    inputs: dict[str, SymbolicType] = {}
    given = method.args.args[1:]
    plain = len(given) - len(method.args.defaults)
    for k, a in enumerate(given):
        kind = a.annotation.id if isinstance(a.annotation, ast.Name) else ""
        if kind == "Tensor":
            inputs[a.arg] = SymbolicType(FLOAT32, None)
        elif k < plain and kind in _SCALARS:
            inputs[a.arg] = SymbolicType(_SCALARS[kind], ())
        elif k < plain:
            raise UnsupportedError(f"the argument {a.arg!r} is neither a tensor nor a number.",
                                   where=archive.where)  # fmt: skip
    count = _results(method.returns, archive.where)
    outputs = ["output"] if count == 1 else [f"output{k}" for k in range(count)]
    made = [f"{o}~" for o in outputs]
    node = FileNode("script", f"{path}.{name}".strip("."), tuple(inputs), tuple(made),
                    {"script": script, "path": path, "method": name})  # fmt: skip
    return FileModel("TorchScript", archive.where, archive.root.strip("/") or "script", inputs,
                     dict(zip(outputs, made)), (node,), _Weights(script))  # fmt: skip


class _Weights(dict[str, np.ndarray]):
    """Stored tensors, for who counts them; the method reads its own."""

    def __init__(self, script: Script):
        super().__init__()
        self.script = script

    def __iter__(self) -> Iterator[str]:
        found = dict(_tensors(self.script.root()))
        self.update({k: v.numpy(self.script.where) for k, v in found.items()})
        return iter(found)


def _tensors(root: Record) -> Iterator[tuple[str, Any]]:
    stack: list[tuple[str, Any]] = [("", root)]
    seen: set[int] = set()
    while stack:
        path, value = stack.pop()
        if isinstance(value, Record) and id(value) not in seen:
            seen.add(id(value))
            stack += [(f"{path}.{k}".strip("."), v) for k, v in value.state.items()]
        elif hasattr(value, "numpy"):
            yield path, value


def part_of(root: Record, path: str, where: str) -> Record:
    """A part of a module by its path. Raises :class:`InputError` where there is none."""
    found: Any = root
    for name in filter(None, path.split(".")):
        found = found.state.get(name) if isinstance(found, Record) else None
    if not isinstance(found, Record):
        raise InputError(f"the module has no part {path!r}.", where=where)
    return found


def _results(returns: ast.expr | None, where: str) -> int:
    """How many tensors and numbers a method returns."""
    if isinstance(returns, ast.Name) and returns.id in ("Tensor", *_SCALARS):
        return 1
    head = returns.value if isinstance(returns, ast.Subscript) else None
    if isinstance(head, ast.Name) and head.id == "Tuple":
        assert isinstance(returns, ast.Subscript)
        parts = returns.slice.elts if isinstance(returns.slice, ast.Tuple) else [returns.slice]
        return sum(_results(p, where) for p in parts)
    raise UnsupportedError("a result that is neither a tensor nor a tuple of them.", where=where)


def called(script: Script, path: str, method: str) -> Counter[str]:
    """The operators that a method may call, with how often the text has each."""
    found: Counter[str] = Counter()
    owner = part_of(script.root(), path, script.where)
    seen: set[tuple[str, str]] = set()
    stack = [(owner, method)]
    while stack:
        record, name = stack.pop()
        f = script.method(record.kind, name)
        if f is None or (record.kind, name) in seen:
            continue
        seen.add((record.kind, name))
        for n in ast.walk(f):
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
                head = n.func.value
                if isinstance(head, ast.Name) and head.id == "torch":
                    found[n.func.attr] += 1
                elif isinstance(head, ast.Name) and head.id == "self":
                    stack.append((record, n.func.attr))
        parts = [v for v in record.state.values() if isinstance(v, Record)]
        stack += [(p, "forward") for p in parts]
    return found
