"""What has no meaning for a result, variables, and the random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .context import Converter, TFContext
from .nodes import Library


@dataclass(frozen=True)
class Variable:
    """A variable, by the name that its node has for it."""

    name: str


def _same(n: TFContext) -> str:
    return n.inputs[0]


def _library(n: TFContext) -> Library:
    extra = n.walk.shared.root.extra
    assert isinstance(extra, Library)
    return extra


def _named(n: TFContext) -> str:
    name = n.text("shared_name", b"")
    return name or n.node.name


def _value(n: TFContext, name: str) -> str:
    value = _library(n).variables.get(name)
    if value is None:
        n.error(f"the variable {name!r} has no value in the model's checkpoint.")
    return n.constant(value)


def _handle(n: TFContext) -> str:
    return n.walk.hold(Variable(_named(n)))


def _variable(n: TFContext, i: int) -> str:
    found = n.walk.shared.objects.get(n.inputs[i])
    if not isinstance(found, Variable):
        n.error(f"its input {i} is no variable.")
    return _value(n, found.name)


def _gather(n: TFContext) -> str:
    """Rows of a variable."""
    if n.integer("batch_dims", 0):
        n.unsupported("axes that indices and a variable share")
    return n.add("gather", [_variable(n, 0), n.inputs[1]], axis=0, wrap=False)


def _constant(n: TFContext) -> str:
    n.unsupported("strings")


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(
        ("CheckNumerics", "CheckNumericsV2", "Identity", "PlaceholderWithDefault",
         "PreventGradient", "Snapshot", "StopGradient"),
        _same,
    ),
    "Const": _constant,
    "IdentityN": lambda n: list(n.inputs),
    "ReadVariableOp": lambda n: _variable(n, 0),
    "ResourceGather": _gather,
    "VarHandleOp": _handle,
    "VarIsInitializedOp": lambda n: n.constant(np.array(True)),
    "Variable": lambda n: _value(n, _named(n)),
    "VariableV2": lambda n: _value(n, _named(n)),
}  # fmt: skip

__all__ = ["CONVERTERS"]
