"""Frozen graphs: a GraphDef whose variables have become constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import ModelError
from ....runtime.files import read_file
from ..messages import parse
from ..model import FileModel
from .nodes import Library, RawFunction, RawNode, Tensor, value_of, whole_graph
from .proto import MESSAGES
from .values import TypeCode, attribute, tensor_of

MOST_BYTES = 1 << 31  # of a protocol buffer


def read(source: Any, outputs: Sequence[str] | None = None) -> FileModel:
    """What a file says, of a path or bytes. Its outputs are ``outputs``, else what no node reads.
    Raises :class:`ModelError`."""
    if isinstance(source, str | Path):
        data = read_file(source, MOST_BYTES, error=ModelError, what="the model")
        where = str(source)
    else:
        data, where = bytes(source), ""
    proto = parse(MESSAGES["GraphDef"], data, where, "a GraphDef of TensorFlow")
    if not proto.node:
        raise ModelError("it has no nodes.", where=where)
    library, raws = library_of(proto, where)
    outs = [Tensor(o, value_of(o, where)) for o in outputs or ()]
    return whole_graph(raws, library, "graph-def", Path(where).stem or "model", [], outs)


def library_of(proto: Any, where: str) -> tuple[Library, list[RawNode]]:
    """The functions of a GraphDef, and its nodes."""
    library = Library(where, _constants(where))
    library.functions = {f.signature.name: _function(f, where) for f in proto.library.function}
    library.producer = f"TensorFlow GraphDef {proto.versions.producer}"
    return library, [_node(n, where) for n in proto.node]


def _node(n: Any, where: str) -> RawNode:
    if not n.name or not n.op:
        raise ModelError(f"a node is called {n.name!r}, its operator {n.op!r}.", where=where)
    attrs = {k: attribute(v, where) for k, v in n.attr.items()}
    return RawNode(n.name, n.op, tuple(n.input), attrs)


def _function(f: Any, where: str) -> RawFunction:
    inputs = tuple((a.name, TypeCode(a.type)) for a in f.signature.input_arg)
    missing = [a.name for a in f.signature.output_arg if a.name not in f.ret]
    if missing:
        raise ModelError(f"{f.signature.name!r} has no result {missing[0]!r}.", where=where)
    outputs = {a.name: f.ret[a.name] for a in f.signature.output_arg}
    return RawFunction(
        f.signature.name, inputs, outputs, tuple(_node(n, where) for n in f.node_def)
    )


def _constants(where: str) -> Callable[[RawNode], Callable[[], np.ndarray]]:
    def constant(node: RawNode) -> Callable[[], np.ndarray]:
        def array() -> np.ndarray:
            value = node.attrs.get("value")
            if not hasattr(value, "tensor_shape"):
                raise ModelError(f"the constant {node.name!r} has no value.", where=where)
            return tensor_of(value, f"{where}, node {node.name!r}")

        return array

    return constant


__all__ = ["MOST_BYTES", "library_of", "read"]
