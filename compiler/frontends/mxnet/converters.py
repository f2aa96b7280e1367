"""All converters of MXNet's operators."""

from __future__ import annotations

from . import ops_boxes, ops_conv, ops_math, ops_nn, ops_reduce, ops_rnn, ops_shape, ops_vision
from .table import Table

CONVERTERS: Table = {
    **ops_boxes.CONVERTERS,
    **ops_conv.CONVERTERS,
    **ops_math.CONVERTERS,
    **ops_nn.CONVERTERS,
    **ops_reduce.CONVERTERS,
    **ops_rnn.CONVERTERS,
    **ops_shape.CONVERTERS,
    **ops_vision.CONVERTERS,
}
