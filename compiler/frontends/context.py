"""What a converter of one operator sees of a model, of whatever format: :class:`Context`.

A converter reads inputs, attributes and types through it, adds weft operators, and returns the
names of the tensors that are the node's outputs. It never sees symbolic shapes: every type is
static when a node is converted; where only data knows a size, the type has its bound
(:mod:`~weft.compiler.frontends.sized`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from ...runtime.errors import GraphError, ModelError, UnsupportedError
from ..graph.graph import Source
from ..types import TensorType
from .emit import Emitter
from .sized import Sizing
from .sized.arguments import Number, known, numbers
from .warn import warn

REQUIRED: Any = object()  # the default of ``attr``: the attribute must be there


class UnknownValueError(ModelError):
    """A value that must be known at compile time depends on the inputs of a call."""


class Context:
    """One node of a model while it is converted.

    Attributes
    ----------
    op : the operator's name in its format.
    inputs : names of weft tensors, ``""`` where an optional input is absent (trailing ones may be
        missing from the list altogether; :meth:`type`, :meth:`const` accept any position).
    n_outputs : how many outputs the node lists.
    source, where : the node, for errors.
    """

    def __init__(
        self,
        emitter: Emitter,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        wanted: Sequence[bool],
        source: Source,
    ):
        self._emitter, self._wanted = emitter, tuple(wanted)
        self.op = op
        self.inputs = list(inputs)
        self.n_outputs = len(outputs)
        self.source, self.where = source, str(source)
        self._hint = next((o for o in outputs if o), source.node or op)

    def __len__(self) -> int:
        """How many inputs the node lists."""
        return len(self.inputs)

    def input(self, i: int) -> str:
        """The tensor of input ``i``, ``""`` when it is absent."""
        return self.inputs[i] if i < len(self.inputs) else ""

    def output_wanted(self, k: int) -> bool:
        """Whether anything reads output ``k``."""
        return k < len(self._wanted) and self._wanted[k]

    # -- inputs

    def type(self, i: int) -> TensorType | None:
        """The type of input ``i``; None when it is absent."""
        name = self.input(i)
        return self._emitter.builder.types[name] if name else None

    def typeof(self, name: str) -> TensorType:
        """The type of a tensor by its weft name, also of one just added."""
        return self._emitter.builder.types[name]

    def is_const(self, i: int) -> bool:
        """Whether the value of input ``i`` is known at compile time (not so for an absent one)."""
        return self.input(i) in self._emitter.builder.constants

    def value_of(self, name: str) -> np.ndarray | None:
        """The value of a tensor by its weft name; None where it is not known at compile time."""
        return self._emitter.builder.constants.get(name)

    def const(self, i: int) -> np.ndarray | None:
        """The value of input ``i``, which must be known at compile time; None when absent.

        Raises :class:`UnknownValueError`, with what would make it known."""
        name = self.input(i)
        if not name:
            return None
        value = self.value_of(name)
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

    def unbounded(self, i: int) -> NoReturn:
        """Raise :class:`UnknownValueError`: input ``i`` is a size without a bound."""
        try:
            self.const(i)
        except UnknownValueError as e:
            more = "; or bound it in the model, as Clip and Min do"
            raise UnknownValueError(e.message, where=e.where, hint=f"{e.hint}{more}") from None
        raise AssertionError(f"input {i} of {self.where} is known")

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

    def filled(self, t: TensorType, shape: Sequence[int]) -> tuple[int, ...]:
        """``shape`` for the elements of ``t``: an extent of -1 is what the others leave."""
        found = list(shape)
        free = [k for k, d in enumerate(found) if d == -1]
        if len(free) > 1 or min(found, default=0) < -1:
            self.error(f"{found} leaves more than one extent open, or has negative ones.")
        if free:
            rest = math.prod(d for d in found if d != -1)
            if rest == 0 or t.size % rest:
                self.error(f"{t} with {t.size} elements cannot become {found}.")
            found[free[0]] = t.size // rest
        return tuple(found)

    # -- results

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

    def constant(self, array: Any) -> str:
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


AnyContext = TypeVar("AnyContext", bound=Context)


def run_converter(
    convert: Callable[[AnyContext], Sequence[str] | str], context: AnyContext
) -> list[str]:
    """The tensors for the node's outputs, as ``convert`` lists them.

    What Python and numpy raise for bad *values* (an index out of bounds, a mode that is in no
    table, shapes that do not fit) is the file's fault, as nothing else is unknown to a converter;
    it becomes a :class:`ModelError` that keeps the exception as its cause. What they raise for
    bad *code* (TypeError, AttributeError, NameError, AssertionError) is a bug of weft and is not
    hidden.
    """
    try:
        made: Sequence[str] | str = convert(context)
    except (ValueError, LookupError, ArithmeticError, MemoryError) as e:
        raise ModelError(
            f"weft could not read this node ({type(e).__name__}: {e}).", where=context.where
        ) from e
    except RecursionError as e:
        raise GraphError("the graph is nested too deeply.", where=context.where) from e
    return [made] if isinstance(made, str) else list(made)


__all__ = ["REQUIRED", "Context", "UnknownValueError", "run_converter"]
