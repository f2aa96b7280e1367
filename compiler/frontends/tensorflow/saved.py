"""SavedModels: a folder with graph, functions and signatures, and the values of variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import InputError, ModelError
from ....runtime.files import read_file
from ..content import folder_of
from ..messages import parse
from ..model import FileModel
from .bundle import Bundle
from .graphdef import MOST_BYTES, library_of
from .nodes import Library, RawNode, Tensor, split, value_of, whole_graph
from .proto import MESSAGES
from .recognise import FILE
from .values import TypeCode, shape_of, tensor_of

VARIABLES = "variables"
_DEFAULTS = ("serving_default", "default")
_HIDDEN = ("__saved_model_init_op", "__saved_model_train_op")


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that a SavedModel is read from, beside ``path``."""
    folder = folder_of(path) or path.parent
    try:
        found = sorted((folder / VARIABLES).iterdir())
    except OSError:
        found = []
    return (*((folder / FILE,) if folder == path else ()), *found)


def read(
    source: Any, signature: str | None = None, outputs: Sequence[str] | None = None
) -> tuple[FileModel, list[str]]:
    """The function of a SavedModel that has a signature, and the names of all signatures, that one
    first. Raises :class:`ModelError`, and :class:`InputError` for a signature that there is not."""
    folder = folder_of(source)
    file = folder / FILE if folder is not None else source
    if isinstance(file, str | Path):
        folder = folder or Path(file).absolute().parent
        data = read_file(file, MOST_BYTES, error=ModelError, what="the model")
        where = str(source)
    else:
        data, where = bytes(file), ""
    saved = parse(MESSAGES["SavedModel"], data, where, "a SavedModel of TensorFlow")
    if not saved.meta_graphs:
        raise ModelError("it has no graph.", where=where)
    meta = next((m for m in saved.meta_graphs if "serve" in m.meta_info_def.tags),
                saved.meta_graphs[0])  # fmt: skip
    name, names = _chosen(meta, signature, where)
    library, raws = library_of(meta.graph_def, where)
    library.producer = f"TensorFlow {meta.meta_info_def.tensorflow_version}".strip()
    library.variables = _Variables(folder, meta.saver_def.restore_op_name, raws, library)
    chosen = meta.signature_def[name]
    ins, outs = (_tensors(side, where) for side in (chosen.inputs, chosen.outputs))
    if outputs is not None:
        outs = _asked(outs, outputs, where)
    title = folder.name if folder is not None else "model"
    return whole_graph(raws, library, "saved-model", title, ins, outs), names


def _chosen(meta: Any, signature: str | None, where: str) -> tuple[str, list[str]]:
    known = sorted(k for k in meta.signature_def if k not in _HIDDEN)
    if signature is None:
        found = next((d for d in _DEFAULTS if d in known), known[0] if len(known) == 1 else None)
        if found is None:
            raise InputError(
                "the model has several signatures, and none is the default one."
                if known else "the model has no signature.",
                where=where, hint=f"signature= one of {', '.join(known)}" if known else None,
            )  # fmt: skip
    elif signature in known:
        found = signature
    else:
        raise InputError(
            f"the model has no signature {signature!r}.",
            where=where, hint=f"one of {', '.join(known)}" if known else None,
        )  # fmt: skip
    return found, [found, *(k for k in known if k != found)]


def _tensors(side: Mapping[str, Any], where: str) -> list[Tensor]:
    """Inputs or outputs, by their names in order, as TensorFlow has them."""
    made = []
    for key in sorted(side):
        info = side[key]
        if not info.name:
            raise ModelError(f"the tensor {key!r} of the signature has no name.", where=where)
        code, dims = TypeCode(info.dtype), shape_of(info.tensor_shape)
        made.append(Tensor(key, value_of(info.name, where), code, dims, stated=True))
    return made


def _asked(known: Sequence[Tensor], outputs: Sequence[str], where: str) -> list[Tensor]:
    by_name = {t.name: t for t in known}
    return [by_name.get(o) or Tensor(o, value_of(o, where)) for o in outputs]


class _Variables(Mapping[str, np.ndarray]):
    """The values of variables, by the names that their nodes have: which tensor of the checkpoint
    each is, the graph says that restores them."""

    def __init__(self, folder: Path | None, restore: str, raws: Sequence[RawNode], lib: Library):
        self._folder, self._library = folder, lib
        self._restore, self._raws = restore, raws
        self._keys: dict[str, str] | None = None
        self._bundle: Bundle | None = None

    def _known(self) -> dict[str, str]:
        if self._keys is None:
            found = _Restore(self._raws, self._library).keys(split(self._restore)[0])
            self._keys = found
        return self._keys

    def __getitem__(self, name: str) -> np.ndarray:
        key = self._known()[name]
        if self._folder is None:
            raise ModelError(
                f"the variable {name!r} lies in another file, but the model was not loaded from "
                "one.",
                hint="load the folder of the SavedModel by its path",
            )
        if self._bundle is None:
            self._bundle = Bundle((self._folder / VARIABLES).resolve(), VARIABLES)
        return self._bundle.tensor(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


class _Restore:
    """What the operator that restores a checkpoint assigns to which variable."""

    def __init__(self, raws: Sequence[RawNode], library: Library):
        self._raws, self._library = raws, library
        self.found: dict[str, str] = {}

    def keys(self, restore: str) -> dict[str, str]:
        """Names of variables to keys of the checkpoint."""
        nodes = {n.name: n for n in self._raws}
        if restore in nodes:
            seen, stack = set(), [restore]
            while stack:
                name = stack.pop()
                if name in seen or name not in nodes:
                    continue
                seen.add(name)
                n = nodes[name]
                self._assigned(n, nodes, {})
                stack += [split(i.lstrip("^"))[0] for i in n.inputs]
        return self.found

    def _assigned(self, n: RawNode, nodes: Mapping[str, RawNode], given: Mapping[str, str]) -> None:
        """Note what a node assigns; ``given`` are the variables that a function's arguments are."""
        if n.op in ("Assign", "AssignVariableOp") and len(n.inputs) >= 2:
            variable = _variable(n.inputs[0], nodes, given)
            key = _key(n.inputs[1], nodes)
            if variable and key:
                self.found.setdefault(variable, key)
            return
        called = getattr(n.attrs.get("f"), "name", n.op if n.op in self._library.functions else "")
        function = self._library.functions.get(called)
        if function is None or given:  # restoring has one function at most
            return
        inner = {}
        for (formal, _), value in zip(function.inputs, n.inputs):
            variable = _variable(value, nodes, given)
            if variable:
                inner[formal] = variable
        body = {m.name: m for m in function.nodes}
        for m in function.nodes:
            self._assigned(m, body, inner or {"": ""})


def _follow(value: str, nodes: Mapping[str, RawNode]) -> tuple[str, int]:
    """The node that makes a value, behind those that hand it on, and the number of its output."""
    for _ in range(len(nodes) + 1):
        parts = value.split(":")
        node, k = parts[0], parts[-1] if len(parts) > 1 else "0"
        n = nodes.get(node)
        if n is None or n.op not in ("Identity", "ReadVariableOp", "Enter") or not n.inputs:
            return node, int(k) if k.isdecimal() else 0
        value = n.inputs[0]
    return "", 0


def _variable(value: str, nodes: Mapping[str, RawNode], given: Mapping[str, str]) -> str:
    node, _ = _follow(value, nodes)
    if node in given:
        return given[node]
    n = nodes.get(node)
    if n is None or n.op not in ("VarHandleOp", "VariableV2", "Variable"):
        return ""
    shared = n.attrs.get("shared_name")
    return (shared.decode("utf-8", "replace") if isinstance(shared, bytes) else "") or n.name


def _key(value: str, nodes: Mapping[str, RawNode]) -> str:
    """The key of what RestoreV2 makes."""
    node, k = _follow(value, nodes)
    n = nodes.get(node)
    if n is None or n.op != "RestoreV2" or len(n.inputs) < 2:
        return ""
    names = nodes.get(_follow(n.inputs[1], nodes)[0])
    if names is None or names.op != "Const" or "value" not in names.attrs:
        return ""
    keys = tensor_of(names.attrs["value"], "names of variables").reshape(-1)
    return keys[k].decode("utf-8", "replace") if k < len(keys) else ""


__all__ = ["files_of", "read"]
