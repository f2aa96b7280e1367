"""What a converter of one layer of a neural network sees.

The node's attribute ``layer`` is what the layer is told. Layers of old models are about the last
three axes, channels, height and width; what is in front of them is a batch (``NeuralNetwork.proto``
says so of each).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .context import CoreContext
from .weights import weights


class LayerContext(CoreContext):
    """One layer; ``p`` is what it is told, ``x`` its first input."""

    @property
    def p(self) -> Any:
        """The parameters of the layer."""
        return self.node.attrs["layer"]

    @property
    def x(self) -> str:
        """The first input."""
        if not self.input(0):
            self.error("it has no input.")
        return self.inputs[0]

    @property
    def y(self) -> str:
        """The second input."""
        if not self.input(1):
            self.error("it has no second input.")
        return self.inputs[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents of the first input."""
        return self.shaped(self.x)

    def array(self, w: Any, *shape: int, axis: int = 0) -> np.ndarray:
        """Weights of a shape; ``axis`` is that of output channels."""
        return weights(w, shape, self.where, axis)

    def weights(self, w: Any, *shape: int, axis: int = 0) -> str:
        """As :meth:`array`, as a constant of the graph."""
        return self.constant(self.array(w, *shape, axis=axis))

    def along_channels(self, w: Any, count: int) -> str:
        """Weights of one number or of one for each of ``count`` channels, the last axis but two."""
        if _count(w) == 1:
            return self.weights(w)
        return self.weights(w, count, 1, 1)

    def least(self, rank: int, tensor: str = "") -> tuple[int, ...]:
        """The extents of a tensor that must have at least ``rank`` axes."""
        shape = self.shaped(tensor or self.x)
        if len(shape) < rank:
            self.error(f"it takes at least {rank} axes, not {list(shape)}.")
        return shape

    def batched(self, tensor: str = "") -> str:
        """A tensor as [batch, channels, height, width]."""
        shape = self.least(3, tensor)
        return self.reshaped(tensor or self.x, (_product(shape[:-3]), *shape[-3:]))

    def restored(self, y: str, like: str = "") -> str:
        """[batch, …] with the batch's axes as they are in the first input, or in ``like``."""
        lead = self.shaped(like or self.x)[:-3]
        return self.reshaped(y, (*lead, *self.shaped(y)[1:]))

    def floats(self, tensor: str) -> str:
        """Numbers as layers hand them on: all are float32."""
        return self.cast(tensor, "float32")

    def integers(self, tensor: str) -> str:
        """Numbers that are indices."""
        return self.cast(tensor, "int32")

    def known_ints(self, i: int) -> list[int]:
        """The integers of an input, which must be known at compile time."""
        value = self.const(i)
        if value is None:
            self.error(f"its input {i} is missing.")
        if not np.isfinite(value.astype(np.float64)).all():
            self.error(f"its input {i} has what is no integer.")
        return [int(v) for v in value.reshape(-1)]


def _count(w: Any) -> int:
    if w.rawValue:
        return len(w.rawValue) * 8 // max(w.quantization.numberOfBits, 1)
    return len(w.floatValue) or len(w.float16Value) // 2


def _product(values: Sequence[int]) -> int:
    found = 1
    for v in values:
        found *= v
    return found


LayerConverter = Callable[[LayerContext], "Sequence[str] | str"]

__all__ = ["LayerContext", "LayerConverter"]
