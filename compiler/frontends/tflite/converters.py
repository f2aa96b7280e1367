"""The table of converters."""

from __future__ import annotations

from . import (
    ops_fixed,
    ops_flow,
    ops_gather,
    ops_math,
    ops_nn,
    ops_quantised,
    ops_recurrent,
    ops_shape,
    ops_softmax,
)
from .context import Converter
from .quantised import for_all

CONVERTERS: dict[str, Converter] = for_all(
    {
        **ops_flow.CONVERTERS,
        **ops_gather.CONVERTERS,
        **ops_math.CONVERTERS,
        **ops_nn.CONVERTERS,
        **ops_recurrent.CONVERTERS,
        **ops_shape.CONVERTERS,
        **ops_quantised.REAL,
    },
    {
        **ops_fixed.CONVERTERS,
        **ops_quantised.CONVERTERS,
        **ops_recurrent.QUANTISED,
        **ops_softmax.CONVERTERS,
    },
)

# Those that take tensors of which only data knows the size: they read no extents.
TAKERS = frozenset(
    {
        "ABS", "ADD", "CAST", "COS", "DIV", "EQUAL", "EXP", "FLOOR", "GATHER", "GATHER_ND",
        "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT",
        "LOGICAL_OR", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "RELU", "SIN",
        "SQRT", "SUB", "TANH",
    }
)  # fmt: skip
