"""How operators carry the axes of their operands into their results: the fact by which
``passes/transposes.py`` moves transposes past them.

An operator is said to have *slots*: places for axes that belong together, as the letters of an
einsum. Where the slots are put into another order, operands and results have their axes in that
order, too, and the operator makes the same elements, if its attributes are changed accordingly:

    concat(axis=3)     x[n, h, w, c], y[n, h, w, d]  ->  z[n, h, w, c + d]
    concat(axis=1)     x[n, c, h, w], y[n, d, h, w]  ->  z[n, c + d, h, w]        order (0, 3, 1, 2)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Attrs = Mapping[str, Any]
Shape = Sequence[int]
Order = tuple[int, ...]
Slots = tuple["int | None", ...]


@dataclass(frozen=True)
class Carried:
    """The axes of one call of an operator.

    Parameters
    ----------
    inputs : for each input the slot of each of its axes; None for an input that is read as it is,
        in whatever order the slots are. An axis without a slot (None) has one element; it stays
        behind the axis before it. Axes that share a slot stay together, in their order.
    results : the same for each result.
    attrs : order (the slots, as they shall follow one another) -> the attributes for it, None where
        the operator has none.
    stretches : an input that lacks slots is given axes of one element for them.
    """

    inputs: tuple[Slots | None, ...]
    results: tuple[Slots, ...]
    attrs: Callable[[Order], Attrs | None]
    stretches: bool = False

    @property
    def count(self) -> int:
        """How many slots there are."""
        every = (s for axes in (*self.inputs, *self.results) for s in axes or ())
        return max((s for s in every if s is not None), default=-1) + 1


# (shapes of the inputs, None for an absent one; shapes of the results; attributes) -> the axes.
Carries = Callable[[Sequence["Shape | None"], Sequence[Shape], Attrs], "Carried | None"]


def carries(
    *,
    along: Sequence[str] = (),
    each: Sequence[str] = (),
    first: int | None = None,
    reduced: str = "",
    fixed: Sequence[int] = (),
) -> Carries:
    """The axes of an operator whose operands and results have the same ones.

    Parameters
    ----------
    along : attributes that name an axis, or several (their order does not matter).
    each : attributes that have one number for each axis, or several for each, as pads have: those
        of all axes, then those of all axes again.
    first : only so many inputs have these axes, others are read as they are. None: all have.
    reduced : the attribute that names axes of which the result has one element, or which it lacks.
    fixed : axes that can only be where they are.
    """

    def rule(shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs) -> Carried | None:
        data = shapes[0]
        assert data is not None
        rank = len(data)
        if not rank:
            return None
        slots = tuple(range(rank))
        result = slots
        if reduced and not attrs["keepdims"]:
            gone = attrs[reduced]
            gone = slots if gone is None else (gone,) if isinstance(gone, int) else gone
            result = tuple(k for k in slots if k not in {a % rank for a in gone})
        carried = [
            slots if s is not None and (first is None or k < first) else None
            for k, s in enumerate(shapes)
        ]
        if any(s is not None and c is not None and len(s) != rank for s, c in zip(shapes, carried)):
            return None

        def changed(order: Order) -> Attrs | None:
            if any(order[k] != k for k in fixed if k < rank):
                return None
            new = dict(attrs)
            for name in (*along, *([reduced] if reduced else ())):
                new[name] = moved_axes(attrs[name], order)
            for name in each:
                new[name] = moved_numbers(attrs[name], order)
            return new

        return Carried(tuple(carried), (result,) * len(made), changed)

    return rule


def moved_axes(axes: Any, order: Order) -> Any:
    """Where an axis, or those of a tuple, are in ``order``; None stays."""
    if axes is None:
        return None
    if isinstance(axes, int):
        return order.index(axes % len(order))
    return tuple(sorted(order.index(a % len(order)) for a in axes))


def moved_numbers(numbers: Any, order: Order) -> Any:
    """One number for each axis, or several runs of them, in ``order``; None stays."""
    if numbers is None:
        return None
    n = len(order)
    return tuple(numbers[at + k] for at in range(0, len(numbers), n) for k in order)


def broadcasts(
    shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs
) -> Carried | None:
    """The axes of an operator that stretches its operands as numpy does."""
    rank = len(made[0])
    inputs = tuple(None if s is None else tuple(range(rank - len(s), rank)) for s in shapes)
    return Carried(inputs, (tuple(range(rank)),), lambda order: attrs, stretches=True)


def expands(shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs) -> Carried | None:
    """The axes of one operand that is stretched to the attribute ``shape``."""
    c = broadcasts(shapes, made, attrs)
    assert c is not None

    def changed(order: Order) -> Attrs:
        return {**attrs, "shape": moved_numbers(attrs["shape"], order)}

    return Carried(c.inputs, c.results, changed, stretches=True)


def normalises_tail(
    shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs
) -> Carried | None:
    """The axes of an operator that treats all axes from the attribute ``axis`` on alike, with
    parameters that are stretched to the result: those before it may change places, and those
    after it."""
    c = broadcasts(shapes, made, attrs)
    assert c is not None
    rank = len(made[0])
    begin = attrs["axis"] % rank if rank else 0

    def changed(order: Order) -> Attrs | None:
        return attrs if set(order[:begin]) == set(range(begin)) else None

    return Carried(c.inputs, c.results, changed, stretches=True)


def multiplies(
    shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs
) -> Carried | None:
    """The axes of a product of rows with one matrix: all but the last may change places."""
    rows, matrix = shapes[0], shapes[1]
    assert rows is not None and matrix is not None
    last = len(rows) - 1
    per_row = shapes[2] if len(shapes) > 2 else None
    if per_row is not None and math.prod(per_row) != 1:
        return None
    if len(matrix) != 2 or last < 1 or len(made[0]) != len(rows):
        return None
    slots = tuple(range(len(rows)))
    rest = (None,) * (len(shapes) - 1)
    return Carried((slots, *rest), (slots,), lambda order: attrs if order[-1] == last else None)


def gathers(shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs) -> Carried | None:
    """The axes of data of which one is replaced by those of indices, which are read as they are."""
    data, index = shapes[0], shapes[1]
    assert data is not None and index is not None
    at, many = attrs["axis"], len(index)
    slots = tuple(range(len(data)))
    result = (*slots[:at], *(at,) * many, *slots[at + 1 :])

    def changed(order: Order) -> Attrs:
        return {**attrs, "axis": moved_axes(at, order)}

    return Carried((slots, None), (result,), changed)


def regroups(shapes: Sequence[Shape | None], made: Sequence[Shape], attrs: Attrs) -> Carried | None:
    """The axes of a reshape: runs of axes (but for those of one element) that become one another,
    each of which may be at another place as a whole."""
    before, after = shapes[0], made[0]
    assert before is not None
    if 0 in before:
        return None
    long = [n for n in before if n != 1], [n for n in after if n != 1]
    of_long: tuple[list[int], list[int]] = [], []
    i = j = count = 0
    while i < len(long[0]):
        i0, j0, i, j = i, j, i + 1, j + 1
        while math.prod(long[0][i0:i]) != math.prod(long[1][j0:j]):
            if math.prod(long[0][i0:i]) < math.prod(long[1][j0:j]):
                i += 1
            else:
                j += 1
        of_long[0].extend([count] * (i - i0))
        of_long[1].extend([count] * (j - j0))
        count += 1

    def slots(shape: Shape, runs: Sequence[int]) -> Slots:
        left = iter(runs)
        return tuple(None if n == 1 else next(left) for n in shape)

    result = slots(after, of_long[1])

    def changed(order: Order) -> Attrs:
        return {**attrs, "shape": tuple(after[k] for k in axes_in(result, order))}

    return Carried((slots(before, of_long[0]),), (result,), changed)


def axes_in(slots: Slots, order: Order) -> Order:
    """The axes of a tensor with these ``slots`` as they follow one another in ``order``."""
    place, keys = -1, []
    for s in slots:
        place = place if s is None else order.index(s)
        keys.append(place)
    return tuple(sorted(range(len(slots)), key=lambda k: keys[k]))


def order_of(slots: Slots, axes: Sequence[int], count: int) -> Order | None:
    """The order of all ``count`` slots in which a tensor with these ``slots`` has its axes as
    ``axes`` has them; None where there is none. Slots that the tensor lacks stay behind those that
    they follow."""
    order: list[int] = []
    inner: dict[int, int] = {}
    for a in axes:
        s = slots[a]
        if s is None:
            continue
        if s not in inner:
            order.append(s)
        elif order[-1] != s or inner[s] > a:
            return None
        inner[s] = a
    for s in range(count):
        if s not in inner:
            order.insert(order.index(s - 1) + 1 if s else 0, s)
    return tuple(order)
