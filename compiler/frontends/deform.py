"""Deformable convolutions (Dai et al. 2017): pixels at places that data say, times weights."""

from __future__ import annotations

from typing import Any

from .context import Context


def deform_conv(
    n: Context,
    x: str,
    offsets: str,
    weights: str,
    bias: str,
    mask: str,
    groups: int,
    groups_of_offsets: int = 1,
    **attrs: Any,
) -> str:
    """A convolution of [batch, channel, row, column] whose taps ``offsets`` moves and ``mask``
    weights; ``bias`` and ``mask`` may be "". ``attrs``: strides, dilations and pads, as
    ``deform_columns`` has them. Raises :class:`ModelError` for weights that do not fit."""
    image, w = n.typeof(x), n.typeof(weights)
    if len(image.shape) != 4 or len(w.shape) != 4:
        n.unsupported(f"data {image} and weights {w}; images are supported")
    if groups < 1 or w.shape[1] * groups != image.shape[1] or w.shape[0] % groups:
        n.error(f"weights {w} in {groups} groups do not fit {image}.")
    kernel, batch, filters = w.shape[2:], image.shape[0], w.shape[0]
    inputs = [x, offsets, *([mask] if mask else [])]
    columns = n.add("deform_columns", inputs, kernel=kernel, groups=groups_of_offsets, **attrs)
    *_, tall, broad = n.typeof(columns).shape
    depth = w.shape[1] * kernel[0] * kernel[1]
    columns = n.add("reshape", [columns], shape=(batch, groups, depth, tall * broad))
    parts = n.add("reshape", [weights], shape=(groups, filters // groups, depth))
    y = n.add("matmul", [parts, columns])
    y = n.add("reshape", [y], shape=(batch, filters, tall, broad))
    if not bias:
        return y
    return n.add("add", [y, n.add("reshape", [bias], shape=(filters, 1, 1))])


__all__ = ["deform_conv"]
