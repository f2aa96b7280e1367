"""Sizes that are known only per call: expressions of a program's size variables.

A :data:`Size` is plain data with the same JSON form for Python and JavaScript
(``runtime_js/sizes.js``): an integer, the name of a variable, or ``[operator, size, size]``.

    ["//", ["+", "n", 63], 64]          the workgroups of 64 that n elements need

``Program.sizes`` says where a call finds each variable: along an axis of an array, or as a number
that it is given. :class:`Binder` looks there and checks all the rest against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from .artifact import Program

Size: TypeAlias = int | str | tuple
Values: TypeAlias = Mapping[str, int]

MOST = 2**31 - 1  # elements of a tensor, iterations of a loop: indices are int32
_DEEPEST = 200  # levels of an expression that is read
_KNOWN = 64  # how many bindings a binder remembers as checked

# Division rounds down, and by zero it is 0, as in the IR (``ir/alu.py``).
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else 0,
    "min": min,
    "max": max,
}
OPERATORS = frozenset(_OPERATORS)


def read_size(value: Any, depth: int = 0) -> Size:
    """The size of a JSON form; raises ValueError for anything else."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is no size")
    if isinstance(value, int | str):
        return value
    parts = isinstance(value, list | tuple) and len(value) == 3 and depth < _DEEPEST
    if not parts or not isinstance(value[0], str) or value[0] not in _OPERATORS:
        raise ValueError(f"{str(value)[:100]} is no size")
    return (value[0], read_size(value[1], depth + 1), read_size(value[2], depth + 1))


def size_of(size: Size, values: Values) -> int:
    """The value of a size."""
    if isinstance(size, int):
        return size
    if isinstance(size, str):
        return values[size]
    return _OPERATORS[size[0]](size_of(size[1], values), size_of(size[2], values))


def names_in(*sizes: Size) -> set[str]:
    """The variables in sizes."""
    found: set[str] = set()
    for s in sizes:
        if isinstance(s, str):
            found.add(s)
        elif isinstance(s, tuple):
            found |= names_in(*s[1:])
    return found


def is_known(shape: Iterable[Size]) -> bool:
    """Whether no extent waits for a call."""
    return all(isinstance(n, int) for n in shape)


def known(shape: Sequence[Size]) -> tuple[int, ...]:
    """A shape that waits for no call."""
    found = tuple(n for n in shape if isinstance(n, int))
    assert len(found) == len(shape), shape
    return found


def size_text(size: Size) -> str:
    """A size for people: ``(n + 63) // 64``."""
    if not isinstance(size, tuple):
        return str(size)
    op, a, b = size[0], size_text(size[1]), size_text(size[2])
    if op in ("min", "max"):
        return f"{op}({a}, {b})"
    a = f"({a})" if isinstance(size[1], tuple) and op not in ("+", "-") else a
    b = f"({b})" if isinstance(size[2], tuple) and op != "+" else b
    return f"{a} {op} {b}"


class Binder:
    """Finds size variables in what a call is given, and checks that all of it fits together.

    Parameters
    ----------
    arrays : name and shape of each input and, after them, of each result, in order.
    inputs : how many of them are inputs.
    sources : of each variable, the number of one of ``arrays`` and an axis of that; -1 where it is
        the value of a number.
    limits : what else must not be negative nor pass ``MOST``, with words for it.
    """

    def __init__(
        self,
        where: str,
        arrays: Sequence[tuple[str, Sequence[Size]]],
        inputs: int,
        sources: Mapping[str, tuple[int, int]],
        limits: Iterable[tuple[str, Size]],
    ):
        self.where, self._arrays, self._count = where, arrays, inputs
        self._sources = [(name, k, axis) for name, (k, axis) in sources.items()]
        self._checked = [k for k, (_, shape) in enumerate(arrays) if not is_known(shape)]
        self._limits = [(what, size) for what, size in limits if not isinstance(size, int)]
        self._known: dict[tuple[int, ...], None] = {}

    @classmethod
    def of(cls, program: Program) -> Binder:
        """The binder of a program."""
        places = [*program.inputs.values(), *program.outputs.values()]
        names = [*program.inputs, *program.outputs]
        arrays = [(name, program.slots[k].shape) for name, k in zip(names, places)]
        sources = {n: (places.index(k), axis) for n, (k, axis) in program.sizes.items()}
        limits = [(f"the tensor {s.name}", product(s.physical)) for s in program.slots]
        limits += [(in_kernel(k.name), n) for k in program.kernels for n in k.extents]
        limits += [(in_kernel(k.name), n) for k in program.kernels for n in k.launch.values()]
        return cls(program.name, arrays, len(program.inputs), sources, limits)

    def values(self, arrays: Sequence[Any], out: Sequence[Any] | None) -> dict[str, int]:
        """The value of each variable.

        Raises :class:`InputError` where a result says it and ``out`` has no array for that.
        """
        found = {}
        for name, k, axis in self._sources:
            if k < self._count:
                given = arrays[k]
            elif out is not None:
                given = out[k - self._count]
            else:
                raise InputError(
                    f"the size of {self._arrays[k][0]!r} is only known per call: it needs an array "
                    "that it is written to.",
                    where=self.where,
                    hint="exe.call(inputs, out=[…])",
                )
            found[name] = given.shape[axis] if axis >= 0 else int(given)
        return found

    def bind(self, arrays: Sequence[Any], out: Sequence[Any] | None) -> dict[str, int]:
        """The value of each variable, once everything that is given fits to it; arrays have their
        dtypes and numbers of axes already.

        Raises :class:`InputError` for sizes that contradict one another, and for products of them
        that a 32-bit index does not reach.
        """
        values = self.values(arrays, out)
        for k in self._checked:
            if k >= self._count and out is None:
                continue
            array = arrays[k] if k < self._count else out[k - self._count]  # type: ignore[index]
            for axis, (have, size) in enumerate(zip(array.shape, self._arrays[k][1])):
                if have != size_of(size, values):
                    raise self._contradiction(k, axis, have, size, values)
        key = tuple(values.values())
        if key not in self._known:
            self._check_limits(values)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key] = None
        return values

    def result_shapes(self, values: Values) -> list[tuple[int, ...]]:
        """The shape of each output."""
        shapes = self._arrays[self._count :]
        return [tuple(size_of(n, values) for n in shape) for _, shape in shapes]

    def _contradiction(
        self, k: int, axis: int, have: int, size: Size, values: Values
    ) -> InputError:
        want, origins = size_of(size, values), []
        for name, source, along in self._sources:
            if name in names_in(size):
                place = f"axis {along} of" if along >= 0 else "given as"
                origins.append(f"{name} = {values[name]} is {place} {self._arrays[source][0]!r}")
        known = "" if isinstance(size, int) else f" = {size_text(size)}"
        said = f" ({', '.join(origins)})" if origins else ""
        return InputError(
            f"axis {axis} of {self._arrays[k][0]!r} has {have} elements, not {want}{known}{said}.",
            where=self.where,
        )

    def _check_limits(self, values: Values) -> None:
        for what, size in self._limits:
            n = size_of(size, values)
            if not 0 <= n <= MOST:
                said = ", ".join(f"{k} = {v}" for k, v in values.items())
                why = "indices are 32-bit integers" if n > MOST else "a size is not negative"
                raise InputError(
                    f"{what} would have {n} elements or iterations ({size_text(size)}, {said}); "
                    f"{why}.",
                    where=self.where,
                    hint="give it smaller arrays, in several calls" if n > MOST else None,
                )


def product(shape: Sequence[Size]) -> Size:
    """How many elements a tensor of a shape has."""
    if is_known(shape):
        return math.prod(known(shape))
    total: Size = 1
    for n in shape:
        total = n if total == 1 else ("*", total, n)
    return total


def in_kernel(name: str) -> str:
    """Words for an extent inside of a kernel."""
    return f"a loop or buffer of the kernel {name}"


def bits_of(value: Any, dtype: np.dtype) -> int:
    """A number as the 64 bits that a kernel of a processor takes, as a signed integer: an integer
    itself, the bits of a float or a bool in the lowest ones."""
    if dtype.kind == "i":
        return int(value)
    if dtype.kind == "u":
        number = int(value)
        return number - 2**64 if number >= 2**63 else number
    raw = np.asarray(value).astype(dtype).tobytes()
    return int.from_bytes(raw, "little", signed=len(raw) == 8)


__all__ = [
    "MOST",
    "OPERATORS",
    "Binder",
    "Size",
    "Values",
    "bits_of",
    "in_kernel",
    "is_known",
    "known",
    "names_in",
    "product",
    "read_size",
    "size_of",
    "size_text",
]
