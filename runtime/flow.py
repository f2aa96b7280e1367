"""Control flow of a program: which of its steps run, in which order, how often.

A program without any runs all its steps in order. Otherwise its ``flow`` is a tree over ranges of
them. Bodies are written out twice: even iterations read a loop's state in one set of slots and
write it to another, odd ones the other way round, so that nothing is copied from one iteration to
the next. Executors walk the tree with :func:`ranges`; all that a device must be able to do for it
is to run a range of steps and to tell the value of one slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InputError

Read = Callable[[int], int]
"""The value of a slot of one element, after all that was started before."""


@dataclass(frozen=True)
class Run:
    """The steps from ``begin`` to ``end``."""

    begin: int
    end: int


@dataclass(frozen=True)
class Branch:
    """``then`` where the slot ``cond`` (bool) is true, else ``other``."""

    cond: int
    then: tuple[Flow, ...]
    other: tuple[Flow, ...]


@dataclass(frozen=True)
class Loop:
    """Iterations, numbered from 0.

    Parameters
    ----------
    count : how many at most; -1: any number.
    trips : the slot (an integer) that says how many at most; -1: none does.
    conds : the slots (bool) that say before an even and before an odd iteration whether there is
        one; -1: none do.
    even, odd : what an iteration does.
    last : what brings the state to where even iterations read it, after an odd number of them.
    """

    count: int
    trips: int
    conds: tuple[int, int]
    even: tuple[Flow, ...]
    odd: tuple[Flow, ...]
    last: tuple[Flow, ...]


@dataclass(frozen=True)
class Fail:
    """The call ends with an :class:`InputError`: ``why``, at the node ``where`` of the model."""

    why: str
    where: str

    def error(self) -> InputError:
        """The error."""
        hint = "compile the model for shapes that both branches can take, or give other inputs"
        return InputError(self.why, where=self.where, hint=hint)


Flow = Run | Branch | Loop | Fail


def ranges(flow: Sequence[Flow], read: Read) -> Iterator[tuple[int, int]]:
    """The ranges of steps to run, in order. ``read`` is called when all before was asked for.
    Raises :class:`InputError` where the inputs lead to a :class:`Fail`."""
    for f in flow:
        if isinstance(f, Run):
            yield f.begin, f.end
        elif isinstance(f, Fail):
            raise f.error()
        elif isinstance(f, Branch):
            yield from ranges(f.then if read(f.cond) else f.other, read)
        else:
            yield from _iterations(f, read)


def _iterations(loop: Loop, read: Read) -> Iterator[tuple[int, int]]:
    most = loop.count
    if loop.trips >= 0:
        given = max(0, read(loop.trips))
        most = given if most < 0 else min(most, given)
    k = 0
    while most < 0 or k < most:
        cond = loop.conds[k % 2]
        if cond >= 0 and not read(cond):
            break
        yield from ranges(loop.odd if k % 2 else loop.even, read)
        k += 1
    if k % 2:
        yield from ranges(loop.last, read)


@dataclass(frozen=True)
class Extent:
    """The steps [begin, end) that belong to a loop or a branch, and the slots that are read where
    they begin."""

    begin: int
    end: int
    loops: bool
    slots: tuple[int, ...]


def extents(flow: Sequence[Flow]) -> list[Extent]:
    """Those of all loops and branches, inner ones before outer ones."""
    found: list[Extent] = []
    _find(flow, 0, found)
    return found


def _find(flow: Sequence[Flow], at: int, found: list[Extent]) -> int:
    """Add what is in ``flow``, which begins at step ``at``; returns where it ends."""
    for f in flow:
        if isinstance(f, Run):
            at = f.end
            continue
        if isinstance(f, Fail):
            continue
        begin = at
        parts = (f.then, f.other) if isinstance(f, Branch) else (f.even, f.odd, f.last)
        for part in parts:
            at = _find(part, at, found)
        slots = (f.cond,) if isinstance(f, Branch) else (f.trips, *f.conds)
        loops = isinstance(f, Loop)
        found.append(Extent(begin, at, loops, tuple(s for s in slots if s >= 0)))
    return at


def lived(lives: dict[int, tuple[int, int]], flow: Sequence[Flow], roots: Sequence[int]) -> None:
    """Lengthen lives, the first and the last step of tensors in the order in which steps are
    written down, to what they are when iterations follow each other: what comes into a loop stays
    until it ends. ``roots`` is the slot that owns the storage of each."""
    for e in extents(flow):
        for root in {roots[s] for s in e.slots}:
            first, last = lives.get(root, (e.begin, e.begin))
            lives[root] = min(first, e.begin), max(last, e.end if e.loops else e.begin)
        if not e.loops:
            continue
        for root, (first, last) in lives.items():
            if first < e.begin <= last < e.end:
                lives[root] = first, e.end


# ------------------------------------------------------------------------------------ JSON


def to_json(flow: Sequence[Flow]) -> list[Any]:
    """Plain lists and numbers."""
    return [_plain(f) for f in flow]


def _plain(f: Flow) -> list[Any]:
    if isinstance(f, Run):
        return ["run", f.begin, f.end]
    if isinstance(f, Fail):
        return ["fail", f.why, f.where]
    if isinstance(f, Branch):
        return ["if", f.cond, to_json(f.then), to_json(f.other)]
    parts = to_json(f.even), to_json(f.odd), to_json(f.last)
    return ["loop", f.count, f.trips, list(f.conds), *parts]


def from_json(data: Any) -> tuple[Flow, ...]:
    """What :func:`to_json` wrote; raises ValueError, TypeError or LookupError for anything else."""
    return tuple(_flow(f) for f in data)


def _flow(data: Any) -> Flow:
    kind, *rest = data
    if kind == "run":
        begin, end = map(int, rest)
        return Run(begin, end)
    if kind == "fail":
        why, where = rest
        return Fail(str(why), str(where))
    if kind == "if":
        cond, then, other = rest
        return Branch(int(cond), from_json(then), from_json(other))
    if kind == "loop":
        count, trips, (even, odd), *parts = rest
        a, b, c = map(from_json, parts)
        return Loop(int(count), int(trips), (int(even), int(odd)), a, b, c)
    raise ValueError(f"there is no flow {kind!r}")


def check(flow: Sequence[Flow], steps: int, slots: Sequence[Any]) -> str:
    """What is wrong with ``flow`` of so many steps over ``slots``; "" where nothing is."""
    end, why = _check(flow, 0, slots)
    return why or ("" if end == steps else f"{steps - end} steps are in no part of it")


def _check(flow: Sequence[Flow], at: int, slots: Sequence[Any]) -> tuple[int, str]:
    for f in flow:
        if isinstance(f, Run):
            if not at == f.begin <= f.end:
                return at, f"the steps {f.begin} to {f.end} are not in order"
            at = f.end
            continue
        if isinstance(f, Fail):
            continue
        parts = (f.then, f.other) if isinstance(f, Branch) else (f.even, f.odd, f.last)
        read = [(f.cond, "bool")] if isinstance(f, Branch) else [(c, "bool") for c in f.conds]
        read += [] if isinstance(f, Branch) else [(f.trips, "int64")]
        for slot, dtype in read:
            if slot == -1 and isinstance(f, Loop):
                continue
            if not 0 <= slot < len(slots) or slots[slot].dtype != dtype:
                return at, f"slot {slot} is no {dtype}"
        if isinstance(f, Loop) and f.count < 0 and f.trips < 0 and f.conds[0] < 0:
            return at, "a loop never ends"
        for part in parts:
            at, why = _check(part, at, slots)
            if why:
                return at, why
    return at, ""


__all__ = [
    "Branch",
    "Extent",
    "Fail",
    "Flow",
    "Loop",
    "Read",
    "Run",
    "check",
    "extents",
    "from_json",
    "lived",
    "ranges",
    "to_json",
]
