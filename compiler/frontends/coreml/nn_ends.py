"""The ends of a neural network: its inputs as layers take them, what comes out, and labels.

These are nodes that the reader adds (``network.py``), not layers of a file.
"""

from __future__ import annotations

import math

import numpy as np

from .features import colours
from .labels import classified
from .layer_context import LayerContext, LayerConverter

INPUT, OUTPUT, LABELS = "weft.input", "weft.output", "weft.labels"


def _input(n: LayerContext) -> str:
    """An input as float32, in the shape of the layers, preprocessed where it is an image."""
    x = n.floats(n.x)
    shape = n.attr("shape", None) or n.shaped(x)
    if n.has_attr("five"):
        shape = (1, *n.shaped(x))
    x = n.reshaped(x, shape)
    for step in n.attr("preprocessing", ()):
        x = _preprocessed(n, x, step)
    return x


def _preprocessed(n: LayerContext, x: str, step: object) -> str:
    channels, height, width = n.shaped(x)[-3:]
    if step.HasField("meanImage"):  # type: ignore[attr-defined]
        mean = np.array(step.meanImage.meanImage, np.float32)  # type: ignore[attr-defined]
        if mean.size != channels * height * width:
            n.error(f"a mean image of {mean.size} numbers does not fit {list(n.shaped(x))}.")
        return n.add("sub", [x, n.constant(mean.reshape(channels, height, width))])
    s = step.scaler  # type: ignore[attr-defined]
    colour = colours(n.attr("image"), n.where) if n.has_attr("image") else ""
    bias = {
        "RGB": (s.redBias, s.greenBias, s.blueBias),
        "BGR": (s.blueBias, s.greenBias, s.redBias),
    }.get(colour, (s.grayBias,))
    scale = s.channelScale if s.HasField("channelScale") else 0.0
    x = n.add("mul", [x, n.like(scale, x)])
    if not any(bias):
        return x
    return n.add("add", [x, n.like(np.array(bias).reshape(-1, 1, 1), x)])


def _output(n: LayerContext) -> str:
    """What comes out, in the shape that the description has, where that fits."""
    shape = n.attr("shape")
    if shape and math.prod(shape) == math.prod(n.shape):
        return n.reshaped(n.x, shape)
    return n.x


def _labels(n: LayerContext) -> list[str]:
    return classified(n, n.x, n.attr("labels"))


CONVERTERS: dict[str, LayerConverter] = {INPUT: _input, LABELS: _labels, OUTPUT: _output}
