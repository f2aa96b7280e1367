"""Convolutions by minimal filtering; the weights are transformed already."""

from __future__ import annotations

from . import Case, rand

CASES = [
    Case(
        "winograd_conv",
        [rand(batch, channels, *size), rand(m + 2, m + 2, channels, filters), rand(filters)],
        {"tile": m, "pads": pads},
        atol=1e-2,
    )
    for m, batch, channels, size, filters, pads in (
        (2, 1, 16, (8, 8), 16, (1, 1, 1, 1)),
        (2, 2, 5, (7, 9), 3, (0, 1, 2, 3)),
        (4, 1, 16, (8, 8), 32, (1, 1, 1, 1)),
        (4, 2, 20, (9, 14), 50, (1, 1, 1, 1)),
        (4, 1, 3, (3, 3), 1, (0, 0, 0, 0)),
        (6, 1, 4, (7, 15), 8, (1, 1, 1, 1)),
    )
]
