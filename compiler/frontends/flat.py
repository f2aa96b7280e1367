"""From a :class:`~weft.compiler.frontends.model.FileModel` to a graph, by a table of converters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...runtime.errors import ModelError, UnsupportedError
from ..graph.graph import Graph, Source
from ..types import TensorType
from .context import REQUIRED, Context, run_converter
from .emit import Emitter
from .finish import finished, named_output, tell_labels
from .missing import Missing
from .model import FileModel, FileNode, live, ordered
from .signature import UnboundGraph, solve

UNKNOWN = "\0unknown"  # stands for the results of a node that could not be converted
MAX_DEPTH = 64  # of graphs inside of graphs
MAX_WALKED = 200_000  # nodes that a model may become, those of a body each time that it is walked


class FlatContext(Context):
    """One node of a :class:`FileModel` while it is converted; see :class:`Context`.

    A front-end whose converters need more derives from it. ``values`` are the names that the file
    has for the inputs, ``node`` and ``model`` what it says, ``walk`` converts further nodes.
    """

    def __init__(
        self, walk: FlatWalk, node: FileNode, inputs: Sequence[str], wanted: Sequence[bool]
    ):
        source = Source(walk.model.file, node.name, node.op)
        super().__init__(walk.emitter, node.op, inputs, node.outputs, wanted, source)
        self.walk, self.node, self.model = walk, node, walk.model
        self.values = node.inputs

    def has_attr(self, name: str) -> bool:
        """Whether the node states the attribute, rather than leaving it to its default."""
        return name in self.node.attrs

    def attr(self, name: str, default: Any = REQUIRED) -> Any:
        """The attribute. Raises :class:`ModelError` where it is missing and has no default."""
        value = self.node.attrs.get(name, default)
        if value is REQUIRED:
            raise ModelError(f"the attribute {name!r} is missing.", where=self.where)
        return value


FlatConverter = Callable[[Any], "Sequence[str] | str"]  # of the front-end's own context


@dataclass
class Shared:
    """What the walk over a model shares with those over graphs inside of it: ``root`` is the
    model; ``objects`` are values that are no tensors, by the names that stand for them (see
    :meth:`FlatWalk.hold`)."""

    root: FileModel
    objects: dict[str, Any] = field(default_factory=dict)
    constants: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)
    walked: int = 0
    depth: int = 0


class FlatWalk:
    """One walk over the nodes of a model with static input types; it adds to ``emitter``.

    ``takers`` are the operators whose converters take tensors of which only data knows the size:
    they ask for no extents of such an axis, or go by :attr:`Context.sizing`.
    """

    def __init__(
        self,
        model: FileModel,
        emitter: Emitter,
        table: Mapping[str, FlatConverter],
        context: type[FlatContext] = FlatContext,
        takers: Collection[str] = (),
        missing: Missing | None = None,
        shared: Shared | None = None,
    ):
        self.shared = Shared(model) if shared is None else shared
        self.model, self.emitter, self.table = model, emitter, table
        self.context, self.takers = context, takers
        self.missing = Missing() if missing is None else missing
        self.tensors: dict[str, str] = {}  # value of the file -> tensor of the graph
        self.notes: dict[Any, Any] = {}  # what the front-end's own converters note of tensors

    def run(self) -> None:
        """Convert every node that an output depends on; what those need and weft has not got is
        noted in ``missing``."""
        wanted = list(self.model.outputs.values())
        nodes = live(ordered(self.model.nodes, self.model.file), wanted)
        used = frozenset(wanted).union(*(n.inputs for n in nodes))
        self.shared.walked += len(nodes)
        if self.shared.walked > MAX_WALKED:
            raise UnsupportedError(
                f"its loops and functions become more than {MAX_WALKED} nodes.",
                where=self.model.file,
            )
        for node in nodes:
            made = self._node(node, [bool(o) and o in used for o in node.outputs])
            for name, tensor in zip(node.outputs, made):
                if name:
                    self.tensors[name] = tensor

    def tensor(self, value: str, where: str) -> str:
        """The tensor of a value of the file. Raises :class:`ModelError` where nothing makes it."""
        if value not in self.tensors:
            if value not in self.model.constants:
                raise ModelError(f"the value {value!r} is not defined.", where=where)
            self.tensors[value] = self.emitter.constant(self.model.constants[value], value)
        return self.tensors[value]

    def inside(
        self, model: FileModel, given: Sequence[str], emitter: Emitter | None = None
    ) -> list[str] | None:
        """The outputs of a graph in a node for the tensors ``given``, made by ``emitter``, else
        where this walk adds; None where something in it could not be converted."""
        if UNKNOWN in given:
            return None
        if len(given) != len(model.inputs):
            raise ModelError(
                f"{model.name!r} takes {len(model.inputs)} values, {len(given)} are given.",
                where=self.model.file,
            )
        if self.shared.depth >= MAX_DEPTH:
            raise ModelError("graphs are nested too deeply.", where=self.model.file)
        walk = type(self)(
            model, emitter or self.emitter, self.table, self.context, self.takers, self.missing,
            self.shared,
        )  # fmt: skip
        key = id(walk.emitter), id(model)
        walk.tensors.update(self.shared.constants.get(key, {}))
        walk.tensors.update(zip(model.inputs, given))
        self.shared.depth += 1
        try:
            walk.run()
        finally:
            self.shared.depth -= 1
        known = {k: t for k, t in walk.tensors.items() if k in model.constants}
        self.shared.constants[key] = known
        found = [walk.tensor(v, model.file) for v in model.outputs.values()]
        return None if UNKNOWN in found else found

    def hold(self, value: Any) -> str:
        """A name that stands for a value that is no tensor, where converters return tensors."""
        name = f"\0object {len(self.shared.objects)}"
        self.shared.objects[name] = value
        return name

    def _node(self, node: FileNode, wanted: Sequence[bool]) -> Sequence[str]:
        source = Source(self.model.file, node.name, node.op)
        inputs = [self.tensor(i, str(source)) if i else "" for i in node.inputs]
        unknown = [UNKNOWN] * len(node.outputs)
        convert = self.table.get(node.op)
        if convert is None:
            self.missing.add(f"operator {node.op}", node.name)
            return unknown
        if UNKNOWN in inputs:
            return unknown
        if node.op not in self.takers and any(i in self.emitter.sizes for i in inputs):
            self.missing.add(f"{node.op} of a tensor whose size only data knows", node.name)
            return unknown
        try:
            made = run_converter(convert, self.context(self, node, inputs, wanted))
        except UnsupportedError as e:
            self.missing.add(f"{node.op}: {e.message}", node.name)
            return unknown
        for k, want in enumerate(wanted):
            if want and (k >= len(made) or not made[k]):
                self.missing.add(f"output {k} of {node.op}", node.name)
        made += [""] * (len(node.outputs) - len(made))
        return [m or UNKNOWN for m in made]


def import_model(
    model: FileModel,
    table: Mapping[str, FlatConverter],
    shapes: Mapping[str, Any],
    constants: Mapping[str, Any],
    context: type[FlatContext] = FlatContext,
    takers: Collection[str] = (),
) -> Graph:
    """The graph of ``model``; an :class:`UnboundGraph` while input shapes are missing.

    Raises :class:`UnsupportedError` that names all that weft has not got, :class:`ModelError` for
    what is wrong in the file, :class:`InputError` for wrong ``shapes``."""

    def rebuild(types: Mapping[str, TensorType], values: Mapping[str, np.ndarray]) -> Graph:
        return _imported(model, types, values, (table, context, takers))

    if not model.outputs:
        raise ModelError("the model has no outputs.", where=model.file)
    types, values, missing = solve(model.inputs, shapes, constants, model.file or model.name)
    if not missing:
        return rebuild(types, values)
    return UnboundGraph(
        model.name,
        tuple(k for k in model.inputs if k not in values),
        tuple(model.outputs),
        (),
        {},
        {},
        dict(model.metadata),
        signature=model.inputs,
        results={},
        rebuild=rebuild,
        shapes=dict(shapes),
        given=dict(constants),
    )


def _imported(
    model: FileModel,
    types: Mapping[str, TensorType],
    values: Mapping[str, np.ndarray],
    how: tuple[Mapping[str, FlatConverter], type[FlatContext], Collection[str]],
) -> Graph:
    emitter = Emitter(model.name, {*model.inputs, *model.outputs})
    b, walk = emitter.builder, FlatWalk(model, emitter, *how)
    b.meta = dict(model.metadata)
    for name, t in types.items():
        if name in values:
            b.constant(values[name], name)
        else:
            b.input(name, t.dtype, t.shape)
        walk.tensors[name] = name
    walk.run()
    walk.missing.report(model.file)
    own = {o for n in b.nodes for o in n.outputs}
    found = {name: walk.tensor(value, model.file) for name, value in model.outputs.items()}
    renamed: dict[str, str] = {}
    for name, tensor in found.items():
        if tensor in walk.shared.objects:
            raise UnsupportedError(f"the output {name!r} is no tensor.", where=model.file)
        if name in b.types and tensor != name:
            raise UnsupportedError(
                f"the output {name!r} has the name of an input, and is another tensor.",
                where=model.file,
            )
        if tensor in own:
            renamed.setdefault(tensor, name)
    emitter.rename(renamed, 0)
    for name, tensor in found.items():
        if name not in b.types:
            named_output(emitter, name, renamed.get(tensor, tensor), model.file)
    tell_labels(emitter, list(model.outputs), model.file)
    return finished(emitter, list(model.outputs), model.file)


__all__ = ["UNKNOWN", "FlatContext", "FlatConverter", "FlatWalk", "import_model"]
