"""Short words for what most converters say: :class:`PlainContext`."""

from __future__ import annotations

import numpy as np

from ..types import TensorType
from .flat import FlatContext


class PlainContext(FlatContext):
    """A :class:`FlatContext` of operators whose first input is what they compute with."""

    @property
    def x(self) -> str:
        """The first input."""
        if not self.input(0):
            self.error("its first input is absent.")
        return self.inputs[0]

    def typed(self, i: int = 0) -> TensorType:
        """The type of input ``i``, which must be there."""
        t = self.type(i)
        if t is None:
            self.error(f"its input {i} is absent.")
        return t

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first input."""
        return self.typed().shape

    def placed(self, axis: int, ndim: int | None = None) -> int:
        """``axis``, which may be negative, counted from the front; ``ndim`` None: of input 0."""
        ndim = len(self.shape) if ndim is None else ndim
        if not -ndim <= axis < ndim:
            self.error(f"the axis {axis} is out of range for {ndim} axes.")
        return axis % ndim

    def like(self, value: float, tensor: str = "") -> str:
        """A scalar of the element type of ``tensor``, the first input if it is not named."""
        return self.constant(np.asarray(value).astype(self.typeof(tensor or self.x).dtype.numpy))

    def cast(self, tensor: str, to: str) -> str:
        """``tensor`` with elements of another type."""
        if str(self.typeof(tensor).dtype) == to:
            return tensor
        return self.add("cast", [tensor], to=to)

    def reshape(self, tensor: str, shape: tuple[int, ...]) -> str:
        """``tensor`` with another shape of as many elements."""
        if self.typeof(tensor).shape == shape:
            return tensor
        return self.add("reshape", [tensor], shape=shape)

    def part(self, tensor: str, axis: int, start: int, count: int) -> str:
        """``count`` elements of ``tensor`` from ``start`` along ``axis``."""
        shape = self.typeof(tensor).shape
        if not 0 <= start <= start + count <= shape[axis]:
            self.error(f"elements {start} to {start + count} are not all on axis {axis}: {shape}.")
        if count == shape[axis]:
            return tensor
        return self.add(
            "slice",
            [tensor],
            starts=tuple(start if k == axis else 0 for k in range(len(shape))),
            shape=tuple(count if k == axis else d for k, d in enumerate(shape)),
        )


__all__ = ["PlainContext"]
