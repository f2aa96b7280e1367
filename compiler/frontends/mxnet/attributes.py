"""Attributes as MXNet prints and reads them: text such as ``(3, 3)``, ``None``, ``True``, ``1e-5``.

Python 2 wrote ``3L``; the parsers of numbers, booleans and tuples are those of dmlc's parameters.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[+-]?\d{1,18}")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
NONE = ("none", "")


def integers(text: str) -> tuple[int | None, ...] | None:
    """``(1, None)``, ``[1,2]``, ``3`` as a tuple; None for ``None``. Raises :class:`ValueError`."""
    text = text.strip()
    if text.lower() in NONE:
        return None
    if text[0] in "([":
        text = text[1:].rstrip()
        if not text or text[-1] not in ")]":
            raise ValueError(f"{text!r} does not end")
        text = text[:-1]
    parts = [p.strip() for p in text.split(",")]
    if parts and not parts[-1]:
        parts.pop()
    return tuple(None if p.lower() == "none" else integer(p) for p in parts)


def integer(text: str) -> int:
    """A whole number. Raises :class:`ValueError`."""
    text = text.strip().rstrip("lL")
    if not _NUMBER.fullmatch(text):
        value = float(text)
        if abs(value) >= 1 << 62 or value != int(value):
            raise ValueError(f"{text!r} is no whole number")
        return int(value)
    return int(text)


def numbers(text: str) -> tuple[float, ...]:
    """``(0.5, 1)``, ``0.5`` as a tuple. Raises :class:`ValueError`."""
    parts = [p for p in text.strip().strip("()[]").split(",") if p.strip()]
    return tuple(float(p.strip().rstrip("fFlL")) for p in parts)


def flag(text: str) -> bool:
    """A truth value. Raises :class:`ValueError`."""
    word = text.strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return word in _TRUE


__all__ = ["NONE", "flag", "integer", "integers", "numbers"]
