"""The table of all converters, by the name of an operator and of its overload."""

from __future__ import annotations

from . import (
    ops_attention,
    ops_index,
    ops_make,
    ops_math,
    ops_nn,
    ops_number,
    ops_pool,
    ops_reduce,
    ops_rnn,
    ops_shape,
    ops_unary,
    ops_window,
)
from .context import Row

CONVERTERS: dict[str, Row] = {
    **ops_attention.CONVERTERS,
    **ops_index.CONVERTERS,
    **ops_make.CONVERTERS,
    **ops_math.CONVERTERS,
    **ops_nn.CONVERTERS,
    **ops_number.CONVERTERS,
    **ops_pool.CONVERTERS,
    **ops_reduce.CONVERTERS,
    **ops_rnn.CONVERTERS,
    **ops_shape.CONVERTERS,
    **ops_unary.CONVERTERS,
    **ops_window.CONVERTERS,
}
