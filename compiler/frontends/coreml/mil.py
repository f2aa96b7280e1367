"""The converters of MIL's operations, by name."""

from __future__ import annotations

from . import (
    mil_conv,
    mil_flow,
    mil_gather,
    mil_image,
    mil_math,
    mil_norm,
    mil_rnn,
    mil_shape,
    mil_weights,
)
from .labels import classified
from .mil_context import MilContext, MilConverter


def _classify(n: MilContext) -> list[str]:
    labels = n.node.attrs["texts"].get("classes")
    if not isinstance(labels, tuple):
        n.error("its classes are no list.")
    return classified(n, n.arg("probabilities"), labels)


CONVERTERS: dict[str, MilConverter] = {
    **mil_conv.CONVERTERS,
    **mil_flow.CONVERTERS,
    **mil_gather.CONVERTERS,
    **mil_image.CONVERTERS,
    **mil_math.CONVERTERS,
    **mil_norm.CONVERTERS,
    **mil_rnn.CONVERTERS,
    **mil_shape.CONVERTERS,
    **mil_weights.CONVERTERS,
    "classify": _classify,
}

__all__ = ["CONVERTERS"]
