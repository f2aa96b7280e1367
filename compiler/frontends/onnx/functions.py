"""Functions: the model's own, and those by which the standard defines an operator.

An operator that has no converter is replaced by its definition in the standard, if it has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, helper
from onnx.shape_inference import InferenceError

from ....runtime.errors import ModelError
from ...types import TensorType
from .schema import schema_of
from .scope import subgraphs


@dataclass(frozen=True)
class FunctionCall:
    """A function, the node that calls it, and the operator sets of its body."""

    function: FunctionProto
    node: NodeProto
    opsets: Mapping[str, int]
    defaults: Sequence[AttributeProto] = ()

    def argument(self, name: str) -> AttributeProto | None:
        """The attribute ``name`` of the call, or the function's default."""
        for a in (*self.node.attribute, *self.function.attribute_proto, *self.defaults):
            if a.name == name:
                return a
        return None


def with_attributes(node: NodeProto, call: FunctionCall, where: str) -> NodeProto:
    """``node`` of a function's body with references to the call's attributes replaced.

    A reference to an attribute that the call does not have is left out, by the standard.
    """
    if not any(a.ref_attr_name for a in node.attribute) and not any(subgraphs(node)):
        return node
    result = NodeProto()
    result.CopyFrom(node)
    _substitute(result, call, where, 0)
    return result


def _substitute(node: NodeProto, call: FunctionCall, where: str, depth: int) -> None:
    if depth > 40:
        raise ModelError("subgraphs are nested too deeply.", where=where)
    attributes = list(node.attribute)
    del node.attribute[:]
    for a in attributes:
        if not a.ref_attr_name:
            node.attribute.append(a)
            continue
        value = call.argument(a.ref_attr_name)
        if value is not None:
            copy = node.attribute.add()
            copy.CopyFrom(value)
            copy.name = a.name
    for g in subgraphs(node):
        for n in g.node:
            _substitute(n, call, where, depth + 1)


def needs_types(node: NodeProto, domain: str, opset: int) -> bool:
    """Whether the standard's definition of ``node`` depends on the types of its inputs."""
    schema: Any = schema_of(node.op_type, domain, opset)
    return schema is not None and schema.has_context_dependent_function


def default_attributes(node: NodeProto, domain: str, opset: int) -> list[AttributeProto]:
    """The attributes that ``node`` has by its schema's defaults."""
    schema = schema_of(node.op_type, domain, opset)
    attributes = schema.attributes.values() if schema else ()
    return [a.default_value for a in attributes if a.default_value.name]


def library_function(
    node: NodeProto, domain: str, opset: int, types: Sequence[TensorType | None], where: str = ""
) -> FunctionProto | None:
    """The standard's definition of ``node`` by simpler operators; None when it has none.

    ``types`` are those of its inputs (None: absent or not known), for definitions that depend on
    them. Raises :class:`ModelError`, with ``where``, for inputs that no definition takes.
    """
    schema: Any = schema_of(node.op_type, domain, opset)  # its stubs are incomplete
    if schema is None:
        return None
    versions = [v for v in schema.function_opset_versions if v <= opset]
    if versions:
        data = schema.get_function_with_opset_version(max(versions))
    else:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        if not versions or any(t is None and i for t, i in zip(types, node.input)):
            return None
        described = [_describe(t) if t else onnx.TypeProto() for t in types]
        try:
            data = schema.get_context_dependent_function_with_opset_version(
                max(versions), node.SerializeToString(), [d.SerializeToString() for d in described]
            )
        except (ValueError, RuntimeError, InferenceError) as e:  # onnx computes the definition
            raise ModelError(
                f"the definition of {node.op_type} does not fit its inputs: {e}.", where=where
            ) from e
    function = FunctionProto()
    function.ParseFromString(data)
    return function if function.node else None


def _describe(t: TensorType) -> onnx.TypeProto:
    code = helper.np_dtype_to_tensor_dtype(t.dtype.numpy)
    return helper.make_tensor_type_proto(code, t.shape)
