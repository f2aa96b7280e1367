"""ONNX model to graph: its inputs and outputs; ``walk.py`` converts what lies between."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from ....runtime.errors import ModelError, UnsupportedError
from ...graph.graph import Graph, Source
from ...types import TensorType
from ..emit import Emitter
from ..signature import SymbolicType, UnboundGraph, solve
from .reader import Model, symbolic_type
from .scope import Scope, all_names
from .walk import Surroundings, Walk


def import_model(model: Model, shapes: Mapping, constants: Mapping) -> Graph:
    """The graph of ``model``; an :class:`UnboundGraph` while input shapes are missing."""
    graph = model.proto.graph
    initialized = {t.name for t in graph.initializer}
    signature: dict[str, SymbolicType] = {}
    for value in graph.input:
        if not value.name or value.name in signature:
            raise ModelError(f"the input {value.name!r} is unnamed or twice.", where=model.file)
        signature[value.name] = symbolic_type(value, model.file)
    results = _results(model)
    # Before IR version 4 every initializer had to be an input too; since then, an input with an
    # initializer has a default value. In both cases it is a constant unless somebody binds it.
    bound = {**shapes, **constants}
    signature = {k: t for k, t in signature.items() if k not in initialized or k in bound}
    name = graph.name or "graph"

    def rebuild(types: Mapping[str, TensorType], values: Mapping[str, np.ndarray]) -> Graph:
        return _Import(model, results, strict=False).run(name, types, values)

    types, values, missing = solve(signature, shapes, constants, model.file or name)
    if not missing:
        symbolic = any(isinstance(d, str) for t in signature.values() for d in t.dims or ("?",))
        return _Import(model, results, strict=not symbolic).run(name, types, values)
    return UnboundGraph(
        name,
        tuple(k for k in signature if k not in values),
        tuple(v.name for v in graph.output),
        (),
        {},
        {},
        _metadata(model),
        signature=signature,
        results=results,
        rebuild=rebuild,
        shapes=dict(shapes),
        given=dict(constants),
    )


def _results(model: Model) -> dict[str, SymbolicType]:
    """The declared types of the outputs, of those that have one that weft knows.

    Others (sequences, strings) can only come from operators that will be reported.
    """
    table: dict[str, SymbolicType] = {}
    for v in model.proto.graph.output:
        if v.type.WhichOneof("value") == "tensor_type" and v.type.tensor_type.elem_type:
            with suppress(UnsupportedError):
                table[v.name] = symbolic_type(v, model.file)
    return table


def _metadata(model: Model) -> dict[str, str]:
    return {p.key: p.value for p in model.proto.metadata_props}


class _Import:
    """One graph out of a model, with static input types."""

    def __init__(self, model: Model, results: Mapping[str, SymbolicType], *, strict: bool):
        self.model, self.results, self.strict = model, results, strict
        graph = model.proto.graph
        reserved = all_names(graph.node) | {v.name for v in graph.output}
        reserved |= {v.name for v in graph.input} | {t.name for t in graph.initializer}
        self.emitter = Emitter(graph.name or "graph", reserved)

    def run(
        self, name: str, types: Mapping[str, TensorType], values: Mapping[str, np.ndarray]
    ) -> Graph:
        """The graph; inputs that have ``values`` are constants in it."""
        graph, b, scope = self.model.proto.graph, self.emitter.builder, Scope()
        walk = Walk(self.model, self.emitter)
        b.meta = _metadata(self.model)
        for k, t in types.items():
            if k not in values:
                b.input(k, t.dtype, t.shape)
            else:
                b.constant(values[k], k)
            scope.define(k, k, self.model.file)
        walk.initializers(graph, scope, top=True)
        wanted = [o.name for o in graph.output]
        if not wanted:
            raise ModelError("the graph has no outputs.", where=self.model.file)
        if len(set(wanted)) < len(wanted):
            raise ModelError("an output is listed twice.", where=self.model.file)
        walk.body(graph.node, wanted, Surroundings(scope, self.model.opsets))
        walk.report()
        outputs = [self._output(o, scope) for o in wanted]
        used = {i for n in b.nodes for i in n.inputs} | set(outputs)
        b.constants = {k: c for k, c in b.constants.items() if k in used}
        return b.finish(outputs)

    def _output(self, name: str, scope: Scope) -> str:
        """The tensor for the graph output ``name``, which must have just that name."""
        b = self.emitter.builder
        tensor = scope.get(name)
        if tensor is None:
            raise ModelError(f"the output {name!r} is not made by any node.", where=self.model.file)
        if name in b.inputs:
            # A graph's input cannot also be its output: a consumer of the program would have to
            # know that no kernel writes it. The copy takes the name, the input keeps its own.
            name = self.emitter.fresh(f"{name}.out")
        if tensor != name or name not in b.types:
            source = Source(self.model.file, name, "")
            if tensor in b.constants:
                b.constant(b.constants[tensor], name)
            else:
                b.add("identity", [tensor], outputs=[name], source=source)
        self._check_output(name, b.types[name])
        return name

    def _check_output(self, name: str, have: TensorType) -> None:
        want = self.results.get(name)
        if want is None:
            return
        dims = want.dims if self.strict else None
        wrong = want.dtype != have.dtype or (
            dims is not None
            and (
                len(dims) != len(have.shape)
                or any(isinstance(d, int) and d != n for d, n in zip(dims, have.shape))
            )
        )
        if wrong:
            raise ModelError(
                f"the output {name!r} is declared {want}, but the nodes make {have}.",
                where=self.model.file,
            )
