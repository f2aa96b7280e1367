"""Which layers a model calls on what: from its config to a :class:`FileModel`.

A node is one call of a layer. What it was called with, lists and constants and all, is its
attribute ``call``: ``(args, kwargs)`` in which a ``Ref`` stands for an input of the node.
Models inside of a model are taken apart, so that their layers are nodes beside the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ....runtime.dtype import DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ..model import FileModel, FileNode
from ..signature import SymbolicType
from .calls import Call, Ref, Value, call_of, entries_of, refs, tensors_of
from .layer import Layer
from .policy import policy_of

MAX_NODES = 1 << 17


class Topology:
    """The calls of a model and of those in it, as nodes."""

    def __init__(self, model: Layer, where: str):
        self.model, self.where = model, where
        self.nodes: list[FileNode] = []
        self.same: dict[str, str] = {}  # values that are others
        self.inputs: dict[str, SymbolicType] = {}
        self.expanded = 0

    def outermost(self) -> dict[str, str]:
        """Take the model apart; its outputs by the names that Keras has for them."""
        entries, outputs = self._expand(self.model, "", None)
        names: dict[str, str] = {}
        for name, value in zip(entries, outputs):
            unique, k = name, 0
            while unique in names:
                k += 1
                unique = f"{name}_{k}"
            names[unique] = self._resolved(value)
        self.nodes = [
            FileNode(n.op, n.name, tuple(map(self._resolved, n.inputs)), n.outputs, n.attrs)
            for n in self.nodes
        ]
        return names

    def called(self, prefix: str, inputs: Sequence[str]) -> list[str]:
        """Take the model apart where it is called on values; the values of its outputs."""
        _, outputs = self._expand(self.model, prefix, inputs)
        self.nodes = [
            FileNode(n.op, n.name, tuple(map(self._resolved, n.inputs)), n.outputs, n.attrs)
            for n in self.nodes
        ]
        return [self._resolved(o) for o in outputs]

    def _expand(
        self, model: Layer, prefix: str, given: Sequence[str] | None
    ) -> tuple[list[str], list[str]]:
        """The names of the model's outputs, and their values. ``given``: the values of its inputs;
        None: they are those of the graph."""
        self.expanded += 1
        if self.expanded > MAX_NODES:
            self._fail(f"the model calls models more than {MAX_NODES} times.")
        if model.class_name == "Sequential":
            return self._sequential(model, prefix, given)
        return self._functional(model, prefix, given)

    # -- a list of layers

    def _sequential(
        self, model: Layer, prefix: str, given: Sequence[str] | None
    ) -> tuple[list[str], list[str]]:
        layers = model.layers
        if not layers:
            self._fail(f"the model {model.name!r} has no layers.")
        if given is None:
            first = layers[0]
            if first.is_model:
                name, t = self._first_input(first)
            elif first.class_name == "InputLayer":
                name, t = first.name, self._input_type(first)
            else:
                name, t = f"{first.name}_input", self._built_type(model, first)
            self.inputs[name] = t
            value = name
        else:
            (value,) = self._exactly(given, 1, model)
        for layer in layers:
            if layer.class_name != "InputLayer":
                (value,) = self._call(layer, prefix, 0, ([Ref(0)], {}), [value], 1)
        return [layers[-1].name], [value]

    def _first_input(self, model: Layer) -> tuple[str, SymbolicType]:
        if model.class_name == "Sequential" and model.layers:
            first = model.layers[0]
            if first.class_name != "InputLayer":
                return (
                    self._first_input(first)
                    if first.is_model
                    else (f"{first.name}_input", self._built_type(model, first))
                )
            return first.name, self._input_type(first)
        (ref,) = self._exactly(tensors_of(model.config.get("input_layers"), self.where), 1, model)
        return ref.layer, self._input_type(self._by_name(model)[ref.layer])

    def _built_type(self, model: Layer, first: Layer) -> SymbolicType:
        shape = first.config.get("batch_input_shape", first.config.get("batch_shape"))
        for known in (model.config.get("build_input_shape"), _built(model), _built(first)):
            shape = known if shape is None else shape
        if shape is None:
            raise UnsupportedError(
                f"the model {model.name!r} does not say what shape its input has: it was saved "
                "before it was built.",
                where=self.where,
            )
        dtype = first.config.get("dtype")
        if first.class_name in ("Embedding", "ReversibleEmbedding"):
            dtype = "float32"  # as Keras has it, whatever the layer makes of it
        return self._type(f"{first.name}_input", shape, dtype)

    # -- a graph of layers

    def _by_name(self, model: Layer) -> dict[str, Layer]:
        found: dict[str, Layer] = {}
        for layer in model.layers:
            if layer.name in found:
                self._fail(f"two layers of the model {model.name!r} are called {layer.name!r}.")
            found[layer.name] = layer
        return found

    def _functional(
        self, model: Layer, prefix: str, given: Sequence[str] | None
    ) -> tuple[list[str], list[str]]:
        layers = self._by_name(model)
        ins = tensors_of(model.config.get("input_layers"), self.where)
        outs = tensors_of(model.config.get("output_layers"), self.where)
        if given is None:
            given = [self._input(layers.get(r.layer), r.layer) for r in ins]
        for r, value in zip(ins, self._exactly(given, len(ins), model)):
            self.same[self._named(prefix, r)] = value
        calls: list[tuple[Layer, int, Call, list[Value]]] = []
        most: dict[tuple[str, int], int] = {}  # how many outputs of a call are read
        new = False
        for layer in model.layers:
            for k, entry in enumerate(entries_of(layer)):
                legacy = isinstance(entry, list)
                new = new or not legacy
                call, values = call_of(entry, self.where)
                values = [self._shifted(layers, v, int(legacy)) for v in values]
                calls.append((layer, k, call, values))
        fixed = []
        for r in outs:
            target = layers.get(r.layer)
            by = 0 if new and target is not None and target.class_name == "Sequential" else 1
            fixed.append(self._shifted(layers, r, by))
        for v in [*fixed, *(v for *_, values in calls for v in values)]:
            most[v.layer, v.node] = max(most.get((v.layer, v.node), 0), v.tensor + 1)
        for layer, k, call, values in calls:
            count = most.get((layer.name, k), 1)
            names = [self._named(prefix, v) for v in values]
            made = self._call(layer, prefix, k, call, names, count)
            for t, value in enumerate(made):
                own = self._named(prefix, Value(layer.name, k, t))
                if own != value:
                    self.same[own] = value
        given_outputs = model.config.get("output_layers")
        names = [r.layer for r in fixed]
        if isinstance(given_outputs, Mapping) and len(given_outputs) == len(fixed):
            names = [str(k) for k in given_outputs]
        return names, [self._named(prefix, r) for r in fixed]

    def _input(self, layer: Layer | None, name: str) -> str:
        """The input of the graph that an input layer is."""
        if layer is None:
            self._fail(f"the input layer {name!r} is not there.")
        if layer.name in self.inputs:
            self._fail(f"the input {layer.name!r} is there twice.")
        self.inputs[layer.name] = self._input_type(layer)
        return layer.name

    def _shifted(self, layers: Mapping[str, Layer], r: Value, by: int) -> Value:
        """The tensor that is meant: a model has one call on its own inputs, which some versions
        count and some do not."""
        target = layers.get(r.layer)
        if target is None:
            self._fail(f"there is no layer {r.layer!r}.")
        if not target.is_model:
            return r
        n = len(entries_of(target))
        index = r.node - by if 0 <= r.node - by < n else r.node
        return Value(r.layer, index if index < n else r.node - 1, r.tensor)

    def _named(self, prefix: str, v: Value) -> str:
        return f"{prefix}{v.layer}:{v.node}:{v.tensor}"

    def _call(
        self,
        layer: Layer,
        prefix: str,
        k: int,
        call: Call,
        inputs: Sequence[str],
        count: int,
    ) -> list[str]:
        """Note one call; the values that it makes."""
        name = f"{prefix}{layer.name}" if k == 0 else f"{prefix}{layer.name}:{k}"
        if layer.is_model:
            args = call[0][0] if call[0] else next(iter(call[1].values()), [])
            return self._expand(layer, f"{name}/", [inputs[r.index] for r in refs(args)])[1]
        if len(self.nodes) >= MAX_NODES:
            self._fail(f"the model calls layers more than {MAX_NODES} times.")
        outputs = tuple(f"{prefix}{layer.name}:{k}:{t}" for t in range(count))
        attrs = {"layer": layer, "call": call}
        self.nodes.append(FileNode(layer.class_name, name, tuple(inputs), outputs, attrs))
        return list(outputs)

    # -- inputs

    def _input_type(self, layer: Layer) -> SymbolicType:
        c = layer.config
        if layer.class_name != "InputLayer":
            shape = c.get("batch_input_shape", c.get("batch_shape"))
            if shape is None:
                self._fail(f"the input {layer.name!r} is a {layer.class_name}, without a shape.")
        else:
            shape = c.get("batch_shape", c.get("batch_input_shape"))
        if c.get("sparse") or c.get("ragged"):
            raise UnsupportedError(
                f"the input {layer.name!r} is {'sparse' if c.get('sparse') else 'ragged'}.",
                where=self.where,
            )
        return self._type(layer.name, shape, c.get("dtype"))

    def _type(self, name: str, shape: Any, dtype: Any) -> SymbolicType:
        if not isinstance(shape, list | tuple) or not all(
            d is None or (isinstance(d, int) and not isinstance(d, bool) and d >= 0) for d in shape
        ):
            self._fail(f"the input {name!r} has the shape {shape!r}.")
        dims = tuple(
            (d if d is not None else "batch" if k == 0 else f"{name}.{k}")
            for k, d in enumerate(shape)
        )
        return SymbolicType(self._dtype(name, dtype), dims)

    def _dtype(self, name: str, given: Any) -> DType:
        text = policy_of(given, self.where).variable
        if text == "string":
            raise UnsupportedError(f"the input {name!r} is of strings.", where=self.where)
        try:
            return dtype_of(text)
        except Exception:
            self._fail(f"the input {name!r} has the element type {text!r}.")

    def _exactly(self, given: Sequence[Any], count: int, model: Layer) -> Sequence[Any]:
        if len(given) != count:
            self._fail(f"the model {model.name!r} is called with {len(given)} tensors of {count}.")
        return given

    def _resolved(self, value: str) -> str:
        seen = set()
        while value in self.same:
            if value in seen:
                self._fail("the graph is cyclic.")
            seen.add(value)
            value = self.same[value]
        return value

    def _fail(self, message: str) -> NoReturn:
        raise ModelError(message, where=self.where)


def _built(layer: Layer) -> Any:
    """The shape that a layer of Keras 3 was built with."""
    given = layer.entry.get("build_config")
    return given.get("input_shape") if isinstance(given, Mapping) else None


def file_model(
    model: Layer, where: str, format: str, producer: str, metadata: Mapping[str, str] | None = None
) -> FileModel:
    """The calls of ``model``, whose layers have their weights, for the importer."""
    t = Topology(model, where)
    outputs = t.outermost()
    constants = {
        f"{layer.name}/{name}": value
        for layer in model.everything()
        for name, value in layer.values.items()
    }
    return FileModel(
        format, where, model.name, t.inputs, outputs, t.nodes, constants, producer, metadata or {}
    )


__all__ = ["Topology", "file_model"]
