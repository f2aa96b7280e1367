"""Core ML models."""

from __future__ import annotations

from ..fetch import Item

_PITCH = "basic-pitch==0.4.0"

ITEMS: tuple[Item, ...] = (
    Item(
        _PITCH,
        "basic_pitch/saved_models/icassp_2022/nmp.mlpackage/",
        "96deec32f035a0d6eea4e507033cc2c00b9758880a6d602dbb21718376fc3a90",
    ),
)
