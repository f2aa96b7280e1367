"""Inputs with symbolic dimensions, and giving them values.

A model whose input shapes are not all known is an :class:`UnboundGraph`: it has a signature but no
nodes yet. Binding imports the model again with numbers in place of the symbols, so that every
graph that has nodes is static.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...runtime.dtype import DType
from ...runtime.errors import InputError
from ..graph.graph import Graph
from ..types import MAX_ELEMENTS, TensorType

Shapes = Mapping[str, "Sequence[int] | int"]
Constants = Mapping[str, Any]


def by_name(what: str, given: Any) -> Mapping[str, Any]:
    """``given`` if it maps names to values, an empty mapping for None."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(
            f"{what} is {type(given).__name__}, not a mapping.",
            hint=f"{what}={{name: value}} by the names of inputs and dimensions",
        )
    return given


@dataclass(frozen=True)
class SymbolicType:
    """Element type and dimensions; a name is a dimension not known yet, ``dims`` None no rank."""

    dtype: DType
    dims: tuple[int | str, ...] | None

    def __str__(self) -> str:
        return f"{self.dtype}[{'...' if self.dims is None else ', '.join(map(str, self.dims))}]"


Signature = Mapping[str, SymbolicType]
Rebuild = Callable[[Mapping[str, TensorType], Mapping[str, np.ndarray]], Graph]


@dataclass(frozen=True)
class UnboundGraph(Graph):
    """A model with symbolic input shapes.

    Attributes
    ----------
    signature, results : the symbolic types of inputs and outputs.
    rebuild : makes the graph from static input types and the inputs that are constants.
    shapes, constants_given : what is bound already.
    """

    signature: Signature = field(default_factory=dict)
    results: Signature = field(default_factory=dict)
    rebuild: Rebuild | None = None
    shapes: Shapes = field(default_factory=dict)
    given: Constants = field(default_factory=dict)

    @property
    def symbols(self) -> tuple[str, ...]:
        """What has to be bound: names of dimensions, and of inputs whose rank is unknown."""
        return tuple(solve(self.signature, self.shapes, self.given)[2])

    def bind(self, shapes: Shapes | None = None, constants: Constants | None = None) -> Graph:
        """The graph with ``shapes`` (an input's name to its shape, or a dimension's name to its
        size) and ``constants`` (an input's name to its value; it is then no input any more).

        Raises :class:`InputError` for unknown names, contradictions, and what is still missing.
        """
        shapes = {**self.shapes, **by_name("shapes", shapes)}
        types, values, missing = solve(
            self.signature, shapes, {**self.given, **by_name("constants", constants)}, self.name
        )
        if missing:
            known = ", ".join(f"{k}: {t}" for k, t in self.signature.items())
            example = ", ".join(f"{m!r}: ..." for m in missing)
            raise InputError(
                f"the shapes are not complete; missing: {', '.join(missing)}.",
                where=self.name,
                hint=f"give shapes={{{example}}}, on the command line --shape {missing[0]}=…; "
                f"the inputs are {known}",
            )
        assert self.rebuild is not None
        return self.rebuild(types, values)

    def verify(self) -> Graph:
        self.bind()  # raises, naming what is missing
        return self

    def __str__(self) -> str:
        lines = [f"graph {self.name}("]
        lines += [f"    {k}: {t}," for k, t in self.signature.items()]
        results = [f"    return {k}: {t}" for k, t in self.results.items()]
        return "\n".join([*lines, ")", f"    unbound: {', '.join(self.symbols)}", *results])


def bind(graph: Graph, shapes: Shapes | None = None, constants: Constants | None = None) -> Graph:
    """``graph`` with every input's shape known, and without the inputs given as ``constants``.

    A graph that is static already must agree with ``shapes``.
    """
    if isinstance(graph, UnboundGraph):
        return graph.bind(shapes, constants)
    if not shapes and not constants:
        return graph
    signature = {i: SymbolicType(graph.types[i].dtype, graph.types[i].shape) for i in graph.inputs}
    _, values, _ = solve(signature, shapes or {}, constants or {}, graph.name)
    inputs = tuple(i for i in graph.inputs if i not in values)
    return graph.replace(inputs=inputs, constants={**graph.constants, **values}).verify()


def solve(
    signature: Signature, shapes: Shapes, constants: Constants, where: str = ""
) -> tuple[dict[str, TensorType], dict[str, np.ndarray], list[str]]:
    """Static types of the inputs, arrays of the constants, and the names that are still missing."""
    sizes: dict[str, int] = {}
    ranks: dict[str, tuple[int, ...]] = {}
    symbols = {d for t in signature.values() for d in t.dims or () if isinstance(d, str)}
    values = _arrays(signature, constants, where)
    for name, value in values.items():
        _unify(signature[name].dims, value.shape, name, sizes, where)
        ranks[name] = value.shape
    for name, given in shapes.items():
        listed = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
        if name in symbols and not (listed and name in signature):
            _unify((name,), (_size(given, name, where),), name, sizes, where)
        elif name in signature:
            dims_given: Any = given if listed else (given,)
            shape = tuple(_size(d, name, where) for d in dims_given)
            if name in values and values[name].shape != shape:
                raise InputError(
                    f"the constant {name!r} has the shape {values[name].shape}, not {shape}.",
                    where=where,
                )
            _unify(signature[name].dims, shape, name, sizes, where)
            ranks[name] = shape
        else:
            raise InputError(
                f"{name!r} is neither an input nor a dimension of the model.",
                where=where,
                hint=f"inputs: {', '.join(signature) or 'none'}; "
                f"dimensions: {', '.join(sorted(symbols)) or 'none'}",
            )
    types: dict[str, TensorType] = {}
    missing: dict[str, None] = {}
    for name, t in signature.items():
        if t.dims is None:
            dims: tuple[int | str, ...] = ranks.get(name, (name,))
        else:
            dims = tuple(sizes.get(d, d) if isinstance(d, str) else d for d in t.dims)
        shape = tuple(d for d in dims if isinstance(d, int))
        missing.update((d, None) for d in dims if isinstance(d, str))
        if math.prod(shape) > MAX_ELEMENTS:
            raise InputError(
                f"the input {name!r} would have {math.prod(shape)} elements ({list(shape)}); "
                f"{MAX_ELEMENTS} is the most.",
                where=where,
            )
        if len(shape) == len(dims):
            types[name] = TensorType(t.dtype, shape)
    return types, values, list(missing)


def _size(d: Any, name: str, where: str) -> int:
    try:
        n = operator.index(d)
    except TypeError:
        raise InputError(f"the size {d!r} for {name!r} is not an integer.", where=where) from None
    if n < 0:
        raise InputError(f"the size {n} for {name!r} is negative.", where=where)
    return n


def _unify(
    dims: tuple[int | str, ...] | None,
    shape: tuple[int, ...],
    name: str,
    sizes: dict[str, int],
    where: str,
) -> None:
    """Record in ``sizes`` what ``shape`` says about the symbols in ``dims``."""
    if dims is None:
        return
    if len(dims) != len(shape):
        raise InputError(
            f"{name!r} has {len(dims)} dimensions ({list(dims)}), the shape given has "
            f"{len(shape)} ({list(shape)}).",
            where=where,
        )
    for axis, (d, n) in enumerate(zip(dims, shape)):
        known = sizes.setdefault(d, n) if isinstance(d, str) else d
        if known != n:
            what = f"the dimension {d!r}" if isinstance(d, str) else f"axis {axis} of {name!r}"
            raise InputError(
                f"{what} is {known}, and given as {n}.",
                where=where,
                hint="a dimension that the model fixes cannot be bound to something else"
                if isinstance(d, int)
                else "one name of a dimension stands for one size everywhere",
            )


def _arrays(signature: Signature, constants: Constants, where: str) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}
    for name, given in constants.items():
        if name not in signature:
            raise InputError(
                f"the constant {name!r} is not an input of the model.",
                where=where,
                hint=f"inputs: {', '.join(signature) or 'none'}",
            )
        want = signature[name].dtype
        try:
            value = np.asarray(given)
            if not isinstance(given, (np.ndarray, np.generic)):
                value = value.astype(want.numpy, casting="same_kind", copy=False)
        except (ValueError, TypeError) as e:
            raise InputError(f"the constant {name!r} is no {want} array: {e}.", where=where) from e
        if value.dtype != want.numpy:
            raise InputError(
                f"the constant {name!r} has the dtype {value.dtype}, the model wants {want}.",
                where=where,
            )
        values[name] = value.copy()  # the caller may change his array later
    return values
