"""Labels of classes in a program: what a model says in strings or maps, of which weft has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .artifact import Program
from .errors import PackageError

LABELS = "weft.labels"  # in the model's metadata, as JSON: {output: [label, ...]}


def labels_text(labels: Mapping[str, tuple[str | int, ...]]) -> str:
    """Labels by output, as they are written into the metadata of a model."""
    return json.dumps({name: list(values) for name, values in labels.items()})


def read_labels(meta: Mapping[str, Any], where: str) -> dict[str, tuple[str | int, ...]]:
    """Labels by output, out of the metadata ``meta`` of a model. Raises :class:`PackageError` for
    what was not written by :func:`labels_text`."""
    try:
        found = json.loads(meta.get(LABELS, "{}"))
        if not all(isinstance(values, list) for values in found.values()):
            raise TypeError
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise PackageError("the labels of the model are damaged.", where=where) from None
    return {name: tuple(values) for name, values in found.items()}


def labels_of(program: Program) -> Mapping[str, tuple[str | int, ...]]:
    """Labels by output; see :attr:`Executable.labels`. Raises as :func:`read_labels` does."""
    model = program.meta.get("model", {})
    meta = model if isinstance(model, Mapping) else {}
    return MappingProxyType(read_labels(meta, program.name))
