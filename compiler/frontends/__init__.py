"""From a model as its framework wrote it to a Graph.

``table.py`` has a row for each format, its folder beside it a reader (bytes to what the file says)
and converters (its operators to ours). ``signature.py`` holds symbolic shapes, ``registered.py``
converters from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime.errors import InputError, UnsupportedError
from ...runtime.guard import guarded
from ..graph.graph import Graph
from ..options import CompileOptions
from .signature import Constants, Shapes, UnboundGraph, bind
from .table import FrontEnd, describer, frontend_of, loader

if TYPE_CHECKING:
    from .describe import Description

__all__ = ["UnboundGraph", "bind", "inspect", "load", "read_graph"]


@guarded
def load(
    source: str | Path | bytes | Any,
    shapes: Shapes | None = None,
    constants: Constants | None = None,
    *,
    format: str | None = None,
    signature: str | None = None,
    outputs: Sequence[str] | None = None,
    example_inputs: Sequence[Any] | None = None,
) -> Graph:
    """The graph of a model: a path to a file or a folder, the bytes of a file, or an object of a
    framework. Its format is known by its content.

    Parameters
    ----------
    shapes : an input's name to its shape, or a symbolic dimension's name to its size.
    constants : an input's name to its value at compile time; it is then no input of the graph.
    format : the format's name, where the content is not to be asked (docs/FORMATS.md has them).
    signature : which of its functions, where a model has several (a SavedModel's signatures).
    outputs : the names of the values that are wanted, where a file does not say what its outputs
        are or others are asked for (a frozen GraphDef).
    example_inputs : arguments of a ``torch.nn.Module``, by which it is traced.

    When shapes of inputs are still not known, the result is an :class:`UnboundGraph`: its
    ``symbols`` lists what is missing and ``bind`` takes it. Raises :class:`ModelError` for a file
    that cannot be read, :class:`UnsupportedError` for a sound one that needs what weft has not
    got, :class:`GraphError` for ill-typed nodes, :class:`InputError` for wrong ``shapes`` and for a
    choice that the format has not.
    """
    row = frontend_of(source, format)
    given = _choices(row, signature=signature, outputs=outputs, example_inputs=example_inputs)
    return loader(row)(source, shapes, constants, **given)


@guarded
def inspect(
    source: str | Path | bytes | Any,
    *,
    format: str | None = None,
    signature: str | None = None,
    outputs: Sequence[str] | None = None,
) -> Description:
    """What is in a model, whether or not weft has all that it needs: see :class:`Description`.
    The parameters are those of :func:`load`, and so are the errors, but for what is missing."""
    row = frontend_of(source, format)
    function = describer(row)
    if function is None:
        raise UnsupportedError(f"weft cannot describe models of the format {row.name!r}.")
    return function(source, **_choices(row, signature=signature, outputs=outputs))


def _choices(row: FrontEnd, **given: Any) -> dict[str, Any]:
    """Those that are given. Raises :class:`InputError` for one that the format has not."""
    found = {k: v for k, v in given.items() if v is not None}
    for name in found.keys() - set(row.choices):
        raise InputError(
            f"{name} means nothing for a model of the format {row.name!r}.",
            hint=f"leave {name} out",
        )
    return found


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
