"""Graph models of TensorFlow.js: ``model.json`` and the shards of weights beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import ModelError
from ..model import FileModel
from ..tfjs_weights import json_of, read_json, read_weights, shards
from .nodes import Library, RawFunction, RawNode, Tensor, value_of, whole_graph
from .values import json_attribute, json_shape, json_tensor, type_code


def read(source: Any, outputs: Sequence[str] | None = None) -> FileModel:
    """What ``model.json`` says, of a path, a folder or bytes. Raises :class:`ModelError`."""
    source = json_of(source)
    where = str(source) if isinstance(source, str | Path) else ""
    found = read_json(source)
    topology = _dict(found.get("modelTopology"), "modelTopology", where)
    weights = read_weights(found, source)
    library = Library(where, _constants(weights, where))
    functions = _dict(topology.get("library") or {}, "the library", where).get("function") or []
    library.functions = {
        f.name: f for f in (_function(_dict(v, "a function", where), where) for v in functions)
    }
    library.producer = " ".join(
        v for k in ("generatedBy", "convertedBy") if isinstance(v := found.get(k), str)
    )
    raws = _nodes(topology.get("node"), where)
    ins, outs = _signature(found, where)
    if outputs is not None:
        outs = [Tensor(o, value_of(o, where)) for o in outputs]
    return whole_graph(raws, library, "tfjs-graph", Path(where).stem or "model", ins, outs)


def files_of(path: Path) -> tuple[Path, ...]:
    """The shards that a model names, none where it cannot be read."""
    try:
        model = read_json(json_of(path))
        names = shards(model, str(path))
    except ModelError:
        return ()
    file = Path(json_of(path))
    folders = dict.fromkeys((file.absolute().parent, file.resolve().parent))
    here = (file,) if file != path else ()
    return (*here, *(f / n for f in folders for n in names if "\0" not in n))


def _dict(value: Any, what: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{what} is no object.", where=where)
    return value


def _list(value: Any, what: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"{what} is no list.", where=where)
    return value


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ModelError(f"{what} is {str(value)[:60]!r}, no name.", where=where)
    return value


def _nodes(given: Any, where: str) -> list[RawNode]:
    return [_node(_dict(n, "a node", where), where) for n in _list(given, "its nodes", where)]


def _node(node: dict[str, Any], where: str) -> RawNode:
    name = _text(node.get("name"), "a node's name", where)
    op = _text(node.get("op"), f"the operator of {name!r}", where)
    inputs = _list(node.get("input") or [], f"what {name!r} reads", where)
    attrs = {
        key: json_attribute(value, f"{where}, node {name!r}")
        for key, value in _dict(node.get("attr") or {}, f"attr of {name!r}", where).items()
    }
    return RawNode(name, op, tuple(_text(i, f"an input of {name!r}", where) for i in inputs), attrs)


def _function(function: dict[str, Any], where: str) -> RawFunction:
    signature = _dict(function.get("signature"), "a function's signature", where)
    name = _text(signature.get("name"), "a function's name", where)
    inputs = []
    for a in _list(signature.get("inputArg") or [], f"arguments of {name!r}", where):
        a = _dict(a, "an argument", where)
        called = _text(a.get("name"), "an argument's name", where)
        inputs.append((called, type_code(a.get("type", 0), where)))
    ret = _dict(function.get("ret") or {}, f"results of {name!r}", where)
    order = [
        _text(_dict(a, "a result", where).get("name"), "a result's name", where)
        for a in _list(signature.get("outputArg") or [], f"results of {name!r}", where)
    ]
    outputs = {k: _text(ret.get(k), f"the result {k!r}", where) for k in order}
    return RawFunction(
        name, tuple(inputs), outputs, tuple(_nodes(function.get("nodeDef") or [], where))
    )


def _constants(
    weights: dict[str, np.ndarray], where: str
) -> Callable[[RawNode], Callable[[], np.ndarray]]:
    def constant(node: RawNode) -> Callable[[], np.ndarray]:
        def array() -> np.ndarray:
            value = weights.get(node.name)
            if value is None:
                if "value" not in node.attrs:
                    raise ModelError(f"the constant {node.name!r} has no value.", where=where)
                return json_tensor(node.attrs["value"], f"{where}, node {node.name!r}")
            code = node.attrs["dtype"]
            # TensorFlow.js has no integers of 64 bits: it keeps them as int32.
            return value.astype(code.known(where).numpy, copy=False)

        return array

    return constant


def _signature(found: dict[str, Any], where: str) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs and the outputs that a model states, in order: none where it states none."""
    signature = found.get("signature")
    if not signature:
        metadata = found.get("userDefinedMetadata")
        signature = metadata.get("signature") if isinstance(metadata, dict) else None
    if not isinstance(signature, dict):
        return [], []
    sides = []
    for side in ("inputs", "outputs"):
        tensors = []
        for key, info in _dict(signature.get(side) or {}, f"its {side}", where).items():
            info = _dict(info, f"{key!r} of its {side}", where)
            value = value_of(_text(info.get("name") or key, f"{key!r} of its {side}", where), where)
            shape = info.get("tensorShape")
            dims = None if shape is None else json_shape(shape, where)
            code = type_code(info["dtype"], where) if "dtype" in info else None
            tensors.append(Tensor(value, value, code, dims, stated=shape is not None))
        sides.append(list({t.value: t for t in tensors}.values()))
    return sides[0], sides[1]


__all__ = ["files_of", "read"]
