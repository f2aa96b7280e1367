"""Trained models of PyTorch in packages."""

from __future__ import annotations

from ..fetch import Item

ITEMS: tuple[Item, ...] = (
    Item(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad.jit",
        "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720",
    ),
)
