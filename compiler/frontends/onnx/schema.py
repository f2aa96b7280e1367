"""Checking a node against the operator schema of the ``onnx`` library before it is converted.

Converters may therefore rely on the number of inputs, on the types of attributes, and on inputs
that must have the same element type having it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import onnx
from onnx import NodeProto, TensorProto
from onnx.defs import OpSchema, SchemaError

from ....runtime.dtype import DType
from ....runtime.errors import ModelError
from ..narrow import Narrow
from .tensors import narrow_type, onnx_dtype

# ONNX Runtime's optimiser writes these into models of operator sets before the one they came with.
_EARLIER = {"LayerNormalization": 17}


@lru_cache(maxsize=1024)
def schema_of(op: str, domain: str, opset: int) -> OpSchema | None:
    """The newest schema of ``op`` not newer than ``opset``; None when the library has none."""
    if not domain:
        opset = max(opset, _EARLIER.get(op, 0))
    try:
        return onnx.defs.get_schema(op, opset, domain)
    except SchemaError:
        return None


@cache
def _first_versions() -> dict[tuple[str, str], int]:
    """By domain and operator, the operator set in which it came."""
    table: dict[tuple[str, str], int] = {}
    for s in onnx.defs.get_all_schemas_with_history():
        key = s.domain, s.name
        table[key] = min(s.since_version, table.get(key, s.since_version))
    return table


def check_node(node: NodeProto, domain: str, opset: int, where: str) -> None:
    """Arity and attributes. Raises :class:`ModelError`."""
    schema = schema_of(node.op_type, domain, opset)
    if schema is None:
        came = _first_versions().get((domain, node.op_type), 0)
        if came > opset:
            raise ModelError(
                f"{node.op_type} came with the operator set {came} of {domain or 'ai.onnx'}; the "
                f"model asks for {opset}.",
                where=where,
                hint="the file was changed after it was written, or declares the wrong version",
            )
        return
    for what, n, low, high in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not low <= n <= high:
            raise ModelError(f"it has {n} {what}; {low} to {high} are allowed.", where=where)
    seen: set[str] = set()
    for a in node.attribute:
        if a.name in seen:
            raise ModelError(f"the attribute {a.name!r} is given twice.", where=where)
        seen.add(a.name)
        formal = schema.attributes.get(a.name)
        if formal is None:
            if a.name == "consumed_inputs":  # written by converters from opset 1; no meaning
                continue
            raise ModelError(
                f"{node.op_type} of opset {opset} has no attribute {a.name!r}.",
                where=where,
                hint="attributes: " + (", ".join(sorted(schema.attributes)) or "none"),
            )
        kind: Any = formal.type  # an enum that its stubs do not know
        if int(kind.value) != a.type:
            raise ModelError(f"the attribute {a.name!r} is not of type {kind.name}.", where=where)
    for name, formal in schema.attributes.items():
        if formal.required and name not in seen:
            raise ModelError(f"the attribute {name!r} is missing.", where=where)


def check_types(
    node: NodeProto,
    domain: str,
    opset: int,
    types: Sequence[DType | Narrow | None],
    where: str,
) -> None:
    """Element types of the inputs (None: absent) against the schema's type variables.

    A type that a later version of the operator allows is let through: the converters are written
    for the newest.
    """
    schema = schema_of(node.op_type, domain, opset)
    if schema is None:
        return
    newest = schema_of(node.op_type, domain, onnx.defs.onnx_opset_version()) or schema
    variables: dict[str, DType | Narrow] = {}
    for k, dtype in enumerate(types):
        formal = schema.inputs[min(k, len(schema.inputs) - 1)]
        if dtype is None:
            if formal.option != OpSchema.FormalParameterOption.Optional:
                raise ModelError(f"the input {k} ({formal.name}) is absent.", where=where)
            continue
        allowed = _allowed(schema, k) | _allowed(newest, k)
        if allowed and dtype not in allowed:
            raise ModelError(
                f"the input {k} ({formal.name}) is {dtype}.",
                where=where,
                hint="allowed: " + ", ".join(sorted(map(str, allowed))),
            )
        heterogeneous = (
            formal.option == OpSchema.FormalParameterOption.Variadic and not formal.is_homogeneous
        )
        if heterogeneous or formal.type_str not in _variables(schema):
            continue
        if variables.setdefault(formal.type_str, dtype) != dtype:
            raise ModelError(
                f"the input {k} ({formal.name}) is {dtype}, another one of type "
                f"{formal.type_str} is {variables[formal.type_str]}; they must be equal.",
                where=where,
                hint="a Cast is missing",
            )


@lru_cache(maxsize=1024)
def _variables(schema: OpSchema) -> frozenset[str]:
    return frozenset(c.type_param_str for c in schema.type_constraints)


@lru_cache(maxsize=4096)
def _allowed(schema: OpSchema, k: int) -> frozenset[DType | Narrow]:
    """The element types of the formal input that takes the ``k``-th input."""
    if not schema.inputs:
        return frozenset()
    return frozenset(
        d for t in schema.inputs[min(k, len(schema.inputs) - 1)].types if (d := _dtype(t))
    )


@lru_cache(maxsize=64)
def _dtype(text: str) -> DType | Narrow | None:
    """``"tensor(float)"`` to a type; None for sequences, strings and what weft has not got."""
    name = text.removeprefix("tensor(").removesuffix(")").upper()
    code = dict(TensorProto.DataType.items()).get(name)
    try:
        return (narrow_type(code) or onnx_dtype(code)) if code is not None else None
    except ModelError:
        return None


def like_inputs(
    node: NodeProto, domain: str, opset: int, narrow: Sequence[Narrow | None]
) -> list[Narrow | None]:
    """The narrow types of the outputs by those of the inputs: what has the same type variable has
    the same type."""
    schema = schema_of(node.op_type, domain, opset)
    if schema is None or not any(narrow):
        return [None] * len(node.output)
    variables = {
        schema.inputs[min(k, len(schema.inputs) - 1)].type_str: t
        for k, t in enumerate(narrow)
        if t is not None
    }
    formals = schema.outputs
    return [
        variables.get(formals[min(k, len(formals) - 1)].type_str) for k in range(len(node.output))
    ]
