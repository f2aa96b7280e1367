"""From a Core ML model to a graph, and to a description of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ....runtime.errors import InputError, ModelError, UnsupportedError
from ...graph.graph import Graph
from ..describe import Description, described
from ..flat import FlatContext, FlatConverter, import_model
from ..messages import parse
from ..model import FileModel
from ..signature import by_name
from .layer_context import LayerContext
from .mil import CONVERTERS as OPERATIONS
from .mil_context import MilContext
from .network import network_model
from .nn import CONVERTERS as LAYERS
from .package import open_model
from .program import function_names, program_model
from .proto import Model
from .values import Values

OURS = "weft."  # before the names of nodes that readers add
NEWEST = 10  # the specification that we know; later ones may mean something else
PROGRAM, NETWORKS = "mlProgram", ("neuralNetwork", "neuralNetworkClassifier",
                                  "neuralNetworkRegressor")  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A model's messages; ``kind`` is the field of ``Model`` that has it, ``folder`` where its
    weights lie."""

    proto: Any
    kind: str
    file: str
    folder: Path | None


def load(
    source: str | Path | bytes,
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    *,
    signature: str | None = None,
) -> Graph:
    """See :func:`weft.compiler.frontends.load`; ``signature`` is a function of an ML program."""
    model = opened(source)
    asked = by_name("shapes", shapes)
    found, _ = read_model(model, signature, shapes=asked)
    context: type[FlatContext] = MilContext if model.kind == PROGRAM else LayerContext
    return import_model(found, table_of(model), asked, by_name("constants", constants), context)


def describe(source: str | Path | bytes, *, signature: str | None = None) -> Description:
    """See :func:`weft.compiler.frontends.inspect`."""
    model = opened(source)
    found, functions = read_model(model, signature, wide=False)
    about = described(found, table_of(model), functions)
    for own in [op for op in about.operators if op.startswith(OURS)]:
        del about.operators[own]
    return about


def operators() -> dict[str, list[str]]:
    """What is converted of both kinds of models."""
    layers = [k for k in LAYERS if not k.startswith(OURS)]
    return {
        "coreml, ML programs": [k for k in OPERATIONS if not k.startswith(OURS)],
        "coreml, neural networks": layers,
    }


def opened(source: Any) -> Opened:
    """Reads a model and checks its frame. Raises :class:`ModelError`."""
    found = open_model(source)
    proto = parse(Model, found.data, found.file, "a Core ML model")
    kind = next((k for k in (PROGRAM, *NETWORKS) if proto.HasField(k)), "")
    if not kind:
        if any(proto.HasField(k) for k in ("pipeline", "pipelineClassifier", "pipelineRegressor")):
            raise UnsupportedError(
                "the model is a pipeline of several models.", where=found.file,
                hint="save each of them as a file of its own",
            )  # fmt: skip
        raise UnsupportedError(
            "of Core ML's kinds of models weft reads ML programs and neural networks; this is "
            "none of them.",
            where=found.file,
        )
    if proto.specificationVersion < 1:
        raise ModelError("the specification's version is missing.", where=found.file)
    if proto.specificationVersion > NEWEST:
        raise UnsupportedError(
            f"the model's specification is {proto.specificationVersion}; weft knows those up to "
            f"{NEWEST}.",
            where=found.file,
        )
    return Opened(proto, kind, found.file, found.folder)


def read_model(
    model: Opened,
    signature: str | None = None,
    wide: bool = True,
    shapes: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[FileModel, Sequence[str]]:
    """What the file says of one function, and which functions there are."""
    if model.kind != PROGRAM:
        if signature is not None:
            raise InputError("a neural network has no functions.", hint="leave signature out")
        return network_model(model.proto, model.kind, model.file, shapes), ()
    values = Values(model.folder, model.file)
    return program_model(model.proto, values, signature, wide), function_names(model.proto)


def table_of(model: Opened) -> Mapping[str, FlatConverter]:
    """The converters for a model of its kind."""
    return OPERATIONS if model.kind == PROGRAM else LAYERS


__all__ = ["describe", "load"]
