"""Sequences of expressions by identity: ``in``, ``index`` and ``==`` would ask ``==`` of
expressions, which builds one (``expr.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def among(e: object, several: Iterable[object]) -> bool:
    """Whether ``e`` itself is one of ``several``: what ``in`` says of other things."""
    return any(x is e for x in several)


def place_of(e: object, several: Iterable[object]) -> int:
    """Where ``e`` itself stands in ``several``: what ``index`` says of other sequences."""
    for k, x in enumerate(several):
        if x is e:
            return k
    raise ValueError(f"{e} is not among them")


def same_objects(a: Sequence[object], b: Sequence[object]) -> bool:
    """Whether two sequences hold the same objects: what ``==`` says of other sequences."""
    return len(a) == len(b) and all(x is y for x, y in zip(a, b))
