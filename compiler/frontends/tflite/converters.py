"""The table of converters."""

from __future__ import annotations

from . import ops_gather, ops_math, ops_nn, ops_quantised, ops_shape
from .context import Converter
from .quantised import for_all

CONVERTERS: dict[str, Converter] = for_all(
    {
        **ops_gather.CONVERTERS,
        **ops_math.CONVERTERS,
        **ops_nn.CONVERTERS,
        **ops_shape.CONVERTERS,
        **ops_quantised.REAL,
    },
    ops_quantised.CONVERTERS,
)
