"""Layouts: invertible maps from the logical axes of a tensor to physical axes.

One mechanism for ``NCHW16c`` on a CPU, packed GEMM operands, and a tensor in a texture array. A
physical axis is a mixed-radix number of *digits*; a digit is ``index[axis] // stride % extent`` of
one logical axis, so that splits, reorders, fusions and padding are all the same thing:

    NCHW16c of [1, 24, H, W]   (N) (C/16 : 2) (H) (W) (C%16 : 16)      # 24 padded to 32

    texture of a convolution   x = (W/4)     y = (C/8, H)     layer = (C/4%2, W%4)     lane = (C%4)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..runtime.errors import ExprError
from ..runtime.lazy import lazy

if TYPE_CHECKING:
    from .expr import Expr


class Digit(NamedTuple):
    """``index[axis] // stride % extent``."""

    axis: int
    stride: int
    extent: int


@dataclass(frozen=True)
class Layout:
    """``shape``: logical extents. ``axes``: physical axes, outermost first, each a tuple of digits
    from most to least significant. The digits of one logical axis cover it without gaps.
    ``layers``: in texture memory, over how many layers neighbouring texels are dealt out in turn (a
    power of two); the order of the elements does not depend on it."""

    shape: tuple[int, ...]
    axes: tuple[tuple[Digit, ...], ...]
    layers: int = 1

    def __post_init__(self) -> None:
        for a, extent in enumerate(self.shape):
            step = 1
            for d in sorted(
                (d for ax in self.axes for d in ax if d.axis == a), key=lambda d: d[1:]
            ):
                assert d.stride == step, f"digits of axis {a} leave a gap: {self.axes}"
                step = d.stride * d.extent
            assert step >= extent, f"digits of axis {a} cover {step} of {extent}"

    @classmethod
    def row_major(cls, shape: Sequence[int]) -> Layout:
        """The logical axes as they come, each of one digit."""
        return cls(tuple(shape), tuple((Digit(a, 1, n),) for a, n in enumerate(shape)))

    @classmethod
    def blocked(cls, shape: Sequence[int], axis: int, block: int) -> Layout:
        """``axis`` split by ``block``, the block innermost: NCHW16c for axis 1 of four."""
        steps = [block if a == axis else 1 for a in range(len(shape))]
        outer = tuple((Digit(a, k, -(-n // k)),) for a, (n, k) in enumerate(zip(shape, steps)))
        return cls(tuple(shape), (*outer, (Digit(axis, 1, block),)))

    @classmethod
    def parse(cls, text: str, shape: Sequence[int]) -> Layout:
        """The layout that a string such as ``"NCHW16c"`` describes.

        Capital letters are the logical axes in the order that they first appear in ``text``'s
        capital letters *sorted by logical position*: the logical order is given before a colon
        when it differs (``"OIHW:OHWI"``). A lower-case letter with a number is a split-off block.
        """
        logical, _, physical = text.rpartition(":")
        tokens = re.findall(r"([A-Z])|(\d+)([a-z])", physical)
        if "".join(a or n + b for a, n, b in tokens) != physical:
            raise ExprError(f"the layout {text!r} is malformed.", hint="for example NCHW16c")
        order = logical or "".join(a for a, _, _ in tokens if a)
        if len(order) != len(shape) or len(set(order)) != len(order):
            raise ExprError(f"the layout {text!r} has axes {order} for the shape {tuple(shape)}")
        block = [1] * len(shape)
        for _, n, b in tokens:
            if b:
                block[order.index(b.upper())] *= int(n)
        axes: list[tuple[Digit, ...]] = []
        inner = list(block)
        for a, n, b in tokens:
            i = order.index(a or b.upper())
            if a:
                axes.append((Digit(i, block[i], -(-shape[i] // block[i])),))
            else:
                inner[i] //= int(n)
                axes.append((Digit(i, inner[i], int(n)),))
        return cls(tuple(shape), tuple(axes))

    @classmethod
    def from_text(cls, text: str, shape: Sequence[int]) -> Layout:
        """The layout that ``str(layout)`` describes, for a tensor of ``shape``."""
        axes = tuple(
            tuple(
                Digit(int(a), int(s or 1), int(n))
                for a, s, n in re.findall(r"a(\d+)(?:/(\d+))?:(\d+)", part)
            )
            for part in text.strip("[]").split("|")
        )
        made = cls(tuple(shape), axes)
        if str(made) != text:
            raise ExprError(f"the layout {text!r} is malformed.")
        return made

    @lazy
    def is_row_major(self) -> bool:
        """Whether the physical axes are the logical ones, without padding."""
        return self.axes == Layout.row_major(self.shape).axes

    @lazy
    def order(self) -> tuple[int, ...]:
        """The logical axis of each digit, outermost first."""
        return tuple(d.axis for ax in self.axes for d in ax)

    @lazy
    def is_permuted(self) -> bool:
        """Whether whole logical axes follow one another in an order that is not their own."""
        return len(self.order) == len(self.shape) and not self.is_row_major

    @lazy
    def padded(self) -> tuple[int, ...]:
        """Logical extents including padding: indices below these are inside the storage."""
        reach = [1] * len(self.shape)
        for d in (d for ax in self.axes for d in ax):
            reach[d.axis] = max(reach[d.axis], d.stride * d.extent)
        return tuple(reach)

    @lazy
    def physical_shape(self) -> tuple[int, ...]:
        """Extents of the physical axes, padding included."""
        return tuple(int(np.prod([d.extent for d in ax], dtype=np.int64)) for ax in self.axes)

    @lazy
    def size(self) -> int:
        """Number of physical elements, padding included."""
        return int(np.prod(self.physical_shape, dtype=np.int64))

    def map(self, indices: Sequence[Expr]) -> tuple[Expr, ...]:
        """The physical index for a logical one; unsimplified."""
        return tuple(self._axis(ax, indices) for ax in self.axes)

    def _axis(self, digits: tuple[Digit, ...], indices: Sequence[Expr]) -> Expr:
        value: Expr | None = None
        for d in digits:
            e = indices[d.axis]
            if d.stride != 1:
                e = e // d.stride
            if d.stride * d.extent != self.padded[d.axis]:
                e = e % d.extent
            value = e if value is None else value * d.extent + e
        assert value is not None
        return value

    def resized(self, shape: Sequence[int]) -> Layout:
        """The same blocking for a tensor of another shape."""
        top = {a: max(d.stride for d in self._digits if d.axis == a) for a in range(len(shape))}
        axes = tuple(
            tuple(
                Digit(d.axis, d.stride, -(-shape[d.axis] // d.stride))
                if d.stride == top[d.axis] and d.extent == -(-self.shape[d.axis] // d.stride)
                else d
                for d in ax
            )
            for ax in self.axes
        )
        return Layout(tuple(shape), axes, self.layers)

    @lazy
    def _digits(self) -> tuple[Digit, ...]:
        return tuple(d for ax in self.axes for d in ax)

    def block(self, axis: int) -> int:
        """Extent of the innermost digit of a logical axis when it is split, else 1."""
        inner = [d for d in self._digits if d.axis == axis]
        return inner[-1].extent if len(inner) > 1 else 1

    @property
    def lane(self) -> Digit:
        """The digit that neighbours in memory differ in."""
        return self.axes[-1][-1]

    def pack(self, array: np.ndarray) -> np.ndarray:
        """The physical array of a logical one; padding is zero."""
        assert array.shape == self.shape, (array.shape, self.shape)
        widths = [(0, p - n) for p, n in zip(self.padded, self.shape)]
        digits = [d for ax in self.axes for d in ax]
        split, where = self._split_order(digits)
        whole = np.pad(array, widths) if any(after for _, after in widths) else array
        grid = whole.reshape([d.extent for d in split])
        return np.ascontiguousarray(grid.transpose(where)).reshape(self.physical_shape)

    def unpack(self, array: np.ndarray) -> np.ndarray:
        """The logical array of a physical one; padding is dropped."""
        digits = [d for ax in self.axes for d in ax]
        _, where = self._split_order(digits)
        grid = array.reshape([d.extent for d in digits]).transpose(np.argsort(where))
        whole = grid.reshape(self.padded)
        return np.ascontiguousarray(whole[tuple(slice(n) for n in self.shape)])

    @staticmethod
    def _split_order(digits: list[Digit]) -> tuple[list[Digit], list[int]]:
        split = sorted(digits, key=lambda d: (d.axis, -d.stride * d.extent, -d.stride))
        return split, [split.index(d) for d in digits]

    def __str__(self) -> str:
        def text(d: Digit) -> str:
            return f"a{d.axis}" + (f"/{d.stride}" if d.stride > 1 else "") + f":{d.extent}"

        return "[" + " | ".join(" ".join(map(text, ax)) for ax in self.axes) + "]"
