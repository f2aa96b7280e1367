"""From a model of Keras to a graph, and to what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....runtime.guard import guarded
from ...graph.graph import Graph
from ..describe import Description, described
from ..flat import import_model
from ..signature import Constants, Shapes, by_name
from .context import KerasContext
from .converters import CONVERTERS
from .reader import read


@guarded
def load(
    source: str | Path | bytes | Any,
    shapes: Shapes | None = None,
    constants: Constants | None = None,
) -> Graph:
    """The graph of a Keras model; see :func:`weft.load`."""
    shapes, constants = by_name("shapes", shapes), by_name("constants", constants)
    return import_model(read(source), CONVERTERS, shapes, constants, KerasContext)


@guarded
def describe(source: str | Path | bytes | Any) -> Description:
    """What is in a Keras model; see :func:`weft.compiler.frontends.inspect`."""
    return described(read(source), CONVERTERS)


__all__ = ["describe", "load"]
