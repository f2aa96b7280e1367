"""What passes may rely on of an operator beyond its kind: :class:`Facts`.

Every fact is a promise about what the operator means, for every value of its attributes; passes ask
for facts and not for names, so an operator from outside that states them is treated as one of
weft's own. A fact that is not stated costs speed, never correctness.

=================  =================================================================
who asks           what
=================  =================================================================
``fuse``           ``cheap``
``simplify``       ``idempotent``, ``involution``, ``neutral``
``cse``            ``commutative``
``batchnorm``      ``affine``, ``Contraction.rescale``, ``Contraction.channel_axis``
``layout*``        ``channel_wise``, ``window``, ``steps``, ``joins``, ``reduced``,
``texture_layout`` and all of ``Contraction``
``narrow``         ``joins``
``results``        ``Contraction.channel_axis``
``flatten``        ``Contraction.pointwise``
``memory``         ``reinterprets``
``transposes``     ``carries``
=================  =================================================================
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.layout import Layout
from .axes import Carries

Attrs = Mapping[str, Any]
Shape = Sequence[int]
Axes = Callable[[Attrs], Sequence[int]]


class Stream(enum.Enum):
    """The order in which a contraction reads constant weights that lie in blocks of columns."""

    PLACE = "place"  # along its other axes first: blocks stay where the axis of the columns is
    PANELS = "panels"  # a block of columns from its begin to its end, row after row
    WINDOW = "window"  # [F, C, …]: channel block, window, channel, filter


@dataclass(frozen=True)
class Neutral:
    """``x op value`` is ``x`` to the last bit, the constant being one of the inputs ``sides``."""

    value: float
    sides: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Rescaled:
    """What computes ``scale * result + shift``: new weights, a new bias (None: no such input) and
    the attributes that change."""

    weights: np.ndarray
    bias: np.ndarray | None
    attrs: Attrs


# (weights, bias or None, attributes, scale, shift) -> what computes the rescaled result, or None.
# Arrays are float64; scale and shift have one element, or one for each channel.
Rescale = Callable[
    [np.ndarray, "np.ndarray | None", Attrs, np.ndarray, np.ndarray], "Rescaled | None"
]


def product_count(x: Shape, w: Shape, out: Shape, channel: int) -> float:
    """Multiply-adds where each result takes part in those of one column of weights."""
    return _size(out) * _size(w) / max(1, out[channel])


def not_pointwise(w: Shape, attrs: Attrs) -> bool:
    """``Contraction.pointwise`` of an operator whose results need data of other places, too."""
    return False


def no_depth(w: Shape, attrs: Attrs) -> int | None:
    """``Contraction.depth`` of an operator that sums over more than the last axis of the data."""
    return None


def one_group(attrs: Attrs) -> int:
    """``Contraction.groups`` of an operator where each result needs all channels."""
    return 1


@dataclass(frozen=True)
class Contraction:
    """Sums of products of data (input 0) and weights (input 1), and a bias (input 2) if any.

    Parameters
    ----------
    columns : (shape of the weights, attributes) -> their axis that counts the channels (columns) of
        the result; None where there is none.
    channel_axis : the axis of the result that counts them: 1 for [N, C, …], else -1. With 1, data
        and result may have their channels in blocks.
    stream : in which order weights are read.
    depth : (shape of the weights, attributes) -> their axis that counts what the last axis of the
        data counts; None where another axis of the data, or several, are summed over.
    pointwise : (shape of the weights, attributes) -> whether each place of a result [N, C, …] needs
        the data at the same place alone, whatever the places are called.
    groups : into how many parts channels are split that have nothing to do with each other.
    products : (shapes of data, weights, result, channel axis) -> the number of multiply-adds.
    rescale : how a scale and a shift of each channel of the result become part of the weights.
    """

    columns: Callable[[Shape, Attrs], int | None]
    channel_axis: int = -1
    stream: Stream = Stream.PLACE
    depth: Callable[[Shape, Attrs], int | None] = no_depth
    pointwise: Callable[[Shape, Attrs], bool] = not_pointwise
    groups: Callable[[Attrs], int] = one_group
    products: Callable[[Shape, Shape, Shape, int], float] = product_count
    rescale: Rescale | None = None

    @property
    def has_images(self) -> bool:
        """Whether data and results are [N, C, …]."""
        return self.channel_axis == 1


def no_numbers(attrs: Attrs) -> Sequence[int]:
    """``Facts.window`` and ``Facts.steps`` of an operator without a window."""
    return ()


def all_axes(attrs: Attrs) -> Sequence[int] | None:
    """``Facts.reduced`` of an operator that sums over all axes: None."""
    return None


@dataclass(frozen=True)
class Facts:
    """Promises of an operator.

    Parameters
    ----------
    cheap : an element is worth computing again where its result is stretched: a few instructions,
        no division and no function. None: as its kind says (operators of elements are dear, those
        that stretch or move are cheap).
    commutative : the order of the inputs does not matter.
    idempotent : ``f(f(x))`` is ``f(x)`` to the last bit.
    involution : ``f(f(x))`` is ``x`` to the last bit.
    neutral : a constant operand that changes nothing.
    reinterprets : (shape of the first input, attributes) -> the layout in which the result is that
        input's bytes, where the input lies in row-major order.
    channel_wise : where the first two extents of a result [N, C, …] are those of the first input,
        it is made of the same channels of it, or of a few neighbours, and lies best as it does.
    window : the extents of the window around each place that a channel-wise result reads.
    steps : the distances, in the data, of places that are neighbours in the result.
    joins : the attributes -> the axis along which the result has all inputs one after another.
    reduced : the attributes -> the axes that a reduction sums over; None: all of them.
    affine : (constant inputs 1, 2, … as float64, attributes) -> (scale, shift) of one element or
        one for each index of axis 1, when the result is ``input 0 * scale + shift``.
    contraction : the roles of operands in sums of products.
    carries : how axes of operands and results belong together; None: in no way that is known.
    """

    cheap: bool | None = None
    commutative: bool = False
    idempotent: bool = False
    involution: bool = False
    neutral: Neutral | None = None
    reinterprets: Callable[[Shape, Attrs], Layout] | None = None
    channel_wise: bool = False
    window: Axes = no_numbers
    steps: Axes = no_numbers
    joins: Callable[[Attrs], int] | None = None
    reduced: Callable[[Attrs], Sequence[int] | None] = all_axes
    affine: Callable[[Sequence[np.ndarray], Attrs], tuple[np.ndarray, np.ndarray]] | None = None
    contraction: Contraction | None = None
    carries: Carries | None = None


NO_FACTS = Facts()


def attribute(name: str) -> Axes:
    """A function of attributes: the numbers of the one called ``name``, none where it is None."""
    return lambda attrs: attrs[name] or ()


def _size(shape: Shape) -> int:
    n = 1
    for d in shape:
        n *= d
    return n
