"""What a model's config says of its tensors, and of what layers are called with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ....runtime.errors import ModelError
from .layer import Layer

MAX_OUTPUTS = 1 << 12  # of one call
Call = tuple[list[Any], dict[str, Any]]


@dataclass(frozen=True)
class Ref:
    """Input ``index`` of the node."""

    index: int


@dataclass(frozen=True)
class Value:
    """A tensor of a model: output ``tensor`` of call ``node`` of a layer."""

    layer: str
    node: int
    tensor: int


def call_of(entry: Any, where: str) -> tuple[Call, list[Value]]:
    """What a layer is called with, and the tensors that the :class:`Ref` in it stand for."""
    values: list[Value] = []
    how = _legacy_call if isinstance(entry, list) else _call_of
    return how(entry, values, where), values


def tensors_of(given: Any, where: str) -> list[Value]:
    """Tensors as ``input_layers`` and ``output_layers`` list them, nested in any way."""
    if isinstance(given, list) and len(given) == 3 and isinstance(given[0], str):
        return [_value(given, where)]
    if isinstance(given, Mapping):
        given = list(given.values())
    if not isinstance(given, list):
        _fail(where, f"the inputs or outputs of a model are {given!r}.")
    found: list[Value] = []
    for g in given:
        found += tensors_of(g, where)
    return found


def _value(given: Any, where: str) -> Value:
    if not (
        isinstance(given, list)
        and len(given) >= 3
        and isinstance(given[0], str)
        and all(isinstance(g, int) and 0 <= g < MAX_OUTPUTS for g in given[1:3])
    ):
        _fail(where, f"a tensor of the model is named as {given!r}.")
    return Value(given[0], given[1], given[2])


def _legacy_call(entry: Any, values: list[Value], where: str) -> Call:
    """A node of Keras 2: a list of [layer, node, tensor, keywords]."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}

    def tensors(v: Any) -> Any:
        """A value in which ``[layer, node, tensor]`` may stand for a tensor."""
        is_tensor = isinstance(v, list) and len(v) in (3, 4) and isinstance(v[0], str)
        if is_tensor and all(isinstance(i, int) for i in v[1:3]):
            if v[0] == "_CONSTANT_VALUE":
                return v[2]
            values.append(_value(v, where))
            return Ref(len(values) - 1)
        if isinstance(v, list):
            return [tensors(e) for e in v]
        return {k: tensors(e) for k, e in v.items()} if isinstance(v, Mapping) else v

    if len(entry) >= 3 and isinstance(entry[0], str):  # a single tensor, not in a list
        entry = [entry]
    for part in entry:
        if isinstance(part, list) and part and part[0] == "_CONSTANT_VALUE":
            args.append(part[2])
        elif isinstance(part, list) and part and isinstance(part[0], list):
            args.append(tensors(part))
        else:
            values.append(_value(part, where))
            args.append(Ref(len(values) - 1))
        if isinstance(part, list) and len(part) > 3 and isinstance(part[3], Mapping):
            kwargs.update({k: tensors(v) for k, v in part[3].items()})
    return ([args[0] if len(args) == 1 else args], kwargs)


def _call_of(entry: Any, values: list[Value], where: str) -> Call:
    """A node of Keras 3: its arguments as objects."""
    if not isinstance(entry, Mapping):
        _fail(where, f"a call of a layer is described as {entry!r}.")

    def of(v: Any) -> Any:
        if isinstance(v, Mapping):
            config = v.get("config")
            if v.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
                values.append(_value(config.get("keras_history"), where))
                return Ref(len(values) - 1)
            if v.get("class_name") == "__tuple__":
                return tuple(of(e) for e in _list(v.get("items"), config))
            if v.get("class_name") == "__slice__" and isinstance(config, Mapping):
                return slice(*(of(config.get(k)) for k in ("start", "stop", "step")))
            if v.get("class_name") == "__ellipsis__":
                return ...
            return {k: of(e) for k, e in v.items()}
        return [of(e) for e in v] if isinstance(v, list) else v

    args, kwargs = of(entry.get("args", [])), of(entry.get("kwargs", {}))
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        _fail(where, f"the arguments of a call are {args!r} and {kwargs!r}.")
    return list(args), dict(kwargs)


def entries_of(layer: Layer) -> list[Any]:
    """The calls of a layer, as a config lists them."""
    found = layer.entry.get("inbound_nodes") or []
    return [e for e in found if e] if isinstance(found, list) else []


def _list(*candidates: Any) -> list[Any]:
    return next((c for c in candidates if isinstance(c, list)), [])


def _walk(value: Any, found: list[Ref]) -> None:
    """The references in a value, in order."""
    if isinstance(value, Ref):
        found.append(value)
    elif isinstance(value, Mapping):
        for v in value.values():
            _walk(v, found)
    elif isinstance(value, list | tuple):
        for v in value:
            _walk(v, found)


def refs(value: Any) -> list[Ref]:
    """The references in arguments of a call, in order."""
    found: list[Ref] = []
    _walk(value, found)
    return found


def _fail(where: str, message: str) -> NoReturn:
    raise ModelError(message, where=where)


__all__ = ["Call", "Ref", "Value", "call_of", "entries_of", "refs", "tensors_of"]
