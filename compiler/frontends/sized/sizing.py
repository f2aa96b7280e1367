"""Sizes of axes and arithmetic with them, as operators of the graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ....runtime.dtype import DType
from ....runtime.errors import UnsupportedError
from ...graph.graph import Source
from .values import Element

if TYPE_CHECKING:
    from ..emit import Emitter


@dataclass(frozen=True)
class Extent:
    """How long an axis is: ``bound`` at most; ``size`` is the int64 scalar that says how long
    exactly. Where it is empty, ``bound`` long."""

    bound: int
    size: str = ""


class Sizing:
    """Adds operators on tensors and sizes to a graph, for one node of a model. Unlike
    :meth:`Emitter.add`, :meth:`add` knows no sizes: what it makes has none until :meth:`declare`
    gives it some."""

    def __init__(self, emitter: Emitter, hint: str, source: Source):
        self.emitter, self.hint, self.source = emitter, hint, source

    # -- operators

    def add(self, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """An operator of one output on whole tensors, up to their bounds."""
        return self.emitter.whole(op, inputs, attrs, self.hint, self.source)[0]

    def add_many(self, op: str, inputs: Sequence[str], **attrs: Any) -> tuple[str, ...]:
        """As :meth:`add`, for any number of outputs."""
        return self.emitter.whole(op, inputs, attrs, self.hint, self.source)

    def constant(self, value: Any, dtype: DType | str = "int64") -> str:
        """A constant of a type."""
        kind = dtype.numpy if isinstance(dtype, DType) else np.dtype(dtype)
        return self.emitter.constant(np.asarray(value).astype(kind), self.hint)

    def shape(self, name: str) -> tuple[int, ...]:
        """The bounds of a tensor."""
        return self.emitter.builder.types[name].shape

    def dtype(self, name: str) -> DType:
        """The element type of a tensor."""
        return self.emitter.builder.types[name].dtype

    def unsupported(self, message: str) -> NoReturn:
        """Raise :class:`UnsupportedError` at the node."""
        raise UnsupportedError(message, where=str(self.source))

    # -- extents

    def extent(self, name: str, axis: int) -> Extent:
        """How long an axis of a tensor is."""
        return Extent(self.shape(name)[axis], self.sizes(name).get(axis, ""))

    def extents(self, name: str) -> list[Extent]:
        """How long all of them are."""
        return [self.extent(name, k) for k in range(len(self.shape(name)))]

    def sizes(self, name: str) -> Mapping[int, str]:
        """The sizes of the axes that are not fixed."""
        return self.emitter.sizes.get(name, {})

    def declare(self, name: str, sizes: Mapping[int, str]) -> str:
        """State the sizes of a tensor; a number that is constant after all fixes nothing: the axis
        is cut to it. Returns the tensor's name, another one where it was cut."""
        left: dict[int, str] = {}
        constants = self.emitter.builder.constants
        for axis, size in sizes.items():
            value = constants.get(size)
            if value is None:
                left[axis] = size
                continue
            name = self.cut(name, axis, min(max(int(value), 0), self.shape(name)[axis]))
        if left:
            if name in constants:  # it gets a name of its own: others may read the whole of it
                name = self.emitter.constant(constants[name], self.hint)
            self.emitter.sizes[name] = left
            for axis, size in left.items():
                low, high = self.emitter.values.stated.get(size, (0, math.inf))
                bound = min(high, self.shape(name)[axis])
                self.emitter.values.stated[size] = (low, bound)
        return name

    def shaped(self, name: str, extents: Sequence[Extent]) -> str:
        """As :meth:`declare`, for the extents of all axes."""
        return self.declare(name, {k: e.size for k, e in enumerate(extents) if e.size})

    def shortened(self, name: str, axis: int, count: int) -> str:
        """As :meth:`cut`, with the sizes that the tensor has."""
        sizes = dict(self.sizes(name))
        cut = self.cut(name, axis, count)
        return self.declare(cut, sizes) if cut != name else name

    def cut(self, name: str, axis: int, count: int) -> str:
        """The first ``count`` places of an axis, of all up to its bound."""
        shape = self.shape(name)
        if shape[axis] == count:
            return name
        new = tuple(count if k == axis else d for k, d in enumerate(shape))
        return self.add("slice", [name], starts=(0,) * len(shape), shape=new)

    def number(self, e: Extent | int) -> str:
        """An extent as an int64 scalar."""
        if isinstance(e, Extent) and e.size:
            return e.size
        return self.constant(e.bound if isinstance(e, Extent) else e)

    def made(self, bound: float, size: str) -> Extent:
        """The extent that a scalar tensor is, and that is at most ``bound``."""
        value = self.emitter.builder.constants.get(size)
        if value is not None:
            return Extent(max(int(value), 0))
        if bound == math.inf:
            self.unsupported("it makes a tensor of a size without a bound")
        self.emitter.values.stated.setdefault(size, (0, bound))
        return Extent(int(bound), size)

    def of_element(self, e: Element, bound: int) -> Extent:
        """The extent that an element of an integer tensor is, ``bound`` at most."""
        if e.is_known:
            return Extent(e.offset)
        name = e.tensor
        if self.shape(name):
            flat = self.add("reshape", [name], shape=(math.prod(self.shape(name)),))
            name = self.add("gather", [flat, self.constant(e.index)], axis=0)
        if str(self.dtype(name)) != "int64":
            name = self.add("cast", [name], to="int64")
        if e.offset:
            name = self.add("add", [name, self.constant(e.offset)])
        return Extent(bound, name)

    # -- arithmetic

    def plus(self, a: Extent, b: Extent) -> Extent:
        """Their sum."""
        if not a.size and not b.size:
            return Extent(a.bound + b.bound)
        return self.made(a.bound + b.bound, self.add("add", [self.number(a), self.number(b)]))

    def times(self, a: Extent, b: Extent) -> Extent:
        """Their product."""
        if not a.size and not b.size:
            return Extent(a.bound * b.bound)
        for one, other in ((a, b), (b, a)):
            if one == Extent(1):
                return other
        return self.made(a.bound * b.bound, self.add("mul", [self.number(a), self.number(b)]))

    def over(self, a: Extent, b: Extent) -> Extent:
        """``a // b``, where it is known to divide or is to be rounded down; 0 where ``b`` is."""
        if not b.size and b.bound == 1:
            return a
        if not a.size and not b.size:
            return Extent(a.bound // max(b.bound, 1))
        least = self.add("maximum", [self.number(b), self.constant(1)])
        low = 1 if b.size else max(b.bound, 1)
        return self.made(a.bound // low, self.add("div", [self.number(a), least]))

    def product(self, extents: Sequence[Extent]) -> Extent:
        """The product of several."""
        total = Extent(1)
        for e in extents:
            total = self.times(total, e)
        return total

    # -- masks

    def positions(self, shape: Sequence[int], axis: int) -> str:
        """The index along an axis, int64, to be broadcast over a shape."""
        lined = [1] * len(shape)
        lined[axis] = shape[axis]
        return self.constant(np.arange(shape[axis]).reshape(lined))

    def within(self, name: str, axes: Sequence[int]) -> str:
        """Whether an element is within the size along ``axes``, to be broadcast."""
        shape, sizes, result = self.shape(name), self.sizes(name), ""
        for axis in axes:
            inside = self.add("less", [self.positions(shape, axis), sizes[axis]])
            result = self.add("and", [result, inside]) if result else inside
        return result

    def masked(self, name: str, axes: Sequence[int], value: float | int | bool) -> str:
        """The tensor with ``value`` beyond its size along those of ``axes`` that are not fixed."""
        axes = [a for a in axes if a in self.sizes(name)]
        if not axes:
            return name
        rest = self.constant(value, self.dtype(name))
        return self.add("where", [self.within(name, axes), name, rest])

    def lowest(self, name: str) -> float | int | bool:
        """What is not above any element of its type."""
        d = self.dtype(name)
        return False if d.is_bool else -math.inf if d.is_float else int(d.min)

    def highest(self, name: str) -> float | int | bool:
        """What is not below any element of its type."""
        d = self.dtype(name)
        return True if d.is_bool else math.inf if d.is_float else int(d.max)


def joint(s: Sizing, extents: Sequence[Extent]) -> Extent:
    """How long an axis is that several tensors share: as they are, where one of length 1 is
    stretched. A size may turn out to be 1, so that sizes that are not the same one are compared."""
    if any(e.bound == 0 for e in extents):
        return Extent(0)
    fixed = [e for e in extents if not e.size and e.bound != 1]
    if fixed:
        return fixed[0]
    opened = list({e.size: e for e in extents if e.size}.values())
    if len(opened) < 2:
        return opened[0] if opened else Extent(1)
    size = reduce(lambda a, b: s.add("maximum", [a, b]), [e.size for e in opened])
    # Without elements, the axis of one place has none either.
    for e in opened:
        some = s.add("less", [s.constant(0), e.size])
        size = s.add("where", [some, size, s.constant(0)])
    return s.made(max(e.bound for e in opened), size)


def aligned(
    s: Sizing, inputs: Sequence[str], axes: Sequence[int], ndim: int
) -> tuple[list[str], dict[int, str]]:
    """``inputs`` as an operator takes them that broadcasts along ``axes`` of its ``ndim``, and the
    sizes of those axes of its result."""
    inputs, sizes = list(inputs), {}
    for axis in axes:
        lined = {k: axis - ndim + len(s.shape(i)) for k, i in enumerate(inputs) if i}
        lined = {k: at for k, at in lined.items() if at >= 0}
        extents = {k: s.extent(inputs[k], at) for k, at in lined.items()}
        if not any(e.size for e in extents.values()):
            continue
        whole = joint(s, list(extents.values()))
        same = [e.bound for e in extents.values() if e.size and e.size == whole.size]
        if whole.size and same:  # one size with several bounds: all of them hold
            whole = Extent(min(same), whole.size)
        for k, e in extents.items():
            if e.size or not whole.bound:
                inputs[k] = spread(s, inputs[k], lined[k], whole)
        if whole.size:
            sizes[axis] = whole.size
    return inputs, sizes


def spread(s: Sizing, name: str, axis: int, whole: Extent) -> str:
    """A tensor along an axis of which the result is ``whole``: what lies behind its last place is
    that place, so that one place serves for all."""
    have = s.extent(name, axis)
    if have == whole:
        return name
    if not whole.bound or have.size == whole.size:
        return s.shortened(name, axis, whole.bound)
    last = s.add("maximum", [s.add("sub", [s.number(have), s.constant(1)]), s.constant(0)])
    index = s.add("minimum", [s.constant(range(whole.bound)), last])
    others = {k: size for k, size in s.sizes(name).items() if k != axis}
    made = s.add("gather", [name, index], axis=axis, wrap=False)
    return s.declare(made, {**others, **({axis: whole.size} if whole.size else {})})


__all__ = ["Extent", "Sizing", "aligned", "joint", "spread"]
