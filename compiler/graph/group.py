"""A fused group of graph nodes: what becomes one kernel.

The fusion pass cuts a graph into groups; :func:`express` turns one into tensor expressions, and
:func:`structural_key` names its meaning independently of tensor names, so that the many equal
blocks of a network are compiled once and found again in the cache.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir import tensor as te
from ...ir.expr import Const, const
from ...ir.operations.extern import ExternOp
from ...ir.tensor import ComputeOp, Operation, PlaceholderOp, Tensor
from ...runtime.errors import WeftError
from ..ops import get, is_registered
from ..types import TensorType
from .graph import Graph, Node


@dataclass(frozen=True)
class Group:
    """Nodes in topological order that one kernel computes.

    ``inputs`` are the tensors read that the group does not make (graph inputs, constants, results
    of other groups), ``outputs`` those of its results that are read elsewhere or are outputs of
    the graph.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, graph: Graph, nodes: Sequence[Node]) -> Group:
        """The group of ``nodes``, its inputs in order of first use."""
        made = {o for n in nodes for o in n.outputs if o}
        inside = {id(n) for n in nodes}
        inputs = dict.fromkeys(i for n in nodes for i in n.inputs if i and i not in made)
        outputs = tuple(
            o
            for n in nodes
            for o in n.outputs
            if o in graph.results or any(id(c) not in inside for c in graph.consumers.get(o, ()))
        )
        return cls(tuple(nodes), tuple(inputs), outputs)

    @property
    def label(self) -> str:
        """The nodes for people: their names in the model where they have one."""
        return " + ".join(n.source.node or n.outputs[0] for n in self.nodes)

    @property
    def where(self) -> str:
        """The nodes for error messages: model, names, operators."""
        file = next((n.source.file for n in self.nodes if n.source.file), "")
        names = ", ".join(f"{n.source.node or n.outputs[0]!s} ({n.op})" for n in self.nodes)
        return f"{file}, nodes {names}" if file else f"nodes {names}"

    def __str__(self) -> str:
        body = "\n".join(f"    {n}" for n in self.nodes)
        return f"group({', '.join(self.inputs)}) -> {', '.join(self.outputs)}\n{body}"


@dataclass(frozen=True, eq=False)
class GroupExpr:
    """A group as tensor expressions. ``inputs`` are the names of ``placeholders`` in order (size-1
    constants are literals and do not appear); ``outputs`` are in the order of the group's."""

    inputs: tuple[str, ...]
    placeholders: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def is_literal(name: str, constants: Mapping[str, np.ndarray]) -> bool:
    """Whether a constant is built into the kernels that read it (it has one element)."""
    value = constants.get(name)
    return value is not None and value.size == 1


def express(
    group: Group, types: Mapping[str, TensorType], constants: Mapping[str, np.ndarray]
) -> GroupExpr:
    """The tensor expressions of a group.

    Raises the WeftError of an operator's ``compute`` with the node as its place.
    """
    table: dict[str, Tensor] = {}
    names: list[str] = []
    for name in group.inputs:
        t = types[name]
        if is_literal(name, constants):
            table[name] = _literal(constants[name], t)
            continue
        table[name] = te.placeholder(t.shape, t.dtype, name=f"p{len(names)}")
        names.append(name)
    placeholders = tuple(table[n] for n in names)
    for node in group.nodes:
        out_types = [types[o] for o in node.outputs if o]
        try:
            made = get(node.op).compute(
                [table[i] if i else None for i in node.inputs], node.attrs, out_types
            )
        except WeftError as e:
            if e.where:
                raise
            raise type(e)(e.message, where=str(node.source), hint=e.hint) from e
        made = (made,) if isinstance(made, Tensor) else tuple(made)
        wanted = [o for o in node.outputs if o]
        for k, (o, tensor) in enumerate(zip(node.outputs, made)):
            if o:
                _check(node, k, tensor, types[o])
                table[o] = tensor
        assert all(o in table for o in wanted), f"{node.op} computed {len(made)} of {wanted}"
    outputs: list[Tensor] = []
    for o in group.outputs:
        tensor = table[o]
        if isinstance(tensor.op, PlaceholderOp) or tensor in outputs:
            tensor = _copy(tensor)
        outputs.append(tensor)
    return GroupExpr(tuple(names), placeholders, tuple(outputs))


def _literal(value: np.ndarray, t: TensorType) -> Tensor:
    element = const(value.reshape(-1)[0].item(), t.dtype)
    made = te.compute(t.shape, lambda *_: element, name="literal")
    assert isinstance(made, Tensor)
    return made


def _copy(tensor: Tensor) -> Tensor:
    """A tensor of its own with the same elements: a kernel must write its results."""
    made = te.compute(tensor.shape, lambda *i: tensor[i], name="copy")
    assert isinstance(made, Tensor)
    return made


def _check(node: Node, k: int, tensor: Tensor, t: TensorType) -> None:
    shape = tuple(d.value if isinstance(d, Const) else None for d in tensor.shape)
    assert shape == t.shape and tensor.dtype == t.dtype, (
        f"output {k} of {node} is computed as {tensor.dtype}{shape} and inferred as {t}"
    )


def structural_key(
    group: Group, types: Mapping[str, TensorType], constants: Mapping[str, np.ndarray]
) -> str:
    """64 hexadecimal digits: equal for groups that compile to the same kernel.

    Operators, attributes, element types, shapes, layouts, connectivity and the values of literals
    count; names and the values of other constants do not.
    """
    number = {name: str(k) for k, name in enumerate(group.inputs)}
    lines = []
    for name in group.inputs:
        literal = constants[name].tobytes().hex() if is_literal(name, constants) else ""
        lines.append(f"in {_type_text(types[name])} {literal}")
    for node in group.nodes:
        args = ",".join(number[i] if i else "-" for i in node.inputs)
        for o in node.outputs:
            if o:
                number[o] = str(len(number))
        made = ";".join(_type_text(types[o]) if o else "-" for o in node.outputs)
        lines.append(f"{node.op}({args}){{{attrs_key(node.attrs)}}}->{made}")
        if is_registered(node.op):  # the source of our own is part of every cache's fingerprint
            lines.append(_meaning(node, types))
    lines.append("out " + ",".join(number[o] for o in group.outputs))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _meaning(node: Node, types: Mapping[str, TensorType]) -> str:
    """What a node computes, as text: an operator from outside may change under one name."""
    arrays = [te.placeholder(types[i].shape, types[i].dtype, f"in{k}") if i else None
              for k, i in enumerate(node.inputs)]  # fmt: skip
    made = get(node.op).compute(arrays, node.attrs, [types[o] for o in node.outputs if o])
    lines: list[str] = []
    seen: set[Operation] = set()

    def visit(op: Operation) -> None:
        if op in seen:
            return
        seen.add(op)
        for t in op.inputs:
            visit(t.op)
        if isinstance(op, ExternOp):
            lines.append(f"{op.name}{list(op.outs)} {op.body}")
        if not isinstance(op, ComputeOp):
            return
        shape = [str(a.extent) for a in op.axes]
        lines.append(f"{op.name}{shape} {[f'{b.dtype} {b}' for b in op.body]}")

    for tensor in (made,) if isinstance(made, Tensor) else made:
        visit(tensor.op)
    return "; ".join(lines)


def _type_text(t: TensorType) -> str:
    layout = "" if t.layout is None else f"{t.layout.axes}*{t.layout.layers}"
    return f"{t.dtype}{list(t.shape)}{layout}"


def attrs_key(attrs: Mapping[str, Any]) -> str:
    """A text that differs when attributes do."""
    return ",".join(f"{k}={_attr_key(v)}" for k, v in sorted(attrs.items()))


def _attr_key(value: Any) -> str:
    """A text that differs when the value or its type differs: ``1``, ``1.0`` and ``True`` do."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array:{value.dtype}{list(value.shape)}:{digest}"
    if isinstance(value, tuple | list):
        return "(" + ",".join(map(_attr_key, value)) + ")"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{_attr_key(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, float):
        return f"float:{value.hex()}"
    return f"{type(value).__name__}:{value!r}"


def kernel_name(group: Group, key: str, digits: int = 8) -> str:
    """A readable C symbol: up to four operators and ``digits`` digits of the key."""
    ops = [n.op for n in group.nodes]
    stem = "_".join(ops if len(ops) <= 4 else [*ops[:3], f"and_{len(ops) - 3}_more"])
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', stem)[:80]}_{key[:digits]}"
