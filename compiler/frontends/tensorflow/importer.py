"""From graph models of TensorFlow.js, SavedModels and GraphDefs to graphs of weft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...graph.graph import Graph
from ..describe import Description, described
from ..flat import import_model
from ..model import FileModel
from ..signature import by_name
from . import graphdef, saved, tfjs
from .context import TFContext
from .converters import CONVERTERS, TAKERS

Shapes = Mapping[str, Any] | None


def _graph(model: FileModel, shapes: Shapes, constants: Shapes) -> Graph:
    given = by_name("shapes", shapes), by_name("constants", constants)
    return import_model(model, CONVERTERS, *given, context=TFContext, takers=TAKERS)


def load_tfjs(
    source: Any, shapes: Shapes, constants: Shapes, outputs: Sequence[str] | None = None
) -> Graph:
    """The graph of a graph model of TensorFlow.js; see :func:`weft.load`."""
    return _graph(tfjs.read(source, outputs), shapes, constants)


def describe_tfjs(source: Any, outputs: Sequence[str] | None = None) -> Description:
    """What is in a graph model of TensorFlow.js."""
    return described(tfjs.read(source, outputs), CONVERTERS)


def load_graph(
    source: Any, shapes: Shapes, constants: Shapes, outputs: Sequence[str] | None = None
) -> Graph:
    """The graph of a frozen GraphDef; see :func:`weft.load`."""
    return _graph(graphdef.read(source, outputs), shapes, constants)


def describe_graph(source: Any, outputs: Sequence[str] | None = None) -> Description:
    """What is in a frozen GraphDef."""
    return described(graphdef.read(source, outputs), CONVERTERS)


def load_saved(
    source: Any, shapes: Shapes, constants: Shapes, signature: str | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:  # fmt: skip
    """The graph of a function of a SavedModel; see :func:`weft.load`."""
    return _graph(saved.read(source, signature, outputs)[0], shapes, constants)


def describe_saved(
    source: Any, signature: str | None = None, outputs: Sequence[str] | None = None
) -> Description:
    """What is in a SavedModel."""
    model, names = saved.read(source, signature, outputs)
    return described(model, CONVERTERS, names)


__all__ = [
    "describe_graph",
    "describe_saved",
    "describe_tfjs",
    "load_graph",
    "load_saved",
    "load_tfjs",
]
