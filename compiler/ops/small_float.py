"""Rounding to the floats of 8 bits and fewer, which weft holds as float32.

Formats: Micikevicius et al., "FP8 Formats for Deep Learning" (2022), Noune et al., "8-bit Numerical
Formats for Deep Neural Networks" (2022) for those without a negative zero (``fnuz``), and the Open
Compute Project's Microscaling Formats 1.0 for those without infinity and NaN. How what is out of
range is converted is ONNX's definition of Cast.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np

from ...ir import intrin as te
from ...ir.builders import equal, maximum, minimum, reinterpret
from ...ir.expr import Expr, cast
from ...runtime.dtype import FLOAT32, INT32
from ...runtime.errors import GraphError
from .common import make, some
from .opdef import Attr, Kind, OpDef

_INFINITY, _NAN = 0x7F800000, 0x7FC00000  # bits of a float32


@dataclass(frozen=True)
class SmallFloat:
    """A format: bits of the mantissa, the exponent of the least normal number, the greatest finite
    number, what it has besides, and its name in ml_dtypes."""

    mantissa: int
    least: int
    max: float
    own: str
    has_infinity: bool = False
    has_nan: bool = True
    has_negative_zero: bool = True

    @property
    def numpy(self) -> np.dtype:
        """Its numpy dtype."""
        return np.dtype(getattr(ml_dtypes, self.own))


FORMATS = MappingProxyType(
    {
        "float8e4m3fn": SmallFloat(3, -6, 448.0, "float8_e4m3fn"),
        "float8e4m3fnuz": SmallFloat(3, -7, 240.0, "float8_e4m3fnuz", has_negative_zero=False),
        "float8e5m2": SmallFloat(2, -14, 57344.0, "float8_e5m2", has_infinity=True),
        "float8e5m2fnuz": SmallFloat(2, -15, 57344.0, "float8_e5m2fnuz", has_negative_zero=False),
        "float6e2m3": SmallFloat(3, 0, 7.5, "float6_e2m3fn", has_nan=False),
        "float6e3m2": SmallFloat(2, -2, 28.0, "float6_e3m2fn", has_nan=False),
        "float4e2m1": SmallFloat(1, 0, 6.0, "float4_e2m1fn", has_nan=False),
    }
)


def format_of(name: str) -> SmallFloat:
    """The format ``name``; raises :class:`GraphError` where there is none."""
    if name not in FORMATS:
        raise GraphError(f"there is no float format {name!r}: {', '.join(FORMATS)}.")
    return FORMATS[name]


def rounded(x: Expr, name: str, saturate: bool) -> Expr:
    """The float32 ``x`` rounded to a format, halves to even.

    Beyond its range is the greatest number or, without ``saturate``, infinity where the format has
    it, else NaN. A format without NaN makes 0 of it and always saturates. The step between
    neighbours is a power of two, so that to divide by it and to multiply with it are exact, and
    what decides about NaN and infinity are bits, as drivers compile floats as if there were none.
    """
    f = format_of(name)
    bits = reinterpret(x, INT32)
    size, sign = bits & 0x7FFFFFFF, bits & ~0x7FFFFFFF
    exponent = minimum(maximum(size >> 23, f.least + 127), 254)
    step = reinterpret((exponent - f.mantissa) << 23, FLOAT32)
    inverse = reinterpret((254 + f.mantissa - exponent) << 23, FLOAT32)
    whole = te.round_even(reinterpret(minimum(size, _INFINITY - 1), FLOAT32) * inverse)
    near = reinterpret(whole * step, INT32)  # numbers that are not negative are in order as bits
    top = int(np.float32(f.max).view(np.int32))
    beyond = top if saturate or not f.has_nan else _INFINITY if f.has_infinity else _NAN
    found = _pick(near > top, beyond, near)
    found = _pick(size >= _INFINITY, beyond, found)
    if f.has_nan:
        found = _pick(size > _INFINITY, _NAN, found)
    signed = found | sign
    if not f.has_nan:
        signed = _pick(size > _INFINITY, 0, signed)
    if not f.has_negative_zero:
        signed = _pick(equal(found, 0), 0, signed)
    return reinterpret(signed, FLOAT32)


def _pick(cond: Expr, yes: int, no: Expr) -> Expr:
    """One of two integers. No Select, whose arms would read what ``no`` is made of by themselves,
    lane by lane where a vector reaches over the end of a tensor."""
    mask = -cast(cond, INT32)
    return (no & ~mask) | (mask & yes)


def np_rounded(x: np.ndarray, name: str, saturate: bool) -> np.ndarray:
    """The same by ml_dtypes."""
    f = format_of(name)
    x = np.asarray(x, np.float32)
    with np.errstate(all="ignore"):
        x = x if f.has_nan else np.where(np.isnan(x), np.float32(0), x)
        inside = np.clip(x, -f.max, f.max) if saturate else x
        return np.asarray(inside.astype(f.numpy).astype(np.float32))


def _infer(types: Any, a: Any) -> list:
    t = some(types[0])
    format_of(a["format"])
    if t.dtype != FLOAT32:
        raise GraphError(f"round_float takes float32, not {t}.")
    return [t]


def _round(inputs: Any, a: Any, out: Any) -> list:
    x = inputs[0]

    def body(*i: Expr) -> Expr:
        return rounded(x[i], a["format"], a["saturate"])

    return [make(out[0].shape, body, "round_float")]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "round_float",
        Kind.ELEMENTWISE,
        _infer,
        _round,
        lambda arrays, a: [np_rounded(some(arrays[0]), a["format"], a["saturate"])],
        {
            "format": Attr(str, doc="of the values: " + ", ".join(FORMATS)),
            "saturate": Attr(bool, True, "values out of range become the greatest number"),
        },
        doc="To the nearest value of a small float format, halves to even; the result is float32.",
    ),
)
