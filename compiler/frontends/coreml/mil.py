"""The converters of MIL's operations, by name."""

from __future__ import annotations

from . import mil_conv, mil_gather, mil_math, mil_norm, mil_shape, mil_weights
from .mil_context import MilConverter

CONVERTERS: dict[str, MilConverter] = {
    **mil_conv.CONVERTERS,
    **mil_gather.CONVERTERS,
    **mil_math.CONVERTERS,
    **mil_norm.CONVERTERS,
    **mil_shape.CONVERTERS,
    **mil_weights.CONVERTERS,
}

__all__ = ["CONVERTERS"]
