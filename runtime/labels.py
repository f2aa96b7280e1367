"""Labels of classes in a program: what a model says in strings or maps, of which weft has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from .artifact import Program
from .errors import PackageError

LABELS = "weft.labels"  # in the model's metadata, as JSON: {output: [label, ...]}


def labels_text(labels: Mapping[str, tuple[str | int, ...]]) -> str:
    """Labels by output, as they are written into the metadata of a model."""
    return json.dumps({name: list(values) for name, values in labels.items()})


def labels_of(program: Program) -> Mapping[str, tuple[str | int, ...]]:
    """Labels by output; see :attr:`Executable.labels`. Raises :class:`PackageError` for what was
    not written by :func:`labels_text`."""
    model = program.meta.get("model", {})
    text = model.get(LABELS, "{}") if isinstance(model, Mapping) else "{}"
    try:
        found = json.loads(text)
        if not all(isinstance(v, list) for v in found.values()):
            raise TypeError
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise PackageError("the labels of the program are damaged.", where=program.name) from None
    return MappingProxyType({name: tuple(values) for name, values in found.items()})
