"""The converters of the layers of neural networks, by the name of the field that has them."""

from __future__ import annotations

from . import nn_conv, nn_ends, nn_math, nn_rnn, nn_shape
from .layer_context import LayerConverter

CONVERTERS: dict[str, LayerConverter] = {
    **nn_conv.CONVERTERS,
    **nn_ends.CONVERTERS,
    **nn_math.CONVERTERS,
    **nn_rnn.CONVERTERS,
    **nn_shape.CONVERTERS,
}

__all__ = ["CONVERTERS"]
