"""What 16-bit storage does to constants, found before the model runs.

A device that renders only 16-bit floats keeps constants in them as well: numbers beyond 65504
become infinite, numbers of less than half of 2^-24 become zero. Smaller than 2^-14 they lose
precision, which is what 16 bits mean; that is not reported.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..graph.graph import Graph


class HalfPrecisionWarning(UserWarning):
    """Constants of the model do not survive 16-bit storage."""


def half_losses(graph: Graph) -> dict[str, str]:
    """What would happen to each float constant of ``graph`` that 16 bits cannot hold, by name."""
    losses: dict[str, str] = {}
    for name, value in graph.constants.items():
        if not graph.types[name].dtype.is_float or graph.types[name].dtype.bits <= 16:
            continue
        finite = np.isfinite(value)
        with np.errstate(over="ignore", under="ignore"):
            half = value.astype(np.float16)
        over = int(np.count_nonzero(finite & ~np.isfinite(half)))
        zero = int(np.count_nonzero((value != 0) & (half == 0)))
        said = [f"{over} overflow to infinity"] * (over > 0) + [f"{zero} flush to zero"] * (
            zero > 0
        )
        if said:
            losses[name] = f"{' and '.join(said)} (of {value.size})"
    return losses


def report_half_losses(graph: Graph) -> Graph:
    """``graph`` as it is, after one warning that names all of its ``half_losses``."""
    losses = half_losses(graph)
    if losses:
        shown = "; ".join(f"{k}: {v}" for k, v in losses.items())
        warnings.warn(
            f"{graph.name}: with 16-bit floats, of the constants {shown}. Scale them in the model, "
            "or compile for 32-bit floats.",
            HalfPrecisionWarning,
            stacklevel=3,
        )
    return graph
