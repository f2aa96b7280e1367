"""What a converter of one ONNX operator sees of the model: :class:`NodeContext`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnx import AttributeProto, NodeProto, helper

from ....runtime.errors import ModelError
from ...graph.graph import Source
from ..context import REQUIRED, Context, UnknownValueError
from ..emit import Emitter
from ..narrow import Narrow
from .scope import UNKNOWN, Sequences
from .tensors import TensorReader, narrow_type

_PLAIN = {
    AttributeProto.FLOAT: lambda a: float(a.f),
    AttributeProto.INT: lambda a: int(a.i),
    AttributeProto.FLOATS: lambda a: tuple(float(v) for v in a.floats),
    AttributeProto.INTS: lambda a: tuple(int(v) for v in a.ints),
    AttributeProto.GRAPH: lambda a: a.g,
    AttributeProto.TYPE_PROTO: lambda a: a.tp,
}


class ByDefinition(Exception):
    """A converter leaves its node to the standard's definition of the operator."""


class NodeContext(Context):
    """One ONNX node while it is converted; see :class:`Context`.

    Attributes
    ----------
    domain, opset : of the operator, and the version of its domain that the model asks for.
    """

    def __init__(
        self,
        emitter: Emitter,
        reader: TensorReader,
        node: NodeProto,
        inputs: Sequence[str],
        opset: int,
        wanted: Sequence[bool],
        source: Source,
        sequences: Sequences,
    ):
        super().__init__(emitter, node.op_type, inputs, node.output, wanted, source)
        self._sequences, self._reader = sequences, reader
        self._attributes = {a.name: a for a in node.attribute}
        self.domain, self.opset = node.domain, opset

    # -- attributes

    @property
    def attributes(self) -> list[str]:
        """The names of the attributes that the node states."""
        return list(self._attributes)

    def has_attr(self, name: str) -> bool:
        """Whether the node states the attribute, rather than leaving it to its default."""
        return name in self._attributes

    def attr_narrow(self, name: str) -> Narrow | None:
        """As :meth:`narrow`, of an attribute that is a tensor."""
        return narrow_type(self._attributes[name].t.data_type)

    def attr(self, name: str, default: Any = REQUIRED) -> Any:
        """The attribute as a Python value: int, float, str, a tuple of these, or an array."""
        a = self._attributes.get(name)
        if a is None:
            if default is REQUIRED:
                raise ModelError(f"the attribute {name!r} is missing.", where=self.where)
            return default
        if a.type in _PLAIN:
            return _PLAIN[a.type](a)
        if a.type in (AttributeProto.STRING, AttributeProto.STRINGS):
            try:
                many = a.type == AttributeProto.STRINGS
                return tuple(s.decode() for s in a.strings) if many else a.s.decode()
            except UnicodeDecodeError:
                raise ModelError(f"the attribute {name!r} is no UTF-8.", where=self.where) from None
        if a.type == AttributeProto.TENSOR:
            return self._reader.array(a.t, self.where)
        if a.type == AttributeProto.SPARSE_TENSOR:
            return self._reader.dense(a.sparse_tensor, self.where)
        kind = AttributeProto.AttributeType.keys()
        known = a.type in AttributeProto.AttributeType.values()
        text = kind[AttributeProto.AttributeType.values().index(a.type)] if known else a.type
        return self.unsupported(f"the attribute {name!r} has the type {text}")

    def state(self, name: str, value: Any) -> None:
        """Give the node the attribute ``name``, in place of one that it may have."""
        self._attributes[name] = helper.make_attribute(name, value)

    # -- inputs

    def narrow(self, i: int) -> Narrow | None:
        """The element type of input ``i`` in the model, where its type here only holds it."""
        return self.narrow_of(self.input(i))

    def narrow_of(self, name: str) -> Narrow | None:
        """As :meth:`narrow`, of a tensor by its weft name."""
        return self._emitter.narrow.get(name)

    def hold(self, name: str, narrow: Narrow | None) -> str:
        """Note that a tensor just added holds elements of ``narrow``; returns its name."""
        if narrow is not None:
            self._emitter.narrow[name] = narrow
        return name

    def strings(self, i: int) -> tuple[str, ...] | None:
        """The strings that the numbers of input ``i`` are indices of; None where they are
        numbers. Only converters of ``strings.TAKERS`` meet such inputs."""
        found = self._emitter.strings.get(self.input(i))
        return None if found is None else tuple(map(str, found))

    def sequence(self, i: int) -> tuple[str, ...]:
        """The tensors of input ``i``, which must be a sequence."""
        found = self._sequences.get(self.input(i))
        if found is None:
            self.error(f"input {i} is not a sequence.")
        if UNKNOWN in found:
            self.unsupported("a sequence of what could not be converted")
        return found

    # -- results

    def make_sequence(self, elements: Sequence[str]) -> str:
        """A sequence of tensors, as an output of the node."""
        return self._sequences.make(elements)


Converter = Callable[[NodeContext], "Sequence[str] | str"]


__all__ = ["REQUIRED", "ByDefinition", "Converter", "NodeContext", "UnknownValueError"]
