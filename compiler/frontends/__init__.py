"""From a model as its framework wrote it to a Graph.

``table.py`` has a row for each format, its folder beside it a reader (bytes to what the file says)
and converters (its operators to ours). ``signature.py`` holds symbolic shapes, ``registered.py``
converters from outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime.guard import guarded
from ..graph.graph import Graph
from ..options import CompileOptions
from .signature import Constants, Shapes, UnboundGraph, bind
from .table import frontend_of, loader

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["UnboundGraph", "bind", "load", "read_graph"]


@guarded
def load(
    source: str | Path | bytes | ModelProto,
    shapes: Shapes | None = None,
    constants: Constants | None = None,
) -> Graph:
    """The graph of a model: a path, the bytes of a file, or an ``onnx.ModelProto``. Its format is
    known by its content.

    Parameters
    ----------
    shapes : an input's name to its shape, or a symbolic dimension's name to its size.
    constants : an input's name to its value at compile time; it is then no input of the graph.

    When shapes of inputs are still not known, the result is an :class:`UnboundGraph`: its
    ``symbols`` lists what is missing and ``bind`` takes it. Raises :class:`ModelError` for a file
    that cannot be read, :class:`UnsupportedError` for a sound one that needs what weft has not
    got, :class:`GraphError` for ill-typed nodes, :class:`InputError` for wrong ``shapes``.
    """
    return loader(frontend_of(source))(source, shapes, constants)


def read_graph(model: Any, options: CompileOptions) -> Graph:
    """The graph of ``model``, a graph or what :func:`load` takes, all of its shapes known.

    Raises the errors of :func:`load`, and :class:`InputError` where a shape is missing.
    """
    options.progress("load", 0, 1)
    if isinstance(model, Graph):
        graph = bind(model, options.shapes, options.constants).verify()
    else:
        graph = bind(load(model, options.shapes, options.constants))
    options.progress("load", 1, 1)
    return graph
