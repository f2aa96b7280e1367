"""Warnings of what is odd in a model and yet has one meaning."""

from __future__ import annotations

import warnings


class ModelWarning(UserWarning):
    """What weft makes of a model differs from what the model says, in a way that must be known: it
    contradicts itself where only one reading can be meant, has outputs that are no tensors, or a
    branch that the given shapes do not fit."""


def warn(text: str, level: int = 2) -> None:
    """Warn of ``text``, as of the caller's caller ``level - 2`` further up."""
    warnings.warn(text, ModelWarning, stacklevel=level)
