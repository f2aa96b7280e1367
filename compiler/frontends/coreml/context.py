"""What converters of both of Core ML's kinds of models have in common: :class:`CoreContext`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..flat import FlatContext

MAX_MADE = 1 << 24  # elements of a constant that an operation may ask for out of nothing


class CoreContext(FlatContext):
    """One operation of an ML program, or one layer of a neural network."""

    def shaped(self, tensor: str) -> tuple[int, ...]:
        """The extents of a tensor."""
        return self.typeof(tensor).shape

    def counted(self, axis: int, rank: int) -> int:
        """``axis`` counted from the front."""
        if not -rank <= axis < rank:
            self.error(f"the axis {axis} is out of range for {rank} axes.")
        return axis % rank

    def all_counted(self, axes: Sequence[int], rank: int) -> list[int]:
        """Axes counted from the front, each of which is named once."""
        found = [self.counted(a, rank) for a in axes]
        if len(set(found)) < len(found):
            self.error(f"the axes {list(axes)} name one twice.")
        return found

    def like(self, value: Any, tensor: str) -> str:
        """A constant of the element type of ``tensor``."""
        return self.constant(np.asarray(value).astype(self.typeof(tensor).dtype.numpy))

    def reshaped(self, tensor: str, shape: Sequence[int]) -> str:
        """``tensor`` in another shape, every extent given."""
        shape = tuple(int(d) for d in shape)
        if shape == self.shaped(tensor):
            return tensor
        return self.add("reshape", [tensor], shape=shape)

    def moved(self, tensor: str, perm: Sequence[int]) -> str:
        """``tensor`` with its axes in another order."""
        if list(perm) == list(range(len(perm))):
            return tensor
        return self.add("transpose", [tensor], perm=tuple(perm))

    def cast(self, tensor: str, dtype: str) -> str:
        """``tensor`` in another element type."""
        if str(self.typeof(tensor).dtype) == dtype:
            return tensor
        return self.add("cast", [tensor], to=dtype)

    def made(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that the model asks for, if it is one and not absurdly large."""
        if min(shape, default=0) < 0:
            self.error(f"the shape {list(shape)} has a negative extent.")
        if np.prod([float(d) for d in shape]) > MAX_MADE:
            self.unsupported(
                f"a tensor {list(shape)} out of nothing has more than {MAX_MADE} elements"
            )
        return tuple(int(d) for d in shape)


__all__ = ["MAX_MADE", "CoreContext"]
