"""Operators that fill blobs without reading any: the whole of an init net."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....runtime.errors import ModelError, UnsupportedError
from ...types import MAX_ELEMENTS
from .schema import DTYPES

# Fills by lists of values: the field of the argument ``values``, and the element type.
_GIVEN = {
    "GivenTensorFill": ("floats", np.float32),
    "GivenTensorDoubleFill": ("floats", np.float64),
    "GivenTensorIntFill": ("ints", np.int32),
    "GivenTensorInt16Fill": ("ints", np.int16),
    "GivenTensorInt64Fill": ("ints", np.int64),
    "GivenTensorBoolFill": ("ints", np.bool_),
}
RANDOM = frozenset(
    (
        "XavierFill", "MSRAFill", "GaussianFill", "UniformFill", "UniformIntFill",
        "TruncatedGaussianFill",
    )
)  # fmt: skip
FILLS = frozenset((*_GIVEN, "ConstantFill", "GivenTensorByteStringToUInt8Fill", *RANDOM))


def filled(op: str, args: Mapping[str, Any], where: str) -> np.ndarray:
    """The blob of a fill with the arguments ``args``.

    Raises :class:`ModelError` where values and shape do not fit, :class:`UnsupportedError` for
    random fills."""
    if op in RANDOM:
        raise UnsupportedError(
            f"{op} draws weights at random: this net was not trained.", where=where,
            hint="export the net after training: its init net has GivenTensorFill",
        )  # fmt: skip
    shape = tuple(args["shape"].ints) if "shape" in args else None
    if shape is not None and (min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS):
        raise ModelError(f"it fills the shape {list(shape)}.", where=where)
    if op == "ConstantFill":
        return _constant(args, shape or (), where)
    if op in _GIVEN:
        field, dtype = _GIVEN[op]
        if "values" not in args:
            values = np.zeros(0, dtype)
        elif field == "floats":
            values = _floats(args["values"]).astype(dtype, copy=False)
        else:
            values = np.array(args["values"].ints, np.int64).astype(dtype)
    else:
        texts = args["values"].strings if "values" in args else ()
        values = np.frombuffer(b"".join(texts), np.uint8)
    shape = values.shape if shape is None else shape
    if math.prod(shape) != values.size:
        raise ModelError(f"{values.size} values do not fill the shape {list(shape)}.", where=where)
    return values.reshape(shape)


def _floats(argument: Any) -> np.ndarray:
    """The list ``floats``, which holds all weights of a net: read as bytes, for a Python object for
    each of them would take half a minute for AlexNet. Each is written as a tag and four bytes."""
    if {field.name for field, _ in argument.ListFields()} != {"name", "floats"}:
        return np.array(argument.floats, np.float32)
    start = type(argument)(name=argument.name).ByteSize()
    each = np.dtype([("tag", "u1"), ("value", "<f4")])
    return np.frombuffer(argument.SerializeToString(), each, offset=start)["value"].copy()


def _constant(args: Mapping[str, Any], shape: tuple[int, ...], where: str) -> np.ndarray:
    code = args["dtype"].i if "dtype" in args else 1
    if code not in DTYPES:
        raise UnsupportedError(f"the element type {code}", where=where)
    value: float = 0.0
    if "value" in args:
        given = args["value"]
        value = given.i if given.HasField("i") else given.f
    scalar = np.asarray(value).astype(DTYPES[code])
    # A view of one number: a file of a few bytes takes no memory for what it says.
    return np.broadcast_to(scalar, shape)


__all__ = ["FILLS", "RANDOM", "filled"]
