"""ONNX model to graph: its inputs and outputs; ``walk.py`` converts what lies between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ....runtime.dtype import UINT8
from ....runtime.errors import ModelError, UnsupportedError
from ....runtime.labels import LABELS
from ...graph.graph import Graph, Source
from ...types import TensorType
from ..emit import Emitter
from ..finish import finished, named_output, tell_labels
from ..narrow import narrowed
from ..signature import SymbolicType, UnboundGraph, solve
from ..warn import ModelWarning, warn
from .ops_image import pictures
from .reader import Model, symbolic_type
from .scope import Scope, all_names, is_tensor, live, ordered, reads
from .tensors import narrow_type, stored_dtype
from .walk import Surroundings, Walk

__all__ = ["ModelWarning", "import_model"]


def import_model(model: Model, shapes: Mapping, constants: Mapping) -> Graph:
    """The graph of ``model``; an :class:`UnboundGraph` while input shapes are missing."""
    graph = model.proto.graph
    initialized = {t.name for t in graph.initializer}
    signature: dict[str, SymbolicType] = {}
    left_out: set[str] = set()
    files = pictures(graph)
    for value in graph.input:
        if not value.name or value.name in signature or value.name in left_out:
            raise ModelError(f"the input {value.name!r} is unnamed or twice.", where=model.file)
        # Who binds one axis means the bytes themselves.
        bytes_are_meant = value.name in constants or np.size(shapes.get(value.name, (0, 0))) == 1
        if value.name in files and not bytes_are_meant:
            signature[value.name] = _picture(value.name, model.file or graph.name)
            continue
        try:
            signature[value.name] = symbolic_type(value, model.file)
        except UnsupportedError:
            if value.name in read_by_outputs(model):
                raise
            warn(f"{model.file or graph.name}: the input {value.name!r}, which nothing reads and "
                 "whose type weft has not, is left out.")  # fmt: skip
            left_out.add(value.name)
    shapes = {k: v for k, v in shapes.items() if k not in left_out}
    constants = {k: v for k, v in constants.items() if k not in left_out}
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
        symbolic = any(
            isinstance(d, str)
            for t in signature.values()
            for d in (("?",) if t.dims is None else t.dims)
        )
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


def _picture(name: str, where: str) -> SymbolicType:
    """What a call gives of a file of an image: its pixels."""
    warn(f"{where}: the input {name!r} is a file of an image; weft takes its pixels in place of "
         "it, RGB, uint8[1, height, width, 3], as Pillow or a browser decodes it. A known file "
         f"is given by constants={{{name!r}: bytes}}.")  # fmt: skip
    return SymbolicType(UINT8, (1, f"{name}.height", f"{name}.width", 3))


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


def read_by_outputs(model: Model) -> set[str]:
    """The names that the outputs depend on."""
    graph = model.proto.graph
    outputs = {o.name for o in graph.output}
    nodes = live(ordered(graph.node, model.file), outputs)
    return outputs.union(*map(reads, nodes))


def _metadata(model: Model) -> dict[str, str]:
    return {p.key: p.value for p in model.proto.metadata_props if p.key != LABELS}


class _Added:
    """Adds operators for a graph input."""

    def __init__(self, emitter: Emitter, name: str):
        self._emitter, self._name = emitter, name

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """Add an operator of one output; returns its name."""
        source = Source("", self._name, "")
        return self._emitter.add(op, inputs, attrs, self._name, source)[0]

    def constant(self, array: np.ndarray) -> str:
        """A constant tensor."""
        return self._emitter.constant(array, self._name)


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
        walk = Walk(self.model, self.emitter, open_shapes=not self.strict)
        b.meta = _metadata(self.model)
        for k, t in types.items():
            if k not in values:
                b.input(k, t.dtype, t.shape)
            else:
                b.constant(values[k], k)
            scope.define(k, self._narrowed(k), self.model.file)
        walk.initializers(graph, scope, top=True)
        wanted = [o.name for o in graph.output]
        if not wanted:
            raise ModelError("the graph has no outputs.", where=self.model.file)
        if len(set(wanted)) < len(wanted):
            wanted = list(dict.fromkeys(wanted))
            warn(f"{self.model.file or name}: an output is listed twice; it is made once.")
        walk.body(graph.node, wanted, Surroundings(scope, self.model.opsets))
        walk.report()
        outputs = [self._output(o, scope, walk) for o in wanted]
        tell_labels(self.emitter, outputs, self.model.file)
        return finished(self.emitter, outputs, self.model.file)

    def _narrowed(self, name: str) -> str:
        """The tensor for the input ``name``: rounded to the numbers of its type in the model, where
        weft holds that in another one."""
        code = next(
            (v.type.tensor_type.elem_type for v in self.model.proto.graph.input if v.name == name),
            0,
        )
        narrow = narrow_type(code)
        if narrow is None:
            return name
        added = _Added(self.emitter, name)
        made = narrowed(added, name, self.emitter.builder.types[name].dtype, narrow)
        self.emitter.narrow[made] = narrow
        return made

    def _output(self, name: str, scope: Scope, walk: Walk) -> str:
        """The tensor for the graph output ``name``, which must have just that name."""
        b = self.emitter.builder
        tensor = scope.get(name)
        if tensor is None:
            raise ModelError(f"the output {name!r} is not made by any node.", where=self.model.file)
        if not is_tensor(tensor):
            kind = "an empty optional" if walk.sequences.get(tensor) is None else "a sequence"
            raise UnsupportedError(
                f"the output {name!r} is {kind}; weft gives tensors.", where=self.model.file
            )
        if tensor != name and name in b.inputs:
            raise UnsupportedError(
                f"the output {name!r} is an input whose type weft holds in another one.",
                where=self.model.file,
            )
        self._check_narrow(name, tensor)
        if tensor != name or name not in b.types:
            named_output(self.emitter, name, tensor, self.model.file)
        self._check_output(name, b.types[name])
        return name

    def _check_narrow(self, name: str, tensor: str) -> None:
        """As :meth:`_check_output`, of types that are held in others."""
        outputs = self.model.proto.graph.output
        code = next((o.type.tensor_type.elem_type for o in outputs if o.name == name), 0)
        if code and narrow_type(code) != self.emitter.narrow.get(tensor):
            raise ModelError(
                f"the output {name!r} is declared {narrow_type(code) or stored_dtype(code)}, but "
                f"the nodes make {self.emitter.element(tensor)}.",
                where=self.model.file,
            )

    def _check_output(self, name: str, have: TensorType) -> None:
        """The declared element type must be the true one. A shape there is often out of date, as
        after a model was cut or given another batch: the nodes say what is right."""
        want = self.results.get(name)
        if want is None:
            return
        if want.dtype != have.dtype or name in self.emitter.strings:
            have_text = "strings" if name in self.emitter.strings else str(have)
            raise ModelError(
                f"the output {name!r} is declared {want}, but the nodes make {have_text}.",
                where=self.model.file,
            )
        dims = want.dims if self.strict else None
        if dims is not None and (
            len(dims) != len(have.shape)
            or any(
                isinstance(d, int) and d != n and k not in self.emitter.sizes.get(name, {})
                for k, (d, n) in enumerate(zip(dims, have.shape))
            )
        ):
            file = self.model.file or self.emitter.builder.name
            warn(f"{file}: the output {name!r} is declared {want}, but the nodes make {have}.")
