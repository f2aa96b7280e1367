"""From an MXNet symbol and its arrays to a graph, and to a description of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...graph.graph import Graph
from ..describe import Description, described
from ..flat import import_model
from ..signature import by_name
from .context import MxContext
from .converters import CONVERTERS
from .symbol import read

__all__ = ["describe", "load"]


def load(
    source: Any, shapes: Mapping[str, Any] | None = None, constants: Mapping[str, Any] | None = None
) -> Graph:
    """The graph of a symbol and its parameters: a path to either file, or to the folder of one
    pair. Variables that no parameters give are inputs; most have no rank in the file, so that
    ``shapes`` must have their shapes. Raises the errors of :func:`weft.load`."""
    return import_model(
        read(source), CONVERTERS, by_name("shapes", shapes), by_name("constants", constants),
        MxContext,
    )  # fmt: skip


def describe(source: Any) -> Description:
    """What is in a symbol and its parameters, where they are to be found."""
    return described(read(source, whole=False), CONVERTERS)
