"""The shapes that ``Reshape`` asks for: numbers, and codes from 0 down to -4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn, Protocol


class _Errors(Protocol):
    def error(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise: the file is wrong."""
        ...


def reshaped_to(
    n: _Errors, shape: Sequence[int], target: Sequence[int], reverse: bool = False
) -> tuple[int, ...]:
    """What ``target`` makes of ``shape``.

    0 takes the next extent over, -1 is worked out, -2 takes all that are left over, -3 joins the
    next two, -4 and two numbers split the next one. ``reverse`` reads both from their ends, so that
    there the two numbers stand before -4.
    (mxnet 1.9.1, ``src/operator/tensor/matrix_op-inl.h``: ``InferReshapeShape``.)
    """
    walk = _Walk(n, shape[::-1] if reverse else shape, target)
    for code, *pair in _groups(target[::-1] if reverse else target):
        walk.step(code, pair)
    made = walk.made
    if walk.unknown >= 0:
        rest = math.prod(made)
        if not rest or math.prod(shape) % rest:
            n.error(f"{tuple(shape)} has no shape {tuple(target)}.")
        made[walk.unknown] = math.prod(shape) // rest
    if math.prod(made) != math.prod(shape):
        n.error(f"{tuple(shape)} has not as many elements as {tuple(target)}.")
    return tuple(reversed(made) if reverse else made)


def _groups(codes: Sequence[int]) -> list[tuple[int, ...]]:
    """Each code with the numbers that belong to it: two for a split."""
    made: list[tuple[int, ...]] = []
    k = 0
    while k < len(codes):
        count = 3 if codes[k] == -4 else 1
        made.append(tuple(codes[k : k + count]))
        k += count
    return made


class _Walk:
    """Extents that were ``made`` of the first ``at`` of ``given``; ``unknown`` is the place of the
    one that is worked out, or -1."""

    def __init__(self, n: _Errors, given: Sequence[int], target: Sequence[int]):
        self.n, self.given, self.target = n, given, tuple(target)
        self.made: list[int] = []
        self.at, self.unknown = 0, -1

    def step(self, code: int, pair: Sequence[int]) -> None:
        """Go by one code."""
        if code > 0:
            self.made.append(code)
            self.at += 1
        elif code == 0:
            self.made += self._next(1)
        elif code == -1:
            if self.unknown >= 0:
                self.n.error(f"the shape {self.target} has two extents to be worked out.")
            self.unknown = len(self.made)
            self.made.append(1)
            self.at += 1
        elif code == -2:
            self.made += self._next(max(len(self.given) - self.at, 0))
        elif code == -3:
            self.made.append(math.prod(self._next(2)))
        elif code == -4 and len(pair) == 2:
            self.made += self._split(self._next(1)[0], list(pair))
        else:
            self.n.error(f"the shape {self.target} has a code that there is not.")

    def _next(self, count: int) -> Sequence[int]:
        if self.at + count > len(self.given):
            self.n.error(f"the shape {self.target} asks for more axes than {tuple(self.given)}.")
        self.at += count
        return self.given[self.at - count : self.at]

    def _split(self, size: int, pair: list[int]) -> list[int]:
        if pair.count(-1) == 1:
            other = max(pair)
            if other > 0:
                pair[pair.index(-1)] = size // other
        if min(pair) < 0 or pair[0] * pair[1] != size:
            self.n.error(f"{size} does not split into {pair}.")
        return pair


__all__ = ["reshaped_to"]
