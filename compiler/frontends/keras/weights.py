"""Giving layers their variables, as the three kinds of files keep them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ....runtime.errors import ModelError
from .layer import Layer, snake

Slot = tuple[Layer, str, bool]  # a variable: its layer, its name, whether training changes it
Vars = Callable[[str], "list[np.ndarray] | None"]


def _slots(layer: Layer, frozen: bool = False) -> list[Slot]:
    frozen = frozen or layer.config.get("trainable", True) is False
    own, others = layer.variables()
    made = [(layer, v, not frozen) for v in own] + [(layer, v, False) for v in others]
    for inner in layer.inner():
        found = _slots(inner, frozen)
        if layer.class_name == "SpectralNormalization":
            found = found[1:]  # the kernel, which is its own, too
        made += found
    return made


def has_variables(layer: Layer) -> bool:
    """Whether a layer, or one in it, has variables."""
    return bool(_slots(layer))


def by_order(layer: Layer, names: Sequence[str], arrays: Sequence[np.ndarray], where: str) -> None:
    """Give a layer, and those in it, a flat list of arrays, as ``.h5`` files keep them: first what
    training changes, then the rest. Where that contradicts the names of the arrays, each layer's
    variables are together, as older versions list them."""
    slots = _slots(layer)
    if len(slots) != len(arrays):
        raise ModelError(
            f"the layer {layer.name!r} ({layer.class_name}) has {len(slots)} variables, the file "
            f"has {len(arrays)} for it.",
            where=where,
        )
    sorted_ = [s for s in slots if s[2]] + [s for s in slots if not s[2]]
    orders = [sorted_, slots]
    fitting = [o for o in orders if all(_fits(n, s[1]) for n, s in zip(names, o))]
    for (owner, name, _), array in zip((fitting or orders)[0], arrays):
        owner.values[name] = array


def _fits(name: str, variable: str) -> bool:
    last = re.sub(r"(_\d+)?(:\d+)?$", "", name.rsplit("/", 1)[-1])
    return last.endswith(variable)


def by_path(model: Layer, read: Vars, where: str) -> None:
    """Give the layers of a model their variables from ``path/vars/0``, …, as Keras 3 keeps them:
    by attributes, and in lists by classes, numbered. ``read`` gives those at a path; None: no such
    path."""
    _at_path(model, "", read, where)


def _at_path(layer: Layer, path: str, read: Vars, where: str) -> None:
    own, others = layer.variables()
    names = [*own, *others]
    if names:
        arrays = read(path)
        if arrays is None or len(arrays) < len(names):
            have = 0 if arrays is None else len(arrays)
            raise ModelError(
                f"the layer {layer.name!r} ({layer.class_name}) has {len(names)} variables, the "
                f"file has {have} for it at {path!r}.",
                where=where,
            )
        layer.values.update(zip(names, arrays))
    for key, part in layer.parts.items():
        below = f"{path}/{key}" if path else key
        if isinstance(part, Layer):
            if any(part.variables()) and read(below) is None:
                below = f"{path}/_{key}"  # an attribute that some classes keep private
            _at_path(part, below, read, where)
            continue
        used: dict[str, int] = {}
        for p in part:
            name = snake(p.class_name)
            count = used.get(name, 0)
            used[name] = count + 1
            _at_path(p, f"{below}/{name}_{count}" if count else f"{below}/{name}", read, where)


def by_name(model: Layer, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Give the layers of a model their variables by names that have their layer's in them, as
    TensorFlow.js keeps them."""
    for layer in model.inner():
        if layer.is_model:
            by_name(layer, arrays, where)
            continue
        if not _slots(layer):
            continue
        found = [n for n in arrays if layer.name in n.split("/")[:-1]]
        first = [n for n in found if n.startswith(f"{layer.name}/")]
        found = first or found
        by_order(layer, found, [arrays[n] for n in found], where)


__all__ = ["by_name", "by_order", "by_path", "has_variables"]
