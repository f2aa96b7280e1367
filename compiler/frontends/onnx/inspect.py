"""What is in an ONNX model, for :func:`weft.compiler.frontends.inspect`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, defs

from ....runtime.errors import UnsupportedError
from ..describe import Description
from ..registered import ONNX_DOMAINS
from .control import CONTROL
from .converters import converter_of, converters
from .importer import read_by_outputs
from .reader import Model, open_model, symbolic_type
from .scope import live, ordered, subgraphs


def describe(source: str | Path | bytes | ModelProto) -> Description:
    """The :class:`Description` of a model. Raises :class:`ModelError` where it cannot be read."""
    model = open_model(source)
    graph = model.proto.graph
    operators: Counter[str] = Counter()
    missing: dict[str, list[str]] = {}
    own = {(f.domain, f.name) for f in model.proto.functions}
    read = read_by_outputs(model)
    for node in _nodes(model):
        domain = "" if node.domain in ONNX_DOMAINS else node.domain
        name = f"{domain}::{node.op_type}" if domain else node.op_type
        operators[name] += 1
        known = (node.domain, node.op_type) in own or _known(domain, node.op_type, model)
        if not known:
            label = node.name or next((o for o in node.output if o), "")
            missing.setdefault(f"operator {name}", []).append(label)
    given = {t.name for t in graph.initializer}
    constants = [*graph.initializer, *(t.values for t in graph.sparse_initializer)]
    constants += [a.t for n in _nodes(model) if n.op_type == "Constant" for a in n.attribute]
    versions = ", ".join(f"{d or 'ai.onnx'} {v}" for d, v in sorted(model.opsets.items()))
    proto = model.proto
    return Description(
        f"ONNX, IR version {proto.ir_version}, operator sets {versions}",
        " ".join(filter(None, (proto.producer_name, proto.producer_version))),
        graph.name,
        {v.name: _type(v, model) for v in graph.input if v.name not in given or v.name not in read},
        {v.name: _type(v, model) for v in graph.output},
        operators,
        sum(math.prod(t.dims) for t in constants),
        sum(_nbytes(t) for t in constants),
        missing,
    )


def operators() -> dict[str, list[str]]:
    """What is converted of each domain; operators that the standard defines by others are too."""
    domains = ("", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft")
    found = {f"onnx, {d or 'ai.onnx'}": list(converters(d)) for d in domains}
    found["onnx, ai.onnx"] += [c for c in CONTROL if c not in found["onnx, ai.onnx"]]
    return found


def _nodes(model: Model) -> Iterator[NodeProto]:
    """The nodes that outputs depend on, those in graphs of theirs, and those of functions."""
    graph: GraphProto = model.proto.graph
    outputs = {o.name for o in graph.output}
    stack = live(ordered(graph.node, model.file), outputs)[::-1]
    stack += [n for f in model.proto.functions for n in f.node]
    while stack:
        node = stack.pop()
        yield node
        stack += [n for g in subgraphs(node) for n in g.node]


def _known(domain: str, op: str, model: Model) -> bool:
    if (not domain and op in CONTROL) or converter_of(domain, op) is not None:
        return True
    with suppress(defs.SchemaError):
        schema: Any = defs.get_schema(op, model.opsets.get(domain, 1), domain)
        return schema.has_function or schema.has_context_dependent_function
    return False


def _type(value: ValueInfoProto, model: Model) -> str:
    try:
        return str(symbolic_type(value, model.file))
    except UnsupportedError as e:
        return e.message


def _nbytes(t: TensorProto) -> int:
    return t.ByteSize() if not t.external_data else 0
