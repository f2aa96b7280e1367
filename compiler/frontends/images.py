"""Convolutions and pools as formats have them whose images end with their channels.

weft's operators take [batch, channel, spatial…]. Data of the other order is transposed in front of
them and back behind: the passes take such pairs away (``passes/transposes.py``), so that a network
whose images have their channels last costs nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.errors import ModelError
from .context import Context

VALID, SAME = "VALID", "SAME"


def channels_first(n: Context, x: str) -> str:
    """[batch, spatial…, channel] as [batch, channel, spatial…]."""
    rank = len(n.typeof(x).shape)
    return n.add("transpose", [x], perm=(0, rank - 1, *range(1, rank - 1)))


def channels_last(n: Context, x: str) -> str:
    """[batch, channel, spatial…] as [batch, spatial…, channel]."""
    rank = len(n.typeof(x).shape)
    return n.add("transpose", [x], perm=(0, *range(2, rank), 1))


def same_pads(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Pads (before each axis, then after each) with which a window makes ``ceil(size / stride)``
    results an axis; an odd element is at the end, as in TensorFlow's ``SAME``."""
    before, after = [], []
    for m, k, s, d in zip(size, kernel, strides, dilations or (1,) * len(size), strict=True):
        total = max((-(-m // s) - 1) * s + (k - 1) * d + 1 - m, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return (*before, *after)


def window_pads(
    padding: str,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The pads of ``"SAME"`` or ``"VALID"``, in any case of letters."""
    if min(strides, default=1) < 1 or min(dilations or (1,)) < 1:
        raise ModelError(f"strides {tuple(strides)}, dilations {dilations}: they are positive.")
    if padding.upper() == VALID:
        return (0,) * (2 * len(kernel))
    if padding.upper() == SAME:
        return same_pads(size, kernel, strides, dilations)
    raise ModelError(f"there is no padding {padding!r}.", hint="SAME or VALID")


def conv(n: Context, x: str, weights: str, bias: str = "", **attrs: Any) -> str:
    """A convolution of [batch, spatial…, channel] by weights [filter, channel of a group,
    spatial…]; ``attrs`` are those of the operator ``conv``."""
    inputs = [channels_first(n, x), weights, *([bias] if bias else [])]
    return channels_last(n, n.add("conv", inputs, **attrs))


def pool(n: Context, op: str, x: str, **attrs: Any) -> str:
    """``op``, ``"max_pool"`` or ``"average_pool"``, over [batch, spatial…, channel]."""
    return channels_last(n, n.add(op, [channels_first(n, x)], **attrs))


__all__ = [
    "SAME",
    "VALID",
    "channels_first",
    "channels_last",
    "conv",
    "pool",
    "same_pads",
    "window_pads",
]
