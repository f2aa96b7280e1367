"""Operators whose arguments data compute: new shapes, slices, ranges, repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .moves import reshaped
from .sizing import Extent, Sizing, joint, spread
from .values import Element, Interval

FAR = 2**31 - 1  # where an index that is meant as "to the end" is cut


@dataclass(frozen=True)
class Number:
    """One integer of an argument: where it comes from, what it is at least and at most."""

    element: Element
    range: Interval

    @property
    def value(self) -> int | None:
        """What it is, where that is known."""
        return self.element.offset if self.element.is_known else None


def numbers(s: Sizing, name: str) -> list[Number]:
    """The elements of an integer tensor, in row-major order."""
    values = s.emitter.values
    return [
        Number(values.element(name, k), values.interval(name, k))
        for k in range(math.prod(s.shape(name)))
    ]


def known(value: int) -> Number:
    """A number that is known."""
    return Number(Element("", 0, value), (value, value))


def extent(s: Sizing, number: Number, most: float = math.inf) -> Extent:
    """A number as the extent of an axis, which ``most`` bounds, too."""
    if number.value is not None:
        return Extent(max(number.value, 0))
    bound = min(number.range[1], most)
    if bound == math.inf:
        s.unsupported("it makes a tensor of a size without a bound")
    return s.of_element(number.element, max(int(bound), 0))


# --- shapes -----------------------------------------------------------------------------------


def reshape(s: Sizing, x: str, shape: Sequence[Number], copies: bool) -> str:
    """``x`` in a shape as ONNX says it: -1 is what is left, 0 as long as before if ``copies``."""
    given = s.extents(x)
    total = math.prod(e.bound for e in given)
    target: list[Extent | None] = []
    for k, number in enumerate(shape):
        if number.value == -1:
            target.append(None)
        elif number.value == 0 and copies:
            target.append(given[k])
        else:
            target.append(extent(s, number, total))
    fixed = [e for e in target if e is not None]
    return reshaped(s, x, [_quotient(s, given, fixed) if e is None else e for e in target])


def _quotient(s: Sizing, given: Sequence[Extent], others: Sequence[Extent]) -> Extent:
    """What is left of the product of ``given`` beside ``others``; sizes in both cancel out."""
    above, below = [e for e in given if e.size], [e for e in others if e.size]
    for e in list(below):
        same = next((a for a in above if a.size == e.size), None)
        if same is not None:
            above.remove(same)
            below.remove(e)
    c, d = (math.prod(e.bound for e in part if not e.size) for part in (given, others))
    whole = s.product(above)
    if not below and d and c % d == 0:
        return s.times(whole, Extent(c // d))
    return s.over(s.times(whole, Extent(c)), s.times(s.product(below), Extent(d)))


def broadcast(s: Sizing, x: str, target: Sequence[Extent]) -> str:
    """``x`` stretched to ``target``, where the two have to agree but for ones."""
    given = s.extents(x)
    before = max(len(target) - len(given), 0)
    given = [Extent(1)] * before + given
    target = [Extent(1)] * (len(given) - len(target)) + list(target)
    made = [joint(s, pair) for pair in zip(given, target)]
    x = s.add("reshape", [x], shape=tuple(e.bound for e in given)) if before else x
    x = s.shaped(x, given)
    for axis, (have, whole) in enumerate(zip(given, made)):
        if have.size or not whole.bound:
            x = spread(s, x, axis, whole)
    shape = tuple(e.bound for e in made)
    return s.shaped(s.add("expand", [x], shape=shape) if shape != s.shape(x) else x, made)


def tile(s: Sizing, x: str, repeats: Sequence[Number]) -> str:
    """``x`` as often along each axis as ``repeats`` says; open axes as often as is known."""
    sizes, times = {}, []
    for axis, number in enumerate(repeats):
        e = extent(s, number)
        times.append(e.bound)
        if e.size:
            if axis in s.sizes(x):
                s.unsupported(f"repeats, and a size, of axis {axis} that only data knows")
            sizes[axis] = s.times(e, Extent(s.shape(x)[axis])).size
    made = s.emitter.add("tile", [x], {"repeats": tuple(times)}, s.hint, s.source)[0]
    return s.declare(made, {**s.sizes(made), **sizes})


# --- ranges and slices ------------------------------------------------------------------------


def arange(s: Sizing, start: Number, limit: Number, delta: int, dtype: str) -> str:
    """``start``, ``start + delta``, … before ``limit``."""
    first, last = _tensor(s, start), _tensor(s, limit)
    ends = (limit.range[1], start.range[0]) if delta > 0 else (start.range[1], limit.range[0])
    room = ends[0] - ends[1]
    bound = math.inf if room == math.inf else max(math.ceil(room / abs(delta)), 0)
    size = _steps(s, first, last, delta)
    count = s.made(bound, size)
    offsets = s.constant([k * delta for k in range(count.bound)])
    line = s.add("add", [offsets, first])
    if dtype != "int64":
        line = s.add("cast", [line], to=dtype)
    low, high = start.range
    far = (count.bound - 1) * delta
    s.emitter.values.stated[line] = (low + min(far, 0), high + max(far, 0))
    return s.declare(line, {0: count.size} if count.size else {})


def _steps(s: Sizing, first: str, last: str, delta: int) -> str:
    """How many steps there are from one scalar to before another."""
    way = [last, first] if delta > 0 else [first, last]
    room = s.add("maximum", [s.add("sub", way), s.constant(0)])
    if abs(delta) == 1:
        return room
    more = s.add("add", [room, s.constant(abs(delta) - 1)])
    return s.add("div", [more, s.constant(abs(delta))])


def _tensor(s: Sizing, number: Number) -> str:
    """A number as an int64 scalar."""
    if number.value is not None:
        return s.constant(min(max(number.value, -FAR), FAR))
    return s.of_element(number.element, 0).size


def cut(s: Sizing, x: str, axis: int, begin: Number, end: Number, step: int) -> str:
    """``x[begin:end:step]`` along an axis, as ONNX counts: from the end where negative; a slice
    that goes backwards begins at the first place if not behind it."""
    length = s.extent(x, axis)
    first = _place(s, begin, length, step, 0)
    last = _place(s, end, length, step, 0 if step > 0 else -1)
    most = _most(length.bound, begin, end, step)
    inside = not length.size and begin.range[0] >= 0 and end.range[1] <= length.bound
    if _way(begin, end) is not None and step > 0 and inside:
        count = Extent(most)
    else:
        count = s.made(most, _steps(s, first, last, step))
    others = {k: v for k, v in s.sizes(x).items() if k != axis}
    start = s.emitter.builder.constants.get(first)
    if step == 1 and start is not None and start == 0:
        part = s.cut(x, axis, count.bound)
    elif not length.bound:
        part = x
    else:
        line = s.add("add", [s.constant([k * step for k in range(count.bound)]), first])
        line = s.add("clip", [line], min=0, max=length.bound - 1)
        part = s.add("gather", [x, line], axis=axis, wrap=False)
    return s.declare(part, {**others, **({axis: count.size} if count.size else {})})


def _place(s: Sizing, number: Number, length: Extent, step: int, least: int) -> str:
    """Where a slice begins or ends: within the axis, ``least`` at least."""
    place, n = _tensor(s, number), s.number(length)
    if number.range[0] < 0:
        back = s.add("add", [place, n])
        place = s.add("where", [s.add("less", [place, s.constant(0)]), back, place])
    most = n if step > 0 else s.add("sub", [n, s.constant(1)])
    if number.range[0] < least or number.range[0] < 0:
        place = s.add("maximum", [place, s.constant(least)])
    return s.add("minimum", [place, most])


def _way(begin: Number, end: Number) -> int | None:
    """How far it is from one number to another, where that is known and they are not."""
    a, b = begin.element, end.element
    alike = a.tensor and (a.tensor, a.index) == (b.tensor, b.index)
    return b.offset - a.offset if alike else None


def _most(bound: int, begin: Number, end: Number, step: int) -> int:
    """How many places a slice has at most."""
    room: float = bound
    way = _way(begin, end)
    if way is not None and begin.range[0] >= 0:
        room = min(room, way if step > 0 else -way)
    elif step > 0 and begin.range[0] >= 0:
        room = min(end.range[1] if end.range[0] >= 0 else bound, bound) - begin.range[0]
    elif step > 0 and begin.range[1] < 0:  # from the end, wherever that is
        behind = end.range[1] if end.range[1] < 0 else 0
        room = min(bound, behind - begin.range[0])
        room = min(room, end.range[1]) if end.range[0] >= 0 else room
    return max(math.ceil(room / abs(step)), 0)


__all__ = ["Number", "arange", "broadcast", "cut", "extent", "known", "numbers", "reshape", "tile"]
