"""Labels and scores of classes of ai.onnx.ml: LabelEncoder, ZipMap, and what classifiers share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....runtime.dtype import dtype_of
from .compose import cast, number, op, reshape, typed
from .context import Converter, NodeContext
from .ml_features import matrix

# --- labels of classifiers --------------------------------------------------------------------


@dataclass(frozen=True)
class ClassLabels:
    """The labels of a classifier, all int64 or all strings."""

    values: tuple[int, ...] | tuple[str, ...]

    @classmethod
    def of(cls, n: NodeContext, ints: str) -> ClassLabels:
        """Those that the node lists, numbers in the attribute ``ints``."""
        return cls(n.attr("classlabels_strings", ()) or n.attr(ints, ()))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.values)

    def at(self, n: NodeContext, index: str) -> str:
        """The labels at ``index``, an integer tensor of indices in range."""
        if self.values and isinstance(self.values[0], str):
            copy = n.add("identity", [cast(n, index, "int64")])
            return n.as_strings(copy, tuple(map(str, self.values)))
        table = np.array(self.values, np.int64)
        if (table == np.arange(len(table))).all():
            return cast(n, index, "int64")
        return n.add("gather", [n.constant(table), index], axis=0, wrap=False)

    def where(self, n: NodeContext, positive: str) -> str:
        """The second of two labels where ``positive``, a bool tensor, is true, else the first."""
        return self.at(n, cast(n, positive, "int64"))


# --- what becomes of scores -------------------------------------------------------------------

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def transform_of(n: NodeContext) -> str:
    """The attribute ``post_transform``."""
    name = n.attr("post_transform", "NONE")
    if name not in TRANSFORMS:
        n.error(f"the post_transform {name!r} is none of {', '.join(TRANSFORMS)}.")
    return name


def transformed(n: NodeContext, scores: str, transform: str) -> str:
    """``post_transform`` of scores ``[rows, classes]``, of two classes or more."""
    if transform == "LOGISTIC":
        return op(n, "sigmoid", scores)
    if transform == "SOFTMAX":
        return n.add("softmax", [scores], axis=1)
    if transform == "SOFTMAX_ZERO":
        return _softmax_zero(n, scores)
    return probit(n, scores) if transform == "PROBIT" else scores


def _softmax_zero(n: NodeContext, x: str) -> str:
    """Softmax over what is not zero (nor within 1e-7 of it); zeros stay zeros."""
    greatest = n.add("reduce_max", [x], axes=(1,), keepdims=True)
    some = op(n, "greater", op(n, "abs", x), number(n, 1e-7, x))
    powers = op(n, "exp", op(n, "sub", x, greatest))
    counted = op(n, "where", some, powers, number(n, 0, x))
    total = n.add("reduce_sum", [counted], axes=(1,), keepdims=True)
    small = op(n, "mul", x, op(n, "exp", op(n, "neg", greatest)))
    return op(n, "div", op(n, "where", some, powers, small), total)


def probit(n: NodeContext, p: str) -> str:
    """The quantile of the normal distribution by Winitzki's approximation of the inverse of erf
    ("A handy approximation for the error function and its inverse", 2008), with ONNX Runtime's
    constants: the error of that formula is part of the result."""
    x = op(n, "sub", op(n, "mul", p, number(n, 2, p)), number(n, 1, p))
    one = number(n, 1, p)
    log = op(n, "log", op(n, "mul", op(n, "sub", one, x), op(n, "add", one, x)))
    first = float(np.float32(2) / (np.float32(3.14159) * np.float32(0.147)))
    v = op(n, "add", op(n, "mul", log, number(n, 0.5, p)), number(n, first, p))
    v2 = op(n, "mul", log, number(n, float(np.float32(1) / np.float32(0.147)), p))
    root = op(n, "sqrt", op(n, "sub", op(n, "mul", v, v), v2))
    size = op(n, "sqrt", op(n, "sub", root, v))
    signed = op(n, "where", op(n, "less", x, number(n, 0, p)), op(n, "neg", size), size)
    return op(n, "mul", signed, number(n, math.sqrt(2), p))


def both(n: NodeContext, first: str, second: str) -> str:
    """Two columns ``[rows, 1]`` side by side."""
    return n.add("concat", [first, second], axis=1)


def _zip_map(n: NodeContext) -> str:
    """A map from classes to scores for each row: here the scores, ``[rows, classes]``."""
    keys = n.attr("classlabels_strings", ()) or n.attr("classlabels_int64s", ())
    x, _, columns = matrix(n)
    if len(keys) != columns:
        n.error(f"it has {len(keys)} keys for {columns} columns.")
    return n.as_maps(x, keys)


# --- LabelEncoder -----------------------------------------------------------------------------

_DEFAULTS: dict[str, Any] = {"string": "_Unused", "int64": -1, "float": -0.0}
_NUMPY = {"int64": np.int64, "float": np.float32}


def _listed(n: NodeContext, what: str) -> tuple[str, np.ndarray | tuple[str, ...]]:
    """The kind of keys or values, and their list: an array, or strings."""
    kinds = [k for k in ("strings", "int64s", "floats", "tensor") if n.has_attr(f"{what}_{k}")]
    if len(kinds) != 1:
        n.error(f"it needs one list of {what}, but has {len(kinds)}.")
    kind, value = kinds[0].removesuffix("s"), n.attr(f"{what}_{kinds[0]}")
    if kind == "string":
        return kind, value
    return kind, value.reshape(-1) if kind == "tensor" else np.array(value, _NUMPY[kind])


def _label_encoder(n: NodeContext) -> str:
    """The value of each key; the first counts of equal ones; keys that are missing have the
    default."""
    if n.opset < 2:
        return _classes(n)
    (_, keys), (kind, values) = _listed(n, "keys"), _listed(n, "values")
    if len(keys) != len(values):
        n.error(f"it has {len(keys)} keys and {len(values)} values.")
    if isinstance(values, np.ndarray):
        default: Any = n.attr(f"default_{kind}", _DEFAULTS.get(kind))
        if n.has_attr("default_tensor"):
            default = n.attr("default_tensor").reshape(-1)[0]
        elif kind == "tensor":
            default = _DEFAULTS["float" if values.dtype.kind == "f" else "int64"]
        return _values(n, keys, np.append(values, np.asarray(default, values.dtype)))
    names = (*values, n.attr("default_string", _DEFAULTS["string"]))
    return _strings(n, keys, names)


def _classes(n: NodeContext) -> str:
    """Opset 1: strings to their positions, or positions to strings."""
    classes = n.attr("classes_strings", ())
    positions = np.arange(len(classes), dtype=np.int64)
    if n.strings(0) is not None:
        return _values(n, classes, np.append(positions, n.attr("default_int64", -1)))
    return _strings(n, positions, (*classes, n.attr("default_string", _DEFAULTS["string"])))


def _strings(n: NodeContext, keys: np.ndarray | Sequence[str], names: Sequence[str]) -> str:
    """Values that are strings, the default last: indices of those that differ."""
    labels = tuple(dict.fromkeys(names))
    number_of = {name: k for k, name in enumerate(labels)}
    values = np.array([number_of[name] for name in names], np.int64)
    return n.as_strings(n.add("identity", [_values(n, keys, values)]), labels)


def _values(n: NodeContext, keys: np.ndarray | Sequence[str], values: np.ndarray) -> str:
    """``values`` of the keys, and after them the default, looked up by input 0."""
    x, strings, t = n.inputs[0], n.strings(0), typed(n, 0)
    if strings is not None:
        if isinstance(keys, np.ndarray):
            n.error("its keys are numbers, its input is of strings.")
        places = [list(keys).index(s) if s in keys else len(keys) for s in strings]
        return n.add("gather", [n.constant(values[places]), x], axis=0, wrap=False)
    if not isinstance(keys, np.ndarray) or dtype_of(keys.dtype) != t.dtype:
        kind = dtype_of(keys.dtype) if isinstance(keys, np.ndarray) else "string"
        n.error(f"its keys are of type {kind}, its input is {t}.")
    return n.add("gather", [n.constant(values), _position(n, x, keys)], axis=0, wrap=False)


def _position(n: NodeContext, x: str, keys: np.ndarray) -> str:
    """The first position of each element of ``x`` among ``keys``; their number where it is none."""
    count, shape = len(keys), n.typeof(x).shape
    if not count:
        return n.constant(np.zeros(shape, np.int32))
    if keys.dtype.kind in "iu":
        low, high = int(keys.min()), int(keys.max())
        if high - low < 4 * count + 64:  # close to each other: a table of all in between
            table = np.full(high - low + 1, count, np.int32)
            for k in range(count - 1, -1, -1):
                table[int(keys[k]) - low] = k
            inside = op(n, "and", op(n, "greater_or_equal", x, number(n, low, x)),
                        op(n, "less_or_equal", x, number(n, high, x)))  # fmt: skip
            kept = op(n, "sub", op(n, "where", inside, x, number(n, low, x)), number(n, low, x))
            found = n.add("gather", [n.constant(table), kept], axis=0, wrap=False)
            return op(n, "where", inside, found, n.constant(np.array(count, np.int32)))
    found, first = np.unique(keys, return_index=True)  # NaN equals NaN here
    nan = keys.dtype.kind == "f" and bool(np.isnan(found[-1]))
    places = n.constant((first[: len(found) - nan] - count).astype(np.int32))
    hit = op(n, "equal", reshape(n, x, (*shape, 1)), n.constant(found[: len(found) - nan]))
    zero = n.constant(np.array(0, np.int32))
    at = n.add(
        "reduce_sum", [op(n, "where", hit, places, zero)], axes=(len(shape),), keepdims=False
    )
    if nan and n.opset >= 4:
        place = n.constant(np.array(first[-1] - count, np.int32))
        at = op(n, "where", op(n, "is_nan", x), place, at)
    return op(n, "add", at, n.constant(np.array(count, np.int32)))


CONVERTERS: dict[str, Converter] = {"LabelEncoder": _label_encoder, "ZipMap": _zip_map}
