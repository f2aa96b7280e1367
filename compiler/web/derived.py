"""Parameters that a page computes from others while it loads.

Transformed weights of convolutions by minimal filtering are up to seven times as many numbers as
the weights themselves. A bundle stores the weights alone, which programs for targets without such
convolutions share, and says for each derived parameter what it is made of::

    derived[a, b, c, f] = Σ matrix[a, y] · matrix[b, x] · source[f, c, y, x]

summed in float64 and rounded once, as ``transform_weights`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops.winograd import TILES, transform_weights, transforms


@dataclass(frozen=True)
class Derived:
    """``source``: the name of the stored parameter; ``matrix`` [n, 3], float64."""

    source: str
    matrix: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The entry of a program's ``meta["derived"]``, which the page's loader reads."""
        return {"source": self.source, "matrix": self.matrix.tolist()}


def find_derived(
    tensors: Mapping[str, np.ndarray], stored: Mapping[str, np.ndarray]
) -> dict[str, Derived]:
    """Those of ``tensors`` that are transformed weights out of ``stored``, to the last bit."""
    found: dict[str, Derived] = {}
    for name, u in tensors.items():
        if u.ndim != 4 or u.shape[0] != u.shape[1] or u.shape[0] - 2 not in TILES:
            continue
        tile = u.shape[0] - 2
        for source, w in stored.items():
            same = w.dtype == u.dtype and w.shape == (u.shape[3], u.shape[2], 3, 3)
            if same and name.startswith(source) and np.array_equal(transform_weights(w, tile), u):
                found[name] = Derived(source, transforms(tile).g)
                break
    return found


__all__ = ["Derived", "find_derived"]
