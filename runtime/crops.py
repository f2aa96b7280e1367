"""Outputs whose size only data knows.

Such a tensor has room for as much as there can be: its bound, which is its shape everywhere but in
what a caller gets. How much of it there is, an output of the same program says, a number of shape
() that is no result by itself. Kernels, memory plans and devices know nothing of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from .sizes import Size

# An output's name -> axis -> the name of the output that says how long it is.
Crops = Mapping[str, Mapping[int, str]]


def read_crops(data: Any) -> Crops:
    """The crops of a JSON form; raises ValueError, TypeError or AttributeError for others."""
    return {str(k): {int(a): str(n) for a, n in v.items()} for k, v in data.items()}


def check_crops(crops: Crops, shapes: Mapping[str, Sequence[Size]]) -> str:
    """What does not fit in them, to outputs of such shapes; "" where all does."""
    hidden = numbers_of(crops)
    for name, axes in crops.items():
        if name not in shapes or name in hidden:
            return f"there is no output {name!r}"
        for axis, number in axes.items():
            if not 0 <= axis < len(shapes[name]):
                return f"{name!r} has no axis {axis}"
            if shapes.get(number) != ():
                return f"{number!r} is no number"
    return ""


def numbers_of(crops: Crops) -> frozenset[str]:
    """The outputs that only say how long others are."""
    return frozenset(n for axes in crops.values() for n in axes.values())


def crop(crops: Crops, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The results, each of its true size, out of all ``outputs`` at their bounds."""
    hidden, results = numbers_of(crops), {}
    for name, array in outputs.items():
        if name in hidden:
            continue
        axes = crops.get(name)
        if axes is not None:
            part = [slice(None)] * array.ndim
            for axis, number in axes.items():
                part[axis] = slice(max(0, int(outputs[number])))
            array = array[tuple(part)].copy()  # what is left may be a small part of the bound
        results[name] = array
    return results


NO_CROPS: Crops = MappingProxyType({})

__all__ = ["NO_CROPS", "Crops", "check_crops", "crop", "numbers_of", "read_crops"]
