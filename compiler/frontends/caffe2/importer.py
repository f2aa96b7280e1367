"""From a pair of Caffe2's nets to a graph, and to a description of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...graph.graph import Graph
from ..describe import Description, described
from ..flat import import_model
from ..signature import by_name
from .context import C2Context
from .converters import CONVERTERS
from .nets import read

__all__ = ["describe", "load"]


def load(
    source: Any, shapes: Mapping[str, Any] | None = None, constants: Mapping[str, Any] | None = None
) -> Graph:
    """The graph of a pair of nets: a path to either file, or to their folder. Blobs that neither
    net makes are inputs, whose rank is not in the file: ``shapes`` must have their shapes. Raises
    the errors of :func:`weft.load`."""
    return import_model(
        read(source), CONVERTERS, by_name("shapes", shapes), by_name("constants", constants),
        C2Context,
    )  # fmt: skip


def describe(source: Any) -> Description:
    """What is in a pair of nets; the weights count where they are to be found."""
    return described(read(source, whole=False), CONVERTERS)
