"""What a converter of one ONNX operator sees of the model: :class:`NodeContext`.

A converter reads inputs, attributes and types through it, adds weft operators, and returns the
names of the tensors that are the node's outputs. It never sees symbolic shapes: every type is
static when a node is converted; where only data knows a size, the type has its bound
(:mod:`~weft.compiler.frontends.sized`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from onnx import AttributeProto, NodeProto, helper

from ....runtime.errors import ModelError, UnsupportedError
from ...graph.graph import Source
from ...types import TensorType
from ..emit import Emitter
from ..narrow import Narrow
from ..sized import Sizing
from ..sized.arguments import Number, known, numbers
from .scope import UNKNOWN, Sequences
from .tensors import TensorReader, narrow_type
from .warn import warn

REQUIRED: Any = object()  # the default of NodeContext.attr: the attribute must be there

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


class UnknownValueError(ModelError):
    """A value that must be known at compile time depends on the inputs of a call."""


class NodeContext:
    """One ONNX node while it is converted.

    Attributes
    ----------
    op, domain, opset : the operator, and the version of its domain that the model asks for.
    inputs : names of weft tensors, ``""`` where an optional input is absent (trailing ones may be
        missing from the list altogether; :meth:`type`, :meth:`const` accept any position).
    n_outputs : how many outputs the node lists.
    source, where : the node, for errors.
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
        self._sequences = sequences
        self._emitter, self._reader, self._wanted = emitter, reader, tuple(wanted)
        self._attributes = {a.name: a for a in node.attribute}
        self.op, self.domain, self.opset = node.op_type, node.domain, opset
        self.inputs = list(inputs)
        self.n_outputs = len(node.output)
        self.source, self.where = source, str(source)
        self._hint = next((o for o in node.output if o), node.name or node.op_type)

    def __len__(self) -> int:
        """How many inputs the node lists."""
        return len(self.inputs)

    def input(self, i: int) -> str:
        """The tensor of input ``i``, ``""`` when it is absent."""
        return self.inputs[i] if i < len(self.inputs) else ""

    def output_wanted(self, k: int) -> bool:
        """Whether anything reads output ``k``."""
        return k < len(self._wanted) and self._wanted[k]

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

    def type(self, i: int) -> TensorType | None:
        """The type of input ``i``; None when it is absent."""
        name = self.input(i)
        return self._emitter.builder.types[name] if name else None

    def typeof(self, name: str) -> TensorType:
        """The type of a tensor by its weft name, also of one just added."""
        return self._emitter.builder.types[name]

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

    def is_const(self, i: int) -> bool:
        """Whether the value of input ``i`` is known at compile time (not so for an absent one)."""
        return self.input(i) in self._emitter.builder.constants

    def const(self, i: int) -> np.ndarray | None:
        """The value of input ``i``, which must be known at compile time; None when absent."""
        name = self.input(i)
        if not name:
            return None
        value = self._emitter.builder.constants.get(name)
        if value is None:
            roots = self._emitter.ancestors(name)
            listed = ", ".join(map(repr, roots)) or "no graph input"
            raise UnknownValueError(
                f"input {i} ({name!r}) must be known at compile time, but depends on {listed}.",
                where=self.where,
                hint="bind it: constants={" + ", ".join(f"{r!r}: value" for r in roots) + "}"
                if roots
                else "the value was too large to compute at compile time",
            )
        return value

    def strings(self, i: int) -> tuple[str, ...] | None:
        """The strings that the numbers of input ``i`` are indices of; None where they are
        numbers. Only converters of ``strings.TAKERS`` meet such inputs."""
        found = self._emitter.strings.get(self.input(i))
        return None if found is None else tuple(map(str, found))

    def is_open(self, i: int) -> bool:
        """Whether only data knows the size of input ``i``."""
        return self.input(i) in self._emitter.sizes

    def numbers(self, i: int) -> list[Number] | None:
        """The integers of input ``i``, an argument, and what is known of each; None when absent.
        Raises :class:`ModelError` where the number of them is not known."""
        if not self.input(i):
            return None
        if self.is_open(i):
            self.unsupported(f"input {i} has as many numbers as only data knows")
        if self.is_const(i):
            value = self.const(i)
            assert value is not None
            return [known(int(v)) for v in value.reshape(-1)]
        return numbers(self.sizing, self.input(i))

    @property
    def sizing(self) -> Sizing:
        """What adds operators with sizes that only data knows."""
        return Sizing(self._emitter, self._hint, self.source)

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

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """Add an operator of one output; returns its name. Constant at once if its inputs are."""
        (name,) = self.add_many(op, inputs, 1, **attrs)
        return name

    def add_many(
        self, op: str, inputs: Sequence[str], n_outputs: int, **attrs: Any
    ) -> tuple[str, ...]:
        """Add an operator of ``n_outputs`` outputs; returns their names."""
        names = self._emitter.add(op, inputs, attrs, self._hint, self.source)
        assert len(names) == n_outputs, f"{op} has {len(names)} outputs, not {n_outputs}"
        return names

    def sized(self, tensor: str, sizes: Mapping[int, str]) -> str:
        """State that axes of ``tensor`` are as long as int64 scalars say, and have bounds in its
        type; returns its name."""
        return self.sizing.declare(tensor, sizes)

    def constant(self, array: np.ndarray) -> str:
        """A constant tensor. Check the size of what a file asks for before making ``array``."""
        return self._emitter.constant(np.asarray(array), self._hint)

    def as_strings(self, indices: str, strings: Sequence[str]) -> str:
        """``indices``, int64, as a tensor of ``strings``; of no other node's."""
        self._emitter.strings[indices] = tuple(strings)
        return indices

    def as_maps(self, values: str, keys: Sequence[str | int]) -> str:
        """``values`` as a sequence of maps: a row for each, a column for each of ``keys``."""
        copy = self.add("identity", [values])
        self._emitter.columns[copy] = tuple(keys)
        return copy

    def warn(self, text: str) -> None:
        """Warn of what weft makes of the node."""
        warn(f"{self.where}: {text}", 3)

    # -- errors

    def error(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise :class:`ModelError`: the file is wrong at this node."""
        raise ModelError(message, where=self.where, hint=hint)

    def unsupported(self, message: str) -> NoReturn:
        """Raise :class:`UnsupportedError`: the file is sound, but weft has not got this."""
        raise UnsupportedError(message, where=self.where)


Converter = Callable[[NodeContext], "Sequence[str] | str"]
