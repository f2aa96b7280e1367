"""ONNX models: reading, checking, and one converter per ONNX operator.

``reader`` opens the file, ``importer`` takes its inputs and outputs, ``walk`` its nodes;
``converters`` is the table of ``ops_*``, ``context`` what a converter sees; ``functions``,
``scope``, ``schema``, ``tensors`` are what their names say. ``../emit.py`` adds to the graph and
folds constants at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx import ModelProto

from ...graph.graph import Graph
from ..signature import by_name
from .importer import import_model
from .reader import open_model


def load(
    source: str | Path | bytes | ModelProto,
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Graph:
    """See :func:`weft.compiler.frontends.load`."""
    return import_model(
        open_model(source), by_name("shapes", shapes), by_name("constants", constants)
    )
