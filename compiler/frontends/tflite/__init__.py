"""TensorFlow Lite models: flatbuffers, read as data that may be damaged.

``flatbuffer`` follows offsets, ``schema`` says what the tables hold, ``reader`` makes a model of
them; ``converters`` is the table of ``ops_*``, ``context`` what a converter sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...graph.graph import Graph
from ..describe import Description, described
from ..flat import import_model
from ..model import FileModel
from ..signature import by_name
from .context import TfliteContext
from .converters import CONVERTERS, TAKERS
from .reader import open_file


def load(
    source: Any,
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    signature: str | None = None,
) -> Graph:
    """See :func:`weft.compiler.frontends.load`. An extent that the file leaves open has the size
    that the file states beside it, 1 as converters write them, unless ``shapes`` gives another."""
    model = open_file(source).chosen(signature)
    given = by_name("shapes", shapes)
    return import_model(
        model, CONVERTERS, {**_stated(model, given), **given}, by_name("constants", constants),
        TfliteContext, TAKERS,
    )  # fmt: skip


def _stated(model: FileModel, given: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that the file has for open extents of inputs that ``given`` does not mention."""
    found = {}
    for name, t in model.inputs.items():
        shape = model.extra[name].shape or ()
        for k, d in enumerate(t.dims or ()):
            if isinstance(d, str) and name not in given:
                found[d] = shape[k]
    return found


def describe(source: Any, signature: str | None = None) -> Description:
    """What is in a file, for ``weft inspect``."""
    file = open_file(source)
    names = [s.name for s in file.signatures]
    return described(file.chosen(signature), CONVERTERS.keys(), names)
